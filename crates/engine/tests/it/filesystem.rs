//! Files of a source against what restic records of them, and their way through a restore.

mod restore;
mod source;

use std::ffi::{CStr, CString};
use std::path::Path;

use strongroom_engine::filesystem::{Folder, Names};
use strongroom_repo::node::Node;
use strongroom_testkit::tree::make_oddities;

/// A folder with everything that this user can make.
fn odd_folder() -> tempfile::TempDir {
    let work = tempfile::tempdir().unwrap();
    make_oddities(work.path());
    work
}

/// All nodes below a folder, with their paths.
fn nodes_below(root: &Path) -> Vec<(String, Node)> {
    fn walk(folder: &Folder, path: &str, names: &Names, nodes: &mut Vec<(String, Node)>) {
        let listing = folder.list().unwrap();
        assert!(listing.problems.is_empty(), "{:?}", listing.problems);
        for entry in listing.entries {
            let mut problems = Vec::new();
            let node = folder.node(&entry.name, &entry.stat, names, &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            let path = format!("{path}/{}", entry.name.to_bytes().escape_ascii());
            if let Ok(inner) = folder.open_folder(&entry.name) {
                walk(&inner, &path, names, nodes);
            }
            nodes.push((path, node.unwrap()));
        }
    }
    let mut nodes = Vec::new();
    walk(
        &Folder::open(root).unwrap(),
        "",
        &Names::default(),
        &mut nodes,
    );
    nodes
}

fn c(name: &str) -> CString {
    CString::new(name).unwrap()
}

/// The node of one name.
fn node_of(folder: &Folder, name: &CStr) -> Node {
    let stat = folder.stat_of(name).unwrap();
    let mut problems = Vec::new();
    let node = folder.node(name, &stat, &Names::default(), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    node.unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
