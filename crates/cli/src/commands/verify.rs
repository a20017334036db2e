//! `strongroom verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use strongroom_engine::CopyStore;
use strongroom_engine::state::{RepositoryState, StateFolder};
use strongroom_engine::verify::{
    Depth, Problem, ProblemKind, Share, VerifiedCopy, VerifyOptions, VerifyReport, Verifying,
};
use strongroom_model::evidence::{self, Verifier, Verify};
use strongroom_model::vault::Scrub;
use strongroom_model::{FileName, FileType, Id};

use crate::context::{Context, Opened};
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::output::{BAD, GOOD, Output, visible};
use crate::table::{Cell, Table};
use crate::vaults::Vaults;
use crate::words::{count, grouped, local_time, size};
use crate::{locking, memory, state_folder};

/// Read every stored byte and check it
///
/// Hashes all files of every copy, or a share of them, compares the hashes with the names, and the
/// copies with each other. That takes no password. Where there is one without asking, it also sees
/// whether keys, index files and snapshots are what they claim to be. With --decode every blob is
/// decrypted, decompressed and hashed as well.
///
/// Shares: 1/7, 2/7 … are fixed parts which together are everything, and count as read in full
/// when each was read; 5% are chosen anew each time, find damage, and prove nothing of the whole.
///
/// What this machine knows to have been there and no copy lists any more is named too, also where
/// all copies agree. What it has noted as removed on purpose is neither read nor missed, wherever it
/// still lies.
///
/// A vault reads its own disk; what it found is told beside, as its word.
///
/// The exit status is 1 where something is wrong or lost, and 3 where nothing is, but a copy could not be
/// read to its end. Damage is healed by: strongroom sync
///
/// Examples:
///   strongroom verify
///   strongroom verify --read-data-subset 3/7
///   strongroom verify --decode
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Which packs are read: all, one of several parts (3/7), or a random share (5%)
    #[arg(long, value_name = "n/m|x%|all", default_value = "all", value_parser = parse_share)]
    read_data_subset: Wanted,
    /// Decode every blob as well
    #[arg(long, conflicts_with = "no_password")]
    decode: bool,
    /// Do not use the password, even where there is one
    #[arg(long)]
    no_password: bool,
}

/// What there is to verify.
#[derive(Debug, Default)]
struct Found {
    copies: Vec<CopyStore>,
    /// The repository, where it could be opened.
    opened: Option<Opened>,
    /// The vaults, where it could not.
    vaults: Vaults,
    /// What kept it from being opened.
    trouble: Option<Error>,
}

impl Found {
    /// What this machine remembers of the repository.
    fn memory(&self, state: &StateFolder) -> Option<RepositoryState> {
        match &self.opened {
            Some(opened) => Some(opened.memory()),
            None => state.remembered(&self.copies),
        }
    }
}

/// A share as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    All,
    Slice(u32, u32),
    Percent(f64),
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let environment = context.environment();
        let began = (environment.clock)();
        let state = state_folder::choose()?;
        let found = self.open(context, &state)?;
        let memory = found.memory(&state);
        let Found {
            copies,
            opened,
            vaults,
            trouble,
        } = found;
        if let (false, Some(memory)) = (self.decode, &memory) {
            locking::tell_alarms(&context.output, &copies, memory, began);
        }
        let vaults = opened.as_ref().map_or(&vaults, |opened| &opened.vaults);
        let monitor = Monitor::start(&context.output);
        let verifying = Verifying::begin(&copies, &monitor.progress, &context.cancel);
        let mut options = VerifyOptions {
            share: self.share(began.as_nanosecond() as u64),
            pending_keys: vaults.pending_keys(),
            ..VerifyOptions::default()
        };
        let mut depth = Depth::Stored;
        options.config = memory
            .as_ref()
            .and_then(|memory| memory::config(&state, memory));
        if let Some(memory) = &memory {
            options.known_files =
                memory::records(&state, memory, &copies, |records| records.files());
            if opened.is_none() {
                options.removed = memory.gone().accepted;
            }
        }
        if let Some(opened) = &opened {
            options.known_keys = memory::known_keys(opened);
            options.removals = Arc::clone(&opened.session.removals);
            depth = match self.decode {
                true => Depth::Decoded(&opened.session.repository),
                false => Depth::Opened(&opened.session.repository),
            };
        }
        let report = verifying.run(depth, &options)?;
        drop(monitor);
        if let Some(memory) = &memory {
            let done = Verify {
                at: began,
                by: Verifier::Us,
                share: self.evidence(),
                decoded: self.decode,
            };
            let now = (environment.clock)();
            memory::verified(memory, &copies, &report, &done, now);
            vaults.remember(memory, &copies, began);
        }
        let alarms = context.alarms_of_copies(vaults);
        tell(&context.output, &report, self.decode, vaults, alarms)?;
        if opened.is_none() && memory.is_none() {
            tell_perhaps_removed(&context.output, &report);
        }
        if let Some(error) = trouble {
            return Err(error);
        }
        let is_read = |copy: &VerifiedCopy| copy.failure.is_none();
        Ok(
            match report.problems.is_empty() && !report.lost.is_certain() {
                false => Exit::Failed,
                true => Exit::of(report.copies.iter().all(is_read)),
            },
        )
    }

    /// Opens the repository where that is wanted and takes no question; what keeps it from being
    /// opened is told in the end, since the bytes can be checked all the same.
    fn open(&self, context: &Context, state: &StateFolder) -> Result<Found> {
        if self.decode {
            let opened = context.open()?;
            return Ok(Found {
                copies: context.copies(&opened.config)?.stores,
                opened: Some(opened),
                ..Found::default()
            });
        }
        if self.no_password {
            let copies = context.copies(&context.config()?)?;
            let (vaults, ()) = context.meet(&copies, state, || (), |()| BTreeSet::new())?;
            return Ok(Found {
                copies: copies.stores,
                vaults,
                ..Found::default()
            });
        }
        let looked = context.look()?;
        let mut found = Found {
            copies: looked.copies.stores,
            ..Found::default()
        };
        match looked.session {
            Ok(session) => {
                context.tell_removals(&session.removals.told_of(&session));
                context.note_removals(&session);
                found.opened = Some(Opened {
                    config: looked.config,
                    session,
                    environment: context.environment(),
                    state: state.clone(),
                    vaults: looked.vaults,
                });
            }
            Err(error) => {
                found.vaults = looked.vaults;
                found.trouble = Some(error).filter(|error| !matches!(error, Error::NoPassword));
            }
        }
        Ok(found)
    }

    fn share(&self, seed: u64) -> Share {
        match self.read_data_subset {
            Wanted::All => Share::All,
            Wanted::Slice(number, of) => Share::Slice { number, of },
            Wanted::Percent(percent) => Share::Random { percent, seed },
        }
    }

    fn evidence(&self) -> evidence::Share {
        match self.read_data_subset {
            Wanted::All => evidence::Share::All,
            Wanted::Slice(number, of) => evidence::Share::Slice { number, of },
            Wanted::Percent(percent) => evidence::Share::Percent(percent as u8),
        }
    }
}

fn parse_share(text: &str) -> std::result::Result<Wanted, String> {
    let wrong = || "write all, a part such as 3/7, or a share such as 5%".to_owned();
    if text == "all" {
        return Ok(Wanted::All);
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().map_err(|_| wrong())?;
        return match percent > 0.0 && percent <= 100.0 {
            true => Ok(Wanted::Percent(percent)),
            false => Err(wrong()),
        };
    }
    let (number, of) = text.split_once('/').ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let of: u32 = of.parse().map_err(|_| wrong())?;
    match number >= 1 && number <= of {
        true => Ok(Wanted::Slice(number, of)),
        false => Err(wrong()),
    }
}

fn tell(
    output: &Output,
    report: &VerifyReport,
    decoded: bool,
    vaults: &Vaults,
    alarms: Vec<String>,
) -> Result<()> {
    let mut table =
        Table::headed(&["copy", "", "files read", "of", "size", "wrong"]).right(&[2, 3, 4, 5]);
    for copy in &report.copies {
        let wrong = report
            .problems
            .iter()
            .filter(|problem| problem.copy == copy.name)
            .count();
        let word = match (&copy.failure, wrong) {
            (Some(_), _) => Cell::styled("failed", BAD),
            (None, 0) => Cell::styled("good", GOOD),
            (None, _) => Cell::styled("wrong", BAD),
        };
        table.row([
            copy.name.clone().into(),
            word,
            grouped(copy.files_read).into(),
            grouped(copy.files_listed).into(),
            size(copy.bytes_read).into(),
            grouped(wrong as u64).into(),
        ]);
    }
    output.result(&table.to_string())?;
    for problem in &report.problems {
        output.warn(&visible(&problem.to_string()), None);
        output.object(&ProblemMessage::of(problem))?;
    }
    if !report.lost.is_empty() {
        output.warn(&report.lost.to_string(), Some(&report.lost.hint()));
    }
    if report
        .problems
        .iter()
        .any(|problem| problem.kind.is_damage())
    {
        output.say("Heal it from the other copies: strongroom sync");
    }
    for copy in &report.copies {
        if let Some(failure) = &copy.failure {
            output.warn(
                &format!("{}: {}", copy.name, failure.reason),
                failure.hint.as_deref(),
            );
        }
    }
    tell_scrubs(output, vaults);
    vaults.tell_pending(output);
    output.object(&Summary {
        message_type: "summary",
        clean: report.is_clean(),
        decoded,
        problem_count: report.problems.len(),
        lost: report.lost.files.iter().map(ToString::to_string).collect(),
        copies: report
            .copies
            .iter()
            .map(|copy| CopySummary::of(copy, vaults))
            .collect(),
        alarms,
        pending_keys: vaults.pending_keys(),
    })
}

/// Tells of copies that alone have what all others lack, where nobody here knows what was removed on
/// purpose: that may be so, and waits there. It stays missed, since it may be an intruder's work.
fn tell_perhaps_removed(output: &Output, report: &VerifyReport) {
    for copy in perhaps_removed(report) {
        let text = format!(
            "What {copy} alone has waits there, if it was removed on purpose; this machine does not \
             know, without the password"
        );
        output.say(&visible(&text));
    }
}

/// The copies that alone have some snapshot, index file or pack that at least two others agree to
/// lack, and these are all others.
fn perhaps_removed(report: &VerifyReport) -> BTreeSet<&str> {
    let mut lacking: BTreeMap<FileName, (&str, usize)> = BTreeMap::new();
    for problem in &report.problems {
        let is_of_a_kind = matches!(
            problem.name.kind(),
            FileType::Snapshots | FileType::Index | FileType::Data
        );
        if let ProblemKind::Missing { elsewhere } = &problem.kind
            && let [only] = elsewhere.as_slice()
            && is_of_a_kind
        {
            lacking.entry(problem.name).or_insert((only.as_str(), 0)).1 += 1;
        }
    }
    let others = report.copies.len().saturating_sub(1);
    let agreed = lacking
        .values()
        .filter(|(_, count)| *count >= 2 && *count == others);
    agreed.map(|(only, _)| *only).collect()
}

/// Tells what vaults found when they read their own objects: their word, beside what was read here.
fn tell_scrubs(output: &Output, vaults: &Vaults) {
    for met in vaults.believed() {
        let Some(scrub) = met.repository().and_then(|info| info.scrub) else {
            continue;
        };
        if scrub.rotten > 0 {
            let files = count(scrub.rotten, "rotten file", "rotten files");
            let text = format!("{}: its vault has found {files}", met.copy);
            output.warn(&text, Some("strongroom sync"));
        } else if let Some(read) = scrub.all_read {
            let read = local_time(read);
            let text = format!("{}: read in full by its vault since {read}", met.copy);
            output.say(&visible(&text));
        }
    }
}

#[derive(Serialize)]
struct ProblemMessage<'a> {
    message_type: &'static str,
    copy: &'a str,
    file: String,
    problem: String,
    damage: bool,
}

impl<'a> ProblemMessage<'a> {
    fn of(problem: &'a Problem) -> Self {
        Self {
            message_type: "problem",
            copy: &problem.copy,
            file: problem.name.to_string(),
            problem: problem.kind.to_string(),
            damage: problem.kind.is_damage(),
        }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    clean: bool,
    decoded: bool,
    problem_count: usize,
    lost: Vec<String>,
    copies: Vec<CopySummary<'a>>,
    alarms: Vec<String>,
    pending_keys: BTreeMap<String, BTreeSet<Id>>,
}

#[derive(Serialize)]
struct CopySummary<'a> {
    name: &'a str,
    files_read: u64,
    bytes_read: u64,
    files_listed: u64,
    bytes_listed: u64,
    covered: bool,
    reason: Option<&'a str>,
    by_vault: Option<Scrub>,
}

impl<'a> CopySummary<'a> {
    fn of(copy: &'a VerifiedCopy, vaults: &Vaults) -> Self {
        let vault = vaults.believed().find(|met| met.copy == copy.name);
        let repository = vault.and_then(|met| met.repository());
        Self {
            by_vault: repository.and_then(|info| info.scrub),
            name: &copy.name,
            files_read: copy.files_read,
            bytes_read: copy.bytes_read,
            files_listed: copy.files_listed,
            bytes_listed: copy.bytes_listed,
            covered: copy.covered,
            reason: copy.failure.as_ref().map(|failure| failure.reason.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_engine::Listing;

    use super::*;

    #[test]
    fn a_share_is_all_a_part_or_a_percentage() {
        assert_eq!(parse_share("all"), Ok(Wanted::All));
        assert_eq!(parse_share("3/7"), Ok(Wanted::Slice(3, 7)));
        assert_eq!(parse_share("2.5%"), Ok(Wanted::Percent(2.5)));
        for wrong in [
            "", "0/7", "8/7", "1/", "/1", "0%", "101%", "NaN%", "half", "-1/3",
        ] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_all_others_agree_to_lack_may_have_been_removed() {
        let copy = |name: &str| VerifiedCopy {
            name: name.to_owned(),
            location: format!("/{name}"),
            files_read: 0,
            bytes_read: 0,
            files_listed: 0,
            bytes_listed: 0,
            sound: Vec::new(),
            listing: Listing::default(),
            covered: true,
            failure: None,
        };
        let missing = |copy: &str| Problem {
            copy: copy.to_owned(),
            name: FileName::new(FileType::Data, Id::of(b"pack")),
            kind: ProblemKind::Missing {
                elsewhere: vec!["bucket".to_owned()],
            },
        };
        let report = |copies: &[&str], lacking: &[&str]| VerifyReport {
            copies: copies.iter().map(|name| copy(name)).collect(),
            problems: lacking.iter().map(|name| missing(name)).collect(),
            ..VerifyReport::default()
        };
        let three = ["one", "two", "bucket"];
        let agreed = report(&three, &["one", "two"]);
        assert_eq!(perhaps_removed(&agreed), ["bucket"].into());
        assert!(perhaps_removed(&report(&three, &["one"])).is_empty());
        assert!(perhaps_removed(&report(&three[1..], &["two"])).is_empty());
    }
}
