//! Carrying records to copies that lack them, so that each of them tells alone what was removed.

use strongroom_model::{FileName, FileType, Id};

use crate::removals::publish::save;
use crate::session::{CopyFailure, CopyStore, Session, chain};

/// Gives every copy that can be used the records that it lacks; the others do without until they are
/// there again. Returns the copies that did not take one, by name, and why; not those that have no
/// place for records at all.
///
/// Junk is never carried: what is carried has been opened in this run.
pub fn carry(session: &Session) -> Vec<(String, CopyFailure)> {
    let records: Vec<Id> = session.removals.all_records().collect();
    let mut failures = Vec::new();
    for (copy, ready) in session.ready() {
        let is_lacking = |id: &&Id| !ready.listing.records.contains(**id);
        for id in records.iter().filter(is_lacking) {
            let Some(bytes) = bytes_of(session, *id) else {
                continue;
            };
            if let Err(failure) = save(copy.store.as_ref(), *id, &bytes) {
                // Of a copy that has no place for them it was told when the record was written.
                tracing::info!(
                    copy = copy.name,
                    reason = failure.reason,
                    "A copy takes no record"
                );
                if !failure.is_for_want_of_place() {
                    failures.push((copy.name.clone(), failure));
                }
                break;
            }
        }
    }
    failures
}

/// The bytes of a record: as they are kept here, else from the first copy that has them right.
fn bytes_of(session: &Session, id: Id) -> Option<Vec<u8>> {
    let is_right = |bytes: &Vec<u8>| Id::of(bytes) == id;
    let kept = session.keeper.as_ref().and_then(|keeper| {
        let kept = keeper.state.kept_record(id);
        kept.ok().flatten().filter(is_right)
    });
    let name = FileName::new(FileType::Records, id);
    let read = |copy: &CopyStore| match copy.store.read(name) {
        Ok(bytes) => Some(bytes).filter(is_right),
        Err(error) => {
            tracing::debug!(
                copy = copy.name,
                reason = chain(&error),
                "A record is not given"
            );
            None
        }
    };
    kept.or_else(|| {
        let mut holders = session
            .ready()
            .filter(|(_, ready)| ready.listing.records.contains(id));
        holders.find_map(|(copy, _)| read(copy))
    })
}
