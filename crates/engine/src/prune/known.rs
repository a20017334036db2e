//! What this machine knows of snapshots and index files that no copy shows now: their packs look
//! like waste.
//!
//! A copy that is away may hold a snapshot that never came to the others, whose packs they have
//! nevertheless; and whoever removes all snapshots everywhere would have the next prune finish his
//! work. Whoever hides index files alone would have it remove the packs that these name, as garbage.
//! So nothing is pruned while a snapshot or an index file is missed. What a removal record names, or
//! a person has said was removed on purpose, is not.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileName, FileType};

use crate::known::Records;
use crate::session::{Cancel, CopyState, CopyStore, Session};
use crate::state::RepositoryState;
use crate::sync::diverged;
use crate::{Error, Result};

/// How many files are named.
const NAMED: usize = 5;

/// Fails where a snapshot or an index file is missed, and where somebody seems to have pruned one
/// copy by itself.
///
/// # Errors
/// [`Error::NotPruned`]; [`Error::Interrupted`].
pub(super) fn check(session: &Session, state: &RepositoryState, cancel: &Cancel) -> Result<()> {
    let accepted = state.gone().accepted;
    let seen = session.ready().map(|(copy, _)| {
        let seen = state.seen(copy).without(&accepted);
        (copy.name.clone(), seen)
    });
    let seen: BTreeMap<_, _> = seen.collect();
    let pruned = diverged(session, seen, cancel);
    cancel.check()?;
    if let Some(first) = pruned.first() {
        return Err(Error::NotPruned {
            reasons: pruned.iter().map(ToString::to_string).collect(),
            hint: first.hint(),
        });
    }
    match missed(session, state) {
        missed if missed.is_empty() => Ok(()),
        missed => Err(not_shown(session, &missed)),
    }
}

/// The snapshots and index files that were there once and that no copy shows now.
fn missed(session: &Session, state: &RepositoryState) -> BTreeSet<FileName> {
    let copies: Vec<CopyStore> = session
        .copies
        .iter()
        .map(|copy| copy.copy.clone())
        .collect();
    let listings: Vec<_> = session.ready().map(|(_, ready)| &ready.listing).collect();
    let accepted = state.gone().accepted;
    // Of a copy that is away all counts that it alone was ever seen to hold.
    let away = away(session).flat_map(|copy| {
        let seen = state.seen(copy).without(&accepted);
        let named = |kind| move |id| FileName::new(kind, id);
        let snapshots = seen.snapshots.into_iter().map(named(FileType::Snapshots));
        snapshots.chain(seen.index.into_iter().map(named(FileType::Index)))
    });
    let unlisted = Records::new(state, None, &copies).unlisted_files(&listings);
    let unlisted = unlisted
        .into_iter()
        .filter(|name| matches!(name.kind(), FileType::Snapshots | FileType::Index));
    let mut missed: BTreeSet<FileName> = away.chain(unlisted).collect();
    missed.retain(|name| {
        let is_listed = listings.iter().any(|listing| listing.holds(*name));
        !is_listed && !session.removals.names(*name)
    });
    missed
}

fn away(session: &Session) -> impl Iterator<Item = &CopyStore> {
    session.copies.iter().filter_map(|copy| match copy.state {
        CopyState::Failed(_) => Some(&copy.copy),
        CopyState::Ready(_) => None,
    })
}

fn not_shown(session: &Session, missed: &BTreeSet<FileName>) -> Error {
    let mut named: Vec<String> = missed
        .iter()
        .take(NAMED)
        .map(|name| match (name.kind(), name.id()) {
            (FileType::Snapshots, Some(id)) => {
                format!("snapshot {} is on no copy that can be read", id.short())
            }
            _ => format!("{name} is on no copy that can be read"),
        })
        .collect();
    let more = missed.len().saturating_sub(named.len());
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let away: Vec<&str> = away(session).map(|copy| copy.name.as_str()).collect();
    let back = match away.as_slice() {
        [] => "find out who removed it".to_owned(),
        away => format!("bring back {}, then: strongroom sync", away.join(", ")),
    };
    Error::NotPruned {
        reasons: named,
        hint: format!("{back}. If it was meant: strongroom sync --accept-removed"),
    }
}
