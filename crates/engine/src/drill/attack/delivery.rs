//! Statements of drills on their way to a vault, whose log tells of them from then on.
//!
//! What is to be sent is what the state folder holds and the vault is not known to have; there is
//! no other journal of it. None of it fails a drill.

use strongroom_model::attack::SignedDrill;
use strongroom_store::Error as StoreError;

use crate::Result;
use crate::session::{Cancel, CopyFailure, CopyStore};
use crate::state::RepositoryState;

/// How many of the newest statements are sent at one contact.
const MOST_AT_ONCE: usize = 16;

/// What came of sending statements to a vault.
#[derive(Debug, Clone, Default)]
pub struct DrillDelivery {
    /// How many it took.
    pub taken: usize,
    /// How many it refuses for good.
    pub refused: usize,
    /// What it says to the last of these.
    pub refusal: Option<String>,
    /// How many are still to be sent.
    pub left: usize,
    /// What ended it before all was sent.
    pub failure: Option<CopyFailure>,
}

/// Sends the newest statements that the vault of a copy does not have yet.
///
/// # Errors
/// Where the state folder cannot be written: they are sent again then.
pub fn deliver(
    state: &RepositoryState,
    copy: &CopyStore,
    send: impl Fn(&SignedDrill) -> strongroom_store::Result<()>,
    cancel: &Cancel,
) -> Result<DrillDelivery> {
    let known = state.delivered_drills(copy);
    let mut waiting = state.drills(MOST_AT_ONCE);
    waiting.retain(|drill| {
        let id = drill.id();
        !known.taken.contains(&id) && !known.refused.contains_key(&id)
    });
    let mut delivery = DrillDelivery {
        left: waiting.len(),
        ..DrillDelivery::default()
    };
    let mut known = known;
    // In the order in which they were made.
    for drill in waiting.iter().rev() {
        if cancel.is_cancelled() {
            break;
        }
        match send(drill) {
            Ok(()) => {
                known.taken.insert(drill.id());
                delivery.taken += 1;
            }
            // It makes no sense to the vault, and never will.
            Err(StoreError::Vault {
                status: 400 | 413,
                reason,
                ..
            }) => {
                delivery.refusal = Some(reason.clone());
                known.refused.insert(drill.id(), reason);
                delivery.refused += 1;
            }
            Err(error) => {
                delivery.failure = Some(CopyFailure::of_store(&error));
                break;
            }
        }
        delivery.left -= 1;
    }
    state.update_delivered_drills(copy, |delivered| {
        delivered.taken.extend(known.taken);
        delivered.refused.extend(known.refused);
    })?;
    Ok(delivery)
}
