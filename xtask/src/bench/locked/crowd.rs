//! Many small objects in a locked bucket: their locks are extended, then the bucket is wiped, and
//! then all is brought back.
//!
//! What can go wrong: work that was not done. So the dates of some objects are read by another
//! program, a wiped bucket must look empty, and what was brought back is counted.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::bench::contender::{Place, remove, reset};
use crate::bench::data::{self, each_file};
use crate::bench::locked::ceph::{Bucket, Ceph, remote};
use crate::bench::locked::connections::Watch;
use crate::bench::locked::programs::{OFFSITE, Offsite, Ours, Setting, Who};
use crate::bench::locked::tables::Crowd;
use crate::bench::measure;
use crate::run::{capture, target_folder};

/// What the keys of the objects begin with, in both buckets.
const FOLDER: &str = "crumbs";

/// So many objects are asked for their date.
const ASKED: u64 = 5;

/// The lock is doubled in each round, and no configuration takes more than fifty years.
const ROUNDS_OF_LOCKS: u32 = 13;

/// The repository of many small packs, on every place where it lies.
struct Scene<'a> {
    place: &'a Place,
    ceph: Ceph,
    ours: Ours,
    here: PathBuf,
    objects: u64,
}

/// Measures both commands on so many objects, in every round.
pub(super) fn measure(place: &Place, objects: u64, rounds: u32) -> Result<Crowd> {
    let scene = Scene::set(place, objects)?;
    let mut crowd = Crowd::new(objects);
    for round in 0..rounds.min(ROUNDS_OF_LOCKS) {
        scene.extend(round, &mut crowd)?;
    }
    scene.wipe()?;
    for round in 0..rounds {
        for who in Who::turns(round) {
            scene.recover(who, &mut crowd)?;
        }
    }
    place.clear()?;
    Ok(crowd)
}

impl<'a> Scene<'a> {
    /// Makes the repository in a folder, lets our sync bring it to the locked bucket, and rclone to
    /// the other one.
    fn set(place: &'a Place, objects: u64) -> Result<Self> {
        place.clear()?;
        reset(&place.source())?;
        let scene = Self {
            place,
            ceph: Ceph::start()?,
            ours: Ours::new(place.root().join("ours"))?,
            here: place.root().join("here"),
            objects,
        };
        scene.configure(1)?;
        capture(scene.ours().arg("init"))?;
        let mut crumbs = Command::new(target_folder().join("release/examples/crumbs"));
        crumbs.arg(&scene.here).arg(scene.ours.password_file());
        capture(crumbs.arg(objects.to_string()))?;
        println!("{objects} objects: bringing them to the buckets");
        capture(scene.ours().arg("sync"))?;
        let mut copy = scene.ceph.rclone();
        copy.arg("copy").arg(&scene.here);
        capture(copy.arg(remote(Bucket::Plain, FOLDER)))?;
        let packs = data::size_of(&scene.packs())?;
        ensure!(
            packs.files > objects,
            "There are {} packs only",
            packs.files
        );
        for bucket in [Bucket::Locked, Bucket::Plain] {
            let stored = scene.ceph.size_of(bucket, &format!("{FOLDER}/data"))?;
            ensure!(stored == packs, "The bucket \"{bucket}\" has not all packs");
        }
        Ok(scene)
    }

    fn configure(&self, lock_days: u64) -> Result<()> {
        let offsite = Offsite::new(&self.ceph, Bucket::Locked, FOLDER, Some(lock_days));
        self.ours.configure(&Setting {
            source: self.place.source(),
            here: Some(self.here.clone()),
            offsite: Some(offsite),
        })
    }

    fn ours(&self) -> Command {
        self.ours.command(Some(&self.ceph))
    }

    fn packs(&self) -> PathBuf {
        self.here.join("data")
    }

    /// Asks for twice the lock, so that every object is due.
    fn extend(&self, round: u32, crowd: &mut Crowd) -> Result<()> {
        self.configure(2_u64 << round)?;
        let before = self.dates()?;
        let mut extend = self.ours();
        extend.args(["lock", "extend", "--copy", OFFSITE]);
        let sample = measure::measure(&mut extend, &self.place.log())?;
        println!("{} objects: lock extend        {sample}", self.objects);
        let after = self.dates()?;
        ensure!(
            before
                .iter()
                .zip(&after)
                .all(|(before, after)| before < after),
            "An object was locked until {before:?}, and is until {after:?}"
        );
        crowd.extends.push(sample);
        Ok(())
    }

    /// Until when some objects are locked, from all over the listing.
    fn dates(&self) -> Result<Vec<String>> {
        let step = (self.objects / ASKED).max(1);
        let mut number = 0_u64;
        let mut keys = Vec::new();
        each_file(&self.packs(), &mut |path, _| {
            if number.is_multiple_of(step) {
                keys.push(key(&self.here, path)?);
            }
            number += 1;
            Ok(true)
        })?;
        keys.iter().map(|key| self.ceph.locked_until(key)).collect()
    }

    /// Removes all that is listed, as an intruder does.
    fn wipe(&self) -> Result<()> {
        println!("{} objects: wiping the bucket", self.objects);
        let mut delete = self.ceph.rclone();
        capture(delete.arg("delete").arg(remote(Bucket::Locked, FOLDER)))?;
        let left = self.ceph.size_of(Bucket::Locked, FOLDER)?;
        ensure!(left.files == 0, "{} objects are left", left.files);
        Ok(())
    }

    /// Ours brings back what is hidden, knowing nothing of before; rclone gets the same objects from
    /// where they are not hidden.
    fn recover(&self, who: Who, crowd: &mut Crowd) -> Result<()> {
        let target = self.place.target();
        remove(&target)?;
        remove(&self.ours.state())?;
        let mut command = match who {
            Who::Ours => {
                let mut recover = self.ours();
                recover.args(["recover", "--copy", OFFSITE, "--into"]);
                recover
            }
            Who::Peer => {
                let mut copy = self.ceph.rclone();
                copy.args(["copy", "--use-server-modtime"]);
                copy.arg(remote(Bucket::Plain, FOLDER));
                copy
            }
        };
        command.arg(&target);
        rustix::fs::sync();
        let watch = Watch::start(self.ceph.port());
        let sample = measure::measure(&mut command, &self.place.log());
        let connections = watch.stop();
        let (sample, connections) = (sample?, connections?);
        println!(
            "{} objects: recover  {:<10} {sample}  {} connections",
            self.objects,
            crowd.recovers.name(who),
            connections.usual
        );
        ensure!(
            data::size_of(&target.join("data"))? == data::size_of(&self.packs())?,
            "{} did not bring back what was there",
            crowd.recovers.name(who)
        );
        crowd.recovers.add(who, sample);
        crowd.add_connections(who, connections);
        Ok(())
    }
}

/// The key of a file of the repository in a folder: the layout is the same.
fn key(repository: &Path, file: &Path) -> Result<String> {
    let below = file.strip_prefix(repository)?;
    Ok(format!("{FOLDER}/{}", below.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_path_within_the_repository() {
        let key_of = |file| key(Path::new("/bench/here"), Path::new(file));
        assert_eq!(
            key_of("/bench/here/data/5a/5aff").unwrap(),
            "crumbs/data/5a/5aff"
        );
        key_of("/bench/elsewhere/5aff").unwrap_err();
    }
}
