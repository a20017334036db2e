//! The stores against their contract, real servers, and a server that misbehaves.
// Always so here; said for clippy, which then lets helpers unwrap as it lets tests.
#![cfg(test)]

mod account;
mod at_once;
mod attacks;
mod bodies;
mod bucket;
mod cached;
mod contract;
mod endless;
mod local;
mod locked;
mod misbehaving;
mod patient;
mod pin;
mod restic;
mod s3;
mod server;
mod tls;
mod together;
mod vault;
mod versions;
