//! What the program says: data to standard output, talk to standard error.
//!
//! With `--json` every line of standard output is one object with a `message_type`; the last one
//! is a `summary`, or an `error` where it did not come to that (see docs/json.md).
//! What comes from a repository is hostile: control characters of a file name must not reach a
//! terminal.

use std::error::Error as _;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use indicatif::MultiProgress;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::Exit;

/// Where the program speaks.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Whether standard output takes objects only.
    pub(crate) json: bool,
    /// Whether only errors and warnings are told.
    pub(crate) quiet: bool,
    /// The bars, which step aside whenever something else is said.
    pub(crate) bars: MultiProgress,
}

/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is in doubt.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// What went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What heads a table.
pub(crate) const HEADING: Style = Style::new().bold();

impl Output {
    /// Writes text that was asked for; nothing with `--json`.
    pub(crate) fn data(&self, text: &str) -> Result<()> {
        if self.json {
            return Ok(());
        }
        self.write(text.as_bytes())
    }

    /// Writes what came of the work; nothing with `--json` or `--quiet`.
    pub(crate) fn result(&self, text: &str) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.data(text)
    }

    /// Writes an object on a line of its own, with `--json` only.
    pub(crate) fn object(&self, value: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut line = serde_json::to_vec(value).map_err(|error| Error::Output(error.into()))?;
        line.push(b'\n');
        self.write(&line)
    }

    /// Says something to whoever looks on.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet && !self.json {
            self.talk(&format!("{text}\n"));
        }
    }

    /// Warns, also with `--quiet`.
    pub(crate) fn warn(&self, text: &str, hint: Option<&str>) {
        let hint = hint.map_or_else(String::new, |hint| format!("  hint: {hint}\n"));
        self.talk(&format!("{DOUBTFUL}warning{DOUBTFUL:#}: {text}\n{hint}"));
    }

    /// Raises an alarm: somebody has to see to it, whatever else came of the work.
    pub(crate) fn alarm(&self, text: &str, next: &[&str]) {
        let next: String = next
            .iter()
            .filter(|step| !step.is_empty())
            .map(|step| format!("  next: {step}\n"))
            .collect();
        self.talk(&format!("{BAD}ALARM{BAD:#}: {text}\n{next}"));
    }

    /// Tells why the program ends early, and with which status.
    pub(crate) fn failure(&self, error: &Error) -> Exit {
        let exit = error.exit();
        if let Error::Output(source) = error
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            // The reader had enough, as `head` does; there is nobody to tell.
            return exit;
        }
        let mut text = format!("{error}\n");
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("  because: {error}\n"));
            causes.push(error.to_string());
            cause = error.source();
        }
        let hint = error.hint();
        if let Some(hint) = &hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        let shown: Vec<String> = text.lines().map(visible).collect();
        self.talk(&format!("{BAD}error{BAD:#}: {}\n", shown.join("\n")));
        let message = ErrorMessage {
            message_type: "error",
            message: error.to_string(),
            causes,
            hint,
            exit_status: exit.code(),
        };
        if let Err(error) = self.object(&message) {
            tracing::debug!(%error, "The error could not be told");
        }
        exit
    }

    /// Whether somebody sees how far the work has come.
    pub(crate) fn shows_bars(&self) -> bool {
        !self.bars.is_hidden()
    }

    /// Text of unknown origin, fit for where standard output goes: as it is for a pipe or file,
    /// without control characters for a terminal.
    pub(crate) fn path(&self, bytes: &[u8]) -> Vec<u8> {
        if io::stdout().is_terminal() {
            visible(&String::from_utf8_lossy(bytes)).into_bytes()
        } else {
            bytes.to_vec()
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        self.bars.suspend(|| {
            let mut out = anstream::stdout().lock();
            out.write_all(bytes)
                .and_then(|()| out.flush())
                .map_err(Error::Output)
        })
    }

    fn talk(&self, text: &str) {
        self.bars.suspend(|| {
            // Whoever closed standard error does not want to know.
            let _ = anstream::stderr().lock().write_all(text.as_bytes());
        });
    }
}

#[derive(Serialize)]
struct ErrorMessage {
    message_type: &'static str,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit_status: u8,
}

/// A text with its control characters spelled out.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(visible("größe 1"), "größe 1");
    }
}
