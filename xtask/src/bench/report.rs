//! What was measured, as tables: every figure, and the targets with a plain met or missed.

use std::fmt::Write;

use crate::bench::contender::{Contender, Step};
use crate::bench::data::{DataSet, Size};
use crate::bench::measure::{Sample, Samples, median_rate};
use crate::run::cores;

/// Everything measured in a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    sets: Vec<(DataSet, Size, Samples)>,
    chunker_rates: Vec<f64>,
}

/// Under what the run took place.
pub(super) struct Circumstances {
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) machine: String,
    pub(super) file_system: String,
    pub(super) versions: String,
    pub(super) rounds: u32,
}

/// What must be reached.
pub(super) struct Target {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) limit: f64,
    pub(super) bound: Bound,
}

/// On which side of its limit a figure must be.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    AtMost,
    AtLeast,
}

/// Steps that both ours and restic can do.
const COMMON: [Step; 4] = [Step::First, Step::Unchanged, Step::Changed, Step::Restore];

impl Report {
    /// Keeps the runs of one data set.
    pub(super) fn add(&mut self, set: DataSet, size: Size, samples: Samples) {
        self.sets.push((set, size, samples));
    }

    /// Keeps how many bytes a second the chunker scans.
    pub(super) fn add_chunker(&mut self, rates: Vec<f64>) {
        self.chunker_rates = rates;
    }

    /// Every median, by data set.
    pub(super) fn figures(&self) -> String {
        let sections = self.sets.iter();
        let sections = sections.map(|(set, size, samples)| section(*set, size, samples, ""));
        format!("## Figures\n{}", sections.collect::<String>())
    }

    /// Each target with what was measured; empty when ours did not take part.
    pub(super) fn targets(&self) -> String {
        let targets: Vec<Target> = self
            .sets
            .iter()
            .flat_map(|(set, _, samples)| targets(*set, samples))
            .chain(median_rate(&self.chunker_rates).map(|rate| Target {
                what: "chunker, noise in slices of 256 KiB, GB/s on one core".to_owned(),
                measured: rate / 1e9,
                limit: 2.0,
                bound: Bound::AtLeast,
            }))
            .collect();
        target_table(
            "Ours with three copies, divided by restic's with one.",
            &targets,
        )
    }
}

/// The engine's part, where some data sets were measured anew: theirs are the new figures, and they say
/// when that was.
pub(super) fn with_sets(before: &str, report: &Report, apart: &Circumstances) -> String {
    let Circumstances { date, commit, .. } = apart;
    let note = format!("Measured by itself, {date}, commit {commit}.\n");
    let mut text = before.to_owned();
    for (set, size, samples) in &report.sets {
        let rows: String = targets(*set, samples).iter().map(target_row).collect();
        text = replaced(&text, &format!("| {set} "), "\n| ", &rows);
        let section = section(*set, size, samples, &note);
        let section = format!("{}\n", section.trim_start());
        text = replaced(&text, &format!("### {set} "), "\n#", &section);
    }
    format!("{}\n", text.trim_end())
}

/// A text with another passage in the place of one: from the first line that begins with `beginning`
/// until a line with `next` that does not, or the end of the paragraphs.
fn replaced(text: &str, beginning: &str, next: &str, passage: &str) -> String {
    let Some(from) = text.find(&format!("\n{beginning}")).map(|at| at + 1) else {
        return text.to_owned();
    };
    let (head, rest) = text.split_at(from);
    let is_next = |at: &usize| {
        !rest
            .get(*at..)
            .is_some_and(|line| line.starts_with(beginning))
    };
    let mut ends = rest.match_indices(next).map(|(at, _)| at + 1);
    let tail = ends.find(is_next).and_then(|at| rest.get(at..));
    format!("{head}{passage}{}", tail.unwrap_or_default())
}

/// The figures of a data set, under its title.
fn section(set: DataSet, size: &Size, samples: &Samples, note: &str) -> String {
    let mut text = format!(
        "\n### {set} {}\n{note}{} files, {} MB.\n\n\
         | step | program | wall s | CPU s | peak MB | stored MB | wall / restic's |\n\
         |---|---|---|---|---|---|---|\n",
        set.description(),
        size.files,
        size.bytes / 1_000_000
    );
    for step in Step::ALL {
        let restic = samples.median(Contender::Restic, step);
        for contender in [Contender::Ours, Contender::Restic, Contender::Borg] {
            if let Some(sample) = samples.median(contender, step) {
                text += &row(step, contender, &sample, restic.as_ref());
            }
        }
    }
    if let Some((rate, sha256)) = verify_rates(samples) {
        _ = write!(
            text,
            "\nKeyless verify: {:.0} MB/s a core; SHA-256 alone, in memory: {:.0} MB/s; \
             reading the same files in a loop that only hashes: {:.0} MB/s.\n",
            rate / 1e6,
            sha256 / 1e6,
            samples.median_reading_rate().unwrap_or_default() / 1e6
        );
    }
    text
}

/// Targets with a plain met or missed.
pub(super) fn target_table(caption: &str, targets: &[Target]) -> String {
    let rows: String = targets.iter().map(target_row).collect();
    format!("## Targets\n{caption}\n\n| target | limit | measured | |\n|---|---|---|---|\n{rows}")
}

fn target_row(target: &Target) -> String {
    let (sign, met) = match target.bound {
        Bound::AtMost => ("≤", target.measured <= target.limit),
        Bound::AtLeast => ("≥", target.measured >= target.limit),
    };
    let verdict = if met { "met" } else { "**missed**" };
    let digits = digits(target, met);
    format!(
        "| {} | {sign} {:.2} | {:.digits$} | {verdict} |\n",
        target.what, target.limit, target.measured
    )
}

/// How many digits of a figure are shown: two, and more where it would look as if it were at the
/// limit that it has missed.
fn digits(target: &Target, met: bool) -> usize {
    let shows = |digits: &usize| {
        let (limit, measured, digits) = (target.limit, target.measured, *digits);
        format!("{measured:.digits$}") != format!("{limit:.digits$}")
    };
    match met {
        true => 2,
        false => (2..6).find(shows).unwrap_or(6),
    }
}

/// The opening of the engine's part.
pub(super) fn head(circumstances: &Circumstances) -> String {
    let rounds = circumstances.rounds;
    format!(
        "# Benchmarks\n\
         Written by `cargo xtask bench`; medians of {rounds} rounds, of (e) a third as many, the programs taking turns within each; a verify is measured five times in each.\n\n\
         {}\n\
         Strongroom writes **three** copies, restic and borg **one** each.\n\
         Strongroom and restic use their default compression, borg `zstd,3`.\n\
         restic opens its repository with a copy of our key, so both pay the same for scrypt; borg keeps its own.\n\
         Each has its default caches, on the same disk; ours calls fsync as always.\n\
         Peak memory is what the kernel counted for the process; stored is one repository.\n\
         One percent changed means every hundredth file in (a) and (e), every hundredth block of 512 KiB elsewhere.\n\
         A keyless verify reads every byte of all three copies; of copies in folders it hashes the first and compares the others with it, which proves as much.\n\
         On a RAM disk, before each first backup and each restore, whoever's it is, 2 GiB of memory are written and given back, so that nobody pays for what a host gives its virtual machine at first touch.\n",
        circumstances.table()
    )
}

/// The opening of the vault's part.
pub(super) fn vault_head(circumstances: &Circumstances) -> String {
    format!(
        "{VAULT_HEADING}\n\
         Written by `cargo xtask bench`; medians of {} rounds, of small objects three times as many and of large files twice as many and one, the servers taking turns within each.\n\n\
         {}\n\
         Both servers speak plain HTTP on loopback and keep their objects on the same disk.\n\
         The vault hashes and flushes each object, commits it, and tells it in its log before it answers; `rclone serve restic` does none of this.\n\
         The list is of a database that was filled directly.\n",
        circumstances.rounds,
        circumstances.table()
    )
}

/// The opening of the part about copies in locked buckets.
pub(super) fn locked_head(circumstances: &Circumstances) -> String {
    format!(
        "{LOCKED_HEADING}\n\
         Written by `cargo xtask bench`; medians of {} rounds, the programs taking turns within each.\n\n\
         {}\n\
         The server is a Ceph of one node on loopback, which keeps its objects in memory and works on the same cores.\n\
         All use their default connections, but for rclone, which is given 16.\n\
         A first backup of ours goes to a folder and to a bucket with Object Lock, restic's to that bucket alone, without locks, each to a prefix of its own; restic opens its repository with our key.\n\
         Ours counts a file as stored when the version was seen to be locked; the sync that ends a backup is in its time.\n\
         A recover brings back objects of 16 KiB from a bucket in which a marker hides each, by hash, into a folder; rclone gets the same objects, without looking before or after, from a bucket that keeps no versions. To take no more than 1.2 of that time is what limited by its requests means here.\n\
         Requests in flight are the connections to the server that are established, counted every 20 ms: the median.\n\
         For `lock extend` every object is due, since the `lock` of the configuration was doubled.\n\
         Both prunes work on the same repository, copied anew for each turn. Of its noise in files of 4 MiB a quarter goes as a whole, so whole packs go; of half of it every second file goes, so packs are written anew; a quarter stays. \
         Snapshots are forgotten before, which is not in the time; each program decides by its default how much of what is not needed may stay. `restic check` finds both repositories whole.\n",
        circumstances.rounds,
        circumstances.table()
    )
}

/// The whole report, of the engine, the vault and locked copies: a part that was not measured stays
/// as it was.
pub(super) fn with_parts(before: &str, measured: [Option<String>; 3]) -> String {
    let split = |text: &str, heading: &str| {
        let (before, part) = text.split_at(text.find(heading).unwrap_or(text.len()));
        (before.trim().to_owned(), part.trim().to_owned())
    };
    let (before, old_locked) = split(before, LOCKED_HEADING);
    let (old_engine, old_vault) = split(&before, VAULT_HEADING);
    let mut text = String::new();
    for (part, old) in measured
        .into_iter()
        .zip([old_engine, old_vault, old_locked])
    {
        let part = part.unwrap_or(old);
        if !part.is_empty() {
            text += &format!("{}\n\n", part.trim());
        }
    }
    format!("{}\n", text.trim_end())
}

/// What is to be known of figures that were measured in memory.
const IN_MEMORY: &str = "\nOn this file system a flush costs next to nothing; `cargo xtask bench --at FOLDER` measures where FOLDER lies.\n";

/// What the vault's part begins with.
pub(super) const VAULT_HEADING: &str = "# Benchmarks of the vault";

/// What the part about locked copies begins with.
const LOCKED_HEADING: &str = "# Benchmarks of locked copies";

impl Circumstances {
    fn table(&self) -> String {
        let Self {
            date,
            commit,
            machine,
            file_system,
            versions,
            ..
        } = self;
        format!(
            "| | |\n|---|---|\n\
             | date | {date} |\n\
             | commit | {commit} |\n\
             | machine | {machine} |\n\
             | file system | {file_system} |\n\
             | programs | {versions} |\n{}",
            match file_system.as_str() {
                "tmpfs" => IN_MEMORY,
                _ => "",
            }
        )
    }
}

fn row(step: Step, contender: Contender, sample: &Sample, restic: Option<&Sample>) -> String {
    let ratio = restic.map_or_else(String::new, |restic| {
        format!(
            "{:.2}",
            sample.wall.as_secs_f64() / restic.wall.as_secs_f64()
        )
    });
    format!(
        "| {step} | {contender} | {:.2} | {:.2} | {} | {:.1} | {ratio} |\n",
        sample.wall.as_secs_f64(),
        sample.cpu.as_secs_f64(),
        sample.peak_bytes / 1_000_000,
        sample.stored_bytes as f64 / 1e6
    )
}

fn targets(set: DataSet, samples: &Samples) -> Vec<Target> {
    let ratio = |step, figure: fn(&Sample) -> f64| {
        let ours = samples.median(Contender::Ours, step)?;
        let restic = samples.median(Contender::Restic, step)?;
        Some(figure(&ours) / figure(&restic))
    };
    let wall = |sample: &Sample| sample.wall.as_secs_f64();
    let stored = |sample: &Sample| sample.stored_bytes as f64;
    let peak = |sample: &Sample| sample.peak_bytes as f64;
    let mut targets = Vec::new();
    let mut at_most = |what: &str, measured: Option<f64>, limit: f64| {
        targets.extend(measured.map(|measured| Target {
            what: format!("{set} {what}"),
            measured,
            limit,
            bound: Bound::AtMost,
        }));
    };
    match set {
        DataSet::A | DataSet::B => at_most("first backup", ratio(Step::First, wall), 0.50),
        DataSet::C => at_most("first backup", ratio(Step::First, wall), 0.60),
        DataSet::D | DataSet::E => {}
    }
    if matches!(set, DataSet::A | DataSet::B | DataSet::C) {
        at_most("bytes stored in a copy", ratio(Step::First, stored), 1.03);
    }
    match set {
        DataSet::A => at_most("unchanged backup", ratio(Step::Unchanged, wall), 0.40),
        DataSet::E => at_most("unchanged backup", ratio(Step::Unchanged, wall), 0.50),
        DataSet::B | DataSet::C | DataSet::D => {}
    }
    at_most("full restore", ratio(Step::Restore, wall), 0.60);
    let peaks = COMMON.into_iter().filter_map(|step| ratio(step, peak));
    let peak_limit = if set == DataSet::E { 1.0 } else { 1.5 };
    at_most(
        "peak memory, in the worst step",
        peaks.max_by(f64::total_cmp),
        peak_limit,
    );
    targets.extend(verify_rates(samples).map(|(rate, sha256)| Target {
        what: format!("{set} keyless verify, per core, of one core's SHA-256"),
        measured: rate / sha256,
        limit: 0.80,
        bound: Bound::AtLeast,
    }));
    targets
}

/// Bytes a second and core of our verify, and of SHA-256 alone.
fn verify_rates(samples: &Samples) -> Option<(f64, f64)> {
    let verify = samples.median(Contender::Ours, Step::Verify)?;
    let core_seconds = verify.wall.as_secs_f64() * cores() as f64;
    Some((
        verify.read_bytes as f64 / core_seconds,
        samples.median_sha256_rate()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report(our_wall_s: u64) -> Report {
        let mut samples = Samples::default();
        samples.add_sha256_rate(1e9);
        for (contender, seconds) in [(Contender::Ours, our_wall_s), (Contender::Restic, 10)] {
            for step in Step::ALL {
                let sample = Sample {
                    wall: Duration::from_secs(seconds),
                    cpu: Duration::from_secs(seconds),
                    peak_bytes: 100_000_000,
                    stored_bytes: 1_000_000,
                    read_bytes: 3_000_000,
                };
                samples.add(contender, step, sample);
            }
        }
        let mut report = Report::default();
        report.add(DataSet::A, Size::default(), samples);
        report
    }

    #[test]
    fn a_target_is_met_at_its_limit_and_missed_beyond() {
        let line = |report: &Report| {
            let targets = report.targets();
            let line = targets
                .lines()
                .find(|line| line.contains("(a) first backup"));
            line.unwrap().to_owned()
        };
        assert_eq!(
            line(&report(5)),
            "| (a) first backup | ≤ 0.50 | 0.50 | met |"
        );
        assert_eq!(
            line(&report(6)),
            "| (a) first backup | ≤ 0.50 | 0.60 | **missed** |"
        );
    }

    #[test]
    fn a_figure_that_misses_its_limit_by_little_never_looks_as_if_it_were_there() {
        let line = |measured| {
            let target = Target {
                what: "a leaf".to_owned(),
                measured,
                limit: 0.1,
                bound: Bound::AtMost,
            };
            let table = target_table("Of a put.", &[target]);
            table.lines().last().unwrap().to_owned()
        };
        assert_eq!(line(0.103), "| a leaf | ≤ 0.10 | 0.103 | **missed** |");
        assert_eq!(line(0.1004), "| a leaf | ≤ 0.10 | 0.1004 | **missed** |");
        assert_eq!(line(0.096), "| a leaf | ≤ 0.10 | 0.10 | met |");
        assert_eq!(line(0.2), "| a leaf | ≤ 0.10 | 0.20 | **missed** |");
    }

    #[test]
    fn a_part_that_was_not_measured_stays() {
        let engine = |number| Some(format!("# Engine {number}\n"));
        let vault = Some(format!("{VAULT_HEADING}\n1\n"));
        let locked = |number| Some(format!("{LOCKED_HEADING}\n{number}\n"));
        let text = with_parts("", [engine(1), None, None]);
        assert_eq!(text, "# Engine 1\n");
        let text = with_parts(&text, [None, None, locked(1)]);
        assert_eq!(text, format!("# Engine 1\n\n{LOCKED_HEADING}\n1\n"));
        let text = with_parts(&text, [None, vault, None]);
        let rest = format!("{VAULT_HEADING}\n1\n\n{LOCKED_HEADING}");
        assert_eq!(text, format!("# Engine 1\n\n{rest}\n1\n"));
        let text = with_parts(&text, [engine(2), None, locked(2)]);
        assert_eq!(text, format!("# Engine 2\n\n{rest}\n2\n"));
        assert_eq!(with_parts(&text, [None, None, None]), text);
    }

    #[test]
    fn a_data_set_that_was_measured_by_itself_takes_its_own_place() {
        let circumstances = Circumstances {
            date: "2026-01-02".to_owned(),
            commit: "abc".to_owned(),
            machine: String::new(),
            file_system: String::new(),
            versions: String::new(),
            rounds: 3,
        };
        let mut old = report(6);
        let (_, size, samples) = report(7).sets.pop().unwrap();
        old.add(DataSet::B, size, samples);
        let before = format!("# Benchmarks\n{}\n{}", old.targets(), old.figures());
        let text = with_sets(&before, &report(5), &circumstances);
        let count = |what: &str| text.matches(what).count();
        assert_eq!(count("### "), 2, "{text}");
        assert_eq!(count("Measured by itself, 2026-01-02, commit abc.\n"), 1);
        assert_eq!(
            count("| (a) first backup | ≤ 0.50 | 0.50 | met |\n| (a) bytes"),
            1
        );
        assert_eq!(count("| (a) first backup"), 1);
        assert_eq!(
            count("| (b) first backup | ≤ 0.50 | 0.70 | **missed** |"),
            1
        );
        assert_eq!(count("| first backup | strongroom | 5.00 |"), 1);
        assert_eq!(count("| first backup | strongroom | 7.00 |"), 1);
        assert!(text.contains(".\n\n### (b) "), "{text}");
        let lines = |text: &str| text.lines().count();
        assert_eq!(lines(&text), lines(&before) + 1, "{text}");
        assert_eq!(with_sets("", &report(5), &circumstances), "\n");
    }

    #[test]
    fn every_program_has_its_figures() {
        let figures = report(5).figures();
        assert!(
            figures.contains("| first backup | strongroom | 5.00 |"),
            "{figures}"
        );
        assert!(
            figures.contains("| full restore | restic | 10.00 |"),
            "{figures}"
        );
    }
}
