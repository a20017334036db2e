//! Repacking: needed blobs of packs that go are written anew, once, to every copy at once; and
//! index files are written anew that name what goes.
//!
//! The encrypted bytes of a blob are copied as they are: they were sealed by the same key, and
//! whoever sees both packs learns no more than that the blob stayed. But they are decrypted first,
//! and their plain text is held against its name: what is wrong is not carried on under a new name
//! that says it is right. Where one copy gives it wrong, the next is asked.
//!
//! Barriers are those of a backup: an index file goes to a copy only behind the packs that it
//! names.
//!
//! What can go wrong: it is killed. Then there are packs and index files more than needed, and the
//! next prune finds the same blobs in two places.

use std::collections::BTreeSet;
use std::ops::Range;

use rand::{SeedableRng, rngs::StdRng};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobEncoder, BlobLocation, PackedBlob};
use strongroom_repo::index::{IndexedPack, MAX_BLOBS_PER_INDEX_FILE, PackNumber};
use strongroom_repo::{Error as RepoError, Key, pack};

use crate::backup::packer::Packer;
use crate::backup::{pack_bytes, packs_in_memory, start_fanout, take_over};
use crate::parallel::{for_each, readers};
use crate::progress::Progress;
use crate::prune::PruneOptions;
use crate::prune::obstacles::{MISSING_HINT, UNREADABLE_HINT};
use crate::prune::packs::Packs;
use crate::prune::plan::Plan;
use crate::prune::reading::Blobs;
use crate::session::{Environment, Session};
use crate::{Error, Result};

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Packs with their sizes.
    pub(super) packs: Vec<(Id, u64)>,
    /// Index files.
    pub(super) index: BTreeSet<Id>,
    /// The packs that these name, each with the index file.
    pub(super) indexed: Vec<(Id, Id)>,
}

/// What of a pack that is not needed is read with its neighbours, to save a request: where requests
/// are cheap, and where they cost a round trip.
const LOCAL_GAP_BYTES: u64 = 16 << 10;
const REMOTE_GAP_BYTES: u64 = 512 << 10;

/// The most that one request reads, unless a blob alone is larger.
const RUN_BYTES: u64 = 8 << 20;

/// Repacks what the plan says, on every copy that can be used. The session's listings are brought
/// up to date; a copy that fails is marked as such.
///
/// # Errors
/// [`Error::NotPruned`] where a needed blob cannot be read; where no copy is left, and where the
/// user interrupts.
pub(super) fn run(
    session: &mut Session,
    packs: &Packs,
    plan: &Plan,
    options: &PruneOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<Written> {
    if plan.index.is_empty() {
        return Ok(Written::default());
    }
    let expected = (plan.to_repack.len() as u64, plan.moved_bytes);
    progress.begin("repacking", Some(expected.0), Some(expected.1));
    let repository = session.repository.clone();
    let fanout = start_fanout(session, &options.limits, &environment.cancel);
    let packer = Packer::new(
        &repository,
        &packs.index,
        Some(&fanout),
        pack_bytes(&options.limits),
        packs_in_memory(&options.limits),
    );
    let readable: &Session = session;
    let is_local = readable.ready().any(|(copy, _)| copy.is_local);
    let is_folder = readable
        .ready()
        .any(|(copy, _)| copy.is_local && !copy.is_behind_server());
    Repacker {
        session: readable,
        packs,
        plan,
        packer: &packer,
        blobs: Blobs::of(readable),
        key: repository.key(),
        compress: (options.repack_uncompressed && repository.config().version >= 2)
            .then_some(repository.config().version),
        gap_bytes: match is_local {
            true => LOCAL_GAP_BYTES,
            false => REMOTE_GAP_BYTES,
        },
        threads: match options.limits.workers {
            0 => readers(is_folder),
            workers => workers as usize,
        },
        environment,
        progress,
    }
    .run()?;
    packer.flush()?;
    let done = packer.written();
    check_kept(packs, plan)?;
    for outcome in fanout.finish() {
        take_over(session, outcome);
    }
    environment.cancel.check()?;
    if session.ready().next().is_none() {
        return Err(session.no_copy());
    }
    let named = done.indexed_packs.iter();
    Ok(Written {
        packs: done.packs,
        index: named.clone().map(|(_, file)| *file).collect(),
        indexed: named
            .filter_map(|(number, file)| Some((packs.index.pack_id(*number)?, *file)))
            .collect(),
    })
}

/// Looks at each needed blob once more: it must lie in a pack that stays.
fn check_kept(packs: &Packs, plan: &Plan) -> Result<()> {
    let usage = packs.usage();
    let is_kept = |number: &PackNumber| {
        let id = packs.index.pack_id(*number);
        id.is_some_and(|id| !plan.names(FileName::new(FileType::Data, id)))
    };
    match usage.keys().all(is_kept) {
        true => Ok(()),
        false => Err(Error::NotPruned {
            reasons: vec!["not all that is needed was repacked".to_owned()],
            hint: UNREADABLE_HINT.to_owned(),
        }),
    }
}

struct Repacker<'a> {
    session: &'a Session,
    packs: &'a Packs,
    plan: &'a Plan,
    packer: &'a Packer<'a>,
    blobs: Blobs<'a>,
    key: &'a Key,
    /// The version of the repository, where blobs are compressed that are not.
    compress: Option<u32>,
    gap_bytes: u64,
    threads: usize,
    environment: &'a Environment,
    progress: &'a Progress,
}

/// What a thread has for itself.
struct Worker {
    random: StdRng,
    encoder: Option<BlobEncoder>,
    /// Where a blob is decrypted.
    sealed: Vec<u8>,
}

impl Repacker<'_> {
    fn run(&self) -> Result<()> {
        let (packs, plan) = (self.packs, self.plan);
        let kept = packs
            .files
            .iter()
            .filter(|(id, _)| !plan.index.contains(*id));
        let mut named: BTreeSet<PackNumber> = kept
            .flat_map(|(_, file)| file.packs.iter().copied())
            .collect();
        let mut met: BTreeSet<PackNumber> = BTreeSet::new();
        let mut waiting: Vec<IndexedPack> = Vec::new();
        let cancel = &self.environment.cancel;
        packs.each_again(self.session, &plan.index, cancel, |file| {
            for pack in file.packs {
                let Some(number) = packs.number_of(self.session, &pack) else {
                    continue;
                };
                if plan.to_repack.contains(&number) {
                    if met.insert(number) {
                        waiting.push(pack);
                    }
                } else if !plan.unused.contains_key(&pack.id) && named.insert(number) {
                    self.packer.adopt(pack)?;
                }
            }
            // As much at a time as an index file tells of.
            let blobs: usize = waiting.iter().map(|pack| pack.blobs.len()).sum();
            match blobs >= MAX_BLOBS_PER_INDEX_FILE {
                true => self.repack_all(&std::mem::take(&mut waiting)),
                false => Ok(()),
            }
        })?;
        self.repack_all(&waiting)
    }

    fn repack_all(&self, packs: &[IndexedPack]) -> Result<()> {
        for_each(packs, self.threads, |pack| {
            self.repack(pack)?;
            self.progress.add_files(1);
            Ok(())
        })
    }

    fn repack(&self, pack: &IndexedPack) -> Result<()> {
        let index = &self.packs.index;
        // What lies in several packs is taken from one of them, and settled elsewhere since.
        let is_wanted = |packed: &&PackedBlob| {
            let at = index.get(packed.blob);
            index.is_marked(packed.blob)
                && at.is_some_and(|at| at.pack == pack.id && at.offset == packed.offset)
        };
        let mut wanted: Vec<PackedBlob> = pack.blobs.iter().filter(is_wanted).copied().collect();
        wanted.sort_unstable_by_key(|packed| packed.offset);
        let pack_bytes = pack::size_bytes(&pack.blobs);
        let mut worker = self.worker()?;
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            self.environment.cancel.check()?;
            let (run, after) = rest.split_at(run_length(rest, self.gap_bytes));
            let range = range_of(run);
            let bytes = self.blobs.fetch(pack.id, pack_bytes, &range)?;
            for packed in run {
                let sealed = bytes
                    .as_deref()
                    .and_then(|bytes| slice(bytes, packed, range.start));
                self.move_blob(&mut worker, pack.id, pack_bytes, packed, sealed)?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Adds a blob to a new pack, from what was read of its old one or else from another copy.
    fn move_blob(
        &self,
        worker: &mut Worker,
        pack: Id,
        pack_bytes: u64,
        packed: &PackedBlob,
        sealed: Option<&[u8]>,
    ) -> Result<()> {
        let opened = sealed.and_then(|sealed| {
            worker.sealed.clear();
            worker.sealed.extend_from_slice(sealed);
            let length = packed.uncompressed_length;
            let opened = self.blobs.open(packed.blob, length, &mut worker.sealed);
            Some((sealed, opened.ok()?))
        });
        if let Some((sealed, plain)) = opened {
            return self.add(worker, packed, sealed, &plain);
        }
        let at = BlobLocation {
            pack,
            offset: packed.offset,
            length: packed.length,
            uncompressed_length: packed.uncompressed_length,
        };
        let read = self.blobs.read_sealed(packed.blob, &at, pack_bytes)?;
        let (sealed, plain) = read.map_err(|reason| Error::NotPruned {
            reasons: vec![reason],
            hint: MISSING_HINT.to_owned(),
        })?;
        self.add(worker, packed, &sealed, &plain)
    }

    fn add(
        &self,
        worker: &mut Worker,
        packed: &PackedBlob,
        sealed: &[u8],
        plain: &[u8],
    ) -> Result<()> {
        let random = &mut worker.random;
        match (&mut worker.encoder, packed.uncompressed_length) {
            (Some(encoder), None) => {
                let (sealed, length) = encoder.encode(self.key, plain)?;
                self.packer.add(packed.blob, sealed, length, random)?;
            }
            (_, length) => {
                self.packer.add(packed.blob, sealed, length, random)?;
            }
        }
        self.progress.add_bytes(u64::from(packed.length));
        Ok(())
    }

    fn worker(&self) -> Result<Worker> {
        let seed = getrandom::u64().map_err(|_| RepoError::NoRandomness)?;
        Ok(Worker {
            random: StdRng::seed_from_u64(seed),
            encoder: self.compress.map(BlobEncoder::new).transpose()?,
            sealed: Vec::new(),
        })
    }
}

/// How many of the first blobs, sorted by place, are read together.
fn run_length(blobs: &[PackedBlob], gap_bytes: u64) -> usize {
    let Some((first, rest)) = blobs.split_first() else {
        return 0;
    };
    let start = u64::from(first.offset);
    let mut end = end_of(first);
    let follows = |packed: &&PackedBlob| {
        let joins = u64::from(packed.offset) <= end.saturating_add(gap_bytes)
            && end_of(packed).max(end).saturating_sub(start) <= RUN_BYTES;
        if joins {
            end = end.max(end_of(packed));
        }
        joins
    };
    1 + rest.iter().take_while(follows).count()
}

/// The bytes of a pack in which some blobs lie.
fn range_of(blobs: &[PackedBlob]) -> Range<u64> {
    let start = blobs.first().map_or(0, |packed| u64::from(packed.offset));
    let end = blobs.iter().map(end_of).max().unwrap_or(start);
    start..end
}

fn end_of(packed: &PackedBlob) -> u64 {
    u64::from(packed.offset) + u64::from(packed.length)
}

/// The bytes of a blob among those of a pack that begin at `start`.
fn slice<'b>(bytes: &'b [u8], packed: &PackedBlob, start: u64) -> Option<&'b [u8]> {
    let from = usize::try_from(u64::from(packed.offset).checked_sub(start)?).ok()?;
    let to = usize::try_from(end_of(packed).checked_sub(start)?).ok()?;
    bytes.get(from..to)
}

#[cfg(test)]
mod tests {
    use strongroom_repo::blob::BlobId;

    use super::*;

    fn packed(offset: u32, length: u32) -> PackedBlob {
        PackedBlob {
            blob: BlobId::data(Id::of(&offset.to_le_bytes())),
            offset,
            length,
            uncompressed_length: None,
        }
    }

    #[test]
    fn neighbours_are_read_together_up_to_a_limit() {
        assert_eq!(run_length(&[], 0), 0);
        let blobs = [packed(0, 10), packed(10, 10), packed(25, 10), packed(99, 1)];
        assert_eq!(run_length(&blobs, 0), 2);
        assert_eq!(run_length(&blobs, 5), 3);
        assert_eq!(range_of(&blobs[..3]), 0..35);
        let run = u32::try_from(RUN_BYTES).unwrap();
        let large = [packed(0, run + 1), packed(run + 1, 1)];
        assert_eq!(run_length(&large, 0), 1);
    }

    #[test]
    fn a_blob_is_found_in_what_was_read_or_is_not_there() {
        let bytes = b"abcdef";
        assert_eq!(slice(bytes, &packed(12, 2), 10), Some(b"cd".as_slice()));
        assert_eq!(slice(bytes, &packed(12, 8), 10), None);
        assert_eq!(slice(bytes, &packed(2, 2), 10), None);
    }
}
