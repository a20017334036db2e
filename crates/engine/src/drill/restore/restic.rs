//! The same copy, restored by stock restic: whoever has nothing of ours has that.
//!
//! It is asked as docs/restoring-without-us.md tells anybody to ask it, without a lock and without a
//! cache. Its word counts for nothing: what lies there when it has ended is compared, whether it says
//! that it went well or not, for as somebody who is not root it complains of owners.
//!
//! **Security:** its password, the address with a token in it, and the secret of a bucket are told to
//! it by its environment, which its own user alone can read; never as arguments. What it says is
//! repeated without them. One that others could have put into `PATH` is not run.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_model::Id;

use crate::drill::restore::program::{self, Limits};
use crate::drill::restore::secrets;
use crate::session::{Cancel, Password};
use crate::{Error, Result};

/// A stock restic, and how it reaches one copy.
pub struct Restic {
    /// The program.
    pub program: PathBuf,
    /// The copy's address as restic reads it, with what is secret in it.
    pub repository: OsString,
    /// The password of the repository.
    pub password: Password,
    /// What else it has to know: variables of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// When what of that opens the copy ends, where it is lent for a time.
    pub ends: Option<Timestamp>,
    /// Arguments that every call has, without secrets.
    pub arguments: Vec<OsString>,
    /// The certificate that the server may show, in PEM, where one is pinned.
    pub certificate: Option<String>,
}

/// What came of restoring with stock restic.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum ByRestic {
    /// It restored the same.
    Same {
        /// What it says of its version.
        version: String,
        /// Which program that was.
        program: String,
        /// Of how many files that was seen; all, or as many of a share as can be named to it.
        files: u64,
        /// How long it took.
        seconds: f64,
    },
    /// It did not.
    Differs {
        /// What it says of its version.
        version: String,
        /// Which program that was.
        program: String,
        /// What is not the same, the first of it, and what restic said.
        differences: Vec<String>,
    },
    /// It was not tried.
    Untried {
        /// Why, in one line.
        reason: String,
    },
}

/// Asking for its version reads nothing.
const VERSION_LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    output_bytes: 64 << 10,
};

/// It may take a good deal longer than we do, and then it hangs.
const LEAST_TIME: Duration = Duration::from_secs(60 * 60);
const TIMES_OURS: u32 = 20;

/// It may complain of each of many files.
const OUTPUT_BYTES: u64 = 1 << 30;

/// Variables that lead to servers and to those who vouch for them.
const PASSED: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

impl Restic {
    /// The restic that is installed, by our `PATH`.
    ///
    /// # Errors
    /// Why none is run, in one line: there is none, or others could have put it there.
    pub fn installed() -> std::result::Result<PathBuf, String> {
        program::find("restic")
    }

    /// What it says of its version; an error says why it cannot be used.
    pub(super) fn version(
        &self,
        temporary: &Path,
        cancel: &Cancel,
    ) -> Result<std::result::Result<String, String>> {
        let mut command = program::command(self.program.as_os_str(), temporary, temporary);
        let ran = program::run(command.arg("version"), VERSION_LIMITS, cancel)?;
        if let Some(reason) = ran.reason() {
            return Ok(Err(reason));
        }
        // "restic 0.18.0 compiled with go1.24 on linux/amd64"
        let words = ran.words.split_whitespace().take(2);
        Ok(Ok(words.collect::<Vec<_>>().join(" ")))
    }

    /// Restores a snapshot into a folder, or of it what is named, in paths without a slash before
    /// them. Tells how long that took, and what was wrong as restic sees it.
    pub(super) fn restore(
        &self,
        snapshot: Id,
        target: &Path,
        named: Option<&[Vec<u8>]>,
        ours: Duration,
        temporary: &Path,
        cancel: &Cancel,
    ) -> Result<(f64, Option<String>)> {
        let mut command = program::command(self.program.as_os_str(), temporary, temporary);
        let password = OsStr::from_bytes(&self.password);
        command
            .env("RESTIC_REPOSITORY", &self.repository)
            .env("RESTIC_PASSWORD", password);
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(["--no-cache", "--no-lock", "--quiet"])
            .args(&self.arguments)
            .arg("restore")
            .arg(snapshot.to_string())
            .arg("--target")
            .arg(target);
        if let Some(certificate) = &self.certificate {
            let path = temporary.join("certificate.pem");
            let written = std::fs::write(&path, certificate);
            written.map_err(Error::local(format!("write {}", path.display())))?;
            command.arg("--cacert").arg(path);
        }
        for path in named.unwrap_or_default() {
            command.arg("--include").arg(pattern(path));
        }
        let limits = Limits {
            time: LEAST_TIME.max(ours.saturating_mul(TIMES_OURS)),
            output_bytes: OUTPUT_BYTES,
        };
        let ran = program::run(&mut command, limits, cancel)?;
        let reason = ran.reason();
        let shown = reason.map(|reason| secrets::without(&reason, &self.secrets()));
        Ok((ran.seconds, shown))
    }

    /// What of all that it is told must not be repeated.
    fn secrets(&self) -> Vec<String> {
        let told = self.environment.iter();
        let is_secret = |name: &OsStr| {
            let name = name.to_string_lossy();
            ["SECRET", "TOKEN", "PASSWORD"]
                .iter()
                .any(|word| name.contains(word))
        };
        let told = told.filter(|(name, _)| is_secret(name));
        let told = told.map(|(_, value)| value.to_string_lossy().into_owned());
        let password = String::from_utf8_lossy(&self.password).into_owned();
        let proxies = PASSED.into_iter().filter_map(std::env::var_os);
        let urls = proxies.chain([self.repository.clone()]);
        let of_urls = urls.flat_map(|url| secrets::of_url(&url.to_string_lossy()));
        told.chain([password]).chain(of_urls).collect()
    }
}

impl ByRestic {
    /// Whether it restored the same; `None` where it was not tried.
    pub const fn agrees(&self) -> Option<bool> {
        match self {
            Self::Same { .. } => Some(true),
            Self::Differs { .. } => Some(false),
            Self::Untried { .. } => None,
        }
    }
}

/// Shows nothing of what is secret.
impl fmt::Debug for Restic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restic")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

/// A pattern that fits this path alone.
fn pattern(path: &[u8]) -> OsString {
    let mut pattern = vec![b'/'];
    for byte in path {
        if b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    OsString::from_vec(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_many_names_is_made_to_fit_one() {
        assert_eq!(pattern(b"srv/a b"), "/srv/a b");
        assert_eq!(pattern(b"srv/*[1]?\\"), r"/srv/\*\[1]\?\\");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let restic = Restic {
            program: "/usr/bin/restic".into(),
            repository: "rest:https://u:hunter2@h/".into(),
            password: Password::new(b"hunter2".to_vec()),
            environment: vec![("AWS_SECRET_ACCESS_KEY".into(), "hunter2".into())],
            ends: None,
            arguments: vec!["--cacert".into()],
            certificate: None,
        };
        let shown = format!("{restic:?}");
        assert!(shown.contains("/usr/bin/restic"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
