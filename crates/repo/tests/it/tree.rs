//! The tree codec against restic itself, and against arbitrary nodes and bytes.

use std::path::Path;
use std::process::Command;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use strongroom_model::Id;
use strongroom_repo::node::{ExtendedAttribute, GoMode, Node, NodeKind, NodeTime, is_safe_name};
use strongroom_repo::tree::{REFUSED_LIMIT, Tree, TreeEncoder, TreeError};
use strongroom_testkit::programs::{Restic, restic_versions};
use strongroom_testkit::tree::{NEWER_FOLDER, make_oddities};

#[test]
fn trees_of_restic_encode_to_the_same_bytes() {
    for restic in restic_versions() {
        let (trees, newer) = trees_of(&restic);
        assert!(trees.len() >= 8, "{} trees", trees.len());
        for (id, blob) in trees {
            let tree = Tree::decode(&blob).unwrap();
            assert_eq!(tree.refused, []);
            let encoded = tree.encode().unwrap();
            if id == newer && restic.version == "0.14" {
                assert_ne!(Id::of(&encoded), id);
                continue;
            }
            assert_eq!(str::from_utf8(&encoded), str::from_utf8(&blob));
            assert_eq!(Id::of(&encoded), id);
        }
    }
}

#[test]
fn a_link_target_that_is_not_text_survives_restic() {
    let restic = restic_versions().pop().unwrap();
    let (trees, newer) = trees_of(&restic);
    let (_, blob) = trees.iter().find(|(id, _)| *id == newer).unwrap();
    let tree = Tree::decode(blob).unwrap();
    assert_eq!(tree.find(b"raw").unwrap().link_target(), b"raw \xff");
    assert_eq!(tree.find(b"short").unwrap().link_target(), b"\x08\x0c");
}

/// Backs a wild folder up and returns all trees, and the id of that with what old versions write
/// in another way.
fn trees_of(restic: &Restic) -> (Vec<(Id, Vec<u8>)>, Id) {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    std::fs::create_dir(&source).unwrap();
    make_oddities(&source);
    run(restic, work.path(), &["init"]);
    run(restic, work.path(), &["backup", "source"]);
    let mut trees = Vec::new();
    for index in lines(&run(restic, work.path(), &["list", "index"])) {
        let index = run(restic, work.path(), &["cat", "index", &index]);
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        for pack in index["packs"].as_array().unwrap() {
            for blob in pack["blobs"].as_array().unwrap() {
                if blob["type"] == "tree" {
                    let id = blob["id"].as_str().unwrap();
                    let blob = run(restic, work.path(), &["cat", "blob", id]);
                    trees.push((id.parse().unwrap(), blob));
                }
            }
        }
    }
    let newer = trees.iter().find_map(|(_, blob)| {
        let tree = Tree::decode(blob).unwrap();
        tree.find(NEWER_FOLDER.as_bytes())?.subtree
    });
    (trees, newer.unwrap())
}

fn run(restic: &Restic, work: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(&restic.path)
        .args(["--repo=repo", "--quiet", "--no-cache"])
        .args(arguments)
        .current_dir(work)
        .env("RESTIC_PASSWORD", "wild")
        // A zone of its own, so that the times have an offset.
        .env("TZ", "Asia/Kathmandu")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    output.stdout
}

fn lines(output: &[u8]) -> Vec<String> {
    str::from_utf8(output)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn fields_that_nobody_knows_survive() {
    let blob = br#"{"nodes":[{"name":"a","type":"door","mtime":"2020-01-01T00:00:00Z","atime":"2020-01-01T00:00:00Z","ctime":"2020-01-01T00:00:00Z","uid":0,"gid":0,"generic_attributes":{"windows.x":[1,{"a":"b"}]},"content":null,"future":{"deep":[[[]]]},"more":"\u003c"}],"version":3}
"#;
    let tree = Tree::decode(blob).unwrap();
    assert_eq!(tree.nodes[0].kind, NodeKind::Other);
    assert_eq!(tree.nodes[0].kind_text(), "door");
    assert_eq!(tree.encode().unwrap(), blob);
}

#[test]
fn what_other_tools_write_is_read() {
    let blob = br#" { "nodes" : [ { "type":"file", "content":[], "size":7, "name":"\u0061\\u00e4",
        "mtime":"2020-01-01T00:00:00.120000000+00:00", "atime":null, "user":null,
        "extended_attributes":[{"name":"user.x","value":null}], "mode":420 } ] } "#;
    let tree = Tree::decode(blob).unwrap();
    let node = &tree.nodes[0];
    assert_eq!(&*node.name, "aä".as_bytes());
    assert_eq!(
        (node.size, node.mode, node.user.clone()),
        (7, GoMode(0o644), None)
    );
    assert_eq!(node.mtime, NodeTime::utc(1_577_836_800, 120_000_000));
    assert_eq!(node.atime, NodeTime::ZERO);
    assert_eq!(node.extended_attributes()[0].value, None);
    assert_eq!(Tree::decode(br#"{"nodes":null}"#).unwrap(), Tree::default());
}

#[test]
fn of_a_type_that_stands_twice_nothing_is_left_but_the_last() {
    let blob = br#"{"nodes":[{"name":"a","type":"door","type":"file"}]}"#;
    let tree = Tree::decode(blob).unwrap();
    assert_eq!(tree.nodes, [Node::new(*b"a", NodeKind::File)]);
}

#[test]
fn an_unsafe_name_is_refused_and_the_others_are_kept() {
    for name in ["", ".", "..", "a/b", "/", r"a\\x00", r"\\x2e."] {
        let blob = format!(r#"{{"nodes":[{{"name":"{name}","type":"file"}},{{"name":"b"}}]}}"#);
        let tree = Tree::decode(blob.as_bytes()).unwrap();
        assert!(
            matches!(tree.refused[..], [TreeError::UnsafeName { .. }]),
            "{name}"
        );
        assert_eq!(tree.nodes.len(), 1);
        assert_eq!(tree.encode(), Err(TreeError::Refused { count: 1 }));
    }
    let many = vec!["{}"; 3 * REFUSED_LIMIT].join(",");
    let tree = Tree::decode(format!(r#"{{"nodes":[{many}]}}"#).as_bytes()).unwrap();
    assert_eq!((tree.nodes.len(), tree.refused.len()), (0, REFUSED_LIMIT));
}

#[test]
fn nodes_out_of_order_are_sorted_and_duplicates_refused() {
    let blob = br#"{"nodes":[{"name":"b","size":1},{"name":"a"},{"name":"b","size":2}]}"#;
    let tree = Tree::decode(blob).unwrap();
    let names: Vec<_> = tree.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, [b"a", b"b"]);
    assert_eq!(tree.find(b"b").unwrap().size, 1);
    let name = "b".to_owned();
    assert_eq!(tree.refused, [TreeError::DuplicateName { name }]);
}

#[test]
fn an_encoder_refuses_what_readers_could_not_rely_on() {
    let node = |name: &str| Node::new(name.as_bytes(), NodeKind::File);
    let mut encoder = TreeEncoder::new();
    encoder.push(&node("b")).unwrap();
    for name in ["a", "b"] {
        let refused = encoder.push(&node(name));
        assert!(matches!(refused, Err(TreeError::Unordered { .. })));
    }
    let refused = encoder.push(&node("c/d"));
    assert!(matches!(refused, Err(TreeError::UnsafeName { .. })));
    assert_eq!(encoder.count(), 1);
    assert_eq!(TreeEncoder::new().finish(), b"{\"nodes\":[]}\n");
}

#[test]
fn an_error_names_the_place_and_the_field() {
    let error = Tree::decode(br#"{"nodes":[{"name":"a","size":-1}]}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The tree is damaged at byte 29, in size: expected a whole number of at most 64 bits"
    );
    let error = Tree::decode(b"{\"nodes\":[]}\xff").unwrap_err();
    assert_eq!(error, TreeError::NotText { offset: 12 });
    for bad in [
        "",
        "{}",
        "[]",
        "{\"nodes\":[]",
        "{\"nodes\":[],}",
        "{\"nodes\":[]}x",
        "null",
    ] {
        assert!(Tree::decode(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_deep_text_needs_no_deep_stack() {
    let deep = "[".repeat(1 << 20);
    assert!(Tree::decode(format!(r#"{{"nodes":{deep}"#).as_bytes()).is_err());
    assert!(Tree::decode(format!(r#"{{"x":{deep}"#).as_bytes()).is_err());
    let closed = format!(r#"{{"x":{deep}{},"nodes":[]}}"#, "]".repeat(1 << 20));
    let _ = Tree::decode(closed.as_bytes());
}

fn time() -> impl Strategy<Value = NodeTime> {
    let seconds = prop_oneof![-62_000_000_000_i64..253_000_000_000, 0_i64..2_000_000_000];
    let nanos = prop_oneof![Just(0), Just(500_000_000), 0_u32..1_000_000_000];
    let offset = prop_oneof![Just(0), -1439_i16..=1439];
    (seconds, nanos, offset).prop_map(|(secs, nanos, offset_minutes)| NodeTime {
        secs,
        nanos,
        offset_minutes,
    })
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 32]>().prop_map(Id::from_bytes)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let text = ".{1,20}".prop_map(String::into_bytes);
    prop_oneof![vec(any::<u8>(), 1..20), text].prop_filter("safe", |name| is_safe_name(name))
}

fn node() -> impl Strategy<Value = Node> {
    let kind = prop::sample::select(vec![
        NodeKind::File,
        NodeKind::Dir,
        NodeKind::Symlink,
        NodeKind::Dev,
        NodeKind::CharDev,
        NodeKind::Fifo,
        NodeKind::Socket,
        NodeKind::Irregular,
    ]);
    let owners = (
        any::<[u32; 3]>(),
        option::of(".{1,9}"),
        option::of(".{1,9}"),
    );
    let numbers = any::<[u64; 5]>();
    let attribute = (".{1,9}", option::of(vec(any::<u8>(), 0..20)));
    let rare = (vec(any::<u8>(), 0..9), vec(attribute, 0..3), ".{0,9}");
    let content = (option::of(vec(id(), 0..3)), option::of(id()));
    let parts = (
        name(),
        kind,
        [time(), time(), time()],
        owners,
        numbers,
        rare,
        content,
    );
    parts.prop_map(|(name, kind, times, owners, numbers, rare, content)| {
        let mut node = Node::new(name, kind);
        [node.mtime, node.atime, node.ctime] = times;
        let ([mode, uid, gid], user, group) = owners;
        (node.mode, node.uid, node.gid) = (GoMode(mode), uid, gid);
        (node.user, node.group) = (user.map(Into::into), group.map(Into::into));
        let device;
        [node.inode, node.device_id, node.size, node.links, device] = numbers;
        node.edit_rare(|to| {
            to.device = device;
            to.link_target = rare.0.into();
            let attributes = rare.1.into_iter().map(|(name, value)| ExtendedAttribute {
                name: name.into_bytes().into(),
                value: value.map(Into::into),
            });
            to.extended_attributes = attributes.collect();
            to.error = rare.2.into();
        });
        (node.content, node.subtree) = (content.0.map(Into::into), content.1);
        node
    })
}

proptest! {
    #[test]
    fn every_tree_survives_encoding(nodes in vec(node(), 0..5)) {
        let mut nodes = nodes;
        nodes.sort_by(|left, right| left.name.cmp(&right.name));
        nodes.dedup_by(|left, right| left.name == right.name);
        let mut encoder = TreeEncoder::new();
        for node in &nodes {
            encoder.push(node).unwrap();
        }
        let blob = encoder.finish();
        let tree = Tree::decode(&blob).unwrap();
        prop_assert_eq!(&tree.nodes, &nodes);
        prop_assert_eq!(tree.encode().unwrap(), blob);
    }

    #[test]
    fn arbitrary_bytes_are_harmless(bytes: Vec<u8>) {
        let _ = Tree::decode(&bytes);
    }

    #[test]
    fn a_damaged_tree_is_harmless(nodes in node(), position: prop::sample::Index, byte: u8) {
        let mut encoder = TreeEncoder::new();
        encoder.push(&nodes).unwrap();
        let mut blob = encoder.finish();
        let position = position.index(blob.len());
        blob[position] = byte;
        if let Ok(tree) = Tree::decode(&blob) && let Ok(encoded) = tree.encode() {
            prop_assert_eq!(Tree::decode(&encoded).unwrap(), tree);
        }
        let _ = Tree::decode(&blob[..position]);
    }
}
