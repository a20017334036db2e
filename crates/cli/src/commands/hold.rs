//! `strongroom hold`, and what it shares with `strongroom release`.

use serde::Serialize;
use strongroom_engine::holds;
use strongroom_engine::removals::Published;
use strongroom_model::Id;
use strongroom_model::holds::Hold;

use crate::commands::snapshots::{load, resolve};
use crate::context::{Context, Opened};
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::Output;
use crate::removed;

/// How long a reason may be, in bytes.
const MOST_WHY_BYTES: usize = 1000;

/// Keep a snapshot, whatever the plan says
///
/// No forget removes a snapshot that is held, by the plan or by name, on this machine or on any other
/// that syncs with these copies; only strongroom release ends that. A removal that names it does not
/// count any more: what is left of the snapshot is listed again, and a sync brings it back to every
/// copy.
///
/// The list of what is held is kept in the state folder, and sealed on every copy; the exit status is
/// 3 where a copy that has a place for it did not take it.
///
/// Examples:
///   strongroom hold latest:repos --why "audit of 2026"
///   strongroom hold 3f1c2d4e
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// The snapshot: `latest`, `latest:SOURCE`, its id, or the first digits of it
    snapshot: String,
    /// Why, for whoever wonders later
    #[arg(long, value_name = "TEXT", value_parser = why)]
    why: Option<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open()?;
        let snapshot = self.find(context, &opened)?;
        let hold = Hold {
            since: (opened.environment.clock)(),
            why: self.why.unwrap_or_default(),
        };
        let memory = opened.memory();
        let published = holds::hold(&mut opened.session, &memory, snapshot, hold)?;
        context.note_removals(&opened.session);
        let output = &context.output;
        output.result(&format!("Snapshot {} is held\n", snapshot.short()))?;
        tell(output, snapshot, true, Some(&published))
    }

    /// One that is hidden by a record is in no list, and can be held by its whole id.
    fn find(&self, context: &Context, opened: &Opened) -> Result<Id> {
        let snapshots = load(context, &opened.session)?;
        match resolve(opened, &snapshots, &self.snapshot, "strongroom hold ID") {
            Ok(found) => Ok(found.id),
            Err(error) => self.snapshot.parse().map_err(|_| error),
        }
    }
}

/// Reads a reason of a length that fits a list.
fn why(text: &str) -> std::result::Result<String, String> {
    match text.len() > MOST_WHY_BYTES {
        true => Err(format!("say it in {MOST_WHY_BYTES} bytes")),
        false => Ok(text.to_owned()),
    }
}

/// Tells which copies could not take the list, and what came of the command.
pub(super) fn tell(
    output: &Output,
    snapshot: Id,
    is_held: bool,
    published: Option<&Published>,
) -> Result<Exit> {
    let not_on = published.map(|published| published.not_on.as_slice());
    let not_on = not_on.unwrap_or_default();
    removed::warn_without_record(output, not_on);
    output.object(&Summary {
        message_type: "summary",
        snapshot,
        held: is_held,
        record: published.map(|published| published.record),
        not_on: not_on.iter().map(|(name, _)| name.as_str()).collect(),
    })?;
    Ok(Exit::of(published.is_none_or(Published::is_complete)))
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    snapshot: Id,
    held: bool,
    record: Option<Id>,
    not_on: Vec<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_bound() {
        assert_eq!(why("audit").unwrap(), "audit");
        assert!(why(&"a".repeat(MOST_WHY_BYTES + 1)).is_err());
    }
}
