//! A drill as it is kept: signed, and as evidence of each copy.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use strongroom_model::Id;
use strongroom_model::attack::{AttackDrill, DrilledCopy, SignedDrill, Statement};
use strongroom_model::receipt::Version;

use crate::Result;
use crate::drill::attack::CopyDrill;
use crate::receipts::ClientKey;
use crate::session::CopyStore;
use crate::state::RepositoryState;

/// By how much another drill may have begun later and be kept first.
const LATER: SignedDuration = SignedDuration::from_hours(24);

/// A drill that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The SHA-256 of what was signed.
    pub receipt: Id,
    /// Where it lies.
    pub folder: PathBuf,
}

/// Signs what came of a drill that began at `at`, keeps it, and remembers of each copy what is
/// certain; returns nothing where no copy could be attacked.
///
/// Where a copy could not be asked, or not all of it could be found out, what was shown of it
/// before stays, and grows old.
///
/// # Errors
/// Where the state folder cannot be written; the answers are none the worse.
pub fn keep(
    state: &RepositoryState,
    client: &ClientKey,
    host: &str,
    at: Timestamp,
    copies: &[&CopyStore],
    drills: &[CopyDrill],
) -> Result<Option<Kept>> {
    let drilled = drills.iter().filter_map(|drill| {
        let done = drill.outcome.as_ref().ok()?;
        Some((drill, done))
    });
    let drilled: Vec<_> = drilled.collect();
    if drilled.is_empty() {
        return Ok(None);
    }
    let statement = Statement {
        version: Version,
        client: client.id(),
        host: host.to_owned(),
        at,
        copies: drilled
            .iter()
            .map(|(drill, done)| DrilledCopy {
                copy: drill.name.clone(),
                store: drill.store.clone(),
                place: done.place,
                principal: done.principal.clone(),
                verdict: done.judged.verdict,
                reason: done.judged.reason.clone(),
                certain: done.judged.is_certain,
                tried: done.tried.clone(),
            })
            .collect(),
    };
    let signed = SignedDrill::new(&statement, |message| client.sign(message))?;
    state.keep_drill(at, &signed)?;
    let receipt = signed.id();
    for (drill, done) in drilled {
        let copy = copies.iter().find(|copy| copy.name == drill.name);
        let Some(copy) = copy.filter(|_| done.judged.is_certain) else {
            continue;
        };
        let verdict = done.judged.verdict;
        let principal = done.principal.clone();
        let credential = done.credential;
        state.update_evidence(copy, |evidence| {
            // Where nothing tells which place it was, it proves nothing of the one that is known.
            if evidence.lacks_place(done.identity) {
                return;
            }
            evidence.move_to(done.identity);
            // Another process may have been here with a later one; what lies further ahead comes of a
            // clock that was wrong, and would stand until it is right.
            let gives_way =
                |drill: &AttackDrill| drill.at <= at || drill.at.duration_since(at) > LATER;
            if evidence.attack.as_ref().is_none_or(gives_way) {
                evidence.attack = Some(AttackDrill {
                    at,
                    verdict,
                    principal,
                    credential,
                    receipt: Some(receipt),
                });
            }
        })?;
    }
    Ok(Some(Kept {
        receipt,
        folder: state.subfolder("drills"),
    }))
}
