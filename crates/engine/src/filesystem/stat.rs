//! What one `statx` call says of a file, and whether that is what a node says.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Statx, StatxFlags, makedev, statx};
use rustix::io::Result;
use strongroom_repo::node::{GoMode, Node, NodeKind, NodeTime};

/// The metadata of a file that is not looked up by a further call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stat {
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The length in bytes.
    pub size: u64,
    /// When the content changed last.
    pub mtime: NodeTime,
    /// When content or metadata changed last; no user can set it.
    pub ctime: NodeTime,
    /// The inode's number.
    pub inode: u64,
    /// The device that holds it, `st_dev`.
    pub device_id: u64,
    /// How many names it has.
    pub links: u64,
    /// Which device it is, if it is one: `st_rdev`.
    pub device: u64,
}

impl Stat {
    /// Looks at the file of that name, not at what a symbolic link points to.
    pub(super) fn of_name(folder: BorrowedFd<'_>, name: &CStr) -> Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(folder, name, flags, StatxFlags::BASIC_STATS).map(Self::from)
    }

    /// Looks at an open file.
    pub(super) fn of_open(file: BorrowedFd<'_>) -> Result<Self> {
        statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(Self::from)
    }

    /// What it is.
    pub fn kind(&self) -> NodeKind {
        match self.mode & 0o170_000 {
            0o100_000 => NodeKind::File,
            0o040_000 => NodeKind::Dir,
            0o120_000 => NodeKind::Symlink,
            0o060_000 => NodeKind::Dev,
            0o020_000 => NodeKind::CharDev,
            0o010_000 => NodeKind::Fifo,
            0o140_000 => NodeKind::Socket,
            _ => NodeKind::Irregular,
        }
    }

    /// Whether both are the same inode of the same device.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device_id, self.inode) == (other.device_id, other.inode)
    }

    /// Whether a file was written, or anything about it changed, since `before`.
    ///
    /// `ctime` is compared too: a writer can set `mtime` back, but not `ctime`.
    pub fn changed_since(&self, before: &Self) -> bool {
        (self.size, self.mtime, self.ctime) != (before.size, before.mtime, before.ctime)
    }
}

impl From<Statx> for Stat {
    fn from(stat: Statx) -> Self {
        Self {
            mode: u32::from(stat.stx_mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            mtime: NodeTime::utc(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            ctime: NodeTime::utc(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            inode: stat.stx_ino,
            device_id: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            links: u64::from(stat.stx_nlink),
            device: makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }
}

/// Whether the file is as the node of an earlier backup has it, so that it need not be read and
/// the node can be used again as a whole.
///
/// The rule is restic's: type, size, `mtime`, `ctime` and inode. Since `ctime` moves with every
/// change of owner, mode, ACL or attribute, none of those needs to be read again; owner and mode
/// are compared all the same, as they cost nothing. A folder's node never counts as unchanged,
/// because what it holds may have changed without it.
pub fn is_unchanged(stat: &Stat, node: &Node) -> bool {
    let kind = stat.kind();
    let same_content = match kind {
        NodeKind::File => node.size == stat.size && node.content.is_some(),
        NodeKind::Dev | NodeKind::CharDev => node.device() == stat.device,
        NodeKind::Dir => false,
        _ => true,
    };
    same_content
        && node.kind == kind
        && node.mtime.is_same_moment(&stat.mtime)
        && node.ctime.is_same_moment(&stat.ctime)
        && node.inode == stat.inode
        && (node.mode, node.uid, node.gid) == (GoMode::from_unix(stat.mode), stat.uid, stat.gid)
        && node.rare().error.is_empty()
}
