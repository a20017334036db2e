//! A repository made by hand, so that its damage is known to the byte, on stores in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use strongroom_engine::progress::Progress;
use strongroom_engine::sync::{SyncCopy, SyncOptions, SyncReport, sync};
use strongroom_engine::verify::{Depth, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{Cancel, CopyStore, Listing};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobEncoder, BlobId};
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::key::{KeyFile, ScryptCost};
use strongroom_repo::node::NodeKind;
use strongroom_repo::pack::{FinishedPack, PackBuilder};
use strongroom_repo::repository::Maker;
use strongroom_repo::tree::TreeEncoder;
use strongroom_repo::{Key, Node, Repository, Snapshot};
use strongroom_store::Store;
use strongroom_testkit::{FaultyStore, MemoryStore, RecordingStore};

/// A copy in memory: what is recorded is what the engine asks for, faults included.
pub(crate) type Place = Arc<RecordingStore<FaultyStore<MemoryStore>>>;

/// A repository and its files, as they should be.
pub(crate) struct HandMade {
    pub(crate) repository: Repository,
    pub(crate) files: BTreeMap<FileName, Vec<u8>>,
}

/// The files of one snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) data: FileName,
    pub(crate) trees: FileName,
    pub(crate) index: FileName,
    pub(crate) snapshot: FileName,
}

impl HandMade {
    /// A repository without snapshots.
    pub(crate) fn new() -> Self {
        let new = Repository::generate(b"password", ScryptCost::LEAST, &maker()).unwrap();
        let mut files = BTreeMap::new();
        files.insert(FileName::CONFIG, new.repository.config_bytes().to_vec());
        files.insert(name_of(FileType::Keys, &new.key_file), new.key_file);
        Self {
            repository: new.repository,
            files,
        }
    }

    /// A repository with some snapshots, named by number.
    pub(crate) fn with_snapshots(numbers: Range<u32>) -> (Self, Vec<Made>) {
        let mut hand_made = Self::new();
        let made = numbers.map(|number| hand_made.add_snapshot(&number.to_string()));
        let made = made.collect();
        (hand_made, made)
    }

    /// Adds a snapshot of one folder with one file, which needs two packs and an index file.
    pub(crate) fn add_snapshot(&mut self, text: &str) -> Made {
        let (data, trees, tree) = self.packs_of(text);
        let index = IndexFile {
            packs: vec![indexed(&data), indexed(&trees)],
        };
        let index = self.add_index(&index);
        let snapshot = self.add_snapshot_of(tree);
        Made {
            data: self.add(FileType::Data, data.bytes),
            trees: self.add(FileType::Data, trees.bytes),
            index,
            snapshot,
        }
    }

    /// Makes a pack of data and a pack of trees; the last is the root's.
    pub(crate) fn packs_of(&self, text: &str) -> (FinishedPack, FinishedPack, Id) {
        let content = format!("the content of {text}, ").repeat(300);
        let chunks: Vec<_> = content
            .as_bytes()
            .chunks(2000)
            .map(<[u8]>::to_vec)
            .collect();
        let ids = chunks.iter().map(|chunk| Id::of(chunk)).collect();
        let mut file = Node::new(text.as_bytes(), NodeKind::File);
        file.size = content.len() as u64;
        file.content = Some(ids);
        let folder = tree_of(file);
        let mut node = Node::new(&b"folder"[..], NodeKind::Dir);
        node.subtree = Some(Id::of(&folder));
        let root = tree_of(node);
        let id = Id::of(&root);
        (
            self.pack(BlobId::data, &chunks),
            self.pack(BlobId::tree, &[folder, root]),
            id,
        )
    }

    pub(crate) fn pack(&self, kind: fn(Id) -> BlobId, blobs: &[Vec<u8>]) -> FinishedPack {
        let mut builder = PackBuilder::with_capacity(1 << 16);
        let mut encoder = BlobEncoder::new(2).unwrap();
        let key = self.repository.key();
        for blob in blobs {
            let (sealed, length) = encoder.encode(key, blob).unwrap();
            builder.add(kind(Id::of(blob)), sealed, length).unwrap();
        }
        builder.finish(key).unwrap()
    }

    pub(crate) fn add_index(&mut self, index: &IndexFile) -> FileName {
        let (_, bytes) = index.seal(self.repository.key(), 2).unwrap();
        self.add(FileType::Index, bytes)
    }

    pub(crate) fn add_snapshot_of(&mut self, tree: Id) -> FileName {
        let json = format!(r#"{{"time":"2026-01-01T00:00:00Z","tree":"{tree}","paths":["/x"]}}"#);
        let snapshot = Snapshot::parse(json.as_bytes()).unwrap();
        let (_, bytes) = snapshot.seal(self.repository.key(), 2).unwrap();
        self.add(FileType::Snapshots, bytes)
    }

    pub(crate) fn add(&mut self, kind: FileType, bytes: Vec<u8>) -> FileName {
        let name = name_of(kind, &bytes);
        self.files.insert(name, bytes);
        name
    }

    /// Adds another key file for the same master key.
    pub(crate) fn add_key(&mut self, password: &[u8]) -> FileName {
        let key = key_file(self.repository.key(), password);
        self.add(FileType::Keys, key)
    }

    /// Places that hold all files so far.
    pub(crate) fn places(&self, count: usize) -> Vec<Place> {
        (0..count).map(|number| self.place(NAMES[number])).collect()
    }

    pub(crate) fn place(&self, name: &str) -> Place {
        let memory = MemoryStore::new(name);
        for (name, bytes) in &self.files {
            memory.put(*name, bytes);
        }
        Arc::new(RecordingStore::new(FaultyStore::new(memory)))
    }

    /// What a sync of these places is given, as a session would list them.
    pub(crate) fn listed(&self, places: &[Place]) -> Vec<SyncCopy> {
        let copies = copies(places);
        let listed = copies.into_iter().map(|copy| {
            let config = copy.store.read(FileName::CONFIG).ok();
            let listing = Listing::read(copy.store.as_ref()).unwrap();
            SyncCopy {
                copy,
                listing,
                config_is_right: config.as_deref() == Some(self.repository.config_bytes()),
                doubts: BTreeSet::new(),
            }
        });
        let listed = listed.collect();
        for place in places {
            place.clear();
        }
        listed
    }

    pub(crate) fn sync(&self, places: &[Place], options: &SyncOptions) -> SyncReport {
        self.sync_listed(self.listed(places), options)
    }

    fn sync_listed(&self, copies: Vec<SyncCopy>, options: &SyncOptions) -> SyncReport {
        let (progress, cancel) = (Progress::default(), Cancel::default());
        sync(&self.repository, copies, options, &progress, &cancel)
    }

    pub(crate) fn verify(&self, places: &[Place], depth: Depth<'_>) -> VerifyReport {
        verify_with(places, depth, &VerifyOptions::default())
    }

    /// Syncs what a verify finds.
    pub(crate) fn heal(&self, places: &[Place]) -> SyncReport {
        let mut doubts = self.verify(places, Depth::Stored).doubts();
        let mut copies = self.listed(places);
        for copy in &mut copies {
            copy.doubts = doubts.remove(&copy.copy.name).unwrap_or_default();
        }
        self.sync_listed(copies, &SyncOptions::default())
    }

    /// Asserts that a place holds exactly these files, byte for byte.
    pub(crate) fn assert_whole(&self, place: &Place) {
        let found: BTreeMap<_, _> = memory(place)
            .names()
            .into_iter()
            .map(|name| (name, memory(place).get(name).unwrap().to_vec()))
            .collect();
        assert!(found == self.files, "{:?}", found.keys());
    }
}

pub(crate) const NAMES: [&str; 3] = ["one", "two", "three"];

pub(crate) fn verify_with(
    places: &[Place],
    depth: Depth<'_>,
    options: &VerifyOptions,
) -> VerifyReport {
    let (progress, cancel) = (Progress::default(), Cancel::default());
    verify(&copies(places), depth, options, &progress, &cancel).unwrap()
}

pub(crate) fn copies(places: &[Place]) -> Vec<CopyStore> {
    let copy = |(place, name): (&Place, &str)| CopyStore {
        name: name.to_owned(),
        store: Arc::clone(place) as Arc<dyn Store>,
        is_local: true,
    };
    places.iter().zip(NAMES).map(copy).collect()
}

pub(crate) fn faults(place: &Place) -> &FaultyStore<MemoryStore> {
    place.inner()
}

pub(crate) fn memory(place: &Place) -> &MemoryStore {
    place.inner().inner()
}

pub(crate) fn has(place: &Place, name: FileName) -> bool {
    memory(place).get(name).is_some()
}

pub(crate) fn lose(place: &Place, name: FileName) {
    memory(place).remove(name).unwrap();
}

pub(crate) fn rot(place: &Place, name: FileName) {
    memory(place).damage(name, |bytes| bytes[7] ^= 1);
}

pub(crate) fn name_of(kind: FileType, bytes: &[u8]) -> FileName {
    FileName::new(kind, Id::of(bytes))
}

pub(crate) fn indexed(pack: &FinishedPack) -> IndexedPack {
    IndexedPack {
        id: pack.id,
        blobs: pack.blobs.clone(),
    }
}

pub(crate) fn key_file(key: &Key, password: &[u8]) -> Vec<u8> {
    let maker = maker();
    let file = KeyFile::seal(
        key,
        password,
        ScryptCost::LEAST,
        maker.now,
        "somebody",
        "somewhere",
    );
    file.unwrap().to_bytes().unwrap()
}

/// Files that have their right names and are junk: five bytes, and what only looks right.
pub(crate) fn junk() -> Vec<(FileName, Vec<u8>)> {
    let other = HandMade::with_snapshots(0..1).0;
    let mut junk: Vec<_> = FileType::SYNCED
        .into_iter()
        .map(|kind| (name_of(kind, b"5byte"), b"5byte".to_vec()))
        .collect();
    let foreign = other.files.into_iter();
    junk.extend(foreign.filter(|(name, _)| *name != FileName::CONFIG));
    junk
}

pub(crate) fn tree_of(node: Node) -> Vec<u8> {
    let mut tree = TreeEncoder::new();
    tree.push(&node).unwrap();
    tree.finish()
}

fn maker() -> Maker<'static> {
    Maker {
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
        username: "tester",
        hostname: "testhost",
    }
}
