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
        _ => Error::Io {
            location,
            action: action.to_string(),
            source: errno.into(),
        },
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
