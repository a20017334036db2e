//! Opening by what lies hidden on copies that keep versions, where nothing in sight opens.
//!
//! Whoever has production's credentials hides every key of every copy, or overwrites it, and `config`
//! too: a request each. Then nothing opens, and whoever reads or writes is told how it comes back. But
//! all locks would run out meanwhile; so whoever extends them, and nobody else, opens by what he has
//! hidden.
//!
//! The same with whoever puts a repository of his own in their stead, where the state folder knows better
//! ([`Session::predecessors`](crate::Session::predecessors)): what is extended is the one that he has hidden.
//!
//! **Security:** as of what is in sight, no other key is tried before every copy was asked for the one
//! that is known to have opened ours. Of others the oldest counts, and copies that lock their files
//! come first: there nobody puts his own into the stead of what was there before.

use strongroom_model::Id;
use strongroom_repo::Repository;

use crate::recover::open_hidden;
use crate::session::{CopyFailure, CopyStore, Looking, Password, chain};

/// The repository of the first copy that opens so, and the name of that copy.
pub(super) fn open_first_hidden(
    copies: &[CopyStore],
    password: &[u8],
    known_key: Option<Id>,
    looking: &Looking,
) -> Option<(Repository, String)> {
    let mut order = in_order(copies);
    let known = known_key.and_then(|key_id| open_in(&mut order, password, Some(key_id), looking));
    known.or_else(|| open_in(&mut order, password, None, looking))
}

/// The repository of the first copy that opens so by this key, and the name of that copy.
pub(super) fn open_hidden_by(
    copies: &[CopyStore],
    password: &[u8],
    key_id: Id,
    looking: &Looking,
) -> Option<(Repository, String)> {
    open_in(&mut in_order(copies), password, Some(key_id), looking)
}

/// The copies that keep versions, first those that lock their files.
fn in_order(copies: &[CopyStore]) -> Vec<&CopyStore> {
    let copies = copies.iter();
    let mut order: Vec<_> = copies
        .filter(|copy| copy.store.versions().is_some())
        .collect();
    order.sort_by_key(|copy| copy.store.locks().is_none());
    order
}

/// Opens by one key, or by the oldest that the password opens. What stays in `order` has answered.
fn open_in(
    order: &mut Vec<&CopyStore>,
    password: &[u8],
    key_id: Option<Id>,
    looking: &Looking,
) -> Option<(Repository, String)> {
    for copy in std::mem::take(order) {
        match open_one(copy, password, key_id, looking) {
            Ok(Some(repository)) => return Some((repository, copy.name.clone())),
            Ok(None) => order.push(copy),
            // None that is away, or shows no versions, is waited for twice.
            Err(CopyFailure { reason, .. }) => {
                let copy = copy.name.as_str();
                tracing::info!(copy, reason, "It is not known what lies hidden there");
            }
        }
    }
    None
}

/// Opens what lies on a copy by one key, or by the oldest that the password opens.
fn open_one(
    copy: &CopyStore,
    password: &[u8],
    key_id: Option<Id>,
    looking: &Looking,
) -> Result<Option<Repository>, CopyFailure> {
    let password = Password::new(password.to_vec());
    let cancel = looking.cancel.clone();
    looking.asking(copy, "show what lies hidden there", move |copy| {
        let opened = open_hidden(copy, &password, key_id, &cancel);
        opened.map_err(|error| CopyFailure::other(chain(&error)))
    })
}
