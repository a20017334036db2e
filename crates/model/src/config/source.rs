//! The tables `[[source]]`: what is protected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::byte_size::ByteSize;
use crate::command_line::CommandLine;
use crate::config::reader::{Reader, quoted};
use crate::config::section::{Section, path};
use crate::config::{keep, own_name};
use crate::keep::Keep;
use crate::name::Name;

/// What is protected.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, which no other source has.
    pub name: Name,
    /// Folders, or the output of a command.
    pub kind: SourceKind,
    /// Which of its snapshots stay; `None` means all.
    pub keep: Option<Keep>,
    /// What a restore drill runs in the folder that it restored, to see whether it is sound;
    /// started without a shell, and a name without a folder is looked for in `PATH`.
    pub check: Option<CommandLine>,
}

/// Where the data of a source comes from.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Files and folders of this machine.
    Folder {
        /// Where to start; absolute, at least one.
        paths: Vec<PathBuf>,
        /// What to leave out, in gitignore syntax; absolute patterns begin at `/`.
        exclude: Vec<String>,
        /// Whether to leave out the contents of folders marked with a `CACHEDIR.TAG`.
        exclude_caches: bool,
        /// Whether to stay on the filesystems on which the paths lie.
        one_file_system: bool,
        /// Leave out files that are larger.
        exclude_larger_than: Option<ByteSize>,
    },
    /// What a command prints, as one file.
    Command {
        /// The program and its arguments; started without a shell.
        command: CommandLine,
        /// The name of the file in the snapshot.
        file_name: String,
    },
}

pub(super) const KEYS: [&str; 11] = [
    "name",
    "path",
    "paths",
    "command",
    "as",
    "exclude",
    "exclude_caches",
    "one_file_system",
    "exclude_larger_than",
    "keep",
    "check",
];

const FOLDER_ONLY: [&str; 4] = [
    "exclude",
    "exclude_caches",
    "one_file_system",
    "exclude_larger_than",
];

/// The longest name that the file systems of this world take, in bytes.
const LONGEST_FILE_NAME: usize = 255;

impl Source {
    /// The folders of the source; none where it is a command.
    pub fn paths(&self) -> &[PathBuf] {
        match &self.kind {
            SourceKind::Folder { paths, .. } => paths,
            SourceKind::Command { .. } => &[],
        }
    }

    /// Whether a plain pattern leaves out exactly this folder or one above it, for certain.
    pub(super) fn excludes(&self, folder: &Path) -> bool {
        let SourceKind::Folder { exclude, .. } = &self.kind else {
            return false;
        };
        let plain = |pattern: &&String| {
            pattern.starts_with('/') && !pattern.contains(['*', '?', '[', '\\', '!'])
        };
        !exclude.iter().any(|pattern| pattern.starts_with('!'))
            && exclude
                .iter()
                .filter(plain)
                .any(|pattern| folder.starts_with(pattern))
    }
}

/// Reads all sources, each with the line where it begins.
pub(super) fn read_all(reader: &mut Reader<'_>, top: &Section<'_>) -> Vec<(usize, Source)> {
    let sections = top.sections(reader, "source", &KEYS);
    if !top.has("source") {
        reader.problem(
            reader.last_line(),
            "There is no source: nothing would be protected",
            "add [[source]] with name = \"home\" and path = \"/home\"",
        );
    }
    let mut names = BTreeMap::new();
    let mut sources = Vec::new();
    for section in sections {
        section.require(reader, "name", "name = \"home\"");
        let name = own_name(reader, &section, &mut names, ("source", "sources"));
        let kind = read_kind(reader, &section, name.as_ref());
        let keep = keep::read(reader, &section);
        let check = read_check(reader, &section);
        if let (Some(name), Some(kind)) = (name, kind) {
            let source = Source {
                name,
                kind,
                keep,
                check,
            };
            sources.push((section.line(), source));
        }
    }
    sources
}

/// Reads the command that tells whether what was restored is sound.
///
/// **Security:** it runs in what was restored, which whoever writes in the source has made: so no
/// program is taken from there.
fn read_check(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<CommandLine> {
    let check = section.command(reader, "check")?;
    let program = check.program();
    if program.starts_with('/') || !program.contains('/') {
        return Some(check);
    }
    reader.problem(
        section.line_of(reader, "check")?,
        "check begins with a program in a folder of what was restored, which nobody vouches for",
        "write a program that PATH finds, or an absolute path: check = [\"git\", \"fsck\"]",
    );
    None
}

fn read_kind(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: Option<&Name>,
) -> Option<SourceKind> {
    let given: Vec<&str> = ["path", "paths", "command"]
        .into_iter()
        .filter(|key| section.has(key))
        .collect();
    match given.as_slice() {
        ["command"] => read_command(reader, section, name),
        ["path"] | ["paths"] => read_folder(reader, section),
        [] => {
            reader.problem(
                section.line(),
                "This source has neither a path nor a command",
                "write path = \"/srv/data\", paths = [\"/a\", \"/b\"] or command = [\"program\"]",
            );
            None
        }
        several => {
            let last = several.last().copied().unwrap_or_default();
            reader.problem(
                section.line_of(reader, last)?,
                format!("This source has {} at once", several.join(" and ")),
                "write one of them; a folder and a command are two sources",
            );
            None
        }
    }
}

fn read_folder(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<SourceKind> {
    let reason = "as names the output of a command, and this source has none";
    section.refuse(reader, "as", reason, "remove it");
    let paths = if section.has("path") {
        section.path(reader, "path").map(|path| vec![path])
    } else {
        read_paths(reader, section)
    };
    let exclude = match section.texts(reader, "exclude") {
        Some(texts) => texts
            .into_iter()
            .map(|text| text.value.to_string())
            .collect(),
        None => Vec::new(),
    };
    let exclude_caches = section.flag(reader, "exclude_caches");
    let one_file_system = section.flag(reader, "one_file_system");
    let larger = section.size(reader, "exclude_larger_than");
    Some(SourceKind::Folder {
        paths: paths?,
        exclude,
        exclude_caches: exclude_caches.unwrap_or(false),
        one_file_system: one_file_system.unwrap_or(false),
        exclude_larger_than: larger.map(|(_, size)| size),
    })
}

fn read_paths(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Vec<PathBuf>> {
    let texts = section.texts(reader, "paths")?;
    if texts.is_empty() {
        reader.problem(
            section.line_of(reader, "paths")?,
            "paths is empty",
            "write paths = [\"/srv/data\"]",
        );
        return None;
    }
    let paths: Vec<Option<PathBuf>> = texts
        .iter()
        .map(|text| path(reader, "paths", text))
        .collect();
    paths.into_iter().collect()
}

fn read_command(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: Option<&Name>,
) -> Option<SourceKind> {
    for key in FOLDER_ONLY {
        let reason = format!("{key} means nothing for the output of a command");
        section.refuse(reader, key, reason, "remove it");
    }
    let example = name.map_or("dump", Name::as_str);
    section.require(
        reader,
        "as",
        &format!("as = \"{example}.dump\", the file name in the backup"),
    );
    let command = section.command(reader, "command");
    let text = section.text(reader, "as")?;
    let good = !matches!(text.value.as_str(), "" | "." | "..")
        && text.value.len() <= LONGEST_FILE_NAME
        && !text.value.contains(['/', '\0']);
    if !good {
        reader.problem(
            text.line,
            format!("{} is not a file name", quoted(text.written)),
            format!("write as = \"{example}.dump\", without a folder"),
        );
    }
    Some(SourceKind::Command {
        command: command?,
        file_name: good.then(|| text.value.to_string())?,
    })
}
