//! The acts of a vault, on a real database and a real folder, under clocks of our own.

mod asked;
pub(crate) mod attacks;
mod bounds;
pub(crate) mod days;
mod doubted;
pub(crate) mod hiding;
pub(crate) mod holds;
pub(crate) mod life;
mod log;
pub(crate) mod model;
pub(crate) mod moments;
mod observing;
pub(crate) mod parts;
mod purging;
pub(crate) mod receipts;
mod refusing;
pub(crate) mod rejecting;
pub(crate) mod scene;
pub(crate) mod scrubbing;
mod settling;
mod witnessing;
