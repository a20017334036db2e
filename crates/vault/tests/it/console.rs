//! The console in a real browser.

mod leading;
mod many;
pub(crate) mod office;
mod reading;
mod stories;
