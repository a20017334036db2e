//! The console in a real browser.

mod leading;
mod many;
mod office;
mod reading;
mod stories;
