//! Where copies live: whole objects by type and id.
//!
//! **Architecture invariant:** everything goes to storage through [`Store`], so that a test can
//! put faults and counters between the engine and any copy. A store knows nothing of passwords,
//! blobs or snapshots. What a vault keeps its bytes in is [`Bodies`].

pub mod attacks;
pub mod bodies;
mod clock;
pub mod error;
mod exact;
pub mod growing;
mod holder;
mod limits;
pub mod local;
pub mod locks;
pub mod patient;
pub mod place;
pub mod pulse;
pub mod rest;
pub mod s3;
mod store;
pub mod versions;

pub use attacks::{Attacked, Attacks, Noted, Remnants};
pub use bodies::{Bodies, BodyKey, Named, Staged};
pub use clock::are_apart;
pub use error::{Error, Result, is_remote};
pub use growing::Growing;
pub use holder::Holder;
pub use limits::raise_file_limit;
pub use local::{LocalBodies, LocalStore};
pub use locks::{Locks, SavedLock, SeenVersion, ShownLock};
pub use patient::PatientStore;
pub use pulse::Pulse;
pub use rest::{Hello, RestOptions, RestStore, Sent, VaultAdmin, VaultClient};
pub use s3::{
    BucketCheck, BucketFlaw, LentAccount, S3Bodies, S3Credentials, S3Files, S3Lock, S3Options,
    S3Store,
};
pub use store::{SharedBytes, Store, read_limit_bytes};
pub use versions::{FileVersion, ShowVersion, VersionContent, VersionId, Versions};
