//! `cargo xtask tidy`: the house rules that no other tool knows. It is a test too.
//!
//! Every rule reads text and returns complaints, so that each can be tried on a bad example.
//! What can go wrong: a rule that looks at too much. It sees what git would commit, nothing else.

mod arrows;
mod modules;
mod paths;
mod sources;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{capture, workspace_root};

/// A broken rule: where, and what to do about it.
pub(crate) type Complaint = String;

/// The text files of the project, by path from the workspace root.
pub(crate) struct Tree {
    files: Vec<(PathBuf, String)>,
}

impl Tree {
    /// Reads every text file that is committed or would be; test data is not ours to tidy.
    fn read(root: &Path) -> Result<Self> {
        let listed = capture(Command::new("git").current_dir(root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files: Vec<_> = listed
            .split('\0')
            .filter(|path| !path.is_empty() && !is_test_data(path))
            .filter_map(|path| Some((path.into(), fs::read_to_string(root.join(path)).ok()?)))
            .collect();
        files.sort();
        Ok(Self { files })
    }

    /// Every file.
    fn all(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// Every file whose name ends in `.extension`.
    fn with_extension(&self, extension: &'static str) -> impl Iterator<Item = (&Path, &str)> {
        self.all()
            .filter(move |(path, _)| path.extension().is_some_and(|found| found == extension))
    }
}

/// What other programs wrote, or what was made to be wrong.
fn is_test_data(path: &str) -> bool {
    ["testdata/golden/", "testdata/corpus/"]
        .iter()
        .any(|folder| path.starts_with(folder))
}

/// Checks every rule and prints what is broken.
pub(crate) fn run() -> Result<()> {
    let complaints = check(&workspace_root())?;
    if complaints.is_empty() {
        println!("tidy");
        return Ok(());
    }
    bail!("Not tidy:\n  {}", complaints.join("\n  "));
}

fn check(root: &Path) -> Result<Vec<Complaint>> {
    let tree = Tree::read(root)?;
    let mut complaints = Vec::new();
    for (path, text) in tree.with_extension("rs") {
        complaints.extend(sources::check(path, text));
    }
    for (path, text) in tree.all() {
        complaints.extend(words::check(path, text));
    }
    for (path, text) in tree.with_extension("md") {
        complaints.extend(paths::check(path, text, root));
    }
    for (path, text) in tree.with_extension("toml") {
        if path.ends_with("Cargo.toml") {
            complaints.extend(arrows::check(path, text)?);
        }
    }
    complaints.extend(arrows::check_linked(&arrows::linked()?)?);
    complaints.extend(modules::check(&tree));
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let complaints = check(&workspace_root()).unwrap();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
