//! placeholder
pub mod filesystem;
