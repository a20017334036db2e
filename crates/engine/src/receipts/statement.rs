//! What a receipt is made of.

use std::collections::BTreeSet;

use strongroom_model::receipt::{NeedsChange, Outcome, Version, Work};
use strongroom_model::{FileName, FileType, Id, Name, Needs, Receipt};
use strongroom_repo::Snapshot;
use strongroom_repo::key::{KeyFile, MAX_KEY_FILE_BYTES};

use crate::Result;
use crate::backup::report::{CopyOutcome, CopyReport, SourceReport};
use crate::session::Session;

/// What came of one snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The id of the snapshot's file.
    pub id: Id,
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// What the backup tells of its source.
    pub source: &'a SourceReport,
    /// What came of each copy.
    pub copies: &'a [CopyReport],
    /// The key files, as [`trusted_keys`] finds them.
    pub keys: &'a BTreeSet<Id>,
    /// The SHA-256 of `config`.
    pub config: Id,
}

impl Statement<'_> {
    pub(super) fn needs(&self) -> Needs {
        let needs = &self.source.needs;
        Needs {
            packs: needs.packs.iter().map(|(id, _)| *id).collect(),
            index: needs.index_files.iter().copied().collect(),
            keys: self.keys.clone(),
            config: self.config,
        }
    }

    pub(super) fn receipt(
        &self,
        source: Name,
        client: Id,
        parent: Option<Id>,
        needs: NeedsChange,
    ) -> Result<Receipt> {
        let mut copies = std::collections::BTreeMap::new();
        for copy in self.copies {
            copies.insert(copy.name.parse()?, outcome(&copy.outcome));
        }
        let stats = &self.source.stats;
        Ok(Receipt {
            version: Version,
            snapshot: self.id,
            tree: self.snapshot.tree,
            source,
            host: self.snapshot.hostname.clone(),
            client,
            parent,
            time: self.snapshot.time,
            needs,
            copies,
            work: Work {
                files: stats.files_processed,
                bytes: stats.bytes_processed,
                bytes_read: stats.bytes_read,
                bytes_added: stats.data_added_packed_bytes,
                source_errors: self.source.errors.len() as u64,
            },
        })
    }
}

/// The key files that a receipt may name: the one that opened the repository, and those that every
/// usable copy holds and that decode.
///
/// **Security:** a file that a receipt names is brought to every copy, so a key that somebody put
/// on one copy must not get into one.
pub fn trusted_keys(session: &Session) -> BTreeSet<Id> {
    let opened = session.repository.key_id();
    let mut ready: Vec<_> = session.ready().collect();
    ready.sort_by_key(|(copy, _)| !copy.is_local);
    let mut keys = BTreeSet::from([opened]);
    let Some((copy, first)) = ready.first() else {
        return keys;
    };
    keys.extend(
        first
            .listing
            .keys
            .iter()
            .filter(|entry| entry.id != opened && entry.size_bytes <= MAX_KEY_FILE_BYTES)
            .map(|entry| entry.id)
            .filter(|id| {
                ready
                    .iter()
                    .all(|(_, ready)| ready.listing.keys.contains(*id))
            })
            .filter(|id| {
                let bytes = copy.store.read(FileName::new(FileType::Keys, *id));
                bytes.is_ok_and(|bytes| Id::of(&bytes) == *id && KeyFile::parse(&bytes).is_ok())
            }),
    );
    keys
}

fn outcome(outcome: &CopyOutcome) -> Outcome {
    match outcome {
        CopyOutcome::Whole => Outcome::Whole,
        CopyOutcome::Behind { files } => Outcome::Behind { files: *files },
        CopyOutcome::Failed(failure) => Outcome::Failed {
            reason: failure.reason.clone(),
        },
    }
}
