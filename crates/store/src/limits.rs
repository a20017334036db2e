//! How many files the process may hold open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets the process open as many files as it may: a backup keeps folders open until all in them is
/// done, and deep trees have many; a vault has connections, bodies that wait, and folders. Where
/// that cannot be, what is opened beyond the limit fails and is named.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "The limit of open files stays");
    }
}
