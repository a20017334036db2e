//! What is known, when the scorecard is drawn, of who can destroy each copy.

use jiff::Timestamp;

use crate::address::StoreAddress;
use crate::blast::{Blast, Exposure, Production, Withstands};
use crate::config::Config;
use crate::id::Id;
use crate::plan::Plan;
use crate::scorecard::facts::Location;
use crate::scorecard::rows::{LockState, lock_state};
use crate::scorecard::subject::Subject;

/// Who destroys what, as far as the facts of the scorecard tell.
pub(super) fn blast(config: &Config, subjects: &[Subject<'_>], now: Timestamp) -> Blast {
    // Whoever asks a vault where it runs has compared it with production.
    let accounts = subjects
        .iter()
        .filter_map(|subject| subject.facts.in_production.clone());
    let production = Production {
        domain: config.production(),
        accounts: accounts.collect(),
    };
    let exposures: Vec<Exposure> = subjects
        .iter()
        .map(|subject| exposure(subject, subjects, &config.plan, now))
        .collect();
    Blast::of(&production, &exposures)
}

fn exposure(
    subject: &Subject<'_>,
    subjects: &[Subject<'_>],
    plan: &Plan,
    now: Timestamp,
) -> Exposure {
    let twins = subjects
        .iter()
        .filter(|other| subject.one_place(other).is_some());
    let is_here = is_local(subject) || twins.clone().any(is_local);
    let host = match &subject.facts.location {
        // What other copies have in common with this machine is told by `is_here`.
        Location::Server { host, .. } if !is_here && !host.is_empty() => Some(host.clone()),
        Location::Folder { .. } | Location::Server { .. } => None,
    };
    Exposure {
        copy: subject.name().clone(),
        domain: subject.copy.domain.clone(),
        is_here,
        one_place: twins.map(|twin| twin.name().clone()).collect(),
        credential: credential(&subject.copy.store),
        account: None,
        vault_runs_in: subject.facts.in_production.clone(),
        host,
        withstands: match lock_state(subject, plan, now) {
            LockState::Proven { .. } if binds_everyone(subject) => Withstands::Everyone,
            LockState::Proven { .. } => Withstands::Production,
            LockState::None
            | LockState::Unlocked { .. }
            | LockState::Claimed { .. }
            | LockState::Refuted { .. }
            | LockState::Stale { .. } => Withstands::NotShown,
        },
    }
}

/// Whether what was shown of it holds for whoever rules its place, too.
fn binds_everyone(subject: &Subject<'_>) -> bool {
    let drill = subject.facts.evidence.attack.as_ref();
    drill.is_some_and(|drill| drill.verdict.binds_everyone())
}

/// Whether its address leads to this machine.
fn is_local(subject: &Subject<'_>) -> bool {
    match &subject.facts.location {
        Location::Folder { .. } => true,
        Location::Server { here, .. } => *here == Some(true),
    }
}

fn credential(store: &StoreAddress) -> Option<Id> {
    match store {
        StoreAddress::Rest(address) => {
            let (user, password) = address.credentials()?;
            Some(Exposure::credential_of(user, password.expose()))
        }
        // The account of a bucket is in none of its address.
        StoreAddress::Local(_) | StoreAddress::S3(_) => None,
    }
}
