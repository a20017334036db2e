//! Finding right bytes for a file, and finding out which copies have wrong ones.

use std::sync::Arc;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Error;

use crate::session::chain;
use crate::sync::lane::Lane;
use crate::sync::plan::Item;
use crate::sync::report::{Junk, NotGiven, SyncProblemKind};
use crate::sync::run::Run;
use crate::verify::content::{self, Content};

/// A file whose bytes have its name and decode, on its way.
pub(crate) struct Fetched {
    pub(crate) name: FileName,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) content: Content,
    /// Copies that do not have it.
    pub(crate) lacking: Vec<usize>,
    /// Copies that have something else under its name.
    pub(crate) wrong: Vec<usize>,
}

impl Fetched {
    /// Whether a copy is to get it.
    pub(crate) fn is_for(&self, copy: usize) -> bool {
        self.lacking.contains(&copy) || self.wrong.contains(&copy)
    }
}

/// Why a copy that lists a file may have it all the same: somebody removes it just now, or what is
/// listed is another folder than what is read.
const NOT_FOUND: &str = "it lists it, and does not find it when it is asked";

impl Run<'_> {
    /// Reads a file from the first copy that has it right.
    ///
    /// Copies on this machine come first, and those whose file is in doubt last. `None` where no
    /// copy has it right, or where it is not what its type says; findings then say so.
    pub(crate) fn fetch(&self, item: &Item) -> Option<Fetched> {
        let name = item.name;
        let mut order = item.holders.clone();
        order.sort_by_key(|(number, _)| {
            let is_remote = self
                .lanes
                .get(*number)
                .is_none_or(|lane| !lane.copy.is_local);
            (item.doubtful.contains(number), is_remote)
        });
        let mut wrong = Vec::new();
        let mut unread = Vec::new();
        let mut reasons = Vec::new();
        let mut lacking = item.lacking.clone();
        let mut good = None;
        for (number, size_bytes) in order {
            let Some(lane) = self.lanes.get(number) else {
                continue;
            };
            match &good {
                None => match read_right(lane, name, size_bytes) {
                    Reading::Right(bytes) => good = Some(bytes),
                    Reading::Wrong => wrong.push(number),
                    Reading::BrokeOff(reason) => {
                        wrong.push(number);
                        reasons.push((number, reason));
                    }
                    Reading::Gone => {
                        lacking.push(number);
                        reasons.push((number, NOT_FOUND.to_owned()));
                    }
                    Reading::Refused(reason) => {
                        unread.push(number);
                        reasons.push((number, reason));
                    }
                    Reading::Nothing => unread.push(number),
                    Reading::NotAsked if self.is_known_to_withhold(lane) => unread.push(number),
                    Reading::NotAsked => {}
                },
                Some(_) if !item.doubtful.contains(&number) => {}
                // No file of another size can have the same name.
                Some(bytes) if size_bytes != bytes.len() as u64 => wrong.push(number),
                Some(_) if !lane.doubts.contains(&name) => {}
                Some(_) => match read_right(lane, name, size_bytes) {
                    Reading::Wrong | Reading::BrokeOff(_) => wrong.push(number),
                    Reading::Gone => lacking.push(number),
                    // Of other files that says nothing; without a key that it gives nobody opens a
                    // copy.
                    Reading::Refused(_) if name.kind() == FileType::Keys => {
                        lane.state.lock().withheld.insert(name);
                    }
                    Reading::Right(_)
                    | Reading::Refused(_)
                    | Reading::Nothing
                    | Reading::NotAsked => {}
                },
            }
        }
        if let Some(bytes) = &good {
            // One that was asked before and did not answer is no exception.
            let is_odd = |(number, size_bytes): &&(usize, u64)| {
                let is_known = wrong.contains(number) || lacking.contains(number);
                let is_doubtful = item.doubtful.contains(number);
                is_doubtful && !is_known && *size_bytes != bytes.len() as u64
            };
            let odd = item.holders.iter().filter(is_odd);
            let odd: Vec<usize> = odd.map(|(number, _)| *number).collect();
            wrong.extend(odd);
        }
        for lane in wrong.iter().filter_map(|number| self.lanes.get(*number)) {
            lane.state.lock().unsound.insert(name);
        }
        let Some(bytes) = good else {
            self.note_nowhere(item, &wrong, &unread, &reasons);
            return None;
        };
        let content = match content::decode(name.kind(), &bytes, self.repository.key()) {
            Ok(content) => content,
            Err(reason) => {
                self.note_junk(item, &wrong, |name, copies| {
                    Junk::undecodable(name, copies, reason)
                });
                return None;
            }
        };
        let is_unproven = name.kind() == FileType::Keys
            && !item.lacking.is_empty()
            && !name.id().is_some_and(|id| self.is_proven_key(id));
        if is_unproven {
            let is_removed = name.id().is_some_and(|id| self.is_removed_key(id));
            let make = match is_removed {
                true => Junk::removed_key,
                false => Junk::unproven_key,
            };
            self.note_junk(item, &wrong, make);
        }
        Some(Fetched {
            name,
            bytes: Arc::new(bytes),
            content,
            lacking,
            wrong,
        })
    }

    /// Notes a file that no copy gave. Where others lack it, or list it in another size, nobody may
    /// count on it any more, whatever the reason: what one copy alone claims to hold is worth what it
    /// gives. But a copy that did not give it to its end, or that lists it and did not find it, for
    /// one of `reasons`, may have it whole all the same.
    fn note_nowhere(
        &self,
        item: &Item,
        wrong: &[usize],
        unread: &[usize],
        reasons: &[(usize, String)],
    ) {
        if self.cancel.is_cancelled() {
            return;
        }
        let name = item.name;
        let mut sizes = item.holders.iter().map(|(_, size_bytes)| *size_bytes);
        let is_disputed = !item.lacking.is_empty() || sizes.any(|size| size != item.size_bytes);
        let (mut copies, mut not_given) = (Vec::new(), Vec::new());
        for (number, _) in &item.holders {
            let Some(lane) = self.lanes.get(*number) else {
                continue;
            };
            let mut state = lane.state.lock();
            if unread.contains(number) && is_disputed {
                state.withheld.insert(name);
            }
            // A copy that went away is a failure of its own.
            let is_away = !wrong.contains(number) && state.is_unreachable;
            if !is_away {
                copies.push(lane.copy.name.clone());
            }
            let told = reasons.iter().find(|(other, _)| other == number);
            let reason = told.map(|(_, reason)| reason.clone());
            let reason = reason.or_else(|| is_away.then(|| "it cannot be reached".to_owned()));
            if let Some(reason) = reason {
                let copy = lane.copy.name.clone();
                not_given.push(NotGiven { copy, reason });
            }
        }
        if !copies.is_empty() {
            self.problem(name, SyncProblemKind::NowhereWhole { copies, not_given });
        }
    }

    /// Whether a copy failed before to give packs that it alone claims. One outage says nothing of
    /// what was not asked for; the second in a row does, else a copy that never gives anything could
    /// be counted on for long.
    fn is_known_to_withhold(&self, lane: &Lane) -> bool {
        let is_alone = |name: &FileName| {
            let others = self.lanes.iter();
            let mut others = others.filter(|other| other.copy.name != lane.copy.name);
            !others.any(|other| other.size_of(*name).is_some())
        };
        let packs = lane
            .doubts
            .iter()
            .filter(|name| name.kind() == FileType::Data);
        packs.into_iter().any(is_alone)
    }

    fn note_junk(
        &self,
        item: &Item,
        wrong: &[usize],
        make: impl FnOnce(FileName, &[&crate::CopyStore]) -> Junk,
    ) {
        let holders = item
            .holders
            .iter()
            .filter(|(number, _)| !wrong.contains(number));
        let lanes = holders.filter_map(|(number, _)| self.lanes.get(*number));
        let copies: Vec<_> = lanes.map(|lane| &lane.copy).collect();
        let junk = make(item.name, &copies);
        tracing::warn!(%junk, "A file does not travel");
        self.findings.lock().junk.push(junk);
    }
}

/// What came of reading a file from one copy.
pub(crate) enum Reading {
    /// Its bytes have its name.
    Right(Vec<u8>),
    /// They do not: they were read to their end.
    Wrong,
    /// They could not be read to their end, for this reason: they may be right, and nothing can be
    /// built on them.
    BrokeOff(String),
    /// It was listed, and is not there any more.
    Gone,
    /// The copy does not let it be read, for this reason, which says nothing about it.
    Refused(String),
    /// The copy was asked and does not answer.
    Nothing,
    /// It was not asked: it did not answer before, or the user interrupts.
    NotAsked,
}

/// Reads a file from one copy and checks its bytes against its name. No more is read than the
/// copy listed: memory was set aside for so much.
pub(crate) fn read_right(lane: &Lane, name: FileName, size_bytes: u64) -> Reading {
    if lane.state.lock().is_unreachable {
        return Reading::NotAsked;
    }
    match lane.copy.store.read_range(name, 0..size_bytes) {
        Ok(bytes) if name.id() == Some(Id::of(&bytes)) => {
            let mut state = lane.state.lock();
            if lane.doubts.contains(&name) {
                state.proved.insert(name);
            }
            Reading::Right(bytes)
        }
        Ok(_) => Reading::Wrong,
        Err(error @ Error::Unreachable { .. }) => {
            lane.fail(&error);
            Reading::Nothing
        }
        Err(Error::NotFound { .. }) => {
            lane.state.lock().gone.insert(name);
            Reading::Gone
        }
        Err(error @ Error::Denied { .. }) => Reading::Refused(chain(&error)),
        Err(Error::Cancelled { .. }) => Reading::NotAsked,
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(copy = lane.copy.name, %name, reason, "A file cannot be read");
            lane.state.lock().broke_off.insert(name);
            Reading::BrokeOff(reason)
        }
    }
}
