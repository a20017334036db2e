//! Copies in a bucket with Object Lock, and what is let go, against a Ceph on loopback.
//!
//! - A first backup to a folder and a locked bucket, beside restic's to the same bucket alone.
//! - The locks of many small objects extended.
//! - All of them brought back from a wiped bucket, beside a plain client that gets the same objects
//!   from where they are not hidden: as fast as that is what "limited by its requests" means here.
//! - A prune that frees half of a repository, beside restic's of an identical one.
//!
//! What can go wrong: the server runs on the same cores as whoever is measured, and costs both the
//! same. It has 4 GiB of memory: [`ceph`] tells what follows.

mod backup;
mod ceph;
mod connections;
mod crowd;
mod programs;
mod prune;
mod tables;

use std::process::Command;

use anyhow::Result;

use crate::bench::contender::{Contender, Place};
use crate::bench::data::DataSet;
use crate::run::capture;

pub(super) use tables::{Figures, text};

/// What is backed up: a million tiny files tell of the client and not of the bucket.
const SETS: [DataSet; 4] = [DataSet::A, DataSet::B, DataSet::C, DataSet::D];

const OBJECTS: u64 = 10_000;
const FOLDER_BYTES: u64 = 5_000_000_000;
const BUCKET_BYTES: u64 = 1_000_000_000;

/// The programs that take part, as they call themselves.
pub(super) fn versions() -> Result<Vec<String>> {
    let first = |said: String, words| {
        let words: Vec<_> = said.split_whitespace().take(words).collect();
        words.join(" ")
    };
    Ok(vec![
        Contender::Ours.version()?,
        Contender::Restic.version()?,
        first(capture(Command::new("rclone").arg("version"))?, 2),
        first(capture(Command::new("radosgw").arg("--version"))?, 3),
    ])
}

/// Measures everything, or first backups of some data sets only.
pub(super) fn measure(
    place: &Place,
    only: &[DataSet],
    rounds: u32,
    quick: bool,
) -> Result<Figures> {
    let share = if quick { 10 } else { 1 };
    super::build()?;
    let mut figures = Figures::default();
    let sets: &[DataSet] = if only.is_empty() { &SETS } else { only };
    for set in sets {
        let pair = backup::measure(place, *set, rounds, quick)?;
        figures.backups.push((*set, pair));
    }
    if only.is_empty() {
        figures.crowd = Some(crowd::measure(place, OBJECTS / share, rounds)?);
        figures.in_folder = Some(prune::in_folder(place, FOLDER_BYTES / share, rounds)?);
        figures.in_bucket = Some(prune::in_bucket(place, BUCKET_BYTES / share, rounds)?);
    }
    Ok(figures)
}
