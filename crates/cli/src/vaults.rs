//! The vaults among the copies: met at the beginning of each command, whatever else it does.
//!
//! A REST server that is no vault is used as before, and nobody hears of the question. Of a vault
//! its log is checked against what this machine remembers of it. What does not fit is an **alarm**:
//! told loudly, kept until a person has accepted the log as it is, and the exit status is 1. An
//! alarm never costs a backup: the work is done all the same.
//!
//! **Architecture invariant:** a vault's word is kept as such. It can refute that its copy is whole,
//! and never clears what this machine has found wrong. It counts only where the vault has shown in
//! this contact that its log goes on: who rewrote it could withhold the proof for ever otherwise.

mod account;
mod contact;
mod cosigning;
mod log;
mod receipts;
mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::CopyStore;
use strongroom_engine::session::chain;
use strongroom_engine::state::{StateFolder, VaultAlarm};
use strongroom_ledger::{SignedCheckpoint, Verifier};
use strongroom_model::Id;
use strongroom_model::vault::{RepositoryInfo, VaultInfo};
use strongroom_store::VaultClient;

use crate::error::Result;
use crate::output::{Output, visible};
use crate::words::count;

pub(crate) use contact::look;
pub(crate) use cosigning::{Witness, cosigned};
pub(crate) use log::{LogState, Scene, first};
pub(crate) use receipts::{Said, deliver, deliver_left};

/// The copies of a configuration, with what asks the vaults that may be behind them.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// All copies.
    pub(crate) stores: Vec<CopyStore>,
    /// Those at addresses that a vault can have.
    pub(crate) vaults: Vec<VaultCopy>,
}

/// A copy at an address that a vault can have.
#[derive(Debug, Clone)]
pub(crate) struct VaultCopy {
    /// The name of the copy.
    pub(crate) copy: String,
    /// What asks the vault.
    pub(crate) client: VaultClient,
    /// Who must have cosigned its log.
    pub(crate) log_witnesses: Vec<Verifier>,
}

/// The vaults that there are, or were.
#[derive(Debug, Default)]
pub(crate) struct Vaults {
    /// One for each copy, in the order of the configuration.
    pub(crate) met: Vec<Met>,
}

/// A vault that was met, or that is remembered and was not there.
#[derive(Debug)]
pub(crate) struct Met {
    /// The copy that it holds.
    pub(crate) copy: String,
    /// What asks it.
    pub(crate) client: VaultClient,
    /// What it says of itself; `None` where it did not answer as a vault.
    pub(crate) info: Option<Box<VaultInfo>>,
    /// How its log stands.
    pub(crate) log: LogState,
    /// The checkpoint that most witnesses have cosigned, which the log goes on from, as it shows.
    pub(crate) witnessed: Option<SignedCheckpoint>,
    /// Who must have cosigned its log.
    pub(crate) log_witnesses: Vec<Verifier>,
    /// What is wrong with its log, until a person has accepted it.
    pub(crate) alarm: Option<VaultAlarm>,
    repository: OnceLock<Option<RepositoryInfo>>,
}

/// The copies that took files in a run which they did not list before.
#[derive(Debug, Default)]
pub(crate) struct NewFiles {
    /// Those that have a file which this run has made.
    pub(crate) made: BTreeSet<String>,
    /// Those to which files were brought from others that they cannot have had.
    pub(crate) brought: BTreeSet<String>,
}

/// Looks at all vaults at once.
pub(crate) fn meet(vaults: &[VaultCopy], state: &StateFolder, now: Timestamp) -> Vaults {
    let met = std::thread::scope(|scope| {
        let threads: Vec<_> = vaults
            .iter()
            .map(|vault| scope.spawn(move || contact::meet(vault, state, now)))
            .collect();
        let met = threads.into_iter().filter_map(|thread| thread.join().ok());
        met.flatten().collect()
    });
    Vaults { met }
}

impl Vaults {
    /// Takes note that these copies were opened in this run: a vault behind one of them that does not
    /// answer is there all the same.
    pub(crate) fn were_opened(
        &mut self,
        copies: &BTreeSet<String>,
        state: &StateFolder,
        now: Timestamp,
    ) {
        for met in &mut self.met {
            if copies.contains(&met.copy) {
                contact::was_opened(met, state, now);
            }
        }
    }

    /// Asks those that took new files in this run whether their logs went on, each once; returns the
    /// copies of those that were asked.
    pub(crate) fn ask_again(
        &mut self,
        new: &NewFiles,
        state: &StateFolder,
        now: Timestamp,
    ) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        for met in &mut self.met {
            // Somebody else may have brought a file that was not made here, between our listing and
            // the contact, and then nothing is logged of ours; where the log was as it was before
            // both, nobody has.
            let is_brought =
                new.brought.contains(&met.copy) && matches!(met.log, LogState::Same(_));
            if met.is_believed() && (is_brought || new.made.contains(&met.copy)) {
                contact::ask_again(met, state, now);
                asked.insert(met.copy.clone());
            }
        }
        asked
    }

    /// Whether somebody has to see to a log.
    pub(crate) fn are_alarmed(&self) -> bool {
        self.met.iter().any(|met| met.alarm.is_some())
    }

    /// The alarms, each on one line.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let alarmed = self.met.iter().filter_map(|met| {
            let alarm = met.alarm.as_ref()?;
            Some(format!("{}: {}", met.copy, alarm.text))
        });
        alarmed.collect()
    }

    /// Those that answered as vaults.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Met> {
        self.met.iter().filter(|met| met.info.is_some())
    }

    /// Those whose word counts.
    pub(crate) fn believed(&self) -> impl Iterator<Item = &Met> {
        self.present().filter(|met| met.is_believed())
    }

    /// The vault of a copy, where it answered.
    pub(crate) fn of(&self, copy: &str) -> Option<&Met> {
        self.present().find(|met| met.copy == copy)
    }

    /// For each copy by name, the keys that its vault holds and does not list yet; of a vault whose
    /// word counts, since what it names is not missed.
    pub(crate) fn pending_keys(&self) -> BTreeMap<String, BTreeSet<Id>> {
        let pending = self.believed().filter_map(|met| {
            let keys: BTreeSet<Id> = met.repository()?.pending_keys.iter().copied().collect();
            (!keys.is_empty()).then(|| (met.copy.clone(), keys))
        });
        pending.collect()
    }

    /// Tells how each log stands: what is as it was is told to programs alone.
    pub(crate) fn tell(&self, output: &Output) -> Result<()> {
        for met in &self.met {
            met.tell(output);
            output.object(&Message::of(met))?;
        }
        Ok(())
    }

    /// Tells of those that were asked again and did not show that their logs went on.
    pub(crate) fn tell_again(&self, asked: &BTreeSet<String>, output: &Output) -> Result<()> {
        let asked = self.met.iter().filter(|met| asked.contains(&met.copy));
        for met in asked.filter(|met| !met.is_believed()) {
            met.tell(output);
            output.object(&Message::of(met))?;
        }
        Ok(())
    }

    /// Tells which keys wait for an operator, and what he would type.
    pub(crate) fn tell_pending(&self, output: &Output) {
        for met in self.present() {
            let Some(info) = met
                .repository()
                .filter(|info| !info.pending_keys.is_empty())
            else {
                continue;
            };
            let keys = count(info.pending_keys.len() as u64, "key waits", "keys wait");
            let ids: Vec<_> = info.pending_keys.iter().map(Id::short).collect();
            let text = format!(
                "{}: {keys} for an operator, and {} nothing until then: {}",
                met.copy,
                if info.pending_keys.len() == 1 {
                    "opens"
                } else {
                    "open"
                },
                ids.join(", ")
            );
            let (vault, path) = (met.client.root(), met.client.repository());
            let admit = format!("strongroom-vault key admit {path}");
            let hint = match info.pending_keys.as_slice() {
                [key] => format!("if it is yours, on the machine of {vault}: {admit} {key}"),
                _ => format!(
                    "for each that is yours, on the machine of {vault}: {admit} ID; their whole \
                     ids: strongroom-vault key list {path}"
                ),
            };
            output.warn(&visible(&text), Some(&visible(&hint)));
        }
    }
}

impl Met {
    /// Whether its word counts: its log was checked in this contact, and no alarm stands.
    pub(crate) fn is_believed(&self) -> bool {
        self.alarm.is_none() && self.log.remembered().is_some()
    }

    /// What it says of the repository, asked once; `None` where it does not say.
    pub(crate) fn repository(&self) -> Option<&RepositoryInfo> {
        let ask = || match self.client.repository_info() {
            Ok(info) => Some(info),
            Err(error) => {
                let error = chain(&error);
                tracing::debug!(copy = self.copy, error, "A vault does not tell of its copy");
                None
            }
        };
        self.repository.get_or_init(ask).as_ref()
    }

    fn tell(&self, output: &Output) {
        if let Some(alarm) = &self.alarm {
            output.alarm(
                &visible(&format!("{}: {}", self.copy, alarm.text)),
                &[
                    &visible(&alarm.hint),
                    &format!(
                        "only when that is explained: strongroom vault accept-log {}",
                        self.copy
                    ),
                ],
            );
            return;
        }
        match &self.log {
            LogState::First(new) => output.say(&visible(&format!(
                "{} is a vault. Its log is remembered from now on, with {} by the key {}: compare \
                 that once with keys/log.pub in the vault's folder",
                self.copy,
                count(new.last().checkpoint().size(), "leaf", "leaves"),
                new.key().label(),
            ))),
            LogState::Unseen(reason) | LogState::Away { reason, .. } => self.tell_unchecked(
                reason,
                "it is asked again at the next contact; if it stays so, ask who runs it",
                output,
            ),
            LogState::Withheld { reason, .. } => self.tell_unchecked(
                reason,
                "what it says does not count meanwhile, and if it stays so for a day, it is an \
                 alarm: ask who runs it",
                output,
            ),
            LogState::None | LogState::Same(_) | LogState::Grown(_) | LogState::Alarm(_) => {}
        }
    }
}

impl Met {
    fn tell_unchecked(&self, reason: &str, hint: &str, output: &Output) {
        let text = format!(
            "{}: the log of its vault cannot be checked this time: {reason}",
            self.copy
        );
        output.warn(&visible(&text), Some(hint));
    }
}

/// How the log of a vault stands, as `--json` tells it.
#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    copy: &'a str,
    vault: &'a str,
    log: &'static str,
    origin: Option<&'a str>,
    size: Option<u64>,
    alarm: Option<AlarmMessage<'a>>,
}

/// An alarm, as `--json` tells it.
#[derive(Serialize)]
pub(crate) struct AlarmMessage<'a> {
    found: Timestamp,
    text: &'a str,
    hint: &'a str,
}

impl<'a> Message<'a> {
    fn of(met: &'a Met) -> Self {
        let state = met.log.remembered().map(|log| log.last().checkpoint());
        Self {
            message_type: "vault",
            copy: &met.copy,
            vault: met.client.root(),
            log: met.log.word(),
            origin: state.map(|state| state.origin()),
            size: state.map(|state| state.size()),
            alarm: met.alarm.as_ref().map(AlarmMessage::of),
        }
    }
}

impl<'a> AlarmMessage<'a> {
    pub(crate) fn of(alarm: &'a VaultAlarm) -> Self {
        Self {
            found: alarm.found,
            text: &alarm.text,
            hint: &alarm.hint,
        }
    }
}
