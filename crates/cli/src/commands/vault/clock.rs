//! `strongroom vault clock`.

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_model::Period;

use crate::commands::vault::admin::{At, field};
use crate::commands::vault::token::without_nulls;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};

/// The clock of a vault
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Confirm(Confirm),
}

/// Confirm that the machine's clock is right, so that purging goes on
///
/// After the clock has jumped, nothing is purged until somebody has looked at it. Where it is more
/// than a day from what the vault recorded last, it has to be said what it shows: recorded time never
/// runs back.
///
/// While the vault is off its own time stands still, and catches that up by an hour a day; --catch-up
/// has it catch up at once, no more than it was off. More than a day, all within a day, is caught up
/// only with --wall, the time by another clock than the vault's.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Confirm {
    #[command(flatten)]
    at: At,
    /// What the machine's clock shows, to the minute, as 2026-11-28T10:00:00Z
    #[arg(long, value_name = "TIME")]
    wall: Option<Timestamp>,
    /// How much of the time off vault time catches up at once, as 12h
    #[arg(long, value_name = "PERIOD")]
    catch_up: Option<Period>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let Command::Confirm(Confirm { at, wall, catch_up }) = self.command;
        let body = without_nulls(json!({
            "wall": wall,
            "catch_up": catch_up.map(|period| period.to_string()),
        }));
        let said = |answer: &Value| {
            let field = |name: &str| field(answer, &[name]);
            Ok(format!(
                "The clock is confirmed: recorded time is {}, vault time {}",
                field("wall"),
                field("vault")
            ))
        };
        let action = "believe its clock";
        at.act_and_say(context, "v1/clock/confirm", &body, action, said)
    }
}
