//! `strongroom status`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use strongroom_engine::status::{Status, gather};
use strongroom_model::{Config, Id, Scorecard};

use crate::context::{Context, Looked};
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::visible;
use crate::vaults::Vaults;
use crate::{memory, scorecard, state_folder};

/// Hold the plan against evidence: how far from 3-2-1
///
/// For each source the last good backup; where each copy is, and what was shown of it and when; then
/// the five lines: copies, media, offsite, immutable, errors. Each is met, missed or unproven, with
/// the reason and with the step that would mend it. What counts is what was shown, never what is
/// configured.
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

/// What was seen of all copies, and what follows from it.
pub(crate) struct Judged {
    /// The configuration.
    pub(crate) config: Config,
    /// The vaults among the copies.
    pub(crate) vaults: Vaults,
    /// What was found.
    pub(crate) status: Status,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let Judged {
            config,
            vaults,
            status,
        } = judge(context)?;
        let output = &context.output;
        for problem in &status.problems {
            output.warn(&visible(problem), None);
        }
        vaults.tell_pending(output);
        output.data(&scorecard::render(&status.scorecard, &config))?;
        output.object(&Summary {
            message_type: "summary",
            scorecard: &status.scorecard,
            problems: &status.problems,
            alarms: context.alarms(&vaults),
            pending_keys: vaults.pending_keys(),
        })?;
        Ok(Exit::of_plan(status.scorecard.met))
    }
}

/// Looks at all copies and holds the plan against them; nobody is asked for a password.
pub(crate) fn judge(context: &Context) -> Result<Judged> {
    let began = (context.environment().clock)();
    let Looked {
        config,
        copies,
        session,
        vaults,
    } = context.look()?;
    let output = &context.output;
    let session = match session {
        Ok(session) => Some(session),
        Err(Error::NoPassword) => {
            output.warn("There is no password: what only it shows is unproven", None);
            None
        }
        // Whoever has taken all keys away must not have the status with them.
        Err(error)
            if matches!(error.exit(), Exit::WrongPassword | Exit::Interrupted)
                && !error.is_without_key() =>
        {
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
    let stores = &copies.stores;
    let memory = match &session {
        Some(session) => Some(state.repository(session.id())),
        None => state.remembered(stores),
    };
    if let Some(memory) = &memory {
        let now = (environment.clock)();
        vaults.remember(memory, stores, now);
        if let Some(session) = &session {
            context.note_removals(session);
            memory::sighted(session, memory, began, now);
        }
    }
    let facts = vaults.facts(&config);
    let session = session.as_ref();
    let status = gather(&config, stores, session, &state, &environment, &facts)?;
    Ok(Judged {
        config,
        vaults,
        status,
    })
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
