//! Whether the stored bytes of an object are what they were when they came.

use std::io::{self, Read};

use rustix::io::Errno;
use sha2::{Digest, Sha256};
use strongroom_model::{FileName, Id, RepositoryPath};
use strongroom_store::BodyKey;

use crate::Result;
use crate::rules::life::Object;
use crate::rules::scrub::Why;
use crate::vault::Vault;

/// How much is read at a time.
const STEP_BYTES: usize = 128 << 10;

/// What a look at stored bytes found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// They are what they were.
    Sound,
    /// They are not.
    Rotten(Why),
    /// The look was ended before its end.
    Unfinished,
}

/// Told how many bytes were read since it was told last; false ends the reading.
pub type GoesOn<'g> = dyn FnMut(u64) -> bool + 'g;

impl Vault {
    /// Whether the stored bytes of an object, which is not `config`, are what its name says.
    pub(super) fn is_sound(
        &self,
        path: &RepositoryPath,
        name: FileName,
        object: &Object,
    ) -> Result<bool> {
        let body = self.body_key(path, name, object.generation);
        let digest = name.id().unwrap_or_default();
        let found = self.look_at_body(&body, digest, &mut |_| true)?;
        Ok(found == Found::Sound)
    }

    /// Reads a body from where it is kept, and compares its SHA-256.
    ///
    /// # Errors
    /// Those of a storage that cannot be asked; what it does not give of a body that it can be
    /// asked for is rotten.
    pub(super) fn look_at_body(
        &self,
        body: &BodyKey,
        digest: Id,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<Found> {
        use strongroom_store::Error;
        let mut stream = match self.shared.bodies.open_stored(body) {
            Ok((_, stream)) => stream,
            Err(Error::NotFound { .. }) => return Ok(Found::Rotten(Why::Missing)),
            Err(Error::Denied { .. } | Error::ShortFile { .. }) => {
                return Ok(Found::Rotten(Why::Unreadable));
            }
            Err(Error::Io { source, .. }) if is_of_the_body(&source) => {
                return Ok(Found::Rotten(Why::Unreadable));
            }
            Err(error) => return Err(error.into()),
        };
        let mut hasher = Sha256::new();
        let mut step = vec![0; STEP_BYTES];
        loop {
            match stream.read(&mut step) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(step.get(..count).unwrap_or_default());
                    if !goes_on(count as u64) {
                        return Ok(Found::Unfinished);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What cannot be read is replaced as what is rotten is.
                Err(_) => return Ok(Found::Rotten(Why::Unreadable)),
            }
        }
        Ok(match Id::from_bytes(hasher.finalize().into()) == digest {
            true => Found::Sound,
            false => Found::Rotten(Why::Changed),
        })
    }
}

/// Whether an error says that a body cannot be read, and not that the storage is away, or that this
/// process has too many files open.
fn is_of_the_body(error: &io::Error) -> bool {
    let of_disk = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NOTDIR];
    match Errno::from_io_error(error) {
        Some(errno) => of_disk.contains(&errno),
        None => error.kind() == io::ErrorKind::InvalidData,
    }
}
