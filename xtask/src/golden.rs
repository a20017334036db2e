//! `cargo xtask golden`: repositories written by a real restic, kept forever.
//!
//! Each folder in `testdata/golden` holds a `repository` and a `manifest.json` that says what is
//! in it, read from the files themselves and not from restic. A golden repository is never edited
//! and never overwritten: what an old restic wrote must stay readable exactly as it was written.

mod manifest;
mod wild;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use serde::Deserialize;

use crate::golden::manifest::{Manifest, Snapshot};
use crate::run::{capture, run as run_command, workspace_root};
use crate::setup;

/// What `golden` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The restic that writes, such as 0.18
    restic: String,
    /// The version of the repository format
    #[arg(long, default_value_t = 2)]
    format: u32,
    /// The folder to make
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// The tree is backed up from here, so that the paths in snapshots do not depend on the machine.
const STAGING: &str = "/var/tmp/strongroom-golden";

/// The passwords of the two keys; there is nothing to keep secret here.
const PASSWORDS: [&str; 2] = ["golden", "golden second"];

/// Writes one golden repository and its manifest.
pub(crate) fn run(arguments: &Args) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("Golden repositories hold device nodes and foreign owners: run this as root");
    }
    let into = arguments.into.clone().unwrap_or_else(|| {
        let name = format!("restic-{}-v{}", arguments.restic, arguments.format);
        golden_folder().join(name)
    });
    fs::create_dir_all(golden_folder())?;
    fs::create_dir(&into).with_context(|| {
        format!(
            "{} is there already, and golden data is never changed: choose another with --into",
            into.display()
        )
    })?;
    fs::create_dir(STAGING).with_context(|| format!("{STAGING} is left over: remove it"))?;
    let manifest = write(arguments, &into);
    fs::remove_dir_all(STAGING)?;
    fs::write(
        into.join("manifest.json"),
        serde_json::to_string_pretty(&manifest?)? + "\n",
    )?;
    println!("wrote {}", into.display());
    Ok(())
}

fn write(arguments: &Args, into: &Path) -> Result<Manifest> {
    let programs = setup::run()?;
    let restic = programs
        .restics
        .iter()
        .find(|restic| restic.version == arguments.restic)
        .with_context(|| format!("Setup knows no restic {}", arguments.restic))?;
    let repository = Repository {
        restic: &restic.path,
        folder: &into.join("repository"),
        password: PASSWORDS[0],
    };
    let format = arguments.format.to_string();
    run_command(&mut repository.restic(&["init", "--repository-version", &format]))?;
    fs::write(staged("second"), PASSWORDS[1])?;
    run_command(
        repository
            .restic(&["key", "add"])
            .arg("--new-password-file")
            .arg(staged("second")),
    )?;

    let tree = staged("wild");
    wild::make(
        &tree,
        &wild::Shape {
            several_chunks: arguments.format > 1,
            raw_link_target: arguments.restic != "0.14",
        },
    )?;
    back_up(
        &repository,
        &["--tag", "first", "--time", "2024-02-03 04:05:06"],
    )?;
    let first = manifest::scan(&tree)?;
    wild::change(&tree)?;
    back_up(
        &repository,
        &["--tag", "second,nightly", "--time", "2024-02-04 04:05:06"],
    )?;
    let second = manifest::scan(&tree)?;

    let snapshots = repository.snapshots()?;
    Ok(Manifest {
        restic: capture(Command::new(&restic.path).arg("version"))?
            .trim_end()
            .to_owned(),
        format: arguments.format,
        passwords: PASSWORDS.map(str::to_owned).to_vec(),
        snapshots: snapshots
            .into_iter()
            .zip([first, second])
            .map(|(listed, entries)| Snapshot {
                id: listed.id,
                time: listed.time,
                tags: listed.tags,
                entries,
            })
            .collect(),
    })
}

fn back_up(repository: &Repository<'_>, options: &[&str]) -> Result<()> {
    run_command(
        repository
            .restic(&["backup", "wild", "--host", "golden"])
            .args(options)
            .current_dir(STAGING),
    )
}

/// A repository and how to open it.
struct Repository<'a> {
    restic: &'a Path,
    folder: &'a Path,
    password: &'static str,
}

/// What `restic snapshots --json` says, as far as it matters here.
#[derive(Deserialize)]
struct ListedSnapshot {
    id: String,
    time: String,
    tags: Vec<String>,
}

impl Repository<'_> {
    fn restic(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.restic);
        command
            .arg("--no-cache")
            .arg("--repo")
            .arg(self.folder)
            .args(arguments);
        command.env("RESTIC_PASSWORD", self.password);
        command
    }

    /// Oldest first.
    fn snapshots(&self) -> Result<Vec<ListedSnapshot>> {
        let listed = capture(&mut self.restic(&["snapshots", "--json"]))?;
        let mut snapshots: Vec<ListedSnapshot> = serde_json::from_str(&listed)?;
        snapshots.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(snapshots)
    }
}

fn golden_folder() -> PathBuf {
    workspace_root().join("testdata/golden")
}

fn staged(name: &str) -> PathBuf {
    Path::new(STAGING).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::manifest::Entry;

    fn golden() -> Vec<PathBuf> {
        let folders = fs::read_dir(golden_folder()).unwrap();
        let mut folders: Vec<_> = folders.map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.is_dir());
        folders.sort();
        folders
    }

    /// Git keeps no empty folders, and restic wants them.
    fn copy_of(repository: &Path, into: &Path) {
        let from = repository.join(".");
        run_command(Command::new("cp").arg("-r").args([from.as_path(), into])).unwrap();
        for folder in ["data", "index", "keys", "locks", "snapshots"] {
            fs::create_dir_all(into.join(folder)).unwrap();
        }
    }

    /// restic keeps sockets but restores none; what only root can restore is compared as root.
    fn comparable(mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.retain(|entry| !entry.is_socket());
        if !rustix::process::geteuid().is_root() {
            entries.retain(|entry| !entry.is_device());
            entries.iter_mut().for_each(Entry::forget_owner);
        }
        entries
    }

    #[test]
    fn every_restic_restores_each_golden_repository_to_its_manifest() {
        let (restics, failures) = setup::restics();
        assert_eq!(failures, [""; 0]);
        assert_eq!(golden().len(), 3);
        for folder in golden() {
            let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
            let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
            let work = tempfile::tempdir_in("/var/tmp").unwrap();
            let copy = work.path().join("repository");
            copy_of(&folder.join("repository"), &copy);
            // What a newer restic wrote, an older one may not restore whole.
            let writer = restics.iter().position(|restic| {
                let name = format!("restic {}.", restic.version);
                manifest.restic.starts_with(&name)
            });
            for restic in &restics[writer.unwrap()..] {
                let repository = Repository {
                    restic: &restic.path,
                    folder: &copy,
                    password: PASSWORDS[1],
                };
                capture(&mut repository.restic(&["check", "--read-data"])).unwrap();
                for snapshot in &manifest.snapshots {
                    let target = work
                        .path()
                        .join(format!("{}-{}", restic.version, snapshot.id));
                    let mut restore = repository.restic(&["restore", &snapshot.id, "--target"]);
                    capture(restore.arg(&target)).unwrap();
                    let restored = manifest::scan(&target.join("wild")).unwrap();
                    let expected = comparable(snapshot.entries.clone());
                    let restored = comparable(restored);
                    let context = format!("{} by {}", folder.display(), restic.version);
                    for (restored, expected) in restored.iter().zip(&expected) {
                        assert_eq!(restored, expected, "{context}");
                    }
                    assert_eq!(restored.len(), expected.len(), "{context}");
                }
            }
        }
    }
}
