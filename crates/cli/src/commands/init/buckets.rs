//! Whether the buckets of the copies can keep what is promised of them, before anything is put
//! there.
//!
//! What is put into a wrong one can never be locked as it should, or never be removed again.

use strongroom_engine::CopyStore;
use strongroom_engine::session::chain;

use crate::error::{Error, Result};

/// Refuses buckets that cannot keep their locks, and says what would make them right. One that
/// cannot be asked at all is left to the look that follows.
pub(super) fn check(copies: &[CopyStore]) -> Result<()> {
    let (mut flaws, mut commands) = (Vec::new(), Vec::new());
    for copy in copies {
        let Some(locks) = copy.store.locks() else {
            continue;
        };
        match locks.check() {
            Ok(check) => {
                let told = check
                    .flaws
                    .iter()
                    .map(|flaw| format!("{}: {flaw}", copy.name));
                flaws.extend(told);
                commands.extend(check.commands);
            }
            Err(error) => {
                let error = chain(&error);
                let copy = copy.name.as_str();
                tracing::debug!(copy, error, "The bucket does not tell how it is");
            }
        }
    }
    match flaws.is_empty() {
        true => Ok(()),
        false => Err(Error::Buckets { flaws, commands }),
    }
}
