//! The end of a source: what its snapshot needs, and the snapshot itself.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::{getgid, getuid};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::index::PackNumber;
use strongroom_repo::snapshot::{SOURCE_TAG_PREFIX, Summary};
use strongroom_repo::{Repository, Snapshot};

use crate::Result;
use crate::backup::Saved;
use crate::backup::archive::Archived;
use crate::backup::packer::Written;
use crate::backup::report::{SnapshotNeeds, SourceReport};
use crate::fanout::{Fanout, Upload};
use crate::lead::Lead;
use crate::session::{Environment, ReadyCopy};

/// How many errors of a source a snapshot names; all are counted.
const MAX_ERRORS_IN_SNAPSHOT: usize = 100;

/// Writes the snapshots of a run.
pub(crate) struct SnapshotWriter<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) lead: &'a Lead,
    pub(crate) written: Written,
    pub(crate) environment: &'a Environment,
}

impl SnapshotWriter<'_> {
    /// Makes the snapshot of a source and sends it to every copy that has what it needs.
    ///
    /// # Errors
    /// Where all copies have failed.
    pub(crate) fn write(&self, saved: Saved<'_>, fanout: Option<&Fanout>) -> Result<SourceReport> {
        let mut report = SourceReport {
            name: saved.source.name.to_string(),
            parent: saved.parent.as_ref().map(|parent| parent.id),
            ..SourceReport::default()
        };
        let archived = match saved.outcome {
            Ok(ref archived) => archived,
            Err(reason) => {
                report.failure = Some(reason);
                return Ok(report);
            }
        };
        report.stats = archived.stats;
        report.errors.clone_from(&archived.errors.told);
        report.errors_not_told = archived.errors.not_told;
        report.needs = self.needs(archived);
        report.tree = Some(archived.root);
        let Some(fanout) = fanout else {
            return Ok(report);
        };
        let snapshot = self.snapshot(&saved, archived);
        let version = self.repository.config().version;
        let (id, bytes) = snapshot.seal(self.repository.key(), version)?;
        report.time = Some(snapshot.time);
        report.snapshot = Some(id);
        report.snapshot_file.clone_from(&bytes);
        let packs = report.needs.packs.iter();
        let packs = packs.map(|(pack, size)| (FileName::new(FileType::Data, *pack), *size));
        let index_files = report.needs.index_files.iter();
        let index_files = index_files.map(|file| (FileName::new(FileType::Index, *file), 0));
        fanout.push_barrier(Upload {
            name: FileName::new(FileType::Snapshots, id),
            bytes,
            permit: None,
            after: packs.chain(index_files).collect(),
        })?;
        Ok(report)
    }

    fn needs(&self, archived: &Archived) -> SnapshotNeeds {
        let numbers = archived.needs.clone().resolve(&self.lead.index);
        let new_sizes: BTreeMap<Id, u64> = self.written.packs.iter().copied().collect();
        let new_files: BTreeMap<PackNumber, Id> =
            self.written.indexed_packs.iter().copied().collect();
        let mut packs = BTreeMap::new();
        let mut index_files = BTreeSet::new();
        for number in numbers {
            let Some(id) = self.lead.index.pack_id(number) else {
                continue;
            };
            let listed = self.lead.listing.data.size_bytes(id);
            packs.insert(
                id,
                listed.or_else(|| new_sizes.get(&id).copied()).unwrap_or(0),
            );
            // A pack that was merged into another has that one's name, but not its number.
            let named = self.lead.index.pack_number(id).unwrap_or(number);
            let old_file = self.lead.index_file_of.get(&named);
            index_files.extend(old_file.or_else(|| new_files.get(&named)).copied());
        }
        SnapshotNeeds {
            packs: packs.into_iter().collect(),
            index_files: index_files.into_iter().collect(),
        }
    }

    fn snapshot(&self, saved: &Saved<'_>, archived: &Archived) -> Snapshot {
        let stats = archived.stats;
        let environment = self.environment;
        let errors = archived.errors.told.iter().take(MAX_ERRORS_IN_SNAPSHOT);
        Snapshot {
            time: saved.started,
            parent: saved.parent.as_ref().map(|parent| parent.id),
            tree: archived.root,
            paths: paths(saved),
            hostname: environment.hostname.clone(),
            username: environment.username.clone(),
            uid: getuid().as_raw(),
            gid: getgid().as_raw(),
            excludes: excludes(saved),
            tags: vec![format!("{SOURCE_TAG_PREFIX}{}", saved.source.name)],
            original: None,
            program_version: concat!("strongroom ", env!("CARGO_PKG_VERSION")).to_owned(),
            summary: Some(Summary {
                backup_start: saved.started,
                backup_end: (environment.clock)(),
                files_new: stats.files_new,
                files_changed: stats.files_changed,
                files_unmodified: stats.files_unmodified,
                dirs_new: stats.dirs_new,
                dirs_changed: stats.dirs_changed,
                dirs_unmodified: stats.dirs_unmodified,
                data_blobs: stats.data_blobs,
                tree_blobs: stats.tree_blobs,
                data_added: stats.data_added_bytes,
                data_added_packed: stats.data_added_packed_bytes,
                total_files_processed: stats.files_processed,
                total_bytes_processed: stats.bytes_processed,
                error_count: archived.errors.told.len() as u64 + archived.errors.not_told,
                errors: errors.map(ToString::to_string).collect(),
            }),
        }
    }
}

impl SourceReport {
    /// How many of the files that the snapshot needs, and of itself, a copy lacks.
    pub fn missing_in(&self, copy: &ReadyCopy) -> u64 {
        let Some(snapshot) = self.snapshot else {
            return 0;
        };
        let packs = self.needs.packs.iter();
        let packs = packs.map(|(id, size)| (FileName::new(FileType::Data, *id), Some(*size)));
        let index_files = self.needs.index_files.iter();
        let index_files = index_files.map(|id| (FileName::new(FileType::Index, *id), None));
        let snapshot = (FileName::new(FileType::Snapshots, snapshot), None);
        let files = packs.chain(index_files).chain([snapshot]);
        files
            .filter(|(name, size)| !copy.holds(*name, *size))
            .count() as u64
    }
}

fn paths(saved: &Saved<'_>) -> Vec<String> {
    use strongroom_model::config::SourceKind;
    match &saved.source.kind {
        SourceKind::Folder { paths, .. } => paths
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        SourceKind::Command { file_name, .. } => vec![format!("/{file_name}")],
    }
}

fn excludes(saved: &Saved<'_>) -> Vec<String> {
    use strongroom_model::config::SourceKind;
    match &saved.source.kind {
        SourceKind::Folder { exclude, .. } => exclude.clone(),
        SourceKind::Command { .. } => Vec::new(),
    }
}
