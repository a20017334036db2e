//! Recovery: what an intruder has hidden or overwritten on a copy that keeps versions, brought back
//! with nothing but that copy's credentials.
//!
//! ```text
//! list versions of every type ──▶ choose per file ──▶ read, hash ──right──▶ write it out, or remove
//!                                     ▲                   │                 what hides it
//!                                     └── another one ◀───┘ wrong
//! ```
//! What can go wrong: versions without number, put there so that nobody finds the right one (so: a few
//! of each file are known at a time, and no file waits for another), a run that is killed (so: it is
//! run again, and what is there already is not read again), and a wrong place to recover to, where two
//! repositories would mingle (so: it is looked at first).
//!
//! Files come in the order in which a copy may receive them: a snapshot comes last, when the newest and
//! the oldest version of everything were tried; what is found later comes behind it. One of which
//! something could not be recovered comes all the same, and is named where that can be told.

mod config;
mod error;
mod files;
mod hiding;
mod in_place;
mod locking;
mod needs;
mod opening;
mod report;
mod same_place;
mod search;
mod source;
mod target;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use jiff::Timestamp;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::{Key, Repository};
use strongroom_store::{Error as StoreError, LocalStore, Store};

pub use error::RecoverError;
pub(crate) use opening::open_hidden;
pub use report::{ConfigChoice, IncompleteSnapshot, LeftOut, NotRecovered, RecoverReport};

use crate::listing::Files;
use crate::progress::Progress;
use crate::recover::config::ChosenConfig;
use crate::recover::files::File;
use crate::recover::report::Tally;
use crate::recover::search::{Attempt, Trying};
use crate::recover::source::Source;
use crate::recover::target::Target;
use crate::right_version::Candidate;
use crate::session::{CopyStore, Environment, Password};
use crate::state::StateFolder;
use crate::sync::budget::Budget;
use crate::{Error, Result};

/// The types with hash names, in the order in which a copy may receive them.
const KINDS: [FileType; 5] = [
    FileType::Keys,
    FileType::Data,
    FileType::Index,
    FileType::Records,
    FileType::Snapshots,
];

/// Where the files are to be afterwards.
#[derive(Debug, Clone)]
pub enum Destination {
    /// In a folder, which is made where it does not exist.
    Folder(PathBuf),
    /// On another copy.
    Copy(CopyStore),
    /// Where they were: on the copy itself.
    InPlace,
}

/// How to recover.
#[derive(Clone)]
pub struct RecoverOptions {
    /// Only what was made by then counts, by the clock of the place.
    pub as_of: Option<Timestamp>,
    /// Whether nothing is written anywhere: it lists, and reads `config` and the key files by which
    /// that is chosen, so that it chooses the one that the real run does.
    pub dry_run: bool,
    /// Whether the records of what was removed on purpose are left out.
    pub without_records: bool,
    /// The password of the repository, where there is one.
    pub password: Option<Password>,
    /// Where locks are noted, so that after a kill the next run knows its own; nothing else of it is
    /// used, and it is done without where there is none.
    pub state: Option<StateFolder>,
    /// How many bytes of files may be in memory at a time, where a place takes whole files only; and as
    /// many of what is known of their names, but a gibibyte at least.
    pub memory_bytes: u64,
}

/// The files of each type.
type ByKind = [(FileType, Vec<File>)];

/// Recovers what lies on a copy, whatever hides it. In place it does so under restic's exclusive lock,
/// where the password opens a key; else it does without, and that is noted.
///
/// # Errors
/// [`Error::Locked`] where somebody is at work there; [`Error::Recover`] before anything is written, and
/// where there is no room; [`Error::Repo`] where there never was a repository; [`Error::Store`] where a
/// place fails in the midst of it: then it can be run again.
pub fn recover(
    copy: &CopyStore,
    destination: &Destination,
    options: &RecoverOptions,
    environment: &Environment,
    progress: &Progress,
) -> Result<RecoverReport> {
    let began = (environment.clock)();
    let as_of = options
        .as_of
        .map(|time| SystemTime::try_from(time).unwrap_or(SystemTime::UNIX_EPOCH));
    let source = Source::new(copy, as_of, options.memory_bytes, &environment.cancel)?;
    let into = place_of(copy, destination)?;

    progress.begin("Listing versions", None, None);
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    let is_wanted = |kind: &FileType| *kind != FileType::Records || !options.without_records;
    for kind in KINDS.into_iter().filter(is_wanted) {
        let listed = files::list(&source, kind, progress)?;
        left_out.extend(listed.left_out_ns.map(|since| left_out_of(kind, since)));
        files.push((kind, listed.files));
    }
    let mut config_file = files::list(&source, FileType::Config, progress)?.files;
    let config_file = config_file.pop();
    if config_file.is_none() && files.iter().all(|(_, files)| files.is_empty()) {
        return Err(nothing(&source, options.as_of));
    }

    let mut report = RecoverReport {
        copy: copy.name.clone(),
        as_of: options.as_of,
        dry_run: options.dry_run,
        left_out,
        ..RecoverReport::default()
    };
    report.tell_left_out();
    let (chosen, key) = choose_config(&source, &files, config_file.as_ref(), options, &mut report)?;
    let key_id = key.as_ref().map(|(_, id)| *id);
    let all = || files.iter().flat_map(|(_, of)| of).chain(&config_file);
    report.behind_markers = all().filter(|file| file.is_hidden).count() as u64;
    let budget = Budget::new(options.memory_bytes);
    let target = into.as_ref().map(|into| into.target(&budget));
    if let Some(target) = &target {
        let bytes = chosen.as_ref().map(|chosen| chosen.bytes.as_slice());
        target.check(&source, bytes, &files)?;
    }
    if options.dry_run {
        foresee(&files, config_file.as_ref(), target.as_ref(), &mut report)?;
        return Ok(report);
    }

    let locks = match &target {
        Some(_) => None,
        None => {
            let opened = key.zip(chosen.as_ref()).and_then(|((key, id), chosen)| {
                let bytes = chosen.bytes.clone();
                Repository::of(key, id, bytes, source.store.location()).ok()
            });
            let memory = options.state.as_ref().zip(opened.as_ref());
            let memory = memory.map(|(state, opened)| state.repository(opened.config().id));
            locking::lock(copy, opened, memory, environment, &mut report.notes)?
        }
    };
    let bytes = all().fold(0_u64, |sum, file| sum.saturating_add(file.size_bytes()));
    progress.begin("Recovering", Some(all().count() as u64), Some(bytes));
    let tally = Tally::default();
    let work = Work {
        source: &source,
        target: target.as_ref(),
        budget: &budget,
        tally: &tally,
        progress,
    };
    if let Some(target) = &target {
        target.store.create()?;
    }
    let config = (config_file.as_ref(), chosen.as_ref());
    let brought = work.bring_all(&files, config, &mut report.notes);
    brought.map_err(|error| no_room(copy, error))?;
    drop(locks);
    tally.tell(&mut report);
    if report.files == 0
        && report.already_there == 0
        && let Some(refusal) = source.may_not_read()
    {
        return Err(refusal);
    }
    if report.not_recovered_count > 0
        && let (Some(target), Some(password)) = (&target, &options.password)
        && target.is_near
    {
        progress.begin("Looking at snapshots", None, None);
        let (cancel, notes) = (&environment.cancel, &mut report.notes);
        report.incomplete = needs::incomplete(target.store, password, key_id, cancel, notes)?;
    }
    let ended = (environment.clock)();
    report.seconds = u64::try_from(ended.duration_since(began).as_secs()).unwrap_or_default();
    Ok(report)
}

impl fmt::Debug for RecoverOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverOptions")
            .field("as_of", &self.as_of)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

/// A place that gets the files.
enum Place {
    Folder(LocalStore),
    Copy(CopyStore),
}

impl Place {
    fn target<'t>(&'t self, budget: &'t Budget) -> Target<'t> {
        let (store, is_near): (&dyn Store, bool) = match self {
            Self::Folder(store) => (store, true),
            Self::Copy(copy) => (copy.store.as_ref(), copy.is_local),
        };
        Target {
            store,
            is_near,
            budget,
        }
    }
}

/// The place to recover to; `None` where that is the copy itself.
fn place_of(copy: &CopyStore, destination: &Destination) -> Result<Option<Place>> {
    Ok(match destination {
        Destination::InPlace => None,
        Destination::Folder(path) => {
            Target::check_folder(path)?;
            Some(Place::Folder(LocalStore::new(path)))
        }
        Destination::Copy(other) if same_place::are_one(copy, other) => {
            return Err(Error::from(RecoverError::IntoItself {
                copy: copy.name.clone(),
                into: other.name.clone(),
            }));
        }
        Destination::Copy(other) => Some(Place::Copy(other.clone())),
    })
}

/// That names which came at a time, in nanoseconds since 1970, or later were left out.
fn left_out_of(kind: FileType, since_ns: u64) -> LeftOut {
    let since = Timestamp::from_nanosecond(i128::from(since_ns));
    LeftOut {
        kind: kind.to_string(),
        since: since.unwrap_or(Timestamp::MAX),
    }
}

/// What it means that not all was brought: a place that is full may be so by what somebody has put there.
fn no_room(copy: &CopyStore, error: Error) -> Error {
    match error {
        Error::Store(source @ StoreError::Full { .. }) => Error::from(RecoverError::NoRoom {
            copy: copy.name.clone(),
            source: Box::new(source),
        }),
        error => error,
    }
}

/// That there is nothing to recover.
fn nothing(source: &Source<'_>, as_of: Option<Timestamp>) -> Error {
    let location = source.store.location().to_owned();
    match as_of {
        Some(as_of) => Error::from(RecoverError::NothingThen { location, as_of }),
        None => Error::Repo(strongroom_repo::Error::NoRepository { location }),
    }
}

/// The master key, and the file in which it was found.
type OpenedKey = (Key, Id);

/// Chooses a version of `config`, and finds the key file that the password opens; a password that opens
/// none is told, and does no harm.
fn choose_config(
    source: &Source<'_>,
    files: &ByKind,
    file: Option<&File>,
    options: &RecoverOptions,
    report: &mut RecoverReport,
) -> Result<(Option<ChosenConfig>, Option<OpenedKey>)> {
    let keys = files.iter().find(|(kind, _)| *kind == FileType::Keys);
    let key = match (&options.password, keys) {
        (Some(password), Some((_, keys))) => {
            let key = config::open_key(source, keys, password)?;
            if key.is_none() {
                let note = "The password opens no key of this copy: it was done without";
                report.notes.push(note.to_owned());
            }
            key
        }
        _ => None,
    };
    let chosen = match file {
        Some(file) => config::choose(source, file, key.as_ref().map(|(key, _)| key))?,
        None => None,
    };
    report.config = chosen.as_ref().map(|chosen| chosen.choice);
    if let Some((key, _)) = key.as_ref().filter(|_| !options.dry_run) {
        report.notes.extend(hiding::notes(source, files, key)?);
    }
    let key_id = key.as_ref().map(|(_, id)| *id);
    report.tell_keys(keys.map_or(0, |(_, keys)| keys.len()), key_id);
    Ok((chosen, key))
}

/// Counts what would be tried.
fn foresee(
    files: &ByKind,
    config: Option<&File>,
    target: Option<&Target<'_>>,
    report: &mut RecoverReport,
) -> Result<()> {
    for (kind, files) in files {
        let there = match target {
            Some(target) => Files::new(list_leniently(target.store, *kind)?),
            None => Files::default(),
        };
        for file in files {
            let size = file.name.id().and_then(|id| there.size_bytes(id));
            let is_there = size.is_some_and(|size| file.may_have(size));
            foresee_file(file, is_there, target, report);
        }
    }
    if let Some(file) = config {
        // Another one would have been refused before.
        let is_there = match target.map(|target| target.store.size(FileName::CONFIG)) {
            Some(Ok(_)) => true,
            Some(Err(StoreError::NotFound { .. })) | None => false,
            Some(Err(error)) => return Err(error.into()),
        };
        foresee_file(file, is_there, target, report);
    }
    Ok(())
}

fn foresee_file(
    file: &File,
    is_there: bool,
    target: Option<&Target<'_>>,
    report: &mut RecoverReport,
) {
    let is_seen = || file.candidates().any(|candidate| candidate.is_seen);
    match is_there || (target.is_none() && is_seen()) {
        true => report.already_there += 1,
        false => {
            report.files += 1;
            report.bytes = report.bytes.saturating_add(file.size_bytes());
        }
    }
}

/// Lists a type; one for which a place has no folder is empty there.
fn list_leniently(store: &dyn Store, kind: FileType) -> Result<Vec<FileEntry>> {
    match store.list(kind) {
        Err(
            StoreError::Denied { .. } | StoreError::BadAnswer { .. } | StoreError::Vault { .. },
        ) if kind == FileType::Records => Ok(Vec::new()),
        listed => listed.map_err(Error::from),
    }
}

/// What is done with the files.
struct Work<'a> {
    source: &'a Source<'a>,
    target: Option<&'a Target<'a>>,
    budget: &'a Budget,
    tally: &'a Tally,
    progress: &'a Progress,
}

impl Work<'_> {
    /// Brings all files to where they should be: of every type first those whose newest or oldest
    /// version is right, and then what takes longer.
    fn bring_all(
        &self,
        files: &ByKind,
        (config, chosen): (Option<&File>, Option<&ChosenConfig>),
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let attempt = |file: &File, candidate: &Candidate| self.attempt(file, candidate);
        let trying = Trying {
            source: self.source,
            attempt: &attempt,
            tally: self.tally,
            progress: self.progress,
            known: AtomicUsize::new(0),
        };
        let (mut left, mut left_records) = (Vec::new(), Vec::new());
        for (kind, files) in files {
            let swept = self.wanted(*kind, files);
            let swept = swept.and_then(|wanted| trying.sweep(&wanted));
            match *kind {
                FileType::Records => left_records = self.unless_refused(swept, notes)?,
                _ => left.append(&mut swept?),
            }
            if *kind == FileType::Keys {
                self.bring_config(config, chosen)?;
            }
        }
        trying.finish(&left)?;
        self.unless_refused(trying.finish(&left_records), notes)
    }

    /// The files of a type that are to be brought, those that came first before the others: whoever
    /// puts names of his own there comes after whoever made the repository.
    fn wanted<'f>(&self, kind: FileType, files: &'f [File]) -> Result<Vec<&'f File>> {
        let mut wanted = match self.target {
            Some(target) => target.lacking(self.source, kind, files, self.tally, self.progress)?,
            None => files.iter().collect(),
        };
        wanted.sort_unstable_by_key(|file| (file.since_ns(), file.name));
        Ok(wanted)
    }

    /// Tries a version, and brings it to where it should be where it is right.
    fn attempt(&self, file: &File, candidate: &Candidate) -> Result<Attempt> {
        match self.target {
            Some(target) => target.bring(self.source, file, candidate),
            None => in_place::show(self.source, self.budget, file, candidate),
        }
    }

    /// What came of records; a target that has no place for them is noted.
    fn unless_refused<T: Default>(&self, done: Result<T>, notes: &mut Vec<String>) -> Result<T> {
        match done {
            Err(Error::Store(error)) if self.target.is_some() => {
                let error = crate::session::chain(&error);
                notes.push(format!(
                    "Records of what was removed on purpose were not brought: {error}"
                ));
                Ok(T::default())
            }
            done => done,
        }
    }

    /// Brings `config` to where it should be.
    fn bring_config(&self, file: Option<&File>, chosen: Option<&ChosenConfig>) -> Result<()> {
        let name = FileName::CONFIG;
        let (Some(file), Some(chosen)) = (file, chosen) else {
            let reason = match file {
                Some(_) => "no version of it is right, or can be read",
                None => "there is no version of it",
            };
            self.tally.not_recovered(name, reason.to_owned());
            self.progress.add_error();
            return Ok(());
        };
        let store = self.target.map_or(self.source.store, |target| target.store);
        let is_there = match store.read(name) {
            Ok(there) => there == chosen.bytes,
            Err(StoreError::NotFound { .. } | StoreError::TooLarge { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let size_bytes = chosen.bytes.len() as u64;
        if !is_there {
            let bytes = chosen.bytes.clone();
            match self.target {
                Some(target) => target::save(target.store, name, bytes)?,
                None => {
                    let candidate = &chosen.candidate;
                    in_place::bring_into_sight(self.source, name, candidate, bytes)?;
                }
            }
        }
        let told = |one: &Candidate| (one.size_bytes, one.sum);
        let is_other = |one: &Candidate| told(one) != told(&chosen.candidate);
        if file.candidates().any(is_other) {
            self.tally.overwritten();
        }
        self.tally.done(size_bytes, !is_there);
        self.progress.add_files(1);
        self.progress.add_bytes(size_bytes);
        Ok(())
    }
}
