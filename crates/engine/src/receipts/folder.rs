//! The files of the receipts: `receipts/<snapshot>-<receipt>.json`, so that a listing alone tells
//! which receipt is of which snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strongroom_model::{Id, SignedReceipt};

use crate::session::chain;
use crate::state::RepositoryState;
use crate::state::disk::{self, Lock};
use crate::state::record::Head;
use crate::{Error, Result};

/// What lies in the folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The snapshot of each receipt.
    receipts: BTreeMap<Id, Id>,
}

impl Folder {
    pub(super) fn read(state: &RepositoryState) -> Result<Self> {
        let path = state.subfolder("receipts");
        let receipts = names(&path)?
            .iter()
            .filter_map(|name| {
                let (snapshot, receipt) = name.strip_suffix(".json")?.split_once('-')?;
                Some((receipt.parse().ok()?, snapshot.parse().ok()?))
            })
            .collect();
        Ok(Self { path, receipts })
    }

    /// The receipts of a snapshot: one, but for a run that was killed and began anew.
    pub(super) fn of_snapshot(&self, snapshot: Id) -> impl Iterator<Item = Id> {
        let all = self.receipts.iter();
        all.filter(move |(_, of)| **of == snapshot)
            .map(|(receipt, _)| *receipt)
    }

    /// The snapshot of a receipt, where it is there.
    pub(super) fn snapshot_of(&self, receipt: Id) -> Option<Id> {
        self.receipts.get(&receipt).copied()
    }

    /// All receipts, each with its snapshot.
    pub(super) fn receipts(&self) -> impl Iterator<Item = (Id, Id)> {
        let all = self.receipts.iter();
        all.map(|(receipt, snapshot)| (*receipt, *snapshot))
    }

    /// Reads a receipt, whoever signed it.
    pub(super) fn open(&self, receipt: Id) -> Option<SignedReceipt> {
        let snapshot = self.receipts.get(&receipt)?;
        let path = self.path_of(*snapshot, receipt);
        let signed = disk::read(&path).and_then(|bytes| match bytes {
            Some(bytes) => Ok(Some(SignedReceipt::from_json(&bytes)?)),
            None => Ok(None),
        });
        signed.unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), reason = chain(&error), "A receipt is damaged");
            None
        })
    }

    pub(super) fn write(&self, lock: &Lock, snapshot: Id, receipt: &SignedReceipt) -> Result<()> {
        let path = self.path_of(snapshot, receipt.id());
        disk::write(lock, &path, &receipt.to_json()?)
    }

    /// The last receipt of each source and host.
    pub(super) fn heads(&self, state: &RepositoryState) -> Result<BTreeSet<Id>> {
        let folder = state.subfolder("heads");
        let heads = names(&folder)?;
        let heads = heads
            .iter()
            .filter(|name| name.ends_with(".json"))
            .filter_map(|name| state.read_record(&folder.join(name)))
            .map(|Head { receipt }| receipt);
        Ok(heads.collect())
    }

    /// Removes every receipt that is not wanted and on which no wanted one builds.
    pub(super) fn remove_unless(
        &self,
        lock: &Lock,
        wanted: impl Fn(Id, Id) -> bool,
    ) -> Result<usize> {
        let mut kept = BTreeSet::new();
        for (receipt, snapshot) in &self.receipts {
            let mut next = wanted(*receipt, *snapshot).then_some(*receipt);
            while let Some(id) = next
                && kept.insert(id)
            {
                // Only where it leads matters here, not who says so.
                let opened = self
                    .open(id)
                    .and_then(|signed| signed.verify(|_, _, _| true).ok());
                next = opened.and_then(|opened| opened.receipt().parent);
            }
        }
        let mut removed = 0;
        for (receipt, snapshot) in &self.receipts {
            if !kept.contains(receipt) {
                disk::remove(lock, &self.path_of(*snapshot, *receipt))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path_of(&self, snapshot: Id, receipt: Id) -> PathBuf {
        self.path.join(format!("{snapshot}-{receipt}.json"))
    }
}

/// The names of the files in a folder, which need not exist.
fn names(folder: &Path) -> Result<Vec<String>> {
    let listed = std::fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
            .collect()
    });
    match listed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(Error::local(format!("list {}", folder.display()))),
    }
}
