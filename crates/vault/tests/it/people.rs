//! People at a vault, with a passkey in software.

mod attacks;
mod device;
pub(crate) mod scene;
mod stories;
