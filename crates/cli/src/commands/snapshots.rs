//! `strongroom snapshots`, and how other commands name one.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::Session;
use strongroom_engine::snapshots::{Filter, FoundSnapshot, Snapshots};
use strongroom_model::Id;
use strongroom_model::holds::Hold;
use strongroom_repo::snapshot::{SOURCE_TAG_PREFIX, Summary as BackupSummary};

use crate::context::{Context, Opened};
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::visible;
use crate::table::{Cell, Table};
use crate::{memory, words};

/// List the snapshots
///
/// Lists what any copy holds, the oldest first, with the copies that hold it.
/// A snapshot that no copy can show is named, and the exit status is 3; so it is where a copy
/// cannot be read, since it may hold snapshots that no other does, and where a newer snapshot of a
/// source is known here than any copy shows.
///
/// What a forget has removed is not listed, wherever it still lies. Where snapshots are held, a column
/// says so, with the reason.
///
/// Examples:
///   strongroom snapshots
///   strongroom snapshots --source repos --host web-1
///   strongroom --json snapshots --tag before-upgrade
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Only of this source; may be given several times
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// Only made by this host; may be given several times
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Only with this tag; may be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only of this path; may be given several times
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        let snapshots = load(context, &opened.session)?;
        let output = &context.output;
        let filter = Filter {
            hosts: self.host,
            sources: self.source,
            tags: self.tag,
            paths: self.path,
        };
        let holds = opened.session.removals.holds();
        let is_held = |one: &FoundSnapshot| holds.held(one.id).is_some();
        let any_held = snapshots.matching(&filter).any(is_held);
        let mut titles = vec!["id", "time", "host", "source", "size", "copies", "paths"];
        if any_held {
            titles.push("held");
        }
        let mut table = Table::headed(&titles).right(&[4]);
        let mut count = 0;
        let unseen = memory::unseen_snapshots(&opened, &snapshots);
        let withheld = snapshots.all_withheld(&unseen);
        for newer in &withheld {
            output.warn(&visible(&newer.to_string()), Some(&newer.hint()));
        }
        for found in snapshots.matching(&filter) {
            count += 1;
            let hold = holds.held(found.id);
            output.object(&Message::of(found, hold))?;
            let snapshot = &found.snapshot;
            let bytes = snapshot
                .summary
                .as_ref()
                .map(|summary| summary.total_bytes_processed);
            let row: [Cell; 7] = [
                found.id.short().into(),
                words::local_time(snapshot.time).into(),
                snapshot.hostname.clone().into(),
                snapshot.source().unwrap_or("-").into(),
                bytes.map_or_else(|| "-".to_owned(), words::size).into(),
                found.copies.join(",").into(),
                snapshot.paths.join(" ").into(),
            ];
            table.row(row.into_iter().chain(any_held.then(|| held(hold).into())));
        }
        if count > 0 {
            output.data(&table.to_string())?;
        } else {
            output.say("No snapshot");
        }
        output.object(&Summary {
            message_type: "summary",
            snapshots: count,
            problems: &snapshots.problems,
            withheld: withheld.iter().map(|newer| newer.id).collect(),
        })?;
        Ok(Exit::of(
            snapshots.problems.is_empty() && withheld.is_empty() && opened.has_all_copies(),
        ))
    }
}

/// What is told of a hold in one cell.
fn held(hold: Option<&Hold>) -> String {
    match hold {
        None => String::new(),
        Some(hold) if hold.why.is_empty() => "held".to_owned(),
        Some(hold) => format!("held: {}", hold.why),
    }
}

/// The snapshot that is meant by `latest`, `latest:SOURCE`, an id or its first digits; `usage` is
/// the command that asks, with ID for the snapshot.
///
/// # Errors
/// [`Error::Withheld`] where `latest` would be an older one than is known to exist: a copy that
/// hides its newest snapshot must not make an old state pass for the last one.
pub(crate) fn resolve<'s>(
    opened: &Opened,
    snapshots: &'s Snapshots,
    wanted: &str,
    usage: &str,
) -> Result<&'s FoundSnapshot> {
    let found = snapshots.resolve(wanted);
    let unseen = memory::unseen_snapshots(opened, snapshots);
    let Some(newer) = snapshots.withheld(wanted, &unseen) else {
        return Ok(found?);
    };
    Err(Error::Withheld {
        newer: Box::new(newer.clone()),
        usage: usage.to_owned(),
        here: found.ok().map(|found| (found.id, found.time())),
    })
}

/// Reads all snapshots, and warns of what is none, and of copies that do not open by themselves.
pub(crate) fn load(context: &Context, session: &Session) -> Result<Snapshots> {
    for flaw in session.flaws() {
        let text = visible(&flaw.to_string());
        context.output.warn(&text, Some(flaw.hint()));
    }
    let snapshots = Snapshots::load(session, &context.cancel)?;
    for problem in &snapshots.problems {
        context
            .output
            .warn(&visible(problem), Some("strongroom verify"));
    }
    Ok(snapshots)
}

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    id: Id,
    time: Timestamp,
    source: Option<&'a str>,
    hostname: &'a str,
    username: &'a str,
    paths: &'a [String],
    tags: Vec<&'a str>,
    tree: Id,
    parent: Option<Id>,
    copies: &'a [String],
    summary: Option<&'a BackupSummary>,
    held: Option<&'a Hold>,
}

impl<'a> Message<'a> {
    fn of(found: &'a FoundSnapshot, held: Option<&'a Hold>) -> Self {
        let snapshot = &found.snapshot;
        let tags = snapshot.tags.iter().map(String::as_str);
        Self {
            message_type: "snapshot",
            id: found.id,
            time: snapshot.time,
            source: snapshot.source(),
            hostname: &snapshot.hostname,
            username: &snapshot.username,
            paths: &snapshot.paths,
            tags: tags
                .filter(|tag| !tag.starts_with(SOURCE_TAG_PREFIX))
                .collect(),
            tree: snapshot.tree,
            parent: snapshot.parent,
            copies: &found.copies,
            summary: snapshot.summary.as_ref(),
            held,
        }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    snapshots: usize,
    problems: &'a [String],
    withheld: Vec<Id>,
}
