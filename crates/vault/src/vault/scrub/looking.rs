//! Looking at one object after the other, and telling rot from a storage that is away.
//!
//! What can go wrong:
//! - the storage is away, or lets nobody read, while a share of one object is read: so no object is
//!   taken for rot because it cannot be read, be it one or many, until something else could be;
//! - somebody who may write in the storage makes some objects unreadable and not absent, so that
//!   scrubbing stops before them each time, and removes the rest at leisure. So it stops only where
//!   nothing can be read: unreadable objects are rot as soon as anything else is readable, and where
//!   nothing is for an hour, though the storage takes bytes, that is rot too.

use std::collections::HashMap;

use parking_lot::Mutex;
use strongroom_model::{FileName, Id};
use strongroom_store::BodyKey;

use crate::Result;
use crate::records::repositories::Repository;
use crate::rules::clock::HOUR_MS;
use crate::rules::life::Object;
use crate::rules::scrub::{Why, Work};
use crate::vault::scrub::digest_of;
use crate::vault::soundness::Found;
use crate::vault::{GoesOn, Vault};

/// After so many objects in a row that cannot be read it is asked at once whether the storage is
/// away, and not only when the share is over.
const UNREADABLE_IN_A_ROW: usize = 8;

/// For how long that may be the answer, by the boot clock, while the storage takes bytes.
const LONGEST_AWAY_MS: i64 = HOUR_MS;

/// The largest body that is read again to see whether any can be read.
const LARGEST_SAMPLE_BYTES: u64 = 16 << 20;

/// How many repositories are asked for their `config` then.
const SAMPLES: usize = 16;

/// The type and the name of an object, by which objects are in order.
pub(super) type Place = (i64, Vec<u8>);

/// What is known of whether bodies can be read at all.
#[derive(Debug, Default)]
pub(in crate::vault) struct Readable {
    /// The last body that was sound.
    sample: Mutex<Option<(BodyKey, Id)>>,
    /// Since when the storage seems to be away, by repository.
    away_since_ms: Mutex<HashMap<i64, i64>>,
}

/// Objects that were read, and not yet written down.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whether anything of the repository is marked.
    pub(super) has_marks: bool,
    pub(super) read: Work,
    pub(super) rotten: Vec<(FileName, u32, Why)>,
    /// Marked before, and sound now.
    pub(super) sound: Vec<(FileName, u32)>,
    /// Objects in a row that cannot be read, with their bytes, of which it is not yet known
    /// whether they are rot.
    unreadable: Vec<(FileName, u32, u64)>,
    /// The place before these.
    place: Place,
    /// Whether the storage was asked and is not away.
    is_there: bool,
}

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It was read, or it is known that it cannot be.
    Done,
    /// The caller has ended it.
    Ended,
    /// The storage is away; nothing is known of the last objects.
    Away,
}

impl Batch {
    /// A batch of a repository.
    pub(super) fn new(has_marks: bool) -> Self {
        Self {
            has_marks,
            ..Self::default()
        }
    }

    /// Takes those for rot that cannot be read: to be called behind a proof that others can be.
    fn settle(&mut self) {
        for (name, generation, bytes) in std::mem::take(&mut self.unreadable) {
            self.rotten.push((name, generation, Why::Unreadable));
            self.count(bytes);
        }
    }

    /// Without those that cannot be read, and the place before them, from which it has to be gone on
    /// then; `None` where there are none.
    pub(super) fn into_known(mut self) -> (Self, Option<Place>) {
        let is_unknown = !self.unreadable.is_empty();
        self.unreadable.clear();
        let place = std::mem::take(&mut self.place);
        (self, is_unknown.then_some(place))
    }

    fn count(&mut self, bytes: u64) {
        self.read.objects += 1;
        self.read.bytes = self.read.bytes.saturating_add(bytes);
    }
}

impl Vault {
    /// Looks at one object, the next behind a place.
    pub(super) fn look_at_object(
        &self,
        repository: &Repository,
        (name, object): (FileName, &Object),
        before: &Place,
        batch: &mut Batch,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<Looked> {
        let Some(digest) = digest_of(repository, name) else {
            return Ok(Looked::Done);
        };
        let body = self.body_key(&repository.path, name, object.generation);
        let found = self.look_at_body(&body, digest, goes_on)?;
        if found == Found::Rotten(Why::Unreadable) && !batch.is_there {
            if batch.unreadable.is_empty() {
                batch.place.clone_from(before);
            }
            batch
                .unreadable
                .push((name, object.generation, object.bytes));
            if batch.unreadable.len() < UNREADABLE_IN_A_ROW {
                return Ok(Looked::Done);
            }
            if !self.is_storage_there(repository)? {
                return Ok(Looked::Away);
            }
            batch.is_there = true;
            batch.settle();
            return Ok(Looked::Done);
        }
        match found {
            Found::Unfinished => return Ok(Looked::Ended),
            // That it is not there says nothing of whether others can be read.
            Found::Rotten(Why::Missing) => {
                if !self.settle(repository, batch)? {
                    return Ok(Looked::Away);
                }
                batch.rotten.push((name, object.generation, Why::Missing));
            }
            Found::Rotten(why) => {
                batch.settle();
                batch.rotten.push((name, object.generation, why));
            }
            Found::Sound => {
                batch.settle();
                self.is_well(repository);
                if object.bytes <= LARGEST_SAMPLE_BYTES {
                    *self.shared.readable.sample.lock() = Some((body, digest));
                }
                if batch.has_marks && self.is_marked(repository.id, name)? {
                    batch.sound.push((name, object.generation));
                }
            }
        }
        batch.count(object.bytes);
        Ok(Looked::Done)
    }

    /// Takes those of a batch for rot that cannot be read, where the storage is there; whether it is,
    /// which is asked only where there are any.
    pub(super) fn settle(&self, repository: &Repository, batch: &mut Batch) -> Result<bool> {
        if batch.unreadable.is_empty() {
            return Ok(true);
        }
        batch.is_there = batch.is_there || self.is_storage_there(repository)?;
        if batch.is_there {
            batch.settle();
        }
        Ok(batch.is_there)
    }

    /// Forgets that nothing of a repository could be read once: another time is another outage.
    fn is_well(&self, repository: &Repository) {
        let mut away = self.shared.readable.away_since_ms.lock();
        away.remove(&repository.id);
    }

    /// Whether the storage is there, though objects of a repository cannot be read.
    fn is_storage_there(&self, repository: &Repository) -> Result<bool> {
        let readable = &self.shared.readable;
        if self.is_anything_readable()? {
            self.is_well(repository);
            return Ok(true);
        }
        use strongroom_store::Error;
        // One that is full can be read all the same.
        match self.shared.bodies.probe() {
            Ok(()) | Err(Error::Full { .. }) => {}
            Err(_) => return Ok(false),
        }
        let now_ms = self.boot_ms();
        let mut away = readable.away_since_ms.lock();
        let since_ms = *away.entry(repository.id).or_insert(now_ms);
        Ok(now_ms.saturating_sub(since_ms) >= LONGEST_AWAY_MS)
    }

    /// Whether the last body that was sound, or any `config`, can be read.
    fn is_anything_readable(&self) -> Result<bool> {
        let sample = self.shared.readable.sample.lock().clone();
        if let Some((body, digest)) = sample
            && self.look_at_body(&body, digest, &mut |_| true)? == Found::Sound
        {
            return Ok(true);
        }
        for repository in self.repositories()?.iter().take(SAMPLES) {
            let Some(digest) = repository.config else {
                continue;
            };
            let body = self.body_key(&repository.path, FileName::CONFIG, 1);
            if self.look_at_body(&body, digest, &mut |_| true)? == Found::Sound {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
