//! The secrets in the folder of keys, each in a file that only the vault's own user can read: the token
//! of whoever administers the vault over HTTP until there are operators, the key that secrets of TOTP
//! are derived from, and the one that signs what back ends of protected hosts are told.
//!
//! Who can read the first has the data folder, and so could do everything without it.
//!
//! What can go wrong: a file that others can read; then the vault does not start.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use strongroom_model::Secret;

use crate::private_file::{self, OTHERS, refused};
use crate::{Error, Result, durable};

/// The name of the file, in the folder of keys.
pub const FILE_NAME: &str = "admin.token";

/// The name of the file with what secrets of TOTP are derived from, in the same folder and form.
pub const PEOPLE_FILE_NAME: &str = "people.key";

/// The name of the file with the key that signs what back ends of protected hosts are told.
pub const FORWARD_FILE_NAME: &str = "forward.key";

/// How many random bytes it has.
const RANDOM_BYTES: usize = 32;

/// As text.
const LENGTH: usize = 43;

/// Reads the token in a folder of keys, or makes one.
///
/// # Errors
/// [`Error::Refused`] where others can read the file, or what is in it is no token;
/// [`Error::Local`].
pub fn open(folder: &Path) -> Result<Secret> {
    open_file(folder, FILE_NAME)
}

/// The same for the key of people.
///
/// # Errors
/// As [`open`].
pub fn open_people(folder: &Path) -> Result<Secret> {
    open_file(folder, PEOPLE_FILE_NAME)
}

/// The same for the key that signs what back ends of protected hosts are told.
///
/// # Errors
/// As [`open`].
pub fn open_forward(folder: &Path) -> Result<Secret> {
    open_file(folder, FORWARD_FILE_NAME)
}

fn open_file(folder: &Path, name: &str) -> Result<Secret> {
    let path = folder.join(name);
    match read(&path)? {
        Some(token) => Ok(token),
        None => {
            make(folder, name)?;
            read(&path)?.ok_or_else(|| refused(&path, "it vanishes"))
        }
    }
}

fn read(path: &PathBuf) -> Result<Option<Secret>> {
    let failed = || Error::of_vault(format!("read {}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed()(error)),
    };
    private_file::check(&file, path, OTHERS, failed())?;
    let mut text = String::new();
    let most = LENGTH as u64 + 2;
    file.take(most)
        .read_to_string(&mut text)
        .map_err(failed())?;
    let token = text.trim_end();
    match BASE64URL_NOPAD.decode(token.as_bytes()) {
        Ok(bytes) if bytes.len() == RANDOM_BYTES => Ok(Some(Secret::new(token))),
        _ => Err(refused(
            path,
            "it holds no token; remove it, and the next start makes a new one",
        )),
    }
}

/// Makes a token where there is none, so that two who do this at once have the same one.
fn make(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    let failed = || Error::of_vault(format!("make {}", path.display()));
    durable::make_folder(folder).map_err(failed())?;
    let mut secret = [0; RANDOM_BYTES];
    getrandom::fill(&mut secret).map_err(|error| failed()(io::Error::other(error)))?;
    let text = format!("{}\n", BASE64URL_NOPAD.encode(&secret));
    durable::place(&path, text.as_bytes()).map_err(failed())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use tempfile::TempDir;

    use super::*;
    use crate::durable::tests::{assert_written, synced_by};

    #[test]
    fn it_is_durable_with_its_folder_before_anybody_is_told_of_it() {
        let root = TempDir::new().unwrap();
        let keys = root.path().join("keys");
        let synced = synced_by(|| drop(open(&keys).unwrap()));
        let path = keys.join(FILE_NAME);
        let token = fs::read(&path).unwrap();
        assert_written(&synced, &["keys"], (&path, &token));
    }

    #[test]
    fn it_is_made_once_and_nobody_else_can_read_it() {
        let folder = TempDir::new().unwrap();
        let keys = folder.path().join("keys");
        let token = open(&keys).unwrap();
        assert_eq!(token.expose().len(), LENGTH);
        assert_eq!(open(&keys).unwrap().expose(), token.expose());
        let path = keys.join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1);
        let other = open(&folder.path().join("other")).unwrap();
        assert_ne!(other.expose(), token.expose());
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_none_is_not_used() {
        let folder = TempDir::new().unwrap();
        open(folder.path()).unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let refused = open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for bad in [
            "",
            "short\n",
            &"a".repeat(44),
            &format!("{} ", "=".repeat(43)),
        ] {
            fs::write(&path, bad).unwrap();
            assert!(open(folder.path()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn all_who_make_it_at_once_have_the_same_one() {
        let folder = TempDir::new().unwrap();
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| open(folder.path()).unwrap().expose().to_owned()))
                .collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(tokens.iter().all(|token| token == &tokens[0]));
    }
}
