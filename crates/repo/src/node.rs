//! One entry of a tree: a file, folder, link or device with all that restic keeps of it.
//!
//! A backup of a million files holds a million of these at a time of its life, so what most files
//! lack is boxed away in [`Rare`], and owner names are shared.
//! Names and link targets are raw bytes: what is not UTF-8 must survive.

mod mode;
mod time;

use std::sync::Arc;

use strongroom_model::Id;

pub use mode::GoMode;
pub use time::NodeTime;

/// An entry of a tree.
///
/// Two nodes are equal when they encode to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The file's name, one path component, as raw bytes.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: NodeKind,
    /// Permissions and type in Go's terms.
    pub mode: GoMode,
    /// When the content changed last.
    pub mtime: NodeTime,
    /// When it was read last; restic and we store `mtime` here.
    pub atime: NodeTime,
    /// When content or metadata changed last.
    pub ctime: NodeTime,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name, if it had one.
    pub user: Option<Arc<str>>,
    /// The group's name, if it had one.
    pub group: Option<Arc<str>>,
    /// The inode's number at the source.
    pub inode: u64,
    /// The device that held it (`st_dev`); with `inode` it tells hard links.
    pub device_id: u64,
    /// A file's length in bytes; 0 for everything else.
    pub size: u64,
    /// How many names the inode had; 0 for folders, fifos and sockets.
    pub links: u64,
    /// The blobs of a file in order; `None` is JSON's `null`, which everything else has.
    pub content: Option<Box<[Id]>>,
    /// The tree of a folder.
    pub subtree: Option<Id>,
    rare: Option<Box<Rare>>,
}

/// What a node is; restic's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Dev,
    /// A character device.
    CharDev,
    /// A named pipe.
    Fifo,
    /// A Unix socket, which cannot be restored.
    Socket,
    /// Something that Go calls irregular.
    Irregular,
    /// A type that we do not know, spelled in [`Rare::kind`].
    Other,
}

/// What few nodes have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rare {
    /// Where a symbolic link points, as raw bytes.
    pub link_target: Box<[u8]>,
    /// Extended attributes, ACLs among them, in the order in which the system lists them.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// Attributes of other systems as restic's JSON object, verbatim.
    pub generic_attributes: Box<str>,
    /// A device's number (`st_rdev`).
    pub device: u64,
    /// What went wrong while the node was read.
    pub error: Box<str>,
    /// The text of a type that is [`NodeKind::Other`].
    pub kind: Box<str>,
    /// Fields that we do not know, verbatim, each as `,"key":value`.
    pub unknown: Box<str>,
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// Its name with namespace, as in `user.comment`.
    pub name: Box<[u8]>,
    /// Its value; `None` is JSON's `null`: restic listed the attribute and could not read it.
    pub value: Option<Box<[u8]>>,
}

/// The empty [`Rare`] behind the accessors of a node that has none.
static NOTHING_RARE: std::sync::LazyLock<Rare> = std::sync::LazyLock::new(Rare::default);

impl Node {
    /// Makes a node that has a name and a kind and nothing else.
    pub fn new(name: impl Into<Box<[u8]>>, kind: NodeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            mode: GoMode::default(),
            mtime: NodeTime::ZERO,
            atime: NodeTime::ZERO,
            ctime: NodeTime::ZERO,
            uid: 0,
            gid: 0,
            user: None,
            group: None,
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            content: None,
            subtree: None,
            rare: None,
        }
    }

    /// What few nodes have; everything in it is empty for the others.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// Changes what few nodes have.
    pub fn edit_rare(&mut self, edit: impl FnOnce(&mut Rare)) {
        let mut rare = self.rare.take().unwrap_or_default();
        edit(&mut rare);
        if *rare != *NOTHING_RARE {
            self.rare = Some(rare);
        }
    }

    /// Where a symbolic link points, as raw bytes.
    pub fn link_target(&self) -> &[u8] {
        &self.rare().link_target
    }

    /// Extended attributes, ACLs among them.
    pub fn extended_attributes(&self) -> &[ExtendedAttribute] {
        &self.rare().extended_attributes
    }

    /// A device's number (`st_rdev`).
    pub fn device(&self) -> u64 {
        self.rare().device
    }

    /// The spelling of the kind: restic's `type`.
    pub fn kind_text(&self) -> &str {
        self.kind.text().unwrap_or(&self.rare().kind)
    }
}

impl NodeKind {
    const ALL: [(Self, &'static str); 8] = [
        (Self::File, "file"),
        (Self::Dir, "dir"),
        (Self::Symlink, "symlink"),
        (Self::Dev, "dev"),
        (Self::CharDev, "chardev"),
        (Self::Fifo, "fifo"),
        (Self::Socket, "socket"),
        (Self::Irregular, "irregular"),
    ];

    /// The kind that restic spells so.
    pub fn from_text(text: &str) -> Self {
        let known = Self::ALL.iter().find(|(_, known)| *known == text);
        known.map_or(Self::Other, |(kind, _)| *kind)
    }

    /// restic's spelling; `None` for [`NodeKind::Other`], whose text is in the node.
    pub fn text(self) -> Option<&'static str> {
        let known = Self::ALL.iter().find(|(kind, _)| *kind == self);
        known.map(|(_, text)| *text)
    }
}

/// Whether `name` is one path component that stays in its folder.
///
/// **Security:** a tree is believed by whoever restores it; a name with `/` or `..` in it would
/// write outside the target, and NUL would cut the name short.
pub fn is_safe_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stays_small() {
        assert!(size_of::<Node>() <= 200, "{}", size_of::<Node>());
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_unsafe() {
        for name in ["", ".", "..", "/", "a/b", "../x", "a\0"] {
            assert!(!is_safe_name(name.as_bytes()), "{name:?}");
        }
        for name in ["...", "a", " ", "-rf", "\n"] {
            assert!(is_safe_name(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn an_empty_rare_part_is_no_rare_part() {
        let mut node = Node::new(*b"a", NodeKind::Dev);
        let plain = node.clone();
        node.edit_rare(|rare| rare.device = 7);
        assert_eq!(node.device(), 7);
        node.edit_rare(|rare| rare.device = 0);
        assert_eq!(node, plain);
    }
}
