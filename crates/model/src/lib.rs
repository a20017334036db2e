//! The nouns and rules of Strongroom: what a copy, a plan and a scorecard are.
//!
//! **Architecture invariant:** this crate does no I/O and knows no clock; time, environment and
//! randomness come in as parameters, so that every rule can be tested in microseconds.

pub mod account;
pub mod address;
pub mod ago;
pub mod attack;
pub mod blast;
pub mod byte_size;
pub mod command_line;
pub mod config;
pub mod error;
pub mod evidence;
pub mod file;
pub mod fingerprint;
pub mod holds;
pub mod id;
pub mod keep;
pub mod name;
pub mod period;
pub mod plan;
pub mod receipt;
pub mod repository_path;
pub mod retention;
pub mod scorecard;
pub mod secret;
pub mod shell;
pub mod signed;
pub mod vault;
pub mod witness_key;

pub use account::Account;
pub use address::{RestAddress, S3Address, StoreAddress};
pub use blast::Blast;
pub use byte_size::ByteSize;
pub use command_line::CommandLine;
pub use config::{
    BackupCopy, Config, ConfigError, Limits, Medium, PasswordSource, S3Access, S3Account,
    SecretKey, Source,
};
pub use error::{Error, Result, chain};
pub use evidence::CopyEvidence;
pub use file::{FileEntry, FileName, FileType};
pub use fingerprint::Fingerprint;
pub use holds::Holds;
pub use id::Id;
pub use keep::Keep;
pub use name::Name;
pub use period::Period;
pub use plan::Plan;
pub use receipt::{Needs, Receipt, SignedReceipt};
pub use repository_path::RepositoryPath;
pub use scorecard::{Facts, Scorecard};
pub use secret::Secret;
pub use witness_key::WitnessKey;
