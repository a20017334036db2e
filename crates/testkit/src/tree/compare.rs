//! Comparing two trees in everything that a backup must keep.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use strongroom_model::Id;

/// One thing in which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, below both roots.
    pub path: PathBuf,
    /// What: `missing`, `mode`, `content` …
    pub what: &'static str,
    /// The two values.
    pub detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.path, self.what, self.detail)
    }
}

/// Compares type, mode, owner, time of modification, content, link targets, attributes with ACLs,
/// device numbers and which names are one file; of the roots too. Sockets are passed over: no
/// backup keeps them.
///
/// Where a file cannot be told from one that is not there, this panics: a test must be able to
/// read both trees.
pub fn compare(left: &Path, right: &Path) -> Vec<Difference> {
    compare_with(left, right, false)
}

/// As [`compare`]; with `holes`, files on the right must also take no more room than on the left.
pub fn compare_with(left: &Path, right: &Path, holes: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (left_tree, right_tree) = (scan(left), scan(right));
    for path in right_tree
        .keys()
        .filter(|path| !left_tree.contains_key(*path))
    {
        differences.push(difference(path, "extra", "only on the right"));
    }
    for (path, ours) in &left_tree {
        match right_tree.get(path) {
            None => differences.push(difference(path, "missing", "only on the left")),
            Some(theirs) => compare_nodes(path, ours, theirs, holes, &mut differences),
        }
    }
    differences
}

/// A digest of all that [`compare`] looks at: trees of one digest have no differences. So a tree
/// can be held against what a folder was before it changed.
///
/// # Panics
/// As [`compare`].
pub fn digest(root: &Path) -> Id {
    let mut text = String::new();
    for (path, node) in scan(root) {
        text.push_str(&format!("{path:?} {:?}", node.facts));
        if node.is_file {
            text.push_str(&format!(" {}", Id::of(&fs::read(&node.path).unwrap())));
        }
        text.push('\n');
    }
    Id::of(text.as_bytes())
}

/// Everything about one name.
struct Node {
    path: PathBuf,
    facts: Vec<(&'static str, String)>,
    blocks: u64,
    is_file: bool,
}

fn difference(path: &Path, what: &'static str, detail: impl Into<String>) -> Difference {
    Difference {
        path: path.to_owned(),
        what,
        detail: detail.into(),
    }
}

/// Reads a tree, by paths relative to its root.
fn scan(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(relative) = left.pop() {
        let path = root.join(&relative);
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                left.push(relative.join(entry.unwrap().file_name()));
            }
        }
        if !metadata.file_type().is_socket() {
            nodes.insert(relative, node(path, &metadata));
        }
    }
    // The first name in order stands for all names of one file.
    for (relative, node) in &mut nodes {
        let metadata = fs::symlink_metadata(&node.path).unwrap();
        if !metadata.is_dir() && metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            let first = first_names.entry(key).or_insert_with(|| relative.clone());
            node.facts
                .push(("hard link", format!("same file as {first:?}")));
        }
    }
    nodes
}

fn node(path: PathBuf, metadata: &fs::Metadata) -> Node {
    let kind = metadata.file_type();
    let mut facts = vec![
        ("mode", format!("{:o}", metadata.mode())),
        ("owner", format!("{}:{}", metadata.uid(), metadata.gid())),
        (
            "mtime",
            format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec()),
        ),
        ("attributes", attributes(&path)),
    ];
    if kind.is_file() {
        facts.push(("size", metadata.len().to_string()));
    }
    if kind.is_symlink() {
        let target = fs::read_link(&path).unwrap();
        facts.push(("target", format!("{:?}", target.as_os_str().as_bytes())));
    }
    if kind.is_char_device() || kind.is_block_device() {
        facts.push(("device", metadata.rdev().to_string()));
    }
    Node {
        path,
        facts,
        blocks: metadata.blocks(),
        is_file: kind.is_file(),
    }
}

fn compare_nodes(path: &Path, left: &Node, right: &Node, holes: bool, out: &mut Vec<Difference>) {
    let (ours, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) = (
        left.facts.iter().cloned().collect(),
        right.facts.iter().cloned().collect(),
    );
    let mut names: Vec<_> = ours.keys().chain(theirs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let value = |facts: &BTreeMap<&str, String>| {
            facts
                .get(*name)
                .cloned()
                .unwrap_or_else(|| "nothing".to_owned())
        };
        if value(&ours) != value(&theirs) {
            out.push(difference(
                path,
                name,
                format!("{} and {}", value(&ours), value(&theirs)),
            ));
        }
    }
    if !(left.is_file && right.is_file) {
        return;
    }
    if ours.get("size") == theirs.get("size") {
        if let Some(at) = first_different_byte(&left.path, &right.path) {
            out.push(difference(path, "content", format!("from byte {at} on")));
        }
        // A few blocks more are the file system's own doing.
        if holes && right.blocks > left.blocks + 64 {
            let detail = format!("{} and {} blocks", left.blocks, right.blocks);
            out.push(difference(path, "holes", detail));
        }
    }
}

fn first_different_byte(left: &Path, right: &Path) -> Option<u64> {
    let (mut left, mut right) = (File::open(left).unwrap(), File::open(right).unwrap());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        ours.clear();
        theirs.clear();
        (&mut left).take(1 << 20).read_to_end(&mut ours).unwrap();
        (&mut right).take(1 << 20).read_to_end(&mut theirs).unwrap();
        if ours != theirs {
            let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            return Some(at + same as u64);
        }
        if ours.is_empty() {
            return None;
        }
        at += ours.len() as u64;
    }
}

/// All extended attributes, sorted, as text.
fn attributes(path: &Path) -> String {
    let mut list = vec![0; 1 << 16];
    // Some files of /proc and some file systems have none to list.
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let mut found: Vec<String> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            format!("{}={:?}", name.escape_ascii(), &value[..length])
        })
        .collect();
    found.sort();
    found.join(" ")
}
