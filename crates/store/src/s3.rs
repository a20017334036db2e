//! What lies in a bucket, of Amazon's S3, Ceph, and what speaks as they do: a vault's bodies, and
//! copies.
//!
//! The SDK is asynchronous and stays inside: a small runtime of its own does its work, and whoever
//! calls waits, as with a disk.
//!
//! What can go wrong: networks (so: all waiting is bounded, what may pass is tried again, a stream
//! that breaks goes on where it broke), answers that are lost (so: an upload that is gone after it
//! was completed is looked for under its name), parts of uploads that nobody ends (so: they are
//! swept), buckets that keep what is removed as old versions (so: these are removed too), and
//! servers that answer nonsense (so: what they say of sizes and ranges is held against what was
//! asked).

mod attacks;
mod bodies;
mod check;
mod client;
mod clock;
mod commands;
mod dates;
mod fault;
mod files;
mod holder;
mod layout;
mod lent;
mod listing;
mod lock;
mod object;
mod options;
mod part;
mod place;
mod probe;
mod prompt;
mod staged;
mod store;
mod stream;
mod sum;
mod sweep;
mod tls;
mod upload;

pub use crate::s3::bodies::S3Bodies;
pub use crate::s3::check::{BucketCheck, BucketFlaw};
pub use crate::s3::fault::UNHEARD;
pub use crate::s3::files::S3Files;
pub use crate::s3::lent::LentAccount;
pub use crate::s3::options::{S3Credentials, S3Options};
pub use crate::s3::store::{S3Lock, S3Store};
