//! `strongroom-vault log`: the vault's own log, checked, named, and begun anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use strongroom_ledger::{SignedCheckpoint, Verifier, audit};
use strongroom_vault::config::StorageConfig;
use strongroom_vault::publication::{Publisher, begin_new};
use strongroom_vault::{Error, Result, chain, opening};

use crate::command::{Which, print};

/// The vault's log
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Key(Key),
    Verify(Verify),
    BeginNew(BeginNew),
}

/// Print the public key of the log, which clients and witnesses verify it with
#[derive(Debug, clap::Args)]
pub(crate) struct Key {
    #[command(flatten)]
    which: Which,
}

/// Audit the log by its files: every entry, every hash, the signature
///
/// The same as strongroom log verify, which needs nothing of the vault but these files and the key.
/// The exit status is 0 where all is sound.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    which: Which,
    /// An earlier checkpoint of the log, which it must go on from
    #[arg(long, value_name = "PATH")]
    since: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Begin a new log, where the old one cannot be gone on with
///
/// For a vault whose database or log was restored from an earlier state, or whose log is lost. The
/// old files stay where they are; the new ones lie beside them, in log~2. The new log has another
/// name and another key, and its first leaf names the last checkpoint of the old one. Every client
/// sees another log, which is an alarm to it, until a person accepts it there: strongroom vault
/// accept-log. Stop all processes of the vault before, and give the folder keys to all machines that
/// serve it after.
#[derive(Debug, clap::Args)]
pub(crate) struct BeginNew {
    #[command(flatten)]
    which: Which,
    /// Why, for everybody who reads the log
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Key(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::BeginNew(args) => args.run(),
        }
    }
}

impl Key {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let (vault, storage) = opening::open_as_it_is(&config)?;
        print(Publisher::open(vault, storage.log, &config.data.join("keys"))?.key())
    }
}

impl Verify {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let (vault, storage) = opening::open_as_it_is(&config)?;
        let files = Arc::clone(&storage.log);
        if let StorageConfig::Bucket(_) = &config.storage {
            return Err(Error::Refused {
                reason: format!(
                    "the log lies in a bucket: copy {} into a folder, and say strongroom log verify \
                     FOLDER --key \"$(strongroom-vault log key --config …)\"",
                    files.location()
                ),
            });
        }
        let key = Publisher::open(vault, storage.log, &config.data.join("keys"))?.key();
        let key: Verifier = key.parse().map_err(unreadable)?;
        let since = self.since.as_deref();
        let since = since.map(|path| SignedCheckpoint::kept(path, &key));
        let since = since.transpose().map_err(|error| match error {
            strongroom_ledger::Error::Read { file, source } => {
                Error::local(format!("read {file}"))(source)
            }
            error => unreadable(error),
        })?;
        let since = since.as_ref().map(SignedCheckpoint::checkpoint);
        let report = audit(Path::new(files.location()), Some(&key), since);
        let size = report.checkpoint.as_ref().map(|state| state.size());
        let faults = report.faults.iter();
        let faults: Vec<String> = faults.map(|fault| chain(fault)).collect();
        if self.json {
            let origin = report.checkpoint.as_ref().map(|state| state.origin());
            let root = report.checkpoint.as_ref();
            print(json!({
                "sound": report.is_sound(),
                "origin": origin,
                "size": size,
                "root": root.map(|state| state.root().to_string()),
                "since": report.since,
                "files": report.files,
                "bytes": report.bytes,
                "faults": faults,
                "cut": report.is_cut,
                "leftovers": report.leftovers,
            }))?;
        } else {
            for fault in &faults {
                print(format_args!("wrong: {fault}"))?;
            }
            print(format_args!(
                "{} leaves, {} files with {} bytes, signed by {}",
                size.unwrap_or_default(),
                report.files,
                report.bytes,
                key.label()
            ))?;
        }
        match report.is_sound() {
            true => Ok(()),
            false => Err(Error::Log {
                reason: format!("{} files are wrong", report.faults.len()),
            }),
        }
    }
}

impl BeginNew {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let lock = opening::lock(&config)?;
        let (vault, storage) = opening::open_as_it_is(&config)?;
        if lock.is_some() {
            vault.end_leases_of_the_dead()?;
        }
        let (kept, keys) = (storage.log.location().to_owned(), config.data.join("keys"));
        let files = |number| storage.log_of(number);
        let log = begin_new(&vault, &files, &keys, &self.because)?;
        drop(vault);
        // Opened anew, it knows its new log, and publishes it.
        let (vault, storage) = opening::open_as_it_is(&config)?;
        let files = storage.log.location().to_owned();
        let publisher = Publisher::open(vault, storage.log, &keys)?;
        let leaves = publisher.publish()?;
        if self.json {
            return print(json!({
                "log": log.number,
                "origin": log.origin,
                "key": publisher.key(),
                "leaves": leaves,
                "before": log.before,
                "files": files,
                "kept": kept,
            }));
        }
        print(format_args!(
            "The log {} begins, in {files}. The old one is kept in {kept}.\nIts key: {}",
            log.origin,
            publisher.key()
        ))?;
        print(
            "Next: copy the folder keys to all machines that serve this vault, and start it; tell \
             the key to whoever runs a client or a witness, on another way than through this vault: \
             strongroom vault accept-log there, or [[witness_for]]",
        )
    }
}

fn unreadable(error: strongroom_ledger::Error) -> Error {
    Error::Log {
        reason: chain(&error),
    }
}
