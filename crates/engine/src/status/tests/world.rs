//! A repository with three copies, made by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_model::scorecard::{CopyFacts, LineKind, Standing, Wholeness};
use strongroom_model::{Config, FileName, FileType, Id};
use strongroom_repo::blob::{BlobEncoder, BlobId};
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::key::ScryptCost;
use strongroom_repo::node::NodeKind;
use strongroom_repo::pack::PackBuilder;
use strongroom_repo::repository::Maker;
use strongroom_repo::{Node, Repository, Snapshot, Tree};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::faulty::FaultyStore;
use strongroom_testkit::recording::RecordingStore;

use crate::session::{self, CopyStore, Environment, Looking, Session};
use crate::state::StateFolder;
use crate::status::{Status, VaultFacts, gather};

pub(super) const NAMES: [&str; 3] = ["here", "disk2", "disk3"];
pub(super) const PASSWORD: &[u8] = b"correct horse";

pub(super) type TestStore = RecordingStore<FaultyStore<LocalStore>>;

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) config: Config,
    pub(super) repository: Repository,
    pub(super) stores: Vec<Arc<TestStore>>,
    pub(super) state: StateFolder,
    pub(super) environment: Environment,
    pub(super) vaults: BTreeMap<String, VaultFacts>,
}

/// What a snapshot by hand consists of.
pub(super) struct Made {
    pub(super) id: Id,
    pub(super) snapshot: Snapshot,
    pub(super) tree_pack: FileName,
    pub(super) data_pack: FileName,
    pub(super) index: FileName,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let source = root.join("source");
        fs::create_dir(&source).unwrap();
        let mut text = format!(
            "[plan]\ncopies = 3\n[[source]]\nname = \"repos\"\npath = \"{}\"\n",
            source.display()
        );
        let mut stores = Vec::new();
        for (name, medium) in NAMES.iter().zip(["disk", "disk", "removable"]) {
            let path = root.join(name);
            text.push_str(&format!(
                "[[copy]]\nname = \"{name}\"\nstore = \"{}\"\nmedium = \"{medium}\"\n\
                 site = \"fra-1\"\ndomain = \"production\"\n",
                path.display()
            ));
            let store = FaultyStore::new(LocalStore::new(path));
            stores.push(Arc::new(RecordingStore::new(store)));
        }
        let config = Config::parse(&text, &|_| None).unwrap();
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let maker = Maker {
            now,
            username: "u",
            hostname: "h",
        };
        let new = Repository::generate(PASSWORD, ScryptCost::LEAST, &maker).unwrap();
        for store in &stores {
            new.save(store).unwrap();
        }
        Self {
            config,
            repository: new.repository,
            stores,
            state: StateFolder::new(root.join("state")),
            environment: Environment {
                clock: Arc::new(move || now),
                hostname: "h".to_owned(),
                username: "u".to_owned(),
                cancel: Default::default(),
            },
            vaults: BTreeMap::new(),
            folder,
        }
    }

    fn save(&self, kind: FileType, bytes: &[u8]) -> FileName {
        let name = FileName::new(kind, Id::of(bytes));
        for store in &self.stores {
            store.save(name, bytes).unwrap();
        }
        name
    }

    fn pack(&self, blobs: &[(BlobId, &[u8])]) -> (FileName, IndexedPack) {
        let mut encoder = BlobEncoder::new(2).unwrap();
        let mut builder = PackBuilder::with_capacity(0);
        for (blob, plain) in blobs {
            let (sealed, length) = encoder.encode(self.repository.key(), plain).unwrap();
            builder.add(*blob, sealed, length).unwrap();
        }
        let pack = builder.finish(self.repository.key()).unwrap();
        let name = self.save(FileType::Data, &pack.bytes);
        let (id, blobs) = (pack.id, pack.blobs);
        (name, IndexedPack { id, blobs })
    }

    fn index(&self, packs: Vec<IndexedPack>) -> FileName {
        let file = IndexFile { packs };
        let (_, bytes) = file.seal(self.repository.key(), 2).unwrap();
        self.save(FileType::Index, &bytes)
    }

    /// Stores a snapshot on all copies: `folder/file`, with one content, made so long ago.
    pub(super) fn backup(&self, content: &str, hours_ago: i64) -> Made {
        self.backup_of("repos", "h", content, hours_ago)
    }

    pub(super) fn backup_of(&self, source: &str, host: &str, content: &str, hours: i64) -> Made {
        let (root, [tree_pack, data_pack, index]) = self.stored(content);
        let time = (self.environment.clock)() - SignedDuration::from_hours(hours);
        let json = format!(
            r#"{{"time":"{time}","tree":"{root}","paths":["/x"],"hostname":"{host}","tags":["source={source}"]}}"#
        );
        let snapshot = Snapshot::parse(json.as_bytes()).unwrap();
        let (id, bytes) = snapshot.seal(self.repository.key(), 2).unwrap();
        self.save(FileType::Snapshots, &bytes);
        Made {
            id,
            snapshot,
            tree_pack,
            data_pack,
            index,
        }
    }

    /// Stores a content with its trees on all copies: the root, and the packs of trees and of data
    /// with their index.
    fn stored(&self, content: &str) -> (Id, [FileName; 3]) {
        let (root, trees, data) = blobs(content);
        let trees: Vec<_> = trees
            .iter()
            .map(|(id, text)| (*id, text.as_slice()))
            .collect();
        let (tree_pack, trees) = self.pack(&trees);
        let (data_pack, data) = self.pack(&[(data, content.as_bytes())]);
        let index = self.index(vec![trees, data]);
        (root, [tree_pack, data_pack, index])
    }

    /// Puts the same blobs into other packs, with another index, and removes the old ones.
    pub(super) fn repack(&self, copies: &[usize], content: &str, made: &Made) {
        let others = |world: &Self| -> Vec<_> {
            let all = world.stores.iter().enumerate();
            let others = all.filter(|(number, _)| !copies.contains(number));
            others.map(|(_, store)| Arc::clone(store)).collect()
        };
        let (_, names) = self.stored(content);
        for name in names {
            for store in others(self) {
                store.remove(name).unwrap();
            }
        }
        for number in copies {
            for name in [made.tree_pack, made.data_pack, made.index] {
                self.stores[*number].remove(name).unwrap();
            }
        }
    }

    pub(super) fn copies(&self) -> Vec<CopyStore> {
        let stores = NAMES.iter().zip(&self.stores);
        let copies = stores.map(|(name, store)| CopyStore {
            name: (*name).to_owned(),
            store: Arc::clone(store) as Arc<dyn Store>,
            is_local: true,
        });
        copies.collect()
    }

    pub(super) fn session(&self) -> Session {
        session::open(&self.copies(), PASSWORD, &Looking::default()).unwrap()
    }

    pub(super) fn status(&self) -> Status {
        let session = self.session();
        self.status_of(Some(&session))
    }

    pub(super) fn status_of(&self, session: Option<&Session>) -> Status {
        for store in &self.stores {
            store.clear();
        }
        let copies = self.copies();
        let status = gather(
            &self.config,
            &copies,
            session,
            &self.state,
            &self.environment,
            &self.vaults,
        );
        for store in &self.stores {
            assert_eq!(store.written(), [], "a status writes nothing to a copy");
        }
        status.unwrap()
    }

    pub(super) fn path_of(&self, copy: usize, name: FileName) -> PathBuf {
        let id = name.id().unwrap().to_string();
        let folder = self
            .folder
            .path()
            .join(NAMES[copy])
            .join(name.kind().folder());
        match name.kind() {
            FileType::Data => folder.join(&id[..2]).join(id),
            _ => folder.join(id),
        }
    }

    /// How many bytes of trees and data were read from all copies since the last status began.
    pub(super) fn pack_reads(&self) -> usize {
        let records = self.stores.iter().flat_map(|store| store.records());
        let packs = records.filter(|record| {
            record
                .name
                .is_some_and(|name| name.kind() == FileType::Data)
        });
        packs.count()
    }
}

/// The root tree, all trees, and the one blob of data.
fn blobs(content: &str) -> (Id, Vec<(BlobId, Vec<u8>)>, BlobId) {
    let data = BlobId::data(Id::of(content.as_bytes()));
    let mut file = Node::new(*b"file", NodeKind::File);
    file.content = Some([data.id].into());
    let mut inner = Tree::default();
    inner.nodes.push(file);
    let inner = inner.encode().unwrap();
    let mut folder = Node::new(*b"folder", NodeKind::Dir);
    folder.subtree = Some(Id::of(&inner));
    let mut again = folder.clone();
    again.name = (*b"same").into();
    let mut root = Tree::default();
    root.nodes.extend([folder, again]);
    let root = root.encode().unwrap();
    let id = Id::of(&root);
    let trees = vec![
        (BlobId::tree(id), root),
        (BlobId::tree(Id::of(&inner)), inner),
    ];
    (id, trees, data)
}

pub(super) fn facts<'s>(status: &'s Status, copy: &str) -> &'s CopyFacts {
    status.facts.copies.get(copy).unwrap()
}

/// What a copy holds, the newest first.
pub(super) fn held(status: &Status, copy: &str) -> Vec<(Id, Wholeness)> {
    let held = facts(status, copy).snapshots.iter();
    held.map(|held| (held.id, held.wholeness.clone())).collect()
}

pub(super) fn line(status: &Status, kind: LineKind) -> (Standing, String) {
    let line = status.scorecard.line(kind).unwrap();
    (line.finding.met, line.finding.reason.clone())
}
