//! `crumbs FOLDER PASSWORD_FILE PACKS`: fills a new repository in a folder with packs of one small
//! blob each, and one snapshot that needs them all: for benchmarks of what is limited by its
//! requests. No configuration makes packs that small.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::BlobEncoder;
use strongroom_repo::index::{IndexFile, IndexedPack, MAX_BLOBS_PER_INDEX_FILE};
use strongroom_repo::node::{GoMode, NodeKind};
use strongroom_repo::pack::PackBuilder;
use strongroom_repo::snapshot::SOURCE_TAG_PREFIX;
use strongroom_repo::tree::TreeEncoder;
use strongroom_repo::{BlobId, Node, Repository, Snapshot};
use strongroom_store::{LocalStore, Store};

const CRUMB_BYTES: usize = 16 << 10;

/// The source that the snapshot is of.
const SOURCE: &str = "data";

/// The folder that was saved, below the root.
const FOLDER: &str = "crumbs";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: crumbs FOLDER PASSWORD_FILE PACKS")
    };
    let store = LocalStore::new(next()?);
    let password = fs::read_to_string(next()?)?;
    let packs: usize = next()?.parse()?;
    // One index file names them all, and the pack of the two trees.
    if packs + 2 > MAX_BLOBS_PER_INDEX_FILE {
        return Err("These are more packs than an index file names".into());
    }
    let repository = Repository::open(&store, password.trim().as_bytes(), &mut BTreeSet::new())?;
    let mut crumbs = Crumbs {
        encoder: BlobEncoder::new(repository.config().version)?,
        index: IndexFile::default(),
        store,
        repository,
    };
    let mut files = TreeEncoder::new();
    let mut generator = StdRng::seed_from_u64(1);
    let mut crumb = vec![0; CRUMB_BYTES];
    for number in 0..packs {
        generator.fill_bytes(&mut crumb);
        let id = Id::of(&crumb);
        crumbs.save_pack(&[(BlobId::data(id), crumb.as_slice())])?;
        let mut file = node(&format!("file-{number:05}"), NodeKind::File, 0o100_644);
        file.size = CRUMB_BYTES as u64;
        file.links = 1;
        file.content = Some(Box::new([id]));
        files.push(&file)?;
    }
    let files = files.finish();
    let mut folder = node(FOLDER, NodeKind::Dir, 0o040_755);
    folder.subtree = Some(Id::of(&files));
    let mut root = TreeEncoder::new();
    root.push(&folder)?;
    let root = root.finish();
    let trees = [&files, &root].map(|tree| (BlobId::tree(Id::of(tree)), tree.as_slice()));
    crumbs.save_pack(&trees)?;
    crumbs.finish(Id::of(&root))
}

/// A repository that gets its packs.
struct Crumbs {
    store: LocalStore,
    repository: Repository,
    encoder: BlobEncoder,
    index: IndexFile,
}

impl Crumbs {
    fn save_pack(&mut self, blobs: &[(BlobId, &[u8])]) -> Result<(), Box<dyn Error>> {
        let key = self.repository.key();
        let mut pack = PackBuilder::with_capacity(2 * CRUMB_BYTES);
        for (blob, plain) in blobs {
            let (sealed, uncompressed_length) = self.encoder.encode(key, plain)?;
            pack.add(*blob, sealed, uncompressed_length)?;
        }
        let pack = pack.finish(key)?;
        let name = FileName::new(FileType::Data, pack.id);
        self.store.save(name, &pack.bytes)?;
        self.index.packs.push(IndexedPack {
            id: pack.id,
            blobs: pack.blobs,
        });
        Ok(())
    }

    /// The index file and the snapshot, as each needs what was saved before it.
    fn finish(self, tree: Id) -> Result<(), Box<dyn Error>> {
        let (key, version) = (self.repository.key(), self.repository.config().version);
        let (index, bytes) = self.index.seal(key, version)?;
        self.store
            .save(FileName::new(FileType::Index, index), &bytes)?;
        let (snapshot, bytes) = snapshot(tree).seal(key, version)?;
        self.store
            .save(FileName::new(FileType::Snapshots, snapshot), &bytes)?;
        Ok(())
    }
}

fn node(name: &str, kind: NodeKind, mode: u32) -> Node {
    let mut node = Node::new(name.as_bytes(), kind);
    node.mode = GoMode::from_unix(mode);
    node
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own: here time comes in"
)]
fn snapshot(tree: Id) -> Snapshot {
    Snapshot {
        time: Timestamp::now(),
        parent: None,
        tree,
        paths: vec![format!("/{FOLDER}")],
        hostname: "bench".to_owned(),
        username: "bench".to_owned(),
        uid: 0,
        gid: 0,
        excludes: Vec::new(),
        tags: vec![format!("{SOURCE_TAG_PREFIX}{SOURCE}")],
        original: None,
        program_version: String::new(),
        summary: None,
    }
}
