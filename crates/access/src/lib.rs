//! The deciders: who may do what in a vault, with which factor, and to what several have to agree.
//!
//! docs/people.md tells the whole of it.
//!
//! **Architecture invariant:** this crate does no I/O and knows no clock. What is known, what is asked
//! and what time it is come in as parameters, so that every attack is replayed in a test in
//! milliseconds.
//!
//! **Architecture invariant:** a [`Permit`] is made here and nowhere else. A vault does what a permit
//! says, and nothing that no permit says.

pub mod act;
pub mod factor;
pub mod forward;
pub mod keeping;
pub mod operation;
pub mod operator;
pub mod permit;
pub mod refusal;
pub mod right;
pub mod role;
pub mod rule;
pub mod seal;
pub mod session;
pub mod setup;
pub mod throttle;
pub mod world;

pub use act::Act;
pub use factor::{Factors, Shown};
pub use keeping::{Held, Keeping};
pub use operation::Operation;
pub use operator::{Operator, OperatorId, Standing};
pub use permit::{Link, Permit, Way};
pub use refusal::Refusal;
pub use right::Right;
pub use role::{Role, Roles};
pub use rule::Rule;
pub use seal::Seal;
pub use session::Session;
pub use setup::Setup;
pub use world::{Revoked, World};

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
