//! `strongroom init`.

mod buckets;

use std::collections::BTreeSet;

use serde::Serialize;
use strongroom_engine::CopyStore;
use strongroom_engine::init::{Giving, InitCopy, InitOutcome, InitReport, init_telling};
use strongroom_engine::session::chain;
use strongroom_model::Id;
use strongroom_repo::key::ScryptCost;

use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, GOOD};
use crate::password::Ask;
use crate::predecessors::GivenUp;
use crate::table::{Cell, Table};
use crate::{memory, state_folder};

/// Make the repository on every copy
///
/// Makes one repository and gives it to every copy of strongroom.toml.
/// Copies that hold it already are left alone and new ones get it, so that init may be run again
/// at any time: after adding a copy, or after it was cut off.
///
/// A bucket of which a lock is asked must be one that can keep it: else nothing is done, and what
/// makes a right one is told, to be typed by whoever rules it.
///
/// It also makes the key with which this machine signs the receipts of its backups, in its state
/// folder.
///
/// No second repository is ever made: while there is none, every copy must be reachable; and where
/// two copies hold different ones, nothing is done at all. Where this machine has seen another one on
/// a copy on which it makes this one, that is told, and counts as given up.
///
/// Keep the password where neither a fire nor an attacker reaches it: without it nothing can be
/// restored, by nobody.
///
/// Examples:
///   strongroom init
///   STRONGROOM_PASSWORD=… strongroom --config ./strongroom.toml init
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let copies = context.copies(&config)?;
        buckets::check(&copies.stores)?;
        context.cancel.check()?;
        let password = context.password(&config, Ask::Twice)?;
        let environment = context.environment();
        let state = state_folder::choose()?;
        let mut given_up = GivenUp::default();
        // Whatever comes of it: a config may arrive, and its answer be lost.
        let mut forget = |giving: Giving<'_>| {
            let (id, copy) = (giving.repository, giving.copy);
            memory::made_anew(&state.repository(id), copy);
            if giving.is_new {
                let now = (environment.clock)();
                given_up.add(&copy.name, state.accept_all_on(copy, id, now));
            }
        };
        let make = || {
            init_telling(
                &copies.stores,
                &password,
                ScryptCost::default(),
                &environment,
                &mut forget,
            )
        };
        let (_, report) = context.meet(&copies, &state, make, |_| BTreeSet::new())?;
        let report = report?;
        let output = &context.output;
        given_up.tell(output);
        let held = held(&report, &copies.stores);
        context.tell_predecessors(&state.predecessors(report.repository, None, &held));
        if let Err(error) = state.client_key() {
            let text = format!("There is no key to sign receipts with: {}", chain(&error));
            output.warn(&text, error.hint().as_deref());
        }
        let did = if report.is_new { "Made" } else { "There is" };
        output.result(&format!(
            "{did} repository {}\n\n",
            report.repository.short()
        ))?;
        let mut table = Table::headed(&["copy", "", "place"]);
        for copy in &report.copies {
            table.row([
                copy.name.clone().into(),
                word(copy),
                copy.location.clone().into(),
            ]);
        }
        output.result(&table.to_string())?;
        for copy in &report.copies {
            if let InitOutcome::Failed(failure) = &copy.outcome {
                let text = format!("{}: {}", copy.name, failure.reason);
                output.warn(&text, failure.hint.as_deref());
            }
        }
        if report.is_new {
            output.say(
                "\nKeep the password where neither a fire nor an attacker reaches it: without it \
                 nothing can be restored.\nNext: strongroom backup",
            );
        }
        output.object(&Summary {
            message_type: "summary",
            repository: report.repository,
            is_new: report.is_new,
            copies: report.copies.iter().map(CopySummary::of).collect(),
        })?;
        Ok(Exit::of(report.is_complete()))
    }
}

/// The copies that hold the repository now.
fn held<'c>(report: &InitReport, copies: &'c [CopyStore]) -> Vec<&'c CopyStore> {
    let all = report.copies.iter().zip(copies);
    let held = all.filter(|(copy, _)| !matches!(copy.outcome, InitOutcome::Failed(_)));
    held.map(|(_, store)| store).collect()
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    repository: Id,
    is_new: bool,
    copies: Vec<CopySummary<'a>>,
}

#[derive(Serialize)]
struct CopySummary<'a> {
    name: &'a str,
    outcome: &'static str,
    reason: Option<&'a str>,
    hint: Option<&'a str>,
}

impl<'a> CopySummary<'a> {
    fn of(copy: &'a InitCopy) -> Self {
        let failure = match &copy.outcome {
            InitOutcome::Failed(failure) => Some(failure),
            InitOutcome::Made | InitOutcome::Kept => None,
        };
        Self {
            name: &copy.name,
            outcome: outcome(copy),
            reason: failure.map(|failure| failure.reason.as_str()),
            hint: failure.and_then(|failure| failure.hint.as_deref()),
        }
    }
}

const fn outcome(copy: &InitCopy) -> &'static str {
    match copy.outcome {
        InitOutcome::Made => "made",
        InitOutcome::Kept => "kept",
        InitOutcome::Failed(_) => "failed",
    }
}

fn word(copy: &InitCopy) -> Cell {
    let style = match copy.outcome {
        InitOutcome::Failed(_) => BAD,
        InitOutcome::Made | InitOutcome::Kept => GOOD,
    };
    Cell::styled(outcome(copy), style)
}
