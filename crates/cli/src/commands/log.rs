//! `strongroom log`.
//!
//! Needs no configuration, password or vault: a log's files and its key are enough.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use strongroom_ledger::audit::Report;
use strongroom_ledger::{SignedCheckpoint, Verifier, audit};
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
/// The exit status is 0 where all is sound, 1 where anything is wrong, and 3 where nothing is, but
/// no key was given.
///
/// Examples:
///   strongroom log verify /var/lib/strongroom-vault/log --key vault.example/log+9430bab4+AepK…
///   strongroom log verify log --key "$KEY" --since checkpoint-of-last-year
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
        let report = audit(&self.dir, self.key.as_ref(), since);
        self.tell(output, &report)?;
        Ok(match report.is_sound() {
            true => Exit::of(report.is_signed),
            false => Exit::Failed,
        })
    }

    fn tell(&self, output: &Output, report: &Report) -> Result<()> {
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
        output.object(&Summary::of(report))
    }
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
}

impl<'a> Summary<'a> {
    fn of(report: &'a Report) -> Self {
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
        }
    }
}
