//! Paths in the documentation must exist: a document that describes a house long gone misleads
//! worst the person who reads most.

use std::path::Path;

use super::Complaint;

/// A word in backticks that begins so is a path of this repository.
const ROOTS: &[&str] = &[
    ".ci/",
    ".config/",
    "crates/",
    "docs/",
    "fuzz/",
    "rules/",
    "testdata/",
    "xtask/",
];

/// Checks one Markdown file.
pub(super) fn check(path: &Path, text: &str, root: &Path) -> Vec<Complaint> {
    let mut in_code_block = false;
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code_block = !in_code_block;
        }
        if in_code_block {
            continue;
        }
        // What stands between the first and second backtick, the third and fourth, and so on.
        for word in line.split('`').skip(1).step_by(2) {
            let is_path = ROOTS.iter().any(|start| word.starts_with(start))
                && !word.contains([' ', '*', '<', '{', '…']);
            if is_path && !root.join(word).exists() {
                complaints.push(format!(
                    "{}:{number}: {word} does not exist",
                    path.display()
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::workspace_root;

    #[test]
    fn only_paths_of_this_repository_that_are_gone_are_named() {
        let text = "See `xtask/src/main.rs`, `/srv/git`, `a/b` and `crates/gone/src/lib.rs`.\n\
                    ```\n`crates/in-a-block`\n```\n";
        let complaints = check(Path::new("docs/a.md"), text, &workspace_root());
        assert_eq!(
            complaints,
            ["docs/a.md:1: crates/gone/src/lib.rs does not exist"]
        );
    }
}
