//! The first look at every copy, all at once.

use std::collections::BTreeSet;

use strongroom_model::scorecard::Location;
use strongroom_model::{BackupCopy, CopyEvidence, FileName, Id, StoreAddress};
use strongroom_store::{Holder, Store};

use crate::Listing;
use crate::session::{CopyFailure, CopyFailureKind, CopyState, CopyStore, Looking, Session};
use crate::state::RepositoryState;
use crate::status::{config_digest, place};

/// What was seen of one copy of the configuration.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) name: String,
    pub(super) store: Option<&'a CopyStore>,
    /// Where it really is.
    pub(super) location: Option<Location>,
    /// What the state folder remembers.
    pub(super) evidence: CopyEvidence,
    /// In whose hand it is, as far as the place tells.
    pub(super) holder: Holder,
    pub(super) seen: Seen,
}

/// What lies in a place.
#[derive(Debug)]
pub(super) enum Seen {
    /// A repository.
    Ready(ReadyLook),
    /// Nothing.
    Empty,
    /// It could not be found out, and why.
    Failed(String),
}

/// A copy that can be read.
#[derive(Debug)]
pub(super) struct ReadyLook {
    pub(super) listing: Listing,
    /// The SHA-256 of its `config`, as far as known; `None` where it is missing or wrong.
    pub(super) config: Option<Id>,
    /// The keys that its vault holds and does not list until an operator admits them.
    pub(super) pending_keys: BTreeSet<Id>,
}

/// Looks at all copies; each has a thread, for each may hang. In whose hand it is, it is asked at the
/// same time, so that one which hangs only then is waited for once.
pub(super) fn look_at_all<'a>(
    copies: &[(&'a BackupCopy, Option<&'a CopyStore>)],
    session: Option<&Session>,
    memory: Option<&RepositoryState>,
    looking: &Looking,
) -> Vec<Look<'a>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = copies
            .iter()
            .map(|(copy, store)| {
                let look = scope.spawn(|| look_at(copy, *store, session, memory, looking));
                (copy, store, look)
            })
            .collect();
        threads
            .into_iter()
            .map(|(copy, store, look)| {
                look.join().unwrap_or_else(|_| Look {
                    name: copy.name.to_string(),
                    store: *store,
                    location: None,
                    evidence: CopyEvidence::default(),
                    holder: Holder::default(),
                    seen: Seen::Failed("the thread that looked at it died".to_owned()),
                })
            })
            .collect()
    })
}

/// What a session has found, without anything beside it.
pub(super) fn look_at_session(session: &Session) -> Vec<Look<'_>> {
    let looks = session.copies.iter().map(|found| Look {
        name: found.copy.name.clone(),
        store: Some(&found.copy),
        location: None,
        evidence: CopyEvidence::default(),
        holder: Holder::default(),
        seen: seen_by(session, &found.copy),
    });
    looks.collect()
}

fn look_at<'a>(
    copy: &BackupCopy,
    store: Option<&'a CopyStore>,
    session: Option<&Session>,
    memory: Option<&RepositoryState>,
    looking: &Looking,
) -> Look<'a> {
    let evidence = store
        .zip(memory)
        .map(|(store, memory)| memory.evidence(store));
    let evidence = evidence.unwrap_or_default();
    let found = session
        .zip(store)
        .map(|(session, store)| seen_by(session, store));
    let may_be_there = !matches!(found, Some(Seen::Failed(_)));
    let holder = store.filter(|_| may_be_there).map(|store| {
        let asked = Looking::aside(store, |copy| copy.store.holder());
        (store, asked)
    });
    let mut seen = match (store, found) {
        (None, _) => Seen::Failed("its store cannot be used".to_owned()),
        (Some(_), Some(found)) => found,
        (Some(store), None) => looking
            .at(store, |copy| {
                seen_without_key(copy.store.as_ref()).map_err(|error| CopyFailure::of_store(&error))
            })
            .unwrap_or_else(|failure| Seen::Failed(failure.reason)),
    };
    let is_folder = matches!(copy.store, StoreAddress::Local(_));
    if matches!(seen, Seen::Empty) && is_folder && evidence.listing.is_some() {
        // A folder that lost its disk looks like this, and the disk may be in good health.
        let reason = "there is nothing in the folder; is its disk mounted?";
        seen = Seen::Failed(reason.to_owned());
    }
    let is_there = !matches!(seen, Seen::Failed(_));
    let holder = holder
        .filter(|_| is_there)
        .and_then(|(store, asked)| looking.answer(store, asked));
    Look {
        name: copy.name.to_string(),
        store,
        location: Some(place::location(&copy.store)),
        evidence,
        holder: holder.unwrap_or_default(),
        seen,
    }
}

/// What the session has found already.
fn seen_by(session: &Session, store: &CopyStore) -> Seen {
    let found = session
        .copies
        .iter()
        .find(|copy| copy.copy.name == store.name);
    match found.map(|copy| &copy.state) {
        Some(CopyState::Ready(ready)) => Seen::Ready(ReadyLook {
            listing: ready.listing.clone(),
            config: ready.config_is_right.then(|| config_digest(session)),
            pending_keys: BTreeSet::new(),
        }),
        Some(CopyState::Failed(failure)) if failure.kind == CopyFailureKind::NoRepository => {
            Seen::Empty
        }
        Some(CopyState::Failed(failure)) => Seen::Failed(failure.reason.clone()),
        None => Seen::Failed("it was not looked at".to_owned()),
    }
}

fn seen_without_key(store: &dyn Store) -> strongroom_store::Result<Seen> {
    let config = match store.read(FileName::CONFIG) {
        Ok(bytes) => Some(Id::of(&bytes)),
        Err(strongroom_store::Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let listing = Listing::read(store)?;
    if config.is_none() && listing.is_empty() {
        return Ok(Seen::Empty);
    }
    Ok(Seen::Ready(ReadyLook {
        listing,
        config,
        pending_keys: BTreeSet::new(),
    }))
}
