//! `strongroom log`.
//!
//! Needs no configuration, password or vault: a log's files and its key are enough.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use strongroom_ledger::approvals::Complaint;
use strongroom_ledger::audit::Report;
use strongroom_ledger::{
    Approvals, Approved, Checkpoint, SignedCheckpoint, Verifier, audit_entries,
};
use strongroom_model::chain;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, GOOD, Output, visible};
use crate::table::{Cell, Table};
use crate::words::{count, grouped, size};

/// Check the log of a vault
///
/// A vault writes whatever it does into a log that can be added to and not changed without being
/// seen. Its format is public, and described in docs/log.md.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
}

/// Audit a log by its files alone
///
/// Hashes every entry, compares it with the tiles, the tiles with the signed root, and verifies the
/// signature. What is wrong is named: which file, from which leaf on.
///
/// The key is printed by strongroom-vault log key on the vault's own machine, and lies there in
/// keys/log.pub; it looks like vault.example/log+9430bab4+AepK… Keep it where the vault is not.
/// Without it, files and checkpoint may be sound and still not the vault's: whoever wrote them may
/// have signed them himself.
///
/// An audit cannot see that a log was rewritten as a whole by somebody who has its key. Who kept an
/// earlier checkpoint can: --since.
///
/// With --approvals it also reads what the leaves say, and checks who agreed to what: that each yes was
/// signed by a passkey which its operator had then, to these very contents, on the vault's own page;
/// that whatever was done by an operation had as many yeses as it took and had waited for as long as
/// it had to; and that nothing was done that takes one and names none. What is wrong is named by its
/// leaf, with what to do next. Of a vault that has begun another log, --earlier names those before.
///
/// The exit status is 0 where all is sound, 1 where anything is wrong, and 3 where nothing is, but
/// no key was given.
///
/// Examples:
///   strongroom log verify /var/lib/strongroom-vault/log --key vault.example/log+9430bab4+AepK…
///   strongroom log verify log --key "$KEY" --since checkpoint-of-last-year
///   strongroom log verify log --key "$KEY" --approvals
///   strongroom log verify log~2 --key "$KEY_2" --approvals --earlier log
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
struct Verify {
    /// The folder that holds the log: `checkpoint` and `tile`
    dir: PathBuf,
    /// The public key of the log
    #[arg(long, value_name = "VKEY", value_parser = parse_key)]
    key: Option<Verifier>,
    /// An earlier checkpoint of the log, which it must go on from
    #[arg(long, value_name = "PATH", requires = "key")]
    since: Option<PathBuf>,
    /// Check who agreed to what, too: each yes, and each act that takes some
    #[arg(long)]
    approvals: bool,
    /// The folder of a log that this one goes on from; of several, the oldest first
    #[arg(long, value_name = "DIR", requires = "approvals")]
    earlier: Vec<PathBuf>,
}

/// What was found.
struct Found {
    report: Report,
    /// Who agreed to what, where that was asked for.
    approved: Option<Approved>,
    /// The logs before it that are not sound.
    wrong_before: Vec<(PathBuf, Report)>,
}

impl Found {
    fn is_sound(&self) -> bool {
        let are_agreed = self.approved.as_ref().is_none_or(Approved::is_sound);
        self.report.is_sound() && self.wrong_before.is_empty() && are_agreed
    }
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::Verify(verify) => verify.run(&context.output),
        }
    }
}

impl Verify {
    fn run(self, output: &Output) -> Result<Exit> {
        let since = match (&self.since, &self.key) {
            (Some(path), Some(key)) => Some(kept(path, key)?),
            _ => None,
        };
        let since = since.as_ref().map(SignedCheckpoint::checkpoint);
        let found = self.audit(since);
        self.tell(output, &found)?;
        Ok(match found.is_sound() {
            true => Exit::of(found.report.is_signed),
            false => Exit::Failed,
        })
    }

    fn audit(&self, since: Option<&Checkpoint>) -> Found {
        let mut approvals = self.approvals.then(Approvals::default);
        let mut read = |place: u64, entry: &[u8]| {
            if let Some(approvals) = &mut approvals {
                approvals.read(entry, place);
            }
        };
        let mut wrong_before = Vec::new();
        for dir in &self.earlier {
            let report = audit_entries(dir, None, None, &mut read);
            if !report.is_sound() {
                wrong_before.push((dir.clone(), report));
            }
        }
        Found {
            report: audit_entries(&self.dir, self.key.as_ref(), since, &mut read),
            approved: approvals.map(|approvals| approvals.found()),
            wrong_before,
        }
    }

    fn tell(&self, output: &Output, found: &Found) -> Result<()> {
        let report = &found.report;
        let mut table = Table::new();
        if let Some(state) = &report.checkpoint {
            let word = match report.is_sound() {
                true => Cell::styled("sound", GOOD),
                false => Cell::styled("wrong", BAD),
            };
            table.row([state.origin().into(), word]);
            table.row(["leaves".into(), grouped(state.size()).into()]);
            table.row(["root".into(), state.root().to_string().into()]);
        }
        if let Some(key) = self.key.as_ref().filter(|_| report.is_signed) {
            table.row(["signed by".into(), key.label().into()]);
        }
        if let Some(since) = report.since {
            let text = count(since, "leaf", "leaves");
            table.row(["goes on from".into(), text.into()]);
        }
        let files = count(report.files, "file", "files");
        let checked = format!("{files} with {}", size(report.bytes));
        table.row(["checked".into(), checked.into()]);
        if let Some(approved) = &found.approved {
            tell_approved(&mut table, approved);
        }
        output.result(&table.to_string())?;
        for fault in &report.faults {
            let problem = chain(fault);
            output.warn(&visible(&problem), fault.hint().as_deref());
            output.object(&Fault {
                message_type: "fault",
                file: fault.file(),
                leaf: fault.leaf(),
                problem,
            })?;
        }
        if report.is_cut {
            output.warn("There is more that is wrong", None);
        }
        if let [first, ..] = report.leftovers.as_slice() {
            let text = format!("The checkpoint does not speak of all files: {first}");
            let hint = "where no vault writes at this moment, an earlier checkpoint may have been \
                        put back: compare with one that you kept, --since PATH";
            output.warn(&visible(&text), Some(hint));
        }
        if self.key.is_none() && report.is_sound() {
            let hint = "say --key VKEY, with the key that strongroom-vault log key prints on the \
                        vault's machine";
            output.warn("Nobody knows whose log it is: no key was given", Some(hint));
        }
        for (dir, report) in &found.wrong_before {
            let fault = report
                .faults
                .first()
                .map_or_else(String::new, |fault| chain(fault));
            let text = format!("The earlier log in {} is not sound: {fault}", dir.display());
            output.warn(
                &visible(&text),
                Some("verify it by itself, with its own key"),
            );
            output.object(&Fault {
                message_type: "fault",
                file: None,
                leaf: None,
                problem: text,
            })?;
        }
        if let Some(approved) = &found.approved {
            tell_complaints(output, approved)?;
        }
        output.object(&Summary::of(found))
    }
}

/// How many operations there were, and how many yeses.
fn tell_approved(table: &mut Table, approved: &Approved) {
    let word = match approved.is_sound() {
        true => Cell::styled("sound", GOOD),
        false => Cell::styled("wrong", BAD),
    };
    table.row(["approvals".into(), word]);
    let operations = [
        (approved.asked, "asked"),
        (approved.approved, "approved"),
        (approved.done, "done"),
        (approved.ended, "ended"),
        (approved.open, "open"),
    ];
    let operations = operations.map(|(number, word)| format!("{} {word}", grouped(number)));
    table.row(["operations".into(), operations.join(", ").into()]);
    let yeses = format!("{} verified", grouped(approved.yeses));
    table.row(["yeses".into(), yeses.into()]);
}

fn tell_complaints(output: &Output, approved: &Approved) -> Result<()> {
    for complaint in &approved.complaints {
        let Complaint { leaf, problem } = complaint;
        output.warn(&visible(&complaint.to_string()), Some(problem.hint()));
        output.object(&Complained {
            message_type: "complaint",
            leaf: *leaf,
            problem: problem.to_string(),
            hint: problem.hint(),
        })?;
    }
    let listed = approved.complaints.len() as u64;
    let more = approved.complaint_count.saturating_sub(listed);
    if more > 0 {
        let text = format!("There are {} more complaints", grouped(more));
        output.warn(&text, None);
    }
    Ok(())
}

fn parse_key(text: &str) -> std::result::Result<Verifier, String> {
    text.parse()
        .map_err(|error: strongroom_ledger::Error| error.to_string())
}

/// An earlier checkpoint that somebody kept.
fn kept(path: &Path, key: &Verifier) -> Result<SignedCheckpoint> {
    SignedCheckpoint::kept(path, key).map_err(|error| match error {
        strongroom_ledger::Error::Read { file, source } => {
            Error::local(format!("read {file}"))(source)
        }
        source => Error::Checkpoint {
            path: path.to_owned(),
            source,
        },
    })
}

#[derive(Serialize)]
struct Fault<'a> {
    message_type: &'static str,
    file: Option<&'a str>,
    leaf: Option<u64>,
    problem: String,
}

#[derive(Serialize)]
struct Complained {
    message_type: &'static str,
    leaf: u64,
    problem: String,
    hint: &'static str,
}

#[derive(Serialize)]
struct ApprovedSummary {
    asked: u64,
    approved: u64,
    done: u64,
    ended: u64,
    open: u64,
    yeses: u64,
    complaint_count: u64,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    sound: bool,
    signed: bool,
    origin: Option<&'a str>,
    size: Option<u64>,
    root: Option<String>,
    since: Option<u64>,
    files: u64,
    bytes: u64,
    fault_count: usize,
    cut: bool,
    leftovers: &'a [String],
    approvals: Option<ApprovedSummary>,
}

impl<'a> Summary<'a> {
    fn of(found: &'a Found) -> Self {
        let report = &found.report;
        let state = report.checkpoint.as_ref();
        Self {
            message_type: "summary",
            sound: report.is_sound(),
            signed: report.is_signed,
            origin: state.map(|state| state.origin()),
            size: state.map(|state| state.size()),
            root: state.map(|state| state.root().to_string()),
            since: report.since,
            files: report.files,
            bytes: report.bytes,
            fault_count: report.faults.len(),
            cut: report.is_cut,
            leftovers: &report.leftovers,
            approvals: found.approved.as_ref().map(|approved| ApprovedSummary {
                asked: approved.asked,
                approved: approved.approved,
                done: approved.done,
                ended: approved.ended,
                open: approved.open,
                yeses: approved.yeses,
                complaint_count: approved.complaint_count,
            }),
        }
    }
}
