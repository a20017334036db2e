//! The engine as the program uses it: real folders, real stores, stock restic as the judge.
#![cfg(test)]

mod backup;
mod filesystem;
mod fixture;
mod status;
