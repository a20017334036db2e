//! Reading the files of one copy.
//!
//! First what is small: with the key, index files tell which packs there must be, and how large.
//! Then the packs, in [rows](crate::verify::rows). What damages one file is a problem of that
//! file; only a copy that cannot be reached any more ends its reading ([`outcome`]).

mod outcome;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::index::IndexFile;
use strongroom_repo::{BlobId, BlobLocation, Repository, pack};
use strongroom_store::{Error, Store, read_limit_bytes};

use crate::progress::Progress;
use crate::session::{Cancel, CopyFailure};
use crate::verify::content::{self, Content};
use crate::verify::decode::{Decoder, fingerprint};
use crate::verify::reading::outcome::BrokenOff;
use crate::verify::scan::{Scan, Scanned, damage};
use crate::verify::stream::Hashed;
use crate::verify::{Depth, ProblemKind};
use crate::{Listing, Result};

pub(crate) use outcome::Asked;

/// One reading, shared by its threads.
pub(crate) struct Reading<'a> {
    scan: &'a Scan<'a>,
    decoder: Option<Decoder<'a>>,
    progress: &'a Progress,
    cancel: &'a Cancel,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    problems: Vec<(FileName, ProblemKind)>,
    /// What did not come although the place answers, as long as nothing has come since.
    broken_off: Vec<BrokenOff>,
    /// How often that was noted.
    breaks: u64,
    vanished: HashSet<FileName>,
    named: HashMap<Id, Vec<Named>>,
    snapshots: Vec<(Id, Id)>,
    files_read: u64,
    bytes_read: u64,
    sound: Vec<FileName>,
    failure: Option<CopyFailure>,
    locks_failure: Option<CopyFailure>,
}

impl<'a> Reading<'a> {
    /// Begins the reading of a copy.
    pub(crate) fn new(scan: &'a Scan<'a>, progress: &'a Progress, cancel: &'a Cancel) -> Self {
        let decoder = match scan.depth {
            Depth::Decoded(repository) => Some(Decoder::new(repository, &scan.look, cancel)),
            Depth::Stored | Depth::Opened(_) => None,
        };
        Self {
            scan,
            decoder,
            progress,
            cancel,
            found: Mutex::default(),
        }
    }

    /// Whether it is a folder on this machine, and no server. One that answers at an address of
    /// this machine may be the mouth of a tunnel, or not be believed.
    pub(crate) fn is_folder(&self) -> bool {
        let copy = &self.scan.look.copy;
        copy.is_local && !copy.is_behind_server()
    }

    fn listing(&self) -> &Listing {
        &self.scan.look.listing
    }

    /// Whether what is in its files can be read.
    pub(crate) fn has_key(&self) -> bool {
        self.repository().is_some()
    }

    fn repository(&self) -> Option<&Repository> {
        match self.scan.depth {
            Depth::Stored => None,
            Depth::Opened(repository) | Depth::Decoded(repository) => Some(repository),
        }
    }

    /// The files besides packs, with their sizes.
    pub(crate) fn small_files(&self) -> Vec<(FileName, u64)> {
        let mut small = Vec::new();
        let named =
            |kind| move |entry: FileEntry| (FileName::new(kind, entry.id), entry.size_bytes);
        for kind in [FileType::Keys, FileType::Index, FileType::Snapshots] {
            let files = self.listing().of(kind).into_iter();
            small.extend(files.flat_map(|files| files.iter()).map(named(kind)));
        }
        match self.store().list(FileType::Locks) {
            Ok(locks) => small.extend(locks.into_iter().map(named(FileType::Locks))),
            Err(
                error @ (Error::Unreachable { .. }
                | Error::OtherCertificate { .. }
                | Error::Cancelled { .. }),
            ) => self.fail(&error),
            // No snapshot needs a lock, so that everything else is read all the same.
            Err(error) => {
                self.progress.add_error();
                let failure = CopyFailure::of_store(&error);
                self.found.lock().locks_failure = Some(failure);
            }
        }
        small
    }

    /// How many bytes of a file are kept, since somebody looks at what is in it: as many as are
    /// listed, or none where no sound file has as many.
    pub(crate) fn keep_bytes(&self, name: FileName, size_bytes: u64) -> u64 {
        let is_looked_into = match name.kind() {
            FileType::Keys => true,
            FileType::Data => self.decoder.is_some(),
            _ => self.has_key(),
        };
        match is_looked_into && size_bytes <= self.whole_limit_bytes(name) {
            true => size_bytes,
            false => 0,
        }
    }

    fn whole_limit_bytes(&self, name: FileName) -> u64 {
        let found = self.found.lock();
        let id = name.id().filter(|_| name.kind() == FileType::Data);
        let named = id.and_then(|id| found.named.get(&id)).into_iter().flatten();
        let named_bytes = named.map(|named| named.size_bytes).max();
        content::whole_limit_bytes(name.kind(), named_bytes)
    }

    /// Whether there is anything more to be read here: not where the copy has failed.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(crate) fn begin(&self) -> Result<bool> {
        self.go_on()?;
        Ok(!self.has_failed())
    }

    /// Where it is read.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.scan.look.copy.store
    }

    /// What tells how far the reading has come.
    pub(crate) const fn progress(&self) -> &Progress {
        self.progress
    }

    /// What tells that the user interrupts.
    pub(crate) const fn cancel(&self) -> &Cancel {
        self.cancel
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// Where the user interrupts.
    fn go_on(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Notes that a file was read to its end, and is what its name says.
    pub(crate) fn note_sound(&self, name: FileName, hashed: Hashed, asked: Asked) {
        self.note_read(hashed, asked);
        self.found.lock().sound.push(name);
    }

    /// Notes that a file was read to its end, and is not what its name says.
    pub(crate) fn note_wrong(&self, name: FileName, hashed: Hashed, asked: Asked) {
        self.note_read(hashed, asked);
        self.damaged(name, hashed.size_bytes);
    }

    /// Notes that a file was right only when it was read again.
    pub(crate) fn note_unsteady(&self, name: FileName, hashed: Hashed, asked: Asked) {
        self.note_read(hashed, asked);
        let reason = "two reads of it did not give the same bytes".to_owned();
        self.problem(name, ProblemKind::Unreadable { reason });
    }

    fn note_read(&self, hashed: Hashed, asked: Asked) {
        self.progress.add_files(1);
        self.note_come(asked);
        let mut found = self.found.lock();
        found.files_read += 1;
        found.bytes_read += hashed.size_bytes;
    }

    fn note_index(&self, index: Id, file: &IndexFile) {
        if let Some(decoder) = &self.decoder {
            decoder.add(file);
        }
        let mut found = self.found.lock();
        for pack in &file.packs {
            found.named.entry(pack.id).or_default().push(Named {
                index,
                size_bytes: pack::size_bytes(&pack.blobs),
                fingerprint: fingerprint(&pack.blobs),
            });
        }
    }

    /// The packs to read: the share, and those that have another size than an index says.
    pub(crate) fn packs(&self) -> Vec<FileEntry> {
        let mut packs = self.scan.packs.clone();
        let found = self.found.lock();
        let is_odd = |entry: &FileEntry| {
            let named = found.named.get(&entry.id);
            named
                .into_iter()
                .flatten()
                .any(|named| named.size_bytes != entry.size_bytes)
        };
        packs.extend(self.listing().data.iter().filter(is_odd));
        packs.sort_unstable();
        packs.dedup();
        packs
    }

    /// Looks into a file that has its name.
    pub(crate) fn look_into(&self, name: FileName, hashed: Hashed, kept: &[u8]) {
        if !hashed.is_kept && self.keep_bytes(name, hashed.size_bytes) > 0 {
            return self.junk(name, "its size is not the one that is listed".to_owned());
        }
        if name.kind() == FileType::Data {
            return self.look_into_pack(name, hashed, kept);
        }
        if hashed.size_bytes > read_limit_bytes(name.kind()) {
            return self.junk(name, "it is larger than any sound file".to_owned());
        }
        let checked = match self.repository() {
            None => content::check(name.kind(), hashed.size_bytes, kept).map(|()| Content::Opaque),
            Some(repository) => content::decode(name.kind(), kept, repository.key()),
        };
        match (checked, name.id()) {
            (Ok(Content::Index(file)), Some(id)) => self.note_index(id, &file),
            (Ok(Content::Snapshot(snapshot)), Some(id)) => {
                self.found.lock().snapshots.push((id, snapshot.tree));
            }
            (Ok(_), _) => {}
            (Err(reason), _) => self.junk(name, reason),
        }
    }

    fn look_into_pack(&self, name: FileName, hashed: Hashed, kept: &[u8]) {
        if let Err(reason) = pack::header_length(kept, hashed.size_bytes) {
            let reason = reason.to_owned();
            return self.problem(name, ProblemKind::BadTrailer { reason });
        }
        let Some(decoder) = &self.decoder else {
            return;
        };
        if !hashed.is_kept {
            return self.bad_pack(name, "it is larger than any sound pack".to_owned());
        }
        match decoder.check_pack(kept) {
            Err(reason) => self.bad_pack(name, reason),
            Ok(checked) => {
                for (blob, reason) in checked.bad_blobs {
                    self.problem(name, ProblemKind::BadBlob { blob, reason });
                }
                self.compare_headers(name, hashed.id, checked.fingerprint);
            }
        }
    }

    /// Names a pack that does not decode: junk, unless an index file of the copy names it, so that
    /// snapshots may need what is in it.
    fn bad_pack(&self, name: FileName, reason: String) {
        let is_named = |id: Id| self.found.lock().named.contains_key(&id);
        match name.id().is_some_and(is_named) {
            true => self.problem(name, ProblemKind::BadPack { reason }),
            false => self.junk(name, reason),
        }
    }

    fn compare_headers(&self, pack: FileName, id: Id, fingerprint: Id) {
        let mut found = self.found.lock();
        let Found {
            named, problems, ..
        } = &mut *found;
        let named = named.get(&id).into_iter().flatten();
        for named in named.filter(|named| named.fingerprint != fingerprint) {
            self.progress.add_error();
            let index = FileName::new(FileType::Index, named.index);
            problems.push((index, ProblemKind::IndexDisagrees { pack }));
        }
    }

    /// Names the index files that give a sound pack another size; whoever decodes packs has seen
    /// that in their headers.
    fn compare_sizes(&self) {
        if self.decoder.is_some() {
            return;
        }
        let mut found = self.found.lock();
        let damaged: HashSet<_> = found.problems.iter().map(|(name, _)| *name).collect();
        let mut disagreeing = Vec::new();
        for (id, named) in &found.named {
            let pack = FileName::new(FileType::Data, *id);
            let size = self.listing().data.size_bytes(*id);
            for named in named {
                let differs = size.is_some_and(|size| size != named.size_bytes);
                if differs && !damaged.contains(&pack) && !found.vanished.contains(&pack) {
                    let index = FileName::new(FileType::Index, named.index);
                    disagreeing.push((index, ProblemKind::IndexDisagrees { pack }));
                }
            }
        }
        found.problems.append(&mut disagreeing);
    }

    fn follow_snapshots(&self, packs_read: usize) -> Result<()> {
        let (Some(decoder), Some(repository)) = (&self.decoder, self.repository()) else {
            return Ok(());
        };
        let (snapshots, all_sound) = {
            let found = self.found.lock();
            if found.failure.is_some() {
                return Ok(());
            }
            let sound = packs_read == self.listing().data.len()
                && found.problems.is_empty()
                && found.vanished.is_empty();
            (found.snapshots.clone(), sound)
        };
        let read_tree =
            |tree: BlobId, location: BlobLocation| self.read_tree(repository, tree, location);
        let incomplete = match decoder.incomplete(&snapshots, all_sound, &read_tree) {
            // The copy has failed, which says nothing of a snapshot.
            Err(crate::Error::Store(_)) => Vec::new(),
            incomplete => incomplete?,
        };
        self.go_on()?;
        for (snapshot, reason) in incomplete {
            let name = FileName::new(FileType::Snapshots, snapshot);
            self.problem(name, ProblemKind::Incomplete { reason });
        }
        Ok(())
    }

    fn damaged(&self, name: FileName, found_bytes: u64) {
        let named = {
            let found = self.found.lock();
            let id = name.id().filter(|_| name.kind() == FileType::Data);
            let named = id.and_then(|id| found.named.get(&id));
            named
                .and_then(|named| named.first())
                .map(|named| named.size_bytes)
        };
        self.problem(name, damage(found_bytes, named));
    }

    fn junk(&self, name: FileName, reason: String) {
        self.problem(name, ProblemKind::Junk { reason });
    }

    fn problem(&self, name: FileName, kind: ProblemKind) {
        self.progress.add_error();
        self.found.lock().problems.push((name, kind));
    }

    /// Ends the reading, of which so many packs were read.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(crate) fn finish(self, packs_read: usize) -> Result<Scanned> {
        // Too few in a row to say anything of the copy.
        self.note_come(self.asked());
        self.compare_sizes();
        self.follow_snapshots(packs_read)?;
        self.note_come(self.asked());
        let look = &self.scan.look;
        let found = self.found.into_inner();
        let unread = found
            .problems
            .iter()
            .any(|(_, kind)| matches!(kind, ProblemKind::Unreadable { .. }));
        let absent = |(id, named): (&Id, &Vec<Named>)| {
            let index = named.first()?.index;
            (!look.listing.data.contains(*id)).then_some((*id, index))
        };
        Ok(Scanned {
            copy: look.copy.clone(),
            listing: look.listing.clone(),
            config: look.config.clone(),
            files_read: found.files_read,
            bytes_read: found.bytes_read,
            sound: found.sound,
            covered: found.failure.is_none() && !unread && packs_read == look.listing.data.len(),
            failure: found.failure,
            locks_failure: found.locks_failure,
            absent_packs: found.named.iter().filter_map(absent).collect(),
            problems: found.problems,
            vanished: found.vanished,
        })
    }
}

/// A pack as an index file names it.
struct Named {
    index: Id,
    size_bytes: u64,
    fingerprint: Id,
}
