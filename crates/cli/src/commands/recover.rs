//! `strongroom recover`.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::CopyStore;
use strongroom_engine::recover::{
    ConfigChoice, Destination, RecoverOptions, RecoverReport, recover,
};
use strongroom_engine::session::Password;
use strongroom_engine::state::StateFolder;
use strongroom_model::Config;
use strongroom_model::shell::quoted;

use crate::context::Context;
use crate::copies;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;
use crate::output::{Output, visible};
use crate::password::Ask;
use crate::state_folder;
use crate::words::{count, period, size};

/// How many files and snapshots are named; all that were kept are with `--json`.
const NAMED: usize = 20;

/// Bring back what was hidden or overwritten in a bucket that keeps versions
///
/// Finds of every file the version whose bytes have its name, behind whatever was put above it, and
/// writes the whole repository out, or brings it into sight again where it is.
///
/// It needs the copy and its credentials and nothing else: no state folder, no other copy, and no
/// password. Nobody is asked for one; where the configuration or STRONGROOM_PASSWORD has it, config is
/// the oldest version that decrypts, and otherwise the oldest.
///
/// With --as-of only what was there at that time counts, by the clock of the bucket.
///
/// With --into, PATH is a new folder, or one that an earlier run has begun to fill: what is there is
/// not read again. COPY is another copy of strongroom.toml. With --in-place, markers that hide a file
/// are removed, and what was overwritten is put again; no version is ever removed.
///
/// What was forgotten or pruned and is still kept by its lock comes back too, and so do the records
/// that say so: with the password it is told how many snapshots they hide, and by whom. Leave them out
/// with --without-records where an intruder may have written them.
///
/// With --dry-run nothing is written: versions are listed, and of their bytes only those of config are
/// read, and of the key files by which it is chosen, as the real run chooses it.
///
/// In place and with the password, the copy is under restic's exclusive lock meanwhile; locks that were
/// not renewed for half an hour are removed. Without the password no lock is taken and none is waited
/// for, which is told: where somebody has pruned the copy meanwhile, run it again. Into another copy
/// there is no lock: nothing else may write there.
///
/// The exit status is 3 where a file has no version that is right, or names were left out since there
/// are too many: it is told. A run that breaks off is run again, and goes on where it was.
///
/// Examples:
///   strongroom recover --copy offsite --into /srv/recovered
///   strongroom recover --copy offsite --as-of 2026-11-20T10:00:00Z --into /srv/recovered
///   strongroom recover --copy offsite --in-place --dry-run
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// The copy to recover
    #[arg(long, value_name = "NAME")]
    copy: String,
    /// Only what was there at this time, such as 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Write it out, into another copy or a folder
    #[arg(
        long,
        value_name = "COPY|PATH",
        required_unless_present = "in_place",
        conflicts_with = "in_place"
    )]
    into: Option<PathBuf>,
    /// Bring it into sight again where it is
    #[arg(long)]
    in_place: bool,
    /// Leave out the records of what was removed on purpose
    #[arg(long)]
    without_records: bool,
    /// List, choose config, and tell what would be looked at; write nothing anywhere
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let (copy, _) = copies::prepare(copies::named(&config, &self.copy)?, context)?;
        let destination = match &self.into {
            Some(into) if !self.in_place => {
                match find(&config, &into.to_string_lossy(), context)? {
                    Some(copy) => Destination::Copy(copy),
                    None => Destination::Folder(into.clone()),
                }
            }
            Some(_) | None => Destination::InPlace,
        };
        let options = RecoverOptions {
            as_of: self.as_of,
            dry_run: self.dry_run,
            without_records: self.without_records,
            password: password(context, &config),
            state: state_folder::choose().ok().filter(is_there),
            memory_bytes: config.limits.memory.bytes(),
        };
        let report = {
            let monitor = Monitor::start(&context.output);
            recover(
                &copy,
                &destination,
                &options,
                &context.environment(),
                &monitor.progress,
            )?
        };
        tell(&context.output, &report, &destination)?;
        Ok(Exit::of(report.is_complete()))
    }
}

/// The store of a copy of the configuration; of others nothing is needed, not even their secrets.
fn find(config: &Config, name: &str, context: &Context) -> Result<Option<CopyStore>> {
    let copy = config.copies.iter().find(|copy| copy.name.as_str() == name);
    let prepared = copy.map(|copy| copies::prepare(copy, context));
    Ok(prepared.transpose()?.map(|(store, _)| store))
}

/// A state folder is used where there is one, and not made: nothing of it is needed.
fn is_there(state: &StateFolder) -> bool {
    state.path().is_dir()
}

/// The password, where there is one; it is done without where not, whatever the reason.
fn password(context: &Context, config: &Config) -> Option<Password> {
    match context.password(config, Ask::Never) {
        Ok(password) => Some(password),
        Err(Error::NoPassword) => None,
        Err(error) => {
            let text = format!("It is done without the password: {error}");
            context.output.warn(&visible(&text), None);
            None
        }
    }
}

fn tell(output: &Output, report: &RecoverReport, destination: &Destination) -> Result<()> {
    let place = match destination {
        Destination::Folder(path) => format!("into {}", path.display()),
        Destination::Copy(copy) => format!("into {}", copy.name),
        Destination::InPlace => "in place".to_owned(),
    };
    let did = if report.dry_run {
        "Would look at"
    } else {
        "Recovered"
    };
    let mut text = format!(
        "{did} {}, {}, of {} {place} in {}\n",
        count(report.files, "file", "files"),
        size(report.bytes),
        report.copy,
        period(report.seconds),
    );
    for (number, what) in [
        (report.already_there, "there already"),
        (report.behind_markers, "behind markers"),
        (report.overwritten, "overwritten by something else"),
    ] {
        if number > 0 {
            text.push_str(&format!("{}: {what}\n", count(number, "file", "files")));
        }
    }
    output.result(&visible_lines(&text))?;
    for note in &report.notes {
        output.warn(&visible(note), None);
    }
    for file in report.not_recovered.iter().take(NAMED) {
        let text = format!("{} is not recovered: {}", file.name, file.reason);
        output.warn(&visible(&text), None);
    }
    let more = report.not_recovered_count.saturating_sub(NAMED as u64);
    if more > 0 {
        let files = count(more, "file", "files");
        output.warn(&format!("{files} more not recovered, not named here"), None);
    }
    for snapshot in report.incomplete.iter().take(NAMED) {
        let id = snapshot.snapshot.short();
        let text = format!("Snapshot {id} is not whole: {}", snapshot.reason);
        output.warn(&visible(&text), None);
    }
    if !report.dry_run {
        tell_next(output, report, destination);
    }
    output.object(&Summary {
        message_type: "summary",
        complete: report.is_complete(),
        report,
    })
}

/// What to type next.
fn tell_next(output: &Output, report: &RecoverReport, destination: &Destination) {
    if report.config == Some(ConfigChoice::Oldest) {
        output.say("There was no password to try config with: it is the oldest version");
    }
    match destination {
        Destination::Folder(path) => {
            let hint = report
                .key_hint
                .map(|key| format!(" --key-hint {}", key.short()));
            output.say(&visible(&format!(
                "Next: restic -r {}{} check --read-data",
                quoted(path),
                hint.unwrap_or_default()
            )));
        }
        Destination::Copy(_) | Destination::InPlace => output.say("Next: strongroom verify"),
    }
}

/// A text of several lines, each fit for a terminal.
fn visible_lines(text: &str) -> String {
    text.lines().map(|line| visible(line) + "\n").collect()
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    complete: bool,
    #[serde(flatten)]
    report: &'a RecoverReport,
}
