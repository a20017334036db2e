//! How many files the process may hold open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets the process open as many files as it may: folders stay open until all in them is done,
/// and deep trees have many. Where that cannot be, some folders may fail and are named.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "The limit of open files stays");
    }
}
