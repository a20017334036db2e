//! One contact with the server behind a copy: is it a vault, and does its log go on? And a second
//! question to one that took files meanwhile: does its log tell of them?
//!
//! An alarm that is none would teach people to pass over alarms, so the second question is put only
//! where an honest vault cannot but have logged something since the first.

use std::sync::OnceLock;

use jiff::Timestamp;
use strongroom_engine::session::chain;
use strongroom_engine::state::{StateFolder, VaultAlarm, VaultMemory};
use strongroom_ledger::{Remembered, SignedCheckpoint};
use strongroom_model::vault::VaultInfo;
use strongroom_store::{Error as StoreError, Hello, VaultClient};

use crate::vaults::log::{LogState, Scene};
use crate::vaults::{Met, VaultCopy};

/// Meets a vault, and remembers what its log says; `None` where there is no vault and never was one.
pub(super) fn meet(vault: &VaultCopy, state: &StateFolder, now: Timestamp) -> Option<Met> {
    let memory = state.vault(vault.client.root());
    let scene = Scene {
        vault: vault.client.root(),
        now,
    };
    let Looked {
        info,
        log,
        witnessed,
    } = look(&vault.client, &memory, scene);
    let log = counted(&memory, log, scene, false);
    remember(&memory, &log);
    let alarm = standing(&memory, &log, scene);
    if info.is_none() && alarm.is_none() && matches!(log, LogState::None) {
        return None;
    }
    Some(Met {
        copy: vault.copy.clone(),
        client: vault.client.clone(),
        info,
        log,
        witnessed,
        log_witnesses: vault.log_witnesses.clone(),
        alarm,
        repository: OnceLock::new(),
    })
}

/// Takes note that the copy of a vault that does not answer was opened in this run: it is there, and
/// does not show its log.
pub(super) fn was_opened(met: &mut Met, state: &StateFolder, now: Timestamp) {
    let LogState::Away { remembered, reason } = &met.log else {
        return;
    };
    let log = LogState::Withheld {
        remembered: remembered.clone(),
        reason: format!("its copy can be opened, and {reason}"),
    };
    take(met, state, now, log, false);
}

/// Asks a vault that has taken files whether its log went on: one that is as it was tells of none of
/// them. Nothing is asked of one whose log was not checked before.
pub(super) fn ask_again(met: &mut Met, state: &StateFolder, now: Timestamp) {
    let (Some(info), Some(before)) = (&met.info, met.log.remembered()) else {
        return;
    };
    let scene = Scene {
        vault: met.client.root(),
        now,
    };
    let (log, witnessed) = log(&met.client, Some(before.clone()), info, scene);
    let log = match log {
        LogState::Same(same) => scene.frozen(&same),
        other => other,
    };
    if witnessed.is_some() {
        met.witnessed = witnessed;
    }
    take(met, state, now, log, true);
}

/// What is found out of a log after the contact takes the place of what was known.
fn take(met: &mut Met, state: &StateFolder, now: Timestamp, log: LogState, after_writing: bool) {
    let memory = state.vault(met.client.root());
    let scene = Scene {
        vault: met.client.root(),
        now,
    };
    let log = counted(&memory, log, scene, after_writing);
    remember(&memory, &log);
    met.alarm = standing(&memory, &log, scene);
    met.log = log;
}

/// What a look at a vault has brought.
pub(crate) struct Looked {
    /// What it says of itself, if it is a vault.
    pub(crate) info: Option<Box<VaultInfo>>,
    /// How its log stands.
    pub(crate) log: LogState,
    /// The checkpoint that most witnesses have cosigned, where the log goes on from it.
    pub(crate) witnessed: Option<SignedCheckpoint>,
}

impl Looked {
    const fn unwitnessed(info: Option<Box<VaultInfo>>, log: LogState) -> Self {
        Self {
            info,
            log,
            witnessed: None,
        }
    }
}

/// Asks a vault for itself and for its log; remembers nothing.
pub(crate) fn look(client: &VaultClient, memory: &VaultMemory, scene: Scene<'_>) -> Looked {
    // Before anything is asked or listed: a log that is still the same then had no leaf since.
    let remembered = memory.log();
    let said = client.hello();
    let remembered = match remembered {
        Ok(None) => None,
        Ok(Some(bytes)) => match Remembered::parse(&bytes) {
            Ok(remembered) => Some(remembered),
            Err(error) => return Looked::unwitnessed(of(said), scene.damaged(&bytes, &error)),
        },
        Err(error) => return Looked::unwitnessed(of(said), LogState::Unseen(chain(&error))),
    };
    let log = match (said, remembered) {
        // Most REST servers are no vaults, and of one that is away its copy tells.
        (Hello::NoVault | Hello::Withheld(_) | Hello::Away(_), None) => LogState::None,
        (Hello::NoVault, Some(remembered)) => scene.gone(&remembered),
        (Hello::Withheld(error), Some(remembered)) => LogState::Withheld {
            remembered: Box::new(remembered),
            reason: chain(&error),
        },
        (Hello::Away(error), Some(remembered)) => LogState::Away {
            remembered: Box::new(remembered),
            reason: chain(&error),
        },
        (Hello::Vault(info), remembered) => {
            let (log, witnessed) = log(client, remembered, &info, scene);
            return Looked {
                info: Some(info),
                log,
                witnessed,
            };
        }
    };
    Looked::unwitnessed(None, log)
}

fn log(
    client: &VaultClient,
    remembered: Option<Remembered>,
    info: &VaultInfo,
    scene: Scene<'_>,
) -> (LogState, Option<SignedCheckpoint>) {
    let old = remembered.as_ref();
    let old = old.map_or(0, |log| log.last().checkpoint().size());
    let log = match client.consistency(old) {
        Ok(answer) => {
            let log = scene.judge(remembered, info, &answer);
            let witnessed = log.witnessed(&answer);
            return (log, witnessed);
        }
        Err(error) => match (remembered, error) {
            (None, error) => LogState::Unseen(chain(&error)),
            (Some(remembered), StoreError::Vault { status: 404, .. }) => scene.denied(&remembered),
            (Some(remembered), error) => LogState::Withheld {
                remembered: Box::new(remembered),
                reason: chain(&error),
            },
        },
    };
    (log, None)
}

/// Counts contacts without a proof, which become an alarm where they go on; `after_writing`, where
/// files had just been put there.
fn counted(memory: &VaultMemory, log: LogState, scene: Scene<'_>, after_writing: bool) -> LogState {
    let (remembered, reason) = match &log {
        LogState::Withheld { remembered, reason } => (remembered, reason),
        LogState::First(_) | LogState::Grown(_) => {
            told(memory.shown(true));
            return log;
        }
        LogState::Same(_) => {
            told(memory.shown(false));
            return log;
        }
        LogState::None | LogState::Unseen(_) | LogState::Away { .. } | LogState::Alarm(_) => {
            return log;
        }
    };
    match memory.withhold(scene.now, after_writing) {
        Ok(withheld) => scene.withheld(remembered, withheld, reason).unwrap_or(log),
        Err(error) => {
            told(Err(error));
            log
        }
    }
}

fn told(written: strongroom_engine::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(
            error = chain(&error),
            "What the log of a vault says is not remembered"
        );
    }
}

/// Keeps what was accepted; where that cannot be written, the next contact is none the worse.
fn remember(memory: &VaultMemory, log: &LogState) {
    let written = match log {
        LogState::First(new) | LogState::Grown(new) => memory.go_on(|before| {
            // Another process may have been here meanwhile, and have seen more.
            let before = before.and_then(|bytes| Remembered::parse(bytes).ok());
            let is_newer = before.is_none_or(|before| {
                let size = |log: &Remembered| log.last().checkpoint().size();
                before.key() == new.key() && size(&before) < size(new)
            });
            is_newer.then(|| new.to_string().into_bytes())
        }),
        LogState::Alarm(alarm) => memory.raise(alarm),
        LogState::None
        | LogState::Same(_)
        | LogState::Unseen(_)
        | LogState::Away { .. }
        | LogState::Withheld { .. } => Ok(()),
    };
    told(written);
}

/// The alarm that nobody has answered: an earlier one, which is the evidence, or that of now.
fn standing(memory: &VaultMemory, log: &LogState, scene: Scene<'_>) -> Option<VaultAlarm> {
    let new = match log {
        LogState::Alarm(alarm) => Some(alarm.as_ref().clone()),
        _ => None,
    };
    match memory.alarm() {
        Ok(standing) => standing.or(new),
        Err(error) => Some(new.unwrap_or_else(|| VaultAlarm {
            found: scene.now,
            vault: scene.vault.to_owned(),
            text: format!(
                "An alarm about {} stands that cannot be read: {}",
                scene.vault,
                chain(&error)
            ),
            hint: "see what is in the state folder, below vaults/".to_owned(),
            remembered: String::new(),
            came: None,
        })),
    }
}

/// What a vault says of itself, if it is one.
fn of(said: Hello) -> Option<Box<VaultInfo>> {
    match said {
        Hello::Vault(info) => Some(info),
        Hello::NoVault | Hello::Withheld(_) | Hello::Away(_) => None,
    }
}
