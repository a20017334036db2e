//! A folder with everything that a Linux file system lets a person do to a backup program: odd
//! names, modes and times, links of all kinds, holes, attributes, ACLs and special files.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use crate::tree::set_modified;

/// The folder whose names and link targets Go before 1.22 or restic before 0.15 writes in another
/// way, so that an old restic's trees of it are not those of a new one.
pub const NEWER_FOLDER: &str = "newer";

/// Fills an existing folder, the same every time; as root also with devices, files of other owners
/// and a file that nobody may read.
///
/// # Panics
/// Panics where the file system cannot hold it: attributes and ACLs are needed.
pub fn make_oddities(root: &Path) {
    let folder = |name: &str| {
        let path = root.join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    names(&folder("names"));
    links(&folder("links"));
    modes(&folder("modes"));
    times(&folder("times"));
    holes(&folder("holes"));
    attributes(&folder("attributes"));
    special_files(&folder("special"));
    newer(&folder(NEWER_FOLDER));
    if rustix::process::geteuid().is_root() {
        privileged(&folder("privileged"));
    }
    settle(root);
}

/// Names that quoting, terminals and shells get wrong.
const NAMES: [&[u8]; 24] = [
    b"plain.txt",
    b"-rf",
    b" ",
    b" leading and trailing ",
    b"two\nlines\r\t\x0b\x07\x1b[31m",
    b"\x01\x7f",
    b"\"quoted\" 'single' `back` \\n \\",
    b"<b>&amp;<b>",
    b"latin-\xe9",
    b"\xff\xfe not text",
    b"half \xe2\x82",
    b"surrogate \xed\xa0\x80",
    "ä and a\u{308}".as_bytes(),
    "nbsp\u{a0}, soft\u{ad}, zero\u{200b}, bom\u{feff}".as_bytes(),
    "lines\u{2028}\u{2029}\u{85}".as_bytes(),
    "right\u{202e}to left".as_bytes(),
    "emoji \u{1f600} \u{1f469}\u{200d}\u{1f52c}".as_bytes(),
    "private \u{e000}\u{10ffff}, replaced \u{fffd}".as_bytes(),
    "漢字".as_bytes(),
    b"...",
    b"..a",
    b"{\"nodes\":[]}",
    b"<html>\xe2\x80\xa8",
    &[b'x'; 255],
];

fn names(folder: &Path) {
    for name in NAMES {
        fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::create_dir(folder.join(OsStr::from_bytes(b"folder\xfe\n"))).unwrap();
}

fn links(folder: &Path) {
    fs::write(folder.join("one"), "one file, three names").unwrap();
    fs::hard_link(folder.join("one"), folder.join("two")).unwrap();
    let third = folder.with_file_name(OsStr::from_bytes(b"three \xff"));
    fs::hard_link(folder.join("one"), third).unwrap();
    for (name, target) in [
        ("link", "one"),
        ("to a folder", "../names"),
        ("dangling", "/nowhere/<&>"),
        ("quoted", "../../\"..\""),
        ("of Unicode", "ä\u{2028}\u{1f600}\n\\"),
        ("to itself", "to itself"),
    ] {
        symlink(target, folder.join(name)).unwrap();
    }
    fs::hard_link(folder.join("link"), folder.join("link again")).unwrap();
}

fn modes(folder: &Path) {
    for mode in [
        0o0, 0o400, 0o1644, 0o1777, 0o2711, 0o2755, 0o4755, 0o6711, 0o7777,
    ] {
        let file = folder.join(format!("file-{mode:o}"));
        fs::write(&file, "mode").unwrap();
        set_mode(&file, mode);
        let inner = folder.join(format!("folder-{mode:o}"));
        fs::create_dir(&inner).unwrap();
        set_mode(&inner, mode | 0o700);
    }
}

/// Seconds and nanoseconds. ext4 holds times from 1901 to 2446.
const TIMES: [(i64, i64); 9] = [
    (-2_147_483_648, 0),
    (-2_000_000_000, 1),
    (-1, 999_999_999),
    (0, 0),
    (951_782_399, 100_000_000),
    (2_147_483_648, 1),
    (4_102_444_800, 123_450_000),
    (7_258_118_400, 999_999_999),
    (15_032_385_535, 0),
];

fn times(folder: &Path) {
    for (seconds, _) in TIMES {
        File::create(folder.join(seconds.to_string())).unwrap();
    }
}

fn holes(folder: &Path) {
    for (name, data_at, length) in [
        ("in front", Some(4 << 20), (4 << 20) + 5),
        ("at the end", Some(0), 3 << 20),
        ("in the middle", Some(1 << 20), 6 << 20),
        ("nothing else", None, 8 << 20),
    ] {
        let file = File::create(folder.join(name)).unwrap();
        if let Some(at) = data_at {
            file.write_all_at(b"data!", at).unwrap();
        }
        file.set_len(length).unwrap();
    }
    fs::write(folder.join("none"), vec![0; 1 << 20]).unwrap();
}

fn attributes(folder: &Path) {
    let file = folder.join("file");
    fs::write(&file, "x").unwrap();
    for (name, value) in [
        ("user.empty", &b""[..]),
        ("user.text", b"a value"),
        ("user.bytes", &(0..=255).collect::<Vec<u8>>()),
        ("user.long", &[0xaa; 2000]),
        ("user.<html> \u{e4}\u{1f512}", b"&"),
        ("system.posix_acl_access", &acl(6)),
    ] {
        set_attribute(&file, name, value);
    }
    set_attribute(folder, "user.folder", b"too");
    set_attribute(folder, "system.posix_acl_default", &acl(5));
}

/// An ACL as the kernel stores it, which lets user 4242 have `permissions`.
fn acl(permissions: u16) -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, permissions, 4242),
        (0x04, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn special_files(folder: &Path) {
    make_node(&folder.join("fifo"), FileType::Fifo, 0);
    make_node(&folder.join("socket"), FileType::Socket, 0);
    fs::create_dir(folder.join("empty")).unwrap();
}

fn newer(folder: &Path) {
    symlink(OsStr::from_bytes(b"raw \xff"), folder.join("raw")).unwrap();
    symlink("\u{8}\u{c}", folder.join("short")).unwrap();
    for name in ["of Unicode 15 \u{1fae8}", "of Unicode 16 \u{1fae9}"] {
        File::create(folder.join(name)).unwrap();
    }
}

fn privileged(folder: &Path) {
    let (block, null) = (makedev(259, 70_000), makedev(1, 3));
    make_node(&folder.join("block"), FileType::BlockDevice, block);
    make_node(&folder.join("null"), FileType::CharacterDevice, null);
    let owned = folder.join("owned");
    fs::write(&owned, "by nobody we know").unwrap();
    symlink("owned", folder.join("owned link")).unwrap();
    for (path, user) in [
        (&owned, 54_321),
        (&folder.join("owned link"), 4_000_000_000),
    ] {
        lchown(path, Some(user), Some(7)).unwrap();
    }
    set_attribute(&owned, "trusted.secret", b"root's");
    let mut capability = [0; 20];
    capability[..6].copy_from_slice(b"\x01\x00\x00\x02\x00\x20");
    set_attribute(&owned, "security.capability", &capability);
    set_mode(&owned, 0o6755);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn make_node(path: &Path, kind: FileType, device: u64) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    if let Err(errno) = lsetxattr(path, name, value, XattrFlags::empty()) {
        panic!(
            "cannot set {name} on {}: {errno}; use a file system with attributes and ACLs for tests",
            path.display()
        );
    }
}

/// Sets every time, children before their folder, whose time a new file changes.
fn settle(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            settle(&entry.path());
        } else {
            set_modified(&entry.path(), 1_700_000_000, 123_456_789);
        }
    }
    if folder.ends_with("times") {
        for (seconds, nanoseconds) in TIMES {
            set_modified(&folder.join(seconds.to_string()), seconds, nanoseconds);
        }
    }
    set_modified(folder, 1_700_000_000, 987_654_321);
}
