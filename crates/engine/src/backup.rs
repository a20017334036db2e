//! Backup.
mod archive;
mod command;
mod files;
mod filter;
mod folder;
mod needs;
mod packer;
mod pool;
pub mod report;
mod roots;
mod walk;
mod worker;
