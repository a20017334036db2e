//! `cargo xtask golden`: repositories written by a real restic or rustic, kept forever.
//!
//! Each folder in `testdata/golden` holds a `repository` and a `manifest.json` that says what is
//! in it, read from the files themselves and not from that program. A golden repository is never
//! edited and never overwritten: what an old program wrote must stay readable as it was written.

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
use crate::setup::{self, Restic};

/// What `golden` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The restic that writes, such as 0.18, or the path of a rustic
    writer: String,
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
    let restics = setup::run()?.restics;
    let writer = Writer::find(&arguments.writer, &restics)?;
    let into = arguments.into.clone().unwrap_or_else(|| {
        let name = format!("{}-v{}", writer.name, arguments.format);
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
    let manifest = write(&writer, arguments.format, &into.join("repository"));
    fs::remove_dir_all(STAGING)?;
    fs::write(
        into.join("manifest.json"),
        serde_json::to_string_pretty(&manifest?)? + "\n",
    )?;
    println!("wrote {}", into.display());
    Ok(())
}

fn write(writer: &Writer, format: u32, folder: &Path) -> Result<Manifest> {
    let repository = Repository {
        program: &writer.program,
        folder,
        password: PASSWORDS[0],
    };
    let option = match writer.is_rustic {
        true => "--set-version",
        false => "--repository-version",
    };
    run_command(&mut repository.command(&["init", option, &format.to_string()]))?;
    fs::write(staged("second"), PASSWORDS[1])?;
    run_command(
        repository
            .command(&["key", "add"])
            .arg("--new-password-file")
            .arg(staged("second")),
    )?;
    fs::remove_file(staged("second"))?;

    let tree = staged("wild");
    wild::make(
        &tree,
        &wild::Shape {
            several_chunks: format > 1,
            raw_link_target: writer.name != "restic-0.14",
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

    let listed_by = Repository {
        program: &writer.lister,
        ..repository
    };
    Ok(Manifest {
        restic: writer.says.clone(),
        format,
        passwords: PASSWORDS.map(str::to_owned).to_vec(),
        snapshots: listed_by
            .snapshots()?
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

/// Backs up what is in the folder and not the folder itself, of which rustic keeps no metadata.
fn back_up(repository: &Repository<'_>, options: &[&str]) -> Result<()> {
    run_command(
        repository
            .command(&["backup", ".", "--host", "golden"])
            .args(options)
            .current_dir(STAGING),
    )
}

/// The program that writes.
struct Writer {
    program: PathBuf,
    is_rustic: bool,
    /// What it says of its version.
    says: String,
    /// Its kind and version, such as `restic-0.18`.
    name: String,
    /// The restic that lists what was written.
    lister: PathBuf,
}

impl Writer {
    /// A restic of that version, or the rustic at that path.
    fn find(wanted: &str, restics: &[Restic]) -> Result<Self> {
        let is_rustic = wanted.contains('/');
        let restic = restics.iter().find(|restic| restic.version == wanted);
        let program = match (is_rustic, restic) {
            (true, _) => PathBuf::from(wanted),
            (false, Some(restic)) => restic.path.clone(),
            (false, None) => bail!("Setup knows no restic {wanted}"),
        };
        let says = capture(Command::new(&program).arg("version"))?;
        let mut words = says.split_whitespace();
        let (kind, version) = words
            .next()
            .zip(words.next())
            .context("It has no version")?;
        let (version, _) = version.rsplit_once('.').context("Its version is odd")?;
        Ok(Self {
            is_rustic,
            name: format!("{kind}-{version}"),
            says: says.trim_end().to_owned(),
            program,
            lister: restics.last().context("There is no restic")?.path.clone(),
        })
    }
}

/// A repository and how to open it.
struct Repository<'a> {
    program: &'a Path,
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
    /// What restic and rustic understand alike.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg("--no-cache")
            .arg("-r")
            .arg(self.folder)
            .args(arguments);
        for variable in ["RESTIC_PASSWORD", "RUSTIC_PASSWORD"] {
            command.env(variable, self.password);
        }
        command
    }

    /// Oldest first.
    fn snapshots(&self) -> Result<Vec<ListedSnapshot>> {
        let listed = capture(&mut self.command(&["snapshots", "--json"]))?;
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

    /// Sockets are not stored; what only root can restore is compared as root.
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
        assert_eq!(golden().len(), 4);
        for folder in golden() {
            let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
            let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
            let work = tempfile::tempdir_in("/var/tmp").unwrap();
            let copy = work.path().join("repository");
            copy_of(&folder.join("repository"), &copy);
            // What a newer restic wrote, an older one may not restore whole; nor what rustic wrote.
            let writer = restics.iter().position(|restic| {
                let name = format!("restic {}.", restic.version);
                manifest.restic.starts_with(&name)
            });
            for restic in &restics[writer.unwrap_or(restics.len() - 1)..] {
                let repository = Repository {
                    program: &restic.path,
                    folder: &copy,
                    password: PASSWORDS[1],
                };
                capture(&mut repository.command(&["check", "--read-data"])).unwrap();
                for snapshot in &manifest.snapshots {
                    let target = work
                        .path()
                        .join(format!("{}-{}", restic.version, snapshot.id));
                    let mut restore = repository.command(&["restore", &snapshot.id, "--target"]);
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
