//! `cargo xtask bench`: how fast we are, beside the restic and borg that are on this machine.
//!
//! Of the engine: ours writes three copies while each peer writes one. All read the same data on a
//! RAM disk, in turns within each round, so that a slow minute of the machine hits everybody. What
//! can go wrong: a fast result that is false. So every restore is counted against its source, and a
//! program that fails ends the run.

mod contender;
mod data;
mod locked;
mod measure;
mod report;
mod vault;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;

use crate::bench::contender::{Contender, Place, Step};
use crate::bench::data::DataSet;
use crate::bench::measure::{Samples, reading_rate, sha256_rate};
use crate::bench::report::Report;
use crate::run::{capture, cargo, cores, run as run_command, target_folder, workspace_root};

/// What `bench` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Only the engine, against restic and borg, only the vault, against rclone, or only copies in
    /// locked buckets; the other parts of docs/benchmarks.md are then left alone
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// Only these data sets of the engine's, whose figures alone are then written anew, or with `--part
    /// locked` only first backups of them, and docs/benchmarks.md is left alone
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<DataSet>,
    /// How often everything is measured, but (e) a third as often; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// A tenth of the data, to try the harness; docs/benchmarks.md is then left alone
    #[arg(long)]
    quick: bool,
    /// Leaves ours out; docs/benchmarks.md is then left alone
    #[arg(long)]
    peers_only: bool,
    /// Where data and repositories go [default: a RAM disk, else the target folder]
    #[arg(long, value_name = "FOLDER")]
    at: Option<PathBuf>,
    /// The date to write into the report [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Backup, restore and verify, against restic and borg
    Engine,
    /// The server, against `rclone serve restic`
    Vault,
    /// Copies in a bucket of a Ceph, and what is let go, against restic and rclone
    Locked,
}

/// Measures everything asked for and reports.
pub(crate) fn run(arguments: &Args) -> Result<()> {
    vault::raise_file_limit()?;
    let place = Place::new(&arguments.at.clone().unwrap_or_else(ram_disk));
    let wants = |part| arguments.part.is_none_or(|only| only == part);
    let is_true = !arguments.quick && !arguments.peers_only;
    let is_whole = is_true && arguments.only.is_empty();
    let path = workspace_root().join("docs/benchmarks.md");
    let mut engine = None;
    if wants(Part::Engine) {
        let (contenders, report) = measure_engine(arguments, &place)?;
        println!("\n{}\n{}", report.figures(), report.targets());
        let versions: Result<Vec<_>> = contenders.iter().map(|one| one.version()).collect();
        let circumstances = circumstances(arguments, &versions?, &place)?;
        if is_true && !is_whole {
            let before = fs::read_to_string(&path).unwrap_or_default();
            fs::write(&path, report::with_sets(&before, &report, &circumstances))?;
            println!("wrote what was measured into {}", path.display());
        }
        let head = report::head(&circumstances);
        engine = Some(format!(
            "{head}\n{}\n{}",
            report.targets(),
            report.figures()
        ));
    }
    let mut server = None;
    if wants(Part::Vault) && arguments.only.is_empty() && !arguments.peers_only {
        let figures = vault::measure(&place, arguments.rounds, arguments.quick)?;
        println!("\n{}", vault::text(&figures));
        let head = report::vault_head(&circumstances(arguments, &vault::versions()?, &place)?);
        server = Some(format!("{head}\n{}", vault::text(&figures)));
    }
    let mut buckets = None;
    let of_locked = arguments.only.is_empty() || arguments.part == Some(Part::Locked);
    if wants(Part::Locked) && of_locked && !arguments.peers_only {
        let (only, rounds) = (&arguments.only, arguments.rounds);
        let figures = locked::measure(&place, only, rounds, arguments.quick)?;
        println!("\n{}", locked::text(&figures));
        let head = report::locked_head(&circumstances(arguments, &locked::versions()?, &place)?);
        buckets = Some(format!("{head}\n{}", locked::text(&figures)));
    }
    if !is_whole {
        println!("not a whole run: the rest of docs/benchmarks.md is left as it was");
        return Ok(());
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    let measured = [engine, server, buckets];
    fs::write(&path, report::with_parts(&before, measured))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Measures ours, restic and borg.
fn measure_engine(arguments: &Args, place: &Place) -> Result<(Vec<Contender>, Report)> {
    let contenders = contenders(arguments)?;
    let sets = if arguments.only.is_empty() {
        DataSet::ALL.to_vec()
    } else {
        arguments.only.clone()
    };
    place.clear()?;
    let mut report = Report::default();
    for set in sets {
        println!("{set}: making the data");
        place.clear()?;
        let size = set.make(&place.source(), arguments.quick)?;
        println!("{set}: {} files, {} MB", size.files, size.bytes / 1_000_000);
        let mut samples = Samples::default();
        for round in 0..set.rounds(arguments.rounds) {
            let mut order = contenders.clone();
            let turn = round as usize % order.len();
            order.rotate_left(turn);
            measure_round(set, &order, place, &mut samples)
                .with_context(|| format!("{set}, round {}", round + 1))?;
        }
        report.add(set, size, samples);
    }
    place.clear()?;
    if !arguments.peers_only {
        report.add_chunker(chunker_rates(arguments.rounds)?);
    }
    Ok((contenders, report))
}

/// Every step once, each for all contenders before the next.
fn measure_round(
    set: DataSet,
    order: &[Contender],
    place: &Place,
    samples: &mut Samples,
) -> Result<()> {
    place.clear_repositories()?;
    // Ours first, whoever begins: restic takes over its key and so its cost of opening.
    if order.contains(&Contender::Ours) {
        Contender::Ours.prepare(place, false)?;
    }
    for contender in order {
        if *contender != Contender::Ours {
            contender.prepare(place, order.contains(&Contender::Ours))?;
        }
    }
    samples.add_sha256_rate(sha256_rate());
    for step in Step::ALL {
        if step == Step::Changed {
            set.change(&place.source())?;
        }
        for contender in (0..step.times()).flat_map(|_| order) {
            let Some(mut command) = contender.command(step, place)? else {
                continue;
            };
            place.clear_target()?;
            if step.writes_much() {
                place.warm()?;
            }
            let mut sample = measure::measure(&mut command, &place.log())
                .with_context(|| format!("{contender}: {step}"))?;
            sample.stored_bytes = data::size_of(&contender.repository(place))?.bytes;
            sample.read_bytes = data::size_of(&contender.all_repositories(place))?.bytes;
            println!("{set} {step:<16} {contender:<10} {sample}");
            if step == Step::Restore {
                ensure!(
                    data::size_of(&place.target())? == data::size_of(&place.source())?,
                    "{contender} did not restore what it backed up"
                );
            }
            samples.add(*contender, step, sample);
        }
    }
    if order.contains(&Contender::Ours) {
        samples.add_reading_rate(reading_rate(&Contender::Ours.all_repositories(place))?);
    }
    place.clear_target()?;
    // Changing twice gives back what was there, for the next round.
    set.change(&place.source())
}

/// Bytes a second that one core scans for cuts, in each round.
fn chunker_rates(rounds: u32) -> Result<Vec<f64>> {
    let measure = || {
        let said = capture(&mut micro("chunker"))?;
        let rate = said.trim().parse();
        rate.with_context(|| format!("The benchmark of the chunker said {said:?}"))
    };
    (0..rounds).map(|_| measure()).collect()
}

/// All that is measured. It is built together: built apart, each package would have its own features
/// of what all depend on, and nearly everything would be built several times.
const PACKAGES: [&str; 4] = [
    "--package=strongroom-cli",
    "--package=strongroom-repo",
    "--package=strongroom-testkit",
    "--package=strongroom-vault",
];

/// Builds all that is measured.
fn build() -> Result<()> {
    let mut build = cargo(["build", "--release", "--bins", "--examples"]);
    run_command(build.args(PACKAGES))
}

/// Runs a benchmark of one function, which prints one number.
fn micro(name: &str) -> Command {
    let mut bench = cargo(["bench", "--quiet", "--bench", name]);
    bench.args(PACKAGES);
    bench
}

/// Who takes part; builds ours.
fn contenders(arguments: &Args) -> Result<Vec<Contender>> {
    let mut contenders = vec![Contender::Restic, Contender::Borg];
    if !arguments.peers_only {
        build()?;
        contenders.insert(0, Contender::Ours);
    }
    for contender in &contenders {
        contender.version().context("Run `cargo xtask setup`")?;
    }
    Ok(contenders)
}

/// What stands above the tables: when, where, with what.
fn circumstances(
    arguments: &Args,
    versions: &[String],
    place: &Place,
) -> Result<report::Circumstances> {
    let date = match &arguments.date {
        Some(date) => date.clone(),
        None => capture(Command::new("date").args(["--utc", "+%F"]))?,
    };
    let commit = capture(
        Command::new("git")
            .current_dir(workspace_root())
            .args(["describe", "--always", "--dirty"]),
    )?;
    Ok(report::Circumstances {
        date: date.trim().to_owned(),
        commit: commit.trim().to_owned(),
        machine: machine()?,
        file_system: place.file_system()?,
        versions: versions.join(", "),
        rounds: arguments.rounds,
    })
}

fn machine() -> Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes: u64 = memory
        .split_whitespace()
        .nth(1)
        .context("No total in /proc/meminfo")?
        .parse()?;
    let kernel = capture(Command::new("uname").arg("-r"))?;
    Ok(format!(
        "{model}, {} cores, {} GB of memory, Linux {}",
        cores(),
        kilobytes / 1_000_000,
        kernel.trim()
    ))
}

fn ram_disk() -> PathBuf {
    let ram_disk = Path::new("/dev/shm");
    if ram_disk.is_dir() {
        ram_disk.to_path_buf()
    } else {
        target_folder()
    }
}
