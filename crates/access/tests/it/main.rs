//! The deciders, attacked.
// Always so here; said for clippy, which then lets helpers unwrap as it lets tests.
#![cfg(test)]

mod attacks;
mod entering;
mod forward;
mod powers;
mod scene;
mod sealed;
mod tables;
