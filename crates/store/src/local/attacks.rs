//! Attacks on a folder: whoever may write there may destroy, and whoever is root may let anybody.
//!
//! They are made all the same, so that nobody has to believe it. Canaries lie in
//! `strongroom/drill/` under random names, and are gone when the drill ends; what a killed one has
//! left, the next one sweeps, and what cannot be removed stays noted. A flag that makes files
//! immutable (`chattr +i`), a mount that is read-only and an owner of another name show as refusals,
//! which root takes away.
//!
//! What can go wrong: a link planted in the stead of one of the two folders, which would lead
//! elsewhere (so: neither is followed), and a disk that is not mounted (so: `config` has to be
//! there before anything is made).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use strongroom_model::FileName;
use strongroom_model::attack::{Attempt, Left, PlaceKind, Remnant, RemnantKind, Said, Tried};

use crate::attacks::{Attacked, Attacks, MOST_CANARIES, Remnants, in_one_line, random_name};
use crate::local::LocalStore;
use crate::local::folder::Modes;
use crate::{Error, Result, Store};

/// What is tried, in this order.
const ON_CANARIES: [Attempt; 4] = [
    Attempt::Overwrite,
    Attempt::Truncate,
    Attempt::Rename,
    Attempt::Delete,
];

impl Attacks for LocalStore {
    fn attack(&self, _: &[FileName], remnants: &Remnants) -> Result<Attacked> {
        self.size(FileName::CONFIG)?;
        let mut attacked = Attacked::new(PlaceKind::Folder);
        let user = rustix::process::geteuid().as_raw();
        attacked.principal = Some(match user {
            0 => "root of this machine".to_owned(),
            user => format!("user {user} of this machine"),
        });
        let outer = self.path().join("strongroom");
        let folder = outer.join("drill");
        let mode = Modes::of(self.path()).folder;
        let made = make(&outer, mode).and_then(|()| make(&folder, mode));
        match made {
            Ok(()) => {
                sweep(&folder);
                attacked.tried = on_canaries(&folder, remnants);
                attacked.notes.push(
                    "a folder has no locks, versions, policies, tokens or retention, so that \
                     nothing was tried on any"
                        .to_owned(),
                );
                sweep(&folder);
                // What others keep there stays.
                let _ = fs::remove_dir(&folder);
                let _ = fs::remove_dir(&outer);
                strike_out(remnants);
            }
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(Error::Io {
                    location: self.location().to_owned(),
                    action: "make the folder of a drill".to_owned(),
                    source: error,
                });
            }
            Err(error) => {
                let _ = fs::remove_dir(&outer);
                attacked.tried = nothing_put(&error);
            }
        }
        Ok(attacked)
    }
}

/// Makes a folder that may be there, in the mode of all folders of the repository, since records
/// come into it as well; a link, or anything else, is none.
fn make(folder: &Path, mode: Mode) -> io::Result<()> {
    match rustix::fs::mkdir(folder, mode) {
        Err(Errno::EXIST) => match fs::symlink_metadata(folder)?.is_dir() {
            true => Ok(()),
            false => Err(ErrorKind::NotADirectory.into()),
        },
        made => Ok(made?),
    }
}

/// Removes what drills have left in their folder: files, and no more of them than drills make.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.take(10 * MOST_CANARIES) {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Strikes out what is noted and not there any more.
fn strike_out(remnants: &Remnants) {
    for remnant in remnants.left() {
        let found = fs::symlink_metadata(&remnant.name);
        if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            remnants.strike(&remnant);
        }
    }
}

/// A canary as it is noted.
fn remnant_of(path: &Path) -> Remnant {
    Remnant::new(RemnantKind::Canary, path.display().to_string())
}

fn on_canaries(folder: &Path, remnants: &Remnants) -> Vec<Tried> {
    let mut tried = Vec::new();
    for attempt in ON_CANARIES {
        let (path, bytes) = match put(folder, remnants) {
            Ok(canary) => canary,
            Err(error) if tried.is_empty() => return nothing_put(&error),
            Err(error) => {
                tried.push(Tried::not(attempt, format!("no further canary: {error}")));
                continue;
            }
        };
        if tried.is_empty() {
            tried.push(Tried::new(Attempt::Put, Said::Done, Left::Whole));
        }
        if attempt == Attempt::Rename {
            remnants.make(remnant_of(&renamed(&path)));
        }
        let said = match ask(attempt, &path) {
            Ok(()) => Said::Done,
            Err(error) => Said::Refused(in_one_line(&error.to_string())),
        };
        let left = match fs::read(&path) {
            Ok(found) if found == bytes => Left::Whole,
            Ok(_) => Left::Lost,
            Err(error) if error.kind() == ErrorKind::NotFound => Left::Lost,
            Err(error) => Left::Unknown(in_one_line(&error.to_string())),
        };
        tried.push(Tried::new(attempt, said, left));
    }
    tried
}

/// That this user may not even put a canary, and so nothing was tried.
fn nothing_put(error: &io::Error) -> Vec<Tried> {
    let reason = in_one_line(&error.to_string());
    let refused = Tried::new(Attempt::Put, Said::Refused(reason), Left::Nothing);
    let others = ON_CANARIES.map(|attempt| Tried::not(attempt, "no canary could be put"));
    [refused].into_iter().chain(others).collect()
}

/// Puts a canary; returns its path and its bytes.
fn put(folder: &Path, remnants: &Remnants) -> io::Result<(PathBuf, Vec<u8>)> {
    let name = random_name().ok_or_else(|| io::Error::other("the system gives no random bytes"))?;
    let path = folder.join(&name);
    let bytes = format!("strongroom drill: a canary, {name}\n").into_bytes();
    remnants.make(remnant_of(&path));
    let mut file = File::create_new(&path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok((path, bytes))
}

/// Where a canary goes by a rename.
fn renamed(path: &Path) -> PathBuf {
    path.with_extension("renamed")
}

/// Tries one thing on a canary.
fn ask(attempt: Attempt, path: &Path) -> io::Result<()> {
    match attempt {
        Attempt::Overwrite => fs::write(path, b"junk"),
        Attempt::Truncate => File::options().write(true).open(path)?.set_len(0),
        Attempt::Rename => fs::rename(path, renamed(path)),
        Attempt::Delete => fs::remove_file(path),
        _ => Err(ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use strongroom_model::attack::{Mark, Verdict, judge};

    use super::*;

    fn repository() -> (tempfile::TempDir, LocalStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        store.create().unwrap();
        store.save(FileName::CONFIG, b"config").unwrap();
        (folder, store)
    }

    #[test]
    fn all_of_it_succeeds_and_nothing_of_the_repository_is_touched() {
        let (folder, store) = repository();
        let remnants = Remnants::default();
        let attacked = store.attacks().unwrap().attack(&[], &remnants).unwrap();
        assert_eq!(attacked.place, PlaceKind::Folder);
        let fell = attacked.tried.iter().filter(|one| one.mark() == Mark::Fell);
        let fell: Vec<_> = fell.map(|one| one.attempt).collect();
        assert_eq!(fell, ON_CANARIES);
        let judged = judge(PlaceKind::Folder, &attacked.tried, None, false);
        assert_eq!(judged.verdict, Verdict::Destroyable);
        assert_eq!(store.read(FileName::CONFIG).unwrap(), b"config");
        assert!(!folder.path().join("strongroom").exists());
    }

    #[test]
    fn what_a_killed_drill_has_left_is_swept_and_what_others_keep_stays() {
        let (folder, store) = repository();
        let drill = folder.path().join("strongroom/drill");
        fs::create_dir_all(&drill).unwrap();
        fs::write(drill.join("0123456789abcdef"), b"a canary").unwrap();
        fs::write(folder.path().join("strongroom/record"), b"a record").unwrap();
        store.attack(&[], &Remnants::default()).unwrap();
        assert!(!drill.exists());
        let record = fs::read(folder.path().join("strongroom/record")).unwrap();
        assert_eq!(record, b"a record");
    }

    #[test]
    fn what_could_not_be_removed_stays_noted_until_it_is_gone() {
        let (folder, store) = repository();
        let kept = folder.path().join("kept");
        fs::write(&kept, b"a canary").unwrap();
        let gone = remnant_of(&folder.path().join("gone"));
        let remnants = Remnants::new([gone.clone(), remnant_of(&kept)], |_| {});
        store.attack(&[], &remnants).unwrap();
        // All that this drill has made is gone, and no noted path is removed for being noted.
        let noted = remnants.noted();
        assert_eq!(noted.left, [remnant_of(&kept)].into());
        assert!(noted.gone.contains(&gone) && noted.gone.len() > ON_CANARIES.len());
        assert!(kept.exists());
    }

    #[test]
    fn a_link_in_the_stead_of_a_folder_is_not_followed() {
        let (folder, store) = repository();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), folder.path().join("strongroom")).unwrap();
        let error = store.attack(&[], &Remnants::default()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn its_folder_is_as_private_as_all_of_the_repository() {
        let (folder, store) = repository();
        let drill = folder.path().join("drill");
        make(&drill, Modes::of(store.path()).folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&drill), 0o700);
        assert_eq!(mode(&drill), mode(&folder.path().join("data")));
        // One that is there stays as it is.
        make(&drill, Mode::RWXU | Mode::RWXG).unwrap();
        assert_eq!(mode(&drill), 0o700);
    }

    #[test]
    fn where_no_repository_is_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let error = store.attack(&[], &Remnants::default()).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
