//! The append-only Merkle log of what a vault did.
//!
//! **Architecture invariant:** this crate links nothing else of ours, so that an auditor builds
//! and reads it alone.
