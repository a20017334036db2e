//! Snapshots of a small repository, made by hand, on three copies of which some are damaged.

use std::sync::Arc;

use strongroom_repo::blob::{BlobEncoder, BlobId};
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::key::ScryptCost;
use strongroom_repo::node::NodeKind;
use strongroom_repo::pack::PackBuilder;
use strongroom_repo::{Node, Repository, Tree};
use strongroom_store::Store;
use strongroom_testkit::MemoryStore;

use super::*;
use crate::init::init;
use crate::init::tests::{copies, environment};
use crate::read_set::{Damage, ReadSet};
use crate::session::{Looking, open};

struct World {
    stores: Vec<Arc<MemoryStore>>,
    copies: Vec<CopyStore>,
    cancel: Cancel,
    pack: FileName,
}

impl World {
    /// `/srv/big` of nine blobs, `/srv/empty`, `/srv/sub/small`, in two snapshots.
    fn new() -> Self {
        let stores = ["a", "b", "c"]
            .map(|name| Arc::new(MemoryStore::new(name)))
            .to_vec();
        let copies = copies(&stores);
        init(&copies, b"secret", ScryptCost::LEAST, &environment()).unwrap();
        let repository = open(&copies, b"secret", &Looking::default())
            .unwrap()
            .repository;
        let mut world = Self {
            stores,
            copies,
            cancel: Cancel::default(),
            pack: FileName::CONFIG,
        };
        let mut files = Files::new(&repository);
        let big: Vec<_> = (0..9)
            .map(|n| files.data(&vec![n; 1000 + n as usize]))
            .collect();
        let small = [files.data(b"small")];
        let sub = files.tree(&[file("small", &small)]);
        let srv = files.tree(&[file("big", &big), file("empty", &[]), folder("sub", sub)]);
        let root = files.tree(&[folder("srv", srv)]);
        let pack = files.builder.finish(repository.key()).unwrap();
        world.pack = FileName::new(FileType::Data, pack.id);
        let blobs = pack.blobs;
        let index = IndexFile {
            packs: vec![IndexedPack { id: pack.id, blobs }],
        };
        let (index_id, index_bytes) = index.seal(repository.key(), 2).unwrap();
        world.put(world.pack, &pack.bytes);
        world.put(FileName::new(FileType::Index, index_id), &index_bytes);
        for (time, source) in [
            ("2026-11-20T00:00:00Z", "one"),
            ("2026-11-21T00:00:00Z", "two"),
        ] {
            let (id, bytes) = snapshot(root, time, source)
                .seal(repository.key(), 2)
                .unwrap();
            world.put(FileName::new(FileType::Snapshots, id), &bytes);
        }
        world
    }

    fn put(&self, name: FileName, bytes: &[u8]) {
        for store in &self.stores {
            store.put(name, bytes);
        }
    }

    fn session(&self) -> Session {
        open(&self.copies, b"secret", &Looking::default()).unwrap()
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::load(&self.session(), &self.cancel).unwrap()
    }

    fn listed(&self, path: &str, how_far: Walk) -> Result<Vec<String>> {
        let session = self.session();
        let snapshots = self.snapshots();
        let set = ReadSet::load(&session, snapshots.latest(None).unwrap().id, &self.cancel)?;
        let mut paths = Vec::new();
        let problems = walk(
            &set,
            snapshots.resolve("latest")?,
            path.as_bytes(),
            how_far,
            &mut |path, _| {
                paths.push(String::from_utf8(path.to_vec()).unwrap());
                Ok(())
            },
        )?;
        paths.extend(
            problems
                .into_iter()
                .map(|problem| format!("problem: {problem}")),
        );
        Ok(paths)
    }

    fn dumped(&self, path: &str) -> Result<(Vec<u8>, Vec<Damage>)> {
        let session = self.session();
        let snapshots = self.snapshots();
        let set = ReadSet::load(&session, snapshots.latest(None).unwrap().id, &self.cancel)?;
        let node = find(&set, snapshots.resolve("latest")?, path.as_bytes())?;
        let mut out = Vec::new();
        dump(&set, &node, &mut out)?;
        Ok((out, set.damage()))
    }
}

struct Files<'a> {
    repository: &'a Repository,
    encoder: BlobEncoder,
    builder: PackBuilder,
}

impl<'a> Files<'a> {
    fn new(repository: &'a Repository) -> Self {
        Self {
            repository,
            encoder: BlobEncoder::new(2).unwrap(),
            builder: PackBuilder::with_capacity(0),
        }
    }

    fn add(&mut self, blob: BlobId, plain: &[u8]) -> Id {
        let (sealed, length) = self.encoder.encode(self.repository.key(), plain).unwrap();
        self.builder.add(blob, sealed, length).unwrap();
        blob.id
    }

    fn data(&mut self, plain: &[u8]) -> Id {
        self.add(BlobId::data(Id::of(plain)), plain)
    }

    fn tree(&mut self, nodes: &[Node]) -> Id {
        let mut tree = Tree::default();
        tree.nodes = nodes.to_vec();
        let text = tree.encode().unwrap();
        self.add(BlobId::tree(Id::of(&text)), &text)
    }
}

fn file(name: &str, content: &[Id]) -> Node {
    let mut node = Node::new(name.as_bytes(), NodeKind::File);
    node.content = Some(content.into());
    node
}

fn folder(name: &str, tree: Id) -> Node {
    let mut node = Node::new(name.as_bytes(), NodeKind::Dir);
    node.subtree = Some(tree);
    node
}

fn snapshot(tree: Id, time: &str, source: &str) -> Snapshot {
    let json = serde_json::json!({
        "time": time, "tree": tree, "paths": ["/srv"], "hostname": "host",
        "tags": [format!("source={source}"), "nightly"],
    });
    Snapshot::parse(json.to_string().as_bytes()).unwrap()
}

#[test]
fn all_snapshots_of_all_copies_are_listed_by_time() {
    let world = World::new();
    let first = world.snapshots().all[0].id;
    world.stores[0]
        .remove(FileName::new(FileType::Snapshots, first))
        .unwrap();
    let snapshots = world.snapshots();
    assert_eq!(snapshots.all.len(), 2);
    assert_eq!(snapshots.all[0].copies, ["b", "c"]);
    assert_eq!(snapshots.all[1].copies, ["a", "b", "c"]);
    assert!(snapshots.problems.is_empty());
}

#[test]
fn a_damaged_snapshot_is_read_from_another_copy_and_junk_is_named() {
    let world = World::new();
    let id = world.snapshots().all[0].id;
    let name = FileName::new(FileType::Snapshots, id);
    world.stores[0].damage(name, |bytes| bytes[40] ^= 1);
    world.stores[1].remove(name).unwrap();
    world.put(
        FileName::new(FileType::Snapshots, Id::of(b"junk!")),
        b"junk!",
    );
    let snapshots = world.snapshots();
    assert_eq!(snapshots.all.len(), 2);
    assert_eq!(snapshots.problems.len(), 1);
    world.stores[2].remove(name).unwrap();
    let snapshots = world.snapshots();
    assert_eq!((snapshots.all.len(), snapshots.problems.len()), (1, 2));
}

#[test]
fn a_snapshot_is_named_by_latest_by_source_and_by_its_first_digits() {
    let world = World::new();
    let snapshots = world.snapshots();
    let [one, two] = [snapshots.all[0].id, snapshots.all[1].id];
    let resolve = |wanted: &str| snapshots.resolve(wanted).map(|found| found.id);
    assert_eq!(resolve("latest").unwrap(), two);
    assert_eq!(resolve("latest:one").unwrap(), one);
    assert_eq!(resolve(&one.short()).unwrap(), one);
    assert_eq!(resolve(&two.to_string().to_uppercase()).unwrap(), two);
    for wanted in ["", "latest:three", "zz", "7", &"0".repeat(65)] {
        assert!(
            matches!(resolve(wanted), Err(Error::NoSnapshot { .. })),
            "{wanted}"
        );
    }
    let mut twice = snapshots.clone();
    twice.all.push(twice.all[0].clone());
    let error = twice.resolve(&one.short()).unwrap_err();
    assert!(matches!(error, Error::AmbiguousSnapshot { .. }));
}

#[test]
fn filters_are_and_of_or() {
    let world = World::new();
    let snapshots = world.snapshots();
    let count = |filter: Filter| snapshots.matching(&filter).count();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(count(Filter::default()), 2);
    let sources = texts(&["one", "three"]);
    assert_eq!(
        count(Filter {
            sources,
            ..Filter::default()
        }),
        1
    );
    let (hosts, tags, paths) = (texts(&["host"]), texts(&["nightly"]), texts(&["/srv"]));
    let sources = Vec::new();
    assert_eq!(
        count(Filter {
            hosts,
            tags,
            paths,
            sources
        }),
        2
    );
    assert_eq!(
        count(Filter {
            hosts: texts(&["other"]),
            ..Filter::default()
        }),
        0
    );
}

#[test]
fn paths_are_listed_below_a_folder_or_alone() {
    let world = World::new();
    let everything = [
        "/srv",
        "/srv/big",
        "/srv/empty",
        "/srv/sub",
        "/srv/sub/small",
    ];
    assert_eq!(world.listed("", Walk::Everything).unwrap(), everything);
    assert_eq!(
        world.listed("/srv/", Walk::Everything).unwrap(),
        everything[1..]
    );
    assert_eq!(world.listed("srv", Walk::Folder).unwrap(), everything[1..4]);
    assert_eq!(
        world.listed("/srv/big", Walk::Folder).unwrap(),
        ["/srv/big"]
    );
    for path in ["/nothing", "/srv/big/below"] {
        let error = world.listed(path, Walk::Folder).unwrap_err();
        assert!(matches!(error, Error::NoPath { .. }), "{error}");
    }
}

#[test]
fn a_file_is_dumped_whole_and_in_order() {
    let world = World::new();
    let expected: Vec<u8> = (0..9).flat_map(|n| vec![n; 1000 + n as usize]).collect();
    let (big, faults) = world.dumped("/srv/big").unwrap();
    assert_eq!((big, faults), (expected, Vec::new()));
    assert_eq!(world.dumped("/srv/empty").unwrap().0, b"");
    assert_eq!(world.dumped("/srv/sub/small").unwrap().0, b"small");
    let error = world.dumped("/srv").unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
}

#[test]
fn what_one_copy_cannot_give_comes_from_another_and_is_told() {
    let world = World::new();
    // Every byte but the header and the first blob, which are needed by nothing here.
    for store in &world.stores[..2] {
        store.damage(world.pack, |bytes| bytes[..400].fill(0));
    }
    let (big, faults) = world.dumped("/srv/big").unwrap();
    assert_eq!(big.len(), 9036);
    let copies: Vec<_> = faults.iter().map(|fault| fault.copy.as_str()).collect();
    assert!(copies.contains(&"a") && copies.contains(&"b"), "{copies:?}");
    assert_eq!(Some(faults[0].pack), world.pack.id());
    world.stores[2].damage(world.pack, |bytes| bytes[..400].fill(0));
    assert!(world.dumped("/srv/big").is_err());
}

#[test]
fn an_interrupted_read_says_so() {
    let world = World::new();
    let session = world.session();
    let snapshots = world.snapshots();
    let set = ReadSet::load(&session, snapshots.all[0].id, &world.cancel).unwrap();
    world.cancel.cancel();
    let outcome = find(&set, snapshots.resolve("latest").unwrap(), b"/srv/big");
    assert!(matches!(outcome, Err(Error::Interrupted)));
}
