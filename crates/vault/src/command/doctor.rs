//! `strongroom-vault doctor`: is everything as it should be, and what is the next step?

use jiff::Timestamp;
use serde_json::json;
use strongroom_model::Id;
use strongroom_model::shell::quoted;
use strongroom_vault::doctor::{Examination, Line, State};
use strongroom_vault::{Error, Result};

use crate::command::{Which, print};

/// Look the vault over, and say what to do where something is wrong
///
/// It may be served meanwhile; nothing is changed. The exit status is 0 where nothing has failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Look at every body and at every entry of the log, which takes its time
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let config = self.which.config()?;
        #[expect(clippy::disallowed_methods, reason = "the edge at which time comes in")]
        let now = Timestamp::now();
        let mut start = [0; 32];
        getrandom::fill(&mut start).map_err(|error| Error::Refused {
            reason: format!("the system gives no randomness: {error}"),
        })?;
        let examination = Examination {
            config: &config,
            now_s: now.as_second(),
            start: Id::from_bytes(start),
            is_thorough: self.all,
        };
        let lines = examination.lines();
        let failed = lines.iter().filter(|line| line.state == State::Fail);
        let failed = failed.count();
        if self.json {
            print(json!({"sound": failed == 0, "lines": lines}))?;
        } else {
            for line in &lines {
                let word = line.state.word();
                print(format_args!("{word:4}  {:12}  {}", line.check, line.found))?;
                if let Some(next) = &line.next {
                    print(format_args!("{:20}next: {next}", ""))?;
                }
            }
            let has_commands = |line: &Line| {
                let next = line.next.as_deref();
                next.is_some_and(|next| next.contains("strongroom-vault "))
            };
            if self.which.is_another() && lines.iter().any(has_commands) {
                let path = quoted(&self.which.config);
                print(format_args!(
                    "Type --config {path} with each command of strongroom-vault"
                ))?;
            }
        }
        match failed {
            0 => Ok(()),
            failed => Err(Error::Unsound { failed }),
        }
    }
}
