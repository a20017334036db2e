//! Anything new on a copy that nobody but us may write to.
//!
//! Locks are files, and whoever does not heed them, or takes ours for dead, can write a snapshot
//! that needs what is about to go. So index files and snapshots are listed anew after repacking,
//! and once more right before anything is removed; what was not there in the listing that all was
//! decided upon, and is not our own, ends the prune; and where what goes is on record by then, the
//! record is annulled, for whoever comes next would finish it.

use strongroom_model::{FileEntry, FileName, FileType};

use crate::parallel::both;
use crate::session::{CopyFailure, CopyStore, Session};
use crate::{Error, Result};

/// Lists index files and snapshots of every copy anew, all at once. A copy that does not tell is
/// marked as failed: nothing is removed there.
///
/// # Errors
/// [`Error::WrittenMeanwhile`]; where no copy is left, and where the user interrupts.
pub(super) fn look(session: &mut Session) -> Result<()> {
    let copies: Vec<CopyStore> = session.ready().map(|(copy, _)| copy.clone()).collect();
    let listed = session.looking.at_each(&copies, list);
    session.looking.cancel.check()?;
    for (copy, listed) in copies.iter().zip(listed) {
        match listed {
            Err(failure) => session.fail(&copy.name, failure),
            Ok(names) => {
                let newcomer = names.into_iter().find(|name| !is_known(session, *name));
                if let Some(file) = newcomer {
                    let copy = copy.name.clone();
                    return Err(Error::WrittenMeanwhile {
                        copy,
                        file,
                        record: None,
                        annulled: Vec::new(),
                    });
                }
            }
        }
    }
    match session.ready().next() {
        Some(_) => Ok(()),
        None => Err(session.no_copy()),
    }
}

/// Whether a file was listed on any copy, or written there by us, or is named by a record.
fn is_known(session: &Session, name: FileName) -> bool {
    let mut ready = session.ready();
    ready.any(|(_, ready)| ready.listing.holds(name)) || session.removals.names(name)
}

fn list(copy: &CopyStore) -> std::result::Result<Vec<FileName>, CopyFailure> {
    let of_kind = |kind: FileType| -> std::result::Result<Vec<FileName>, CopyFailure> {
        let entries = copy.store.list(kind);
        let entries = entries.map_err(|error| CopyFailure::of_store(&error))?;
        let name = |entry: FileEntry| FileName::new(kind, entry.id);
        Ok(entries.into_iter().map(name).collect())
    };
    let (index, snapshots) = match copy.is_behind_server() {
        true => both(|| of_kind(FileType::Index), || of_kind(FileType::Snapshots)),
        false => (of_kind(FileType::Index), of_kind(FileType::Snapshots)),
    };
    let mut names = index?;
    names.extend(snapshots?);
    Ok(names)
}
