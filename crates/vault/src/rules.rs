//! The deciders: what may become of an object, and when. No I/O, no clock.
//!
//! **Architecture invariant:** everything here is a function of its parameters, so that an attack
//! of ten years is replayed in a test in milliseconds.

pub mod clock;
pub mod key_file;
pub mod life;
pub mod moments;
pub mod needs;
pub mod notices;
pub mod purge;
pub mod quota;
pub mod refusals;
pub mod scrub;
pub mod wholeness;
pub mod witness;

pub use strongroom_access::right;
