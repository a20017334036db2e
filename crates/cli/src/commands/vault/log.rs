//! `strongroom vault log`.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_ledger::{KeyKind, NoteSignature, Remembered, SignedCheckpoint, Verifier};

use crate::commands::vault::Which;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, DOUBTFUL, GOOD};
use crate::table::{Cell, Table};
use crate::vaults::{AlarmMessage, Met};
use crate::words::{grouped, local_time};

/// Show what this machine remembers of a vault's log, and whether the log goes on from it
///
/// The checkpoint that is remembered is a few hundred bytes: keep one elsewhere (--note), and an
/// audit can begin there: strongroom log verify --since
///
/// Witnesses are others who have seen the same checkpoint and signed it. They are named as the
/// checkpoint names them; whoever's key is given with --witness is verified, and must have signed.
///
/// Examples:
///   strongroom vault log offsite
///   strongroom vault log offsite --note > checkpoint
///   strongroom vault log offsite --witness "$WITNESS_KEY"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Write the remembered checkpoint as it was signed, and nothing else
    #[arg(long)]
    note: bool,
    /// The key of a witness that must have signed
    #[arg(long, value_name = "VKEY", value_parser = parse_witness)]
    witness: Vec<Verifier>,
}

/// Who has signed a checkpoint beside its log.
#[derive(Serialize)]
struct Witness {
    name: String,
    key: String,
    /// When, as the signature says.
    at: Option<Timestamp>,
    verified: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let vaults = self.which.meet(context)?;
        let output = &context.output;
        let Some(met) = vaults.met.first() else {
            return Err(self.which.not_a_vault("no vault answers there"));
        };
        let remembered = remembered(context, &self.which)?;
        let last = remembered.as_ref().map(Remembered::last);
        if self.note {
            let note = last.map(|last| last.note().to_string());
            output.data(&note.unwrap_or_default())?;
            return Ok(Exit::of(last.is_some()));
        }
        let witnesses = last.map_or_else(Vec::new, |last| self.witnesses(last));
        output.data(&table(met, remembered.as_ref(), &witnesses).to_string())?;
        for witness in witnesses.iter().filter(|witness| self.is_missing(witness)) {
            output.warn(&format!("{} has not signed it", witness.name), None);
        }
        let state = last.map(SignedCheckpoint::checkpoint);
        output.object(&Summary {
            message_type: "summary",
            copy: &met.copy,
            at: met.client.root(),
            log: met.log.word(),
            origin: state.map(|state| state.origin()),
            key: remembered.as_ref().map(|log| log.key().to_string()),
            size: state.map(|state| state.size()),
            root: state.map(|state| state.root().to_string()),
            witnesses: &witnesses,
            alarm: met.alarm.as_ref().map(AlarmMessage::of),
        })?;
        let is_missing = witnesses.iter().any(|witness| self.is_missing(witness));
        Ok(match is_missing {
            true => Exit::Failed,
            false => Exit::of(last.is_some()),
        })
    }

    /// All that signed, and those that should have.
    fn witnesses(&self, last: &SignedCheckpoint) -> Vec<Witness> {
        let mut witnesses: Vec<Witness> = self
            .witness
            .iter()
            .map(|key| {
                let at = last.witnessed_at(key).ok();
                Witness {
                    name: key.name().to_owned(),
                    key: key.label(),
                    at: at.and_then(time),
                    verified: at.is_some(),
                }
            })
            .collect();
        let origin = last.checkpoint().origin();
        let others = last.note().signatures().iter().filter(|signature| {
            let is_known = self.witness.iter().any(|key| key.is_named_by(signature));
            signature.name() != origin && !is_known
        });
        witnesses.extend(others.map(|signature| Witness {
            name: signature.name().to_owned(),
            key: label(signature),
            at: claimed(signature),
            verified: false,
        }));
        witnesses
    }

    fn is_missing(&self, witness: &Witness) -> bool {
        let is_asked = self.witness.iter().any(|key| key.label() == witness.key);
        is_asked && !witness.verified
    }
}

fn remembered(context: &Context, which: &Which) -> Result<Option<Remembered>> {
    let chosen = which.choose(context)?;
    let memory = chosen.state.vault(chosen.vault(which)?.client.root());
    let bytes = memory.log()?;
    // One that cannot be read was told as an alarm.
    Ok(bytes.and_then(|bytes| Remembered::parse(&bytes).ok()))
}

fn table(met: &Met, remembered: Option<&Remembered>, witnesses: &[Witness]) -> Table {
    let mut table = Table::new();
    let state = match (&met.alarm, remembered) {
        (Some(_), _) => Cell::styled("alarm", BAD),
        (None, None) => Cell::styled("not remembered", DOUBTFUL),
        (None, Some(_)) if met.log.remembered().is_some() => Cell::styled("goes on", GOOD),
        (None, Some(_)) => Cell::styled("not seen this time", DOUBTFUL),
    };
    table.row(["vault".into(), met.client.root().into(), state]);
    let Some(log) = remembered else {
        return table;
    };
    let state = log.last().checkpoint();
    table.row(["log".into(), state.origin().into()]);
    table.row(["key".into(), log.key().to_string().into()]);
    table.row(["leaves".into(), grouped(state.size()).into()]);
    table.row(["root".into(), state.root().to_string().into()]);
    for witness in witnesses {
        let said = match (witness.verified, witness.at) {
            (true, Some(at)) => format!("{}, signed {}", witness.key, local_time(at)),
            (false, Some(at)) => {
                format!("{}, signed {}, not verified", witness.key, local_time(at))
            }
            (true, None) => format!("{}, signed", witness.key),
            (false, None) => format!("{}, not verified", witness.key),
        };
        table.row(["witness".into(), said.into()]);
    }
    table
}

fn parse_witness(text: &str) -> std::result::Result<Verifier, String> {
    let key: Verifier = text
        .parse()
        .map_err(|error: strongroom_ledger::Error| error.to_string())?;
    match key.kind() {
        KeyKind::Witness => Ok(key),
        KeyKind::Log => Err("this is the key of a log, and not of a witness".to_owned()),
    }
}

fn label(signature: &NoteSignature) -> String {
    let [a, b, c, d] = signature.key_id();
    format!("{}+{a:02x}{b:02x}{c:02x}{d:02x}", signature.name())
}

/// The time that a cosignature carries; whether it is one is not known.
fn claimed(signature: &NoteSignature) -> Option<Timestamp> {
    let (seconds, rest) = signature.bytes().split_first_chunk()?;
    (rest.len() == 64).then(|| time(u64::from_be_bytes(*seconds)))?
}

fn time(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    copy: &'a str,
    at: &'a str,
    log: &'static str,
    origin: Option<&'a str>,
    key: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    witnesses: &'a [Witness],
    alarm: Option<AlarmMessage<'a>>,
}
