//! What vaults say of their copies: into the evidence, and before the scorecard.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_engine::retain::Told;
use strongroom_engine::session::chain;
use strongroom_engine::state::RepositoryState;
use strongroom_engine::status::VaultFacts;
use strongroom_engine::{CopyFailure, CopyFailureKind, CopyStore, Session};
use strongroom_model::evidence::VaultWord;
use strongroom_model::retention::{Arrival, SeenBy};
use strongroom_model::{Account, Config, FileName};
use strongroom_store::Error as StoreError;

use crate::memory::file_name;
use crate::vaults::{Met, Vaults, account, receipts};

impl Vaults {
    /// Remembers what each vault says of its copy, where its word counts.
    pub(crate) fn remember(&self, memory: &RepositoryState, copies: &[CopyStore], now: Timestamp) {
        for met in self.believed() {
            let copy = copies.iter().find(|copy| copy.name == met.copy);
            let (Some(copy), Some(info)) = (copy, met.repository()) else {
                continue;
            };
            let before = memory.evidence(copy).by_vault;
            let mut word = before.unwrap_or_else(|| VaultWord::asked(now));
            word.at = now;
            word.scrub = info.scrub;
            receipts::refreshed(&met.client, &mut word, now);
            let noted = memory.update_evidence(copy, |evidence| evidence.by_vault = Some(word));
            if let Err(error) = noted {
                let error = chain(&error);
                tracing::warn!(error, "What a vault said is not remembered");
            }
        }
    }

    /// What the scorecard has to know of each vault.
    pub(crate) fn facts(&self, config: &Config) -> BTreeMap<String, VaultFacts> {
        let runs_in = |met: &Met| {
            let info = met.info.as_ref()?;
            info.runs_in.as_ref().map(|runs_in| runs_in.account.clone())
        };
        let objects_in = |met: &Met| -> Vec<Account> {
            let info = met.info.as_ref();
            info.map_or_else(Vec::new, |info| info.objects_in.clone())
        };
        let tells = |met: &Met| runs_in(met).is_some() || !objects_in(met).is_empty();
        // Providers are asked where it matters, which costs a moment elsewhere.
        let production = match self.met.iter().any(tells) {
            true => account::of_production(config),
            false => Vec::new(),
        };
        let is_own = |account: &Account| production.iter().any(|own| own.may_be(account));
        let mut pending = self.pending_keys();
        let facts = self.met.iter().map(|met| {
            let objects_in = objects_in(met);
            let facts = VaultFacts {
                pending_keys: pending.remove(&met.copy).unwrap_or_default(),
                alarm: met.alarm.as_ref().map(|alarm| alarm.text.clone()),
                in_production: runs_in(met).filter(is_own),
                runs_in: runs_in(met),
                objects_in_production: objects_in.iter().find(|it| is_own(it)).cloned(),
                objects_in,
            };
            (met.copy.clone(), facts)
        });
        facts.collect()
    }

    /// For each copy on a vault by name, when its snapshots came, as the vault says. One whose word
    /// does not count withholds it.
    pub(crate) fn arrivals(&self) -> BTreeMap<String, Told> {
        let told = self.met.iter().map(|met| (met.copy.clone(), arrivals(met)));
        told.collect()
    }

    /// For each copy by name, the files that its vault says are rotten there and that the copy
    /// lists: they are read again, and healed where it is so.
    pub(crate) fn rotten(&self, session: &Session) -> BTreeMap<String, BTreeSet<FileName>> {
        let mut rotten = BTreeMap::new();
        for met in self.believed() {
            let scrub = met.repository().and_then(|info| info.scrub);
            if scrub.is_none_or(|scrub| scrub.rotten == 0) {
                continue;
            }
            let ready = session.ready().find(|(copy, _)| copy.name == met.copy);
            let Some((_, ready)) = ready else {
                continue;
            };
            let told = match met.client.rotten() {
                Ok(told) => told,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(
                        copy = met.copy,
                        error,
                        "A vault does not name what is rotten"
                    );
                    continue;
                }
            };
            let named = told.iter().filter_map(|rotten| file_name(&rotten.file));
            let listed: BTreeSet<FileName> =
                named.filter(|name| ready.listing.holds(*name)).collect();
            rotten.insert(met.copy.clone(), listed);
        }
        rotten
    }
}

/// When the snapshots of a copy came, as its vault says.
fn arrivals(met: &Met) -> Told {
    let withheld = |reason: &str, hint: String| {
        Told::Withheld(CopyFailure {
            reason: reason.to_owned(),
            hint: Some(hint),
            kind: CopyFailureKind::Other,
        })
    };
    if met.info.is_none() || !met.is_believed() {
        return withheld(
            "its vault does not answer, or does not show that its log goes on",
            format!("strongroom vault status {}", met.copy),
        );
    }
    match met.client.arrivals() {
        Ok(all) => {
            let arrivals = all.into_iter().map(|one| {
                let arrival = Arrival {
                    at: one.arrived,
                    by: SeenBy::Vault,
                };
                (one.snapshot, arrival)
            });
            Told::Arrivals(arrivals.collect())
        }
        Err(StoreError::Vault { status: 404, .. }) => withheld(
            "its vault is of a version that does not tell",
            "let whoever runs it install the newest strongroom-vault".to_owned(),
        ),
        Err(error) => Told::Withheld(CopyFailure::of_store(&error)),
    }
}
