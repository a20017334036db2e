//! A prune that frees half of a repository, beside restic's of an identical one, in a folder and in
//! a bucket.
//!
//! A quarter of the data goes as a whole, and with it whole packs. Of half of the data every second
//! file goes: their packs must be written anew with what stays. A quarter stays as it is.
//!
//! What can go wrong: memory. The repository lies there once as it was and once for whoever has his
//! turn; its source, a quarter at a time, is gone by then. And a fast prune that frees little or too
//! much: so what is left is counted, and restic checks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::contender::{Place, remove, reset};
use crate::bench::data;
use crate::bench::locked::ceph::{Bucket, Ceph, remote};
use crate::bench::locked::programs::{Offsite, Ours, Restic, Setting, Who};
use crate::bench::locked::tables::Pruned;
use crate::bench::measure::{self, Sample};
use crate::run::capture;

/// Noise of this size is cut into a few blobs, which lie together in one pack or two.
const FILE_BYTES: u64 = 4 << 20;

/// The folder of what lies as it was.
const PRISTINE: &str = "pristine";

/// What becomes of a quarter of the data.
#[derive(Clone, Copy)]
enum Fate {
    Goes,
    EverySecondFileGoes,
    Stays,
}

const QUARTERS: [Fate; 4] = [
    Fate::Goes,
    Fate::EverySecondFileGoes,
    Fate::EverySecondFileGoes,
    Fate::Stays,
];

/// A repository as it was before anything went, with what ours remembers of it.
struct Pristine<'a> {
    place: &'a Place,
    ours: Ours,
    /// What goes.
    snapshots: Vec<String>,
    bytes: u64,
}

/// Measures in a folder, in every round.
pub(super) fn in_folder(place: &Place, bytes: u64, rounds: u32) -> Result<Pruned> {
    let pristine = Pristine::make(place, bytes)?;
    let mut pruned = Pruned::of(pristine.bytes);
    for round in 0..rounds {
        for who in Who::turns(round) {
            let sample = pristine.prune_in_folder(who)?;
            pristine.keep("in a folder", who, sample, &mut pruned)?;
        }
    }
    place.clear()?;
    Ok(pruned)
}

/// Measures in a bucket, in every round. What is removed is given back by a gateway after hours
/// only, so each round has a server of its own.
pub(super) fn in_bucket(place: &Place, bytes: u64, rounds: u32) -> Result<Pruned> {
    let pristine = Pristine::make(place, bytes)?;
    let mut pruned = Pruned::of(pristine.bytes);
    for round in 0..rounds {
        let ceph = Ceph::start()?;
        for who in Who::turns(round) {
            let sample = pristine.prune_in_bucket(&ceph, who)?;
            pristine.keep("in a bucket", who, sample, &mut pruned)?;
        }
    }
    place.clear()?;
    Ok(pruned)
}

impl<'a> Pristine<'a> {
    fn make(place: &'a Place, bytes: u64) -> Result<Self> {
        println!("prune: making a repository of {} MB", bytes / 1_000_000);
        place.clear()?;
        reset(&place.source())?;
        let mut pristine = Self {
            place,
            ours: Ours::new(place.root().join("ours"))?,
            snapshots: Vec::new(),
            bytes: 0,
        };
        pristine.ours.configure(&Setting {
            source: place.source(),
            here: Some(pristine.repository()),
            offsite: None,
        })?;
        capture(pristine.ours.command(None).arg("init"))?;
        // As many that stay as go.
        let files = (bytes / 8 / FILE_BYTES).max(1) * 2;
        for (quarter, fate) in (0..).zip(QUARTERS) {
            pristine.fill(quarter, files, fate)?;
        }
        // Whoever has the first turn finds no more in memory than the others do.
        reset(&place.source())?;
        fs::create_dir(place.root().join(PRISTINE))?;
        fs::rename(pristine.repository(), pristine.aside("repository"))?;
        fs::rename(pristine.ours.state(), pristine.aside("state"))?;
        pristine.bytes = data::size_of(&pristine.aside("repository"))?.bytes;
        Ok(pristine)
    }

    /// Backs a quarter up, and what is to stay of it once more.
    fn fill(&mut self, quarter: u64, files: u64, fate: Fate) -> Result<()> {
        let source = self.place.source();
        let path = |number: u64| source.join(format!("{quarter}-{number:05}"));
        reset(&source)?;
        for number in 0..files {
            data::noise(&path(number), (quarter << 32) | number, FILE_BYTES)?;
        }
        let snapshot = self.backup()?;
        match fate {
            Fate::Stays => {}
            Fate::Goes => self.snapshots.push(snapshot),
            Fate::EverySecondFileGoes => {
                self.snapshots.push(snapshot);
                for number in (0..files).step_by(2) {
                    fs::remove_file(path(number))?;
                }
                self.backup()?;
            }
        }
        Ok(())
    }

    /// The id of the new snapshot.
    fn backup(&self) -> Result<String> {
        let snapshots = self.repository().join("snapshots");
        let before = names(&snapshots)?;
        capture(self.ours.command(None).arg("backup"))?;
        let after = names(&snapshots)?;
        let mut new = after.difference(&before);
        match (new.next(), new.next()) {
            (Some(snapshot), None) => Ok(snapshot.clone()),
            _ => bail!("A backup has made no snapshot, or more than one"),
        }
    }

    /// Where the repository lies while somebody works on it.
    fn repository(&self) -> PathBuf {
        self.place.root().join("repository")
    }

    /// Where something lies as it was.
    fn aside(&self, name: &str) -> PathBuf {
        self.place.root().join(PRISTINE).join(name)
    }

    fn cache(&self) -> PathBuf {
        self.place.root().join("restic-cache")
    }

    /// What ours remembers is as it was; restic's cache knows nothing of the last round.
    fn set_back(&self) -> Result<()> {
        remove(&self.cache())?;
        remove(&self.ours.state())?;
        copy(&self.aside("state"), &self.ours.state())
    }

    fn prune_in_folder(&self, who: Who) -> Result<Sample> {
        let repository = self.repository();
        remove(&repository)?;
        copy(&self.aside("repository"), &repository)?;
        self.set_back()?;
        let restic = Restic::in_folder(&repository, self.cache());
        let mut sample = self.prune(who, None, &restic)?;
        sample.stored_bytes = data::size_of(&repository)?.bytes;
        remove(&repository)?;
        Ok(sample)
    }

    fn prune_in_bucket(&self, ceph: &Ceph, who: Who) -> Result<Sample> {
        let folder = match who {
            Who::Ours => "ours",
            Who::Peer => "restic",
        };
        let mut copy = ceph.rclone();
        copy.arg("copy").arg(self.aside("repository"));
        capture(copy.arg(remote(Bucket::Plain, folder)))?;
        self.set_back()?;
        self.ours.configure(&Setting {
            source: self.place.source(),
            here: None,
            offsite: Some(Offsite::new(ceph, Bucket::Plain, folder, None)),
        })?;
        let restic = Restic::in_bucket(ceph, Bucket::Plain, folder, self.cache());
        let mut sample = self.prune(who, Some(ceph), &restic)?;
        sample.stored_bytes = ceph.size_of(Bucket::Plain, folder)?.bytes;
        Ok(sample)
    }

    /// Forgets what goes, which is not measured, then prunes, which is. restic looks whether all
    /// that stays is whole, whoever has pruned.
    fn prune(&self, who: Who, ceph: Option<&Ceph>, restic: &Restic<'_>) -> Result<Sample> {
        let command = || match who {
            Who::Ours => Ok(self.ours.command(ceph)),
            Who::Peer => restic.command(),
        };
        capture(command()?.arg("forget").args(&self.snapshots))?;
        if who == Who::Peer {
            // Its cache gets an index and trees, as one that is in use has them.
            capture(command()?.args(["ls", "latest"]))?;
        }
        self.place.warm()?;
        rustix::fs::sync();
        let sample = measure::measure(command()?.arg("prune"), &self.place.log())?;
        restic.check()?;
        Ok(sample)
    }

    fn keep(&self, place: &str, who: Who, sample: Sample, pruned: &mut Pruned) -> Result<()> {
        let name = pruned.pair.name(who);
        println!("prune {place}  {name:<10} {sample}");
        ensure!(
            is_half(self.bytes, sample.stored_bytes),
            "{name} left {} of {} bytes, which is not half",
            sample.stored_bytes,
            self.bytes
        );
        pruned.pair.add(who, sample);
        Ok(())
    }
}

/// Whether about half of a repository is left: what is not needed may be a twentieth of it still.
fn is_half(before_bytes: u64, left_bytes: u64) -> bool {
    let left = left_bytes as f64 / before_bytes as f64;
    (0.45..=0.56).contains(&left)
}

fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let entries = fs::read_dir(folder);
    for entry in entries.with_context(|| format!("Cannot list {}", folder.display()))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Copies a folder with all its times; blocks are shared where the file system can do that.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--reflink=auto"]);
    capture(copy.arg(from).arg(to)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_half_but_for_what_a_prune_may_leave() {
        assert!(is_half(1_000, 500));
        assert!(is_half(1_000, 526));
        assert!(!is_half(1_000, 750));
        assert!(!is_half(1_000, 250));
    }

    #[test]
    fn a_copy_is_a_folder_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("pack"), "a").unwrap();
        copy(&from, &to).unwrap();
        fs::remove_file(to.join("pack")).unwrap();
        assert_eq!(names(&from).unwrap(), BTreeSet::from(["pack".to_owned()]));
        assert_eq!(names(&to).unwrap(), BTreeSet::new());
    }
}
