//! The acts of a vault, on a real database and a real folder, under clocks of our own.

mod attacks;
mod life;
mod log;
mod model;
mod observing;
mod refusing;
pub(crate) mod scene;
mod scrubbing;
mod witnessing;
