//! The vault beside `rclone serve restic`, on the same folder of the same disk, in one run.
//!
//! rclone is the fast server that keeps no promises: it neither flushes nor logs. Ours flushes
//! every object and tells each in its log, and is held against it all the same.
//!
//! What can go wrong: the machine is noisy, so the servers take turns within each round and only
//! medians count. The clients run on the same cores as the servers, and cost both the same.

mod flood;
mod load;
mod server;
mod tables;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::bench::contender::{Place, reset};
use crate::bench::data;
use crate::run::capture;

use flood::Flood;
use load::{Load, Objects};
use server::{Server, Which};

pub(super) use flood::raise_file_limit;
pub(super) use tables::{Figures, text};
use tables::{LeafCost, Servers};

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Work {
    large_bytes: u64,
    small_objects: u64,
    listed_objects: u64,
    rounds: u32,
}

const CONNECTIONS: usize = 64;

/// The user of basic authentication and the repository, on both servers.
const REPOSITORY: &str = "bench";

const PASSWORD: &str = "benchmark";

/// The programs that take part, as they call themselves.
pub(super) fn versions() -> Result<Vec<String>> {
    let vault = crate::run::target_folder().join("release/strongroom-vault");
    let first_line = |said: String| said.lines().next().unwrap_or_default().to_owned();
    Ok(vec![
        first_line(capture(Command::new(vault).arg("--version"))?),
        first_line(capture(Command::new("rclone").arg("version"))?),
        first_line(capture(Command::new("restic").arg("version"))?),
    ])
}

/// Builds the vault, measures both servers, and tells what came of it.
pub(super) fn measure(place: &Place, rounds: u32, quick: bool) -> Result<Figures> {
    let share = if quick { 10 } else { 1 };
    let work = Work {
        large_bytes: (2 << 30) / share,
        small_objects: 20_000 / share,
        listed_objects: 1_000_000 / share,
        rounds,
    };
    super::build()?;
    let mut figures = Figures::default();
    place.clear()?;
    place.warm()?;
    figures.leaves = leaves(rounds)?;
    both(place, &work, &mut figures.servers)?;
    for _ in 0..work.rounds {
        listing(place, &work, &mut figures)?;
    }
    under_flood(place, &work, &mut figures)?;
    place.clear()?;
    let disk = Place::new(&crate::run::target_folder());
    if place.is_in_memory()? && !disk.is_in_memory()? {
        let there = disk.file_system()?;
        println!("the same on {there}");
        let mut servers = Servers::default();
        both(&disk, &work, &mut servers)?;
        disk.clear()?;
        figures.on_disk = Some((there, servers));
    }
    Ok(figures)
}

/// What both servers can do.
fn both(place: &Place, work: &Work, servers: &mut Servers) -> Result<()> {
    // Two seconds each, and so the first to be disturbed.
    for round in 0..work.rounds * 3 {
        let mut order = Which::ALL;
        order.rotate_left(round as usize % Which::ALL.len());
        for which in order {
            let folder = place.root().join("small").join(format!("{round}-{which}"));
            small(which, &folder, work, servers)?;
        }
    }
    reset(&place.root().join("small"))?;
    large(place, work, servers)
}

/// Objects of 4 KiB: put, then got. In a folder where none were before: for minutes, ext4 looks for
/// each new file past all that were removed, and that was more than half of all work.
fn small(which: Which, folder: &Path, work: &Work, servers: &mut Servers) -> Result<()> {
    reset(folder)?;
    let server = Server::start(which, folder)?;
    let load = Load::new(&server, REPOSITORY);
    load.create()?;
    let objects = Objects::new(work.small_objects);
    let seconds = |took: Duration| work.small_objects as f64 / took.as_secs_f64();
    let put = seconds(load.put(&objects, CONNECTIONS)?);
    let got = seconds(load.get(&objects, CONNECTIONS)?);
    println!("small objects  {which:<7} {put:8.0} put/s  {got:8.0} got/s");
    servers.put_rates.add(which, put);
    servers.get_rates.add(which, got);
    server.stop()
}

/// restic, both ways, of data that does not compress. The client does most of the work, so that a slow
/// moment of the machine is more than what the servers differ by.
fn large(place: &Place, work: &Work, servers: &mut Servers) -> Result<()> {
    let source = place.root().join("source");
    reset(&source)?;
    data::random(&source.join("random"), work.large_bytes)?;
    for round in 0..work.rounds * 2 + 1 {
        let mut order = Which::ALL;
        order.rotate_left(round as usize % Which::ALL.len());
        for which in order {
            let folder = place.root().join("large");
            reset(&folder)?;
            let server = Server::start(which, &folder)?;
            let restic = Restic::new(&server, place);
            restic.init()?;
            let backup = restic.backup(&source)?;
            let target = place.root().join("target");
            reset(&target)?;
            let restore = restic.restore(&target)?;
            let (came, was) = (data::size_of(&target)?, data::size_of(&source)?);
            ensure!(came == was, "{which} did not give back what it was given");
            reset(&target)?;
            println!(
                "large objects  {which:<7} backup {:6.2} s  restore {:6.2} s",
                backup.as_secs_f64(),
                restore.as_secs_f64()
            );
            servers.backups.add(which, backup.as_secs_f64());
            servers.restores.add(which, restore.as_secs_f64());
            server.stop()?;
        }
    }
    reset(&place.root().join("large"))
}

/// A list of many objects, which are put into the vault's database directly: only the list counts.
fn listing(place: &Place, work: &Work, figures: &mut Figures) -> Result<()> {
    let folder = place.root().join("list");
    reset(&folder)?;
    server::init(&folder)?;
    let fill = crate::run::target_folder().join("release/examples/fill");
    let mut fill = Command::new(fill);
    fill.arg(folder.join("vault.toml")).arg(REPOSITORY);
    capture(fill.arg(work.listed_objects.to_string()))?;
    let server = Server::serve(&folder)?;
    let load = Load::new(&server, REPOSITORY);
    let (took, listed) = load.list("data")?;
    ensure!(
        listed == work.listed_objects,
        "{listed} objects were listed, and {} are there",
        work.listed_objects
    );
    let peak_bytes = server.peak_bytes()?;
    println!(
        "list of {listed}  {:6.2} s  {} MB peak",
        took.as_secs_f64(),
        peak_bytes / 1_000_000
    );
    figures.list_seconds.push(took.as_secs_f64());
    figures.list_peaks.push(peak_bytes as f64 / 1e6);
    server.stop()?;
    reset(&folder)
}

/// A backup beside a flood, and one without.
fn under_flood(place: &Place, work: &Work, figures: &mut Figures) -> Result<()> {
    let source = place.root().join("source");
    reset(&source)?;
    data::random(&source.join("random"), work.large_bytes / 4)?;
    for round in 0..work.rounds {
        let mut order = [false, true];
        let turn = round as usize % order.len();
        order.rotate_left(turn);
        for is_flooded in order {
            let folder = place.root().join("flood");
            reset(&folder)?;
            let server = Server::start(Which::Vault, &folder)?;
            let restic = Restic::new(&server, place);
            restic.init()?;
            let flood = is_flooded
                .then(|| Flood::start(server.address()))
                .transpose()?;
            let took = restic.backup(&source)?.as_secs_f64();
            let peak_bytes = server.peak_bytes()?;
            if let Some(flood) = flood {
                let told = flood.stop()?;
                println!("{told}");
                figures.flood_rates.push(told.rate()?);
                figures.flood_seconds.push(took);
                figures.flood_peaks.push(peak_bytes as f64 / 1e6);
            } else {
                figures.quiet_seconds.push(took);
            }
            println!(
                "{}  {took:6.2} s  {} MB peak",
                if is_flooded {
                    "under flood"
                } else {
                    "in quiet   "
                },
                peak_bytes / 1_000_000
            );
            server.stop()?;
        }
    }
    reset(&place.root().join("flood"))
}

/// What a leaf adds to a commit, and what a small put without HTTP takes in all.
fn leaves(rounds: u32) -> Result<Vec<LeafCost>> {
    let measure = || {
        let said = capture(&mut super::micro("leaves"))?;
        let numbers: Option<Vec<f64>> = said.split_whitespace().map(|n| n.parse().ok()).collect();
        match numbers.as_deref() {
            Some([leaf_us, put_us]) => Ok(LeafCost {
                leaf_us: *leaf_us,
                put_us: *put_us,
            }),
            _ => bail!("The benchmark of leaves said {said:?}"),
        }
    };
    (0..rounds).map(|_| measure()).collect()
}

/// Stock restic with one server.
struct Restic<'a> {
    server: &'a Server,
    place: &'a Place,
}

impl<'a> Restic<'a> {
    fn new(server: &'a Server, place: &'a Place) -> Self {
        Self { server, place }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("restic");
        command
            .env("RESTIC_REPOSITORY", self.server.repository(REPOSITORY))
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_CACHE_DIR", self.place.root().join("restic-cache"))
            .args(["--quiet", "-o", "rest.connections=5"]);
        command
    }

    fn init(&self) -> Result<()> {
        capture(self.command().arg("init")).map(drop)
    }

    fn backup(&self, source: &Path) -> Result<Duration> {
        timed(self.command().arg("backup").arg(source))
    }

    fn restore(&self, target: &Path) -> Result<Duration> {
        timed(
            self.command()
                .args(["restore", "latest", "--target"])
                .arg(target),
        )
    }
}

fn timed(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    capture(command)?;
    Ok(started.elapsed())
}
