//! Backup.
mod packer;
