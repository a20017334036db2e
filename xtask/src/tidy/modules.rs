//! No forgotten files: a test that no `mod` declares would never run, and nobody would know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Complaint, Tree};

/// Checks that every Rust file is a crate root or declared by its parent module, and that a
/// crate's integration tests are the one program `tests/it/main.rs`.
pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let declared: BTreeSet<PathBuf> = tree
        .with_extension("rs")
        .flat_map(|(path, text)| declares(path, text))
        .collect();
    tree.with_extension("rs")
        .filter_map(|(path, _)| {
            let complaint = if is_loose_test(path) {
                "integration tests live in tests/it/, one program for the crate"
            } else if is_root(path) || declared.contains(path) {
                return None;
            } else {
                "no `mod` declares it, so it is never compiled"
            };
            Some(format!("{}: {complaint}", path.display()))
        })
        .collect()
}

/// The files that a file's `mod name;` lines declare.
fn declares(path: &Path, text: &str) -> Vec<PathBuf> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let folder = if is_root(path) {
        parent.to_path_buf()
    } else {
        path.with_extension("")
    };
    text.lines()
        .filter_map(|line| {
            let words = line.trim_start();
            let words = words.strip_prefix("pub ").unwrap_or(words);
            let words = words.strip_prefix("pub(crate) ").unwrap_or(words);
            let name = words.strip_prefix("mod ")?.strip_suffix(';')?;
            Some(folder.join(format!("{name}.rs")))
        })
        .collect()
}

/// Whether cargo finds the file by itself.
fn is_root(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    name == "lib.rs"
        || name == "main.rs"
        || name == "build.rs"
        || folder == "examples"
        || folder == "benches"
        || folder == "fuzz_targets"
}

fn is_loose_test(path: &Path) -> bool {
    path.parent()
        .is_some_and(|folder| folder.ends_with("tests"))
        && !is_module_of_source(path)
}

/// Whether the file belongs to a module that is called `tests` inside `src`.
fn is_module_of_source(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "src")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(files: &[(&str, &str)]) -> Vec<Complaint> {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()));
        check(&Tree {
            files: files.collect(),
        })
    }

    #[test]
    fn a_declared_file_passes() {
        let files = [
            ("crates/a/src/lib.rs", "pub mod plan;\n"),
            ("crates/a/src/plan.rs", "mod age;\n"),
            ("crates/a/src/plan/age.rs", ""),
            ("crates/a/tests/it/main.rs", "mod damage;\n"),
            ("crates/a/tests/it/damage.rs", ""),
        ];
        assert!(complaints(&files).is_empty());
    }

    #[test]
    fn a_forgotten_test_is_named() {
        let files = [
            ("crates/a/tests/it/main.rs", ""),
            ("crates/a/tests/it/damage.rs", ""),
        ];
        assert_eq!(complaints(&files).len(), 1);
    }

    #[test]
    fn a_second_integration_program_is_refused() {
        assert_eq!(complaints(&[("crates/a/tests/damage.rs", "")]).len(), 1);
    }
}
