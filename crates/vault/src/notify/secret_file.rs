//! A secret in a file that only the vault's own user can read: its first line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use strongroom_model::Secret;

use crate::config::AddressConfig;
use crate::private_file::{self, OTHERS, refused};
use crate::{Error, Result};

/// The longest secret.
const LONGEST_BYTES: u64 = 4096;

/// Where systemd lays the files of `LoadCredential=`, for a service that it runs. It lets nobody else
/// into that folder, and says so by a list that the mode of a file shows as readable by its group.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Reads the secret in a file.
///
/// # Errors
/// [`Error::Refused`] where others can read the file, or nothing is in it; [`Error::Local`].
pub(super) fn read(path: &Path) -> Result<Secret> {
    let credentials = std::env::var_os(CREDENTIALS);
    read_beside(path, credentials.as_ref().map(Path::new))
}

fn read_beside(path: &Path, credentials: Option<&Path>) -> Result<Secret> {
    let failed = || Error::local(format!("read {}", path.display()));
    let file = File::open(path).map_err(failed())?;
    let is_credential = credentials.is_some_and(|folder| path.parent() == Some(folder));
    let others = if is_credential { 0o037 } else { OTHERS };
    private_file::check(&file, path, others, failed())?;
    let mut text = String::new();
    file.take(LONGEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed())?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() || text.len() as u64 > LONGEST_BYTES {
        return Err(refused(path, "its first line is no secret; write it there"));
    }
    Ok(Secret::new(line))
}

/// A secret of the configuration, or in the file that it names.
///
/// # Errors
/// As [`read`].
pub(super) fn of(config: &AddressConfig) -> Result<Secret> {
    match config {
        AddressConfig::Text(text) => Ok(text.clone()),
        AddressConfig::File(path) => read(path),
    }
}

/// The address of a webhook.
///
/// # Errors
/// As [`read`], and [`Error::Refused`] where it is no address.
pub(super) fn address(config: &AddressConfig) -> Result<Secret> {
    let text = of(config)?;
    match (crate::config::parse_address(text.expose()), config) {
        (Some(_), _) => Ok(text),
        (None, AddressConfig::File(path)) => Err(refused(
            path,
            "its first line is no address of a webhook; it begins with https://",
        )),
        (None, AddressConfig::Text(_)) => Err(Error::Refused {
            reason: "the address of a webhook is none; it begins with https://".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_or_that_holds_nothing_is_not_used() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "geheim \nmore\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        // As systemd shows it.
        let credentials = Some(folder.path());
        assert_eq!(read_beside(&path, credentials).unwrap().expose(), "geheim");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(read_beside(&path, credentials).is_err());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().expose(), "geheim");
        for bad in ["", "\n", &"a".repeat(5_000)] {
            fs::write(&path, bad).unwrap();
            assert!(read(&path).is_err(), "{bad:?}");
        }
        fs::write(&path, "http://geheim.example/x\n").unwrap();
        let error = address(&AddressConfig::File(path.clone())).unwrap_err();
        assert!(!error.to_string().contains("geheim.example"), "{error}");
        fs::write(&path, "https://geheim.example/x\n").unwrap();
        assert!(address(&AddressConfig::File(path)).is_ok());
    }
}
