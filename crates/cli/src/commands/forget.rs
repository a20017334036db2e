//! `strongroom forget`.

mod report;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_engine::prune::PruneOptions;
use strongroom_engine::retain::{self, Forgotten, Hosts, Question};
use strongroom_engine::snapshots::Snapshots;
use strongroom_engine::{holds, removals};
use strongroom_model::{Holds, Id, Keep, Name};

use crate::commands::{prune as pruning, snapshots};
use crate::context::{Context, Opened};
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::removed;
use crate::vaults::NewFiles;
use report::Report;

/// Let snapshots go, as the plan says or by name
///
/// Decides by `keep` of each source which of this host's snapshots stay, once for all copies, tells
/// why, and removes the others from every copy: a record of them first, then from a folder at once,
/// from a vault by tombstone, from a locked bucket when its date is over. Space is freed by
/// `strongroom prune`, or with --prune.
///
/// What counts is when a snapshot came to a copy, never the time that it claims. Snapshots that do
/// not fit are suspicious: they stay, take no place, and are named. Where a vault or a bucket does
/// not say when its snapshots came, nothing goes by the plan.
///
/// With SNAPSHOT, exactly these are removed, whosever, also suspicious ones, whatever the plan says;
/// never one that somebody holds.
///
/// The exit status is 3 where a copy was left out, where nothing could go because a copy did not
/// say when its snapshots came, and where snapshots are suspicious; 11 where somebody is at work on a
/// copy, and nothing was done.
///
/// Examples:
///   strongroom forget --dry-run
///   strongroom forget --prune
///   strongroom forget --admit 6fbfc6d8 f429f945     # these are mine, though more came than usual
///   strongroom forget 91c0de4a                      # and this one is not
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Remove exactly these, whatever the plan says
    #[arg(value_name = "SNAPSHOT", conflicts_with_all = ["host", "all_hosts", "admit"])]
    snapshots: Vec<String>,
    /// Tell what would go, and change nothing anywhere
    #[arg(long)]
    dry_run: bool,
    /// Free the space as well: prune afterwards
    #[arg(long, conflicts_with = "dry_run")]
    prune: bool,
    /// Decide about the snapshots of this host too, beside this one's; may be given several times
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Decide about the snapshots of all hosts
    #[arg(long, conflicts_with = "host")]
    all_hosts: bool,
    /// Say that these snapshots are your own, though more came with them than is usual
    #[arg(long, value_name = "SNAPSHOT", num_args = 1..)]
    admit: Vec<String>,
    /// Let these removal records count no longer: what they name is seen again, where it still lies
    #[arg(
        long,
        value_name = "RECORD",
        num_args = 1..,
        conflicts_with_all = ["snapshots", "dry_run", "prune", "host", "all_hosts", "admit"]
    )]
    annul: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let began = (context.environment().clock)();
        let mut opened = context.open()?;
        if !self.annul.is_empty() {
            return annul(context, &mut opened, &self.annul);
        }
        opened.session.check_removal()?;
        if !self.dry_run {
            opened.check_seal()?;
        }
        let now = (opened.environment.clock)();
        let memory = opened.memory();
        if !self.dry_run {
            retain::note(&opened.session, &memory, began, now)?;
        }
        let found = snapshots::load(context, &opened.session)?;
        let (holds, is_told) = self.holds(context, &mut opened, &found, now)?;
        let named = resolved(&opened, &found, &self.snapshots)?;
        holds::check_none(&named, &holds)?;
        let keeps = keeps(&opened);
        let vaults = opened.vaults.arrivals();
        let question = Question {
            snapshots: &found,
            holds: &holds,
            keeps: &keeps,
            hosts: &self.hosts(&opened.environment.hostname),
            vaults: &vaults,
        };
        let plan = retain::plan(&opened.session, &memory, &question, now)?;
        let going = match named.is_empty() {
            true => plan.going(),
            false => named.clone(),
        };
        report::decided(context, &plan, &named, &holds)?;
        let mut forgotten = Forgotten::default();
        if !self.dry_run {
            plan.remember(&memory, now)?;
            forgotten = remove(context, &mut opened, &going)?;
        }
        let report = Report {
            plan: &plan,
            going: match self.dry_run {
                true => &going,
                false => &forgotten.snapshots,
            },
            forgotten: &forgotten,
            problems: &found.problems,
            by_name: !named.is_empty(),
            dry_run: self.dry_run,
            is_last: !self.prune,
            has_all_copies: opened.has_all_copies() && is_told,
        };
        let exit = report.tell(context)?.after(context.cancel.is_cancelled());
        if !self.prune {
            return Ok(exit);
        }
        let options = PruneOptions {
            limits: opened.config.limits.clone(),
            ..PruneOptions::default()
        };
        let pruned = pruning::run(context, &mut opened, &options)?;
        Ok(match pruning::tell(context, &pruned)? {
            Exit::Done => exit,
            other => other,
        })
    }

    /// What people have said of single snapshots, with what is said now; and whether the copies that
    /// have a place for it have taken that.
    fn holds(
        &self,
        context: &Context,
        opened: &mut Opened,
        found: &Snapshots,
        now: Timestamp,
    ) -> Result<(Holds, bool)> {
        let memory = opened.memory();
        let mut holds = holds::load(&opened.session, &memory)?;
        let admitted = resolved(opened, found, &self.admit)?;
        if admitted.is_empty() {
            return Ok((holds, true));
        }
        if self.dry_run {
            for id in admitted {
                holds.admit(id, now);
            }
            return Ok((holds, true));
        }
        let published = holds::admit(&mut opened.session, &memory, &admitted, now)?;
        removed::warn_without_record(&context.output, &published.not_on);
        let holds = holds::load(&opened.session, &memory)?;
        Ok((holds, published.is_complete()))
    }

    fn hosts(&self, own: &str) -> Hosts {
        if self.all_hosts || !self.snapshots.is_empty() {
            return Hosts::All;
        }
        let named = self.host.iter().cloned();
        Hosts::These(named.chain([own.to_owned()]).collect())
    }
}

/// The ids of the snapshots that are meant.
fn resolved(opened: &Opened, found: &Snapshots, wanted: &[String]) -> Result<BTreeSet<Id>> {
    let usage = "strongroom forget ID";
    let id = |wanted: &String| -> Result<Id> {
        let meant = snapshots::resolve(opened, found, wanted, usage)?;
        Ok(meant.id)
    };
    wanted.iter().map(id).collect()
}

/// What the plan says of each source that has a `keep`.
fn keeps(opened: &Opened) -> BTreeMap<Name, Keep> {
    let sources = opened.config.sources.iter();
    let keeps = sources.filter_map(|source| Some((source.name.clone(), source.keep.clone()?)));
    keeps.collect()
}

fn remove(context: &Context, opened: &mut Opened, going: &BTreeSet<Id>) -> Result<Forgotten> {
    let memory = opened.memory();
    let mut forgotten = {
        let monitor = Monitor::start(&context.output);
        retain::forget(
            &mut opened.session,
            &memory,
            going,
            &opened.environment,
            &monitor.progress,
        )?
    };
    removed::note_tombstones(opened, &mut forgotten.copies);
    if forgotten.record.is_some() {
        let is_without = |name: &String| forgotten.not_on.iter().any(|(copy, _)| copy == name);
        let ready = opened.session.ready().map(|(copy, _)| copy.name.clone());
        let new = NewFiles {
            made: ready.filter(|name| !is_without(name)).collect(),
            ..NewFiles::default()
        };
        context.ask_again(opened, &new)?;
    }
    Ok(forgotten)
}

/// Lets removal records count no longer.
fn annul(context: &Context, opened: &mut Opened, wanted: &[String]) -> Result<Exit> {
    let removals = &opened.session.removals;
    let records = wanted.iter().map(|wanted| removals.resolve(wanted));
    let records = records.collect::<strongroom_engine::Result<BTreeSet<Id>>>()?;
    let memory = opened.memory();
    let now = (opened.environment.clock)();
    let host = &opened.environment.hostname;
    let (mut not_on, mut is_told) = (BTreeMap::new(), true);
    for record in &records {
        let published = removals::annul(&mut opened.session, &memory, *record, now, host)?;
        is_told &= published.is_complete();
        not_on.extend(published.not_on);
    }
    context.note_removals(&opened.session);
    let not_on: Vec<_> = not_on.into_iter().collect();
    report::annulled(context, &records, &not_on)?;
    Ok(Exit::of(opened.has_all_copies() && is_told))
}
