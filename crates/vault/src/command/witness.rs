//! `strongroom-vault witness`: whose logs this vault cosigns, and with which key.

use serde_json::json;
use strongroom_ledger::SignedCheckpoint;
use strongroom_vault::publication::{Publisher, witness_signer};
use strongroom_vault::{Result, opening};

use crate::command::{Which, print, time};

/// Cosigning: by this vault for others, and by others for this vault
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Show(Show),
}

/// Show the key that this vault cosigns with, and how far each log was
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Show(args) => args.run(),
        }
    }
}

impl Show {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let vault = opening::open(&config)?;
        let key = witness_signer(&config.data, &opening::host(&config))?;
        let key = key.verifier().to_string();
        let logs = vault.witnessed()?;
        let origin = vault.origin().to_owned();
        let publisher = Publisher::open(vault, &config.data, &origin)?;
        let last = publisher.last_witnessed();
        let times = config.witnesses.iter().map(|witness| {
            let time_s = last
                .as_ref()
                .and_then(|last: &SignedCheckpoint| last.witnessed_at(&witness.key).ok());
            let at = time_s.and_then(|time_s| i64::try_from(time_s).ok());
            (witness, at.map(|at_s| time(at_s.saturating_mul(1000))))
        });
        if self.json {
            let logs: Vec<_> = logs
                .iter()
                .map(|log| {
                    json!({
                        "origin": log.origin,
                        "size": log.size,
                        "cosigned": time(log.cosigned_at_ms),
                        "alarm": log.alarm_ms.map(time),
                    })
                })
                .collect();
            let witnesses: Vec<_> = times
                .map(|(witness, at)| json!({"key": witness.key.to_string(), "cosigned": at}))
                .collect();
            return print(json!({"key": key, "logs": logs, "witnesses": witnesses}));
        }
        print(key)?;
        for log in &logs {
            let alarm = match log.alarm_ms {
                Some(_) => "; ALARM: it did not go on from there, see this vault's own log",
                None => "",
            };
            print(format_args!(
                "cosigns {}: {} leaves at {}{alarm}",
                log.origin,
                log.size,
                time(log.cosigned_at_ms)
            ))?;
        }
        for (witness, at) in times {
            print(format_args!(
                "cosigned by {}: {}",
                witness.key.name(),
                at.as_deref()
                    .unwrap_or("not by the last checkpoint that has any")
            ))?;
        }
        Ok(())
    }
}
