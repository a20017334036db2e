//! `strongroom unlock`.

use serde::Serialize;
use strongroom_engine::unlock::{UnlockReport, Which, unlock};
use strongroom_model::Id;

use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::visible;
use crate::table::Table;
use crate::words::count;

/// Remove the locks of dead processes
///
/// Removes locks whose process on this host has ended, and locks that nobody has renewed for half
/// an hour. Others are listed and kept: removing the lock of a running prune can destroy data.
///
/// A backup does the first by itself; this is for locks of other hosts and of restic. With --all
/// none is read, so that none is too many, and it goes on until none is left or Ctrl-C ends it.
///
/// Examples:
///   strongroom unlock
///   strongroom unlock --all     # when nothing is running anywhere, for certain
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Remove every lock, also those of processes that may live and files that are no locks
    #[arg(long)]
    all: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        let which = if self.all { Which::All } else { Which::Dead };
        let report = unlock(&opened.session, &opened.environment, which)?;
        let output = &context.output;
        let mut table = Table::new();
        for lock in &report.locks {
            output.object(&Message {
                message_type: "lock",
                copy: &lock.copy,
                id: lock.id,
                owner: &lock.text,
                outcome: word(lock.is_removed),
            })?;
            let (copy, text) = (lock.copy.clone(), visible(&lock.text));
            table.row([word(lock.is_removed).into(), copy.into(), text.into()]);
        }
        for (copy, removed) in &report.removed_unread {
            output.object(&Unread {
                message_type: "copy",
                copy,
                removed: *removed,
            })?;
            let files = count(*removed, "lock file", "lock files");
            table.row([word(true).into(), copy.clone().into(), files.into()]);
        }
        output.result(&table.to_string())?;
        if report.locks.is_empty() && report.removed_unread.is_empty() {
            output.say("No locks");
        }
        for (copy, failure) in &report.failures {
            let text = format!("{copy}: {}", failure.reason);
            output.warn(&text, failure.hint.as_deref());
        }
        output.object(&Summary::of(&report))?;
        Ok(Exit::of(
            report.failures.is_empty() && opened.has_all_copies(),
        ))
    }
}

const fn word(is_removed: bool) -> &'static str {
    if is_removed { "removed" } else { "kept" }
}

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    copy: &'a str,
    id: Id,
    owner: &'a str,
    outcome: &'static str,
}

/// How many lock files of a copy went unread.
#[derive(Serialize)]
struct Unread<'a> {
    message_type: &'static str,
    copy: &'a str,
    removed: u64,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    removed: u64,
    kept: u64,
}

impl Summary {
    fn of(report: &UnlockReport) -> Self {
        let removed = report.locks.iter().filter(|lock| lock.is_removed).count();
        let unread: u64 = report.removed_unread.values().sum();
        Self {
            message_type: "summary",
            removed: removed as u64 + unread,
            kept: (report.locks.len() - removed) as u64,
        }
    }
}
