//! What an error of the system means for whoever stores: full, refused, absent, or anything else.

use std::io;

use rustix::io::Errno;
use strongroom_model::FileName;

use crate::Error;

/// Makes of a system's error what the engine can decide on.
pub(super) fn fault(location: String, action: impl ToString, errno: Errno) -> Error {
    match errno {
        Errno::NOSPC | Errno::DQUOT => Error::Full { location },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Error::Denied {
            location,
            action: action.to_string(),
            reason: io::Error::from(errno).to_string(),
        },
        // The place was not even asked, and it says nothing of any file there.
        Errno::MFILE => spent(
            location,
            "this process may open no more files (ulimit -n)",
            errno,
        ),
        Errno::NFILE => spent(
            location,
            "this machine opens no more files (fs.file-max)",
            errno,
        ),
        Errno::NOMEM => spent(location, "this machine has no memory left", errno),
        _ => Error::Io {
            location,
            action: action.to_string(),
            source: errno.into(),
        },
    }
}

/// What is wanting here, so that a place cannot be asked.
fn spent(location: String, what: &str, errno: Errno) -> Error {
    Error::Unreachable {
        location,
        reason: format!("{what}: {}", io::Error::from(errno)),
    }
}

/// As [`fault`], for an error that may not come from the system.
pub(super) fn io_fault(location: String, action: impl ToString, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(errno) => fault(location, action, errno),
        None => Error::Io {
            location,
            action: action.to_string(),
            source: error,
        },
    }
}

/// What it means that a file could not be looked at.
pub(super) fn absent_or(location: String, name: FileName, verb: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT => Error::NotFound { name, location },
        // A link, a folder, a socket, a fifo or a device.
        Errno::LOOP | Errno::INVAL | Errno::NXIO => Error::Io {
            location,
            action: format!("{verb} {name}"),
            source: io::Error::new(io::ErrorKind::InvalidData, "It is not a regular file"),
        },
        _ => fault(location, format_args!("{verb} {name}"), errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno) -> Error {
        fault("/srv/copy".to_owned(), "open data/3f", errno)
    }

    #[test]
    fn what_this_machine_lacks_is_no_fault_of_a_file() {
        for (errno, what) in [
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
            (Errno::NOMEM, "no memory"),
        ] {
            let error = of(errno);
            assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(matches!(of(Errno::IO), Error::Io { .. }));
    }
}
