//! `strongroom status`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use strongroom_engine::status::gather;
use strongroom_model::{Id, Scorecard};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::visible;
use crate::{memory, scorecard, state_folder};

/// Hold the plan against evidence: how far from 3-2-1
///
/// For each source the last good backup; a row for each copy; then the five lines: copies, media,
/// offsite, immutable, errors. Each is met, missed or unproven, with the reason and with the step
/// that would mend it. What counts is what was shown, never what is configured.
///
/// Below them stands what production's credentials destroy. Where a single domain destroys every
/// copy the plan is missed, whatever the lines say.
///
/// Vaults among the copies are asked what they say of themselves. One that runs in production's own
/// account counts as production's, whatever the configuration calls it; one whose log does not go
/// on from what this machine remembers is an alarm, here and in every command, until somebody has
/// accepted it.
///
/// Nobody is asked for a password: without one, what receipts do not tell is called unproven.
///
/// The exit status is 0 only if the plan is met, 1 if something is missed, and 3 if nothing is
/// missed but something is unproven.
///
/// Examples:
///   strongroom status
///   strongroom --json status | jq .met
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let began = (context.environment().clock)();
        let looked = context.look()?;
        let output = &context.output;
        let session = match looked.session {
            Ok(session) => Some(session),
            Err(Error::NoPassword) => {
                output.warn("There is no password: what only it shows is unproven", None);
                None
            }
            Err(error) if matches!(error.exit(), Exit::WrongPassword | Exit::Interrupted) => {
                return Err(error);
            }
            Err(error) => {
                output.warn(
                    &format!("The repository is not open: {error}"),
                    error.hint().as_deref(),
                );
                None
            }
        };
        let environment = context.environment();
        let state = state_folder::choose()?;
        let stores = &looked.copies.stores;
        let memory = match &session {
            Some(session) => Some(state.repository(session.id())),
            None => state.remembered(stores),
        };
        if let Some(memory) = &memory {
            let now = (environment.clock)();
            looked.vaults.remember(memory, stores, now);
            if let Some(session) = &session {
                memory::sighted(session, memory, began, now);
            }
        }
        let status = gather(
            &looked.config,
            stores,
            session.as_ref(),
            &state,
            &environment,
            &looked.vaults.facts(&looked.config),
        )?;
        for problem in &status.problems {
            output.warn(&visible(problem), None);
        }
        looked.vaults.tell_pending(output);
        output.data(&scorecard::render(&status.scorecard, &looked.config))?;
        output.object(&Summary {
            message_type: "summary",
            scorecard: &status.scorecard,
            problems: &status.problems,
            alarms: looked.vaults.alarms(),
            pending_keys: looked.vaults.pending_keys(),
        })?;
        Ok(Exit::of_plan(status.scorecard.met))
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    #[serde(flatten)]
    scorecard: &'a Scorecard,
    problems: &'a [String],
    alarms: Vec<String>,
    pending_keys: BTreeMap<String, BTreeSet<Id>>,
}
