//! The vault: a server that holds copies for others, and on which deletion is a request.
//!
//! **Architecture invariant:** neither `repo` nor `engine` is linked here, so that the server
//! cannot contain code that decrypts.

pub mod admin_token;
pub mod beside;
pub mod config;
pub mod database;
pub mod doctor;
pub mod durable;
pub mod error;
pub mod http;
pub mod logging;
pub mod notify;
pub mod opening;
pub mod passkeys;
pub mod passwords;
pub mod people;
mod private_file;
pub mod publication;
pub mod records;
pub mod rules;
pub mod runs_in;
pub mod vault;
pub mod wire;

pub use error::{Error, Result};
pub use strongroom_model::chain;
pub use vault::Vault;
