//! A first backup of ours to a folder and to a locked bucket, beside one of restic's to the same
//! bucket alone.
//!
//! What can go wrong: a fast backup of which something is missing. So what lies in the bucket is
//! compared with the copy in the folder.

use anyhow::{Context, Result, ensure};

use crate::bench::contender::{Place, remove};
use crate::bench::data::{self, DataSet};
use crate::bench::locked::ceph::{Bucket, Ceph, remote};
use crate::bench::locked::programs::{Offsite, Ours, Restic, Setting, Who};
use crate::bench::locked::tables::Pair;
use crate::bench::measure;
use crate::run::capture;

/// For how long files are locked at least.
const LOCK_DAYS: u64 = 30;

/// What keys of ours begin with, and those of restic's.
const OURS: &str = "ours";
const RESTIC: &str = "restic";

/// Measures one data set in every round.
pub(super) fn measure(place: &Place, set: DataSet, rounds: u32, quick: bool) -> Result<Pair> {
    println!("{set}: making the data");
    place.clear()?;
    set.make(&place.source(), quick)?;
    let mut pair = Pair::beside("restic");
    for round in 0..set.rounds(rounds) {
        measure_round(place, set, round, &mut pair)
            .with_context(|| format!("{set}, round {}", round + 1))?;
    }
    place.clear()?;
    Ok(pair)
}

/// Nobody removes what is locked, so each round has a server of its own.
fn measure_round(place: &Place, set: DataSet, round: u32, pair: &mut Pair) -> Result<()> {
    let ceph = Ceph::start()?;
    let here = place.root().join("here");
    let cache = place.root().join("restic-cache");
    remove(&here)?;
    remove(&cache)?;
    let ours = Ours::new(place.root().join("ours"))?;
    let offsite = Offsite::new(&ceph, Bucket::Locked, OURS, Some(LOCK_DAYS));
    ours.configure(&Setting {
        source: place.source(),
        here: Some(here.clone()),
        offsite: Some(offsite),
    })?;
    capture(ours.command(Some(&ceph)).arg("init"))?;
    // restic takes over our key, whoever begins, and so the cost of opening.
    let mut copy = ceph.rclone();
    copy.arg("copy").arg(&here);
    capture(copy.arg(remote(Bucket::Locked, RESTIC)))?;
    let restic = Restic::in_bucket(&ceph, Bucket::Locked, RESTIC, cache);
    for who in Who::turns(round) {
        let (mut command, folder) = match who {
            Who::Ours => (ours.command(Some(&ceph)), OURS),
            Who::Peer => (restic.command()?, RESTIC),
        };
        command.arg("backup");
        if who == Who::Peer {
            command.arg(place.source());
        }
        place.warm()?;
        let mut sample = measure::measure(&mut command, &place.log())?;
        sample.stored_bytes = ceph.size_of(Bucket::Locked, folder)?.bytes;
        println!("{set} first backup  {:<10} {sample}", pair.name(who));
        pair.add(who, sample);
    }
    let packs = ceph.size_of(Bucket::Locked, &format!("{OURS}/data"))?;
    ensure!(
        packs == data::size_of(&here.join("data"))?,
        "The packs of the two copies differ"
    );
    Ok(())
}
