//! The console in a real browser.

pub(crate) mod office;
mod stories;
