//! One sync: its copies, and what became of each so far.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::Repository;

use crate::parallel::for_each;
use crate::progress::Progress;
use crate::session::{Cancel, CopyFailure, CopyStore};
use crate::sync::budget::Budget;
use crate::sync::deliver::Delivery;
use crate::sync::fetch::Fetched;
use crate::sync::plan::{Item, Side, plan};
use crate::sync::report::{Diverged, Junk, SyncProblem, SyncProblemKind, SyncReport, SyncedCopy};
use crate::sync::{SyncCopy, SyncOptions};
use crate::verify::content::Content;
use crate::{Listing, Result};

/// A sync at work.
pub(crate) struct Run<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) options: &'a SyncOptions,
    pub(crate) progress: &'a Progress,
    pub(crate) cancel: &'a Cancel,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) budget: Budget,
    pub(crate) findings: Mutex<Findings>,
}

/// What was found that concerns no single copy.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<SyncProblem>,
    pub(crate) junk: Vec<Junk>,
    pub(crate) diverged: Vec<Diverged>,
}

/// A copy, as it was listed and as it became.
pub(crate) struct Lane {
    pub(crate) copy: CopyStore,
    pub(crate) config_is_right: bool,
    /// What lay there when the present part of the work began.
    pub(crate) listing: Listing,
    /// Whether somebody has to decide about it first.
    pub(crate) is_diverged: bool,
    pub(crate) state: Mutex<LaneState>,
}

/// What became of a copy.
#[derive(Default)]
pub(crate) struct LaneState {
    /// Why nothing more is written to it.
    pub(crate) failure: Option<CopyFailure>,
    /// Whether nothing can be read from it either.
    pub(crate) is_unreachable: bool,
    /// Files that lie there and are wrong.
    pub(crate) unsound: BTreeSet<FileName>,
    /// Files that were listed and are not there any more.
    pub(crate) gone: BTreeSet<FileName>,
    /// What was written in the present part of the work.
    landed: Vec<(FileName, u64)>,
    healed: Vec<FileName>,
    files_brought: u64,
    bytes_brought: u64,
}

impl<'a> Run<'a> {
    /// Nothing is done yet.
    pub(crate) fn new(
        repository: &'a Repository,
        copies: Vec<SyncCopy>,
        options: &'a SyncOptions,
        progress: &'a Progress,
        cancel: &'a Cancel,
    ) -> Self {
        let lanes = copies.into_iter().map(|copy| Lane {
            copy: copy.copy,
            config_is_right: copy.config_is_right,
            listing: copy.listing,
            is_diverged: false,
            state: Mutex::default(),
        });
        Self {
            repository,
            options,
            progress,
            cancel,
            lanes: lanes.collect(),
            budget: Budget::new(options.memory_bytes.max(1)),
            findings: Mutex::default(),
        }
    }

    /// Brings the keys that something speaks for.
    pub(crate) fn bring_keys(&mut self) -> Result<()> {
        self.bring(FileType::Keys, |run, fetched, _| match fetched.name.id() {
            Some(id) if run.is_proven_key(id) => Ok(()),
            _ => Err(Refusal::Silent),
        })
    }

    /// Brings the packs.
    pub(crate) fn bring_packs(&mut self) -> Result<()> {
        self.bring(FileType::Data, |_, _, _| Ok(()))
    }

    /// Brings each index file to the copies that have all packs that it names.
    pub(crate) fn bring_index_files(&mut self) -> Result<()> {
        self.bring(FileType::Index, |run, fetched, lane| {
            match &fetched.content {
                Content::Index(file) => run.check_packs(file, lane).map_err(Refusal::Because),
                _ => Err(Refusal::Silent),
            }
        })
    }

    /// Brings each snapshot to the copies that have everything that it refers to.
    pub(crate) fn bring_snapshots(&mut self) -> Result<()> {
        let items = self.plan(FileType::Snapshots);
        self.begin(FileType::Snapshots, &items);
        let fetched = Mutex::new(Vec::new());
        for_each(&items, self.options.transfers, |item| {
            self.cancel.check()?;
            let _permit = self.budget.take(item.size_bytes);
            fetched.lock().extend(self.fetch(item));
            Ok(())
        })?;
        let fetched = fetched.into_inner();
        let mut refused: HashMap<(usize, FileName), String> = HashMap::new();
        for (number, lane) in self.lanes.iter().enumerate() {
            let wanted = fetched.iter().filter(|fetched| fetched.is_for(number));
            for (name, reason) in self.find_incomplete(lane, wanted)? {
                refused.insert((number, name), reason);
            }
        }
        for_each(&fetched, self.options.transfers, |fetched| {
            self.cancel.check()?;
            self.deliver(fetched, |number| {
                match refused.get(&(number, fetched.name)) {
                    Some(reason) => Err(Refusal::Because(reason.clone())),
                    None => Ok(()),
                }
            });
            Ok(())
        })?;
        self.settle();
        Ok(())
    }

    /// Brings all files of a type, as far as `admit` lets each copy have them.
    fn bring(
        &mut self,
        kind: FileType,
        admit: impl Fn(&Self, &Fetched, &Lane) -> Delivery + Sync,
    ) -> Result<()> {
        let items = self.plan(kind);
        self.begin(kind, &items);
        for_each(&items, self.options.transfers, |item| {
            self.cancel.check()?;
            let _permit = self.budget.take(item.size_bytes);
            if let Some(fetched) = self.fetch(item) {
                self.deliver(&fetched, |number| match self.lanes.get(number) {
                    Some(lane) => admit(self, &fetched, lane),
                    None => Err(Refusal::Silent),
                });
            }
            Ok(())
        })?;
        self.settle();
        Ok(())
    }

    fn begin(&self, kind: FileType, items: &[Item]) {
        let bytes = items.iter().map(|item| item.size_bytes).sum();
        let phase = format!("sync {}", kind.folder());
        self.progress
            .begin(phase, Some(items.len() as u64), Some(bytes));
    }

    /// Whether a key travels: a key that merely looks like one may be anybody's.
    pub(crate) fn is_proven_key(&self, id: Id) -> bool {
        id == self.repository.key_id() || self.options.known_keys.contains(&id)
    }

    /// The copies that have a file right as far as is known, those on this machine first.
    pub(crate) fn holders(&self, name: FileName) -> Vec<&Lane> {
        let mut holders: Vec<_> = self
            .lanes
            .iter()
            .filter(|lane| lane.can_give(name))
            .collect();
        holders.sort_by_key(|lane| !lane.copy.is_local);
        holders
    }

    pub(crate) fn problem(&self, name: FileName, kind: SyncProblemKind) {
        self.progress.add_error();
        let problem = SyncProblem { name, kind };
        tracing::warn!(%problem, "A file was not synced");
        self.findings.lock().problems.push(problem);
    }

    pub(crate) fn into_report(self) -> SyncReport {
        let mut lacking: Vec<BTreeMap<FileType, u64>> = vec![BTreeMap::new(); self.lanes.len()];
        let without_source: BTreeSet<FileName> = {
            let findings = self.findings.lock();
            let nowhere = findings
                .problems
                .iter()
                .filter(|problem| matches!(problem.kind, SyncProblemKind::NowhereWhole { .. }));
            let junk = findings.junk.iter().map(|junk| junk.name);
            nowhere.map(|problem| problem.name).chain(junk).collect()
        };
        for kind in FileType::SYNCED {
            for item in self.plan(kind) {
                if without_source.contains(&item.name) {
                    continue;
                }
                for number in item.lacking {
                    if let Some(lacking) = lacking.get_mut(number) {
                        *lacking.entry(kind).or_default() += 1;
                    }
                }
            }
        }
        let findings = self.findings.into_inner();
        let lanes = self.lanes.into_iter().zip(lacking);
        SyncReport {
            copies: lanes
                .map(|(lane, lacking)| lane.into_report(lacking))
                .collect(),
            problems: findings.problems,
            junk: findings.junk,
            diverged: findings.diverged,
        }
    }

    /// What is to be done with the files of a type. A copy that diverged still gets keys.
    fn plan(&self, kind: FileType) -> Vec<Item> {
        let sides: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| Side {
                listing: &lane.listing,
                suspects: self.options.suspects.get(&lane.copy.name),
                takes_part: !lane.is_diverged || kind == FileType::Keys,
            })
            .collect();
        plan(kind, &sides)
    }

    fn settle(&mut self) {
        for lane in &mut self.lanes {
            let landed = std::mem::take(&mut lane.state.get_mut().landed);
            for kind in FileType::SYNCED {
                if let Some(files) = lane.listing.of_mut(kind) {
                    let of_kind = landed.iter().filter(|(name, _)| name.kind() == kind);
                    files.add(of_kind.filter_map(|&(name, size_bytes)| {
                        let id = name.id()?;
                        Some(FileEntry { id, size_bytes })
                    }));
                }
            }
        }
    }
}

/// Why a copy does not get a file.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is told elsewhere.
    Silent,
    /// It lacks what the file refers to.
    Because(String),
}

impl Lane {
    /// Whether a file is there, not known to be wrong, and can be read.
    pub(crate) fn can_give(&self, name: FileName) -> bool {
        self.size_of(name).is_some() && !self.state.lock().is_unreachable
    }

    /// The size of a file that is there and not known to be wrong.
    pub(crate) fn size_of(&self, name: FileName) -> Option<u64> {
        if name == FileName::CONFIG {
            let is_right = self.config_is_right || self.state.lock().healed.contains(&name);
            return is_right.then_some(0);
        }
        let size = self.listing.of(name.kind())?.size_bytes(name.id()?)?;
        let state = self.state.lock();
        (!state.unsound.contains(&name) && !state.gone.contains(&name)).then_some(size)
    }

    /// Whether files can still be written to it.
    pub(crate) fn takes(&self) -> bool {
        self.state.lock().failure.is_none()
    }

    /// Notes what a store said that makes the copy unusable.
    pub(crate) fn fail(&self, error: &strongroom_store::Error) {
        let failure = CopyFailure::of_store(error);
        tracing::warn!(
            copy = self.copy.name,
            reason = failure.reason,
            "A copy failed"
        );
        let mut state = self.state.lock();
        state.is_unreachable |= matches!(error, strongroom_store::Error::Unreachable { .. });
        state.failure.get_or_insert(failure);
    }

    pub(crate) fn note_brought(&self, name: FileName, size_bytes: u64) {
        let mut state = self.state.lock();
        state.landed.push((name, size_bytes));
        state.gone.remove(&name);
        state.files_brought += 1;
        state.bytes_brought += size_bytes;
    }

    pub(crate) fn note_healed(&self, name: FileName, size_bytes: u64) {
        let mut state = self.state.lock();
        state.landed.push((name, size_bytes));
        state.unsound.remove(&name);
        state.healed.push(name);
    }

    fn into_report(self, lacking: BTreeMap<FileType, u64>) -> SyncedCopy {
        let mut state = self.state.into_inner();
        state.healed.sort_unstable();
        SyncedCopy {
            location: self.copy.store.location().to_owned(),
            name: self.copy.name,
            files_brought: state.files_brought,
            bytes_brought: state.bytes_brought,
            healed: state.healed,
            unmended: state.unsound.into_iter().collect(),
            lacking,
            failure: state.failure,
            listing: self.listing,
        }
    }
}
