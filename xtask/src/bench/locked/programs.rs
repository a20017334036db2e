//! Ours with whatever copies are asked for, and restic with one repository; both with the same
//! password and, where one repository is made of the other, with the same key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bench::contender::remove;
use crate::bench::locked::ceph::{Bucket, Ceph};
use crate::run::{capture, find_program, target_folder};

const PASSWORD: &str = "benchmark";

/// The copy in a folder, as the configuration calls it.
const HERE: &str = "here";

/// The copy in a bucket, as the configuration calls it.
pub(super) const OFFSITE: &str = "offsite";

/// The variable that holds the secret of the bucket's account.
const SECRET: &str = "BENCH_SECRET_KEY";

/// Who takes a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Ours,
    Peer,
}

impl Who {
    /// Both, and who begins in this round.
    pub(super) fn turns(round: u32) -> [Self; 2] {
        match round.is_multiple_of(2) {
            true => [Self::Ours, Self::Peer],
            false => [Self::Peer, Self::Ours],
        }
    }
}

/// What ours is told: one source, and the copies that there are.
pub(super) struct Setting {
    pub(super) source: PathBuf,
    /// The folder of a copy.
    pub(super) here: Option<PathBuf>,
    pub(super) offsite: Option<Offsite>,
}

/// A copy in a bucket.
pub(super) struct Offsite {
    pub(super) address: String,
    pub(super) access_key: String,
    /// The least time that files stay locked; in a bucket without Object Lock there is none.
    pub(super) lock_days: Option<u64>,
}

impl Offsite {
    pub(super) fn new(ceph: &Ceph, bucket: Bucket, folder: &str, lock_days: Option<u64>) -> Self {
        Self {
            address: ceph.repository(bucket, folder),
            access_key: ceph.access_key().to_owned(),
            lock_days,
        }
    }
}

impl Setting {
    fn configuration(&self, password_file: &Path) -> String {
        let copies = [self.here.is_some(), self.offsite.is_some()];
        let copies = copies.into_iter().filter(|is_there| *is_there).count();
        let mut text = format!(
            "password_file = {password_file:?}\nsite = \"here\"\ndomain = \"bench\"\n\n\
             [plan]\ncopies = {copies}\n\n\
             [[source]]\nname = \"data\"\npath = {:?}\n",
            self.source
        );
        if let Some(folder) = &self.here {
            text += &format!(
                "\n[[copy]]\nname = \"{HERE}\"\nstore = {folder:?}\n\
                 medium = \"disk\"\nsite = \"here\"\ndomain = \"bench\"\n"
            );
        }
        if let Some(Offsite {
            address,
            access_key,
            lock_days,
        }) = &self.offsite
        {
            text += &format!(
                "\n[[copy]]\nname = \"{OFFSITE}\"\nstore = {address:?}\n\
                 medium = \"object\"\nsite = \"there\"\ndomain = \"{OFFSITE}\"\n\
                 access_key = {access_key:?}\nsecret_key = \"${{{SECRET}}}\"\n"
            );
            if let Some(days) = lock_days {
                text += &format!("lock = \"{days}d\"\n");
            }
        }
        text
    }
}

/// Ours, with a folder for what it keeps.
pub(super) struct Ours {
    folder: PathBuf,
}

impl Ours {
    /// Makes the folder anew.
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("password"), PASSWORD)?;
        Ok(Self { folder })
    }

    /// Says which copies there are from now on.
    pub(super) fn configure(&self, setting: &Setting) -> Result<()> {
        let text = setting.configuration(&self.password_file());
        Ok(fs::write(self.folder.join("strongroom.toml"), text)?)
    }

    /// The program, with what it needs to reach a bucket of this server.
    pub(super) fn command(&self, ceph: Option<&Ceph>) -> Command {
        let mut command = Command::new(target_folder().join("release/strongroom"));
        command
            .arg("--config")
            .arg(self.folder.join("strongroom.toml"))
            .env("STRONGROOM_STATE", self.state());
        if let Some(ceph) = ceph {
            command.env(SECRET, ceph.secret_key());
        }
        command
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// What it remembers between runs.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }
}

/// restic, with its default connections.
pub(super) struct Restic<'a> {
    repository: String,
    cache: PathBuf,
    ceph: Option<&'a Ceph>,
}

impl Restic<'static> {
    /// With a repository in a folder.
    pub(super) fn in_folder(repository: &Path, cache: PathBuf) -> Self {
        Self {
            repository: repository.display().to_string(),
            cache,
            ceph: None,
        }
    }
}

impl<'a> Restic<'a> {
    /// With a repository in a bucket.
    pub(super) fn in_bucket(ceph: &'a Ceph, bucket: Bucket, folder: &str, cache: PathBuf) -> Self {
        Self {
            repository: ceph.repository(bucket, folder),
            cache,
            ceph: Some(ceph),
        }
    }

    pub(super) fn command(&self) -> Result<Command> {
        let mut command = Command::new(find_program("restic").context("No restic on PATH")?);
        command
            .env("RESTIC_REPOSITORY", &self.repository)
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_CACHE_DIR", &self.cache);
        if let Some(ceph) = self.ceph {
            ceph.sign_for(&mut command);
        }
        Ok(command)
    }

    /// Whether all that its snapshots need is there.
    pub(super) fn check(&self) -> Result<()> {
        capture(self.command()?.arg("check")).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(setting: &Setting) -> Vec<toml::Table> {
        let text = setting.configuration(Path::new("/bench/password"));
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["password_file"].as_str(), Some("/bench/password"));
        let copies = table["copy"].as_array().unwrap();
        let wanted = table["plan"]["copies"].as_integer().unwrap();
        assert_eq!(usize::try_from(wanted).unwrap(), copies.len());
        let copies = copies.iter().map(|copy| copy.as_table().unwrap().clone());
        copies.collect()
    }

    #[test]
    fn a_configuration_has_the_copies_that_are_asked_for_and_no_secret() {
        let mut setting = Setting {
            source: "/bench/source".into(),
            here: Some("/bench/one".into()),
            offsite: Some(Offsite {
                address: "s3:http://127.0.0.1:8000/locked/1".to_owned(),
                access_key: "bench-key".to_owned(),
                lock_days: Some(30),
            }),
        };
        let both = copies(&setting);
        assert_eq!(both[0]["store"].as_str(), Some("/bench/one"));
        assert_eq!(both[1]["lock"].as_str(), Some("30d"));
        let secret = both[1]["secret_key"].as_str();
        assert_eq!(secret, Some("${BENCH_SECRET_KEY}"));
        setting.here = None;
        setting.offsite.as_mut().unwrap().lock_days = None;
        let one = copies(&setting);
        assert_eq!(one[0]["name"].as_str(), Some(OFFSITE));
        assert!(one[0].get("lock").is_none());
    }

    #[test]
    fn whoever_began_is_second_in_the_next_round() {
        assert_eq!(Who::turns(0), [Who::Ours, Who::Peer]);
        assert_eq!(Who::turns(1), [Who::Peer, Who::Ours]);
    }
}
