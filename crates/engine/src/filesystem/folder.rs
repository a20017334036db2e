//! A folder of a source: what is in it, and the node of each file.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, openat, readlinkat, seek};
use rustix::io::Errno;
use strongroom_repo::node::{ExtendedAttribute, GoMode, Node, NodeKind, is_safe_name};

use crate::filesystem::place::{Place, split_names};
use crate::filesystem::{FolderPath, FsError, Names, Stat};

/// An open folder of a source.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: FolderPath,
}

/// One name in a folder.
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: CString,
    /// What it names.
    pub stat: Stat,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The entries by rising names, compared as raw bytes.
    pub entries: Vec<Entry>,
    /// Names that could not be looked at, such as those that vanished meanwhile.
    pub problems: Vec<FsError>,
}

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct SourceFile {
    /// The file.
    pub file: File,
    /// How it was when it was opened.
    pub stat: Stat,
}

/// How much of a folder is read from the kernel at once.
const LIST_BYTES: usize = 65_536;

impl Folder {
    /// Opens the folder at `path`, following symbolic links.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty());
        let fd = fd.map_err(|error| FsError::io("open the folder", path, error))?;
        let path = FolderPath::new(path);
        Ok(Self { fd, path })
    }

    /// Opens a folder in this one; a symbolic link is refused, and what lies too deep.
    pub fn open_folder(&self, name: &CStr) -> Result<Self, FsError> {
        if self.path.is_deepest() {
            let path = self.path_of(name);
            return Err(FsError::TooDeep { path });
        }
        match self.open_with(name, OFlags::DIRECTORY) {
            Ok(fd) => Ok(Self {
                fd,
                path: self.path.below(name.to_bytes()),
            }),
            Err(error) => Err(FsError::io("open the folder", &self.path_of(name), error)),
        }
    }

    /// Opens a folder in this one, following a symbolic link: on the way to a path of a source.
    pub fn follow(&self, name: &CStr) -> Result<Self, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self {
                fd,
                path: self.path.below(name.to_bytes()),
            }),
            Err(error) => Err(FsError::io("open the folder", &self.path_of(name), error)),
        }
    }

    pub(super) fn from_fd(fd: OwnedFd, path: &Path) -> Self {
        let path = FolderPath::new(path);
        Self { fd, path }
    }

    /// Where the folder was found; for messages and patterns.
    pub fn path(&self) -> &FolderPath {
        &self.path
    }

    /// Looks at the folder itself.
    pub fn stat(&self) -> Result<Stat, FsError> {
        let stat = Stat::of_open(self.fd.as_fd());
        stat.map_err(|error| FsError::io("look at", &self.path.told(), error))
    }

    /// Looks at one name.
    pub fn stat_of(&self, name: &CStr) -> Result<Stat, FsError> {
        let stat = Stat::of_name(self.fd.as_fd(), name);
        stat.map_err(|error| FsError::io("look at", &self.path_of(name), error))
    }

    /// Reads the whole folder.
    ///
    /// Inodes are looked at in the order of their numbers, in which most filesystems keep them:
    /// on a cold spinning disk that is several times faster than the order of the names.
    pub fn list(&self) -> Result<Listing, FsError> {
        let mut found = self.names()?;
        found.sort_unstable_by_key(|(inode, _)| *inode);
        let mut listing = Listing::default();
        listing.entries.reserve_exact(found.len());
        for (_, name) in found {
            match self.stat_of(&name) {
                Ok(stat) => listing.entries.push(Entry { name, stat }),
                Err(error) => listing.problems.push(error),
            }
        }
        listing
            .entries
            .sort_unstable_by(|left, right| left.name.cmp(&right.name));
        Ok(listing)
    }

    /// Opens a regular file for reading, without touching its access time where that is allowed.
    ///
    /// Refuses what is not the file that `listed` was: a swapped file must not be read under the
    /// metadata of another, and a fifo would never end.
    pub fn open_file(&self, name: &CStr, listed: &Stat) -> Result<SourceFile, FsError> {
        // A fifo that took the name does not block.
        let fd = match self.open_with(name, OFlags::NONBLOCK | OFlags::NOATIME) {
            Err(Errno::PERM) => self.open_with(name, OFlags::NONBLOCK),
            other => other,
        };
        let error = |error| FsError::io("open", &self.path_of(name), error);
        let fd = fd.map_err(error)?;
        let stat = Stat::of_open(fd.as_fd()).map_err(error)?;
        if stat.kind() != NodeKind::File || !stat.is_same_file(listed) {
            let path = self.path_of(name);
            return Err(FsError::Replaced { path });
        }
        let file = File::from(fd);
        Ok(SourceFile { file, stat })
    }

    /// Makes the node of a name, complete but for the content of a file, which is empty, and the
    /// tree of a folder, which is missing.
    ///
    /// Attributes that cannot be read go to `problems`, and the node goes without them.
    pub fn node(
        &self,
        name: &CStr,
        stat: &Stat,
        names: &Names,
        problems: &mut Vec<FsError>,
    ) -> Result<Node, FsError> {
        let mut node = plain_node(name.to_bytes(), stat, names);
        if node.kind == NodeKind::Symlink {
            let target = readlinkat(&self.fd, name, Vec::new());
            let target =
                target.map_err(|error| FsError::io("read the link", &self.path_of(name), error))?;
            node.edit_rare(|rare| rare.link_target = target.into_bytes().into());
        }
        let folder = self.fd.as_fd();
        let place = Place::Named { folder, name };
        add_attributes(&mut node, place, || self.path_of(name), problems);
        Ok(node)
    }

    /// Makes the node of this folder itself under the given name, without its tree.
    ///
    /// Attributes that cannot be read go to `problems`, and the node goes without them.
    pub fn own_node(
        &self,
        name: &[u8],
        names: &Names,
        problems: &mut Vec<FsError>,
    ) -> Result<Node, FsError> {
        let mut node = plain_node(name, &self.stat()?, names);
        let place = Place::Open(self.fd.as_fd());
        add_attributes(&mut node, place, || self.path.told(), problems);
        Ok(node)
    }

    fn names(&self) -> Result<Vec<(u64, CString)>, FsError> {
        let failed = |error| FsError::io("list", &self.path.told(), error);
        seek(&self.fd, SeekFrom::Start(0)).map_err(failed)?;
        let mut buffer = Vec::with_capacity(LIST_BYTES);
        let mut directory = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        let mut found = Vec::new();
        while let Some(entry) = directory.next() {
            let entry = entry.map_err(failed)?;
            if is_safe_name(entry.file_name().to_bytes()) {
                found.push((entry.ino(), entry.file_name().to_owned()));
            }
        }
        Ok(found)
    }

    fn open_with(&self, name: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let always = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.fd, name, always | flags, Mode::empty())
    }

    fn path_of(&self, name: &CStr) -> PathBuf {
        self.path.told_of(name.to_bytes())
    }
}

impl SourceFile {
    /// Makes the node of the open file, complete but for its content, which is empty.
    ///
    /// Attributes that cannot be read go to `problems`, and the node goes without them.
    pub fn node(
        &self,
        folder: &Folder,
        name: &CStr,
        names: &Names,
        problems: &mut Vec<FsError>,
    ) -> Node {
        let mut node = plain_node(name.to_bytes(), &self.stat, names);
        let place = Place::Open(self.file.as_fd());
        add_attributes(&mut node, place, || folder.path_of(name), problems);
        node
    }

    /// Whether the file changed since it was opened; to be asked when its last byte was read.
    pub fn has_changed(&self) -> rustix::io::Result<bool> {
        Ok(Stat::of_open(self.file.as_fd())?.changed_since(&self.stat))
    }
}

/// What `stat` says, as restic has it: sizes of files only, links of what is no folder, fifo or
/// socket, and the time of the last access equal to that of the last change.
fn plain_node(name: &[u8], stat: &Stat, names: &Names) -> Node {
    let mut node = Node::new(name, stat.kind());
    node.mode = GoMode::from_unix(stat.mode);
    (node.mtime, node.atime, node.ctime) = (stat.mtime, stat.mtime, stat.ctime);
    (node.uid, node.gid) = (stat.uid, stat.gid);
    (node.user, node.group) = (names.user(stat.uid), names.group(stat.gid));
    (node.inode, node.device_id) = (stat.inode, stat.device_id);
    match node.kind {
        NodeKind::File => {
            (node.size, node.links) = (stat.size, stat.links);
            node.content = Some(Box::default());
        }
        NodeKind::Symlink => node.links = stat.links,
        NodeKind::Dev | NodeKind::CharDev => {
            node.links = stat.links;
            node.edit_rare(|rare| rare.device = stat.device);
        }
        _ => {}
    }
    node
}

fn add_attributes(
    node: &mut Node,
    place: Place<'_>,
    path: impl Fn() -> PathBuf,
    problems: &mut Vec<FsError>,
) {
    let failed = |error| FsError::io("read the attributes of", &path(), error);
    let list = place.attribute_names().unwrap_or_else(|error| {
        problems.push(failed(error));
        Vec::new()
    });
    let mut attributes = Vec::new();
    for name in split_names(&list) {
        match place.attribute(name) {
            Ok(value) => attributes.push(ExtendedAttribute {
                name: name.to_bytes().into(),
                value: Some(value.into()),
            }),
            // It was removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(error) => problems.push(failed(error)),
        }
    }
    if !attributes.is_empty() {
        node.edit_rare(|rare| rare.extended_attributes = attributes);
    }
}
