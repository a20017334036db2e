//! The configuration, `strongroom.toml`, parsed once into types.
//!
//! A mistake in it costs the most when it is found at restore time, so nothing is guessed: an
//! unknown key, a wrong unit or an unset variable is an error that names its line and says what to
//! write instead, and all mistakes of a file are told at once.
//!
//! `${NAME}` in any string stands for a variable of the environment and `$$` for a dollar sign.
//! **Architecture invariant:** errors show what was written, never what a variable held; only names
//! and folders, which every status table shows, appear as they came out.

mod backup_copy;
mod bucket;
mod expand;
mod keep;
mod limits;
mod plan;
mod problem;
pub mod reader;
pub mod section;
mod source;

pub use backup_copy::{BackupCopy, Medium};
pub use bucket::{S3Access, S3Account, SecretKey};
pub use limits::Limits;
pub use problem::{ConfigError, Problem};
pub use source::{Source, SourceKind};

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeTable;

use crate::account::{self, Account};
use crate::address::StoreAddress;
use crate::command_line::CommandLine;
use crate::name::Name;
use crate::plan::Plan;
use reader::Reader;
use section::Section;

/// A whole configuration that contradicts itself nowhere.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the password comes from; `None` leaves it to `STRONGROOM_PASSWORD`.
    pub password: Option<PasswordSource>,
    /// Where the sources stand: as configured, or else the site of the first local copy.
    pub site: Option<Name>,
    /// Whose credentials rule the sources: as configured, or else the domain of the first local
    /// copy.
    pub domain: Option<Name>,
    /// Whose account at a provider the sources run in, where the provider itself does not tell.
    pub runs_in: Option<Account>,
    /// What the owner demands.
    pub plan: Plan,
    /// What is protected; at least one.
    pub sources: Vec<Source>,
    /// Where to; at least one.
    pub copies: Vec<BackupCopy>,
    /// What the work may take of the machine.
    pub limits: Limits,
    /// What can be used but should not stay as it is.
    pub warnings: Vec<Problem>,
}

/// Where the password of the repository comes from.
#[derive(Clone, Debug)]
pub enum PasswordSource {
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a command prints.
    Command(CommandLine),
}

const KEYS: [&str; 9] = [
    "password_file",
    "password_command",
    "site",
    "domain",
    "runs_in",
    "plan",
    "source",
    "copy",
    "limits",
];

impl Config {
    /// Reads the text of a configuration; `environment` answers for `${NAME}`.
    ///
    /// # Errors
    /// Returns every problem that was found, each with its line.
    pub fn parse(
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (mut config, warnings) = parse(text, environment, &KEYS, Self::read)?;
        config.warnings = warnings;
        Ok(config)
    }

    /// The domain of the sources: `domain`, or else `production`, where nobody has said.
    pub fn production(&self) -> Name {
        self.domain.clone().unwrap_or_else(Name::production)
    }

    fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Self> {
        let password = password(reader, top);
        let site = top.name(reader, "site");
        let domain = top.name(reader, "domain");
        let parse = |text: &str| text.parse::<Account>().ok();
        let runs_in = top.parsed(reader, "runs_in", parse, "not an account", account::RULE);
        let plan = plan::read(reader, top);
        let limits = limits::read(reader, top);
        let sources = source::read_all(reader, top);
        let copies = backup_copy::read_all(reader, top);
        apart(reader, &sources, &copies);
        let sources: Vec<Source> = sources.into_iter().map(|(_, source)| source).collect();
        let copies: Vec<BackupCopy> = copies.into_iter().map(|(_, copy)| copy).collect();
        let local = copies
            .iter()
            .find(|copy| matches!(copy.store, StoreAddress::Local(_)));
        Some(Self {
            password,
            site: site.or_else(|| local.map(|copy| copy.site.clone())),
            domain: domain.or_else(|| local.map(|copy| copy.domain.clone())),
            runs_in,
            plan: plan?,
            sources,
            copies,
            limits: limits?,
            warnings: Vec::new(),
        })
    }
}

/// Reads the text of any configuration: `read` gets the file as a whole, in which `keys` are known.
/// Returns what should not stay as it is, too.
///
/// # Errors
/// Returns every problem that was found, each with its line.
pub fn parse<T>(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    keys: &[&str],
    read: impl FnOnce(&mut Reader<'_>, &Section<'_>) -> Option<T>,
) -> Result<(T, Vec<Problem>), ConfigError> {
    let (table, faults) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text, environment);
    for fault in &faults {
        reader.syntax(fault);
    }
    if !faults.is_empty() {
        return Err(reader.into_error());
    }
    let top = Section::top(&mut reader, table.get_ref(), keys);
    match read(&mut reader, &top) {
        Some(config) if reader.is_clean() => Ok((config, reader.into_warnings())),
        _ => Err(reader.into_error()),
    }
}

fn password(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<PasswordSource> {
    let file = top.path(reader, "password_file");
    let command = top.command(reader, "password_command");
    top.refuse_both(reader, "password_file", "password_command");
    file.map(PasswordSource::File)
        .or(command.map(PasswordSource::Command))
}

/// Reads the name of a table, which no other of its kind has; these are called `one` and `several`.
fn own_name(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    names: &mut BTreeMap<Name, usize>,
    (one, several): (&str, &str),
) -> Option<Name> {
    let name = section.name(reader, "name")?;
    if let Some(line) = section.line_of(reader, "name")
        && let Some(first) = names.insert(name.clone(), line)
    {
        reader.problem(
            line,
            format!("Two {several} are named \"{name}\", the other in line {first}"),
            format!("give each {one} a name of its own"),
        );
    }
    Some(name)
}

/// Refuses what would back itself up, or be one place under two names.
fn apart(reader: &mut Reader<'_>, sources: &[(usize, Source)], copies: &[(usize, BackupCopy)]) {
    for (index, (line, copy)) in copies.iter().enumerate() {
        for (earlier, other) in copies.iter().take(index) {
            if copy.store == other.store {
                reader.problem(
                    *line,
                    format!(
                        "Copies \"{}\" and \"{}\" (line {earlier}) are one place",
                        copy.name, other.name
                    ),
                    "give each copy a place of its own, or remove one",
                );
            } else if copy.store.overlaps(&other.store) {
                reader.problem(
                    *line,
                    format!(
                        "Of copies \"{}\" and \"{}\" (line {earlier}) one lies inside the other",
                        copy.name, other.name,
                    ),
                    "give each copy a folder of its own",
                );
            }
        }
        let StoreAddress::Local(folder) = &copy.store else {
            continue;
        };
        for (_, source) in sources {
            for path in source.paths() {
                if path.starts_with(folder) {
                    reader.problem(
                        *line,
                        format!(
                            "Source \"{}\" ({}) lies inside copy \"{}\"",
                            source.name,
                            path.display(),
                            copy.name,
                        ),
                        "move the copy: its folder holds nothing but the repository",
                    );
                } else if folder.starts_with(path) && !source.excludes(folder) {
                    reader.problem(
                        *line,
                        format!(
                            "Copy \"{}\" lies inside source \"{}\" ({}) and would back itself up",
                            copy.name,
                            source.name,
                            path.display(),
                        ),
                        format!(
                            "move the copy, or write exclude = [\"{}\"] in the source",
                            folder.display(),
                        ),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
