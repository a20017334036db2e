//! Collects what is wrong with a file, with lines, and expands its variables; for every
//! configuration there is, whatever its keys.
//!
//! Whoever finds a mistake reports it here and goes on, so that one run of the program tells all.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::config::expand::{Fault, expand};
use crate::config::problem::{ConfigError, Problem};

/// The longest piece of a file that a message repeats.
const LONGEST_QUOTE: usize = 60;

/// What reading a file has brought to light.
pub struct Reader<'a> {
    text: &'a str,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// A string of the file.
pub struct Text<'a> {
    /// Its line, counted from 1.
    pub line: usize,
    /// As it stands in the file: what messages may show.
    pub written: &'a str,
    /// With the variables replaced: may hold secrets.
    pub value: Zeroizing<String>,
}

impl<'a> Reader<'a> {
    /// Nothing is wrong yet; `environment` answers for `${NAME}`.
    pub fn new(text: &'a str, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            text,
            environment,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reports a mistake and what to write instead.
    pub fn problem(&mut self, line: usize, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem {
            line,
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Reports what can be used but should not stay as it is.
    pub fn warning(&mut self, line: usize, message: impl Into<String>, hint: impl Into<String>) {
        self.warnings.push(Problem {
            line,
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Reports what is not TOML at all.
    pub fn syntax(&mut self, fault: &toml::de::Error) {
        let line = fault.span().map_or(1, |span| self.line(&span));
        let hint = match fault.message() {
            "duplicate key" => "give each key once; several paths go into paths = [\"/a\", \"/b\"]",
            _ => "write key = \"text\", key = 3, key = true, [table] or [[table]]",
        };
        self.problem(line, format!("This is not TOML: {}", fault.message()), hint);
    }

    /// The line on which a span begins, counted from 1.
    pub fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// The last line of the file, for what is missing altogether.
    pub fn last_line(&self) -> usize {
        self.text.lines().count().max(1)
    }

    /// Whether there are no mistakes.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// What should not stay as it is.
    pub fn into_warnings(self) -> Vec<Problem> {
        self.warnings
    }

    /// All mistakes, in the order of the lines.
    pub fn into_error(mut self) -> ConfigError {
        self.problems.sort();
        self.problems.dedup();
        ConfigError {
            problems: self.problems,
        }
    }

    /// Expands the variables of a string, or says why not.
    pub fn expand<'t>(
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
pub fn quoted(written: &str) -> String {
    format!("{:?}", quote(written))
}

/// A piece of the file, cut where it is long.
pub fn quote(written: &str) -> String {
    match written.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", written.get(..end).unwrap_or_default()),
        None => written.to_owned(),
    }
}
