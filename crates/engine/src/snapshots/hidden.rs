//! A snapshot that lies hidden on a place that keeps versions, read behind whatever hides it.
//!
//! Whoever may write makes any number of names and hides them, and of each any number of versions. So a
//! few versions are tried, whatever their number; and one that is read and does not decrypt is nobody's:
//! he who has not the key alarms nobody by it.
//!
//! **Security:** what was not tried may be the right one. The oldest version lies below all of his only
//! where he came later: he may have put junk under the name before a slow copy got the file, and what a
//! sync has healed is younger than the junk that it healed. So where there are more versions than are
//! tried, and none of these is right, nobody knows what it is.

use std::convert::Infallible;

use strongroom_model::FileName;
use strongroom_repo::Snapshot;
use strongroom_store::{Error as StoreError, Result, Versions, read_limit_bytes};

use crate::right_version::{self, Candidate, Candidates, Sought};
use crate::session::Session;

/// How many versions are tried, beside the oldest.
const MOST_VERSIONS: usize = 16;

/// What lies behind whatever hides a snapshot.
#[derive(Debug)]
pub(crate) enum Hidden {
    /// The snapshot.
    Snapshot(Box<Snapshot>),
    /// Nobody knows: what could be it may not be read, or is one of more versions than are tried.
    Unread,
    /// None: no version of it is right, or it does not decrypt.
    Nobodys,
}

/// Reads a snapshot behind whatever hides it.
///
/// # Errors
/// Where versions cannot be listed, the place cannot be reached, or the user interrupts.
pub(crate) fn read_hidden(
    session: &Session,
    versions: &dyn Versions,
    name: FileName,
) -> Result<Hidden> {
    let mut candidates = Candidates::default();
    versions.each_version_of(name, &mut |version| {
        if let Ok(Some(candidate)) = Candidate::of(&version, &Sought::default()) {
            candidates.offer(name.kind(), candidate, MOST_VERSIONS);
        }
        Ok(())
    })?;
    let mut none = match candidates.has_more() {
        true => Hidden::Unread,
        false => Hidden::Nobodys,
    };
    for candidate in candidates.in_order() {
        let mut stream = match versions.open_version(name, &candidate.version) {
            Ok(stream) => stream,
            Err(error @ (StoreError::Unreachable { .. } | StoreError::Cancelled { .. })) => {
                return Err(error);
            }
            // As one that another key encrypts.
            Err(_) => {
                none = Hidden::Unread;
                continue;
            }
        };
        let mut bytes = Vec::new();
        let read = right_version::hash_of(&mut *stream, read_limit_bytes(name.kind()), |step| {
            bytes.extend_from_slice(step);
            Ok::<(), Infallible>(())
        });
        match read {
            Ok((id, _)) if Some(id) == name.id() => {
                let opened = Snapshot::open(session.repository.key(), bytes);
                return Ok(match opened {
                    Ok(snapshot) => Hidden::Snapshot(Box::new(snapshot)),
                    Err(_) => Hidden::Nobodys,
                });
            }
            Ok(_) => {}
            Err(_) => none = Hidden::Unread,
        }
    }
    Ok(none)
}
