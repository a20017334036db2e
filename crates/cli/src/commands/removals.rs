//! `strongroom removals`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::removals::{Undecided, UndecidedState, change_trust};
use strongroom_engine::state::Trust;
use strongroom_model::Id;
use strongroom_repo::record::RemovedBy;

use crate::context::{Context, Opened};
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{DOUBTFUL, Output};
use crate::table::{Cell, Table};
use crate::words::{count, local_time, size};

/// How many removals are told to people.
const MOST_TOLD: usize = 100;

/// Say whose removals count on this machine, and see those of others
///
/// What another machine has removed is hidden here, an alarm in every run, and carried out 7 days
/// later, so that a forged removal can be taken back: strongroom forget --annul. Where several
/// machines share a repository, a person may accept a removal of another machine, or trust that
/// machine: then it counts here at once, as what this machine decides. That is said on this machine,
/// kept in its state folder, and told to no copy.
///
/// Without an option it tells this machine's fingerprint, whom it trusts, and which removals others
/// have decided or taken back, as long as anything of them lies on a copy. A machine is trusted by its
/// whole fingerprint, which strongroom removals tells there: in the list here anybody may be named who
/// has the repository's password. Whoever takes over a machine that is trusted removes here at once,
/// where nothing is locked.
///
/// With --strangers ignore nothing counts that no trusted machine has signed: no removal, no
/// annulment, no hold. That is for who shares the repository with machines that he trusts alone, when
/// somebody fills it with records.
///
/// Examples:
///   strongroom removals
///   strongroom removals --accept 9f86d081
///   strongroom removals --trust 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
///   strongroom removals --strangers ignore
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Let these removals count at once, whoever wrote them and whoever takes them back; their ids, or
    /// the first digits where no other record begins so
    #[arg(long, value_name = "RECORD", num_args = 1..)]
    accept: Vec<String>,
    /// Let count at once what these machines have signed; whole fingerprints
    #[arg(long, value_name = "MACHINE", num_args = 1..)]
    trust: Vec<Id>,
    /// Trust these machines no longer
    #[arg(long, value_name = "MACHINE", num_args = 1.., conflicts_with = "trust")]
    distrust: Vec<Id>,
    /// Whether anything counts that no trusted machine has signed
    #[arg(long)]
    strangers: Option<Strangers>,
}

/// What becomes of what no trusted machine has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Strangers {
    /// It is hidden at once and carried out 7 days later; nothing else was said
    Hear,
    /// It counts for nothing
    Ignore,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open()?;
        if self.says_anything() {
            self.say(&context.output, &mut opened)?;
            context.note_removals(&opened.session);
        }
        let machine = opened.state.client_key()?.id();
        let trust = opened.memory().trust();
        let undecided = opened.session.removals.undecided(&opened.session);
        tell(&context.output, machine, &trust, &undecided)?;
        Ok(Exit::of(opened.has_all_copies()))
    }

    fn says_anything(&self) -> bool {
        let is_silent = self.accept.is_empty() && self.trust.is_empty() && self.distrust.is_empty();
        !is_silent || self.strangers.is_some()
    }

    fn say(&self, output: &Output, opened: &mut Opened) -> Result<()> {
        let removals = &opened.session.removals;
        let accepted = self.accept.iter();
        let accepted = accepted.map(|wanted| removals.resolve_surely(wanted));
        let accepted = accepted.collect::<strongroom_engine::Result<BTreeSet<Id>>>()?;
        let now = (opened.environment.clock)();
        let memory = opened.memory();
        change_trust(&mut opened.session, &memory, |trust| {
            for record in &accepted {
                trust.removals.entry(*record).or_insert(now);
            }
            for machine in &self.trust {
                trust.machines.entry(*machine).or_insert(now);
            }
            for machine in &self.distrust {
                trust.machines.remove(machine);
            }
            if let Some(strangers) = self.strangers {
                trust.ignores_strangers = strangers == Strangers::Ignore;
            }
        })?;
        for record in accepted {
            output.say(&format!("The removal {record} counts here from now on"));
        }
        Ok(())
    }
}

fn tell(output: &Output, machine: Id, trust: &Trust, undecided: &[Undecided]) -> Result<()> {
    let mut table = Table::new();
    table.row(["this machine".into(), machine.to_string().into()]);
    for (machine, since) in &trust.machines {
        let since = format!("since {}", local_time(*since));
        table.row(["trusted".into(), machine.to_string().into(), since.into()]);
    }
    if trust.ignores_strangers {
        table.row(["strangers".into(), "count for nothing".into()]);
    }
    output.result(&table.to_string())?;
    for one in undecided {
        output.object(&Message::of(one))?;
    }
    for one in undecided.iter().take(MOST_TOLD) {
        output.result(&format!("\n{}", lines(one)))?;
    }
    let more = undecided.len().saturating_sub(MOST_TOLD) as u64;
    if more > 0 {
        let more = count(more, "removal more", "removals more");
        output.say(&format!("{more}: strongroom --json removals"));
    }
    output.object(&Summary {
        message_type: "summary",
        machine,
        trusted: trust.machines.iter().map(Trusted::of).collect(),
        ignores_strangers: trust.ignores_strangers,
        accepted: trust.removals.keys().copied().collect(),
        removals: undecided.len(),
    })
}

/// A removal, in lines of its own: an id is as long as a line.
fn lines(one: &Undecided) -> Table {
    let mut table = Table::new();
    let word = match (one.state, one.due_from) {
        (UndecidedState::Waits, Some(from)) => {
            Cell::styled(format!("waits until {}", local_time(from)), DOUBTFUL)
        }
        (UndecidedState::Waits, None) => Cell::styled("waits", DOUBTFUL),
        (UndecidedState::Due, _) => "is carried out".into(),
        (UndecidedState::TakenBack, _) => Cell::styled("taken back", DOUBTFUL),
        (UndecidedState::Ignored, _) => "counts for nothing".into(),
    };
    table.row(["removal".into(), one.record.to_string().into(), word]);
    let signer = one.signer.map(|signer| signer.to_string());
    let signer = signer.unwrap_or_else(|| "nobody".to_owned());
    table.row(["signed by".into(), signer.into()]);
    let said = format!("{} at {}, by {}", one.host, local_time(one.at), one.by);
    table.row(["says it is of".into(), said.into()]);
    let snapshots = count(one.snapshots as u64, "snapshot", "snapshots");
    let others = count(one.others as u64, "other file", "other files");
    table.row(["names".into(), format!("{snapshots}, {others}").into()]);
    let left = count(one.left, "file", "files");
    let left = format!("{left}, {}", size(one.left_bytes));
    table.row(["of which lie here".into(), left.into()]);
    table
}

/// A removal, as `--json` tells it.
#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    record: Id,
    signer: Option<Id>,
    host: &'a str,
    by: RemovedBy,
    at: Timestamp,
    snapshots: usize,
    others: usize,
    left: u64,
    left_bytes: u64,
    seen: Option<Timestamp>,
    due_from: Option<Timestamp>,
    state: &'static str,
}

impl<'a> Message<'a> {
    fn of(one: &'a Undecided) -> Self {
        Self {
            message_type: "removal",
            record: one.record,
            signer: one.signer,
            host: &one.host,
            by: one.by,
            at: one.at,
            snapshots: one.snapshots,
            others: one.others,
            left: one.left,
            left_bytes: one.left_bytes,
            seen: one.seen,
            due_from: one.due_from,
            state: match one.state {
                UndecidedState::Waits => "waits",
                UndecidedState::Due => "due",
                UndecidedState::TakenBack => "taken_back",
                UndecidedState::Ignored => "ignored",
            },
        }
    }
}

/// Whose removals count here, as `--json` tells it.
#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    machine: Id,
    trusted: Vec<Trusted>,
    ignores_strangers: bool,
    accepted: Vec<Id>,
    removals: usize,
}

#[derive(Serialize)]
struct Trusted {
    machine: Id,
    since: Timestamp,
}

impl Trusted {
    fn of((machine, since): (&Id, &Timestamp)) -> Self {
        Self {
            machine: *machine,
            since: *since,
        }
    }
}
