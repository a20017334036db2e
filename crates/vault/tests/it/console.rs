//! The console in a real browser.

mod leading;
mod office;
mod reading;
mod stories;
