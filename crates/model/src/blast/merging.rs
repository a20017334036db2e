//! Which domains are in truth one, whatever they are called.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::Account;
use crate::blast::{Alias, Domain, Exposure, Production};
use crate::name::Name;

/// Under which name each domain counts, and why.
pub(super) struct Merging {
    /// All names, production first, then as the configuration has them.
    order: Vec<Name>,
    /// For each name the one under which it counts.
    counts_as: BTreeMap<Name, Name>,
    /// Why a name does not count under itself.
    reasons: BTreeMap<Name, String>,
}

impl Merging {
    /// Compares production and all copies with each other.
    pub(super) fn of(production: &Production, exposures: &[Exposure]) -> Self {
        let mut order = vec![production.domain.clone()];
        for exposure in exposures {
            for domain in [&exposure.domain].into_iter().chain(&exposure.key_domain) {
                if !order.contains(domain) {
                    order.push(domain.clone());
                }
            }
        }
        let counts_as = order.iter().map(|name| (name.clone(), name.clone()));
        let mut merging = Self {
            counts_as: counts_as.collect(),
            order,
            reasons: BTreeMap::new(),
        };
        for (number, one) in (1..).zip(exposures) {
            if let Some(reason) = in_production(production, one) {
                merging.join(&production.domain, &one.domain, reason);
            }
            for other in exposures.iter().skip(number) {
                if let Some(reason) = shared(one, other) {
                    merging.join(&one.domain, &other.domain, reason);
                }
            }
        }
        merging
    }

    /// The name under which a domain counts.
    pub(super) fn name(&self, domain: &Name) -> Name {
        let name = self.counts_as.get(domain);
        name.unwrap_or(domain).clone()
    }

    /// All that are really different.
    pub(super) fn into_domains(self) -> Vec<Domain> {
        let own = self.order.iter().filter(|name| self.name(name) == **name);
        let domains = own.map(|name| {
            let others = self.order.iter().filter(|other| self.name(other) == *name);
            let also = others.filter_map(|other| {
                let reason = self.reasons.get(other)?.clone();
                let name = other.clone();
                Some(Alias { name, reason })
            });
            Domain {
                name: name.clone(),
                also: also.collect(),
            }
        });
        domains.collect()
    }

    /// Lets two domains count as one: under the name that comes first.
    fn join(&mut self, one: &Name, other: &Name, reason: String) {
        let (one, other) = (self.name(one), self.name(other));
        if one == other {
            return;
        }
        let first = self.order.iter().find(|name| [&one, &other].contains(name));
        let (into, from) = match first == Some(&other) {
            true => (other, one),
            false => (one, other),
        };
        for name in self.counts_as.values_mut() {
            if *name == from {
                name.clone_from(&into);
            }
        }
        self.reasons.insert(from, reason);
    }
}

/// The accounts in which a copy can be destroyed, but for those in which a vault has its objects.
fn accounts(exposure: &Exposure) -> impl Iterator<Item = &Account> {
    exposure.accounts.iter().chain(&exposure.vault_runs_in)
}

/// Why a copy is production's, where it is.
fn in_production(production: &Production, exposure: &Exposure) -> Option<String> {
    let is_own = |account: &&Account| production.accounts.iter().any(|own| own.may_be(account));
    let copy = &exposure.copy;
    if let Some(account) = accounts(exposure).find(is_own) {
        return Some(format!("{copy} is in production's own account, {account}"));
    }
    let account = exposure.objects_in.iter().find(is_own)?;
    Some(format!(
        "the objects of {copy} lie in production's own account, {account}"
    ))
}

/// Why two copies are in one hand, where they are.
fn shared(one: &Exposure, other: &Exposure) -> Option<String> {
    let (a, b) = (&one.copy, &other.copy);
    if one.one_place.contains(b) || other.one_place.contains(a) {
        return Some(format!("{a} and {b} are one place under two addresses"));
    }
    if one.credential.is_some() && one.credential == other.credential {
        return Some(format!("one credential opens {a} and {b}"));
    }
    let is_theirs = |account: &&Account| accounts(other).any(|theirs| theirs.may_be(account));
    if let Some(account) = accounts(one).find(is_theirs) {
        return Some(format!("{a} and {b} are in one account, {account}"));
    }
    if let Some(reason) = objects_with(one, other).or_else(|| objects_with(other, one)) {
        return Some(reason);
    }
    if let Some(provider) = &one.provider
        && other.provider.as_ref() == Some(provider)
        && !are_apart(accounts(one), accounts(other))
    {
        return Some(format!(
            "{a} and {b} are both at {provider}, and nothing shows that their accounts are two"
        ));
    }
    let (host, theirs) = (one.host.as_deref()?, other.host.as_deref()?);
    host.eq_ignore_ascii_case(theirs)
        .then(|| format!("{a} and {b} are on one host, {host}"))
}

/// Why the objects of a vault are in the hand of another copy, where they are: they end with the
/// account that they lie in, wherever their vault runs.
fn objects_with(one: &Exposure, other: &Exposure) -> Option<String> {
    let (a, b) = (&one.copy, &other.copy);
    let is_theirs = |account: &&Account| {
        let mut theirs = accounts(other).chain(&other.objects_in);
        theirs.any(|theirs| theirs.may_be(account))
    };
    if let Some(account) = one.objects_in.iter().find(is_theirs) {
        return Some(format!(
            "the objects of {a} lie in the account of {b}, {account}"
        ));
    }
    let provider = one.objects_at.as_ref()?;
    let ours = &one.objects_in;
    let is_beside = other.provider.as_ref() == Some(provider) && !are_apart(ours, accounts(other));
    let are_beside =
        other.objects_at.as_ref() == Some(provider) && !are_apart(ours, &other.objects_in);
    (is_beside || are_beside).then(|| {
        format!(
            "the objects of {a} lie at {provider}, as {b} does, and nothing shows that their \
             accounts are two"
        )
    })
}

/// Whether names of one kind are known of both, so that they would show it if they were one.
fn are_apart<'a>(
    one: impl IntoIterator<Item = &'a Account>,
    other: impl IntoIterator<Item = &'a Account>,
) -> bool {
    !kinds(one).is_disjoint(&kinds(other))
}

/// The kinds of names among these.
fn kinds<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> BTreeSet<String> {
    let kinds = accounts.into_iter().filter_map(Account::provider);
    kinds.map(str::to_ascii_lowercase).collect()
}
