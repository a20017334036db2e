//! A program with its arguments, as the configuration gives it.
//!
//! An argument may hold a password that came from a variable (`--password=${PW}`), so that what is
//! shown is always what was written and never what it stands for.

use std::fmt;

use crate::secret::Secret;

/// A program and its arguments; never empty.
#[derive(Clone)]
pub struct CommandLine {
    program: Argument,
    arguments: Vec<Argument>,
}

#[derive(Clone)]
struct Argument {
    written: String,
    value: Secret,
}

impl CommandLine {
    /// Makes a command line from pairs of what was written and what it stands for; `None` where
    /// there is no program.
    pub fn new(parts: impl IntoIterator<Item = (String, Secret)>) -> Option<Self> {
        let mut parts = parts
            .into_iter()
            .map(|(written, value)| Argument { written, value });
        let program = parts.next()?;
        Some(Self {
            program,
            arguments: parts.collect(),
        })
    }

    /// The program to start.
    pub fn program(&self) -> &str {
        self.program.value.expose()
    }

    /// Its arguments, which may hold secrets: not for logs.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|part| part.value.expose())
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program.written)?;
        for argument in &self.arguments {
            write!(f, " {}", argument.written)?;
        }
        Ok(())
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_shown() {
        let pair = |written: &str, value: &str| (written.to_owned(), Secret::new(value));
        let line =
            CommandLine::new([pair("dump", "dump"), pair("--pw=${PW}", "--pw=hunter2")]).unwrap();
        assert_eq!(line.to_string(), "dump --pw=${PW}");
        assert_eq!(format!("{line:?}"), "`dump --pw=${PW}`");
        assert_eq!(line.program(), "dump");
        assert_eq!(line.arguments().collect::<Vec<_>>(), ["--pw=hunter2"]);
        assert!(CommandLine::new([]).is_none());
    }
}
