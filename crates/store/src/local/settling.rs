//! Bodies that have got their names and are made durable together.
//!
//! A disk takes about as long for one small body as for fifty, and each that is synchronised for
//! itself wakes and waits for itself. So where many come at a time, the whole file system is
//! synchronised once for all of them.
//!
//! What can go wrong:
//! - Bytes of others on the same file system are waited for as well. So it is done only where many
//!   small bodies come at once, and not for half a minute after it has taken long.
//! - A sync of the whole says less than one of a file. It tells of a loss once per open file, so it
//!   is asked by the file that was begun first: nothing of any of these bodies was written before
//!   that was opened, and nobody has asked by it. It says nothing where the file system has become
//!   read-only, as one does whose journal or transaction could not be written; nor need a file say
//!   so, whose own bytes were on the disk before. So that file must be synchronised for itself
//!   afterwards, and the file system must be writable even then, or the whole is not believed and
//!   each is asked for itself. Its folder is not asked: that has new names by then, for which a
//!   journal is written once more.
//! - Kernels before 5.17 may not say that a journal could not be written. There each is asked.
//! - On network, FUSE and overlay file systems it may not reach the disk at all. So it is done only
//!   on those of which it is known that it does.
//! - A name that is not durable yet may stand for no bytes after a power cut. So a body gets its name
//!   in this way only where the name is free: what replaces another is durable before.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

use crate::Result;
use crate::bodies::Named;
use crate::local::bodies::Lies;
use crate::local::folders::Folder;
use crate::local::temporary::Temporary;
use crate::local::{durable, folder};

/// From how many bodies on a whole file system is synchronised: about as long as these take one by
/// one.
const MANY: usize = 8;

/// A sync of a whole file system that takes longer has others' bytes to write.
const LONG: Duration = Duration::from_secs(1);

/// For so long each body is synchronised for itself then.
const SLOW_FOR: Duration = Duration::from_secs(30);

/// A body that has its name and may not outlast a power cut.
#[derive(Debug)]
pub(crate) struct Unsettled {
    file: Temporary<Arc<Folder>>,
    folder: Arc<Folder>,
    /// Its file system, where that may be synchronised as a whole.
    device: Option<u64>,
    lies: Lies,
}

impl Unsettled {
    /// A body that has got its name in a folder.
    pub(super) fn new(file: Temporary<Arc<Folder>>, folder: Arc<Folder>, lies: Lies) -> Self {
        Self {
            device: folder.synced_device(),
            file,
            folder,
            lies,
        }
    }

    fn is_on<T>(&self, devices: &HashMap<u64, T>) -> bool {
        self.device
            .is_some_and(|device| devices.contains_key(&device))
    }

    fn fault(&self, errno: Errno) -> crate::Error {
        self.lies.forget();
        self.lies.fault("write", errno)
    }
}

/// Makes bodies durable, and tells of each what became of it, in the same order.
pub(crate) fn settle(bodies: &[Named]) -> Vec<Result<()>> {
    settle_by(bodies, &Disk, &SLOW)
}

/// How bodies are made durable.
trait Sync {
    /// All of the file system that a body is on.
    fn whole(&self, of: &Unsettled) -> rustix::io::Result<()>;

    /// The file of one body.
    fn file(&self, body: &Unsettled) -> rustix::io::Result<()>;

    /// The name of one body.
    fn name(&self, body: &Unsettled) -> rustix::io::Result<()>;

    /// Whether the file system that a body is on has not become read-only.
    fn is_writable(&self, of: &Unsettled) -> rustix::io::Result<bool>;
}

struct Disk;

impl Sync for Disk {
    fn whole(&self, of: &Unsettled) -> rustix::io::Result<()> {
        durable::sync_whole(of.file.file())
    }

    fn file(&self, body: &Unsettled) -> rustix::io::Result<()> {
        body.file.sync()
    }

    fn name(&self, body: &Unsettled) -> rustix::io::Result<()> {
        folder::sync(&body.folder)
    }

    fn is_writable(&self, of: &Unsettled) -> rustix::io::Result<bool> {
        let flags = rustix::fs::fstatvfs(of.file.file())?.f_flag;
        Ok(!flags.contains(StatVfsMountFlags::RDONLY))
    }
}

/// File systems whose last sync as a whole took long, and when that was.
struct Slow {
    /// What is long.
    limit: Duration,
    since: Mutex<HashMap<u64, Instant>>,
}

static SLOW: LazyLock<Slow> = LazyLock::new(|| Slow::new(LONG));

impl Slow {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Mutex::default(),
        }
    }
}

fn settle_by(bodies: &[Named], sync: &dyn Sync, slow: &Slow) -> Vec<Result<()>> {
    let mut devices = HashMap::<u64, (usize, &Unsettled)>::new();
    for body in bodies.iter().filter_map(|body| body.0.as_ref()) {
        let Some(device) = body.device else {
            continue;
        };
        let (count, first) = devices.entry(device).or_insert((0, body));
        *count += 1;
        if body.file.began() < first.file.began() {
            *first = body;
        }
    }
    // Of all others each is settled for itself.
    devices.retain(|device, (count, first)| {
        *count >= MANY && is_whole_settled(*device, first, sync, slow)
    });
    let settle = |body: &Named| match &body.0 {
        None => Ok(()),
        Some(body) => {
            let settled = match body.is_on(&devices) {
                true => body.file.check_size(),
                false => sync.file(body).and_then(|()| sync.name(body)),
            };
            settled.map_err(|errno| body.fault(errno))
        }
    };
    bodies.iter().map(settle).collect()
}

/// Synchronises a file system; whether that is known to have made all bodies of a group durable, of
/// which this is the one that was begun first.
fn is_whole_settled(device: u64, first: &Unsettled, sync: &dyn Sync, slow: &Slow) -> bool {
    let is_slow = |at: &Instant| at.elapsed() < SLOW_FOR;
    if slow.since.lock().get(&device).is_some_and(is_slow) {
        return false;
    }
    let began = Instant::now();
    let is_settled = sync.whole(first).is_ok()
        && sync.file(first).is_ok()
        && sync.is_writable(first) == Ok(true);
    if began.elapsed() > slow.limit {
        slow.since.lock().insert(device, Instant::now());
    }
    is_settled
}

/// The device of the file system that a folder is on, where a sync of it as a whole is known to be as
/// good as one of each file; the magic numbers are those of `statfs(2)`.
pub(super) fn synced_device(folder: impl AsFd) -> Option<u64> {
    const TRUSTED: [u32; 4] = [
        0xef53,      // ext4
        0x5846_5342, // XFS
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
    ];
    let magic = u32::try_from(rustix::fs::fstatfs(&folder).ok()?.f_type).ok()?;
    let is_trusted = TRUSTED.contains(&magic) && *TELLS_OF_LOSSES;
    let stat = rustix::fs::fstat(&folder).ok()?;
    is_trusted.then_some(stat.st_dev)
}

/// Whether the kernel says of a whole file system that something was lost.
static TELLS_OF_LOSSES: LazyLock<bool> = LazyLock::new(|| {
    let name = rustix::system::uname();
    is_at_least(&name.release().to_string_lossy(), (5, 17))
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use strongroom_model::{FileName, FileType, Id};
    use tempfile::TempDir;

    use super::*;
    use crate::{Bodies, BodyKey, LocalBodies};

    #[test]
    fn releases_of_kernels_are_compared_by_number() {
        for (release, is_new) in [
            ("5.17.0", true),
            ("5.100.0-28-amd64", true),
            ("6.1", true),
            ("5.16.19", false),
            ("5.2.1", false),
            ("4.19.0-26", false),
            ("3.10.0-1160.el7", false),
            ("5", false),
            ("", false),
            ("new", false),
        ] {
            assert_eq!(is_at_least(release, (5, 17)), is_new, "{release}");
        }
    }

    /// A disk as a test wants it: how often it is asked what.
    #[derive(Default)]
    struct Faulty {
        whole: Option<Errno>,
        file: Option<Errno>,
        is_read_only: bool,
        asked_by: Mutex<Vec<u64>>,
        files: AtomicUsize,
        names: AtomicUsize,
    }

    impl Sync for Faulty {
        fn whole(&self, of: &Unsettled) -> rustix::io::Result<()> {
            self.asked_by.lock().push(of.file.began());
            self.whole.map_or(Ok(()), Err)
        }

        fn file(&self, _: &Unsettled) -> rustix::io::Result<()> {
            self.files.fetch_add(1, Ordering::Relaxed);
            self.file.map_or(Ok(()), Err)
        }

        fn name(&self, _: &Unsettled) -> rustix::io::Result<()> {
            self.names.fetch_add(1, Ordering::Relaxed);
            match self.is_read_only {
                true => Err(Errno::ROFS),
                false => Ok(()),
            }
        }

        fn is_writable(&self, _: &Unsettled) -> rustix::io::Result<bool> {
            Ok(!self.is_read_only)
        }
    }

    impl Faulty {
        /// How often it was asked for a file, and for a name.
        fn ones(&self) -> (usize, usize) {
            let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
            (of(&self.files), of(&self.names))
        }
    }

    fn named(count: u8) -> (TempDir, Vec<Named>) {
        let folder = TempDir::new().unwrap();
        let bodies = LocalBodies::new(folder.path().join("repositories"));
        bodies.create().unwrap();
        let name = |number: u8| {
            let body = BodyKey {
                repository: "acme/repos".parse().unwrap(),
                name: FileName::new(FileType::Data, Id::of(&[number])),
                generation: 1,
            };
            // Every other one has had no passing name.
            if number.is_multiple_of(2) {
                return bodies.name(&body, &[number]).unwrap();
            }
            let mut staged = bodies.stage(&body).unwrap();
            staged.write(&[number]).unwrap();
            staged.name().unwrap()
        };
        let named: Vec<_> = (0..count).map(name).collect();
        (folder, named)
    }

    fn failures(named: &[Named], disk: &Faulty, slow: &Slow) -> usize {
        let settled = settle_by(named, disk, slow);
        assert_eq!(settled.len(), named.len());
        settled.iter().filter(|settled| settled.is_err()).count()
    }

    #[test]
    fn the_whole_is_asked_once_by_the_file_that_was_begun_first() {
        let (_folder, mut named) = named(20);
        named.swap(0, 13);
        let disk = Faulty::default();
        assert_eq!(failures(&named, &disk, &Slow::new(LONG)), 0);
        let began = |named: &Named| named.0.as_ref().unwrap().file.began();
        let first = named.iter().map(began).min().unwrap();
        assert_eq!(*disk.asked_by.lock(), [first]);
        assert_eq!(disk.ones(), (1, 0));
        // A few are asked for each.
        let few = Faulty::default();
        assert_eq!(failures(&named[..MANY - 1], &few, &Slow::new(LONG)), 0);
        assert_eq!(few.asked_by.lock().len(), 0);
        assert_eq!(few.ones(), (MANY - 1, MANY - 1));
    }

    #[test]
    fn a_whole_that_says_all_is_well_is_not_believed_where_anything_says_otherwise() {
        let (_folder, named) = named(20);
        let turned_read_only = Faulty {
            is_read_only: true,
            ..Faulty::default()
        };
        assert_eq!(failures(&named, &turned_read_only, &Slow::new(LONG)), 20);
        assert_eq!(turned_read_only.ones(), (1 + 20, 20));
        let read_only = Faulty {
            file: Some(Errno::ROFS),
            ..Faulty::default()
        };
        assert_eq!(failures(&named, &read_only, &Slow::new(LONG)), 20);
        let lost = Faulty {
            whole: Some(Errno::IO),
            ..Faulty::default()
        };
        assert_eq!(failures(&named, &lost, &Slow::new(LONG)), 0);
        assert_eq!(lost.ones(), (20, 20));
    }

    #[test]
    fn a_whole_that_takes_long_is_not_asked_again_for_a_while() {
        let (_folder, named) = named(20);
        let slow = Slow::new(Duration::ZERO);
        let disk = Faulty::default();
        for _ in 0..2 {
            assert_eq!(failures(&named, &disk, &slow), 0);
        }
        assert_eq!(disk.asked_by.lock().len(), 1);
        assert_eq!(disk.ones(), (1 + 20, 20));
    }
}
