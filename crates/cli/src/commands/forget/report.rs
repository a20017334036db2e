//! What a forget has decided and done, for people and for programs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::CopyFailure;
use strongroom_engine::removals::{FinishedCopy, is_told};
use strongroom_engine::retain::{Decided, Forgotten, Plan};
use strongroom_model::retention::{Arrival, Fate, Group};
use strongroom_model::{Holds, Id};

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{DOUBTFUL, Output, visible};
use crate::removed;
use crate::table::{Cell, Table};
use crate::words::{count, local_time};

/// What to do about snapshots that do not fit.
const SUSPICIOUS_HINT: &str = "those that are not yours: strongroom forget SNAPSHOT…; of those that \
    only came with too many, say which are yours: strongroom forget --admit SNAPSHOT…; others of \
    yours: strongroom hold SNAPSHOT";

/// What came of it.
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    /// What went, or would go.
    pub(super) going: &'a BTreeSet<Id>,
    pub(super) forgotten: &'a Forgotten,
    /// Snapshots that no copy can show.
    pub(super) problems: &'a [String],
    /// Whether somebody has named what goes.
    pub(super) by_name: bool,
    pub(super) dry_run: bool,
    /// Whether nothing is told behind it.
    pub(super) is_last: bool,
    pub(super) has_all_copies: bool,
}

/// Tells what was decided, and why: of each group a table, what came first in it first; where
/// somebody has named what goes, of that alone.
pub(super) fn decided(
    context: &Context,
    plan: &Plan,
    named: &BTreeSet<Id>,
    holds: &Holds,
) -> Result<()> {
    let output = &context.output;
    let is_wanted = |one: &&Decided| named.is_empty() || named.contains(&one.id);
    let told: Vec<&Decided> = plan.decided.iter().filter(is_wanted).collect();
    for group in told.chunk_by(|a, b| a.group == b.group) {
        let mut table = Table::headed(&["id", "came", "copies", "", "why"]);
        for one in group {
            let is_named = named.contains(&one.id);
            output.object(&Message::of(one, plan, is_named))?;
            let came = one.arrival.map(|arrival| local_time(arrival.at));
            let (word, why) = match is_named {
                true => (Cell::from("goes"), "by name".to_owned()),
                false => words(one, plan, holds),
            };
            table.row([
                one.id.short().into(),
                came.unwrap_or_else(|| "-".to_owned()).into(),
                one.copies.join(",").into(),
                word,
                why.into(),
            ]);
        }
        if let Some(first) = group.first() {
            output.result(&format!("{}\n{table}", heading(&first.group)))?;
        }
    }
    Ok(())
}

/// Tells that a removal record counts no longer.
pub(super) fn annulled(
    context: &Context,
    records: &BTreeSet<Id>,
    without: &[(String, CopyFailure)],
) -> Result<()> {
    removed::warn_without_record(&context.output, without);
    for record in records {
        context.output.say(&format!(
            "The record {} counts no longer: what it names is seen again, where it still lies",
            record.short()
        ));
    }
    context.output.object(&Annulled {
        message_type: "summary",
        annulled: records,
        not_on: without.iter().map(Failure::of).collect(),
    })
}

impl Report<'_> {
    /// Tells it, and what it means for the exit status.
    pub(super) fn tell(&self, context: &Context) -> Result<Exit> {
        let output = &context.output;
        if !self.forgotten.copies.is_empty() {
            output.result(&copies(&self.forgotten.copies).to_string())?;
            removed::tell_kept(output, &self.forgotten.copies)?;
        }
        self.warn(output);
        let gone = count(self.going.len() as u64, "snapshot", "snapshots");
        match (self.dry_run, self.going.is_empty()) {
            (_, true) => output.say("Nothing goes"),
            (true, false) => output.say(&format!("{gone} would go")),
            (false, false) if self.is_last => {
                output.say(&format!("{gone} went; strongroom prune frees the space"));
            }
            (false, false) => output.say(&format!("{gone} went")),
        }
        if self.plan.of_others > 0 {
            let others = count(self.plan.of_others as u64, "snapshot", "snapshots");
            output.say(&format!(
                "{others} of other hosts: not decided here, but with --host NAME or --all-hosts"
            ));
        }
        let is_complete = self.is_complete();
        let copies = self.forgotten.copies.iter();
        output.object(&Summary {
            message_type: match self.is_last {
                true => "summary",
                false => "forgotten",
            },
            complete: is_complete,
            dry_run: self.dry_run,
            record: self.forgotten.record,
            gone: self.going,
            suspicious: self.suspicious(),
            held: &self.forgotten.held,
            of_other_hosts: self.plan.of_others,
            unasked: self.unasked().iter().map(Failure::of).collect(),
            not_on: self.forgotten.not_on.iter().map(Failure::of).collect(),
            copies: copies.map(removed::Summary::of).collect(),
            problems: self.problems,
        })?;
        Ok(Exit::of(is_complete))
    }

    /// The copies because of which nothing went; whoever names what goes asks none.
    fn unasked(&self) -> &[(String, CopyFailure)] {
        match self.by_name {
            true => &[],
            false => &self.plan.unasked,
        }
    }

    fn suspicious(&self) -> Vec<Id> {
        let decided = self.plan.decided.iter().filter(|_| !self.by_name);
        let suspicious = decided.filter(|one| matches!(one.fate, Fate::Suspicious { .. }));
        suspicious.map(|one| one.id).collect()
    }

    fn is_complete(&self) -> bool {
        let copies = self.forgotten.copies.iter();
        self.has_all_copies
            && self.problems.is_empty()
            && self.unasked().is_empty()
            && self.suspicious().is_empty()
            && self.forgotten.held.is_empty()
            && is_told(&self.forgotten.not_on)
            && copies.map(|copy| &copy.failure).all(Option::is_none)
    }

    fn warn(&self, output: &Output) {
        for (copy, failure) in self.unasked() {
            let text = format!(
                "Nothing goes by the plan, since {copy} does not say when its snapshots came: {}",
                failure.reason
            );
            output.warn(&visible(&text), failure.hint.as_deref());
        }
        let suspicious = self.suspicious().len() as u64;
        if suspicious > 0 {
            let text = match suspicious {
                1 => "1 snapshot is suspicious: it stays, and takes no place".to_owned(),
                _ => format!("{suspicious} snapshots are suspicious: they stay, and take no place"),
            };
            output.warn(&text, Some(SUSPICIOUS_HINT));
        }
        for id in &self.forgotten.held {
            let text = format!("{} is held by now, and stays", id.short());
            output.warn(&text, None);
        }
        removed::warn_without_record(output, &self.forgotten.not_on);
        for copy in &self.forgotten.copies {
            removed::warn(output, copy);
        }
    }
}

/// What becomes of a snapshot, and why.
fn words(one: &Decided, plan: &Plan, holds: &Holds) -> (Cell, String) {
    match &one.fate {
        Fate::Kept { rules } => {
            let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
            ("stays".into(), rules.join(", "))
        }
        Fate::Held => {
            let why = holds.held(one.id).map(|hold| hold.why.clone());
            ("held".into(), why.unwrap_or_default())
        }
        Fate::Suspicious { why } => {
            let why: Vec<String> = why.iter().map(ToString::to_string).collect();
            (Cell::styled("suspicious", DOUBTFUL), why.join("; "))
        }
        Fate::Goes => match plan.unasked.first() {
            None => ("goes".into(), String::new()),
            Some((copy, _)) => ("stays".into(), format!("{copy} does not say when it came")),
        },
    }
}

/// Whose places are told.
fn heading(group: &Group) -> String {
    let source = group.source.as_ref().map_or("-", |source| source.as_str());
    let paths: Vec<&str> = group.paths.iter().map(String::as_str).collect();
    visible(&format!("{source} on {}: {}", group.host, paths.join(" ")))
}

fn copies(copies: &[FinishedCopy]) -> Table {
    let mut table = Table::headed(&[&["copy"][..], &removed::TITLES[..]].concat());
    for copy in copies {
        let name = Cell::from(copy.name.clone());
        table.row([name].into_iter().chain(removed::cells(copy)));
    }
    table
}

/// What was decided of a snapshot, as `--json` tells it.
#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    id: Id,
    goes: bool,
    by_name: bool,
    #[serde(flatten)]
    fate: &'a Fate,
    group: &'a Group,
    claimed: Timestamp,
    arrival: Option<Arrival>,
    copies: &'a [String],
}

impl<'a> Message<'a> {
    fn of(one: &'a Decided, plan: &Plan, is_named: bool) -> Self {
        let goes_by_plan = one.fate.goes() && plan.unasked.is_empty();
        Self {
            message_type: "decision",
            id: one.id,
            goes: is_named || goes_by_plan,
            by_name: is_named,
            fate: &one.fate,
            group: &one.group,
            claimed: one.claimed,
            arrival: one.arrival,
            copies: &one.copies,
        }
    }
}

/// What came of a forget, as `--json` tells it.
#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    complete: bool,
    dry_run: bool,
    record: Option<Id>,
    gone: &'a BTreeSet<Id>,
    suspicious: Vec<Id>,
    held: &'a BTreeSet<Id>,
    of_other_hosts: usize,
    unasked: Vec<Failure<'a>>,
    not_on: Vec<Failure<'a>>,
    copies: Vec<removed::Summary>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Annulled<'a> {
    message_type: &'static str,
    annulled: &'a BTreeSet<Id>,
    not_on: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    copy: &'a str,
    reason: &'a str,
    hint: Option<&'a str>,
}

impl<'a> Failure<'a> {
    fn of((copy, failure): &'a (String, CopyFailure)) -> Self {
        Self {
            copy,
            reason: &failure.reason,
            hint: failure.hint.as_deref(),
        }
    }
}
