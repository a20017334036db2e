//! axe-core, which tells what keeps people from using a page: one script, from npm.
//!
//! Only tests run it, in pages of their own; nothing of it is committed or linked. npm checks what it
//! fetches as always, and the script is compared with the one that is known here besides: what runs
//! in the tests shall not change by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::debian;
use crate::run::{find_program, run as run_command, target_folder};

/// What `strongroom-testkit` looks for too.
pub(super) const VERSION: &str = "4.14.1";

/// The SHA-256 of its script.
const SCRIPT_SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// By which the tests find it.
pub(super) const VARIABLE: &str = "STRONGROOM_TEST_AXE_CORE";

/// Finds the script, or fetches it.
pub(super) fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        return is_known(&path).map(|()| path);
    }
    let folder = target_folder()
        .join("tools")
        .join(format!("axe-core-{VERSION}"));
    let script = folder.join("package").join("axe.min.js");
    if is_known(&script).is_ok() {
        return Ok(script);
    }
    fetch(&folder)?;
    is_known(&script).map(|()| script)
}

fn fetch(folder: &Path) -> Result<()> {
    if find_program("npm").is_none() && debian::can_install() {
        debian::install(&["npm"])?;
    }
    let npm = find_program("npm").context("There is no npm")?;
    fs::create_dir_all(folder)?;
    let private = tempfile::tempdir_in(folder)?;
    let wanted = format!("axe-core@{VERSION}");
    // Nothing of it is run, and nothing that it may want is fetched.
    let options = ["--silent", "--ignore-scripts"];
    run_command(
        Command::new(npm)
            .current_dir(private.path())
            .args(["pack", &wanted])
            .args(options),
    )?;
    let archive = private.path().join(format!("axe-core-{VERSION}.tgz"));
    run_command(
        Command::new("tar")
            .arg("-C")
            .arg(folder)
            .arg("-xzf")
            .arg(archive)
            .args(["package/axe.min.js", "package/LICENSE"]),
    )
}

fn is_known(path: &Path) -> Result<()> {
    let script = fs::read(path).with_context(|| format!("Cannot read {}", path.display()))?;
    let found = HEXLOWER.encode(&Sha256::digest(&script));
    if found != SCRIPT_SHA256 {
        bail!(
            "{} is not axe-core {VERSION}: its SHA-256 is {found}",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_script_is_refused_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("axe.min.js");
        assert!(
            is_known(&path)
                .unwrap_err()
                .to_string()
                .contains("Cannot read")
        );
        fs::write(&path, "alert(1)").unwrap();
        let error = is_known(&path).unwrap_err().to_string();
        assert!(error.contains("is not axe-core"), "{error}");
    }

    #[test]
    fn the_tests_look_for_the_version_that_is_fetched() {
        let programs = include_str!("../../../crates/testkit/src/programs.rs");
        assert!(programs.contains(&format!("axe-core-{VERSION}/package/axe.min.js")));
        assert!(programs.contains(VARIABLE));
    }
}
