//! People at a vault, with a passkey in software.

pub(crate) mod attacks;
mod audit;
mod device;
pub(crate) mod scene;
pub(crate) mod stories;
