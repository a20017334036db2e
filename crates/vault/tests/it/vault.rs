//! The acts of a vault, on a real database and a real folder, under clocks of our own.

mod attacks;
mod life;
mod model;
mod receipts;
pub(crate) mod scene;
