//! A folder with everything that a Linux filesystem lets a person do to a backup program.
//!
//! What takes root, such as devices and foreign owners, comes with [`make_privileged`].

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    lsetxattr, makedev, mknodat, symlinkat, utimensat,
};

/// The folder whose names and link targets Go before 1.22 or restic before 0.15 writes in another
/// way, so that an old restic's trees of it are not those of a new one.
pub const NEWER_FOLDER: &str = "newer";

/// Fills `root`, an existing folder.
pub fn make(root: &Path) -> io::Result<()> {
    names(root)?;
    links(root)?;
    modes_and_times(root)?;
    attributes(root)?;
    special_files(root)?;
    newer(&root.join(NEWER_FOLDER))
}

/// Makes devices, files of other owners and a file that nobody may read; only root may.
pub fn make_privileged(root: &Path) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o640);
    let devices = [
        ("block", FileType::BlockDevice, makedev(7, 300)),
        ("null", FileType::CharacterDevice, makedev(1, 3)),
    ];
    for (name, kind, device) in devices {
        mknodat(CWD, root.join(name), kind, mode, device)?;
    }
    fs::write(root.join("locked"), "no permission at all")?;
    chmodat(CWD, root.join("locked"), Mode::empty(), AtFlags::empty())?;
    fs::write(root.join("owned"), "by nobody we know")?;
    std::os::unix::fs::symlink("owned", root.join("owned-link"))?;
    for name in ["owned", "owned-link"] {
        let (uid, gid) = (Uid::from_raw(54_321), Gid::from_raw(1));
        chownat(
            CWD,
            root.join(name),
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
    }
    lsetxattr(
        root.join("owned"),
        "trusted.secret",
        b"root's",
        XattrFlags::empty(),
    )?;
    let capability =
        b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    lsetxattr(
        root.join("owned"),
        "security.capability",
        capability,
        XattrFlags::empty(),
    )?;
    chmodat(
        CWD,
        root.join("owned"),
        Mode::from_raw_mode(0o6755),
        AtFlags::empty(),
    )?;
    Ok(())
}

fn names(root: &Path) -> io::Result<()> {
    let folder = root.join("names");
    fs::create_dir(&folder)?;
    let names: [&[u8]; 20] = [
        b"plain.txt",
        b"-rf",
        b" ",
        b"two\nlines\r\t\x0b\x07\x1b[31m",
        b"\x01\x7f",
        b"\"quoted\" 'single' `back` \\n \\",
        b"<b>&amp;<b>",
        b"\xff\xfe not text",
        b"half \xe2\x82",
        b"surrogate \xed\xa0\x80",
        "ä and a\u{308}".as_bytes(),
        "nbsp\u{a0}, soft\u{ad}, zero\u{200b}, bom\u{feff}".as_bytes(),
        "lines\u{2028}\u{2029}\u{85}".as_bytes(),
        "emoji \u{1f600} \u{1f469}\u{200d}\u{1f52c}".as_bytes(),
        "private \u{e000}\u{10ffff}, replaced \u{fffd}".as_bytes(),
        "漢字".as_bytes(),
        b"...",
        b"..a",
        b"{\"nodes\":[]}",
        &[b'x'; 255],
    ];
    for name in names {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), name)?;
    }
    Ok(())
}

fn links(root: &Path) -> io::Result<()> {
    let folder = root.join("links");
    fs::create_dir(&folder)?;
    fs::write(folder.join("one"), "of two")?;
    fs::hard_link(folder.join("one"), folder.join("two"))?;
    let targets = [
        "one",
        "/nowhere/<&>",
        "../../\"..\"",
        "ä\u{2028}\u{1f600}\n\\",
    ];
    for (number, target) in targets.iter().enumerate() {
        std::os::unix::fs::symlink(target, folder.join(format!("to-{number}")))?;
    }
    fs::hard_link(folder.join("to-0"), folder.join("to-0-again"))
}

fn modes_and_times(root: &Path) -> io::Result<()> {
    let folder = root.join("modes");
    fs::create_dir(&folder)?;
    for mode in [0o400, 0o4755, 0o2711, 0o1644, 0o7777] {
        let file = folder.join(format!("file-{mode:o}"));
        fs::write(&file, "x")?;
        chmodat(CWD, &file, Mode::from_raw_mode(mode), AtFlags::empty())?;
        let inner = folder.join(format!("folder-{mode:o}"));
        fs::create_dir(&inner)?;
        chmodat(
            CWD,
            &inner,
            Mode::from_raw_mode(mode | 0o700),
            AtFlags::empty(),
        )?;
    }
    let moments = [
        (0, 0),
        (-1, 999_999_999),
        (-2_000_000_000, 1),
        (951_782_399, 100_000_000),
        (4_102_444_800, 123_450_000),
        (253_402_300_799, 0),
        (400_000_000_000, 5),
    ];
    for (number, (secs, nanos)) in moments.into_iter().enumerate() {
        let file = folder.join(format!("time-{number}"));
        File::create(&file)?;
        set_mtime(&file, secs, nanos)?;
    }
    let link = folder.join("time-link");
    std::os::unix::fs::symlink("time-0", &link)?;
    set_mtime(&link, 1_000_000_000, 7)
}

fn attributes(root: &Path) -> io::Result<()> {
    let folder = root.join("attributes");
    fs::create_dir(&folder)?;
    let file = folder.join("file");
    fs::write(&file, "x")?;
    let values = [
        ("user.empty", Vec::new()),
        ("user.text", b"a value".to_vec()),
        ("user.bytes", (0..=255).collect()),
        ("user.long", vec![0xaa; 2500]),
        ("user.<html> \u{e4}", b"&".to_vec()),
    ];
    for (name, value) in &values {
        lsetxattr(&file, *name, value, XattrFlags::empty())?;
    }
    lsetxattr(&folder, "user.folder", b"too", XattrFlags::empty())?;
    let acl = acl();
    lsetxattr(&file, "system.posix_acl_access", &acl, XattrFlags::empty())?;
    lsetxattr(
        &folder,
        "system.posix_acl_default",
        &acl,
        XattrFlags::empty(),
    )
    .map_err(io::Error::from)
}

/// `user::rw-,user:1:r--,group::r--,mask::r--,other::---` as the kernel stores it.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, 1),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
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

fn special_files(root: &Path) -> io::Result<()> {
    let folder = root.join("special");
    fs::create_dir(&folder)?;
    let mode = Mode::from_raw_mode(0o622);
    mknodat(CWD, folder.join("fifo"), FileType::Fifo, mode, 0)?;
    mknodat(CWD, folder.join("socket"), FileType::Socket, mode, 0)?;
    fs::create_dir(folder.join("empty"))?;
    File::create(folder.join("sparse"))?.set_len(3 << 20)
}

fn newer(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    symlinkat(b"raw \xff".as_slice(), CWD, folder.join("raw"))?;
    std::os::unix::fs::symlink("\u{8}\u{c}", folder.join("short"))?;
    File::create(folder.join("of Unicode 15 \u{1fae8}"))?;
    File::create(folder.join("of Unicode 16 \u{1fae9}")).map(drop)
}

fn set_mtime(path: &Path, secs: i64, nanos: i64) -> io::Result<()> {
    let moment = Timespec {
        tv_sec: secs,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: moment,
        last_modification: moment,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)
}
