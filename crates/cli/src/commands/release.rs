//! `strongroom release`.

use strongroom_engine::{Error as EngineError, holds};
use strongroom_model::Id;

use crate::commands::hold::tell;
use crate::commands::snapshots::{load, resolve};
use crate::context::{Context, Opened};
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// Hold a snapshot no longer
///
/// From now on the plan decides about the snapshot again. That counts for this machine: another one
/// that holds the snapshot in its own list holds it until it is released there.
///
/// Examples:
///   strongroom release 3f1c2d4e
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// The snapshot: `latest`, `latest:SOURCE`, its id, or the first digits of it
    snapshot: String,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open()?;
        let snapshot = self.find(context, &opened)?;
        let now = (opened.environment.clock)();
        let memory = opened.memory();
        let released = holds::release(&mut opened.session, &memory, snapshot, now)?;
        context.note_removals(&opened.session);
        let output = &context.output;
        let text = match &released {
            Some(_) => format!("Snapshot {} is held no longer\n", snapshot.short()),
            None => format!("Snapshot {} was not held\n", snapshot.short()),
        };
        output.result(&text)?;
        tell(output, snapshot, false, released.as_ref())
    }

    /// Whatever is held can be released, be it listed or not.
    fn find(&self, context: &Context, opened: &Opened) -> Result<Id> {
        let held = opened.session.removals.holds().iter().map(|(id, _)| id);
        let fits: Vec<Id> = held.filter(|id| id.begins_with(&self.snapshot)).collect();
        match fits.as_slice() {
            [one] => Ok(*one),
            [] => {
                let snapshots = load(context, &opened.session)?;
                let usage = "strongroom release ID";
                Ok(resolve(opened, &snapshots, &self.snapshot, usage)?.id)
            }
            _ => Err(EngineError::AmbiguousSnapshot {
                prefix: self.snapshot.clone(),
                ids: fits,
            }
            .into()),
        }
    }
}
