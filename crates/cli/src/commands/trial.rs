//! `strongroom try`: the main job with nothing set up.
//!
//! It goes through the same functions as the commands that it stands for, so that what it shows is
//! what they do. Nothing outside its own folder is written, and the tried folder is only read.

mod area;
mod compare;
mod damage;
mod server;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::backup::{BackupOptions, backup, judge};
use strongroom_engine::init::init;
use strongroom_engine::progress::Progress;
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_engine::session::Looking;
use strongroom_engine::status::gather;
use strongroom_engine::verify::{Depth, VerifyOptions, VerifyReport, verify};
use strongroom_engine::{CopyStore, session};
use strongroom_model::evidence::{Share, Verifier, Verify};
use strongroom_model::{FileName, FileType, Id, Scorecard};
use strongroom_repo::key::ScryptCost;
use strongroom_store::Error as StoreError;

use crate::commands::restore::remember_damage;
use crate::commands::sync;
use crate::context::{Context, Opened};
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::output::visible;
use crate::words::{count, size};
use crate::{memory, program, scorecard, vaults};
use area::{Area, VAULT_COPY};

/// See it work on a folder, with nothing set up
///
/// Makes a working area of its own, a password, and three copies: two in folders, and one on a real
/// vault, which runs on loopback as long as the trial does. Backs DIR up; verifies; damages one copy
/// and heals it from the others; tries to delete from the vault with the very token that wrote
/// there; restores and compares with DIR; and prints the scorecard, which says honestly what three
/// copies on one disk are worth.
///
/// DIR is only read, and nothing outside the working area is written. Nothing is asked. The area
/// stays, to look around in; its last words tell how.
///
/// Examples:
///   strongroom try /etc
///   strongroom try ~/projects --at /var/tmp/strongroom-trial
#[derive(Debug, clap::Args)]
#[command(name = "try", verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// The folder to back up
    dir: PathBuf,
    /// The working area: a folder that is empty or does not exist
    #[arg(long, value_name = "PATH")]
    at: Option<PathBuf>,
}

/// A trial under way.
struct Trial<'a> {
    context: &'a Context,
    area: Area,
    copies: Vec<CopyStore>,
    opened: Opened,
    /// Whether everything so far was as it should be.
    is_good: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let dir = self
            .dir
            .canonicalize()
            .map_err(Error::local(format!("try {}", self.dir.display())))?;
        let area = Area::make(&dir, self.at.as_deref())?;
        let mut trial = Trial::start(context, area)?;
        let began = Instant::now();
        let report = trial.back_up()?;
        trial.check("verify", "Hashed every stored byte of all three copies")?;
        trial.damage_and_heal()?;
        trial.attack()?;
        if let Some(snapshot) = report.sources.first().and_then(|source| source.snapshot) {
            trial.restore_and_compare(snapshot, &dir)?;
        } else {
            trial.is_good = false;
        }
        let card = trial.judge()?;
        context.output.result(&trial.area.last_words(&dir))?;
        context.output.object(&Summary {
            message_type: "summary",
            good: trial.is_good,
            area: trial.area.path.display().to_string(),
            seconds: began.elapsed().as_secs_f64(),
            scorecard: &card,
        })?;
        Ok(match (report.has_snapshot(), trial.is_good) {
            (false, _) => Exit::Failed,
            (true, good) => Exit::of(good),
        })
    }
}

impl<'a> Trial<'a> {
    /// Makes the repository on three copies.
    fn start(context: &'a Context, area: Area) -> Result<Self> {
        let began = Instant::now();
        let config = area.config()?;
        let copies = context.copies(&config)?;
        let environment = context.environment();
        let stores = &copies.stores;
        let report = init(stores, &area.password, ScryptCost::default(), &environment)?;
        let looking = Looking::until(&context.cancel);
        let session = session::open(stores, &area.password, &looking)?;
        // Its log is as new as the trial: there is nothing to tell of it.
        let vaults = vaults::meet(&copies.vaults, &area.state(), (environment.clock)());
        let trial = Self {
            context,
            copies: copies.stores,
            opened: Opened {
                config,
                session,
                environment,
                state: area.state(),
                vaults,
            },
            area,
            is_good: report.is_complete(),
        };
        let place = trial.area.path.display();
        trial.step(
            "init",
            began,
            true,
            &format!("Made one repository on three copies in {place}, one of them on a vault"),
        )?;
        Ok(trial)
    }

    fn back_up(&mut self) -> Result<BackupReport> {
        let began = Instant::now();
        let monitor = Monitor::start(&self.context.output);
        let options = BackupOptions {
            limits: self.opened.config.limits.clone(),
            dry_run: false,
            estimate: self.context.output.shows_bars(),
        };
        let mut report = backup(
            &mut self.opened.session,
            &self.opened.config.sources,
            &options,
            &self.opened.environment,
            &monitor.progress,
        )?;
        sync::run(&mut self.opened, sync::Wishes::default(), &monitor.progress)?;
        drop(monitor);
        report.copies = judge(&self.opened.session, &report.sources);
        memory::backed_up(&self.opened, &report);
        let said = vaults::deliver(&self.opened);
        let mut text = String::from("Nothing was backed up");
        for source in &report.sources {
            if let Some(reason) = &source.failure {
                self.context.output.warn(&visible(reason), None);
            } else {
                text = format!(
                    "Read {} with {} once; each copy got the same {}",
                    count(source.stats.files_processed, "file", "files"),
                    size(source.stats.bytes_processed),
                    size(report.bytes_written),
                );
            }
            for error in &source.errors {
                self.context.output.warn(&visible(&error.to_string()), None);
            }
        }
        self.is_good &= report.is_complete();
        self.step("backup", began, report.is_complete(), &text)?;
        for said in said {
            let is_whole = said.whole == Some(true);
            self.is_good &= is_whole || !report.has_snapshot();
            let text = format!("The vault says of copy {}: {}", said.copy, said.word());
            self.step("vault", began, is_whole, &text)?;
        }
        Ok(report)
    }

    /// Tries to delete everything on the vault, with the token that put it there.
    fn attack(&mut self) -> Result<()> {
        let began = Instant::now();
        let Some(copy) = self.copies.iter().find(|copy| copy.name == VAULT_COPY) else {
            return Ok(());
        };
        let kinds = [FileType::Snapshots, FileType::Index, FileType::Data];
        let (mut tried, mut refused) = (0_u64, 0_u64);
        for kind in kinds {
            let before = copy.store.list(kind)?;
            for entry in &before {
                tried += 1;
                let removed = copy.store.remove(FileName::new(kind, entry.id));
                refused += u64::from(matches!(removed, Err(StoreError::Denied { .. })));
            }
            if copy.store.list(kind)? != before {
                refused = 0;
            }
        }
        let held = tried == refused;
        self.is_good &= held;
        let files = count(tried, "file", "files");
        let text = match held {
            true => format!("With the token that wrote {files} to the vault, none can be deleted"),
            false => format!("Of {files} on the vault, some could be deleted"),
        };
        self.step("attack", began, held, &text)
    }

    /// Verifies all copies, and expects them to be clean.
    fn check(&mut self, step: &'static str, text: &str) -> Result<()> {
        let began = Instant::now();
        let report = self.verify()?;
        for problem in &report.problems {
            self.context
                .output
                .warn(&visible(&problem.to_string()), None);
        }
        self.is_good &= report.is_clean();
        self.step(step, began, report.is_clean(), text)
    }

    fn damage_and_heal(&mut self) -> Result<()> {
        let began = Instant::now();
        let done = damage::damage(&self.area.copy("two"))?;
        let text = format!("On copy two: {done}");
        self.step("damage", began, true, &text)?;

        let began = Instant::now();
        let report = self.verify()?;
        let found = report
            .problems
            .iter()
            .filter(|problem| problem.copy == "two")
            .count();
        let is_found = found == done.files() && report.problems.len() == found;
        self.is_good &= is_found;
        let text = format!(
            "Found {} on copy two and none on the others",
            count(found as u64, "wrong file", "wrong files")
        );
        self.step("verify", began, is_found, &text)?;

        let began = Instant::now();
        let monitor = Monitor::start(&self.context.output);
        let wishes = sync::Wishes::default();
        let report = sync::run(&mut self.opened, wishes, &monitor.progress)?;
        drop(monitor);
        sync::warn_of(&self.context.output, &report, &[]);
        self.is_good &= report.is_complete();
        let healed: usize = report.copies.iter().map(|copy| copy.healed.len()).sum();
        let mended = count(healed as u64 + report.brought().0, "file", "files");
        let text = format!("Healed copy two from its siblings: {mended}");
        self.step("sync", began, report.is_complete(), &text)?;
        self.check(
            "verify",
            "Hashed every stored byte again: all three are whole and the same",
        )
    }

    fn restore_and_compare(&mut self, snapshot: Id, dir: &Path) -> Result<()> {
        let began = Instant::now();
        let target = self.area.restored();
        let options = RestoreOptions {
            verify: true,
            ..RestoreOptions::default()
        };
        let monitor = Monitor::start(&self.context.output);
        let report = restore(
            &mut self.opened.session,
            snapshot,
            &target,
            &options,
            &self.opened.environment,
            &monitor.progress,
        )?;
        drop(monitor);
        remember_damage(&self.opened, &report);
        for error in &report.errors {
            let text = format!("{}: {}", error.path, error.message);
            self.context.output.warn(&visible(&text), None);
        }
        self.is_good &= report.is_complete();
        let text = format!(
            "Restored {} with {} to {}, and read them back",
            count(report.restored.files, "file", "files"),
            size(report.restored.bytes),
            target.display(),
        );
        self.step("restore", began, report.is_complete(), &text)?;

        let began = Instant::now();
        let relative = dir.strip_prefix("/").unwrap_or(dir);
        let compared = compare::compare(dir, &target.join(relative), &self.context.cancel)?;
        for difference in &compared.differences {
            self.context.output.warn(&visible(difference), None);
        }
        let is_same = compared.differences.is_empty();
        self.is_good &= is_same;
        let text = match is_same {
            true => format!(
                "Compared with {}: {}, all the same",
                dir.display(),
                compared.counted()
            ),
            false => format!("Compared with {}: not the same, see above", dir.display()),
        };
        self.step("compare", began, is_same, &text)
    }

    /// The scorecard of the three copies.
    fn judge(&self) -> Result<Scorecard> {
        let Opened {
            config,
            session,
            environment,
            state,
            vaults,
        } = &self.opened;
        let now = (environment.clock)();
        vaults.remember(&self.opened.memory(), &self.copies, now);
        let facts = vaults.facts(config);
        let status = gather(
            config,
            &self.copies,
            Some(session),
            state,
            environment,
            &facts,
        )?;
        let card = program::as_typed(&scorecard::render(&status.scorecard, config));
        self.context.output.result(&format!("\n{card}"))?;
        Ok(status.scorecard)
    }

    /// Hashes all that is stored, as the keyless verify does, and remembers what it found.
    fn verify(&self) -> Result<VerifyReport> {
        let at = (self.opened.environment.clock)();
        let monitor = Monitor::start(&self.context.output);
        let progress: &Progress = &monitor.progress;
        let options = VerifyOptions::default();
        let cancel = &self.context.cancel;
        let report = verify(&self.copies, Depth::Stored, &options, progress, cancel)?;
        let done = Verify {
            at,
            by: Verifier::Us,
            share: Share::All,
            decoded: false,
        };
        let (memory, now) = (self.opened.memory(), (self.opened.environment.clock)());
        memory::verified(&memory, &self.copies, &report, &done, now);
        Ok(report)
    }

    fn step(&self, step: &'static str, began: Instant, good: bool, text: &str) -> Result<()> {
        let seconds = began.elapsed().as_secs_f64();
        let word = if good { "done" } else { "FAILED" };
        self.context.output.result(&format!(
            "{step:8} {word:6} {seconds:6.1} s  {}\n",
            visible(text)
        ))?;
        self.context.output.object(&Step {
            message_type: "step",
            step,
            good,
            seconds,
            text,
        })
    }
}

#[derive(Serialize)]
struct Step<'a> {
    message_type: &'static str,
    step: &'static str,
    good: bool,
    seconds: f64,
    text: &'a str,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    good: bool,
    area: String,
    seconds: f64,
    scorecard: &'a Scorecard,
}
