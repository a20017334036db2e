//! A rehearsed restore: one copy alone, to a folder that goes again, by our code and by stock restic.
//!
//! ```text
//! open one copy, without any other ─▶ its newest snapshot of a source ─▶ how much, and is there room
//!     ─▶ restore, and take the time ─▶ read back against the snapshot's blobs ─▶ against the source,
//!     for information ─▶ the same by restic, read back too, and both trees compared ─▶ the source's
//!     own check ─▶ all of it removed
//! ```
//! What can go wrong: siblings make good what this copy has lost (so: nothing of them is opened), a
//! disk fills up (so: room is looked for first, by the trees and not by what the snapshot says of
//! itself, and watched), a snapshot is dated so that it is the newest for ever (so: [`choice`]), and
//! a part of the files is always the same one (so: parts follow from the files' paths, and the part
//! that is due is remembered).
//!
//! **Architecture invariant:** [`Alone`] is made from one copy. Nothing in here has another.

mod alone;
mod check;
mod choice;
mod compare;
mod count;
mod program;
mod restic;
mod scratch;
mod secrets;
mod watch;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_model::config::{Source, SourceKind};
use strongroom_model::evidence::{RestoreDrill, Share};
use strongroom_model::{ByteSize, CopyEvidence, Id};

use crate::progress::Progress;
use crate::read_set::{Damage, ReadSet};
use crate::restore::part::Part;
use crate::restore::report::{Counts, RestoreError, RestoreReport, RestoreWarning};
use crate::restore::{Pass, RestoreOptions, locking};
use crate::session::{Cancel, Environment};
use crate::snapshots::{FoundSnapshot, Snapshots};
use crate::{Error, Result};

pub use alone::Alone;
pub use check::Checked;
pub use compare::Live;
pub use count::Totals;
use count::{Counted, count, parts_of};
pub use restic::{ByRestic, Restic};
use scratch::Scratch;
pub use scratch::remove_remnants;

/// What a file takes beside its bytes: the rest of its last block.
const BLOCK_BYTES: u64 = 4096;

/// How many things that restic did otherwise are named.
const NAMED: usize = 20;

/// How a restore is rehearsed.
#[derive(Debug)]
pub struct DrillOptions {
    /// How many of a hundred files are restored, 1 to 100; rounded down to equal parts.
    pub share: u8,
    /// Where the folder is made that takes what is restored.
    pub into: PathBuf,
    /// Whether that folder stays.
    pub keep: bool,
    /// What the restore may take of the machine.
    pub limits: RestoreOptions,
    /// Stock restic with the way to this copy, or why it is not tried.
    pub restic: std::result::Result<Restic, String>,
}

/// One rehearsal: of what, how, and who hears of it.
pub struct DrillTask<'a> {
    /// The snapshots that the copy can show.
    pub snapshots: &'a Snapshots,
    /// The source whose newest snapshot is restored.
    pub source: &'a Source,
    /// What was shown of the copy, which tells which share is due.
    pub evidence: &'a CopyEvidence,
    /// How.
    pub options: &'a DrillOptions,
    /// Who runs, and how to stop it.
    pub environment: &'a Environment,
    /// Where it is told how far it is.
    pub progress: &'a Progress,
    /// Hears what room it takes before anything is written.
    pub tell: &'a dyn Fn(&Room),
}

/// What a rehearsal needs where it restores to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// The folder.
    pub folder: PathBuf,
    /// How much is to be restored, once.
    pub restored: Totals,
    /// How many bytes all of it takes; twice as much where restic restores too.
    pub needed_bytes: u64,
    /// How many are free.
    pub free_bytes: u64,
}

/// What came of restoring one source from one copy alone.
#[derive(Debug, Clone, Serialize)]
pub struct SourceDrill {
    /// The copy.
    pub copy: String,
    /// The source.
    pub source: String,
    /// When it began.
    pub at: Timestamp,
    /// The newest snapshot of the source on this copy.
    pub snapshot: Id,
    /// When that was made, as it claims.
    pub time: Timestamp,
    /// How much of it was restored.
    pub share: Share,
    /// What the snapshot holds.
    pub whole: Totals,
    /// What was restored.
    pub restored: Counts,
    /// How long that took, in seconds, until it was on disk.
    pub seconds: f64,
    /// How many files could not be restored whole, or were not what was backed up.
    pub error_count: u64,
    /// The first of them.
    pub errors: Vec<RestoreError>,
    /// What this user or this filesystem cannot do.
    pub warnings: Vec<RestoreWarning>,
    /// Packs that the copy could not give.
    pub damaged: Vec<Damage>,
    /// What stock restic did.
    pub restic: ByRestic,
    /// What the source's own check found.
    pub check: Checked,
    /// How it stands to the source as it is now; `None` where that is not here.
    pub live: Option<Live>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Where it stays.
    pub kept: Option<PathBuf>,
}

/// What of a snapshot is restored.
struct Chosen {
    share: Share,
    part: Option<Part>,
    /// What the snapshot holds, and what is restored of it.
    whole: Totals,
    restored: Totals,
    /// Of a share, names that can be given to restic.
    named: Option<Vec<Vec<u8>>>,
}

/// Restores the newest snapshot of a source whose time can be believed from a copy alone, and
/// compares what came of it.
///
/// # Errors
/// [`Error::NoSnapshot`] where the copy has none such, [`Error::NoRoom`], [`Error::TooManyNames`],
/// [`Error::Locked`], [`Error::NoCopy`] where the copy went away, [`Error::Interrupted`]; where the
/// folder cannot be made. What cannot be restored is part of what is returned.
pub fn drill(alone: &mut Alone, task: &DrillTask<'_>) -> Result<SourceDrill> {
    let now = (task.environment.clock)();
    let came = alone
        .memory
        .as_ref()
        .map(|memory| choice::came(memory, &alone.copy));
    let came = came.unwrap_or_default();
    let choice = choice::choose(task.snapshots, task.source.name.as_str(), &came, now)?;
    task.progress.begin("reading the index", None, None);
    let mut locking = locking::acquire(&mut alone.session, task.environment)?;
    let rehearsal = Rehearsal {
        alone,
        task,
        found: choice.found,
    };
    let outcome = rehearsal.run();
    locking.release();
    if let Some(memory) = &alone.memory {
        remove_remnants(memory);
    }
    let mut drill = outcome?;
    drill.notes.splice(0..0, locking.notes);
    drill.notes.splice(0..0, choice.notes);
    Ok(drill)
}

impl SourceDrill {
    /// Whether what was restored is what was backed up.
    pub const fn matched(&self) -> bool {
        self.error_count == 0
    }

    /// Whether nothing was found wrong, by us, by restic or by the source's own check.
    pub fn is_good(&self) -> bool {
        let said = [self.restic.agrees(), self.check.passed()];
        self.matched() && !said.contains(&Some(false))
    }

    /// What is remembered of it.
    ///
    /// # Errors
    /// Where the copy or the source has a name that no configuration can have.
    pub fn record(&self) -> Result<RestoreDrill> {
        Ok(RestoreDrill {
            at: self.at,
            source: self.source.parse()?,
            bytes: self.restored.bytes,
            seconds: Duration::try_from_secs_f64(self.seconds).map_or(0, |time| time.as_secs()),
            matched: self.matched(),
            copy: Some(self.copy.parse()?),
            snapshot: Some(self.snapshot),
            share: self.share,
            restic: self.restic.agrees(),
            check: self.check.passed(),
        })
    }
}

/// One rehearsal under way.
struct Rehearsal<'a> {
    alone: &'a Alone,
    task: &'a DrillTask<'a>,
    found: &'a FoundSnapshot,
}

impl Rehearsal<'_> {
    fn run(&self) -> Result<SourceDrill> {
        let (options, cancel) = (self.task.options, &self.task.environment.cancel);
        let set = ReadSet::load(&self.alone.session, self.found.id, cancel)?;
        let chosen = self.choose(&set)?;
        let room = self.room(&chosen)?;
        (self.task.tell)(&room);
        let scratch = Scratch::make_in(&options.into)?;
        if let Some(memory) = &self.alone.memory {
            scratch.note_in(memory);
        }
        let temporary = scratch.folder("temporary")?;
        let ours = scratch.path().join("restored");

        let at = (self.task.environment.clock)();
        let began = Instant::now();
        let least_free = watch::least_free(room.free_bytes, room.needed_bytes);
        let restored = watch::within_room(&options.into, least_free, cancel, |cancel| {
            self.pass(&set, chosen.part.clone(), cancel).restore(&ours)
        })?;
        let took = began.elapsed();
        let read = self
            .pass(&set, chosen.part.clone(), cancel)
            .read_back(&ours)?;
        let live = match self.task.source.kind {
            SourceKind::Folder { .. } if self.is_of_this_host() => {
                self.task
                    .progress
                    .begin("comparing with the source", None, None);
                Some(compare::with_source(&ours, cancel)?)
            }
            SourceKind::Folder { .. } | SourceKind::Command { .. } => None,
        };
        let mut notes = Vec::new();
        let restic = match &options.restic {
            Ok(restic) => {
                let theirs = Theirs {
                    restic,
                    ours: &ours,
                    took,
                    folder: scratch.path().join("restored-by-restic"),
                    temporary: &temporary,
                    least_free,
                };
                self.by_restic(&theirs, &set, &chosen, &mut notes)?
            }
            Err(reason) => ByRestic::Untried {
                reason: reason.clone(),
            },
        };
        let check = match (&self.task.source.check, chosen.share) {
            (None, _) => Checked::None,
            (Some(command), Share::All) => {
                self.task.progress.begin("checking", None, None);
                let paths = &self.found.snapshot.paths;
                check::check(command, &ours, paths, &temporary, cancel)?
            }
            (Some(_), _) => Checked::Skipped {
                reason: "a share of the files is not what it looks at".to_owned(),
            },
        };
        let (error_count, errors) = both(restored.errors, restored.error_count, &read);
        notes.splice(0..0, read.notes);
        self.task
            .progress
            .begin("removing what was restored", None, None);
        let kept = match options.keep {
            true => Some(scratch.keep()?),
            false => {
                notes.extend(scratch.remove().err());
                None
            }
        };
        Ok(SourceDrill {
            copy: self.alone.copy.name.clone(),
            source: self.task.source.name.to_string(),
            at,
            snapshot: self.found.id,
            time: self.found.time(),
            share: chosen.share,
            whole: chosen.whole,
            restored: restored.restored,
            seconds: took.as_secs_f64(),
            error_count,
            errors,
            warnings: restored.warnings,
            damaged: read.damaged,
            restic,
            check,
            live,
            notes,
            kept,
        })
    }

    fn pass<'s>(
        &'s self,
        set: &'s ReadSet<'s>,
        part: Option<Part>,
        cancel: &'s Cancel,
    ) -> Pass<'s> {
        let snapshot = (self.found.id, &self.found.snapshot);
        let limits = &self.task.options.limits;
        Pass::over(set, snapshot, part, limits, cancel, self.task.progress)
    }

    /// Whether the snapshot was made here, so that the source can be looked at.
    fn is_of_this_host(&self) -> bool {
        self.found.snapshot.hostname == self.task.environment.hostname
    }

    /// What is restored: everything, or the share that is due.
    fn choose(&self, set: &ReadSet<'_>) -> Result<Chosen> {
        let of = parts_of(self.task.options.share);
        self.task.progress.begin("counting files", None, None);
        let source = &self.task.source.name;
        let seed = Id::of(format!("{}\0{source}", self.alone.session.id()).as_bytes());
        let counted_in = |of: u32| -> Result<Counted> {
            let tree = self.found.snapshot.tree;
            count(set, tree, (&seed, of), &self.task.environment.cancel)
        };
        let mut counted = counted_in(of)?;
        // Of few names there are no more parts than that.
        let names = u32::try_from(counted.names).unwrap_or(u32::MAX);
        let of = match of > names.max(1) {
            true => {
                counted = counted_in(names.max(1))?;
                names.max(1)
            }
            false => of,
        };
        if of == 1 {
            return Ok(Chosen::everything(counted.whole));
        }
        let due = self.task.evidence.next_part(source, of);
        Ok(match counted.due(due) {
            None => Chosen::everything(counted.whole),
            Some((number, part)) => Chosen {
                share: Share::Slice { number, of },
                part: Some(Part::Slice { seed, number, of }),
                whole: counted.whole,
                restored: part.totals,
                named: Some(part.named()),
            },
        })
    }

    /// Looks whether there is room for what is chosen.
    fn room(&self, chosen: &Chosen) -> Result<Room> {
        let folder = &self.task.options.into;
        let times = 1 + u64::from(self.task.options.restic.is_ok());
        let Totals { files, bytes } = chosen.restored;
        let one = bytes.saturating_add(files.saturating_mul(BLOCK_BYTES));
        let needed_bytes = one.saturating_mul(times);
        let free = scratch::free(folder)?;
        let no_room = |reason: String| Error::NoRoom {
            path: folder.clone(),
            reason,
        };
        if needed_bytes > free.bytes {
            let said = |bytes| ByteSize::from_bytes(bytes).spoken();
            let (needed, free) = (said(needed_bytes), said(free.bytes));
            return Err(no_room(format!("{needed} are needed, and {free} are free")));
        }
        if files.saturating_mul(times) > free.files {
            let text = format!(
                "{files} files are to be restored, {times} times, and it takes {} more",
                free.files
            );
            return Err(no_room(text));
        }
        Ok(Room {
            folder: folder.clone(),
            restored: chosen.restored,
            needed_bytes,
            free_bytes: free.bytes,
        })
    }

    /// Lets stock restic restore the same, and compares what lies there then.
    fn by_restic(
        &self,
        theirs: &Theirs<'_>,
        set: &ReadSet<'_>,
        chosen: &Chosen,
        notes: &mut Vec<String>,
    ) -> Result<ByRestic> {
        let cancel = &self.task.environment.cancel;
        self.task
            .progress
            .begin("restoring with restic", None, None);
        let version = match theirs.restic.version(theirs.temporary, cancel)? {
            Ok(version) => version,
            Err(reason) => return Ok(ByRestic::Untried { reason }),
        };
        let program = theirs.restic.program.display().to_string();
        let named = chosen.named.as_deref();
        let restore = |cancel: &Cancel| {
            theirs.restic.restore(
                self.found.id,
                &theirs.folder,
                named,
                theirs.took,
                theirs.temporary,
                cancel,
            )
        };
        let into = &self.task.options.into;
        let (seconds, fault) = watch::within_room(into, theirs.least_free, cancel, restore)?;
        let now = (self.task.environment.clock)();
        let ended = theirs.restic.ends.filter(|ends| *ends <= now);
        if let (Some(fault), Some(ended)) = (&fault, ended) {
            // Whether it would have come to its end with the copy is not known.
            let reason = format!("the account that it was lent ended at {ended:.0}: {fault}");
            return Ok(ByRestic::Untried { reason });
        }
        if !theirs.folder.is_dir() {
            let fault = fault.unwrap_or_else(|| "it restored nothing".to_owned());
            let differences = vec![fault];
            return Ok(ByRestic::Differs {
                version,
                program,
                differences,
            });
        }
        let part = named.map(|named| Part::Named(named.iter().cloned().collect()));
        let back = self.pass(set, part, cancel).read_back(&theirs.folder)?;
        let compared = compare::trees(theirs.ours, &theirs.folder, named.is_none(), cancel)?;
        let wrong = back.errors.iter().take(NAMED);
        let mut differences: Vec<String> = wrong
            .map(|error| format!("{}: {}", error.path, error.message))
            .collect();
        differences.extend(compared.differences);
        if differences.is_empty() {
            let complaint =
                |fault: String| format!("{version} restored the same, and says: {fault}");
            notes.extend(fault.map(complaint));
            let files = back.verified.map_or(compared.files, |counts| counts.files);
            return Ok(ByRestic::Same {
                version,
                program,
                files,
                seconds,
            });
        }
        differences.extend(fault);
        Ok(ByRestic::Differs {
            version,
            program,
            differences,
        })
    }
}

/// What restic is asked for.
struct Theirs<'a> {
    restic: &'a Restic,
    /// What we restored, and how long that took.
    ours: &'a Path,
    took: Duration,
    /// Where it restores to.
    folder: PathBuf,
    temporary: &'a Path,
    /// How many bytes must stay free.
    least_free: u64,
}

impl Chosen {
    fn everything(whole: Totals) -> Self {
        Self {
            share: Share::All,
            part: None,
            whole,
            restored: whole,
            named: None,
        }
    }
}

/// What could not be restored, and what was read back wrong beside it. A file that was not restored
/// is no other error when it is not there to be read.
fn both(
    mut errors: Vec<RestoreError>,
    error_count: u64,
    read: &RestoreReport,
) -> (u64, Vec<RestoreError>) {
    let known: std::collections::BTreeSet<String> =
        errors.iter().map(|error| error.path.clone()).collect();
    let others = read.errors.iter();
    errors.extend(others.filter(|error| !known.contains(&error.path)).cloned());
    let count = error_count.max(read.error_count).max(errors.len() as u64);
    (count, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_restored_is_one_error() {
        let error = |path: &str| RestoreError {
            path: path.to_owned(),
            message: "it is gone".to_owned(),
        };
        let read = |paths: &[&str]| RestoreReport {
            error_count: paths.len() as u64,
            errors: paths.iter().map(|path| error(path)).collect(),
            ..RestoreReport::default()
        };
        let counted = |errors: &[&str], back: &[&str]| {
            let errors: Vec<_> = errors.iter().map(|path| error(path)).collect();
            let count = errors.len() as u64;
            both(errors, count, &read(back)).0
        };
        assert_eq!(counted(&[], &[]), 0);
        assert_eq!(counted(&["/a"], &["/a"]), 1);
        assert_eq!(counted(&[], &["/a"]), 1);
        assert_eq!(counted(&["/a"], &["/b"]), 2);
    }
}
