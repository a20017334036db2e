//! People at a vault, with a passkey in software.

mod attacks;
mod audit;
mod device;
mod scene;
mod stories;
