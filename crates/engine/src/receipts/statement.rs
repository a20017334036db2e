//! What a receipt is made of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_model::receipt::{NeedsChange, Outcome, Version, Work};
use strongroom_model::{FileName, FileType, Id, Name, Needs, Receipt};
use strongroom_repo::key::{KeyFile, MAX_KEY_FILE_BYTES};

use crate::Result;
use crate::backup::report::{BackupReport, CopyOutcome, SourceReport};
use crate::session::Session;

/// What came of one snapshot.
#[derive(Debug, Clone)]
pub(super) struct Statement<'a> {
    pub(super) source: Name,
    pub(super) snapshot: Id,
    pub(super) tree: Id,
    pub(super) time: Timestamp,
    pub(super) report: &'a SourceReport,
    pub(super) host: &'a str,
    pub(super) copies: BTreeMap<Name, Outcome>,
    pub(super) keys: BTreeSet<Id>,
    /// The SHA-256 of `config`.
    pub(super) config: Id,
}

/// What is to be said of each snapshot of a backup.
pub(super) fn statements<'a>(
    session: &Session,
    report: &'a BackupReport,
    host: &'a str,
) -> Result<Vec<Statement<'a>>> {
    let mut copies = BTreeMap::new();
    for copy in &report.copies {
        copies.insert(copy.name.parse()?, outcome(&copy.outcome));
    }
    let keys = trusted_keys(session);
    let mut statements = Vec::new();
    for report in &report.sources {
        if let (Some(snapshot), Some(tree), Some(time)) =
            (report.snapshot, report.tree, report.time)
        {
            statements.push(Statement {
                source: report.name.parse()?,
                snapshot,
                tree,
                time,
                report,
                host,
                copies: copies.clone(),
                keys: keys.clone(),
                config: Id::of(session.repository.config_bytes()),
            });
        }
    }
    Ok(statements)
}

impl Statement<'_> {
    /// Everything that the snapshot needs.
    pub(super) fn needs(&self) -> Needs {
        let needs = &self.report.needs;
        Needs {
            packs: needs.packs.iter().map(|(id, _)| *id).collect(),
            index: needs.index_files.iter().copied().collect(),
            keys: self.keys.clone(),
            config: self.config,
        }
    }

    pub(super) fn receipt(&self, client: Id, parent: Option<Id>, needs: NeedsChange) -> Receipt {
        let stats = &self.report.stats;
        Receipt {
            version: Version,
            snapshot: self.snapshot,
            tree: self.tree,
            source: self.source.clone(),
            host: self.host.to_owned(),
            client,
            parent,
            time: self.time,
            needs,
            copies: self.copies.clone(),
            work: Work {
                files: stats.files_processed,
                bytes: stats.bytes_processed,
                bytes_read: stats.bytes_read,
                bytes_added: stats.data_added_packed_bytes,
                source_errors: self.report.errors.len() as u64,
            },
        }
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
