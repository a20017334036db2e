//! Needed blobs that several packs are said to hold: in which of them each is kept.
//!
//! It happens after a prune that was killed, and where two hosts saved the same at once. A blob is
//! needed in one place alone; kept is the one in the pack with the least waste, so that what was
//! repacked before is not repacked again.
//!
//! An index is a claim, and whoever has the repository's key can claim that a pack of junk holds
//! what is needed: believed, the real pack would look like waste. So where any pack goes that is
//! said to hold such a blob, the blob is read in the place that is kept, and held against its name.
//! Where all of them stay, nothing is read. No other blob is, so that the work is bounded by what
//! is there twice; and a pack that was wrong once is asked last from then on.
//!
//! What can go wrong: no place gives the blob right. Then nothing is pruned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::blob::{BlobId, BlobLocation, PackedBlob};
use strongroom_repo::index::PackNumber;

use crate::Result;
use crate::lead::READERS;
use crate::parallel::for_each;
use crate::progress::Progress;
use crate::prune::PruneOptions;
use crate::prune::obstacles::Obstacles;
use crate::prune::packs::Packs;
use crate::prune::plan::Plan;
use crate::prune::reading::Blobs;
use crate::session::{Cancel, Session};

/// How often the plan is made anew for what was read, before all that is left is read at once.
const ROUNDS: usize = 3;

/// A place where an index file says that a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    pack: PackNumber,
    packed: PackedBlob,
}

/// Every place of a needed blob, of which there are several.
#[derive(Debug)]
struct Claimed {
    places: Vec<Place>,
    /// Whether it is settled for good: it was read, or no place gives it.
    is_settled: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What goes.
    pub(super) plan: Plan,
    /// Packs that do not give what index files say that they hold, and why.
    pub(super) wrong: BTreeMap<Id, String>,
}

/// Decides where each needed blob is kept, and what goes then. Blobs that no pack gives are
/// obstacles.
///
/// # Errors
/// [`crate::Error::NotPruned`] where an index file cannot be read any more; where the user
/// interrupts.
pub(super) fn choose(
    session: &Session,
    packs: &Packs,
    options: &PruneOptions,
    obstacles: &Obstacles,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Chosen> {
    let mut claims = match packs.has_duplicates() {
        true => claims_of(session, packs, cancel)?,
        false => BTreeMap::new(),
    };
    let reader = Reader {
        packs,
        blobs: Blobs::of(session),
        needed: match claims.is_empty() {
            true => BTreeMap::new(),
            false => needed_bytes(session, packs, cancel)?,
        },
        wrong: Mutex::default(),
    };
    let mut rounds = 0;
    loop {
        reader.settle(&claims);
        let plan = Plan::make(session, packs, options);
        let goes = |place: &Place| {
            let pack = packs.all.get(&place.pack);
            plan.to_repack.contains(&place.pack)
                || pack.is_some_and(|pack| plan.unused.contains_key(&pack.id))
        };
        let is_to_be_read = |claimed: &Claimed| {
            !claimed.is_settled && (rounds >= ROUNDS || claimed.places.iter().any(goes))
        };
        let unread: Vec<BlobId> = claims
            .iter()
            .filter(|(_, claimed)| is_to_be_read(claimed))
            .map(|(blob, _)| *blob)
            .collect();
        if unread.is_empty() {
            let wrong = reader.wrong.into_inner();
            return Ok(Chosen { plan, wrong });
        }
        reader.read(&mut claims, unread, obstacles, progress, cancel)?;
        rounds += 1;
    }
}

/// The needed blobs that are said to lie in several places.
fn claims_of(
    session: &Session,
    packs: &Packs,
    cancel: &Cancel,
) -> Result<BTreeMap<BlobId, Claimed>> {
    let mut claims: BTreeMap<BlobId, Claimed> = BTreeMap::new();
    for id in packs.files.keys() {
        packs.each_pack_of(session, *id, cancel, |number, pack| {
            for packed in &pack.blobs {
                let place = Place {
                    pack: number,
                    packed: *packed,
                };
                let first = first_place(packs, packed.blob);
                let Some(first) = first.filter(|first| *first != place) else {
                    continue;
                };
                if !packs.index.is_marked(packed.blob) {
                    continue;
                }
                let claimed = claims.entry(packed.blob).or_insert_with(|| Claimed {
                    places: vec![first],
                    is_settled: false,
                });
                if !claimed.places.contains(&place) {
                    claimed.places.push(place);
                }
            }
        })?;
    }
    Ok(claims)
}

/// Where a blob lies by the table, which has the place that was read first.
fn first_place(packs: &Packs, blob: BlobId) -> Option<Place> {
    let at = packs.index.get(blob)?;
    Some(Place {
        pack: packs.index.pack_of(blob)?,
        packed: PackedBlob {
            blob,
            offset: at.offset,
            length: at.length,
            uncompressed_length: at.uncompressed_length,
        },
    })
}

/// How many bytes of each pack are needed, wherever else they lie.
fn needed_bytes(
    session: &Session,
    packs: &Packs,
    cancel: &Cancel,
) -> Result<BTreeMap<PackNumber, u64>> {
    let mut needed = BTreeMap::new();
    for id in packs.files.keys() {
        packs.each_pack_of(session, *id, cancel, |number, pack| {
            let blobs = pack.blobs.iter();
            let marked = blobs.filter(|packed| packs.index.is_marked(packed.blob));
            let bytes: u64 = marked.map(|packed| u64::from(packed.length)).sum();
            needed.insert(number, bytes);
        })?;
    }
    Ok(needed)
}

struct Reader<'a> {
    packs: &'a Packs,
    blobs: Blobs<'a>,
    needed: BTreeMap<PackNumber, u64>,
    wrong: Mutex<BTreeMap<Id, String>>,
}

impl Reader<'_> {
    /// Puts what was not read yet where it would best be kept.
    fn settle(&self, claims: &BTreeMap<BlobId, Claimed>) {
        for claimed in claims.values().filter(|claimed| !claimed.is_settled) {
            if let Some(best) = self.in_order(&claimed.places).first() {
                self.packs.index.settle(&best.packed, best.pack);
            }
        }
    }

    /// Reads blobs where they are to be kept, or else in the next place, and settles them there.
    fn read(
        &self,
        claims: &mut BTreeMap<BlobId, Claimed>,
        mut unread: Vec<BlobId>,
        obstacles: &Obstacles,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<()> {
        progress.begin("reading what lies twice", Some(unread.len() as u64), None);
        // Neighbours are read together.
        unread.sort_by_cached_key(|blob| {
            let at = self.packs.index.get(*blob);
            at.map(|at| (at.pack, at.offset))
        });
        let found = Mutex::new(Vec::new());
        let known: &BTreeMap<BlobId, Claimed> = claims;
        for_each(&unread, READERS, |blob| {
            cancel.check()?;
            if let Some(claimed) = known.get(blob) {
                let place = self.right_place(&claimed.places)?;
                found.lock().push((*blob, place));
            }
            progress.add_files(1);
            Ok(())
        })?;
        for (blob, place) in found.into_inner() {
            match place {
                Some(place) => self.packs.index.settle(&place.packed, place.pack),
                None => obstacles.note(self.why_nowhere(blob, claims)),
            }
            if let Some(claimed) = claims.get_mut(&blob) {
                claimed.is_settled = true;
            }
        }
        Ok(())
    }

    /// The first place that gives a blob right.
    fn right_place(&self, places: &[Place]) -> Result<Option<Place>> {
        for place in self.in_order(places) {
            let Some(pack) = self.packs.all.get(&place.pack) else {
                continue;
            };
            let at = BlobLocation {
                pack: pack.id,
                offset: place.packed.offset,
                length: place.packed.length,
                uncompressed_length: place.packed.uncompressed_length,
            };
            match self.blobs.read(place.packed.blob, &at, pack.size_bytes)? {
                Ok(_) => return Ok(Some(place)),
                Err(reason) => {
                    self.wrong.lock().entry(pack.id).or_insert(reason);
                }
            }
        }
        Ok(None)
    }

    /// Places, the one first where a blob would best be kept: that with the least waste, unless it
    /// was found wrong. Which of equals is not left to chance.
    fn in_order(&self, places: &[Place]) -> Vec<Place> {
        let mut places = places.to_vec();
        let wrong = self.wrong.lock();
        places.sort_by_cached_key(|place| {
            let pack = self.packs.all.get(&place.pack);
            let id = pack.map(|pack| pack.id);
            let is_wrong = id.is_some_and(|id| wrong.contains_key(&id));
            let whole = pack.map_or(1, |pack| u128::from(pack.blob_bytes).max(1));
            let needed = self.needed.get(&place.pack).copied().unwrap_or(0);
            let millionths = u128::from(needed) * 1_000_000 / whole;
            (is_wrong, Reverse(millionths), id, place.packed.offset)
        });
        places
    }

    fn why_nowhere(&self, blob: BlobId, claims: &BTreeMap<BlobId, Claimed>) -> String {
        let places = claims.get(&blob).into_iter();
        let packs = places.flat_map(|claimed| &claimed.places);
        let packs = packs.filter_map(|place| self.packs.all.get(&place.pack));
        let packs: BTreeSet<String> = packs.map(|pack| pack.id.to_string()).collect();
        let packs: Vec<String> = packs.into_iter().collect();
        let packs = packs.join(", ");
        format!("the {blob} is in none of the packs that are said to hold it: {packs}")
    }
}
