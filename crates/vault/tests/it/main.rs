//! Tests of the vault from outside.
// Always so here; said for clippy, which then lets helpers unwrap as it lets tests.
#![cfg(test)]

mod http;
mod packaging;
mod program;
