//! The moment at which a file was written to its place.
//!
//! It tells a disk from another to which its files were copied. What can go wrong: a tool that
//! copies takes a file's times over. It cannot take over when a file was made, nor, where a file
//! system does not tell that, as NFS and most that run as programs, when it was changed last, by
//! whatever means.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use strongroom_model::Id;

/// Seconds since 1970, and nanoseconds.
type Time = (i64, i64);

/// The moment at which a file was written, as its file system tells it: when its bytes were, and
/// when it was made; where that is not told, when anything of it was changed.
///
/// Its inode is left out: some file systems number their files anew with each mount.
pub(crate) fn moment_of(file: &Metadata) -> Id {
    let made = file.created().ok();
    let made = made.and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
    // Where it was never written down, some say 1970.
    let made_ns = made.map(|made| made.as_nanos()).filter(|made| *made > 0);
    let written = (file.mtime(), file.mtime_nsec());
    moment(written, made_ns, (file.ctime(), file.ctime_nsec()))
}

fn moment(written: Time, made_ns: Option<u128>, changed: Time) -> Id {
    let (written_s, written_ns) = written;
    let (changed_s, changed_ns) = changed;
    let text = match made_ns {
        Some(_) => format!("{written_s} {written_ns} {made_ns:?}"),
        None => format!("{written_s} {written_ns} changed {changed_s} {changed_ns}"),
    };
    Id::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_not_told_when_a_file_was_made_its_last_change_stands_for_that() {
        let (written, before, after) = ((1_000, 1), (1_000, 2), (2_000, 3));
        let told = moment(written, Some(5), before);
        // A changed mode is no other file.
        assert_eq!(moment(written, Some(5), after), told);
        assert_ne!(moment(written, Some(6), before), told);
        assert_ne!(moment(after, Some(5), before), told);

        let untold = moment(written, None, before);
        assert_eq!(moment(written, None, before), untold);
        // Whoever copies a file with its times cannot set this one.
        assert_ne!(moment(written, None, after), untold);
        assert_ne!(moment(after, None, before), untold);
    }
}
