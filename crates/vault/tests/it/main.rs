//! Tests of the vault from outside.

mod http;
mod packaging;
mod program;
