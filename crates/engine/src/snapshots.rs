//! The snapshots of a repository: which there are, and which one somebody means.
//!
//! A copy that lags lacks some, a copy that was damaged holds unreadable ones, and whoever can
//! upload can add junk under a right name. So the list is the union over all copies, each snapshot
//! is read from any copy that has it whole, and what no copy can show is named and passed over:
//! one bad file must not hide the good ones.

mod behind;
mod dump;
mod hidden;
mod walk;

use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Snapshot;

use crate::parallel::for_each;
use crate::session::{Cancel, CopyStore, Session, chain};
use crate::{Error, Result};

pub use behind::unread_behind;
pub(crate) use behind::{Behind, look_behind};
pub use dump::dump;
pub(crate) use hidden::{Hidden, read_hidden};
pub use walk::{Walk, find, walk};

/// All snapshots that some copy can show.
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    /// The oldest first.
    pub all: Vec<FoundSnapshot>,
    /// Files that are no snapshots of this repository, or cannot be read, for people to read.
    pub problems: Vec<String>,
}

/// A snapshot and where it was found.
#[derive(Debug, Clone)]
pub struct FoundSnapshot {
    /// Its id.
    pub id: Id,
    /// What it says.
    pub snapshot: Snapshot,
    /// The copies that list it, in the order of the configuration.
    pub copies: Vec<String>,
}

/// Which snapshots are wanted; empty means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Made by one of these hosts.
    pub hosts: Vec<String>,
    /// Of one of these sources.
    pub sources: Vec<String>,
    /// With one of these tags.
    pub tags: Vec<String>,
    /// Of one of these paths.
    pub paths: Vec<String>,
}

/// How many snapshots are read at a time.
const READERS: usize = 8;

impl Snapshots {
    /// Reads the snapshots of all copies of a session.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub fn load(session: &Session, cancel: &Cancel) -> Result<Self> {
        let mut holders: BTreeMap<Id, Vec<&CopyStore>> = BTreeMap::new();
        for (copy, ready) in session.ready() {
            for entry in ready.listing.snapshots.iter() {
                holders.entry(entry.id).or_default().push(copy);
            }
        }
        let holders: Vec<_> = holders.into_iter().collect();
        let found = Mutex::new(Self::default());
        for_each(&holders, READERS, |(id, copies)| {
            cancel.check()?;
            let read = read(session, *id, copies);
            let mut found = found.lock();
            match read {
                Ok(snapshot) => found.all.push(FoundSnapshot {
                    id: *id,
                    snapshot,
                    copies: copies.iter().map(|copy| copy.name.clone()).collect(),
                }),
                Err(problem) => found.problems.push(problem),
            }
            Ok(())
        })?;
        let mut found = found.into_inner();
        found.all.sort_by_key(|one| (one.snapshot.time, one.id));
        found.problems.sort();
        Ok(found)
    }

    /// Those that a filter lets through, the oldest first.
    pub fn matching<'a>(&'a self, filter: &Filter) -> impl Iterator<Item = &'a FoundSnapshot> {
        self.all
            .iter()
            .filter(move |one| filter.matches(&one.snapshot))
    }

    /// The newest of all, or of one source.
    pub fn latest(&self, source: Option<&str>) -> Option<&FoundSnapshot> {
        let of_source = |one: &&FoundSnapshot| source.is_none() || one.snapshot.source() == source;
        self.all.iter().rfind(of_source)
    }

    /// The snapshot that is meant by `latest`, `latest:SOURCE`, an id or its first digits.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::AmbiguousSnapshot`].
    pub fn resolve(&self, wanted: &str) -> Result<&FoundSnapshot> {
        let none = || Error::NoSnapshot {
            wanted: wanted.to_owned(),
        };
        if wanted == "latest" {
            return self.latest(None).ok_or_else(none);
        }
        if let Some(source) = wanted.strip_prefix("latest:") {
            return self.latest(Some(source)).ok_or_else(none);
        }
        let all = self.all.iter();
        let fits: Vec<_> = all.filter(|one| one.id.begins_with(wanted)).collect();
        match fits.as_slice() {
            [] => Err(none()),
            [one] => Ok(one),
            several => Err(Error::AmbiguousSnapshot {
                prefix: wanted.to_owned(),
                ids: several.iter().map(|one| one.id).collect(),
            }),
        }
    }
}

impl FoundSnapshot {
    /// When it was made, by the clock of the host that made it.
    pub fn time(&self) -> Timestamp {
        self.snapshot.time
    }
}

impl Filter {
    /// Whether a snapshot is wanted.
    pub fn matches(&self, snapshot: &Snapshot) -> bool {
        let any = |wanted: &[String], is: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|one| is(one))
        };
        any(&self.hosts, &|host| snapshot.hostname == host)
            && any(&self.sources, &|source| snapshot.source() == Some(source))
            && any(&self.tags, &|tag| {
                snapshot.tags.iter().any(|one| one == tag)
            })
            && any(&self.paths, &|path| {
                snapshot.paths.iter().any(|one| one == path)
            })
    }
}

/// Reads one snapshot from the first copy that has it whole, local ones first.
pub(crate) fn read(
    session: &Session,
    id: Id,
    copies: &[&CopyStore],
) -> std::result::Result<Snapshot, String> {
    let name = FileName::new(FileType::Snapshots, id);
    let mut order = copies.to_vec();
    order.sort_by_key(|copy| !copy.is_local);
    let mut problems = Vec::new();
    for copy in order {
        let bytes = match copy.store.read(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                problems.push(chain(&error));
                continue;
            }
        };
        if Id::of(&bytes) != id {
            problems.push(format!(
                "its content on {} does not have its name",
                copy.name
            ));
            continue;
        }
        // With the right name the bytes are the same everywhere: no other copy knows better.
        return Snapshot::open(session.repository.key(), bytes)
            .map_err(|reason| format!("{name} on {} cannot be used: {reason}", copy.name));
    }
    Err(format!("{name} cannot be used: {}", problems.join("; ")))
}

#[cfg(test)]
mod tests;
