//! The log: its newest checkpoint against its files, and all of them where all is asked for; what
//! the look back has found; and who cosigns it.
//!
//! Nothing is published here, and no key is made: what the database says of the log is enough.

use strongroom_ledger::{SignedCheckpoint, Verifier, audit};

use crate::config::StorageConfig;
use crate::doctor::{Examination, Line};
use crate::publication::{LogFiles, Tiles};
use crate::records::cosigned::{self, WitnessState};
use crate::records::look_back;
use crate::records::publication as records;
use crate::vault::Vault;
use crate::{Error, Result};

/// What to do where the log is not what it was.
const NEXT: &str = "stop the vault, and put the log's files and the database back from one backup; \
                    where there is none: strongroom-vault log begin-new --help";

/// So old a cosignature may be.
const COSIGNED_WITHIN_S: i64 = 3_600;

impl Examination<'_> {
    pub(super) fn log(&self, vault: &Vault, files: &dyn LogFiles) -> Result<Vec<Line>> {
        let (state, key, looked, witnesses) = vault.database().look(|transaction| {
            let state = records::state(transaction)?;
            let key = records::public_key(transaction)?;
            let looked = look_back::get(transaction)?;
            Ok((state, key, looked, cosigned::witnesses(transaction)?))
        })?;
        let (Some(key), Some(newest)) = (key, state.checkpoint) else {
            return Ok(vec![Line::warn(
                "log",
                "nothing is published yet",
                "it is published by: strongroom-vault serve",
            )]);
        };
        let key: Verifier = key.parse().map_err(of_log)?;
        // The file before the tiles: those that it is over are there by then.
        let file = files.read("checkpoint")?;
        let mut lines = vec![match self.newest(&key, &newest, file.as_deref(), files) {
            Ok(size) => Line::ok("log", format!("{size} leaves are signed and in its files")),
            Err(found) => Line::fail("log", found, NEXT),
        }];
        lines.extend(looked.wrong.iter().map(|wrong| {
            let found = format!("a look back found, and it still is so: {}", wrong.what);
            Line::fail("look back", found, NEXT)
        }));
        let log = vault.log();
        if let Some(before) = &log.before {
            let first = before.lines().next().unwrap_or_default();
            let number = log.number;
            lines.push(Line::ok(
                "log",
                format!("it is log {number} of this vault, and took the place of {first}"),
            ));
        }
        lines.extend(self.witnesses(&witnesses));
        if self.is_thorough
            && let StorageConfig::Folder(_) = &self.config.storage
        {
            let report = audit(std::path::Path::new(files.location()), Some(&key), None);
            lines.push(match report.faults.first() {
                None => Line::ok(
                    "audit",
                    format!("{} leaves in {} files", report.leaves, report.files),
                ),
                Some(fault) => Line::fail(
                    "audit",
                    format!("{fault}, and {} more", report.faults.len() - 1),
                    "all of them are named by: strongroom-vault log verify",
                ),
            });
        }
        Ok(lines)
    }

    fn witnesses(&self, known: &[WitnessState]) -> Vec<Line> {
        let of = |witness: &crate::config::WitnessConfig| {
            let (name, vkey) = (witness.key.name(), witness.key.to_string());
            let known = known.iter().find(|known| known.vkey == vkey);
            let trouble = known.and_then(|known| known.trouble.as_deref());
            if let Some(trouble) = trouble.filter(|_| known.is_some_and(|known| known.is_alarm)) {
                let next = "ask who runs it; if the vault was restored from an earlier state: \
                            strongroom-vault log begin-new --help";
                return Line::fail("witness", format!("{name} gives alarm: {trouble}"), next);
            }
            let time_s = known.and_then(|known| known.time_s);
            let age_s = time_s.map(|time_s| self.now_s.saturating_sub(time_s));
            match (age_s, trouble) {
                (Some(age_s), None) if age_s <= COSIGNED_WITHIN_S => {
                    Line::ok("witness", format!("{name} cosigned {age_s} s ago"))
                }
                (age_s, trouble) => {
                    let since = match age_s {
                        Some(age_s) => format!("cosigned {} min ago", age_s / 60),
                        None => "has never cosigned this log".to_owned(),
                    };
                    let why = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
                    let next = format!(
                        "is the vault being served, is {} reachable, and does it know this log's \
                         key? strongroom-vault log key",
                        witness.url
                    );
                    Line::warn("witness", format!("{name} {since}{why}"), next)
                }
            }
        };
        self.config.witnesses.iter().map(of).collect()
    }

    /// The size of the newest checkpoint, or what is wrong with it.
    fn newest(
        &self,
        key: &Verifier,
        newest: &[u8],
        file: Option<&[u8]>,
        files: &dyn LogFiles,
    ) -> std::result::Result<u64, String> {
        let verified = |bytes: &[u8]| SignedCheckpoint::open(bytes, key);
        let signed = verified(newest).map_err(|error| error.to_string())?;
        let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
        let location = files.location();
        match file.map(verified) {
            None => return Err(format!("there is no checkpoint in {location}")),
            Some(Err(error)) => {
                return Err(format!(
                    "the copy of the checkpoint in {location}, which serve writes anew: {error}"
                ));
            }
            Some(Ok(_)) => {}
        }
        let edge = Tiles(files).edge(size).map_err(|error| error.to_string())?;
        match edge.root() == root {
            true => Ok(size),
            false => Err("its last tiles are not those that were signed".to_owned()),
        }
    }
}

fn of_log(error: strongroom_ledger::Error) -> Error {
    Error::Log {
        reason: error.to_string(),
    }
}
