//! The vault's program: arguments in, exit status out.
//!
//! What is data goes to standard output, the log to standard error. 0 is done, 1 failed, 2 usage.

mod command;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use strongroom_vault::chain;

use crate::command::Command;

/// Holds copies for others, and keeps its promises about deletion
#[derive(Debug, Parser)]
#[command(name = "strongroom-vault", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// Tells an error, what it comes from, and the next step; where nobody listens, nobody hears it.
fn tell(error: &strongroom_vault::Error) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "error: {}", chain(error));
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "hint: {hint}");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    /// Whether a command can be typed as it stands, with something in each place that is left open.
    fn assert_parses(command: &str, whence: &str) {
        let id = "c2a6bd9a1d3f3d6a1f7f0d7b0b2a4c9d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";
        let words = command.split_whitespace().map(|word| match word {
            "{path}" | "{name}" | "{repository}" | "PATH" | "DIR" => "acme/repos",
            "{token}" | "NAME" => "a1b2c3",
            "{found}" | "N" | "LEAF" => "3",
            "{options}" => "--tombstones=3",
            "{wall}" | "TIME" => "2026-11-20T10:00:00Z",
            "{may_s}s" | "{may_min}m" | "{}" | "{config}" | "PERIOD" => "30d",
            "RIGHT" => "append",
            "ID" => id,
            "FILE" => "data/c2a6bd9a1d3f3d6a1f7f0d7b0b2a4c9d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b",
            word => word,
        });
        if let Err(error) = Cli::try_parse_from(words) {
            let is_help = error.kind() == clap::error::ErrorKind::DisplayHelp;
            assert!(is_help, "{whence}: {command}: {error}");
        }
    }

    /// The commands in a text: each ends at a comma, a semicolon, a quote, a comment or the end of
    /// a line.
    fn commands(text: &str) -> impl Iterator<Item = &str> {
        let begins = text.match_indices("strongroom-vault ").map(|(at, _)| at);
        begins.map(|at| {
            let command = text.get(at..).unwrap_or_default();
            let ends = |c: char| matches!(c, ',' | ';' | '"' | '`' | '\n' | '\\' | ')' | '#');
            command.split(ends).next().unwrap_or_default()
        })
    }

    /// All files below a folder.
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn every_command_that_is_told_to_be_typed_can_be() {
        let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        files(&package.join("src"), &mut sources);
        sources.retain(|path| path.extension().is_some_and(|end| end == "rs"));
        let mut count = 0;
        for path in sources {
            let text = std::fs::read_to_string(&path).unwrap();
            // What stands in comments and tests is told to nobody.
            let text = text.split("#[cfg(test)]").next().unwrap();
            let lines = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let mut joined = String::new();
            for line in lines {
                match line.strip_suffix('\\') {
                    Some(begin) => joined.push_str(begin.trim_start()),
                    None => {
                        joined.push_str(line.trim_start());
                        joined.push('\n');
                    }
                }
            }
            // In their own table of clap there is a name alone.
            for command in commands(&joined).filter(|command| command.trim() != "strongroom-vault")
            {
                assert_parses(command, &path.display().to_string());
                count += 1;
            }
        }
        assert!(count > 15, "{count} commands were found");
    }

    #[test]
    fn every_command_in_the_manual_can_be_typed() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let text = std::fs::read_to_string(docs.join("vault-running.md")).unwrap();
        let begins = |line: &&str| line.starts_with("strongroom-vault ");
        let mut found: Vec<&str> = text.lines().filter(begins).collect();
        found.extend(text.split('`').filter(begins));
        assert!(found.len() > 10, "{found:?}");
        for line in found {
            let command = line.split(" #").next().unwrap();
            assert_parses(command, "docs/vault-running.md");
        }
    }
}
