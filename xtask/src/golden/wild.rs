//! A small tree with everything that a backup tool gets wrong, the same on every run.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};

use crate::run::run as run_command;

/// 2024-01-02 03:04:05.123456789 UTC.
const A_TIME: (i64, i64) = (1_704_164_645, 123_456_789);

/// Times that are not ordinary: before 1970, after 2038, and without a fraction.
const ODD_TIMES: &[(&str, (i64, i64))] = &[
    ("times/before-1970", (-1_000_000_000, 1)),
    ("times/after-2038", (4_102_444_800, 999_999_999)),
    ("times/whole-second", (1_000_000_000, 0)),
];

/// Names as bytes: not UTF-8, with quotes, backslash, control characters, or as long as allowed.
const ODD_NAMES: &[&[u8]] = &[
    b"names/not utf-8 \xff\xfe",
    b"names/line\nbreak\ttab\x01\x7f",
    b"names/\"quotes\" and \\backslash\\",
    "names/größe 日本語 🗝".as_bytes(),
    "names/\u{202e}\u{feff}\u{a0}invisible".as_bytes(),
    b"names/<html>&amp;",
    b"names/-rf",
    b"names/ ",
];

/// What a repository cannot hold, or not in little space, depends on who writes it.
pub(super) struct Shape {
    /// A file that is cut into several chunks; small only where it is compressed.
    pub(super) several_chunks: bool,
    /// A symlink whose target is not UTF-8; restic 0.14 stores something else instead.
    pub(super) raw_link_target: bool,
}

/// Makes the tree.
pub(super) fn make(root: &Path, shape: &Shape) -> Result<()> {
    for folder in [
        "",
        "names",
        "times",
        "modes",
        "links",
        "special",
        "deep/deeper/deepest",
        "empty",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(
        root.join("plain.txt"),
        "What an attacker cannot delete, he cannot sell back.\n",
    )?;
    fs::write(root.join("gone-later"), "in the first snapshot only\n")?;
    fs::write(root.join("no-content"), "")?;
    fs::write(root.join("deep/deeper/deepest/file"), "deep\n")?;
    if shape.several_chunks {
        fs::write(root.join("several-chunks"), several_chunks())?;
    }
    if shape.raw_link_target {
        let target = OsStr::from_bytes(b"not utf-8 \xff");
        symlink(target, root.join("links/target-not-utf-8"))?;
    }
    names(root)?;
    modes(root)?;
    links(root)?;
    special(root)?;
    attributes(root)?;
    for (path, _) in ODD_TIMES {
        fs::write(root.join(path), path)?;
    }
    settle(root)
}

/// Makes it a later day: a file changed, one added, one gone, one with other permissions.
pub(super) fn change(root: &Path) -> Result<()> {
    fs::write(
        root.join("plain.txt"),
        "What he cannot delete, he cannot sell back.\n",
    )?;
    fs::write(root.join("new"), "in the second snapshot only\n")?;
    fs::remove_file(root.join("gone-later"))?;
    fs::set_permissions(root.join("deep/deeper"), Permissions::from_mode(0o700))?;
    settle(root)
}

/// Two and a half MiB that differ in every block and still compress to little.
fn several_chunks() -> Vec<u8> {
    (0..640_u32)
        .flat_map(|block| {
            let mut bytes: Vec<u8> = (0..4096_u32)
                .map(|i| ((i * i) >> 8).to_le_bytes()[0])
                .collect();
            bytes.splice(..4, block.to_le_bytes());
            bytes
        })
        .collect()
}

fn names(root: &Path) -> Result<()> {
    let longest = format!("names/{}", "n".repeat(255));
    for name in ODD_NAMES.iter().copied().chain([longest.as_bytes()]) {
        fs::write(root.join(OsStr::from_bytes(name)), name)?;
    }
    Ok(())
}

fn modes(root: &Path) -> Result<()> {
    for mode in [0o000, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o1644, 0o6711] {
        let path = root.join(format!("modes/file-{mode:04o}"));
        fs::write(&path, format!("{mode:04o}\n"))?;
        // Owner first: a change of owner takes setuid away.
        lchown(&path, Some(12_345), Some(54_321))?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    for mode in [0o500, 0o1777, 0o2775] {
        let path = root.join(format!("modes/dir-{mode:04o}"));
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn links(root: &Path) -> Result<()> {
    let links = root.join("links");
    symlink("../plain.txt", links.join("relative"))?;
    symlink("/nowhere/at/all", links.join("dangling"))?;
    symlink("..", links.join("to-a-folder"))?;
    lchown(links.join("dangling"), Some(12_345), Some(54_321))?;
    fs::write(links.join("hard-first"), "one file, three names\n")?;
    fs::hard_link(links.join("hard-first"), links.join("hard-second"))?;
    fs::hard_link(links.join("hard-first"), root.join("deep/hard-third"))?;
    Ok(())
}

fn special(root: &Path) -> Result<()> {
    let special = root.join("special");
    let mode = Mode::from_raw_mode(0o640);
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
        ("char-device", FileType::CharacterDevice, makedev(1, 3)),
        ("block-device", FileType::BlockDevice, makedev(7, 300)),
    ] {
        let path = special.join(name);
        mknodat(CWD, &path, kind, mode, device)?;
        fs::set_permissions(&path, Permissions::from_mode(0o640))?;
    }
    let sparse = File::create(special.join("sparse"))?;
    sparse.write_all_at(b"begin", 0)?;
    sparse.write_all_at(b"end", 96 << 10)?;
    sparse.set_len(128 << 10)?;
    Ok(())
}

fn attributes(root: &Path) -> Result<()> {
    let path = root.join("attributes");
    fs::write(&path, "attributes\n")?;
    for (name, value) in [
        ("user.text", &b"value"[..]),
        ("user.empty", b""),
        ("user.binary", b"\x00\xff\n\""),
    ] {
        lsetxattr(&path, name, value, XattrFlags::empty())?;
    }
    lsetxattr(
        root.join("deep"),
        "user.folder",
        b"too",
        XattrFlags::empty(),
    )?;
    run_command(
        Command::new("setfacl")
            .args(["--modify", "user:12345:rw-,group:54321:r--"])
            .arg(&path),
    )?;
    run_command(
        Command::new("setfacl")
            .args(["--modify", "default:user:12345:rwx"])
            .arg(root.join("empty")),
    )
}

/// Sets every time, children before their folder.
fn settle(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            settle(&path)?;
        } else {
            set_time(&path)?;
        }
    }
    set_time(folder)
}

fn set_time(path: &Path) -> Result<()> {
    let odd = ODD_TIMES.iter().find(|(end, _)| path.ends_with(end));
    let (seconds, nanoseconds) = odd.map_or(A_TIME, |(_, time)| *time);
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
