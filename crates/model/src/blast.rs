//! The blast radius: whose credentials together destroy which copies.
//!
//! Two domains with different names may be one and the same hand: so they are compared by places,
//! by the credentials in use, by accounts and by hosts, and whatever is found to be one counts as
//! one, with the reason. Taking one for two would claim more safety than there is; the other way
//! round nobody is harmed.
//!
//! Production holds every credential that its backups use. So it destroys what lies on its own
//! machine and what its own domain rules, and *perhaps* any other copy, until a drill has shown
//! that those credentials fail there.
//!
//! **Architecture invariant:** what was not shown is never said to survive. A lock that is claimed,
//! or that was proven too long ago, counts as none.

mod key;
mod merging;
mod svg;

pub use key::{KeyHeld, PlaceKey};
pub use svg::svg;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::account::Account;
use crate::id::Id;
use crate::name::Name;
use crate::scorecard::Standing;
use merging::Merging;

/// How many sets of domains are told one by one: all of eight domains, pairs of more.
const MOST_SETS: usize = 255;

/// What would mend that a single domain destroys every copy.
const MEND: &str = "keep a copy under a domain of its own, with credentials, an account and a host \
                    that no other copy shares";

/// What Amazon is called as the provider of a copy.
pub(crate) const AMAZON: &str = "Amazon";

/// For whom it holds that a copy withstands production.
const PROVEN_FOR: &str = "What withstands production was proven by the credentials of this machine: \
                          those of another one are proven by a drill there.";

/// Where production runs, and under whose credentials.
#[derive(Clone, Debug)]
pub struct Production {
    /// The domain of the sources.
    pub domain: Name,
    /// The accounts at providers in which it runs, by all names that are known.
    pub accounts: Vec<Account>,
}

/// What is known of who can destroy a copy.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// The copy.
    pub copy: Name,
    /// Its domain, as configured.
    pub domain: Name,
    /// Whether it lies on production's own machine, be it in a folder or behind a server there.
    pub is_here: bool,
    /// The other copies that were shown to be this very place under another address.
    pub one_place: BTreeSet<Name>,
    /// What tells the credential with which it is written from others: [`Exposure::credential_of`].
    pub credential: Option<Id>,
    /// The accounts that rule it at its provider, by all names that are known of them.
    pub accounts: Vec<Account>,
    /// The account in which the vault runs that holds it.
    pub vault_runs_in: Option<Account>,
    /// The accounts in which that vault says that its objects lie, by all names that it tells of
    /// them. It can only add to what is one: nothing counts as apart by it.
    pub objects_in: Vec<Account>,
    /// The cloud provider where those lie, as `provider`.
    pub objects_at: Option<String>,
    /// The host whose administrator rules it. `None` where many customers share one, as at a cloud
    /// provider, where accounts tell more.
    pub host: Option<String>,
    /// The cloud provider where it is, or the vault that holds it, whose customers have nothing in
    /// common but that: two copies there count as one where nothing shows that their accounts are two.
    pub provider: Option<String>,
    /// The key of an account that encrypts what is there, where there is one.
    pub key: Option<PlaceKey>,
    /// Whose credentials rule that key, as configured; `None` means those that rule the copy.
    pub key_domain: Option<Name>,
    /// What a drill has shown of it, within `drill_every`.
    pub withstands: Withstands,
}

/// Whom a copy was shown to withstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withstands {
    /// Nothing was shown of late.
    NotShown,
    /// The credentials with which production writes it. Whoever rules the place was not tried, as
    /// at a vault.
    Production,
    /// Whoever rules it too, as a lock in COMPLIANCE does.
    Everyone,
}

/// Who destroys what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blast {
    /// The domain of production, by the name under which it counts.
    pub production: Name,
    /// All domains that are really different, production first.
    pub domains: Vec<Domain>,
    /// All copies.
    pub copies: Vec<AtRisk>,
    /// The sets of domains that destroy every copy and need each of their domains for it, the
    /// smallest first; none where not even all domains do.
    pub destroy_all: Vec<BTreeSet<Name>>,
    /// The same where all that is not shown is lost.
    pub may_destroy_all: Vec<BTreeSet<Name>>,
}

/// Whose hands are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// The name under which it counts.
    pub name: Name,
    /// Other names that the configuration has for it.
    pub also: Vec<Alias>,
}

/// That a domain is in truth another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// Its name in the configuration.
    pub name: Name,
    /// Why, in one line.
    pub reason: String,
}

/// Which single domains destroy a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AtRisk {
    /// The copy.
    pub copy: Name,
    /// These do.
    pub destroyed_by: BTreeSet<Name>,
    /// These may: nothing has shown that they do not.
    pub perhaps_by: BTreeSet<Name>,
    /// The key whose end is the end of the copy, where there is one.
    pub key: Option<KeyHeld>,
    /// Who ends it, though its lock binds everyone, by closing the account at Amazon that it is in: 90
    /// days after that was told, and until then it is there. Of no other place is such a rule known.
    pub closed_by: Option<Name>,
}

/// What is left where somebody holds some domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What he holds.
    pub held: BTreeSet<Name>,
    /// The copies that he destroys.
    pub destroyed: Vec<Name>,
    /// The copies of which nobody knows.
    pub doubtful: Vec<Name>,
    /// The copies that are left.
    pub surviving: Vec<Name>,
}

impl Exposure {
    /// What tells a user and password from others, and shows neither.
    pub fn credential_of(user: &str, password: &str) -> Id {
        Id::of(format!("{user}\0{password}").as_bytes())
    }

    /// What tells an access key from others by its name, which is all that is asked of it. Of two
    /// servers that know a key of one name nobody shows that they have different secrets for it.
    pub fn credential_of_key(access_key: &str) -> Id {
        Id::of(format!("access key\0{access_key}").as_bytes())
    }
}

impl AtRisk {
    /// Which single domains destroy the copy where all that is not shown is lost.
    fn possibly_by(&self) -> BTreeSet<Name> {
        let both = self.destroyed_by.union(&self.perhaps_by);
        both.cloned().collect()
    }
}

impl Blast {
    /// Finds out which domains are one, and what each of them destroys.
    pub fn of(production: &Production, exposures: &[Exposure]) -> Self {
        let merging = Merging::of(production, exposures);
        let copies: Vec<AtRisk> = exposures
            .iter()
            .map(|exposure| at_risk(exposure, exposures, production, &merging))
            .collect();
        let production = merging.name(&production.domain);
        let sure = copies.iter().map(|copy| copy.destroyed_by.clone());
        let possible = copies.iter().map(AtRisk::possibly_by);
        Self {
            destroy_all: smallest(sure),
            may_destroy_all: smallest(possible),
            domains: merging.into_domains(),
            production,
            copies,
        }
    }

    /// What is left where somebody holds these domains.
    pub fn outcome(&self, held: BTreeSet<Name>) -> Outcome {
        let mut outcome = Outcome {
            held,
            destroyed: Vec::new(),
            doubtful: Vec::new(),
            surviving: Vec::new(),
        };
        for copy in &self.copies {
            let fallen = match outcome.held.is_disjoint(&copy.destroyed_by) {
                false => &mut outcome.destroyed,
                true if outcome.held.is_disjoint(&copy.perhaps_by) => &mut outcome.surviving,
                true => &mut outcome.doubtful,
            };
            fallen.push(copy.copy.clone());
        }
        outcome
    }

    /// What is left for each single domain, each pair and so on, up to all; and whether that is
    /// all of it: of many domains only small sets are told.
    pub fn outcomes(&self) -> (Vec<Outcome>, bool) {
        let names: Vec<&Name> = self.domains.iter().map(|domain| &domain.name).collect();
        let mut outcomes = Vec::new();
        // Sets of one size, each with the names that may still be added to it.
        let mut sets: Vec<(BTreeSet<Name>, &[&Name])> = vec![(BTreeSet::new(), names.as_slice())];
        loop {
            let larger: usize = sets.iter().map(|(_, rest)| rest.len()).sum();
            if larger == 0 || outcomes.len() + larger > MOST_SETS {
                return (outcomes, larger == 0);
            }
            let mut next = Vec::new();
            for (set, mut rest) in sets {
                while let Some((name, later)) = rest.split_first() {
                    let mut set = set.clone();
                    set.insert((*name).clone());
                    outcomes.push(self.outcome(set.clone()));
                    next.push((set, later));
                    rest = later;
                }
            }
            sets = next;
        }
    }

    /// Whether no single domain destroys every copy.
    pub fn standing(&self) -> Standing {
        let is_alone = |sets: &[BTreeSet<Name>]| sets.iter().any(|set| set.len() == 1);
        let is_known = is_alone(&self.destroy_all);
        match (is_known, is_alone(&self.may_destroy_all)) {
            (true, _) => Standing::Missed,
            (false, true) => Standing::Unproven,
            (false, false) => Standing::Met,
        }
    }

    /// What would mend it where a single domain destroys every copy.
    pub fn mend(&self) -> Option<&'static str> {
        (self.standing() == Standing::Missed).then_some(MEND)
    }

    /// For whom it holds that copies withstand production, where a drill has shown it of any.
    pub fn proven_for(&self) -> Option<&'static str> {
        let outcome = self.outcome([self.production.clone()].into());
        (!outcome.surviving.is_empty()).then_some(PROVEN_FOR)
    }

    /// Says what production destroys, and which single domains destroy everything.
    pub fn spoken(&self) -> String {
        let domain = &self.production;
        let all = self.copies.len();
        let outcome = self.outcome([domain.clone()].into());
        let perhaps = match outcome.doubtful.len() {
            0 => String::new(),
            count => format!(", and perhaps {count} more, which no drill has shown to withstand"),
        };
        let destroyed = outcome.destroyed.len();
        let singles = |sets: &[BTreeSet<Name>]| {
            let singles = sets.iter().filter(|set| set.len() == 1).flatten();
            singles.map(Name::as_str).collect::<Vec<_>>().join(", ")
        };
        let alone = match self.standing() {
            Standing::Met => "No single domain destroys all.".to_owned(),
            Standing::Unproven => {
                let masters = singles(&self.may_destroy_all);
                format!("A single domain may destroy all: {masters}.")
            }
            Standing::Missed => {
                let masters = singles(&self.destroy_all);
                format!("A single domain destroys all: {masters}.")
            }
        };
        let closed = self.copies.iter();
        let closed = closed.filter(|copy| copy.closed_by.as_ref() == Some(domain));
        let closed: Vec<&str> = closed.map(|copy| copy.copy.as_str()).collect();
        let closing = match closed.as_slice() {
            [] => String::new(),
            closed => format!(
                " Whoever closes its account ends {} too, 90 days later.",
                closed.join(", ")
            ),
        };
        format!(
            "Whoever holds {domain} destroys {destroyed} of {all} copies{perhaps}.{closing} {alone}"
        )
    }
}

fn at_risk(
    exposure: &Exposure,
    all: &[Exposure],
    production: &Production,
    merging: &Merging,
) -> AtRisk {
    let own = merging.name(&production.domain);
    let mut destroyed_by = BTreeSet::new();
    if exposure.withstands != Withstands::Everyone {
        destroyed_by.insert(merging.name(&exposure.domain));
    }
    // A lock says nothing to whoever has the disks.
    if exposure.is_here {
        destroyed_by.insert(own.clone());
    }
    let mut is_open = exposure.withstands == Withstands::NotShown;
    // Nor to whoever has the key without which the bytes are none.
    let key = exposure.key.as_ref().map(|key| KeyHeld {
        name: key.spoken(),
        held_by: holders(key, exposure, all, production, merging),
    });
    if let Some(key) = &key {
        destroyed_by.extend(key.held_by.iter().cloned());
    }
    if let Some(key) = &exposure.key
        && key.account().is_none()
        && exposure.key_domain.is_none()
    {
        // Such a name is one of whoever puts something there, which is production.
        is_open = true;
    }
    let is_at_amazon = exposure.provider.as_deref() == Some(AMAZON);
    let closed_by = match exposure.withstands {
        Withstands::Everyone if is_at_amazon => Some(merging.name(&exposure.domain)),
        Withstands::Everyone | Withstands::NotShown | Withstands::Production => None,
    };
    let closed_by = closed_by.filter(|domain| !destroyed_by.contains(domain));
    let mut perhaps_by = BTreeSet::new();
    if is_open && !destroyed_by.contains(&own) {
        perhaps_by.insert(own);
    }
    AtRisk {
        copy: exposure.copy.clone(),
        destroyed_by,
        perhaps_by,
        key,
        closed_by,
    }
}

/// The domains that rule the key of a copy: the one that is configured, or else that of the copy; and
/// each that is known to be in the account of the key.
fn holders(
    key: &PlaceKey,
    exposure: &Exposure,
    all: &[Exposure],
    production: &Production,
    merging: &Merging,
) -> BTreeSet<Name> {
    let declared = exposure.key_domain.as_ref().unwrap_or(&exposure.domain);
    let mut holders: BTreeSet<Name> = [merging.name(declared)].into();
    let Some(account) = key.account() else {
        return holders;
    };
    if production.accounts.iter().any(|own| own.may_be(account)) {
        holders.insert(merging.name(&production.domain));
    }
    let is_there = |other: &&Exposure| {
        let accounts = other.accounts.iter().chain(&other.vault_runs_in);
        let mut accounts = accounts.chain(&other.objects_in);
        accounts.any(|theirs| theirs.may_be(account))
    };
    let domains = all.iter().filter(is_there).map(|other| &other.domain);
    holders.extend(domains.map(|domain| merging.name(domain)));
    holders
}

/// The sets that have a name in common with each of these and need every name of theirs for it;
/// those with the fewest names come first.
fn smallest(copies: impl Iterator<Item = BTreeSet<Name>>) -> Vec<BTreeSet<Name>> {
    let mut sets: Vec<BTreeSet<Name>> = vec![BTreeSet::new()];
    for needed in copies {
        let mut larger = Vec::new();
        for set in sets {
            if !set.is_disjoint(&needed) {
                larger.push(set);
                continue;
            }
            for name in &needed {
                let mut set = set.clone();
                set.insert(name.clone());
                larger.push(set);
            }
        }
        larger.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        // A copy falls to few domains, so that few sets are left each time.
        sets = Vec::new();
        for set in larger {
            if !sets.iter().any(|known| known.is_subset(&set)) {
                sets.push(set);
            }
        }
    }
    // Without any copy there is nothing to destroy.
    sets.retain(|set| !set.is_empty());
    sets
}

#[cfg(test)]
mod tests;
