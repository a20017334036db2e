//! The acts of a vault, on a real database and a real folder, under clocks of our own.

pub(crate) mod attacks;
pub(crate) mod life;
mod model;
pub(crate) mod scene;
