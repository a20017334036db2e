//! `strongroom-vault witness`: whose logs this vault cosigns, and with which key.

use serde_json::json;
use strongroom_vault::publication::witness_signer;
use strongroom_vault::records::cosigned::WitnessState;
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
        let keys = config.data.join("keys");
        let key = witness_signer(&vault, &keys, &opening::host(&config))?;
        let key = key.verifier().to_string();
        let logs = vault.witnessed()?;
        let known = vault.witnesses()?;
        let asked = config.witnesses.iter().map(|witness| {
            let vkey = witness.key.to_string();
            let known = known.iter().find(|known| known.vkey == vkey);
            (witness, known.cloned().unwrap_or_default())
        });
        let at =
            |known: &WitnessState| known.time_s.map(|time_s| time(time_s.saturating_mul(1000)));
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
            let witnesses: Vec<_> = asked
                .map(|(witness, known)| {
                    json!({
                        "key": witness.key.to_string(),
                        "cosigned": at(&known),
                        "size": known.size,
                        "trouble": known.trouble,
                        "alarm": known.is_alarm,
                    })
                })
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
        for (witness, known) in asked {
            let cosigned = match (at(&known), known.size) {
                (Some(at), Some(size)) => format!("{size} leaves at {at}"),
                _ => "never".to_owned(),
            };
            let trouble = match (&known.trouble, known.is_alarm) {
                (Some(trouble), true) => format!("; ALARM: {trouble}"),
                (Some(trouble), false) => format!("; {trouble}"),
                (None, _) => String::new(),
            };
            let name = witness.key.name();
            print(format_args!("cosigned by {name}: {cosigned}{trouble}"))?;
        }
        Ok(())
    }
}
