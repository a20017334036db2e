//! What a snapshot needs, found by walking its trees.
//!
//! The indexes of all copies are taken together and are not compared with any listing: here the
//! question is which pack a blob *should* lie in, so that a copy that lost it is found out. Each
//! tree is read once, however many folders share it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::BlobId;
use strongroom_repo::index::{IndexFile, IndexedPack, PackNumber};
use strongroom_repo::{Index, Repository, pack};

use crate::backup::report::SnapshotNeeds;
use crate::blobs::BlobReader;
use crate::parallel::for_each;
use crate::session::{Cancel, Session, chain};
use crate::status::look::look_at_session;
use crate::status::readers::Readers;
use crate::{Error, Result};

/// Finds out, from all copies that can be used, what snapshots with these root trees need together,
/// as far as it can be found: with it comes why there may be more, where that is so. Each tree is
/// read once, however many snapshots share it.
///
/// With it come the other packs that claim to have a blob of it: whoever has the key writes an index
/// file that names such a one before the right one, and nothing here reads blobs.
///
/// `None` where all was not read by the time `until`.
///
/// # Errors
/// Where the user interrupts.
pub fn needs_of_snapshots(
    session: &Session,
    trees: &[Id],
    until: Option<Instant>,
    cancel: &Cancel,
) -> Result<Option<Claimed>> {
    let looks = look_at_session(session);
    let readers = Readers::of(&looks);
    let others = Some(HashMap::new());
    let index = NeedsIndex::load_with(others, &session.repository, &readers, until, cancel)?;
    let walk = index.walk_all(&session.repository, &readers, trees, until, cancel)?;
    let claimed = Claimed {
        needs: walk.needs,
        others: walk.others,
        gap: walk.gap,
    };
    Ok((!is_over(until)).then_some(claimed))
}

/// What snapshots need together.
#[derive(Debug)]
pub struct Claimed {
    /// This, where of two packs that have one blob the first counts.
    pub needs: SnapshotNeeds,
    /// The other packs, with their sizes.
    pub others: Vec<(Id, u64)>,
    /// Why there may be more, where that is so.
    pub gap: Option<Error>,
}

/// Which blob lies in which pack, according to the index files of some copies.
#[derive(Debug)]
pub(super) struct NeedsIndex {
    index: Index,
    packs: BTreeMap<PackNumber, Indexed>,
    /// In which other packs blobs lie, where that is asked for.
    others: Option<HashMap<BlobId, Vec<PackNumber>>>,
    /// Index files that could not be used.
    pub(super) problems: Vec<String>,
}

/// What the index says of a pack.
#[derive(Debug)]
struct Indexed {
    size_bytes: u64,
    index_file: Id,
}

/// What a walk has found.
#[derive(Debug)]
pub(super) struct Walk {
    /// What is needed, as far as it was found.
    pub(super) needs: SnapshotNeeds,
    /// The other packs that claim to have a blob of it, with their sizes, where they were asked for.
    others: Vec<(Id, u64)>,
    /// Why there may be more, where that is so.
    pub(super) gap: Option<Error>,
}

/// What a walk is about to find.
#[derive(Default)]
struct Found {
    packs: BTreeSet<PackNumber>,
    others: BTreeSet<PackNumber>,
    visited: HashSet<Id>,
    next: Vec<Id>,
    gap: Option<Error>,
}

/// How many requests the copies answer at a time.
const READERS: usize = 8;

impl NeedsIndex {
    /// Reads the index files of all copies, each once.
    pub(super) fn load(
        repository: &Repository,
        readers: &Readers<'_>,
        cancel: &Cancel,
    ) -> Result<Self> {
        Self::load_with(None, repository, readers, None, cancel)
    }

    /// The same, and no more of them when the time is over.
    fn load_with(
        others: Option<HashMap<BlobId, Vec<PackNumber>>>,
        repository: &Repository,
        readers: &Readers<'_>,
        until: Option<Instant>,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut loaded = Self {
            index: Index::new(),
            packs: BTreeMap::new(),
            others,
            problems: Vec::new(),
        };
        let is_listed = |pack: &IndexedPack| {
            let mut listings = readers.iter().map(|reader| &reader.listing.data);
            listings.any(|packs| packs.contains(pack.id))
        };
        let mut unlisted = Vec::new();
        // A few at a time: which comes first is chance, and which counts first must not be.
        for files in by_holders(readers).chunks(READERS) {
            if is_over(until) {
                break;
            }
            let opened = Mutex::new(BTreeMap::new());
            let problems = Mutex::new(Vec::new());
            for_each(files, READERS, |id| {
                cancel.check()?;
                let name = FileName::new(FileType::Index, *id);
                let file = readers.read(
                    name,
                    |reader| {
                        IndexFile::open(repository.key(), reader.file(name)?)
                            .map_err(|reason| reader.damaged(name, reason))
                    },
                    |_, error| problems.lock().push(chain(error)),
                );
                if let Ok(file) = file {
                    opened.lock().insert(*id, file);
                }
                Ok(())
            })?;
            loaded.problems.append(&mut problems.into_inner());
            let mut opened = opened.into_inner();
            let in_order = files
                .iter()
                .filter_map(|id| Some((*id, opened.remove(id)?)));
            for (id, file) in in_order {
                for pack in file.packs {
                    match is_listed(&pack) {
                        true => loaded.insert(id, &pack),
                        false => unlisted.push((id, pack)),
                    }
                }
            }
        }
        for (id, pack) in &unlisted {
            loaded.insert(*id, pack);
        }
        Ok(loaded)
    }

    /// Adds a pack that an index file names; where two packs have one blob, the first counts.
    fn insert(&mut self, index_file: Id, indexed: &IndexedPack) {
        let number = self.index.insert(indexed);
        self.packs.entry(number).or_insert_with(|| Indexed {
            size_bytes: pack::size_bytes(&indexed.blobs),
            index_file,
        });
        let Some(others) = &mut self.others else {
            return;
        };
        for packed in &indexed.blobs {
            let blob = packed.blob;
            if self
                .index
                .pack_of(blob)
                .is_some_and(|first| first != number)
            {
                let known = others.entry(blob).or_default();
                if known.last() != Some(&number) {
                    known.push(number);
                }
            }
        }
    }

    /// The other packs that claim to have a blob.
    fn others_of(&self, blob: BlobId) -> impl Iterator<Item = PackNumber> + '_ {
        let others = self.others.as_ref().and_then(|others| others.get(&blob));
        others.into_iter().flatten().copied()
    }

    /// Reads all trees below a root, level by level.
    pub(super) fn walk(
        &self,
        repository: &Repository,
        readers: &Readers<'_>,
        root: Id,
        cancel: &Cancel,
    ) -> Result<Walk> {
        self.walk_all(repository, readers, &[root], None, cancel)
    }

    /// Reads all trees below several roots, level by level, and no more of them when the time is over.
    fn walk_all(
        &self,
        repository: &Repository,
        readers: &Readers<'_>,
        roots: &[Id],
        until: Option<Instant>,
        cancel: &Cancel,
    ) -> Result<Walk> {
        let found = Mutex::new(Found::default());
        let mut level = roots.to_vec();
        level.retain(|root| found.lock().visited.insert(*root));
        while !level.is_empty() && !is_over(until) {
            for_each(&level, READERS, |tree| {
                cancel.check()?;
                if !is_over(until) {
                    self.read_tree(repository, readers, *tree, &found);
                }
                Ok(())
            })?;
            level = std::mem::take(&mut found.lock().next);
        }
        let found = found.into_inner();
        Ok(Walk {
            needs: self.needs_of(&found.packs),
            others: self.needs_of(&found.others).packs,
            gap: found.gap,
        })
    }

    fn read_tree(
        &self,
        repository: &Repository,
        readers: &Readers<'_>,
        id: Id,
        found: &Mutex<Found>,
    ) {
        let blob = BlobId::tree(id);
        let Some(location) = self.index.get(blob) else {
            found.lock().miss(unknown(blob));
            return;
        };
        if let Some(number) = self.index.pack_of(blob) {
            let mut found = found.lock();
            found.packs.insert(number);
            found.others.extend(self.others_of(blob));
        }
        let tree = readers.read(
            FileName::new(FileType::Data, location.pack),
            |reader| {
                let blobs = BlobReader {
                    repository,
                    index: &self.index,
                    store: &reader.copy.store,
                    blocks: None,
                };
                blobs.tree(id)
            },
            |_, _| {},
        );
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => return found.lock().miss(error),
        };
        let (mut packs, mut others) = (BTreeSet::new(), BTreeSet::new());
        let mut gap = None;
        let contents = tree
            .nodes
            .iter()
            .flat_map(|node| node.content.iter().flatten());
        for content in contents {
            let blob = BlobId::data(*content);
            match self.index.pack_of(blob) {
                Some(number) => {
                    packs.insert(number);
                    others.extend(self.others_of(blob));
                }
                None => gap = Some(unknown(blob)),
            }
        }
        let mut found = found.lock();
        found.packs.append(&mut packs);
        found.others.append(&mut others);
        if let Some(gap) = gap {
            found.miss(gap);
        }
        for subtree in tree.nodes.iter().filter_map(|node| node.subtree) {
            if found.visited.insert(subtree) {
                found.next.push(subtree);
            }
        }
    }

    fn needs_of(&self, packs: &BTreeSet<PackNumber>) -> SnapshotNeeds {
        let mut index_files = BTreeSet::new();
        let mut needs = SnapshotNeeds::default();
        for number in packs {
            if let (Some(id), Some(pack)) = (self.index.pack_id(*number), self.packs.get(number)) {
                needs.packs.push((id, pack.size_bytes));
                index_files.insert(pack.index_file);
            }
        }
        needs.packs.sort_unstable();
        needs.index_files = index_files.into_iter().collect();
        needs
    }
}

impl Found {
    fn miss(&mut self, error: Error) {
        self.gap.get_or_insert(error);
    }
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

fn unknown(blob: BlobId) -> Error {
    let (kind, id) = (blob.kind.name(), blob.id);
    strongroom_repo::Error::UnknownBlob { kind, id }.into()
}

/// The index files, those that most copies hold first: where two name one blob, the first counts,
/// so that what one copy alone has repacked is not taken for what all should have. Packs that no copy
/// lists any more come after all others.
fn by_holders(readers: &Readers<'_>) -> Vec<Id> {
    let mut holders: BTreeMap<Id, usize> = BTreeMap::new();
    for entry in readers
        .iter()
        .flat_map(|reader| reader.listing.index.iter())
    {
        *holders.entry(entry.id).or_default() += 1;
    }
    let mut groups: BTreeMap<usize, Vec<Id>> = BTreeMap::new();
    for (id, count) in holders {
        groups.entry(count).or_default().push(id);
    }
    groups.into_values().rev().flatten().collect()
}
