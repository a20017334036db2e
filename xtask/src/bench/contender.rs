//! The programs that are compared, and how each is asked to do the same work.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{capture, find_program, target_folder};

/// A backup program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    /// Ours, writing three copies.
    Ours,
    /// restic, writing one.
    Restic,
    /// borg, writing one.
    Borg,
}

/// What is measured, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    First,
    Unchanged,
    Changed,
    Restore,
    Verify,
}

impl Step {
    /// Every step.
    pub(super) const ALL: [Self; 5] = [
        Self::First,
        Self::Unchanged,
        Self::Changed,
        Self::Restore,
        Self::Verify,
    ];

    /// How often it is done in a round: what takes a few hundredths of a second is measured oftener.
    pub(super) const fn times(self) -> usize {
        match self {
            Self::Verify => 5,
            Self::First | Self::Unchanged | Self::Changed | Self::Restore => 1,
        }
    }

    /// Whether it writes as much as there is.
    pub(super) const fn writes_much(self) -> bool {
        matches!(self, Self::First | Self::Restore)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::First => "first backup",
            Self::Unchanged => "unchanged backup",
            Self::Changed => "1 % changed",
            Self::Restore => "full restore",
            Self::Verify => "keyless verify",
        })
    }
}

const PASSWORD: &str = "benchmark";

impl Contender {
    /// What it says of itself.
    pub(super) fn version(self) -> Result<String> {
        let mut command = Command::new(self.program()?);
        let said = capture(command.arg(match self {
            Self::Restic => "version",
            Self::Ours | Self::Borg => "--version",
        }))?;
        Ok(said
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" "))
    }

    /// Makes its empty repository; restic takes over the key of ours where it is there, because
    /// both must pay the same for scrypt.
    pub(super) fn prepare(self, place: &Place, with_our_key: bool) -> Result<()> {
        fs::create_dir_all(self.all_repositories(place))?;
        let repository = self.repository(place);
        match self {
            Self::Ours => {
                fs::write(place.our("strongroom.toml"), our_configuration(place))?;
                fs::write(place.our("password"), PASSWORD)?;
                capture(self.start(place)?.arg("init")).map(drop)
            }
            Self::Restic if with_our_key => {
                for folder in ["data", "index", "keys", "locks", "snapshots"] {
                    fs::create_dir_all(repository.join(folder))?;
                }
                let ours = Self::Ours.repository(place);
                fs::copy(ours.join("config"), repository.join("config"))?;
                for key in fs::read_dir(ours.join("keys"))? {
                    let key = key?;
                    fs::copy(key.path(), repository.join("keys").join(key.file_name()))?;
                }
                Ok(())
            }
            Self::Restic => capture(self.start(place)?.arg("init")).map(drop),
            Self::Borg => {
                let mut init = self.start(place)?;
                init.args(["init", "--encryption", "repokey"])
                    .arg(repository);
                capture(&mut init).map(drop)
            }
        }
    }

    /// The command for a step; nothing where it cannot do that.
    pub(super) fn command(self, step: Step, place: &Place) -> Result<Option<Command>> {
        let mut command = self.start(place)?;
        match (self, step) {
            (Self::Ours, Step::First | Step::Unchanged | Step::Changed) => {
                command.arg("backup");
            }
            (Self::Ours, Step::Restore) => {
                command.args(["restore", "latest"]).arg(place.target());
            }
            (Self::Ours, Step::Verify) => {
                command.args(["verify", "--no-password", "--read-data-subset", "all"]);
            }
            (Self::Restic, Step::First | Step::Unchanged | Step::Changed) => {
                command.arg("backup").arg(place.source());
            }
            (Self::Restic, Step::Restore) => {
                command
                    .args(["restore", "latest", "--target"])
                    .arg(place.target());
            }
            (Self::Borg, Step::First | Step::Unchanged | Step::Changed) => {
                command.args(["create", "--compression", "zstd,3"]);
                command.arg(self.archive(step, place)).arg(place.source());
            }
            (Self::Borg, Step::Restore) => {
                command
                    .arg("extract")
                    .arg(self.archive(Step::Changed, place));
                command.current_dir(place.target());
            }
            (Self::Restic | Self::Borg, Step::Verify) => return Ok(None),
        }
        Ok(Some(command))
    }

    /// One repository, to count what is stored.
    pub(super) fn repository(self, place: &Place) -> PathBuf {
        match self {
            Self::Ours => self.all_repositories(place).join("one"),
            Self::Restic | Self::Borg => self.all_repositories(place),
        }
    }

    /// The folder of all its repositories.
    pub(super) fn all_repositories(self, place: &Place) -> PathBuf {
        place.repositories().join(match self {
            Self::Ours => "ours",
            Self::Restic => "restic",
            Self::Borg => "borg",
        })
    }

    fn archive(self, step: Step, place: &Place) -> String {
        format!("{}::{step:?}", self.repository(place).display())
    }

    fn program(self) -> Result<PathBuf> {
        match self {
            Self::Ours => Ok(target_folder().join("release/strongroom")),
            Self::Restic => find_program("restic").context("No restic on PATH"),
            Self::Borg => find_program("borg").context("No borg on PATH"),
        }
    }

    /// The program with what it needs to find its repository; everything it keeps goes to `place`.
    fn start(self, place: &Place) -> Result<Command> {
        let mut command = Command::new(self.program()?);
        match self {
            Self::Ours => {
                command.arg("--config").arg(place.our("strongroom.toml"));
                command.env("STRONGROOM_STATE", place.our("state"));
            }
            Self::Restic => {
                command.env("RESTIC_REPOSITORY", self.repository(place));
                command.env("RESTIC_PASSWORD", PASSWORD);
                command.env("RESTIC_CACHE_DIR", place.caches().join("restic"));
            }
            Self::Borg => {
                command.env("BORG_PASSPHRASE", PASSWORD);
                command.env("BORG_BASE_DIR", place.caches().join("borg"));
            }
        }
        Ok(command)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "strongroom",
            Self::Restic => "restic",
            Self::Borg => "borg",
        })
    }
}

fn our_configuration(place: &Place) -> String {
    let password_file = place.our("password");
    let source = place.source();
    let mut text = format!(
        "password_file = {password_file:?}\n\n\
         [plan]\ncopies = 3\nmedia = 2\noffsite = 1\n\
         max_age = \"24h\"\nverify_every = \"7d\"\ndrill_every = \"30d\"\n\n\
         [[source]]\nname = \"data\"\npath = {source:?}\n"
    );
    for name in ["one", "two", "three"] {
        let store = Contender::Ours.all_repositories(place).join(name);
        text += &format!(
            "\n[[copy]]\nname = \"{name}\"\nstore = {store:?}\n\
             medium = \"disk\"\nsite = \"here\"\ndomain = \"bench\"\n"
        );
    }
    text
}

/// The folder of the run: source, repositories, what is restored.
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    /// A folder of our own in `parent`.
    pub(super) fn new(parent: &Path) -> Self {
        Self {
            root: parent.join("strongroom-bench"),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn is_in_memory(&self) -> Result<bool> {
        Ok(self.file_system()? == "tmpfs")
    }

    /// What the file system that it lies on is called.
    pub(super) fn file_system(&self) -> Result<String> {
        let said = capture(
            Command::new("stat")
                .args(["--file-system", "--format", "%T"])
                // The folder itself may be gone.
                .arg(self.root.parent().unwrap_or(&self.root)),
        )?;
        Ok(said.trim().to_owned())
    }

    pub(super) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    pub(super) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// What the program that was measured last has printed.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Removes everything.
    pub(super) fn clear(&self) -> Result<()> {
        remove(&self.root)
    }

    /// Touches as much memory as a step writes at most, where the place is a RAM disk: the host of a
    /// virtual machine hands it out at first touch and takes it back when it is free for a while,
    /// and whoever comes first would pay. A restore took more than twice its time so.
    pub(super) fn warm(&self) -> Result<()> {
        const BYTES: u64 = 2 << 30;
        if !self.is_in_memory()? {
            return Ok(());
        }
        fs::create_dir_all(&self.root)?;
        let path = self.root.join("warm");
        std::io::copy(
            &mut std::io::repeat(0).take(BYTES),
            &mut File::create(&path)?,
        )?;
        Ok(fs::remove_file(path)?)
    }

    /// Removes every repository and cache, for a new round.
    pub(super) fn clear_repositories(&self) -> Result<()> {
        remove(&self.repositories())?;
        remove(&self.caches())?;
        remove(&self.root.join("ours"))?;
        fs::create_dir_all(self.caches().join("borg"))?;
        fs::create_dir_all(self.root.join("ours"))?;
        Ok(())
    }

    /// Empties the folder that is restored to.
    pub(super) fn clear_target(&self) -> Result<()> {
        remove(&self.target())?;
        Ok(fs::create_dir_all(self.target())?)
    }

    fn repositories(&self) -> PathBuf {
        self.root.join("repositories")
    }

    fn caches(&self) -> PathBuf {
        self.root.join("caches")
    }

    /// A file of ours beside the repositories.
    fn our(&self, name: &str) -> PathBuf {
        self.root.join("ours").join(name)
    }
}

/// Empties a folder, made where it is missing.
pub(super) fn reset(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder)?;
    // Whoever flushes would pay for what was removed, and for what another has written and not
    // flushed.
    rustix::fs::sync();
    Ok(())
}

/// Removes a folder with all that is in it, where it is there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("Cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
