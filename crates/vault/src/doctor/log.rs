//! The log: its newest checkpoint against its files, and all of them where all is asked for.
//!
//! Nothing is published here, and no key is made: what the database says of the log is enough.

use strongroom_ledger::{SignedCheckpoint, Verifier, audit};

use crate::config::StorageConfig;
use crate::doctor::{Examination, Line};
use crate::publication::{LogFiles, Tiles};
use crate::records::publication::{self as records, State};
use crate::vault::Vault;
use crate::{Error, Result};

/// What to do where the log is not what it was.
const NEXT: &str = "stop the vault, and put the log's files and the database back from one backup";

impl Examination<'_> {
    pub(super) fn log(&self, vault: &Vault, files: &dyn LogFiles) -> Result<Vec<Line>> {
        let (mut state, mut key) = (State::default(), None);
        vault.database().read(&mut |transaction| {
            state = records::state(transaction)?;
            key = records::public_key(transaction)?;
            Ok(())
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
                    "strongroom log verify names all of them",
                ),
            });
        }
        Ok(lines)
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
            Some(Err(error)) => return Err(format!("the checkpoint in {location}: {error}")),
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
