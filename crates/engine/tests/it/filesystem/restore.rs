//! Making files again: everything as it was, nothing outside the target, nothing half.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use strongroom_engine::filesystem::{
    Folder, FsError, Names, RestoreProblem, Severity, TargetFolder,
};
use strongroom_repo::node::{GoMode, Node, NodeKind};

use crate::filesystem::{c, is_root, node_of, nodes_below, odd_folder};

/// Restores a folder from another as a restore does it from a repository.
fn copy(source: &Path, target: &Path) -> Vec<RestoreProblem> {
    fn walk(
        source: &Folder,
        target: &TargetFolder,
        made: &mut HashMap<u64, (TargetFolder, Vec<u8>)>,
        problems: &mut Vec<RestoreProblem>,
    ) {
        for entry in source.list().unwrap().entries {
            let name = entry.name.to_bytes();
            let node = source.node(&entry.name, &entry.stat, &Names::default(), &mut Vec::new());
            let node = node.unwrap();
            match node.kind {
                NodeKind::Dir => {
                    let inner = target.create_folder(name).unwrap();
                    walk(
                        &source.open_folder(&entry.name).unwrap(),
                        &inner,
                        made,
                        problems,
                    );
                    inner.finish(&node, problems);
                }
                _ if made.contains_key(&node.inode) => {
                    let (folder, original) = &made[&node.inode];
                    target.hard_link(name, folder, original).unwrap();
                }
                NodeKind::File => {
                    let open = source.open_file(&entry.name, &entry.stat).unwrap();
                    let mut content = vec![0; usize::try_from(node.size).unwrap()];
                    open.file.read_exact_at(&mut content, 0).unwrap();
                    let file = target.create_file(name).unwrap();
                    file.write_at(0, &content).unwrap();
                    file.finish(node.size, &node, problems).unwrap();
                }
                _ => {
                    target.create_special(&node, problems);
                }
            }
            if node.links > 1 {
                made.entry(node.inode)
                    .or_insert((target.clone(), name.to_vec()));
            }
        }
    }
    let mut problems = Vec::new();
    let root = TargetFolder::create(target).unwrap();
    walk(
        &Folder::open(source).unwrap(),
        &root,
        &mut HashMap::new(),
        &mut problems,
    );
    root.sync().unwrap();
    problems
}

/// What must be equal after a restore.
fn comparable(root: &Path) -> Vec<(String, Node)> {
    let mut nodes = nodes_below(root);
    nodes.retain(|(_, node)| node.kind != NodeKind::Socket);
    for (_, node) in &mut nodes {
        (node.inode, node.device_id) = (0, 0);
        node.ctime = node.mtime;
        // The order of attributes is the filesystem's.
        node.edit_rare(|rare| rare.extended_attributes.sort_by(|a, b| a.name.cmp(&b.name)));
    }
    nodes
}

#[test]
fn everything_is_restored_as_it_was() {
    let source = odd_folder();
    let work = tempfile::tempdir().unwrap();
    let target = work.path().join("deep/target");
    // The second time over the first.
    for _ in 0..2 {
        let problems = copy(source.path(), &target);
        let kinds: Vec<_> = problems
            .iter()
            .map(|one| (one.severity, one.error.to_string()))
            .collect();
        assert_eq!(kinds.len(), 1, "{kinds:?}");
        assert_eq!(kinds[0].0, Severity::Warning);
        assert!(
            kinds[0]
                .1
                .ends_with("socket is a socket, which cannot be restored")
        );

        let (before, after) = (comparable(source.path()), comparable(&target));
        assert_eq!(before.len(), after.len());
        for ((path, before), (_, after)) in before.into_iter().zip(after) {
            assert_eq!(before, after, "{path}");
        }
    }
    for name in ["plain.txt", "-rf", "...", "漢字"] {
        let content = |root: &Path| fs::read(root.join("names").join(name)).unwrap();
        assert_eq!(content(source.path()), content(&target));
    }
    let inode = |name: &str| {
        fs::symlink_metadata(target.join("links").join(name))
            .unwrap()
            .ino()
    };
    assert_eq!(inode("one"), inode("two"));
    assert_eq!(inode("link"), inode("link again"));
    let sparse = fs::metadata(target.join("holes/nothing else")).unwrap();
    assert_eq!((sparse.len(), sparse.blocks()), (8 << 20, 0));
}

#[test]
fn acls_that_come_from_the_target_are_removed() {
    let source = odd_folder();
    let work = tempfile::tempdir().unwrap();
    let acl = Folder::open(source.path()).unwrap();
    let acl = node_of(&acl, &c("attributes"));
    let target = TargetFolder::create(work.path()).unwrap();
    target.finish(&acl, &mut Vec::new());
    let mut problems = Vec::new();
    let file = target.create_file(b"file").unwrap();
    file.finish(0, &node(NodeKind::File), &mut problems)
        .unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let restored = node_of(&Folder::open(work.path()).unwrap(), &c("file"));
    assert_eq!(restored.extended_attributes(), []);
}

#[test]
fn a_file_that_is_not_finished_leaves_nothing() {
    let work = tempfile::tempdir().unwrap();
    let target = TargetFolder::create(work.path()).unwrap();
    let file = target.create_file(b"file").unwrap();
    file.write_at(0, b"half").unwrap();
    assert!(!work.path().join("file").exists());
    assert!(!target.is_empty().unwrap());
    drop(file);
    assert!(target.is_empty().unwrap());
}

#[test]
fn nobody_can_foresee_the_name_of_an_unfinished_file() {
    let work = tempfile::tempdir().unwrap();
    let target = TargetFolder::create(work.path()).unwrap();
    let files: Vec<_> = (0..20_u8)
        .map(|number| target.create_file(&[b'a' + number]).unwrap())
        .collect();
    let listed = fs::read_dir(work.path()).unwrap();
    let names: HashSet<_> = listed
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_prefix(".strongroom-").unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), files.len());
    let is_random = |name: &String| name.len() == 32 && u128::from_str_radix(name, 16).is_ok();
    assert!(names.iter().all(is_random), "{names:?}");
    // Numbers that are counted would agree in what comes first.
    let beginnings: HashSet<_> = names.iter().map(|name| &name[..16]).collect();
    assert_eq!(beginnings.len(), files.len());
}

#[test]
fn a_name_that_leaves_the_target_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let target = TargetFolder::create(&work.path().join("target")).unwrap();
    for name in [&b""[..], b".", b"..", b"../x", b"/x", b"a/b", b"a\0b"] {
        let refused = |error| matches!(error, FsError::UnsafeName { .. });
        assert!(refused(target.create_file(name).unwrap_err()));
        assert!(refused(target.create_folder(name).unwrap_err()));
        assert!(refused(target.hard_link(name, &target, b"x").unwrap_err()));
        assert!(refused(target.hard_link(b"x", &target, name).unwrap_err()));
        let mut problems = Vec::new();
        target.create_special(&Node::new(name, NodeKind::Fifo), &mut problems);
        assert!(refused(problems.pop().unwrap().error));
    }
    for path in [&b"/"[..], b"..", b"a/../b", b"a//b", b"/etc", b"a/"] {
        let error = target.descend(path).unwrap_err();
        assert!(matches!(error, FsError::UnsafeName { .. }), "{error}");
    }
}

#[test]
fn links_in_the_target_are_replaced_and_not_followed() {
    let work = tempfile::tempdir().unwrap();
    let outside = work.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    let root = work.path().join("target");
    let target = TargetFolder::create(&root).unwrap();
    symlink(&outside, root.join("folder")).unwrap();
    symlink(outside.join("file"), root.join("file")).unwrap();
    symlink(outside.join("file"), root.join("fifo")).unwrap();

    assert!(target.descend(b"folder").is_err());
    let folder = target.create_folder(b"folder").unwrap();
    folder
        .create_file(b"file")
        .unwrap()
        .finish(0, &node(NodeKind::File), &mut Vec::new())
        .unwrap();
    target
        .create_file(b"file")
        .unwrap()
        .finish(0, &node(NodeKind::File), &mut Vec::new())
        .unwrap();
    let mut problems = Vec::new();
    target.create_special(&node(NodeKind::Fifo), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");

    assert_eq!(
        fs::read_to_string(outside.join("file")).unwrap(),
        "precious"
    );
    assert_eq!(
        fs::metadata(outside.join("file")).unwrap().mode() & 0o777,
        0o644
    );
    for name in ["folder", "file", "fifo"] {
        assert!(!fs::symlink_metadata(root.join(name)).unwrap().is_symlink());
    }
    assert!(target.descend(b"folder").is_ok());
}

/// A node called by its kind, which this user may make.
fn node(kind: NodeKind) -> Node {
    let mut node = Node::new(kind.text().unwrap().as_bytes(), kind);
    let me = (rustix::process::geteuid(), rustix::process::getegid());
    (node.uid, node.gid) = (me.0.as_raw(), me.1.as_raw());
    node.mode = GoMode(0o600);
    node
}

#[test]
fn what_cannot_be_replaced_is_a_problem_and_leaves_nothing_behind() {
    let work = tempfile::tempdir().unwrap();
    let target = TargetFolder::create(work.path()).unwrap();
    let inner = target.create_folder(b"name").unwrap();
    drop(inner.create_folder(b"full").unwrap());
    let file = target.create_file(b"name").unwrap();
    assert!(
        file.finish(0, &node(NodeKind::File), &mut Vec::new())
            .is_err()
    );
    let mut problems = Vec::new();
    target.create_special(&Node::new(*b"name", NodeKind::Fifo), &mut problems);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].severity, Severity::Error);
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1);
}

#[test]
fn a_device_needs_root() {
    let work = tempfile::tempdir().unwrap();
    let target = TargetFolder::create(work.path()).unwrap();
    let mut node = node(NodeKind::CharDev);
    node.edit_rare(|rare| rare.device = 0x103);
    let mut problems = Vec::new();
    target.create_special(&node, &mut problems);
    if is_root() {
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            fs::metadata(work.path().join("chardev")).unwrap().rdev(),
            0x103
        );
    } else {
        assert_eq!(problems[0].severity, Severity::Warning);
        assert!(problems[0].error.hint().is_some());
    }
}

/// Parts of a file: zeros or data of some length.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let part = (any::<bool>(), 1_usize..20_000);
    vec(part, 0..12).prop_map(|parts| {
        let bytes = parts.into_iter();
        bytes
            .flat_map(|(zeros, length)| std::iter::repeat_n(u8::from(!zeros), length))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_written_in_any_parts_and_order_is_whole(
        content in parts(),
        step in 1_usize..30_000,
        backwards: bool,
    ) {
        let work = tempfile::tempdir().unwrap();
        let target = TargetFolder::create(work.path()).unwrap();
        let file = target.create_file(b"file").unwrap();
        let mut pieces: Vec<_> = content.chunks(step).enumerate().collect();
        if backwards {
            pieces.reverse();
        }
        for (number, piece) in pieces {
            file.write_at((number * step) as u64, piece).unwrap();
        }
        file.finish(content.len() as u64, &node(NodeKind::File), &mut Vec::new()).unwrap();
        prop_assert_eq!(fs::read(work.path().join("file")).unwrap(), content);
    }
}
