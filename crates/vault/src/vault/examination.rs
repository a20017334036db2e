//! What `doctor` asks of the vault itself: is what the database says in storage too?

use strongroom_store::BodyKey;

use crate::Result;
use crate::records::objects::{self, Key};
use crate::records::repositories;
use crate::records::tally::{self, InState};
use crate::vault::Vault;

/// How many objects are looked up at a time.
const BATCH: u64 = 500;

/// What a look at the bodies of objects found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodiesChecked {
    /// How many objects were looked at.
    pub objects: u64,
    /// How many have no body, or one of another size.
    pub wrong: u64,
    /// The first of these.
    pub example: Option<String>,
}

impl Vault {
    /// Looks whether objects have bodies of their size, at most so many objects, spread evenly over
    /// all repositories.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn check_bodies(&self, most: u64) -> Result<BodiesChecked> {
        let mut checked = BodiesChecked::default();
        let all = self.repositories()?;
        let share = most.div_ceil((all.len() as u64).max(1));
        for repository in all {
            let (mut place, mut left) = ((-1, Vec::new()), share);
            while left > 0 {
                let limit = left.min(BATCH);
                let from = (place.0, place.1.as_slice());
                let found = self
                    .read(|transaction| objects::behind(transaction, repository.id, from, limit))?;
                let Some((last, _)) = found.last() else {
                    break;
                };
                place = objects::place_of(*last);
                left -= found.len() as u64;
                for (name, object) in found {
                    checked.objects += 1;
                    let body = self.body_key(&repository.path, name, object.generation);
                    let is_there = match self.shared.bodies.open(&body, None) {
                        Ok((size_bytes, _)) => size_bytes == object.bytes,
                        Err(strongroom_store::Error::NotFound { .. }) => false,
                        Err(error) => return Err(error.into()),
                    };
                    if !is_there {
                        checked.wrong += 1;
                        let example = || format!("{name} of {}", repository.path);
                        checked.example.get_or_insert_with(example);
                    }
                }
            }
        }
        Ok(checked)
    }

    /// Whether the database has an object whose body this is.
    ///
    /// # Errors
    /// Those of the database.
    pub fn knows_body(&self, body: &BodyKey) -> Result<bool> {
        self.read(|transaction| {
            let Some(repository) = repositories::get(transaction, &body.repository)? else {
                return Ok(false);
            };
            let object = objects::get(transaction, &Key::new(repository.id, body.name))?;
            Ok(object.is_some_and(|object| object.generation == body.generation))
        })
    }

    /// Whether the objects that are counted by state are those that are there, by counting all.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tallies_agree(&self) -> Result<bool> {
        self.read(|transaction| {
            let sorted = |mut all: Vec<InState>| {
                all.sort_by_key(|found| (found.repository, found.state.number()));
                all
            };
            Ok(sorted(tally::list(transaction)?) == sorted(tally::recount(transaction)?))
        })
    }
}
