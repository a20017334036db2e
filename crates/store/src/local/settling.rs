//! Bodies that have got their names and are made durable together.
//!
//! A disk takes about as long for one small body as for fifty, and each that is synchronised for
//! itself wakes and waits for itself. So where many come at a time, the whole file system is
//! synchronised once for all of them.
//!
//! What can go wrong:
//! - Other programs' bytes on the same file system are waited for as well. So it is done only where
//!   many small bodies come at once; a few are synchronised one by one.
//! - Something else on the file system was lost. Then each body is asked for itself, and is told
//!   what became of it and nothing else.
//! - Kernels before 5.8 do not say of a whole file system that something was lost: there each body is
//!   synchronised for itself.
//! - A name that is not durable yet may stand for no bytes after a power cut. So a body gets its name
//!   in this way only where the name is free: what replaces another is durable before.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, LazyLock};

use rustix::io::Errno;

use crate::Result;
use crate::bodies::Named;
use crate::local::bodies::Lies;
use crate::local::folder;
use crate::local::temporary::Temporary;

/// From how many bodies on a whole file system is synchronised: about as long as these take one by
/// one.
const MANY: usize = 8;

/// A body that has its name and may not outlast a power cut.
#[derive(Debug)]
pub(crate) struct Unsettled {
    file: Temporary<Arc<OwnedFd>>,
    folder: Arc<OwnedFd>,
    /// Its file system, where it can be told.
    device: Option<u64>,
    lies: Lies,
}

impl Unsettled {
    /// A body that has got its name in a folder.
    pub(super) fn new(file: Temporary<Arc<OwnedFd>>, folder: Arc<OwnedFd>, lies: Lies) -> Self {
        Self {
            device: file.device().ok(),
            file,
            folder,
            lies,
        }
    }

    fn is_on<T>(&self, devices: &HashMap<u64, T>) -> bool {
        self.device
            .is_some_and(|device| devices.contains_key(&device))
    }

    /// Makes this one durable.
    fn settle(&self) -> Result<()> {
        let settled = self.file.sync().and_then(|()| folder::sync(&self.folder));
        settled.map_err(|errno| self.fault(errno))
    }

    /// Whether it is all there, now that its file system is synchronised.
    fn check(&self) -> Result<()> {
        self.file.check_size().map_err(|errno| self.fault(errno))
    }

    fn fault(&self, errno: Errno) -> crate::Error {
        self.lies.forget();
        self.lies.fault("write", errno)
    }
}

/// Makes bodies durable, and tells of each what became of it, in the same order.
pub(crate) fn settle(bodies: &[Named]) -> Vec<Result<()>> {
    let mut devices = HashMap::<u64, (usize, &OwnedFd)>::new();
    for body in bodies.iter().filter_map(|body| body.0.as_ref()) {
        if let Some(device) = body.device {
            devices.entry(device).or_insert((0, &body.folder)).0 += 1;
        }
    }
    // Of all others each is settled for itself.
    devices.retain(|_, (count, folder)| {
        *count >= MANY && *TELLS_OF_LOSSES && rustix::fs::syncfs(*folder).is_ok()
    });
    let settle = |body: &Named| match &body.0 {
        None => Ok(()),
        Some(body) if body.is_on(&devices) => body.check(),
        Some(body) => body.settle(),
    };
    bodies.iter().map(settle).collect()
}

/// Whether the kernel says of a whole file system that something was lost.
static TELLS_OF_LOSSES: LazyLock<bool> = LazyLock::new(|| {
    let name = rustix::system::uname();
    is_at_least(&name.release().to_string_lossy(), (5, 8))
});

/// Whether a kernel's release, as `6.1.0-18-amd64`, is at least this; no where it cannot be read.
fn is_at_least(release: &str, least: (u32, u32)) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    match (next(), next()) {
        (Some(major), Some(minor)) => (major, minor) >= least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_kernels_are_compared_by_number() {
        for (release, is_new) in [
            ("5.8.0", true),
            ("5.10.0-28-amd64", true),
            ("6.1", true),
            ("5.7.19", false),
            ("4.19.0-26", false),
            ("3.10.0-1160.el7", false),
            ("5", false),
            ("", false),
            ("new", false),
        ] {
            assert_eq!(is_at_least(release, (5, 8)), is_new, "{release}");
        }
    }
}
