//! One exclude pattern, and what it says inside each path of its source.
//!
//! A pattern that begins with `/` may mean two places: the path of the source, as in a
//! `.gitignore`, or the root of the machine. It means the machine's where it leads into a path of
//! the source: its first component is literal and its components match those of the path one by
//! one, as globs. `/srv/*/cache` leads into `/srv/git`; `/*/cache` does not, since nobody writes
//! that of a whole machine.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use ignore::gitignore::GitignoreBuilder;

/// A pattern as it stands in the configuration.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    text: &'a str,
    /// Whether it is about the machine, and not about each path of the source.
    is_absolute: bool,
}

impl<'a> Pattern<'a> {
    /// Finds out what a pattern is about.
    pub(super) fn new(text: &'a str, paths: &[PathBuf]) -> Self {
        Self {
            text,
            is_absolute: paths.iter().any(|path| leads_into(text, path).is_some()),
        }
    }

    /// The lines of a `.gitignore` in `root` that say the same.
    pub(super) fn lines_for(&self, root: &Path) -> Vec<String> {
        if self.is_absolute {
            leads_into(self.text, root).unwrap_or_default()
        } else {
            vec![self.text.to_owned()]
        }
    }
}

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// What a pattern says inside `root`, if it leads there from the root of the machine; nothing where
/// it ends there.
fn leads_into(pattern: &str, root: &Path) -> Option<Vec<String>> {
    let (negation, path) = match pattern.strip_prefix('!') {
        Some(path) => ("!", path),
        None => ("", pattern),
    };
    let path = path.strip_prefix('/')?;
    let (path, end) = match path.strip_suffix('/') {
        Some(path) => (path, "/"),
        None => (path, ""),
    };
    let mut components: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    components.dedup_by(|one, other| one == other && *one == "**");
    let names: Vec<_> = root
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    if !components.first().is_some_and(|first| is_literal(first)) {
        return None;
    }
    let mut rests = Vec::new();
    collect_rests(&components, &names, &mut rests);
    if rests.is_empty() {
        return None;
    }
    // They are all ends of one pattern.
    rests.sort_by_key(|rest| rest.len());
    rests.dedup();
    let inside = rests.into_iter().filter(|rest| !rest.is_empty());
    let line = |rest: &[&str]| format!("{negation}/{}{end}", rest.join("/"));
    Some(inside.map(line).collect())
}

/// What may be left of a pattern after its beginning has matched all of `names`; more than one
/// thing where `**` stands for none of them, or for some.
fn collect_rests<'p, 'a>(pattern: &'p [&'a str], names: &[&OsStr], rests: &mut Vec<&'p [&'a str]>) {
    match (pattern.split_first(), names.split_first()) {
        (_, None) => rests.push(pattern),
        (None, Some(_)) => {}
        (Some((&"**", after)), Some((_, below))) => {
            collect_rests(after, names, rests);
            collect_rests(pattern, below, rests);
        }
        (Some((component, after)), Some((name, below))) => {
            if matches(component, name) {
                collect_rests(after, below, rests);
            }
        }
    }
}

/// Whether a component of a pattern stands for itself alone.
fn is_literal(component: &str) -> bool {
    !component.contains(['*', '?', '[', '\\'])
}

/// Whether a component of a pattern matches a name.
fn matches(component: &str, name: &OsStr) -> bool {
    if is_literal(component) {
        return component.as_bytes() == name.as_bytes();
    }
    let mut rules = GitignoreBuilder::new("/");
    let added = rules.add_line(None, &format!("/{component}")).is_ok();
    let matched = |rules: ignore::gitignore::Gitignore| {
        rules.matched(Path::new("/").join(name), true).is_ignore()
    };
    added && rules.build().is_ok_and(matched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_that_leads_into_the_source_is_cut_to_what_it_says_there() {
        let inside: [(&str, &str, &[&str]); 16] = [
            ("/srv/git/cache", "/srv/git", &["/cache"]),
            ("/srv/*/cache", "/srv/git", &["/cache"]),
            ("/srv/g?t/cache/", "/srv/git", &["/cache/"]),
            ("/srv/[fgh]it/a/*.tmp", "/srv/git", &["/a/*.tmp"]),
            ("!/srv/git/cache", "/srv/git", &["!/cache"]),
            ("!/srv/*/cache/", "/srv/git", &["!/cache/"]),
            ("/srv/git/*", "/srv/git", &["/*"]),
            ("/srv/git/**", "/srv/git", &["/**"]),
            ("/srv/**", "/srv/git", &["/**"]),
            ("/srv/**/cache", "/srv/git", &["/**/cache"]),
            ("/srv/**/git/x", "/srv/git", &["/x", "/**/git/x"]),
            ("//srv//git//x", "/srv/git/", &["/x"]),
            ("/home", "/", &["/home"]),
            ("/srv/my*/x", "/srv/my data", &["/x"]),
            // It says that the path itself is left out, which nobody who names it means.
            ("/srv/git", "/srv/git", &[]),
            ("/srv/*", "/srv/git", &[]),
        ];
        for (pattern, root, lines) in inside {
            let found = leads_into(pattern, Path::new(root)).unwrap_or_else(|| panic!("{pattern}"));
            let found: std::collections::BTreeSet<_> = found.iter().map(String::as_str).collect();
            assert_eq!(found, lines.iter().copied().collect(), "{pattern}");
        }
    }

    #[test]
    fn any_other_pattern_is_about_each_path_of_the_source() {
        for pattern in [
            "*.tmp",
            "srv/git/cache",
            "/cache",
            "/*/git/cache",
            "/**/cache",
            "/srv",
            "/srv/gi/cache",
            "/srv/g*x/cache",
            "/srv/[/cache",
            "\\!/srv/git/x",
            "#/srv/git/x",
            "",
            "/",
            "!",
        ] {
            assert_eq!(
                leads_into(pattern, Path::new("/srv/git")),
                None,
                "{pattern}"
            );
        }
        assert_eq!(leads_into("/*.tmp", Path::new("/")), None);
    }

    #[test]
    fn a_pattern_for_one_path_says_nothing_of_another() {
        let paths = [PathBuf::from("/srv/git"), PathBuf::from("/home")];
        let pattern = Pattern::new("/srv/*/cache", &paths);
        assert_eq!(pattern.lines_for(&paths[0]), ["/cache"]);
        assert_eq!(pattern.lines_for(&paths[1]), [""; 0]);
        let pattern = Pattern::new("/cache", &paths);
        assert_eq!(pattern.lines_for(&paths[1]), ["/cache"]);
    }

    proptest! {
        /// Inside the source, a cut pattern matches what the whole pattern matches from `/`.
        #[test]
        fn a_cut_pattern_matches_what_the_whole_one_does(
            pattern in prop::collection::vec("\\*\\*|[ab]\\*?|\\*|\\?|\\[ab\\]", 0..5),
            root in prop::collection::vec("[ab]{1,2}", 0..3),
            below in prop::collection::vec("[ab]{1,2}", 1..4),
            is_folder: bool,
            only_folders: bool,
        ) {
            let end = if only_folders { "/" } else { "" };
            let pattern = format!("/a/{}{end}", pattern.join("/"));
            let root = Path::new("/a").join(root.join("/"));
            let path = root.join(below.join("/"));
            let rules = |root: &Path, lines: &[String]| {
                let mut rules = GitignoreBuilder::new(root);
                for line in lines {
                    rules.add_line(None, line).unwrap();
                }
                rules.build().unwrap().matched(&path, is_folder).is_ignore()
            };
            let cut = leads_into(&pattern, &root).unwrap_or_default();
            let whole = rules(Path::new("/"), std::slice::from_ref(&pattern));
            prop_assert_eq!(rules(&root, &cut), whole, "{} {:?} {:?}", pattern, root, path);
        }
    }
}
