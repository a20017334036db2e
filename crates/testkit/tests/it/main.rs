//! The tools that other tests trust.
// Always so here; said for clippy, which then lets helpers unwrap as it lets tests.
#![cfg(test)]

mod browser;
mod faulty;
mod proxy;
mod recording;
mod site;
mod tree;
