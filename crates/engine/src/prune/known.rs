//! What this machine knows of snapshots and index files that no copy shows now: their packs look
//! like waste.
//!
//! A copy that is away may hold a snapshot that never came to the others, whose packs they have
//! nevertheless; and whoever removes all snapshots everywhere would have the next prune finish his
//! work. Whoever hides index files alone would have it remove the packs that these name, as garbage.
//! So nothing is pruned while a snapshot or an index file is missed. What a removal record names, or
//! a person has said was removed on purpose, is not.

use std::collections::BTreeMap;

use strongroom_model::{FileName, FileType};

use crate::known::{Lost, Records};
use crate::receipts::Receipts;
use crate::session::{Cancel, CopyState, CopyStore, Session};
use crate::state::RepositoryState;
use crate::sync::diverged;
use crate::{Error, Result};

/// Fails where a snapshot or an index file is missed, and where somebody seems to have pruned one
/// copy by itself.
///
/// # Errors
/// [`Error::NotPruned`]; [`Error::Interrupted`].
pub(super) fn check(
    session: &Session,
    state: &RepositoryState,
    receipts: Option<Receipts<'_>>,
    cancel: &Cancel,
) -> Result<()> {
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
    let missed = missed(session, state, receipts);
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::NotPruned {
        reasons: vec![missed.to_string()],
        hint: missed.hint(),
    })
}

/// The snapshots and index files that were there once and that no copy shows now.
fn missed(session: &Session, state: &RepositoryState, receipts: Option<Receipts<'_>>) -> Lost {
    let copies: Vec<CopyStore> = session
        .copies
        .iter()
        .map(|copy| copy.copy.clone())
        .collect();
    let listings: Vec<_> = session.ready().map(|(_, ready)| &ready.listing).collect();
    let accepted = state.gone().accepted;
    // Of a copy that is away all counts that it alone was ever seen to hold.
    let seen_away = away(session).flat_map(|copy| {
        let seen = state.seen(copy).without(&accepted);
        let named = |kind| move |id| FileName::new(kind, id);
        let snapshots = seen.snapshots.into_iter().map(named(FileType::Snapshots));
        snapshots.chain(seen.index.into_iter().map(named(FileType::Index)))
    });
    let unlisted = Records::new(state, receipts, &copies).unlisted_files(&listings);
    let unlisted = unlisted
        .into_iter()
        .filter(|name| matches!(name.kind(), FileType::Snapshots | FileType::Index));
    let is_missed = |name: &FileName| {
        let is_listed = listings.iter().any(|listing| listing.holds(*name));
        !is_listed && !session.removals.names(*name)
    };
    Lost {
        files: seen_away.chain(unlisted).filter(is_missed).collect(),
        away: away(session).map(|copy| copy.name.clone()).collect(),
    }
}

fn away(session: &Session) -> impl Iterator<Item = &CopyStore> {
    session.copies.iter().filter_map(|copy| match copy.state {
        CopyState::Failed(_) => Some(&copy.copy),
        CopyState::Ready(_) => None,
    })
}
