//! Letting go: which snapshots stay, decided once for all copies, and the removal of those that go.
//!
//! What decides is [`strongroom_model::retention`], and it says what the attack is. Here is what it
//! is owed: when each snapshot came ([`Told`], and our own first sightings), what came before and is
//! gone, and who holds what.
//!
//! What can go wrong: something of that is not known. **What is not known may only keep more.**
//!
//! | not known | what happens |
//! |---|---|
//! | what a vault or a bucket says of when its snapshots came | nothing goes by the plan: our own sightings come later, and a snapshot that seems to have come a day later takes the place of another one |
//! | what lies on a folder that is away | those that it alone has are not decided upon; of those that were decided upon once it is known when they came |
//! | a snapshot that no copy can show | the same |
//! | the list of holds | nothing goes at all |
//! | when it came, as where the state folder was lost | it seems to have come now, long after what it claims, and stays |
//!
//! **Architecture invariant:** what goes was decided upon. A snapshot that comes after the decision
//! is not looked at, and so stays.

mod plan;
mod removal;
mod told;

use jiff::Timestamp;

use crate::Result;
use crate::session::Session;
use crate::state::RepositoryState;

pub use plan::{Decided, Hosts, Plan, Question, plan};
pub use removal::{Forgotten, forget};
pub use told::Told;

/// Takes note which snapshots each copy lists: of those that it did not list before, that they came
/// by now and not before the last listing. `began` is when this listing began.
///
/// # Errors
/// Where any of it cannot be written; the rest is.
pub fn note(
    session: &Session,
    state: &RepositoryState,
    began: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let mut outcome = Ok(());
    for (copy, ready) in session.ready() {
        let listed = ready.listing.snapshots.iter().map(|entry| entry.id);
        let noted = state.update_sightings(copy, |sightings| sightings.note(listed, began, now));
        outcome = outcome.and(noted);
    }
    outcome
}
