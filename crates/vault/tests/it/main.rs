//! The vault's tests: its acts, its databases, its server, and real clients.
// Always so here; said for clippy, which then lets helpers unwrap as it lets tests.
#![cfg(test)]

mod api;
mod clients;
mod console;
mod database;
mod fleet;
mod forward;
mod http;
mod packaging;
mod people;
mod program;
mod running;
mod signing;
mod telling;
mod upkeep;
mod vault;
