//! Attacks on a place with the credential that it is used with: on canaries, never on what is
//! there.
//!
//! A store knows what an intruder could ask of its place, in every way that the place has for it;
//! it carries that out on files of its own and tells what was said and what was left. What follows
//! is decided elsewhere, by [`strongroom_model::attack::judge`].
//!
//! **Security:** whatever acts on a whole bucket, repository, policy or lifecycle is tried on a
//! probe that is made beside it, or not at all. No attempt names a file of the repository.

mod remnants;

use std::time::{Duration, SystemTime};

use strongroom_model::FileName;
use strongroom_model::attack::{PlaceKind, Tried};

use crate::Result;

pub use remnants::{Noted, Remnants};

/// How long the canary of a drill is locked: longer than a drill may take, and far shorter than the
/// time to the next one, which sweeps it away.
pub const CANARY_LOCK: Duration = Duration::from_secs(3600);

/// The most canaries that a drill puts in one place; each has [`CANARY_BYTES`] or fewer.
pub const MOST_CANARIES: usize = 24;

/// The most bytes of a canary.
pub const CANARY_BYTES: usize = 128;

/// What a store offers beside [`Store`](crate::Store) whose place can be attacked.
pub trait Attacks: Send + Sync {
    /// Sweeps what an earlier drill has left, tries all that there is on canaries, and cleans up as
    /// far as locks and rights allow. `files` are some real ones, whose locks are looked at where
    /// there are any, and which are not touched. What stays is in `remnants`, also where this fails.
    ///
    /// The number of requests is bounded, whatever the place answers.
    ///
    /// # Errors
    /// Where the place cannot be asked, or no canary can be put there at all.
    fn attack(&self, files: &[FileName], remnants: &Remnants) -> Result<Attacked>;
}

/// What came of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attacked {
    /// What kind of place it is.
    pub place: PlaceKind,
    /// Whose credential it was, as the place tells it.
    pub principal: Option<String>,
    /// Until when a file is locked that is put there now, where it is.
    pub until: Option<SystemTime>,
    /// Whether the place says that it keeps what is deleted; of a vault alone.
    pub keeps: bool,
    /// All attempts, in their order.
    pub tried: Vec<Tried>,
    /// What else was seen, for people.
    pub notes: Vec<String>,
}

impl Attacked {
    /// Of a place of which nothing is known yet.
    pub const fn new(place: PlaceKind) -> Self {
        Self {
            place,
            principal: None,
            until: None,
            keeps: false,
            tried: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Random letters for the name of a canary.
pub(crate) fn random_name() -> Option<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(data_encoding::HEXLOWER.encode(&bytes))
}

/// A reason as the place gives it, in one line and of bounded length.
pub(crate) fn in_one_line(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(200).collect()
}
