//! Rules for a single Rust file: it says why it exists, holds one thing, and silences nothing.

use std::path::Path;

use super::Complaint;

/// At this many production lines a file holds two things.
const PRODUCTION_LINES_AT_MOST: usize = 600;

/// Attributes that hide a problem. In two pieces, so that this file does not complain of itself.
const SILENCERS: &[(&str, &str)] = &[
    (
        concat!("#[", "allow("),
        "use #[expect(lint, reason = \"…\")]",
    ),
    (
        concat!("#![", "allow("),
        "use #![expect(lint, reason = \"…\")]",
    ),
    (
        concat!("#[", "ignore"),
        "a test that does not run is not a test",
    ),
];

/// Checks one `.rs` file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |what: String| complaints.push(format!("{}: {what}", path.display()));
    if !text.starts_with("//!") {
        complain("must open with `//!`: why it exists, what can go wrong".to_owned());
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if name == "mod" {
        complain("use `name.rs` beside `name/`".to_owned());
    }
    let is_snake_case = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.chars().all(is_snake_case) {
        complain("file names are lower case with underscores".to_owned());
    }
    let lines = production_lines(text);
    if lines > PRODUCTION_LINES_AT_MOST {
        complain(format!(
            "{lines} production lines, at most {PRODUCTION_LINES_AT_MOST}: it holds two things"
        ));
    }
    for (silencer, instead) in SILENCERS {
        if text.contains(silencer) {
            complain(format!("`{silencer}` is not used here: {instead}"));
        }
    }
    for number in examples(text) {
        complain(format!(
            "line {number}: examples in documentation are not run: say `text`, or write a test"
        ));
    }
    complaints
}

/// The lines, counted from 1, that open what rustdoc takes for code.
fn examples(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let comment = line.strip_prefix("//!").or(line.strip_prefix("///"));
        let fence = comment.and_then(|text| text.trim_start().strip_prefix("```"));
        match (comment, fence) {
            (None, _) => is_open = false,
            (Some(_), None) => {}
            (Some(_), Some(info)) => {
                if !is_open && info != "text" {
                    found.push(number);
                }
                is_open = !is_open;
            }
        }
    }
    found
}

/// Counts the lines above the file's own tests.
fn production_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        check(Path::new(path), text).len()
    }

    #[test]
    fn a_good_file_passes() {
        assert_eq!(
            complaints("crates/a/src/lib.rs", "//! Why.\nfn a() {}\n"),
            0
        );
    }

    #[test]
    fn a_file_without_its_reason_is_named() {
        assert_eq!(complaints("crates/a/src/lib.rs", "fn a() {}\n"), 1);
    }

    #[test]
    fn mod_rs_and_odd_names_are_refused() {
        assert_eq!(complaints("crates/a/src/b/mod.rs", "//! Why.\n"), 1);
        assert_eq!(complaints("crates/a/src/BackUp.rs", "//! Why.\n"), 1);
    }

    #[test]
    fn only_lines_above_the_tests_count() {
        let production = format!("//! Why.\n{}", "\n".repeat(599));
        assert_eq!(complaints("a.rs", &production), 0);
        assert_eq!(complaints("a.rs", &format!("{production}\n")), 1);
        let tested = format!("{production}#[cfg(test)]\n{}", "\n".repeat(999));
        assert_eq!(complaints("a.rs", &tested), 0);
    }

    #[test]
    fn examples_that_nobody_runs_are_refused() {
        let example = |fence: &str| format!("//! Why.\n//! {fence}\n//! a\n//! ```\nfn a() {{}}\n");
        assert_eq!(complaints("a.rs", &example("```text")), 0);
        for fence in ["```", "```rust", "```ignore"] {
            assert_eq!(complaints("a.rs", &example(fence)), 1, "{fence}");
        }
        let text = format!(
            "{}    /// ```\n    /// b\n    /// ```\n",
            example("```text")
        );
        assert_eq!(examples(&text), [6]);
    }

    #[test]
    fn silencers_are_refused() {
        for (silencer, _) in SILENCERS {
            assert_eq!(complaints("a.rs", &format!("//! Why.\n{silencer}x)]\n")), 1);
        }
    }
}
