//! `strongroom vault log`.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_ledger::{KeyKind, Remembered, SignedCheckpoint, Verifier};

use crate::commands::vault::Which;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, DOUBTFUL, GOOD};
use crate::table::{Cell, Table};
use crate::vaults::{AlarmMessage, Met, Witness, cosigned};
use crate::words::{cosigned_by, grouped, local_time};

/// A cosignature that is older is told as such; witnesses sign again after minutes.
const A_DAY_S: i64 = 24 * 60 * 60;

/// Show what this machine remembers of a vault's log, and whether the log goes on from it
///
/// The checkpoint that is remembered is a few hundred bytes: keep one elsewhere (--note), and an
/// audit can begin there: strongroom log verify --since
///
/// Witnesses are others who have seen the same checkpoint and signed it. They are named as the
/// checkpoint names them; whoever's key is given with --witness, or in log_witnesses of the copy, is
/// verified, and must have signed: the checkpoint that is remembered, or an earlier one that the
/// vault shows and that it goes on from.
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
        let mut asked = met.log_witnesses.clone();
        let more = self
            .witness
            .iter()
            .filter(|key| !met.log_witnesses.contains(key));
        asked.extend(more.cloned());
        let witnesses = cosigned(&met.checkpoints(last), &asked);
        output.data(&table(met, remembered.as_ref(), &witnesses).to_string())?;
        let missing = || witnesses.iter().filter(|witness| is_missing(witness));
        for witness in missing() {
            output.warn(&format!("{} has not signed it", witness.name), None);
        }
        let now = (context.environment().clock)();
        for witness in witnesses.iter().filter(|witness| is_stale(witness, now)) {
            let since = witness.at.map_or_else(String::new, local_time);
            let text = format!("{} has signed nothing since {since}", witness.name);
            let hint = "it may be away, or refuse what the log became: ask who runs it";
            output.warn(&text, Some(hint));
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
            witnesses_asked: witnesses.iter().filter(|witness| witness.is_asked).count(),
            witnesses_verified: witnesses.iter().filter(|witness| witness.verified).count(),
            alarm: met.alarm.as_ref().map(AlarmMessage::of),
        })?;
        Ok(match missing().next() {
            Some(_) => Exit::Failed,
            None => Exit::of(last.is_some()),
        })
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
    let asked = witnesses.iter().filter(|witness| witness.is_asked).count();
    if asked > 0 {
        let verified = witnesses.iter().filter(|witness| witness.verified).count();
        let cell = match verified == asked {
            true => Cell::styled(cosigned_by(verified, asked), GOOD),
            false => Cell::styled(cosigned_by(verified, asked), DOUBTFUL),
        };
        table.row(["cosigned".into(), cell]);
    }
    for witness in witnesses {
        let said = match (witness.verified, witness.at) {
            (true, Some(at)) => format!("{}, signed {}", witness.key, local_time(at)),
            (false, Some(at)) => {
                format!("{}, signed {}, not verified", witness.key, local_time(at))
            }
            (true, None) => format!("{}, signed", witness.key),
            (false, None) if witness.is_asked => format!("{}, has not signed", witness.key),
            (false, None) => format!("{}, not verified", witness.key),
        };
        table.row(["witness".into(), said.into()]);
    }
    table
}

fn is_missing(witness: &Witness) -> bool {
    witness.is_asked && !witness.verified
}

/// Whether it has signed and does not any more: a vault that shows another log than before cannot
/// but show old cosignatures.
fn is_stale(witness: &Witness, now: Timestamp) -> bool {
    let age_s = witness
        .at
        .map(|at| now.as_second().saturating_sub(at.as_second()));
    witness.is_asked && age_s.is_some_and(|age_s| age_s > A_DAY_S)
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
    witnesses_asked: usize,
    witnesses_verified: usize,
    alarm: Option<AlarmMessage<'a>>,
}
