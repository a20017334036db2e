//! Whether copies give the key that they list.
//!
//! A copy's list of keys is its own word, and without a key that it gives nobody opens it. So where
//! the password is at hand, one key is fetched from each copy: the one that has just been opened,
//! whose bytes alone have its name. Nothing is derived from the password again: a copy that gives
//! the same bytes can be opened with the same password.
//!
//! What can go wrong: a copy that does not list that key because its vault holds it for an operator.
//! Then it is a key that another copy lists as well: nobody may have opened that one, but one that
//! nobody else knows proves less. And a line that drops meanwhile, which is the fault of no key: a
//! copy that does not even tell the size of its key has failed, as any that cannot be reached.

use std::thread;

use strongroom_model::{FileName, FileType, Id};

use crate::listing::shared_keys;
use crate::session::{CopyFailure, CopyStore, ReadyCopy, Session, chain};

/// What came of asking the copies for a key.
#[derive(Debug, Clone, Default)]
pub struct TriedKeys {
    /// The copies that gave theirs.
    pub given: Vec<(CopyStore, FileName)>,
    /// The copies that list theirs, answer, and did not give it.
    pub not_given: Vec<KeyNotGiven>,
}

/// A copy that lists a key and did not give it.
#[derive(Debug, Clone)]
pub struct KeyNotGiven {
    /// The copy.
    pub copy: CopyStore,
    /// The key.
    pub key: FileName,
    /// What it gave instead, or said.
    pub reason: String,
}

impl Session {
    /// Fetches one key from every copy but the one that the repository was opened from, all at once.
    /// Those that do not answer have failed from here on. To be done once in a run: it is a request
    /// to each copy. Where the user interrupts nothing is said of anybody.
    pub fn try_keys(&mut self) -> TriedKeys {
        let shared = shared_keys(self.ready().map(|(_, ready)| &ready.listing));
        let key_of = |ready: &ReadyCopy| {
            // The one that was opened, or one that another copy lists too. Where the copy lists
            // neither, that is told as a lack.
            let opened = self.repository.key_id();
            let mut listed = ready.listing.keys.iter().map(|entry| entry.id);
            match ready.listing.keys.contains(opened) {
                true => Some(opened),
                false => listed.find(|id| shared.contains(id)),
            }
        };
        let asked: Vec<(CopyStore, FileName)> = self
            .ready()
            .filter(|(copy, _)| self.opened_from.as_deref() != Some(copy.name.as_str()))
            .filter_map(|(copy, ready)| {
                let key = FileName::new(FileType::Keys, key_of(ready)?);
                Some((copy.clone(), key))
            })
            .collect();
        let looking = &self.looking;
        let answers = thread::scope(|scope| {
            let threads: Vec<_> = asked
                .iter()
                .map(|(copy, key)| {
                    let key = *key;
                    let ask = move |copy: &CopyStore| why_not_given(copy, key);
                    scope.spawn(move || looking.asking(copy, "give its key", ask))
                })
                .collect();
            let answers = threads.into_iter().map(thread::ScopedJoinHandle::join);
            answers.collect::<Vec<_>>()
        });
        let mut tried = TriedKeys::default();
        if self.looking.cancel.is_cancelled() {
            return tried;
        }
        for ((copy, key), answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(Ok(None)) => tried.given.push((copy, key)),
                Ok(Ok(Some(reason))) => tried.not_given.push(KeyNotGiven { copy, key, reason }),
                Ok(Err(failure)) => self.fail(&copy.name, failure),
                // Of a thread that died nothing is known.
                Err(_) => {}
            }
        }
        tried
    }
}

/// What a copy gave instead of a key, or said; `None` where it gave it.
///
/// # Errors
/// Where it says nothing at all, not even how large the key is.
fn why_not_given(copy: &CopyStore, key: FileName) -> Result<Option<String>, CopyFailure> {
    let error = match copy.store.read(key) {
        Ok(bytes) if key.id() == Some(Id::of(&bytes)) => return Ok(None),
        Ok(_) => return Ok(Some("it gives other bytes".to_owned())),
        Err(error) => error,
    };
    if error.is_silence()
        && let Err(again) = copy.store.size(key)
        && again.is_silence()
    {
        return Err(CopyFailure::of_store(&again));
    }
    Ok(Some(chain(&error)))
}
