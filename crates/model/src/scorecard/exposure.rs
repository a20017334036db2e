//! What is known, when the scorecard is drawn, of who can destroy each copy.

use jiff::Timestamp;

use crate::account::Account;
use crate::address::StoreAddress;
use crate::blast::{AMAZON, Blast, Exposure, Production, Withstands};
use crate::config::Config;
use crate::id::Id;
use crate::plan::Plan;
use crate::scorecard::facts::Location;
use crate::scorecard::rows::{LockState, lock_state};
use crate::scorecard::subject::Subject;

/// Who destroys what, as far as the facts of the scorecard tell.
pub(super) fn blast(config: &Config, subjects: &[Subject<'_>], now: Timestamp) -> Blast {
    // Whoever asks a vault where it runs, and its objects lie, has compared it with production.
    let compared = subjects.iter().flat_map(|subject| {
        let facts = &subject.facts;
        let compared = facts.in_production.iter();
        compared.chain(&facts.objects_in_production).cloned()
    });
    let production = Production {
        domain: config.production(),
        accounts: config.runs_in.iter().cloned().chain(compared).collect(),
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
    let provider = provider(&subject.copy.store);
    let host = match &subject.facts.location {
        // What other copies have in common with this machine is told by `is_here`.
        Location::Server { host, .. } if !is_here && !host.is_empty() && provider.is_none() => {
            Some(host.clone())
        }
        Location::Folder { .. } | Location::Server { .. } => None,
    };
    let facts = &subject.facts;
    let vault_runs_in = facts.runs_in.as_ref().or(facts.in_production.as_ref());
    let vault_runs_in = vault_runs_in.cloned();
    Exposure {
        copy: subject.name().clone(),
        domain: subject.copy.domain.clone(),
        is_here,
        one_place: twins.map(|twin| twin.name().clone()).collect(),
        credential: credential(subject),
        accounts: subject.facts.accounts.clone(),
        provider: provider.or_else(|| vault_runs_in.as_ref().and_then(provider_of)),
        vault_runs_in,
        objects_at: facts.objects_in.iter().find_map(provider_of),
        objects_in: facts.objects_in.clone(),
        host,
        key: subject.facts.key.clone(),
        key_domain: subject.copy.s3.key_domain.clone(),
        withstands: withstands(subject, plan, now),
    }
}

/// Whom a copy was shown to withstand, by a proof that is young enough.
///
/// What was tried is production's credential. A lock in COMPLIANCE, which alone is proven of a
/// bucket, holds against whoever rules the bucket too, and not against whoever has the server's
/// disks: only of a cloud provider is that nobody of the configuration. A vault's administrator was
/// not tried.
fn withstands(subject: &Subject<'_>, plan: &Plan, now: Timestamp) -> Withstands {
    match lock_state(subject, plan, now) {
        LockState::Proven { .. } if binds_everyone(subject) => Withstands::Everyone,
        LockState::Proven { .. } => Withstands::Production,
        LockState::None
        | LockState::Unlocked { .. }
        | LockState::Claimed { .. }
        | LockState::Refuted { .. }
        | LockState::Stale { .. } => Withstands::NotShown,
    }
}

/// Whether what was shown of it holds for whoever rules its place, too.
fn binds_everyone(subject: &Subject<'_>) -> bool {
    let drill = subject.facts.evidence.attack.as_ref();
    provider(&subject.copy.store).is_some()
        && drill.is_some_and(|drill| drill.verdict.binds_everyone())
}

/// Whether its address leads to this machine.
fn is_local(subject: &Subject<'_>) -> bool {
    match &subject.facts.location {
        Location::Folder { .. } => true,
        Location::Server { here, .. } => *here == Some(true),
    }
}

/// The cloud provider of an address, where that tells it: its hosts are everybody's.
fn provider(store: &StoreAddress) -> Option<String> {
    match store {
        StoreAddress::S3(address) if address.endpoint().is_none() => Some(AMAZON.to_owned()),
        StoreAddress::Local(_) | StoreAddress::Rest(_) | StoreAddress::S3(_) => None,
    }
}

/// The cloud provider of an account, where its name tells that, be it by its number or its owner.
fn provider_of(account: &Account) -> Option<String> {
    let provider = account.provider()?;
    let mut kinds = ["aws", "aws-owner"].into_iter();
    let is_amazon = kinds.any(|kind| provider.eq_ignore_ascii_case(kind));
    is_amazon.then(|| AMAZON.to_owned())
}

fn credential(subject: &Subject<'_>) -> Option<Id> {
    // The account of a bucket is in none of its address; where no one has asked the place yet, the
    // configuration may name it.
    let told = subject.facts.credential;
    let told = told.filter(|_| matches!(subject.copy.store, StoreAddress::S3(_)));
    told.or_else(|| subject.copy.credential())
}
