//! Where the password comes from: a file, a command, the environment, a person; never an argument,
//! which every process of the machine could read.

mod terminal;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use strongroom_engine::session::Password;
use strongroom_model::shell::quoted;
use strongroom_model::{CommandLine, PasswordSource, Secret};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::output::Output;

/// The variable that holds the password where the configuration names no other source.
pub(crate) const VARIABLE: &str = "STRONGROOM_PASSWORD";

/// No password is longer.
const MOST_BYTES: u64 = 64 << 10;

/// Read, write or search for anybody but the owner.
const OTHERS: u32 = 0o077;
/// Read for the group.
const GROUP_READS: u32 = 0o040;

/// How a person is asked, where it comes to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// For a password that exists.
    Once,
    /// For a new one, where a slip would cost everything.
    Twice,
    /// Not at all, where the work can be done without.
    Never,
}

/// Reads the password.
pub(crate) fn read(source: Option<&PasswordSource>, ask: Ask, output: &Output) -> Result<Password> {
    match source {
        Some(PasswordSource::File(path)) => from_file(path, output),
        Some(PasswordSource::Command(command)) => from_command(command),
        None => match std::env::var_os(VARIABLE) {
            Some(text) => {
                let bytes = std::os::unix::ffi::OsStringExt::into_vec(text);
                not_empty(Zeroizing::new(bytes), VARIABLE)
            }
            None => from_person("Password of the repository: ", ask),
        },
    }
}

/// Reads the first line of a file, and warns where others could; our own group may, as that of a
/// service to which root gives the file.
pub(crate) fn from_file(path: &Path, output: &Output) -> Result<Password> {
    first_line_of(path, "the password", output)
}

/// Reads a secret of another kind, as messages call it, from the first line of a file.
pub(crate) fn secret_from_file(path: &Path, kind: &'static str, output: &Output) -> Result<Secret> {
    let unusable = |reason: String| Error::Secret {
        path: path.to_owned(),
        kind,
        reason,
    };
    let line = first_line_of(path, kind, output).map_err(|error| match error {
        Error::Password { reason, .. } => unusable(reason),
        error => error,
    })?;
    let text = std::str::from_utf8(&line);
    let text = text.map_err(|_| unusable("it is not text".to_owned()))?;
    Ok(Secret::new(text.trim()))
}

fn first_line_of(path: &Path, kind: &str, output: &Output) -> Result<Password> {
    let what = path.display().to_string();
    let reading = || Error::local(format!("read {kind} from {what}"));
    let file = File::open(path).map_err(reading())?;
    let metadata = file.metadata().map_err(reading())?;
    let egid = rustix::process::getegid().as_raw();
    if is_open(metadata.mode(), metadata.gid(), egid) {
        let hint = format!("chmod 600 {}", quoted(path));
        output.warn(&format!("Others can read {kind} in {what}"), Some(&hint));
    }
    first_line(file, &what).map_err(reading())?
}

/// Whether somebody else can do something with a file of this mode and group.
const fn is_open(mode: u32, gid: u32, egid: u32) -> bool {
    let allowed = if gid == egid { GROUP_READS } else { 0 };
    mode & OTHERS & !allowed != 0
}

/// Asks a person on the terminal, without showing what is typed.
pub(crate) fn from_person(prompt: &str, ask: Ask) -> Result<Password> {
    if ask == Ask::Never {
        return Err(Error::NoPassword);
    }
    let first = terminal::ask(prompt)?;
    if ask == Ask::Twice {
        let second = terminal::ask("Once more: ")?;
        if *first != *second {
            return Err(Error::Password {
                what: "The terminal".to_owned(),
                reason: "the two are not the same".to_owned(),
            });
        }
    }
    not_empty(first, "The terminal")
}

fn from_command(command: &CommandLine) -> Result<Password> {
    let what = command.to_string();
    let failed = |reason: String| Error::Password {
        what: what.clone(),
        reason,
    };
    let mut child = Command::new(command.program())
        .args(command.arguments())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let line = child.stdout.take().map_or_else(
        || not_empty(Password::default(), &what),
        |out| first_line(out, &what).map_err(|error| failed(error.to_string()))?,
    );
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    line
}

/// Reads to the end, and keeps what stands before the first line break.
fn first_line(from: impl Read, what: &str) -> std::io::Result<Result<Password>> {
    // Room for all of it at once: a buffer that grows leaves copies of the password behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize));
    from.take(MOST_BYTES).read_to_end(&mut text)?;
    let end = text
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(text.len());
    text.truncate(end);
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Ok(not_empty(text, what))
}

fn not_empty(password: Password, what: &str) -> Result<Password> {
    if password.is_empty() {
        return Err(Error::Password {
            what: what.to_owned(),
            reason: "it is empty".to_owned(),
        });
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_our_own_group_may_read_a_password() {
        for (mode, gid, open) in [
            (0o600, 7, false),
            (0o400, 8, false),
            (0o640, 7, false),
            (0o640, 8, true),
            (0o660, 7, true),
            (0o604, 7, true),
            (0o644, 7, true),
        ] {
            assert_eq!(is_open(0o100_000 | mode, gid, 7), open, "{mode:o} of {gid}");
        }
    }
}
