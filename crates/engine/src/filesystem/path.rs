//! Where a folder is, however deep: kept as one name and the folder above.
//!
//! **Security:** whoever may make folders in a source can nest them without end, each with a name
//! of 255 bytes, by paths relative to one another. If each open or waiting folder kept its whole
//! path, memory would grow with the square of the depth; so each keeps its name, the whole path is
//! made when it is needed, and what people are told is cut. A backup and a restore share one limit
//! of the depth: what is saved can be restored.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// How deep folders may lie in one another in a snapshot.
///
/// No path that one system call takes is deeper, and so many folders can be open at once under
/// the least limit of open files that systems set as the hard one, 4096.
pub const MAX_DEPTH: usize = 2048;

/// How many bytes of a path people are told: as many as a system call takes.
const MAX_TOLD_BYTES: usize = 4096;

/// Stands for what was cut out of a path.
const CUT: &[u8] = "…".as_bytes();

/// The path of a folder; clones are cheap.
#[derive(Debug, Clone)]
pub struct FolderPath(Arc<Link>);

#[derive(Debug)]
struct Link {
    above: Option<FolderPath>,
    name: Box<[u8]>,
    depth: usize,
}

impl FolderPath {
    /// The path of a folder where a walk begins; it lies as deep as the path says.
    pub fn new(path: &Path) -> Self {
        let is_name = |component: &Component<'_>| matches!(component, Component::Normal(_));
        Self(Arc::new(Link {
            above: None,
            name: path.as_os_str().as_bytes().into(),
            depth: path.components().filter(is_name).count(),
        }))
    }

    /// The path of a folder in this one.
    pub fn below(&self, name: &[u8]) -> Self {
        Self(Arc::new(Link {
            above: Some(self.clone()),
            name: name.into(),
            depth: self.depth() + 1,
        }))
    }

    /// How many folders it lies in.
    pub fn depth(&self) -> usize {
        self.0.depth
    }

    /// Whether a folder in this one would lie too deep.
    pub fn is_deepest(&self) -> bool {
        self.depth() >= MAX_DEPTH
    }

    /// Whether both are clones of one path.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The whole path, of whatever length.
    pub fn whole(&self) -> Vec<u8> {
        let chain = std::iter::successors(Some(self), |path| path.0.above.as_ref());
        let chain: Vec<_> = chain.collect();
        let mut whole = Vec::new();
        for path in chain.into_iter().rev() {
            push(&mut whole, &path.0.name);
        }
        whole
    }

    /// The whole path of a name in this folder.
    pub fn whole_of(&self, name: &[u8]) -> Vec<u8> {
        let mut whole = self.whole();
        push(&mut whole, name);
        whole
    }

    /// The path for people, cut in the middle where it is too long.
    pub fn told(&self) -> PathBuf {
        told(self.whole())
    }

    /// The path of a name in this folder, for people.
    pub fn told_of(&self, name: &[u8]) -> PathBuf {
        told(self.whole_of(name))
    }
}

/// A chain is let go of link by link: its depth must not become that of the stack.
impl Drop for Link {
    fn drop(&mut self) {
        let mut next = self.above.take();
        while let Some(mut link) = next.and_then(|path| Arc::into_inner(path.0)) {
            next = link.above.take();
        }
    }
}

/// A path for people, cut in the middle where it is too long.
pub(crate) fn told(mut path: Vec<u8>) -> PathBuf {
    if path.len() > MAX_TOLD_BYTES {
        let half = MAX_TOLD_BYTES / 2;
        path.splice(half..path.len() - half, CUT.iter().copied());
    }
    PathBuf::from(OsString::from_vec(path))
}

fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_its_names_make() {
        let top = FolderPath::new(Path::new("/"));
        assert_eq!((top.whole(), top.depth()), (b"/".to_vec(), 0));
        let git = top.below(b"srv").below(b"git");
        assert_eq!((git.whole(), git.depth()), (b"/srv/git".to_vec(), 2));
        assert_eq!(git.told_of(b"a"), Path::new("/srv/git/a"));
        let opened = FolderPath::new(Path::new("/srv/git"));
        assert_eq!((opened.whole(), opened.depth()), (git.whole(), 2));
        let relative = FolderPath::new(Path::new("")).below(b"srv");
        assert_eq!((relative.whole(), relative.depth()), (b"srv".to_vec(), 1));
    }

    #[test]
    fn what_is_told_of_a_path_has_a_limit_and_both_ends() {
        let mut path = FolderPath::new(Path::new("/top"));
        for _ in 0..100 {
            path = path.below(&[b'x'; 250]);
        }
        let whole = path.whole_of(b"bottom");
        assert_eq!(whole.len(), 4 + 100 * 251 + 7);
        let told = path.told_of(b"bottom");
        assert!(told.starts_with("/top") && told.ends_with("bottom"));
        assert!(told.as_os_str().len() < MAX_TOLD_BYTES + 10);
    }

    #[test]
    fn a_deep_path_costs_its_names_and_no_stack() {
        let mut path = FolderPath::new(Path::new("/"));
        for _ in 0..1_000_000 {
            path = path.below(b"x");
        }
        assert!(path.is_deepest());
        drop(path);
    }
}
