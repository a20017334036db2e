//! Receipts, sent to the vaults that do not have them yet.
//!
//! None of it fails a command: what could not be sent stays in the state folder, and is sent at a
//! later contact.

use strongroom_engine::CopyStore;
use strongroom_engine::receipts::{ClientKey, Delivery, Receipts};
use strongroom_engine::session::chain;
use strongroom_model::evidence::{SaidWhole, VaultWord};
use strongroom_store::VaultClient;

use crate::context::Opened;
use crate::output::{Output, visible};
use crate::vaults::Met;
use crate::words::count;

/// What a vault says of the snapshots of which it has got receipts.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// The copy that it holds.
    pub(crate) copy: String,
    /// Whether it is whole for the newest snapshot of every source; `None` where it cannot tell.
    pub(crate) whole: Option<bool>,
    /// How many files it lacks of them.
    pub(crate) missing: u64,
    /// Receipts that are still to be sent.
    pub(crate) left: usize,
    /// Why they are.
    pub(crate) reason: Option<String>,
    hint: Option<String>,
    refused: usize,
}

/// Sends the receipts of a backup, and what was left of earlier ones; remembers the answers.
pub(crate) fn deliver(opened: &Opened) -> Vec<Said> {
    // A key that cannot be used was told when there was a receipt to sign.
    let Ok(Some(client)) = opened.state.find_client_key() else {
        return Vec::new();
    };
    let said = opened.vaults.present().filter_map(|met| {
        let copy = store_of(opened, met)?;
        deliver_to(opened, met, copy, &client)
    });
    said.collect()
}

/// Sends what earlier contacts left, where there is any, and says nothing of it.
pub(crate) fn deliver_left(opened: &Opened) {
    let Ok(Some(client)) = opened.state.find_client_key() else {
        return;
    };
    let memory = opened.memory();
    let receipts = Receipts::new(&memory, &client);
    for met in opened.vaults.present() {
        if let Some(copy) = store_of(opened, met)
            && receipts.are_to_be_delivered(copy)
            && let Some(said) = deliver_to(opened, met, copy, &client)
            && let Some(reason) = said.reason
        {
            tracing::debug!(copy = met.copy, reason, "Receipts could not be sent");
        }
    }
}

fn deliver_to(opened: &Opened, met: &Met, copy: &CopyStore, client: &ClientKey) -> Option<Said> {
    let memory = opened.memory();
    let receipts = Receipts::new(&memory, client);
    let key = client.public();
    let send = |signed: &_| met.client.send_receipt(&key, signed);
    let delivery = match receipts.deliver(copy, send, &opened.environment.cancel) {
        Ok(delivery) => delivery,
        Err(error) => {
            tracing::warn!(error = chain(&error), "Receipts cannot be sent");
            return None;
        }
    };
    if met.is_believed() && !delivery.newest.is_empty() {
        remember(opened, copy, &delivery);
    }
    Some(Said::of(met, delivery))
}

/// Keeps the answers as what they are: the vault's word.
fn remember(opened: &Opened, copy: &CopyStore, delivery: &Delivery) {
    let now = (opened.environment.clock)();
    let noted = opened.memory().update_evidence(copy, |evidence| {
        let word = evidence
            .by_vault
            .get_or_insert_with(|| VaultWord::asked(now));
        for (source, answer) in &delivery.newest {
            let said = SaidWhole {
                at: now,
                snapshot: answer.snapshot,
                whole: answer.whole,
                missing: answer.missing,
            };
            word.snapshots.insert(source.clone(), said);
        }
    });
    if let Err(error) = noted {
        tracing::warn!(error = chain(&error), "What a vault said is not remembered");
    }
}

fn store_of<'a>(opened: &'a Opened, met: &Met) -> Option<&'a CopyStore> {
    let mut copies = opened.session.copies.iter().map(|copy| &copy.copy);
    copies.find(|copy| copy.name == met.copy)
}

impl Said {
    fn of(met: &Met, delivery: Delivery) -> Self {
        // A vault whose log was not checked has no word.
        let newest = match met.is_believed() {
            true => delivery.newest,
            false => Vec::new(),
        };
        let answers = || newest.iter().map(|(_, answer)| answer);
        let whole = if answers().any(|answer| answer.whole == Some(false)) {
            Some(false)
        } else {
            let all = answers().all(|answer| answer.whole == Some(true));
            (all && answers().next().is_some()).then_some(true)
        };
        let (reason, hint) = match delivery.failure {
            Some(failure) => (Some(failure.reason), failure.hint),
            None => (None, None),
        };
        Self {
            copy: met.copy.clone(),
            whole,
            missing: answers().map(|answer| answer.missing).sum(),
            left: delivery.left,
            reason,
            hint,
            refused: delivery.refused.len(),
        }
    }

    /// Whether it contradicts that its copy is whole.
    pub(crate) fn is_refutation(&self) -> bool {
        self.whole == Some(false)
    }

    /// How it says so, in few words.
    pub(crate) fn word(&self) -> String {
        match self.whole {
            Some(true) => "whole".to_owned(),
            Some(false) => format!("lacks {}", count(self.missing, "file", "files")),
            None => "cannot tell".to_owned(),
        }
    }

    /// Warns of what did not go as it should.
    pub(crate) fn tell(&self, output: &Output) {
        if self.is_refutation() {
            let text = format!("{}: its vault says that it {}", self.copy, self.word());
            let hint = "see what is wrong: strongroom verify; then: strongroom sync";
            output.warn(&text, Some(hint));
        }
        if let Some(reason) = &self.reason {
            let receipts = count(self.left as u64, "receipt", "receipts");
            let text = format!("{}: {receipts} not sent to its vault: {reason}", self.copy);
            output.warn(&visible(&text), self.hint.as_deref());
        }
        if self.refused > 0 {
            let receipts = count(self.refused as u64, "receipt", "receipts");
            let text = format!("{}: its vault refuses {receipts} for good", self.copy);
            output.warn(&text, None);
        }
    }
}

/// What the vault says now of the snapshots that it was asked about before.
pub(super) fn refreshed(client: &VaultClient, word: &mut VaultWord, now: jiff::Timestamp) {
    if word.snapshots.is_empty() {
        return;
    }
    let list = match client.snapshots() {
        Ok(list) => list,
        Err(error) => {
            tracing::debug!(error = chain(&error), "A vault does not list its snapshots");
            return;
        }
    };
    for said in word.snapshots.values_mut() {
        // The newest receipt of a snapshot comes last.
        let mut found = list.snapshots.iter().rev();
        let found = found.find(|info| info.snapshot == said.snapshot);
        if let Some(found) = found {
            *said = SaidWhole {
                at: now,
                snapshot: found.snapshot,
                whole: found.whole,
                missing: found.missing_files,
            };
        }
    }
}
