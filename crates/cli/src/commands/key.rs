//! `strongroom key`.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::keys::{self, KeyReport};
use strongroom_model::Id;
use strongroom_repo::key::ScryptCost;

use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::visible;
use crate::password::{self, Ask};
use crate::table::Table;
use crate::{memory, words};

/// Add, list and remove passwords
///
/// Each password has a key file on every copy. The key that encrypts the data is the same under
/// all of them, so that adding a password re-encrypts nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Add a password, on every copy
///
/// The new password is read from a file, or asked for on the terminal.
///
/// Examples:
///   strongroom key add
///   strongroom key add --new-password-file /etc/strongroom/second-password
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
struct Add {
    /// A file whose first line is the new password
    #[arg(long, value_name = "PATH")]
    new_password_file: Option<PathBuf>,
}

/// List the keys: who made them, when, on which copies
///
/// The one that opened the repository in this run is marked "in use".
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct List {}

/// Remove a password, on every copy
///
/// This does not revoke it: who has an old version of the repository and the old password still
/// reads everything in it, because the key that encrypts the data stays the same. Against someone
/// who may have both, only a new repository helps.
///
/// A copy that is away keeps the key until it is back: sync then names it, and does not bring it to
/// the others. Remove it once more.
///
/// The key in use is never removed, so that the last one is not either.
///
/// Examples:
///   strongroom key list
///   strongroom key remove 3f1c2a9e
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
struct Remove {
    /// Its id, or the first digits of it
    id: String,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::Add(args) => args.run(context),
            Command::List(args) => args.run(context),
            Command::Remove(args) => args.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        let password = match &self.new_password_file {
            Some(path) => password::from_file(path, &context.output)?,
            None => password::from_person("New password: ", Ask::Twice)?,
        };
        let cost = ScryptCost::default();
        let report = keys::add(&opened.session, &password, cost, &opened.environment)?;
        let exit = tell(context, &report, "Added", "added")?;
        // Nothing was asked of the vaults before, so they are asked now.
        opened.vaults.tell_pending(&context.output);
        Ok(exit)
    }
}

impl List {
    fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        let list = keys::list(&opened.session);
        let output = &context.output;
        let mut table = Table::headed(&["id", "created", "user", "host", "copies", ""]);
        for key in &list.keys {
            output.object(&Message {
                message_type: "key",
                id: key.id,
                created: key.created,
                username: key.username.as_deref(),
                hostname: key.hostname.as_deref(),
                in_use: key.is_in_use,
                copies: &key.copies,
            })?;
            table.row([
                key.id.short().into(),
                key.created
                    .map(words::local_time)
                    .unwrap_or_default()
                    .into(),
                key.username.clone().unwrap_or_default().into(),
                key.hostname.clone().unwrap_or_default().into(),
                key.copies.join(",").into(),
                if key.is_in_use { "in use" } else { "" }.into(),
            ]);
        }
        output.data(&table.to_string())?;
        for problem in &list.problems {
            output.warn(&visible(problem), Some("strongroom verify"));
        }
        output.object(&ListSummary {
            message_type: "summary",
            keys: list.keys.len(),
            problems: &list.problems,
        })?;
        Ok(Exit::of(
            list.problems.is_empty() && opened.has_all_copies(),
        ))
    }
}

impl Remove {
    fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        opened.check_seal()?;
        let report = keys::remove(&opened.session, &self.id)?;
        memory::key_removed(&opened, report.id);
        let exit = tell(context, &report, "Removed", "removed")?;
        context.output.warn(
            "This does not revoke the password: old versions of the repository still open with it",
            None,
        );
        Ok(exit)
    }
}

fn tell(context: &Context, report: &KeyReport, did: &str, outcome: &'static str) -> Result<Exit> {
    let output = &context.output;
    let changed: Vec<_> = report
        .copies
        .iter()
        .filter(|(_, failure)| failure.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    output.result(&format!(
        "{did} key {} on {}\n",
        report.id.short(),
        changed.join(", ")
    ))?;
    for (name, failure) in &report.copies {
        if let Some(failure) = failure {
            let text = format!("{name} was not changed: {}", failure.reason);
            output.warn(&text, failure.hint.as_deref());
        }
    }
    let copies = report.copies.iter().map(|(name, failure)| CopySummary {
        name,
        outcome: if failure.is_none() { outcome } else { "failed" },
        reason: failure.as_ref().map(|failure| failure.reason.as_str()),
    });
    output.object(&Summary {
        message_type: "summary",
        id: report.id,
        copies: copies.collect(),
    })?;
    Ok(Exit::of(report.is_complete()))
}

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    id: Id,
    created: Option<Timestamp>,
    username: Option<&'a str>,
    hostname: Option<&'a str>,
    in_use: bool,
    copies: &'a [String],
}

#[derive(Serialize)]
struct ListSummary<'a> {
    message_type: &'static str,
    keys: usize,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    id: Id,
    copies: Vec<CopySummary<'a>>,
}

#[derive(Serialize)]
struct CopySummary<'a> {
    name: &'a str,
    outcome: &'static str,
    reason: Option<&'a str>,
}
