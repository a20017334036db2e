//! Writing records: to the state folder first, then to every copy that can be used.

use jiff::Timestamp;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::record::{Annulment, Record, Removal};
use strongroom_store::{Error as StoreError, Store};

use crate::removals::Stop;
use crate::removals::reading::settle;
use crate::removals::standing::Origin;
use crate::session::{CopyFailure, CopyFailureKind, CopyState, CopyStore, Session, chain};
use crate::state::{RepositoryState, Trust};
use crate::{Error, Result, holds};

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub record: Id,
    /// The copies that could be used and did not take it, by name, and why.
    pub not_on: Vec<(String, CopyFailure)>,
}

impl Published {
    /// Whether every copy that could be used and has a place for records has it.
    pub fn is_complete(&self) -> bool {
        is_told(&self.not_on)
    }
}

/// Whether those that did not take a record have no place for any: each other one has to be told of
/// it by a later run, and until then does not tell alone what was removed.
pub fn is_told(not_on: &[(String, CopyFailure)]) -> bool {
    let mut failures = not_on.iter().map(|(_, failure)| failure);
    failures.all(CopyFailure::is_for_want_of_place)
}

/// What to do where a copy takes no records.
const NO_PLACE_HINT: &str = "nothing: the state folder and the other copies have them";

/// Writes the record of a removal. From then on the session does not list what it names.
///
/// The state folder comes first: what is not noted there is removed nowhere. A copy that does not
/// take the record, as a server that knows restic's folders alone, does without.
///
/// # Errors
/// [`Error::HoldsUnreadable`]; [`Error::Held`]; where it names more files than a record may;
/// where the state folder cannot be written.
pub fn publish(
    session: &mut Session,
    state: &RepositoryState,
    removal: Removal,
) -> Result<Published> {
    let held = holds::load(session, state)?;
    holds::check_none(&removal.snapshots, &held)?;
    write(session, state, Record::Removal(removal))
}

/// Takes a removal back: its record does not count any more, so that a sync brings what it names
/// back from where it still lies. It is not accepted any more either.
///
/// # Errors
/// [`Error::NoRecord`] where no such record is known; where the state folder cannot be written.
pub fn annul(
    session: &mut Session,
    state: &RepositoryState,
    record: Id,
    at: Timestamp,
    host: &str,
) -> Result<Published> {
    if !session.removals.found.removals.contains_key(&record) {
        return Err(Error::NoRecord {
            wanted: record.short(),
        });
    }
    // What is accepted here stands, whoever takes it back.
    state.update_trust(|trust| {
        trust.removals.remove(&record);
    })?;
    let annulment = Annulment {
        at,
        host: host.to_owned(),
        record,
    };
    write(session, state, Record::Annulment(annulment))
}

/// Changes whose records, and which removals, count here as this machine's own; the session obeys it.
///
/// # Errors
/// Where the state folder cannot be written.
pub fn change_trust(
    session: &mut Session,
    state: &RepositoryState,
    change: impl FnOnce(&mut Trust),
) -> Result<()> {
    state.update_trust(change)?;
    let mut found = session.removals.found.clone();
    found.trust = state.trust();
    settle(session, found);
    Ok(())
}

/// Writes a record of any kind, and lets the session obey it.
pub(crate) fn write(
    session: &mut Session,
    state: &RepositoryState,
    record: Record,
) -> Result<Published> {
    let (id, bytes) = sealed(session, state, &record)?;
    state.keep_own_record(id, &bytes)?;
    let copies: Vec<CopyStore> = session.ready().map(|(copy, _)| copy.clone()).collect();
    let not_on = give(id, &bytes, &copies);
    let size_bytes = bytes.len() as u64;
    for copy in &mut session.copies {
        let is_there = !not_on.iter().any(|(name, _)| *name == copy.copy.name);
        if let CopyState::Ready(ready) = &mut copy.state
            && is_there
        {
            let entry = FileEntry { id, size_bytes };
            ready.listing.records.add([entry]);
        }
    }
    let mut found = session.removals.found.clone();
    found.trust = state.trust();
    found.add(id, record, Origin::OURS, None);
    match state.holds() {
        Ok(holds) => found.own_holds = holds,
        Err(error) => {
            found.stop.get_or_insert_with(|| Stop::unreadable(&error));
        }
    }
    settle(session, found);
    Ok(Published { record: id, not_on })
}

/// Seals a record, with the signature of this machine where its key can be had: other machines may
/// trust that.
fn sealed(session: &Session, state: &RepositoryState, record: &Record) -> Result<(Id, Vec<u8>)> {
    let key = session.repository.key();
    let sealed = match state.client_key() {
        Ok(client) => record.seal_signed(key, &client.public(), |message| client.sign(message)),
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(reason, "A record is not signed, and trusted nowhere else");
            record.seal(key)
        }
    };
    Ok(sealed?)
}

/// Gives a record to copies, all at once; returns those that did not take it, and why.
fn give(id: Id, bytes: &[u8], copies: &[CopyStore]) -> Vec<(String, CopyFailure)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = copies
            .iter()
            .map(|copy| (copy, scope.spawn(|| save(copy.store.as_ref(), id, bytes))))
            .collect();
        let ended = threads.into_iter().filter_map(|(copy, thread)| {
            let died = || CopyFailure::other("the thread that wrote to it died".to_owned());
            let failure = thread.join().unwrap_or_else(|_| Err(died())).err()?;
            Some((copy.name.clone(), failure))
        });
        ended.collect()
    })
}

/// Saves a record on a copy.
///
/// # Errors
/// A failure; of a place which has none for records it is [`CopyFailureKind::NoPlace`].
pub(super) fn save(
    store: &dyn Store,
    id: Id,
    bytes: &[u8],
) -> std::result::Result<(), CopyFailure> {
    let name = FileName::new(FileType::Records, id);
    store.save(name, bytes).map_err(|error| {
        let failure = CopyFailure::of_store(&error);
        match has_no_place(store, &error) {
            true => CopyFailure {
                reason: format!("it takes no records: {}", failure.reason),
                hint: Some(NO_PLACE_HINT.to_owned()),
                kind: CopyFailureKind::NoPlace,
            },
            false => failure,
        }
    })
}

/// Whether a place says that it has none for records: a server does that knows no such folder. One
/// that does not know us says nothing of its folders, and one that lists a record has a place.
fn has_no_place(store: &dyn Store, error: &StoreError) -> bool {
    let is_refusal = match error {
        StoreError::Denied { reason, .. } => !reason.starts_with("401"),
        StoreError::BadAnswer { .. } | StoreError::NotFound { .. } => true,
        // That of a vault which is older than records.
        StoreError::Vault { status, .. } => matches!(status, 400 | 404 | 405),
        _ => false,
    };
    let lists_any = || {
        let listed = store.list(FileType::Records);
        listed.is_ok_and(|listed| !listed.is_empty())
    };
    store.location().starts_with("rest:") && is_refusal && !lists_any()
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::{Fault, FaultyStore, MemoryStore, Op, Rule};

    use super::*;

    /// What comes of saving a record in a place that refuses to.
    fn refused(location: &str, has_one: bool) -> CopyFailure {
        let inner = MemoryStore::at(location);
        if has_one {
            let name = FileName::new(FileType::Records, Id::of(b"old"));
            inner.save(name, b"old").unwrap();
        }
        let store = FaultyStore::new(inner).with(Rule::on(&[Op::Save], Fault::Denied));
        save(&store, Id::of(b"new"), b"new").unwrap_err()
    }

    #[test]
    fn only_a_server_that_has_no_place_for_records_may_do_without() {
        let server = refused("rest:http://nas:8000/", false);
        assert_eq!(server.kind, CopyFailureKind::NoPlace);
        let folder = refused("/mnt/backup", false);
        let closed = refused("rest:http://nas:8000/", true);
        for failure in [&folder, &closed] {
            assert_eq!(failure.kind, CopyFailureKind::Other);
        }
        let named = |failure: &CopyFailure| ("copy".to_owned(), failure.clone());
        assert!(is_told(&[]));
        assert!(is_told(&[named(&server)]));
        assert!(!is_told(&[named(&server), named(&closed)]));
    }
}
