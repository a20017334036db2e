//! The program as real clients meet it: stock restic, and kill -9.

mod restic;
mod server;
