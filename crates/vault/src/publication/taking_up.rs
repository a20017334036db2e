//! Taking up a log where it was published last, by whichever process: its files against what the
//! database says was signed.

use strongroom_ledger::{Edge, Error as LogError, Hash, SignedCheckpoint};

use crate::publication::look_back::of_files;
use crate::publication::{CHECKPOINT, Publisher, Tiles, changed, of_log};
use crate::{Error, Result};

impl Publisher {
    /// Takes up the log where it was published last, by whichever process.
    pub(super) fn load(&self) -> Result<Edge> {
        // The file first: its leaves are in the database by then, however fast others publish.
        let file = self.files.read(CHECKPOINT)?;
        let state = self.state()?;
        let known = state.checkpoint.as_deref();
        let known = known.map(|bytes| self.verify(bytes)).transpose()?;
        let file = match known {
            // A torn copy of what the database has is mended soon, as a missing one is.
            Some(_) => match file {
                Some(bytes) => self.readable(&bytes)?,
                None => None,
            },
            None => file.map(|bytes| self.verify(&bytes)).transpose()?,
        };
        let location = self.files.location();
        let (size, root) = match (known, file) {
            (Some(known), _) => known,
            // Published by a version that kept it as a file alone.
            (None, Some(file)) if file.0 >= state.published => file,
            (None, None) if state.published == 0 => (0, Hash::empty()),
            (None, None) => {
                return Err(changed(&format!(
                    "{} leaves were published, and there is no checkpoint in {location}",
                    state.published
                )));
            }
            (None, Some(file)) => {
                return Err(changed(&format!(
                    "{} leaves were published, and the checkpoint in {location} is over {}",
                    state.published, file.0
                )));
            }
        };
        let told = file.map_or(size, |file| file.0.max(size));
        if told > state.leaves {
            return Err(changed(&format!(
                "the checkpoint in {location} is over {told} leaves, and the database knows only \
                 {}: it is older than the log",
                state.leaves
            )));
        }
        let tiles = Tiles(&*self.files);
        let edge = tiles.edge(size).map_err(|error| self.elsewhere(error))?;
        if edge.root() != root {
            return Err(changed("its last tiles are not those that were signed"));
        }
        self.check_file(&edge, file)?;
        Ok(edge)
    }

    /// Fails where the checkpoint's file is of another history than what is published: of one that
    /// the database has forgotten, or never had.
    pub(super) fn check_file(&self, edge: &Edge, file: Option<(u64, Hash)>) -> Result<()> {
        let Some((told, signed)) = file else {
            return Ok(());
        };
        let found = match told > edge.size() {
            false => Tiles(&*self.files)
                .root(edge.size(), told)
                .map_err(of_files)?,
            true => {
                let mut ahead = edge.clone();
                while ahead.size() < told {
                    let entries = self.entries(ahead.size(), told)?;
                    if entries.is_empty() {
                        return Err(changed(&format!(
                            "the database has no leaf {}",
                            ahead.size()
                        )));
                    }
                    for (_, entry) in entries {
                        ahead.append(&entry).map_err(of_log)?;
                    }
                }
                ahead.root()
            }
        };
        match found == signed {
            true => Ok(()),
            false => Err(changed(&format!(
                "the checkpoint in {} is of another history than the database: one of them was \
                 set back",
                self.files.location()
            ))),
        }
    }

    /// What it means that files are missing which were published.
    fn elsewhere(&self, error: strongroom_ledger::Error) -> Error {
        match error {
            strongroom_ledger::Error::Missing { file } => changed(&format!(
                "{file} is missing in {}, where all processes of the vault must have their storage",
                self.files.location()
            )),
            error => of_files(error),
        }
    }

    /// Size and root of the checkpoint's file; `None`, which the log tells, where it is damaged and
    /// has to be written anew.
    ///
    /// # Errors
    /// [`Error::Log`] where it is of another log: what is not ours is not written over.
    pub(super) fn readable(&self, bytes: &[u8]) -> Result<Option<(u64, Hash)>> {
        match SignedCheckpoint::open(bytes, self.signer.verifier()) {
            Ok(signed) => {
                let checkpoint = signed.checkpoint();
                Ok(Some((checkpoint.size(), checkpoint.root())))
            }
            Err(error @ LogError::OtherLog { .. }) => Err(of_log(error)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    location = self.files.location(),
                    error,
                    "The copy of the checkpoint is damaged, and is written anew"
                );
                Ok(None)
            }
        }
    }
}
