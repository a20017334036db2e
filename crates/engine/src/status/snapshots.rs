//! Which snapshots there are, of which source, host and time.
//!
//! Several hosts may write to the same copies, and two of them may have a source of one name. Only
//! this host's snapshots make its sources fresh; another's are told of and not counted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parking_lot::Mutex;
use strongroom_model::receipt::VerifiedReceipt;
use strongroom_model::{Config, FileName, FileType, Id, Name};
use strongroom_repo::Snapshot;

use crate::Result;
use crate::parallel::for_each;
use crate::receipts::Receipts;
use crate::session::{Environment, Session, chain};
use crate::status::look::{Look, Seen};
use crate::status::readers::{Readers, of_store};

/// A snapshot of a source of the configuration, made by this host.
#[derive(Debug, Clone)]
pub(super) struct KnownSnapshot {
    pub(super) id: Id,
    pub(super) source: Name,
    pub(super) host: String,
    pub(super) time: Timestamp,
    pub(super) source_errors: u64,
    pub(super) tree: Id,
    /// How many bytes its file has; `None` where only a receipt tells of it.
    pub(super) size_bytes: Option<u64>,
    /// Whether no other snapshot of its source is newer.
    pub(super) is_newest: bool,
}

/// All of them, the newest first.
#[derive(Debug, Default)]
pub(super) struct KnownSnapshots {
    snapshots: Vec<KnownSnapshot>,
    /// Files that are not what their names say, by copy.
    damaged: BTreeSet<(String, Id)>,
    /// What was met, for people to read.
    pub(super) problems: Vec<String>,
}

/// How many snapshots are read at a time.
const READERS: usize = 8;

impl KnownSnapshots {
    /// Reads all snapshots with the key; without it, takes what receipts tell.
    pub(super) fn find(
        config: &Config,
        looks: &[Look<'_>],
        session: Option<&Session>,
        receipts: Option<Receipts<'_>>,
        environment: &Environment,
    ) -> Result<Self> {
        let mut ids = BTreeSet::new();
        for look in looks {
            if let Seen::Ready(ready) = &look.seen {
                ids.extend(ready.listing.snapshots.iter().map(|entry| entry.id));
            }
        }
        let found = Mutex::new(Self::default());
        match (session, receipts) {
            (Some(session), _) => {
                let readers = Readers::of(looks);
                let ids: Vec<Id> = ids.into_iter().collect();
                for_each(&ids, READERS, |id| {
                    environment.cancel.check()?;
                    read(&readers, session, *id, &found);
                    Ok(())
                })?;
            }
            (None, Some(receipts)) => {
                let told = receipts.of(&ids);
                found.lock().snapshots = told.iter().map(of_receipt).collect();
            }
            (None, None) => {}
        }
        let mut found = found.into_inner();
        found.keep_own(config, &environment.hostname);
        found
            .snapshots
            .sort_by_key(|snapshot| (snapshot.time, snapshot.id));
        found.snapshots.reverse();
        let mut sources = BTreeSet::new();
        for snapshot in &mut found.snapshots {
            snapshot.is_newest = sources.insert(snapshot.source.clone());
        }
        Ok(found)
    }

    /// The snapshots of a source, the newest first.
    pub(super) fn of_source(&self, source: &Name) -> impl Iterator<Item = &KnownSnapshot> {
        let all = self.snapshots.iter();
        all.filter(move |snapshot| snapshot.source == *source)
    }

    /// Whether the file of a snapshot was found damaged on a copy.
    pub(super) fn is_damaged(&self, copy: &str, snapshot: Id) -> bool {
        self.damaged.contains(&(copy.to_owned(), snapshot))
    }

    fn keep_own(&mut self, config: &Config, host: &str) {
        let mut newest: BTreeMap<Name, Timestamp> = BTreeMap::new();
        let mut foreign: BTreeMap<(Name, String), Timestamp> = BTreeMap::new();
        for snapshot in std::mem::take(&mut self.snapshots) {
            if !config
                .sources
                .iter()
                .any(|source| source.name == snapshot.source)
            {
                continue;
            }
            let source = snapshot.source.clone();
            if snapshot.host == host {
                let time = newest.entry(source).or_insert(snapshot.time);
                *time = snapshot.time.max(*time);
                self.snapshots.push(snapshot);
            } else {
                let host = snapshot.host;
                let time = foreign.entry((source, host)).or_insert(snapshot.time);
                *time = snapshot.time.max(*time);
            }
        }
        for ((source, other), time) in foreign {
            if newest.get(&source).is_none_or(|own| *own < time) {
                self.problems.push(format!(
                    "The newest snapshot of {source} is host {other}'s, which does not count for \
                     {host}"
                ));
            }
        }
    }
}

fn read(readers: &Readers<'_>, session: &Session, id: Id, found: &Mutex<KnownSnapshots>) {
    let name = FileName::new(FileType::Snapshots, id);
    let snapshot = readers.read(
        name,
        |reader| {
            let bytes = reader.file(name)?;
            let size_bytes = bytes.len() as u64;
            Snapshot::open(session.repository.key(), bytes)
                .map(|snapshot| (snapshot, size_bytes))
                .map_err(|reason| reader.damaged(name, reason))
        },
        |reader, error| {
            let mut found = found.lock();
            if of_store(error).is_none() {
                found.damaged.insert((reader.name.to_owned(), id));
            }
            found.problems.push(chain(error));
        },
    );
    let Ok((snapshot, size_bytes)) = snapshot else {
        return;
    };
    if let Some(source) = snapshot.source().and_then(|source| source.parse().ok()) {
        found.lock().snapshots.push(KnownSnapshot {
            id,
            source,
            host: snapshot.hostname,
            time: snapshot.time,
            source_errors: snapshot.summary.map_or(0, |summary| summary.error_count),
            tree: snapshot.tree,
            size_bytes: Some(size_bytes),
            is_newest: false,
        });
    }
}

fn of_receipt(verified: &VerifiedReceipt) -> KnownSnapshot {
    let receipt = verified.receipt();
    KnownSnapshot {
        id: receipt.snapshot,
        source: receipt.source.clone(),
        host: receipt.host.clone(),
        time: receipt.time,
        source_errors: receipt.work.source_errors,
        tree: receipt.tree,
        size_bytes: None,
        is_newest: false,
    }
}
