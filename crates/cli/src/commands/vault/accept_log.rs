//! `strongroom vault accept-log`: the one act that ends an alarm.
//!
//! **Security:** an attacker wants it to be done without thought. So what was and what is are shown
//! side by side, and whoever does it types what only the new log says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};

use serde::Serialize;
use strongroom_engine::session::chain;
use strongroom_ledger::{Remembered, SignedCheckpoint};
use strongroom_store::Hello;

use crate::commands::vault::Which;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::visible;
use crate::table::Table;
use crate::vaults::{Scene, first, look};
use crate::words::grouped;

/// The most that is read of what somebody types.
const LONGEST_LINE_BYTES: u64 = 4096;

/// Accept the log of a vault as it is, after an alarm
///
/// An alarm says that the log of a vault does not go on from what this machine remembers: it may
/// have been rewritten, set back, or be another one. The honest reasons are few: the vault was set
/// up anew, or restored from a backup of itself. Ask those who run it, by another way than the
/// vault, before you do this: it makes this machine trust whatever the vault shows now.
///
/// The two checkpoints that disagree are kept in the state folder, below vaults/; they are evidence.
///
/// It asks to type the size and the key of the new log. Where nobody can be asked, say
/// --yes-the-vault-was-restored.
///
/// Examples:
///   strongroom vault accept-log offsite
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long)]
    yes_the_vault_was_restored: bool,
}

/// What is to be remembered from now on.
struct Offer {
    /// `None` where there is no vault any more.
    log: Option<Remembered>,
    /// What has to be typed.
    word: String,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let chosen = self.which.choose(context)?;
        let vault = chosen.vault(&self.which)?;
        let memory = chosen.state.vault(vault.client.root());
        let output = &context.output;
        let now = (context.environment().clock)();
        let scene = Scene {
            vault: vault.client.root(),
            now,
        };
        let standing = memory.alarm();
        let is_standing = !matches!(standing, Ok(None));
        let state = look(&vault.client, &memory, scene).log;
        context.cancel.check()?;
        if !is_standing && state.word() != "alarm" {
            output.say("There is no alarm, and nothing to accept");
            return self.done(context, None, false);
        }
        let before = memory.log()?;
        let before = before.and_then(|bytes| Remembered::parse(&bytes).ok());
        let offer = self.offer(vault)?;
        if let Ok(Some(alarm)) = &standing {
            output.warn(&visible(&alarm.text), Some(&visible(&alarm.hint)));
        }
        output.data(&compared(before.as_ref(), offer.log.as_ref()))?;
        if !self.yes_the_vault_was_restored {
            ask(&offer.word)?;
        }
        let log = offer.log.as_ref().map(|log| log.to_string().into_bytes());
        memory.accept(log.as_deref())?;
        output.say("Accepted: this is what the log is compared with from now on");
        self.done(context, offer.log.as_ref(), true)
    }

    /// What the vault shows now.
    fn offer(&self, vault: &crate::vaults::VaultCopy) -> Result<Offer> {
        let unusable = |reason: String| self.which.not_a_vault(&reason);
        let info = match vault.client.hello() {
            Hello::Vault(info) => info,
            Hello::NoVault => {
                return Ok(Offer {
                    log: None,
                    word: self.which.copy.clone(),
                });
            }
            Hello::Withheld(error) | Hello::Away(error) => return Err(unusable(chain(&error))),
        };
        let answer = vault.client.consistency(0);
        let answer = answer.map_err(|error| unusable(chain(&error)))?;
        let log = first(&info, answer.checkpoint.as_bytes())
            .map_err(|reason| unusable(format!("its log cannot be believed: {reason}")))?;
        Ok(Offer {
            word: word(&log),
            log: Some(log),
        })
    }

    fn done(&self, context: &Context, log: Option<&Remembered>, accepted: bool) -> Result<Exit> {
        let state = log.map(|log| log.last().checkpoint());
        context.output.object(&Summary {
            message_type: "summary",
            copy: &self.which.copy,
            accepted,
            origin: state.map(|state| state.origin()),
            size: state.map(|state| state.size()),
            key: log.map(|log| log.key().label()),
        })?;
        Ok(Exit::Done)
    }
}

/// What only the new log says: its size, and the first digits of its key.
fn word(log: &Remembered) -> String {
    let key = log.key().id();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {key}", log.last().checkpoint().size())
}

fn compared(before: Option<&Remembered>, after: Option<&Remembered>) -> String {
    let mut table = Table::headed(&["", "remembered", "shown now"]);
    let row = |of: &dyn Fn(&Remembered) -> String| {
        let told = |log: Option<&Remembered>| log.map_or_else(|| "none".to_owned(), of);
        [told(before), told(after)]
    };
    let state = |log: &Remembered| log.last().checkpoint().clone();
    for (title, [before, after]) in [
        ("log", row(&|log| state(log).origin().to_owned())),
        ("key", row(&|log| log.key().label())),
        ("leaves", row(&|log| grouped(state(log).size()))),
        ("root", row(&|log| state(log).root().to_string())),
        ("cosigned", row(&|log| cosigned(log.last()))),
    ] {
        table.row([title.into(), before.into(), after.into()]);
    }
    table.to_string()
}

fn cosigned(last: &SignedCheckpoint) -> String {
    let origin = last.checkpoint().origin();
    let signatures = last.note().signatures().iter();
    let names: Vec<&str> = signatures
        .map(|signature| signature.name())
        .filter(|name| *name != origin)
        .collect();
    match names.is_empty() {
        true => "by nobody".to_owned(),
        false => format!("{}, not verified", names.join(", ")),
    }
}

/// Has somebody type the word.
fn ask(word: &str) -> Result<()> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| Error::NobodyToAsk)?;
    let asking = || Error::local("ask on the terminal");
    let prompt = format!("To accept what is shown now, type: {word}\n> ");
    terminal.write_all(prompt.as_bytes()).map_err(asking())?;
    let mut line = String::new();
    BufReader::new(terminal.take(LONGEST_LINE_BYTES))
        .read_line(&mut line)
        .map_err(asking())?;
    let typed: Vec<&str> = line.split_whitespace().collect();
    match typed == word.split_whitespace().collect::<Vec<_>>() {
        true => Ok(()),
        false => Err(Error::NotAccepted),
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    copy: &'a str,
    accepted: bool,
    origin: Option<&'a str>,
    size: Option<u64>,
    key: Option<String>,
}
