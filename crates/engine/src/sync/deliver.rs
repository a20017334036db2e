//! Writing a file to every copy that is to have it, at once.

use std::sync::Arc;

use strongroom_model::FileName;
use strongroom_repo::RepoConfig;
use strongroom_store::{Error, SharedBytes};

use crate::session::chain;
use crate::sync::BeforeHeal;
use crate::sync::fetch::Fetched;
use crate::sync::lane::Lane;
use crate::sync::report::{SyncProblemKind, removal};
use crate::sync::run::Run;

/// Whether a copy gets a file.
pub(crate) type Delivery = std::result::Result<(), Refusal>;

/// Why a copy does not get a file.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is told elsewhere.
    Silent,
    /// It lacks what the file refers to.
    Because(String),
}

impl Run<'_> {
    /// Writes `config` where it is missing or damaged.
    ///
    /// The open repository's decrypted, and everything else opens with it. Another one that
    /// decrypts as well, as after an upgrade of one copy by itself, is not damage: it may be the
    /// right one, and is left where it is.
    pub(crate) fn mend_config(&self) {
        let wrong = self.lanes.iter().filter(|lane| !lane.config_is_right);
        for lane in wrong.filter(|lane| lane.takes()) {
            let copy = lane.copy.name.clone();
            let held = lane.copy.store.read(FileName::CONFIG);
            if held.is_ok_and(|bytes| self.is_other_config(lane, &bytes)) {
                lane.state.lock().unsound.insert(FileName::CONFIG);
                let hint = format!(
                    "find out which is right (`strongroom verify --no-password` compares \
                     them with the newest receipt) and \
                     remove the other, then strongroom sync; this one: {}",
                    removal(&lane.copy, FileName::CONFIG)
                );
                self.problem(
                    FileName::CONFIG,
                    SyncProblemKind::OtherConfig { copy, hint },
                );
            } else if lane.listing.keys.is_empty() {
                let reason = "it has no key".to_owned();
                let kind = SyncProblemKind::HeldBack { copy, reason };
                self.problem(FileName::CONFIG, kind);
            } else {
                let config = Arc::new(self.repository.config_bytes().to_vec());
                let before = lane.copy.store.identity();
                self.replace(lane, FileName::CONFIG, &config);
                // Nobody asks later: another disk may lie there by then.
                if let (Ok(before), Ok(now)) = (before, lane.copy.store.identity()) {
                    lane.note_place(before, now);
                }
            }
        }
    }

    /// Whether this is a config under this repository's key, and not the one that was opened.
    fn is_other_config(&self, lane: &Lane, bytes: &[u8]) -> bool {
        let location = lane.copy.store.location();
        let opened = RepoConfig::open(bytes, self.repository.key(), location);
        // One of a version that is not known decrypts as well.
        let is_config = matches!(
            opened,
            Ok(_) | Err(strongroom_repo::Error::Unsupported { .. })
        );
        is_config && bytes != self.repository.config_bytes()
    }

    /// Writes a file to the copies that lack it or have it wrong, as far as `admit` lets them.
    pub(crate) fn deliver(&self, fetched: &Fetched, admit: impl Fn(usize) -> Delivery) {
        let mut lanes = Vec::new();
        let missing = fetched.lacking.iter().map(|number| (*number, false));
        let wrong = fetched.wrong.iter().map(|number| (*number, true));
        for (number, is_wrong) in missing.chain(wrong) {
            let Some(lane) = self.lanes.get(number).filter(|lane| lane.takes()) else {
                continue;
            };
            match admit(number) {
                Ok(()) => lanes.push((lane, is_wrong)),
                Err(Refusal::Silent) => {}
                Err(Refusal::Because(reason)) => {
                    let copy = lane.copy.name.clone();
                    self.problem(fetched.name, SyncProblemKind::HeldBack { copy, reason });
                }
            }
        }
        let write = |(lane, is_wrong): (&Lane, bool)| match is_wrong {
            true => self.replace(lane, fetched.name, &fetched.bytes),
            false => self.save(lane, fetched.name, &fetched.bytes),
        };
        if let Some((last, others)) = lanes.split_last() {
            std::thread::scope(|scope| {
                for lane in others {
                    scope.spawn(|| write(*lane));
                }
                write(*last);
            });
        }
        self.progress.add_files(1);
        self.progress.add_bytes(fetched.bytes.len() as u64);
    }

    fn save(&self, lane: &Lane, name: FileName, bytes: &Arc<Vec<u8>>) {
        let shared = Arc::clone(bytes) as SharedBytes;
        match lane.copy.store.save_shared(name, shared) {
            Ok(()) => lane.note_brought(name, bytes.len() as u64),
            // Something wrong lies there that was not there when it was listed.
            Err(Error::Exists { .. }) => self.replace(lane, name, bytes),
            Err(error) => lane.fail(&error),
        }
    }

    fn replace(&self, lane: &Lane, name: FileName, bytes: &Arc<Vec<u8>>) {
        if let Some(BeforeHeal(tell)) = &self.options.before_heal {
            tell(&lane.copy.name, name);
        }
        let shared = Arc::clone(bytes) as SharedBytes;
        match lane.copy.store.replace_shared(name, shared) {
            Ok(()) => lane.note_healed(name, bytes.len() as u64),
            Err(error @ Error::Denied { .. }) => {
                lane.state.lock().unsound.insert(name);
                let copy = lane.copy.name.clone();
                let broke_off = lane.state.lock().broke_off.contains(&name);
                let step = match broke_off {
                    true => format!("make it readable on {copy}"),
                    false => removal(&lane.copy, name),
                };
                let kind = SyncProblemKind::NotReplaced {
                    copy,
                    reason: chain(&error),
                    hint: format!("{step}, then: strongroom sync"),
                };
                self.problem(name, kind);
            }
            Err(error) => lane.fail(&error),
        }
    }
}
