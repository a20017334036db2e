//! In whose hand a place is, as far as the place itself tells.

use strongroom_model::blast::PlaceKey;
use strongroom_model::{Account, Id};

/// Who asks a place, and who rules it. What is not told is not there: who needs to tell two places
/// apart must not take that for a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// What tells the access key that is in use from others; made of its name, never of its secret.
    pub credential: Option<Id>,
    /// The accounts at its provider that own it, by all names that the place tells.
    pub accounts: Vec<Account>,
    /// The key of an account that encrypts what is put there, where there is one.
    pub key: Option<PlaceKey>,
}
