//! Source trees for tests: made from a seed, changed by a seed, and compared completely.
//!
//! Between them the trees hold everything that a backup must keep: odd names, odd times, odd
//! modes, links of both kinds, holes, extended attributes, ACLs, and as root devices and owners.

mod compare;
mod mutate;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};

pub use compare::{Difference, compare, compare_with};
pub use mutate::mutate;

/// What a tree is made of.
#[derive(Clone, Debug)]
pub struct TreeSpec {
    /// Two equal specs make equal trees.
    pub seed: u64,
    /// How many folders, nested at random.
    pub folders: usize,
    /// How many files of up to 16 KiB, some of them empty, half of them compressible.
    pub small_files: usize,
    /// The sizes of further files, by turns compressible and not.
    pub big_files_bytes: Vec<u64>,
    /// Whether to add the corner cases: odd names, links, fifos, attributes, and as root devices
    /// and foreign owners.
    pub oddities: bool,
}

impl TreeSpec {
    /// A few folders and files: enough for most tests.
    pub const fn small(seed: u64) -> Self {
        Self {
            seed,
            folders: 8,
            small_files: 40,
            big_files_bytes: Vec::new(),
            oddities: false,
        }
    }

    /// Everything that a file system can hold, and files of several chunks.
    pub fn everything(seed: u64) -> Self {
        Self {
            folders: 12,
            small_files: 60,
            big_files_bytes: vec![3 << 20, 5 << 20],
            oddities: true,
            ..Self::small(seed)
        }
    }

    /// Makes the tree at `root`, which is made where it is missing and must be empty.
    ///
    /// # Panics
    /// Panics where the file system cannot hold the tree: `oddities` need extended attributes.
    pub fn build(&self, root: &Path) {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut paths = Vec::new();
        fs::create_dir_all(root).unwrap();
        let mut folders = vec![root.to_owned()];
        for number in 0..self.folders {
            let parent = pick(&folders, &mut random);
            let path = parent.join(format!("folder {number}"));
            fs::create_dir(&path).unwrap();
            folders.push(path.clone());
            paths.push(path);
        }
        for number in 0..self.small_files {
            let path = pick(&folders, &mut random).join(format!("file-{number}.dat"));
            let length = match number % 7 {
                0 => 0,
                _ => random.random_range(1..16 << 10),
            };
            write_content(&path, length, number % 2 == 0, &mut random);
            paths.push(path);
        }
        for (number, length) in self.big_files_bytes.iter().enumerate() {
            let path = pick(&folders, &mut random).join(format!("big-{number}.bin"));
            write_content(&path, *length, number % 2 == 0, &mut random);
            paths.push(path);
        }
        if self.oddities {
            add_oddities(root, &mut paths, &mut random);
        }
        // Times last and deepest first: making a file changes its folder's time.
        paths.sort();
        for path in paths.iter().rev() {
            let seconds = random.random_range(0..1_700_000_000);
            set_modified(path, seconds, random.random_range(0..1_000_000_000));
        }
        if self.oddities {
            set_odd_times(root);
        }
        set_modified(root, 1_600_000_000, 123_456_789);
    }
}

fn pick(folders: &[PathBuf], random: &mut StdRng) -> PathBuf {
    folders[random.random_range(0..folders.len())].clone()
}

/// Writes a file of random bytes, or of random words, which compress well.
pub(crate) fn write_content(path: &Path, length: u64, compressible: bool, random: &mut StdRng) {
    const WORDS: [&str; 8] = [
        "backup ", "copy ", "vault ", "seal ", "medium ", "site ", "domain ", "plan\n",
    ];
    let mut bytes = vec![0; length as usize];
    if compressible {
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let word = WORDS[random.random_range(0..WORDS.len())].as_bytes();
            let count = rest.write(word).unwrap();
            assert!(count > 0);
        }
    } else {
        random.fill_bytes(&mut bytes);
    }
    fs::write(path, bytes).unwrap();
}

/// Sets the time of modification, of a link itself and not of what it leads to.
pub(crate) fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Names that quoting, terminals and shells get wrong.
const ODD_NAMES: [&[u8]; 14] = [
    b"latin-\xe9\xff",
    b"new\nline",
    b"double\"quote",
    b"single'quote",
    b"back\\slash",
    b" leading and trailing ",
    b"-rf",
    b"tab\tand\x01control\x7f",
    "no\u{a0}break".as_bytes(),
    "zero\u{200b}width\u{feff}".as_bytes(),
    "emoji \u{1f512}\u{1f468}\u{200d}\u{1f469}".as_bytes(),
    "e\u{301} and \u{e9}".as_bytes(),
    "right\u{202e}to left".as_bytes(),
    b"<html>&amp;\xe2\x80\xa8",
];

/// The folder of the corner cases.
const ODD: &str = "odd";

fn add_oddities(root: &Path, paths: &mut Vec<PathBuf>, random: &mut StdRng) {
    let odd = root.join(ODD);
    fs::create_dir(&odd).unwrap();
    let mut add = |name: &OsStr| {
        let path = odd.join(name);
        paths.push(path.clone());
        path
    };
    for name in ODD_NAMES {
        fs::write(add(OsStr::from_bytes(name)), name).unwrap();
    }
    let longest = "x".repeat(255);
    fs::write(add(OsStr::new(&longest)), "longest name").unwrap();
    fs::create_dir(add(OsStr::new("empty folder"))).unwrap();
    fs::create_dir(add(OsStr::from_bytes(b"folder\xfe\n"))).unwrap();

    // Links.
    for (name, target) in [
        ("link", &b"../file-1.dat"[..]),
        ("link to folder", b"empty folder"),
        ("dangling", b"/no/such/file"),
        ("link, not UTF-8", b"\xff\xfe"),
        ("link to itself", b"link to itself"),
    ] {
        symlink(OsStr::from_bytes(target), add(OsStr::new(name))).unwrap();
    }
    let first = add(OsStr::new("hard 1"));
    fs::write(&first, "one file, three names").unwrap();
    fs::hard_link(&first, add(OsStr::new("hard 2"))).unwrap();
    fs::hard_link(&first, add(OsStr::from_bytes(b"hard \xff3"))).unwrap();

    // Holes: in front, in the middle, at the end, and nothing else.
    for (name, data_at, length) in [
        ("hole in front", Some(4 << 20), (4 << 20) + 5),
        ("hole at the end", Some(0), 3 << 20),
        ("hole in the middle", Some(1 << 20), 6 << 20),
        ("nothing but a hole", None, 8 << 20),
    ] {
        let mut file = File::create(add(OsStr::new(name))).unwrap();
        if let Some(at) = data_at {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(b"data!").unwrap();
        }
        file.set_len(length).unwrap();
    }
    write_content(&add(OsStr::new("zeros")), 0, false, random);
    fs::write(odd.join("zeros"), vec![0; 1 << 20]).unwrap();

    // Modes.
    for mode in [0o0, 0o400, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777] {
        let path = add(OsStr::new(&format!("mode {mode:o}")));
        fs::write(&path, "mode").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let sticky = add(OsStr::new("sticky folder"));
    fs::create_dir(&sticky).unwrap();
    fs::set_permissions(&sticky, fs::Permissions::from_mode(0o3777)).unwrap();

    // Special files.
    let mode = Mode::from_raw_mode(0o640);
    mknodat(CWD, add(OsStr::new("fifo")), FileType::Fifo, mode, 0).unwrap();
    if rustix::process::geteuid().is_root() {
        let (null, disk) = (makedev(1, 3), makedev(259, 70_000));
        let path = add(OsStr::new("character device"));
        mknodat(CWD, path, FileType::CharacterDevice, mode, null).unwrap();
        mknodat(
            CWD,
            add(OsStr::new("block device")),
            FileType::BlockDevice,
            mode,
            disk,
        )
        .unwrap();
        let owned = add(OsStr::new("foreign owner"));
        fs::write(&owned, "owner").unwrap();
        std::os::unix::fs::chown(&owned, Some(12_345), Some(54_321)).unwrap();
        let owned = add(OsStr::new("foreign link"));
        symlink("nowhere", &owned).unwrap();
        std::os::unix::fs::lchown(&owned, Some(4_000_000_000), Some(7)).unwrap();
    }

    // Extended attributes and ACLs.
    let path = add(OsStr::new("attributes"));
    fs::write(&path, "attributes").unwrap();
    for (name, value) in [
        ("user.empty", &b""[..]),
        ("user.text", b"value"),
        ("user.binary", b"\x00\xff\n\""),
        ("user.\u{e9}\u{1f512}", b"odd name"),
        ("user.long", &[7; 2000]),
    ] {
        set_attribute(&path, name, value);
    }
    set_attribute(&path, "system.posix_acl_access", &acl(0o6));
    let folder = add(OsStr::new("folder with default ACL"));
    fs::create_dir(&folder).unwrap();
    set_attribute(&folder, "system.posix_acl_default", &acl(0o5));

    // Times that do not fit into 31 bits or lie before 1970; set last, by name.
    for (name, ..) in ODD_TIMES {
        fs::write(odd.join(name), name).unwrap();
    }
    paths.push(odd);
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    if let Err(errno) = lsetxattr(path, name, value, XattrFlags::empty()) {
        panic!(
            "cannot set {name} on {}: {errno}; use a file system with attributes and ACLs for tests",
            path.display()
        );
    }
}

/// An ACL in the kernel's encoding, which lets user 4242 have `permissions`.
fn acl(permissions: u16) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, NOBODY),
        (0x02, permissions, 4242),
        (0x04, 5, NOBODY),
        (0x10, 7, NOBODY),
        (0x20, 4, NOBODY),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Names, seconds and nanoseconds. ext4 holds times from 1901 to 2446.
const ODD_TIMES: [(&str, i64, i64); 6] = [
    ("time 1901", -2_147_483_648, 0),
    ("time 1969", -1, 999_999_999),
    ("time 1970", 0, 0),
    ("time 2038", 2_147_483_648, 1),
    ("time 2200", 7_258_118_400, 999_999_999),
    ("time 2446", 15_032_385_535, 0),
];

fn set_odd_times(root: &Path) {
    let odd = root.join(ODD);
    for (name, seconds, nanoseconds) in ODD_TIMES {
        set_modified(&odd.join(name), seconds, nanoseconds);
    }
}
