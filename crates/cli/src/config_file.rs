//! Where the configuration is found, and whether it may be believed.
//!
//! A configuration names commands that run with the rights of whoever stands there, and addresses
//! that get his secrets. What was found by looking, and not named, is believed only where nobody
//! but him and root could have put it there. Who owns what is asked of the opened file, which
//! cannot be exchanged any more; a file that is no file, as a pipe in which nobody writes, is
//! opened without waiting for anything.

mod trust;

use std::fs::File;
use std::io::{Error as IoError, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use strongroom_model::Config;

use crate::error::{Error, Result};
pub(crate) use trust::Fault;

const NAME: &str = "strongroom.toml";
const SYSTEM: &str = "/etc/strongroom";
/// Above this it is not a configuration.
const MOST_BYTES: u64 = 1 << 20;

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) config: Config,
    /// Who else could have written it, where it was named all the same.
    pub(crate) fault: Option<Fault>,
}

/// Reads the file that is given, or else the first one that exists.
pub(crate) fn read(given: Option<&Path>) -> Result<Found> {
    let euid = rustix::process::geteuid().as_raw();
    let (path, file, stat, fault) = match given {
        Some(path) => {
            let (file, stat) = open(CWD, path, OFlags::empty())
                .map_err(Error::local(format!("read {}", path.display())))?;
            let fault = trust::of_file(path, &stat, euid);
            (path.to_owned(), file, stat, fault)
        }
        None => {
            let (path, file, stat) = find(euid)?;
            (path, file, stat, None)
        }
    };
    let reading = || Error::local(format!("read {}", path.display()));
    let text = text(file, &stat).map_err(reading())?;
    match Config::parse(&text, &|name| std::env::var(name).ok()) {
        Ok(config) => Ok(Found {
            path,
            config,
            fault,
        }),
        Err(problems) => Err(Error::Config { path, problems }),
    }
}

fn find(euid: u32) -> Result<(PathBuf, OwnedFd, Stat)> {
    let user = etcetera::choose_base_strategy().ok();
    let folders = [
        Some(PathBuf::from(".")),
        user.map(|user| user.config_dir().join("strongroom")),
        Some(PathBuf::from(SYSTEM)),
    ];
    let mut searched = Vec::new();
    for folder in folders.into_iter().flatten() {
        let path = match folder.as_os_str() == "." {
            true => PathBuf::from(NAME),
            false => folder.join(NAME),
        };
        match look_into(&folder, &path, euid)? {
            Some((file, stat)) => return Ok((path, file, stat)),
            None => searched.push(path),
        }
    }
    Err(Error::NoConfig { searched })
}

/// Opens the configuration of a folder, if it has one.
///
/// One that exists and may not be believed, or cannot be read, is an error, not a reason to look
/// further.
fn look_into(folder: &Path, path: &Path, euid: u32) -> Result<Option<(OwnedFd, Stat)>> {
    let reading = || Error::local(format!("read {}", path.display()));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = openat(CWD, folder, flags, Mode::empty()) else {
        return Ok(None);
    };
    if statat(&directory, NAME, AtFlags::SYMLINK_NOFOLLOW).is_err() {
        return Ok(None);
    }
    let stat = fstat(&directory)
        .map_err(IoError::from)
        .map_err(reading())?;
    let refuse = |fault| {
        Err(Error::UntrustedConfig {
            path: path.to_owned(),
            fault,
        })
    };
    if let Some(fault) = trust::of_folder(folder, &stat, euid) {
        return refuse(fault);
    }
    // In a folder for all, such as /tmp, a link may be anybody's.
    let follow = match trust::is_shared(&stat) {
        true => OFlags::NOFOLLOW,
        false => OFlags::empty(),
    };
    let (file, stat) = open(&directory, Path::new(NAME), follow).map_err(reading())?;
    match trust::of_file(path, &stat, euid) {
        Some(fault) => refuse(fault),
        None => Ok(Some((file, stat))),
    }
}

/// Opens whatever there is, and waits for nothing.
fn open(
    folder: impl std::os::fd::AsFd,
    path: &Path,
    flags: OFlags,
) -> std::io::Result<(OwnedFd, Stat)> {
    let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(folder, path, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, stat)),
        _ => Err(IoError::other("it is not a regular file")),
    }
}

fn text(file: OwnedFd, stat: &Stat) -> std::io::Result<String> {
    let too_large = || IoError::other("it is too large for a configuration");
    if u64::try_from(stat.st_size).is_ok_and(|size_bytes| size_bytes > MOST_BYTES) {
        return Err(too_large());
    }
    let mut text = String::new();
    // It may grow meanwhile.
    let read = File::from(file)
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)?;
    match read as u64 > MOST_BYTES {
        true => Err(too_large()),
        false => Ok(text),
    }
}
