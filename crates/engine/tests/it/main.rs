//! The engine as the program uses it: real folders, real stores, stock restic as the judge.
#![cfg(test)]

mod backup;
mod damage;
mod drill;
mod estimate;
mod filesystem;
mod fixture;
mod forget;
mod golden;
mod hand_made;
mod hangs;
mod hostile;
mod hostile_source;
mod hosts;
mod locking;
mod locks;
mod looks;
mod many_keys;
mod predecessors;
mod prune;
mod recover;
mod removals;
mod renewals;
mod requests;
mod restore;
mod status;
mod sync;
mod verify;
