//! Whether copies give the key that they list.
//!
//! A copy's list of keys is its own word, and without a key that it gives nobody opens it. So where
//! the password is at hand, one key is fetched from each copy: the one that has just been opened,
//! whose bytes alone have its name. Nothing is derived from the password again: a copy that gives
//! the same bytes can be opened with the same password.
//!
//! What can go wrong: a copy that does not list that key because its vault holds it for an operator.
//! Then it is a key that another copy lists as well; one that nobody else knows proves nothing.

use std::thread;

use strongroom_model::{FileName, FileType, Id};

use crate::session::{CopyStore, ReadyCopy, Session, chain};

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
    /// Fetches one key from every copy but the one that the repository was opened from, all at once;
    /// returns those copies that do not give theirs. To be asked once in a run: it is a request to
    /// each copy. Where the user interrupts nothing is said of anybody.
    pub fn keys_not_given(&self) -> Vec<KeyNotGiven> {
        let asked: Vec<_> = self
            .ready()
            .filter(|(copy, _)| self.opened_from.as_deref() != Some(copy.name.as_str()))
            .filter_map(|(copy, ready)| Some((copy, self.key_to_ask_for(copy, ready)?)))
            .collect();
        let looking = &self.looking;
        let answers = thread::scope(|scope| {
            let threads: Vec<_> = asked
                .iter()
                .map(|(copy, key)| {
                    let (copy, key) = (*copy, *key);
                    scope.spawn(move || {
                        looking.at(copy, move |copy: &CopyStore| Ok(why_not_given(copy, key)))
                    })
                })
                .collect();
            let answers = threads.into_iter().map(thread::ScopedJoinHandle::join);
            answers.collect::<Vec<_>>()
        });
        if self.looking.cancel.is_cancelled() {
            return Vec::new();
        }
        let answers = asked.into_iter().zip(answers);
        answers
            .filter_map(|((copy, key), answer)| {
                let reason = match answer {
                    Ok(Ok(given)) => given?,
                    Ok(Err(failure)) => failure.reason,
                    Err(_) => return None,
                };
                Some(KeyNotGiven {
                    copy: copy.clone(),
                    key,
                    reason,
                })
            })
            .collect()
    }

    /// The key of a copy that must be given: the one that was opened, or one that another copy lists
    /// too. `None` where the copy lists neither, which is told as a lack.
    fn key_to_ask_for(&self, copy: &CopyStore, ready: &ReadyCopy) -> Option<FileName> {
        let opened = self.repository.key_id();
        let is_elsewhere = |id: &Id| {
            let mut others = self.ready().filter(|(other, _)| other.name != copy.name);
            others.any(|(_, other)| other.listing.keys.contains(*id))
        };
        let id = match ready.listing.keys.contains(opened) {
            true => opened,
            false => ready
                .listing
                .keys
                .iter()
                .map(|entry| entry.id)
                .find(is_elsewhere)?,
        };
        Some(FileName::new(FileType::Keys, id))
    }
}

/// What a copy gave instead of a key, or said; `None` where it gave it.
fn why_not_given(copy: &CopyStore, key: FileName) -> Option<String> {
    match copy.store.read(key) {
        Ok(bytes) if key.id() == Some(Id::of(&bytes)) => None,
        Ok(_) => Some("it gives other bytes".to_owned()),
        Err(error) => Some(chain(&error)),
    }
}
