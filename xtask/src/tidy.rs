//! `cargo xtask tidy`: the house rules that no other tool knows. It is a test too.
//!
//! Every rule reads text and returns complaints, so that each can be tried on a bad example.
//! What can go wrong: a rule that looks at too much. It sees what git would commit, nothing else. A
//! source that came without git's folder, as an archive does, holds the project's files and what
//! was built of them.

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
        let paths = match root.join(".git").exists() {
            true => listed_by_git(root)?,
            false => found_in(root)?,
        };
        let mut files: Vec<_> = paths
            .into_iter()
            .filter(|path| !is_test_data(path))
            .filter_map(|path| {
                let text = fs::read_to_string(root.join(&path)).ok()?;
                Some((PathBuf::from(path), text))
            })
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

/// What is committed or would be, by paths from the root.
fn listed_by_git(root: &Path) -> Result<Vec<String>> {
    let listed = capture(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    Ok(paths.map(str::to_owned).collect())
}

/// What lies below the root, by paths from there, but for what `.gitignore` names: there are
/// folders in it and nothing else.
fn found_in(root: &Path) -> Result<Vec<String>> {
    let ignored = fs::read_to_string(root.join(".gitignore"))?;
    let ignored: Vec<_> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_file() {
                found.push(name);
            } else if kind.is_dir() && !ignored.contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    Ok(found)
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

    #[test]
    fn without_git_the_files_of_the_project_are_all_that_was_not_built() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "README.md",
            "crates/a/src/target/lib.rs",
            "target/debug/built.rs",
            "fuzz/target/built.rs",
            "fuzz/src/lib.rs",
            "testdata/golden/config",
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        fs::write(root.join(".gitignore"), "/target\n/fuzz/target\n").unwrap();
        let tree = Tree::read(root).unwrap();
        let paths: Vec<_> = tree.all().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                ".gitignore",
                "README.md",
                "crates/a/src/target/lib.rs",
                "fuzz/src/lib.rs",
            ]
        );
    }

    #[test]
    fn gitignore_names_folders_of_the_root_and_nothing_else() {
        let text = fs::read_to_string(workspace_root().join(".gitignore")).unwrap();
        for line in text.lines() {
            assert!(
                line.starts_with('/') && !line.contains(['*', '!']),
                "{line}"
            );
        }
    }
}
