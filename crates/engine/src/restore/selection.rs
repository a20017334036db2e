//! What of a snapshot is wanted.
//!
//! Patterns are those of a `.gitignore`, on paths from the root of the snapshot. One without a
//! slash at its beginning fits at any depth, also with slashes inside, as restic has it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::restore::part::Part;
use crate::{Error, Result};

/// The patterns of a restore.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// `None` for everything.
    patterns: Option<Gitignore>,
    /// For each pattern, the folders that lead to what it may fit; `None` where one may fit
    /// anywhere.
    anchors: Option<Vec<Vec<u8>>>,
    /// The files that a rehearsal takes, instead of patterns; `None` for all.
    part: Option<Part>,
}

/// What is to be done with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is wanted.
    Wanted,
    /// It is a folder in which something may be wanted.
    Within,
    /// It is left out.
    Not,
}

impl Selection {
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let failed = |reason: String| Error::Local {
            action: "select what to restore".to_owned(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, reason),
        };
        let mut builder = GitignoreBuilder::new("/");
        for pattern in patterns {
            let (negation, plain) = match pattern.strip_prefix('!') {
                Some(plain) => ("!", plain),
                None => ("", pattern.as_str()),
            };
            let anywhere = match plain.trim_end_matches('/').contains('/') {
                true if !plain.starts_with('/') => "**/",
                _ => "",
            };
            let added = builder.add_line(None, &format!("{negation}{anywhere}{plain}"));
            added.map_err(|error| {
                failed(format!("The pattern {pattern:?} cannot be used: {error}"))
            })?;
        }
        let built = builder.build();
        Ok(Self {
            patterns: Some(built.map_err(|error| failed(error.to_string()))?),
            anchors: patterns
                .iter()
                .filter(|pattern| !pattern.starts_with('!'))
                .map(|pattern| anchor(pattern))
                .collect(),
            part: None,
        })
    }

    /// These files, and the folders in which they lie; everything where no part is named.
    pub(super) fn of_part(part: Option<Part>) -> Self {
        Self {
            part,
            ..Self::default()
        }
    }

    /// What to do with a name in a folder.
    pub(super) fn choose(&self, above: Choice, path: &[u8], is_folder: bool) -> Choice {
        if let Some(part) = &self.part {
            return match is_folder {
                true => Choice::Within,
                false if part.holds(path) => Choice::Wanted,
                false => Choice::Not,
            };
        }
        let Some(patterns) = &self.patterns else {
            return Choice::Wanted;
        };
        match patterns.matched(Path::new(OsStr::from_bytes(path)), is_folder) {
            Match::Ignore(_) => Choice::Wanted,
            Match::Whitelist(_) => Choice::Not,
            Match::None if above == Choice::Wanted => Choice::Wanted,
            Match::None if is_folder && self.leads_on(path) => Choice::Within,
            Match::None => Choice::Not,
        }
    }

    /// Whether everything is wanted, so that nobody has to ask.
    pub(super) fn is_everything(&self) -> bool {
        self.patterns.is_none() && self.part.is_none()
    }

    /// Whether a pattern may fit something in the folder of this path.
    fn leads_on(&self, path: &[u8]) -> bool {
        let Some(anchors) = &self.anchors else {
            return true;
        };
        anchors.iter().any(|anchor| {
            let both = components(anchor).zip(components(path));
            both.into_iter().all(|(left, right)| left == right)
        })
    }
}

/// The components of a pattern that name one folder each; `None` for one that fits at any depth.
fn anchor(pattern: &str) -> Option<Vec<u8>> {
    let pattern = pattern.strip_prefix('/')?;
    let plain = |name: &&str| !name.contains(['*', '?', '[', '\\', '{']);
    let names: Vec<_> = pattern.split('/').take_while(plain).collect();
    Some(names.join("/").into_bytes())
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(patterns: &[&str], above: Choice, path: &str, is_folder: bool) -> Choice {
        let patterns: Vec<_> = patterns.iter().map(|one| (*one).to_owned()).collect();
        let selection = Selection::new(&patterns).unwrap();
        selection.choose(above, path.as_bytes(), is_folder)
    }

    #[test]
    fn without_patterns_everything_is_wanted() {
        assert_eq!(choose(&[], Choice::Within, "a", false), Choice::Wanted);
    }

    #[test]
    fn an_absolute_pattern_is_looked_for_only_where_it_leads() {
        let patterns = &["/srv/git/a*", "/etc/"];
        for (path, is_folder, choice) in [
            ("srv", true, Choice::Within),
            ("srv/git", true, Choice::Within),
            ("srv/git/abc", true, Choice::Wanted),
            ("srv/git/abc", false, Choice::Wanted),
            ("srv/git/b", false, Choice::Not),
            ("srv/www", true, Choice::Not),
            ("srv", false, Choice::Not),
            ("etc", true, Choice::Wanted),
            ("home/srv", true, Choice::Not),
        ] {
            let found = choose(patterns, Choice::Within, path, is_folder);
            assert_eq!(found, choice, "{path}");
        }
    }

    #[test]
    fn a_folder_brings_all_that_it_holds_but_what_is_taken_out() {
        let patterns = &["git", "!*.tmp"];
        let wanted = Choice::Wanted;
        assert_eq!(choose(patterns, Choice::Within, "srv/git", true), wanted);
        assert_eq!(choose(patterns, wanted, "srv/git/a", false), wanted);
        assert_eq!(
            choose(patterns, wanted, "srv/git/a.tmp", false),
            Choice::Not
        );
        assert_eq!(choose(patterns, Choice::Within, "a", false), Choice::Not);
        assert_eq!(choose(patterns, Choice::Within, "a", true), Choice::Within);
    }

    #[test]
    fn a_pattern_with_a_slash_inside_fits_at_any_depth() {
        let pattern = &["git/a"];
        assert_eq!(
            choose(pattern, Choice::Within, "srv/git/a", false),
            Choice::Wanted
        );
        assert_eq!(
            choose(pattern, Choice::Within, "git/a", false),
            Choice::Wanted
        );
        assert_eq!(choose(pattern, Choice::Within, "a", false), Choice::Not);
    }

    #[test]
    fn of_a_part_folders_are_made_only_where_a_file_of_it_is() {
        let part = Part::Named([b"srv/git/a".to_vec()].into());
        let selection = Selection::of_part(Some(part));
        let choose = |path: &str, is_folder| {
            let above = Choice::Within;
            selection.choose(above, path.as_bytes(), is_folder)
        };
        assert_eq!(choose("srv", true), Choice::Within);
        assert_eq!(choose("srv/git/a", false), Choice::Wanted);
        assert_eq!(choose("srv/git/b", false), Choice::Not);
        assert!(!selection.is_everything());
        assert!(Selection::of_part(None).is_everything());
    }

    #[test]
    fn what_is_no_pattern_is_an_error() {
        assert!(Selection::new(&["{a".to_owned()]).is_err());
    }
}
