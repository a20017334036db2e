//! `cargo xtask fuzz`: searches for inputs that break a parser's rules.
//!
//! libFuzzer is linked into one program and needs neither nightly Rust nor another tool, only a
//! C++ compiler: the instrumentation is LLVM's and is asked for with stable flags. There is no
//! address sanitizer, since no code of ours is `unsafe`. What can go wrong: an input that was
//! found is lost. So what breaks a rule is named with its file, and everything else that was found
//! stays in the target folder until `keep` takes the best of it into `testdata/corpus`.

mod merge;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args as ClapArgs, Subcommand};

use crate::run::{capture, cargo, run as run_command, target_folder, workspace_root};

/// What `fuzz` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Feeds a target until a rule breaks or the time is over
    Run {
        /// A folder of testdata/corpus
        target: String,
        /// How long; without it, until a rule breaks
        #[arg(long)]
        seconds: Option<u32>,
    },
    /// Copies those finds of `run` that reach the most new code into testdata/corpus
    Keep {
        /// A folder of testdata/corpus
        target: String,
        /// How many at most
        #[arg(long, default_value_t = 10)]
        inputs: usize,
    },
    /// Writes the seeds of every target into testdata/corpus
    Seeds,
}

/// Coverage of edges and comparisons, as libFuzzer wants it.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Longer inputs break nothing that shorter ones do not.
const INPUT_LIMIT_BYTES: u32 = 6 << 10;

/// An input that takes longer than this breaks a rule too.
const INPUT_LIMIT_SECONDS: u32 = 10;

/// Runs one task.
pub(crate) fn run(arguments: &Args) -> Result<()> {
    match &arguments.task {
        Task::Run { target, seconds } => search(target, *seconds),
        Task::Keep { target, inputs } => keep(target, *inputs),
        Task::Seeds => seeds(),
    }
}

fn search(target: &str, seconds: Option<u32>) -> Result<()> {
    let corpus = corpus(target)?;
    let mut fuzzer = fuzzer(target)?;
    fuzzer
        .arg(format!("-timeout={INPUT_LIMIT_SECONDS}"))
        .arg(format!(
            "-artifact_prefix={}/broken-{target}-",
            folder().display()
        ));
    if let Some(seconds) = seconds {
        fuzzer.arg(format!("-max_total_time={seconds}"));
    }
    // What is found goes into the first folder.
    run_command(fuzzer.arg(found(target)?).arg(corpus)).with_context(|| {
        format!("A rule of {target} is broken: mend it, then keep the input as a test")
    })
}

fn keep(target: &str, inputs: usize) -> Result<()> {
    let (corpus, found) = (corpus(target)?, found(target)?);
    let control = folder().join(format!("merge-{target}"));
    let unused = tempfile::tempdir()?;
    if control.exists() {
        fs::remove_file(&control)?;
    }
    run_command(
        fuzzer(target)?
            .args(["-merge=1", "-use_counters=0"])
            .arg(format!("-merge_control_file={}", control.display()))
            .arg(unused.path())
            .args([&corpus, &found]),
    )?;
    for path in merge::choose(&fs::read_to_string(control)?, &corpus, inputs)? {
        let name = path.file_name().context("An input without a name")?;
        fs::copy(&path, corpus.join(name))?;
        println!("kept {}", name.display());
    }
    Ok(())
}

fn seeds() -> Result<()> {
    run_command(
        cargo(["run", "--package", "strongroom-fuzz", "--example", "seeds"]).arg(workspace_root()),
    )
}

/// Builds the fuzzer; the target is chosen and the size of inputs limited.
fn fuzzer(target: &str) -> Result<Command> {
    // Named, so that build scripts, which run on this machine too, are not instrumented.
    let machine = machine()?;
    let mut build = cargo(["build", "--package", "strongroom-fuzz", "--bin", "fuzz"]);
    build
        .args(["--features", "libfuzzer", "--profile", "fuzz"])
        .args(["--target", &machine, "--target-dir"])
        .arg(folder())
        .env("RUSTFLAGS", INSTRUMENTATION.join(" "));
    run_command(&mut build)?;
    let mut fuzzer = Command::new(folder().join(machine).join("fuzz/fuzz"));
    fuzzer
        .env("STRONGROOM_FUZZ_TARGET", target)
        .arg(format!("-max_len={INPUT_LIMIT_BYTES}"));
    Ok(fuzzer)
}

/// The name that rustc gives to this kind of machine.
fn machine() -> Result<String> {
    let version = capture(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

/// Where the fuzzer is built and its finds are kept.
fn folder() -> PathBuf {
    target_folder().join("fuzz")
}

fn found(target: &str) -> Result<PathBuf> {
    let found = folder().join("found").join(target);
    fs::create_dir_all(&found)?;
    Ok(found)
}

fn corpus(target: &str) -> Result<PathBuf> {
    let corpus = workspace_root().join("testdata/corpus").join(target);
    ensure!(
        corpus.is_dir(),
        "{target} is no target: testdata/corpus has a folder for each"
    );
    Ok(corpus)
}
