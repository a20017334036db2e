//! Trees, clocks, faulty and recording stores; for tests only.
//!
//! **Architecture invariant:** no program depends on this crate, so that it may panic: a test
//! whose scene cannot be set has to fail loudly.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "everything here runs inside tests, where a panic is the right answer"
)]

pub mod bodies;
pub mod browser;
pub mod bucket;
pub mod ceph;
pub mod cheap;
pub mod clock;
pub mod contract;
pub mod fake_bucket;
pub mod faulty;
pub mod gate;
pub mod memory;
pub mod postgres;
pub mod programs;
pub mod proxy;
pub mod rclone;
pub mod recording;
mod starting;
pub mod tree;

pub use bodies::bodies_contract;
pub use browser::{Authenticator, Browser, Cookie, Credential, Passkeys, Scheme, Violation};
pub use bucket::{Bucket, BucketVersion, Tried};
pub use ceph::{Ceph, CephAccount};
pub use clock::TestClock;
pub use fake_bucket::{Asked, FakeBucket, Rights};
pub use faulty::{Fault, FaultyBodies, FaultyStore, Op, Rule, Rules};
pub use gate::Gate;
pub use memory::MemoryStore;
pub use postgres::PostgresServer;
pub use proxy::Proxy;
pub use rclone::RcloneServer;
pub use recording::{Record, RecordingStore, Tally};
