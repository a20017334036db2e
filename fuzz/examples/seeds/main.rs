//! Writes the seeds of the corpus: real files, and the nastiest that could be thought of.
//!
//! Takes the workspace's folder. What the fuzzer found beside them is left alone.

mod golden;
mod ledger;
mod nasty;
mod state;
mod vault;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use strongroom_fuzz::TARGETS;

/// One input: of which target, its name, and the bytes.
struct Seed {
    target: &'static str,
    name: String,
    bytes: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            target,
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

fn main() -> Result<()> {
    let root = std::env::args_os().nth(1).context("Which folder?")?;
    let testdata = Path::new(&root).join("testdata");
    let mut seeds = nasty::seeds()?;
    seeds.extend(ledger::seeds()?);
    seeds.extend(vault::seeds());
    seeds.extend(golden::seeds(&testdata.join("golden"))?);
    for seed in seeds {
        let known = TARGETS.iter().any(|target| target.name == seed.target);
        ensure!(known, "{} is no target", seed.target);
        let folder: PathBuf = testdata.join("corpus").join(seed.target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(seed.name), seed.bytes)?;
    }
    Ok(())
}
