//! What `doctor` asks of the vault itself: is what the database says in storage too?

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::BodyKey;

use crate::Result;
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::records::tally::{self, InState};
use crate::records::vital;
use crate::vault::Vault;

/// How many objects are looked up at a time.
const BATCH: u64 = 500;

/// A place in the order of types and names.
type Place = (i64, Vec<u8>);

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
    /// all repositories. It begins behind the pack `start`, which is chosen at random so that each
    /// look sees others, and wraps round.
    ///
    /// # Errors
    /// Those of database and storage.
    pub fn check_bodies(&self, most: u64, start: Id) -> Result<BodiesChecked> {
        let mut checked = BodiesChecked::default();
        let all = self.repositories()?;
        let share = most.div_ceil((all.len() as u64).max(1));
        let start = objects::place_of(FileName::new(FileType::Data, start));
        for repository in all {
            let mut left = share;
            let rounds = [(start.clone(), None), ((-1, Vec::new()), Some(&start))];
            for (from, until) in rounds {
                self.check_bodies_from(&repository, from, until, &mut left, &mut checked)?;
            }
        }
        Ok(checked)
    }

    /// Looks at the objects behind a place, until another.
    fn check_bodies_from(
        &self,
        repository: &Repository,
        mut place: Place,
        until: Option<&Place>,
        left: &mut u64,
        checked: &mut BodiesChecked,
    ) -> Result<()> {
        while *left > 0 {
            let limit = (*left).min(BATCH);
            let from = (place.0, place.1.as_slice());
            let found =
                self.read(|transaction| objects::behind(transaction, repository.id, from, limit))?;
            let Some((last, _)) = found.last() else {
                return Ok(());
            };
            place = objects::place_of(*last);
            for (name, object) in found {
                if until.is_some_and(|until| objects::place_of(name) > *until) {
                    return Ok(());
                }
                *left -= 1;
                checked.objects += 1;
                let body = self.body_key(&repository.path, name, object.generation);
                let is_there = match self.shared.bodies.size_bytes(&body) {
                    Ok(size_bytes) => size_bytes == object.bytes,
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
        Ok(())
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

    /// Whether the objects that are counted by state, and what is vital, are those that are there,
    /// by counting all.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tallies_agree(&self) -> Result<bool> {
        self.read(|transaction| {
            let sorted = |mut all: Vec<InState>| {
                all.sort_by_key(|found| (found.repository, found.state.number()));
                all
            };
            let by_state =
                sorted(tally::list(transaction)?) == sorted(tally::recount(transaction)?);
            Ok(by_state && vital::list(transaction)? == vital::recount(transaction)?)
        })
    }
}
