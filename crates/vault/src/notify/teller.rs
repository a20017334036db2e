//! Sends what is to be told: a process at a time (lease `notices`), each channel on a thread of its
//! own.
//!
//! ```text
//! look, each second:  new notices get their deliveries
//!                     for each channel that is not busy: what is due ──▶ its thread
//! the thread:         send, outside of any transaction; write down what came of it
//! ```
//!
//! What can go wrong:
//! - a process dies between sending and writing it down: the delivery is due as before, and sent
//!   twice. So it is where a process sleeps so long that another takes its lease;
//! - a server takes a connection and says nothing: HTTP ends after ten seconds. Mail can be dragged
//!   out step by step; its channel then counts as failing, and no other one waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use crate::Result;
use crate::notify::{Channel, Message};
use crate::records::notices::{self, Due, Sent};
use crate::rules::clock::MINUTE_MS;
use crate::rules::notices::{Pace, Wants, again_ms, retry_ms};
use crate::vault::{Job, Vault};
use crate::{Error, chain};

/// How many notices are sent together at most.
const MOST_AT_ONCE: u64 = 1_000;

/// How often it is looked for what is old.
const TIDY_EVERY_MS: i64 = MINUTE_MS;

/// After how long a channel that is still being sent to counts as failing.
const DRAGS_AFTER_MS: i64 = MINUTE_MS;

/// Sends what is to be told. Clones are the same.
#[derive(Clone, Debug)]
pub struct Teller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    vault: Vault,
    /// What the vault is called in messages.
    host: String,
    channels: Vec<Arc<Channel>>,
    states: Mutex<BTreeMap<String, State>>,
    tidied_ms: Mutex<Option<i64>>,
}

/// What this process knows of a channel; times are of its boot clock.
#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// What is being sent, and since when.
    busy: Option<Busy>,
}

#[derive(Debug)]
struct Busy {
    since_ms: i64,
    due: Arc<Vec<Due>>,
    /// Whether it was written down that it takes too long.
    is_told: bool,
}

impl Teller {
    /// Tells over channels what happens in a vault, which is called `host` there.
    pub fn new(vault: Vault, channels: Vec<Channel>, host: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                vault,
                host,
                channels: channels.into_iter().map(Arc::new).collect(),
                states: Mutex::default(),
                tidied_ms: Mutex::new(None),
            }),
        }
    }

    /// Has what is due be sent, where no other process does; to be called every second. Waits for
    /// the database alone, and for no channel.
    ///
    /// # Errors
    /// Those of the database.
    pub fn look(&self) -> Result<()> {
        let shared = &self.shared;
        let looked = shared.vault.run_job(Job::Notices, |held| {
            held.keep()?;
            let wants = shared.wants();
            if shared.vault.database().look_once(notices::is_any_new)? {
                let lease = held.lease();
                shared.vault.commit(move |transaction| {
                    lease.require(transaction)?;
                    let channels: Vec<_> = wants
                        .iter()
                        .map(|(name, wants)| (name.as_str(), *wants))
                        .collect();
                    notices::route(transaction, &channels)
                })?;
            }
            for channel in &shared.channels {
                self.look_at(channel)?;
            }
            shared.tidy()
        });
        looked.map(drop)
    }

    /// Whether anything is being sent just now.
    pub fn is_busy(&self) -> bool {
        let states = self.shared.states.lock();
        states.values().any(|state| state.busy.is_some())
    }

    /// Begins to send what is due at a channel.
    fn look_at(&self, channel: &Arc<Channel>) -> Result<()> {
        let shared = &self.shared;
        let (boot_ms, now_ms) = (shared.vault.boot_ms(), shared.vault.now().vault_ms);
        if let Some(dragged) = shared.dragged(&channel.name, boot_ms) {
            let reason = "it takes longer than a minute, and is still not done";
            return shared.note(channel, &dragged, Some(reason.to_owned()));
        }
        let pace = match shared.states.lock().get(&channel.name) {
            Some(State { busy: Some(_), .. }) => return Ok(()),
            Some(state) => state.pace,
            None => Pace::default(),
        };
        if pace.left(boot_ms) == 0 {
            return Ok(());
        }
        let due = shared.vault.database().look_once(|transaction| {
            notices::due(transaction, &channel.name, now_ms, MOST_AT_ONCE)
        })?;
        let messages = pace.messages(due.len(), boot_ms);
        if messages == 0 {
            return Ok(());
        }
        let due = Arc::new(due);
        let state = State {
            pace: pace.after(messages, boot_ms),
            busy: Some(Busy {
                since_ms: boot_ms,
                due: Arc::clone(&due),
                is_told: false,
            }),
        };
        shared.states.lock().insert(channel.name.clone(), state);
        let (teller, sent_to) = (self.clone(), Arc::clone(channel));
        let sending = thread::Builder::new()
            .name("notify".to_owned())
            .spawn(move || teller.shared.send_all(&sent_to, &due, messages));
        if let Err(error) = sending {
            shared.end(&channel.name);
            return Err(Error::local("start a thread")(error));
        }
        Ok(())
    }
}

impl Shared {
    fn wants(&self) -> Vec<(String, Wants)> {
        let channels = self.channels.iter();
        channels
            .map(|channel| (channel.name.clone(), channel.wants))
            .collect()
    }

    /// What has been under way to a channel for too long, once.
    fn dragged(&self, channel: &str, boot_ms: i64) -> Option<Arc<Vec<Due>>> {
        let mut states = self.states.lock();
        let busy = states.get_mut(channel)?.busy.as_mut()?;
        let is_late = boot_ms.saturating_sub(busy.since_ms) > DRAGS_AFTER_MS;
        if !is_late || busy.is_told {
            return None;
        }
        busy.is_told = true;
        Some(Arc::clone(&busy.due))
    }

    fn end(&self, channel: &str) {
        if let Some(state) = self.states.lock().get_mut(channel) {
            state.busy = None;
        }
    }

    /// Sends what is due, one by one or together, and writes down what came of it.
    fn send_all(&self, channel: &Channel, due: &[Due], messages: usize) {
        let sent = match messages == due.len() {
            true => due.chunks(1).try_for_each(|one| self.send(channel, one)),
            false => self.send(channel, due),
        };
        self.end(&channel.name);
        if let Err(error) = sent {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                channel = channel.name,
                error,
                "What was sent is not written down"
            );
        }
    }

    /// Sends notices in one message.
    fn send(&self, channel: &Channel, due: &[Due]) -> Result<()> {
        let message = match due {
            [] => return Ok(()),
            [one] => Message::of(&one.row, &self.host),
            many => {
                let rows: Vec<_> = many.iter().map(|due| &due.row).collect();
                Message::of_several(&rows, &self.host)
            }
        };
        let failed = channel.send(&message, self.vault.wall_ms() / 1000).err();
        let (name, notice) = (channel.name.as_str(), message.id);
        match &failed {
            None => tracing::info!(channel = name, notice, "A notice is sent"),
            Some(reason) => tracing::warn!(channel = name, reason, "A notice cannot be sent"),
        }
        self.note(channel, due, failed)
    }

    /// Writes down what came of sending notices: why it failed, where it did.
    fn note(&self, channel: &Channel, due: &[Due], error: Option<String>) -> Result<()> {
        let now_ms = self.vault.now().vault_ms;
        let mut next = Vec::new();
        for due in due {
            let (level, made_ms) = (due.row.notice.level, due.row.made_ms);
            let next_ms = match &error {
                None => again_ms(level, made_ms, now_ms),
                Some(_) => {
                    let failures = due.attempts.saturating_add(1);
                    retry_ms(level, made_ms, now_ms, failures, random())
                }
            };
            next.push((due.row.id, next_ms));
        }
        let name = channel.name.clone();
        self.vault.commit(move |transaction| {
            for (notice, next_ms) in &next {
                let sent = Sent {
                    notice: *notice,
                    channel: &name,
                    at_ms: now_ms,
                    next_ms: *next_ms,
                    error: error.as_deref(),
                };
                notices::note_sent(transaction, &sent)?;
            }
            Ok(())
        })
    }

    /// Lets go of what is old, once a minute.
    fn tidy(&self) -> Result<()> {
        let (boot_ms, now_ms) = (self.vault.boot_ms(), self.vault.now().vault_ms);
        let is_due = |tidied_ms: i64| boot_ms.saturating_sub(tidied_ms) >= TIDY_EVERY_MS;
        if self
            .tidied_ms
            .lock()
            .is_some_and(|tidied_ms| !is_due(tidied_ms))
        {
            return Ok(());
        }
        let wants = self.wants();
        self.vault.commit(move |transaction| {
            let names: Vec<_> = wants.iter().map(|(name, _)| name.as_str()).collect();
            notices::tidy(transaction, &names, now_ms)
        })?;
        *self.tidied_ms.lock() = Some(boot_ms);
        Ok(())
    }
}

/// Any number; which one is no secret.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(error) => {
            tracing::warn!(reason = chain(&error), "The system gives no randomness");
            0
        }
    }
}
