//! The JSON of files that come from here, written as restic writes it.

use serde::Serialize;

use crate::{Error, Result};

/// The JSON of what a file says.
///
/// # Errors
/// None in practice: all fields are text and numbers.
pub(crate) fn encode(file: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(file).map_err(|error| Error::Invalid(error.to_string()))
}

/// Whether a field has the value with which restic leaves it out.
pub(crate) fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
