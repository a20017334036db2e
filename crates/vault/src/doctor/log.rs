//! The log: its files against the database, and who cosigns it.

use strongroom_ledger::{SignedCheckpoint, audit};

use crate::Result;
use crate::doctor::{Examination, Line};
use crate::publication::Publisher;
use crate::vault::Vault;

/// So old a cosignature may be.
const COSIGNED_WITHIN_S: i64 = 3_600;

impl Examination<'_> {
    pub(super) fn log(&self, vault: &Vault) -> Result<Vec<Line>> {
        let origin = vault.origin().to_owned();
        let publisher = Publisher::open(vault.clone(), &self.config.data, &origin)?;
        let mut lines = vec![match publisher.examine() {
            Ok(size) => Line::ok(
                "log",
                format!("{size} leaves are signed, and the database knows them"),
            ),
            Err(error) => Line::broken("log", &error),
        }];
        if let Some(before) = &vault.log().before {
            let first = before.lines().next().unwrap_or_default();
            lines.push(Line::warn(
                "log",
                format!(
                    "it is log {} of this vault, and took the place of {first}",
                    vault.log().number
                ),
                "clients and witnesses must have accepted it; nothing else is to be done",
            ));
        }
        if self.is_thorough {
            let key = publisher.key().parse().ok();
            let report = audit(&self.config.data.join("log"), key.as_ref(), None);
            lines.push(match report.faults.first() {
                None => Line::ok(
                    "audit",
                    format!("{} leaves in {} files", report.leaves, report.files),
                ),
                Some(fault) => Line::fail(
                    "audit",
                    format!("{fault}, and {} more", report.faults.len() - 1),
                    "strongroom-vault log verify names all of them",
                ),
            });
        }
        lines.extend(self.witnesses(&publisher));
        Ok(lines)
    }

    fn witnesses(&self, publisher: &Publisher) -> Vec<Line> {
        let last = publisher.last_witnessed();
        let of = |witness: &crate::config::WitnessConfig| {
            let name = witness.key.name();
            let time_s = last
                .as_ref()
                .and_then(|last: &SignedCheckpoint| last.witnessed_at(&witness.key).ok());
            let age_s = time_s.and_then(|time_s| i64::try_from(time_s).ok());
            let age_s = age_s.map(|time_s| self.now_s.saturating_sub(time_s));
            match age_s {
                Some(age_s) if age_s <= COSIGNED_WITHIN_S => {
                    Line::ok("witness", format!("{name} cosigned {age_s} s ago"))
                }
                Some(age_s) => Line::warn(
                    "witness",
                    format!("{name} cosigned {} h ago", age_s / 3_600),
                    "is the vault being served? Its log says why the witness does not cosign",
                ),
                None => Line::warn(
                    "witness",
                    format!("{name} has not cosigned the last checkpoint that has a cosignature"),
                    format!(
                        "is {} reachable, and does it know this log's key? strongroom-vault log key",
                        witness.url
                    ),
                ),
            }
        };
        self.config.witnesses.iter().map(of).collect()
    }
}
