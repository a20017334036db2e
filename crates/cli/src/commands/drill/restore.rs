//! `strongroom drill restore`.

mod restic;
mod telling;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use strongroom_engine::drill::restore::{
    Alone, DrillOptions, DrillTask, Restic, Room, SourceDrill, drill, remove_remnants,
};
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::session::{Looking, Password, chain};
use strongroom_engine::state::StateFolder;
use strongroom_engine::{CopyStore, Environment};
use strongroom_model::config::Source;
use strongroom_model::evidence::{RestoreDrill, Share};
use strongroom_model::{BackupCopy, Config, CopyEvidence, FileName, FileType, Id, Name};

use crate::commands::backup;
use crate::context::Context;
use crate::copies;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::output::visible;
use crate::password::Ask;
use crate::words::{count, size};
use crate::{locking, state_folder};

/// Restore from one copy alone, and see whether all of it came back
///
/// Each copy in turn, or the one that --copy names, is opened without any other, and the newest
/// snapshot of each source restored from it to a folder that is removed at the end, also after an
/// error and Ctrl-C. What lies there is read back and compared with what was backed up; where stock
/// restic is installed, it restores the same copy beside it, and both must be the same; and the
/// check of the source is run, where one is named in strongroom.toml. That the source itself has
/// changed since is told, and says nothing of the copy.
///
/// The folder takes up to twice as much room as what is restored; that is looked for first. It is
/// made in the system's folder for temporary files, or in --into.
///
/// With --share, so many percent of the files are restored: each time the next, so that all come
/// around. Checks of sources are left out then, and restic is asked for some hundred of these files.
///
/// The exit status is 1 where a copy did not give back what was saved on it, and 3 where a drill
/// could not be done at all, as with a copy that is away.
///
/// Examples:
///   strongroom drill restore
///   strongroom drill restore --copy vault --source repos --into /srv/scratch
///   strongroom drill restore --copy offsite --share 5%
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// From this copy; without it, from each copy in turn
    #[arg(long, value_name = "NAME")]
    copy: Option<String>,
    /// How much of the files, in percent; each time the next part
    #[arg(long, value_name = "N%", default_value = "100%", value_parser = parse_share)]
    share: u8,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The folder in which to restore; on the same disk as what would be restored for good
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Leave what was restored where it is
    #[arg(long)]
    keep: bool,
}

/// What came of all drills.
#[derive(Default)]
struct Outcome {
    drills: Vec<SourceDrill>,
    /// Copies that do not open by themselves.
    failed: Vec<NotDone>,
    /// What could not be rehearsed.
    not_done: Vec<NotDone>,
}

/// Why there was no drill.
#[derive(Debug, Clone, Serialize)]
struct NotDone {
    copy: String,
    /// `None` where it is the copy as a whole.
    source: Option<String>,
    reason: String,
}

/// What all drills of a run have in common.
struct Run<'a> {
    context: &'a Context,
    config: &'a Config,
    sources: Vec<&'a Source>,
    password: &'a Password,
    state: &'a StateFolder,
    environment: Environment,
    options: &'a Args,
    into: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let copies = context.copies(&config)?;
        let chosen = self.chosen_copies(&config, &copies.stores)?;
        let sources = backup::chosen(&config, self.source.as_slice())?;
        let password = context.password(&config, Ask::Once)?;
        let state = state_folder::choose()?;
        // Whoever holds a copy is met as in every command, and their alarms are told.
        context.meet(&copies, &state, || (), |()| BTreeSet::new())?;
        let environment = context.environment();
        if let Some(memory) = state.remembered(&copies.stores) {
            let now = (environment.clock)();
            locking::tell_alarms(&context.output, &copies.stores, &memory, now);
        }
        let into = self.into.clone().unwrap_or_else(std::env::temp_dir);
        let into = into
            .canonicalize()
            .map_err(Error::local(format!("restore in {}", into.display())))?;
        let run = Run {
            context,
            config: &config,
            sources,
            password: &password,
            state: &state,
            environment,
            options: &self,
            into,
        };
        let outcome = run.all(&chosen)?;
        telling::tell(&context.output, &outcome)?;
        Ok(outcome.exit())
    }

    fn chosen_copies<'c>(
        &self,
        config: &'c Config,
        stores: &'c [CopyStore],
    ) -> Result<Vec<(&'c BackupCopy, &'c CopyStore)>> {
        if let Some(name) = &self.copy {
            copies::named(config, name)?;
        }
        let is_wanted = |copy: &BackupCopy| {
            let wanted = self.copy.as_deref();
            wanted.is_none_or(|wanted| copy.name.as_str() == wanted)
        };
        let all = config.copies.iter().zip(stores);
        Ok(all.filter(|(copy, _)| is_wanted(copy)).collect())
    }
}

impl Run<'_> {
    /// All copies, one after the other, so that none takes the line of another.
    fn all(&self, copies: &[(&BackupCopy, &CopyStore)]) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if let Ok(program) = Restic::installed() {
            let text = format!("Stock restic is {}", program.display());
            self.context.output.say(&visible(&text));
        }
        let mut repository: Option<Id> = None;
        // What a copy cannot do by itself counts once another one has shown that the password fits.
        let mut closed: Vec<(&CopyStore, strongroom_engine::Error)> = Vec::new();
        for &(configured, store) in copies {
            self.context.cancel.check()?;
            let looking = Looking::until(&self.context.cancel);
            let now = (self.environment.clock)();
            match Alone::open(store, self.password, &looking, Some((self.state, now))) {
                Err(error @ strongroom_engine::Error::Interrupted) => return Err(error.into()),
                Err(error) => closed.push((store, error)),
                Ok(alone) if !alone.predecessors().is_empty() => {
                    self.context.tell_predecessors(alone.predecessors());
                    let reason = "another repository was there before".to_owned();
                    outcome.failed.push(NotDone::of(store, reason));
                }
                Ok(alone) if repository.is_some_and(|first| first != alone.id()) => {
                    let reason = "it holds another repository than the others".to_owned();
                    outcome.failed.push(NotDone::of(store, reason));
                }
                Ok(alone) => {
                    repository = Some(alone.id());
                    self.copy(configured, store, alone, &mut outcome)?;
                }
            }
        }
        let Some(repository) = repository else {
            let first = closed.into_iter().next();
            return match first {
                Some((_, error)) => Err(error.into()),
                None => Ok(outcome),
            };
        };
        for (store, error) in closed {
            let not_done = NotDone::of(store, chain(&error));
            match is_verdict(&error) {
                true => {
                    self.remember_closed(store, repository);
                    outcome.failed.push(not_done);
                }
                false => outcome.not_done.push(not_done),
            }
        }
        Ok(outcome)
    }

    /// Each source of one copy.
    fn copy(
        &self,
        configured: &BackupCopy,
        store: &CopyStore,
        mut alone: Alone,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let (output, cancel) = (&self.context.output, &self.context.cancel);
        let memory = self.state.repository(alone.id());
        remove_remnants(&memory);
        alone.note_locks_in(memory.clone());
        self.context.tell_removals(alone.removals().tellings());
        let snapshots = alone.snapshots(cancel)?;
        for problem in &snapshots.problems {
            outcome.not_done.push(NotDone::of(store, problem.clone()));
        }
        let limits = &self.config.limits;
        let options = DrillOptions {
            share: self.options.share,
            into: self.into.clone(),
            keep: self.options.keep,
            limits: RestoreOptions {
                memory_bytes: limits.memory.bytes(),
                threads: limits.workers as usize,
                ..RestoreOptions::default()
            },
            restic: restic::for_copy(configured, self.password, self.context)?,
        };
        for source in &self.sources {
            let mut evidence = memory.evidence(store);
            evidence.move_to(alone.place());
            let tell = |room: &Room| output.say(&visible(&told(room, &store.name, source)));
            let monitor = Monitor::start(output);
            let task = DrillTask {
                snapshots: &snapshots,
                source,
                evidence: &evidence,
                options: &options,
                environment: &self.environment,
                progress: &monitor.progress,
                tell: &tell,
            };
            let drilled = drill(&mut alone, &task);
            drop(monitor);
            match drilled {
                Ok(drilled) => {
                    self.remember(store, &alone, &drilled);
                    telling::source(output, &drilled)?;
                    outcome.drills.push(drilled);
                }
                Err(error @ strongroom_engine::Error::Interrupted) => return Err(error.into()),
                Err(error) => {
                    let mut reason = chain(&error);
                    if let Some(hint) = error.hint() {
                        reason.push_str(&format!("; {hint}"));
                    }
                    outcome.not_done.push(NotDone {
                        source: Some(source.name.to_string()),
                        ..NotDone::of(store, reason)
                    });
                }
            }
        }
        Ok(())
    }

    /// Keeps what came of a drill, and what was found damaged on the way.
    fn remember(&self, store: &CopyStore, alone: &Alone, drilled: &SourceDrill) {
        let now = (self.environment.clock)();
        let noted = drilled.record().and_then(|record| {
            let change = |evidence: &mut CopyEvidence| {
                // What is told of another disk that lay there before is not told of this one.
                evidence.move_to(alone.place());
                evidence.record_restore(record);
                for damage in &drilled.damaged {
                    let file = FileName::new(FileType::Data, damage.pack).to_string();
                    evidence.record_damage(now, file, damage.reason.clone());
                }
            };
            let memory = self.state.repository(alone.id());
            memory.update_evidence(store, change)
        });
        if let Err(error) = noted {
            self.not_remembered(&error);
        }
    }

    /// Keeps that a copy does not open by itself: nothing can be restored from it alone.
    fn remember_closed(&self, store: &CopyStore, repository: Id) {
        let at = (self.environment.clock)();
        let copy: Option<Name> = store.name.parse().ok();
        let drills = self.sources.iter().map(|source| RestoreDrill {
            at,
            source: source.name.clone(),
            bytes: 0,
            seconds: 0,
            matched: false,
            copy: copy.clone(),
            snapshot: None,
            share: Share::All,
            restic: None,
            check: None,
        });
        let memory = self.state.repository(repository);
        let noted = memory.update_evidence(store, |evidence| {
            for drill in drills {
                evidence.record_restore(drill);
            }
        });
        if let Err(error) = noted {
            self.not_remembered(&error);
        }
    }

    fn not_remembered(&self, error: &strongroom_engine::Error) {
        let text = format!("The drill is not remembered: {}", chain(error));
        let hint = error.hint();
        self.context.output.warn(&visible(&text), hint.as_deref());
    }
}

impl Outcome {
    /// Whether everything came back that was asked for.
    fn is_good(&self) -> bool {
        self.failed.is_empty() && self.drills.iter().all(SourceDrill::is_good)
    }

    fn exit(&self) -> Exit {
        match self.is_good() {
            true => Exit::of(self.not_done.is_empty()),
            false => Exit::Failed,
        }
    }
}

impl NotDone {
    fn of(store: &CopyStore, reason: String) -> Self {
        Self {
            copy: store.name.clone(),
            source: None,
            reason,
        }
    }
}

/// Whether an error tells of what lies on a copy, rather than that it was not reached: a disk that
/// is not mounted looks as if there had never been anything.
fn is_verdict(error: &strongroom_engine::Error) -> bool {
    use strongroom_engine::Error as Engine;
    use strongroom_repo::Error as Repo;
    let Engine::Repo(error) = error else {
        return false;
    };
    !matches!(error, Repo::Store(_) | Repo::NoRepository { .. })
}

/// What is about to be restored, and what room it takes.
fn told(room: &Room, copy: &str, source: &Source) -> String {
    let files = count(room.restored.files, "file", "files");
    format!(
        "Restoring {files} ({}) of {} from {copy} alone: up to {} in {}, where {} are free",
        size(room.restored.bytes),
        source.name,
        size(room.needed_bytes),
        room.folder.display(),
        size(room.free_bytes),
    )
}

/// Reads a share: `5%`, from 1 to 100.
fn parse_share(text: &str) -> std::result::Result<u8, String> {
    let number = text.strip_suffix('%');
    let number: Option<u8> = number.and_then(|number| number.parse().ok());
    number
        .filter(|number| (1..=100).contains(number))
        .ok_or_else(|| "write a share from 1% to 100%, such as 5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_whole_number_of_percent() {
        assert_eq!(parse_share("1%"), Ok(1));
        assert_eq!(parse_share("100%"), Ok(100));
        for wrong in ["", "%", "0%", "101%", "5", "5.5%", "-1%", "x%", "1000%"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }
}
