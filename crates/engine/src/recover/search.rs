//! The search for the right version of each of many files, on many threads.
//!
//! ```text
//! sweep, type by type:  newest of every file ──▶ of those that were wrong: oldest
//! finish, all types:    the next newest, three times ──▶
//!     ┌── list some more of each that is left ◀─────────┘
//!     └──▶ try these, by turns ──▶ again, while there are any
//! ```
//! No file waits for another: in each round each has as many turns as any other, and what is rare
//! waits until the sweep has been through all types, so that junk among the keys holds up no pack.
//! What one version was wrong with, another of the same size and sum is too, and is not read. A file
//! has an end, whatever the number of its versions: so many are read, and so many bytes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::Result;
use crate::parallel::for_each;
use crate::progress::Progress;
use crate::recover::files::{AT_FIRST, File, list_more};
use crate::recover::report::Tally;
use crate::recover::source::Source;
use crate::right_version::Candidate;

/// How many versions are read at a time. A place answers slowly and to many at once.
pub(super) const THREADS: usize = 32;

/// How many versions there are in a round of all files together, and of each at least and at most.
const A_ROUND: usize = 65_536;
const LEAST_OF_EACH: usize = 16;
const MOST_OF_EACH: usize = 4096;

/// How many sums that are wrong are known of a file, and of all together: some 200 MB.
const MOST_KNOWN: usize = 10_000;
const MOST_KNOWN_OF_ALL: usize = 4_000_000;

/// How many versions of a file are read, and how many of their bytes, before it is given up.
const MOST_READ: usize = 2048;
const MOST_READ_BYTES: u64 = 4 << 30;

/// What came of trying a version.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It is right, and the file is where it should be; or it was there already.
    Right {
        /// Whether it was not.
        is_new: bool,
    },
    /// It is not right.
    Wrong,
    /// It could not be read, and why.
    Failed(String),
}

/// Tries a version and, where it is right, brings it to where it should be.
pub(super) type Try<'a> = dyn Fn(&File, &Candidate) -> Result<Attempt> + Sync + 'a;

/// A file whose newest version was not right.
pub(super) struct Search<'f> {
    file: &'f File,
    is_done: AtomicBool,
    has_wrong: AtomicBool,
    /// How many versions were read, and how many bytes they have.
    read: AtomicUsize,
    read_bytes: AtomicU64,
    /// Sizes and sums of what is wrong.
    wrong: Mutex<HashSet<(u64, u128)>>,
    /// Why a version could not be read.
    reason: Mutex<Option<String>>,
    next: Mutex<Next>,
}

/// What of a file is tried next.
struct Next {
    /// What was tried last.
    behind: Option<Candidate>,
    batch: Vec<Candidate>,
    has_more: bool,
}

/// How versions are tried, and where it is told what came of them.
pub(super) struct Trying<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) attempt: &'a Try<'a>,
    pub(super) tally: &'a Tally,
    pub(super) progress: &'a Progress,
    /// How many sums are known of all files together.
    pub(super) known: AtomicUsize,
}

impl Trying<'_> {
    /// Tries the newest version of every file and, where that was wrong, the oldest; returns the files
    /// for which others are to be tried.
    ///
    /// # Errors
    /// What `attempt` fails with, the first.
    pub(super) fn sweep<'f>(&self, files: &[&'f File]) -> Result<Vec<Search<'f>>> {
        let left = Mutex::new(Vec::new());
        for_each(files, THREADS, |&file| {
            let search = Search::new(file);
            if let Some(first) = file.candidate(0) {
                self.step(&search, first)?;
            }
            if !search.is_over() {
                left.lock().push(search);
            }
            Ok(())
        })?;
        let mut searches = left.into_inner();
        self.try_place(&searches, 1)?;
        searches.retain(|search| !search.is_over());
        Ok(searches)
    }

    /// Tries all other versions, and counts the files of which none is right.
    ///
    /// # Errors
    /// As [`Trying::sweep`]; and where versions cannot be listed.
    pub(super) fn finish(&self, searches: &[Search<'_>]) -> Result<()> {
        for place in 2..=AT_FIRST {
            self.try_place(searches, place)?;
        }
        loop {
            let open: Vec<_> = searches.iter().filter(|search| search.goes_on()).collect();
            if open.is_empty() {
                break;
            }
            let most = (A_ROUND / open.len()).clamp(LEAST_OF_EACH, MOST_OF_EACH);
            for some in open.chunks(A_ROUND / LEAST_OF_EACH) {
                for_each(some, THREADS, |search| search.list_more(self.source, most))?;
                let batches: Vec<_> = some
                    .iter()
                    .map(|search| (*search, std::mem::take(&mut search.next.lock().batch)))
                    .collect();
                for_each(&by_turns(&batches), THREADS, |&(search, candidate)| {
                    self.step(search, candidate)
                })?;
            }
        }
        for search in searches.iter().filter(|search| !search.is_over()) {
            self.tally.not_recovered(search.file.name, search.why());
            self.progress.add_files(1);
            self.progress.add_error();
        }
        Ok(())
    }

    /// Tries what has a place in the order, of each file that was not found yet.
    fn try_place(&self, searches: &[Search<'_>], place: usize) -> Result<()> {
        for_each(searches, THREADS, |search| {
            let next = search.file.candidate(place);
            next.map_or(Ok(()), |candidate| self.step(search, candidate))
        })
    }

    fn step(&self, search: &Search<'_>, candidate: &Candidate) -> Result<()> {
        self.source.cancel.check()?;
        if search.is_over() || search.is_given_up() || search.is_known(candidate) {
            return Ok(());
        }
        search.read.fetch_add(1, Ordering::Relaxed);
        let bytes = candidate.size_bytes;
        search.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        match (self.attempt)(search.file, candidate)? {
            Attempt::Right { is_new } => self.done(search, candidate, is_new),
            Attempt::Wrong => search.note_wrong(candidate, &self.known),
            Attempt::Failed(reason) => *search.reason.lock() = Some(reason),
        }
        Ok(())
    }

    fn done(&self, search: &Search<'_>, candidate: &Candidate, is_new: bool) {
        if search.is_done.swap(true, Ordering::Relaxed) {
            return;
        }
        let wrong = std::mem::take(&mut *search.wrong.lock());
        self.known.fetch_sub(wrong.len(), Ordering::Relaxed);
        if search.has_wrong.load(Ordering::Relaxed) {
            self.tally.overwritten();
        }
        self.tally.done(candidate.size_bytes, is_new);
        self.progress.add_files(1);
        self.progress.add_bytes(candidate.size_bytes);
    }
}

/// The first of each, then the second of each, and so on.
fn by_turns<'b, 'f>(
    batches: &'b [(&'b Search<'f>, Vec<Candidate>)],
) -> Vec<(&'b Search<'f>, &'b Candidate)> {
    let longest = batches.iter().map(|(_, batch)| batch.len()).max();
    let turn = |place: usize| {
        let of = move |(search, batch): &'b (&'b Search<'f>, Vec<Candidate>)| {
            batch.get(place).map(|candidate| (*search, candidate))
        };
        batches.iter().filter_map(of)
    };
    (0..longest.unwrap_or_default()).flat_map(turn).collect()
}

impl<'f> Search<'f> {
    fn new(file: &'f File) -> Self {
        let behind = file.last().cloned();
        Self {
            file,
            is_done: AtomicBool::new(false),
            has_wrong: AtomicBool::new(false),
            read: AtomicUsize::new(0),
            read_bytes: AtomicU64::new(0),
            wrong: Mutex::default(),
            reason: Mutex::default(),
            next: Mutex::new(Next {
                has_more: behind.is_some(),
                behind,
                batch: Vec::new(),
            }),
        }
    }

    /// Whether it was found.
    fn is_over(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        !self.is_over() && !self.is_given_up() && self.next.lock().has_more
    }

    /// Whether so much of it was read that no more is.
    fn is_given_up(&self) -> bool {
        self.read.load(Ordering::Relaxed) >= MOST_READ
            || self.read_bytes.load(Ordering::Relaxed) >= MOST_READ_BYTES
    }

    fn is_known(&self, candidate: &Candidate) -> bool {
        let known = candidate.sum.map(|sum| (candidate.size_bytes, sum));
        known.is_some_and(|known| self.wrong.lock().contains(&known))
    }

    /// Takes note of what is wrong; what there is no room for is read again.
    fn note_wrong(&self, candidate: &Candidate, known: &AtomicUsize) {
        self.has_wrong.store(true, Ordering::Relaxed);
        let mut wrong = self.wrong.lock();
        if let Some(sum) = candidate.sum
            && wrong.len() < MOST_KNOWN
            && known.load(Ordering::Relaxed) < MOST_KNOWN_OF_ALL
            && wrong.insert((candidate.size_bytes, sum))
        {
            known.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lists what is tried next.
    fn list_more(&self, source: &Source<'_>, most: usize) -> Result<()> {
        let behind = self.next.lock().behind.clone();
        let is_known = |candidate: &Candidate| self.is_known(candidate);
        let name = self.file.name;
        let (batch, has_more) = list_more(source, name, behind.as_ref(), most, is_known)?;
        let mut next = self.next.lock();
        next.has_more = has_more;
        if let Some(last) = batch.last() {
            next.behind = Some(last.clone());
        }
        next.batch = batch;
        Ok(())
    }

    /// Why it was not found.
    fn why(&self) -> String {
        if self.is_given_up() {
            let read = self.read.load(Ordering::Relaxed);
            return format!(
                "none of the {read} versions that were read has its name, and no more are read: say \
                 --as-of with a time before somebody put them there"
            );
        }
        if let Some(reason) = self.reason.lock().take() {
            return reason;
        }
        match self.has_wrong.load(Ordering::Relaxed) {
            true => "none of its versions has its name".to_owned(),
            false => "its versions have sizes that no such file has".to_owned(),
        }
    }
}
