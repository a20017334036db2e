//! Collects what is wrong with a file, with lines, and expands its variables.
//!
//! Whoever finds a mistake reports it here and goes on, so that one run of the program tells all.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::config::expand::{Fault, expand};
use crate::config::problem::{ConfigError, Problem};

/// The longest piece of a file that a message repeats.
const LONGEST_QUOTE: usize = 60;

/// What reading a file has brought to light.
pub(super) struct Reader<'a> {
    text: &'a str,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// A string of the file.
pub(super) struct Text<'a> {
    pub(super) line: usize,
    /// As it stands in the file: what messages may show.
    pub(super) written: &'a str,
    /// With the variables replaced: may hold secrets.
    pub(super) value: Zeroizing<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            text,
            environment,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn problem(
        &mut self,
        line: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(Problem {
            line,
            message: message.into(),
            hint: hint.into(),
        });
    }

    pub(super) fn warning(
        &mut self,
        line: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.warnings.push(Problem {
            line,
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Reports what is not TOML at all.
    pub(super) fn syntax(&mut self, fault: &toml::de::Error) {
        let line = fault.span().map_or(1, |span| self.line(&span));
        let hint = match fault.message() {
            "duplicate key" => "give each key once; several paths go into paths = [\"/a\", \"/b\"]",
            _ => "write key = \"text\", key = 3, key = true, [table] or [[table]]",
        };
        self.problem(line, format!("This is not TOML: {}", fault.message()), hint);
    }

    /// The line on which a span begins, counted from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// The last line of the file, for what is missing altogether.
    pub(super) fn last_line(&self) -> usize {
        self.text.lines().count().max(1)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn into_warnings(self) -> Vec<Problem> {
        self.warnings
    }

    pub(super) fn into_error(mut self) -> ConfigError {
        self.problems.sort();
        self.problems.dedup();
        ConfigError {
            problems: self.problems,
        }
    }

    /// Expands the variables of a string, or says why not.
    pub(super) fn expand<'t>(
        &mut self,
        line: usize,
        written: &'t str,
        encode: impl Fn(usize, String) -> String,
    ) -> Option<Text<'t>> {
        match expand(written, self.environment, encode) {
            Ok(value) => Some(Text {
                line,
                written,
                value,
            }),
            Err(Fault::Unset(name)) => {
                self.problem(
                    line,
                    format!("The variable ${{{name}}} is not set, or empty"),
                    format!("set {name} in the environment of strongroom"),
                );
                None
            }
            Err(Fault::Lone) => {
                self.problem(
                    line,
                    "A single $ means nothing",
                    "write $$ for a dollar sign, or ${NAME} for a variable",
                );
                None
            }
            Err(Fault::Open) => {
                self.problem(
                    line,
                    "A variable after ${ does not end, or its name is none",
                    "write ${NAME}, with A-Z a-z 0-9 _ in the name, or $$ for a dollar sign",
                );
                None
            }
        }
    }
}

/// A piece of the file in quotes, fit for a message.
pub(super) fn quoted(written: &str) -> String {
    format!("{:?}", quote(written))
}

/// A piece of the file, cut where it is long.
pub(super) fn quote(written: &str) -> String {
    match written.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", written.get(..end).unwrap_or_default()),
        None => written.to_owned(),
    }
}
