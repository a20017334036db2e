//! The console in a real browser.

mod office;
mod reading;
mod stories;
