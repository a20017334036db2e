//! `strongroom backup`.

mod report;

use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_model::{Config, Source};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::monitor::Monitor;

/// Read the sources once and write them to every copy
///
/// Backs up all sources of strongroom.toml, or those that are named.
/// The data is read, compressed and encrypted once; every copy gets the same bytes at once. A copy
/// that is slow, full or away is left behind, named, and waited for by nobody; what it lacks comes
/// from the others later.
///
/// Files that could not be read are listed at the end and in the snapshot, which is made from what
/// could be read. The exit status is 0 only where everything was read and every copy is whole for
/// it, and 3 where something is missing. Where there is no snapshot at all, it is 1.
///
/// Examples:
///   strongroom backup
///   strongroom backup repos
///   strongroom backup --dry-run
///   strongroom --json --quiet backup | tail -1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Which sources; all where none is named
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Read and count, and write nothing anywhere
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let mut opened = context.open()?;
        let left_out = opened.left_out();
        let sources = chosen(&opened.config, &self.sources)?;
        let options = BackupOptions {
            limits: opened.config.limits.clone(),
            dry_run: self.dry_run,
        };
        let report = {
            let monitor = Monitor::start(&context.output);
            backup(
                &mut opened.session,
                &sources,
                &options,
                &opened.environment,
                &monitor.progress,
            )?
        };
        report::tell(&context.output, &report, &left_out, self.dry_run)?;
        let has_failed = report.sources.iter().all(|source| source.failure.is_some());
        Ok(match has_failed {
            true => Exit::Failed,
            false if self.dry_run => Exit::of(report::is_read(&report) && opened.has_all_copies()),
            false => Exit::of(report.is_complete()),
        })
    }
}

/// The sources by their names, each once and in the order of the configuration.
pub(crate) fn chosen(config: &Config, names: &[String]) -> Result<Vec<Source>> {
    for name in names {
        if !config.sources.iter().any(|source| source.name.as_str() == name) {
            return Err(Error::NoSource {
                name: name.clone(),
                known: config.sources.iter().map(|source| source.name.to_string()).collect(),
            });
        }
    }
    let wanted = |source: &&Source| {
        names.is_empty() || names.iter().any(|name| source.name.as_str() == name)
    };
    Ok(config.sources.iter().filter(wanted).cloned().collect())
}
