//! `cargo xtask lint`: everything that can be said about the code without running it.
//!
//! What can go wrong: the advisory database lives on the network. When it cannot be fetched that
//! is said in so many words, because a check that did not happen must not look like one that did.

use anyhow::Result;

use crate::run::{cargo, run as run_command};
use crate::{setup, tidy};

/// Runs every check, cheapest first, and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    run_command(&mut cargo(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    setup::cargo_tools()?;
    run_command(&mut cargo([
        "deny",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))?;
    advisories()?;
    run_command(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny=warnings",
    ]))
}

/// Checks known vulnerabilities, or says that it could not.
fn advisories() -> Result<()> {
    let mut fetch = cargo(["deny", "--log-level", "error", "fetch", "db"]);
    // A network that swallows packets must not hold the whole run.
    fetch.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000");
    fetch.env("GIT_HTTP_LOW_SPEED_TIME", "30");
    if run_command(&mut fetch).is_err() {
        println!("advisories NOT CHECKED: their database cannot be reached from this machine");
        return Ok(());
    }
    run_command(&mut cargo([
        "deny",
        "check",
        "--disable-fetch",
        "advisories",
    ]))
}
