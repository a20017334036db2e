//! The one place where what was written is made durable, so that tests see what was, and when: no
//! kill shows it, for the system still has all of it in memory.

use std::os::fd::AsFd;

/// Waits until a file, or the names in a folder, are on the disk.
pub(super) fn sync(opened: impl AsFd) -> rustix::io::Result<()> {
    #[cfg(test)]
    tests::note(&opened);
    rustix::fs::fsync(opened)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    use strongroom_model::{FileName, FileType, Id};
    use tempfile::TempDir;

    use super::*;
    use crate::local::LocalStore;
    use crate::local::folder::Place;
    use crate::store::Store;

    /// A file or folder that was made durable.
    #[derive(Debug)]
    struct Synced {
        path: PathBuf,
        /// What the folder, or that of the file, held at that moment.
        names: Vec<String>,
    }

    thread_local! {
        static SYNCED: RefCell<Vec<Synced>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes what this thread makes durable.
    pub(super) fn note(opened: &impl AsFd) {
        let link = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
        let path = fs::read_link(link).unwrap_or_default();
        let folder = match path.is_dir() {
            true => path.clone(),
            false => path.parent().unwrap_or(&path).to_owned(),
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names = names.collect();
        SYNCED.with_borrow_mut(|synced| synced.push(Synced { path, names }));
    }

    /// What this thread makes durable meanwhile.
    fn synced_by(work: impl FnOnce()) -> Vec<Synced> {
        SYNCED.take();
        work();
        SYNCED.take()
    }

    const BYTES: &[u8] = b"some bytes";

    fn created() -> (TempDir, LocalStore) {
        let folder = TempDir::new().unwrap();
        let store = LocalStore::new(folder.path().join("repo"));
        store.create().unwrap();
        (folder, store)
    }

    fn all_kinds() -> impl Iterator<Item = FileName> {
        let kinds = [
            FileType::Data,
            FileType::Index,
            FileType::Keys,
            FileType::Locks,
            FileType::Snapshots,
        ];
        let named = kinds.map(|kind| FileName::new(kind, Id::of(BYTES)));
        named.into_iter().chain([FileName::CONFIG])
    }

    /// Asserts what was made durable last: a file, then the folder that has its name. Tells the file.
    #[track_caller]
    fn assert_ends_with_name<'a>(synced: &'a [Synced], place: &Place) -> &'a Synced {
        let [.., file, folder] = synced else {
            panic!("{place:?}: {synced:?}");
        };
        assert!(folder.path.ends_with(&place.folder), "{folder:?}");
        assert!(folder.names.contains(&place.base), "{folder:?}");
        file
    }

    #[test]
    fn a_file_is_durable_before_it_has_its_name_and_the_name_before_it_counts_as_stored() {
        let (_folder, store) = created();
        for name in all_kinds() {
            let place = Place::of(name);
            let synced = synced_by(|| store.save(name, BYTES).unwrap());
            let file = assert_ends_with_name(&synced, &place);
            assert!(file.path.to_string_lossy().contains("/.tmp-"), "{file:?}");
            assert!(!file.names.contains(&place.base), "{file:?}");
            // Another process may have stored it a moment ago and died before it was durable.
            let synced = synced_by(|| store.save(name, BYTES).unwrap());
            let file = assert_ends_with_name(&synced, &place);
            assert!(file.path.ends_with(&place.base), "{file:?}");
            let synced = synced_by(|| store.replace(name, b"other bytes").unwrap());
            let file = assert_ends_with_name(&synced, &place);
            assert!(file.path.to_string_lossy().contains("/.tmp-"), "{file:?}");
        }
    }

    #[test]
    fn a_folder_that_is_made_for_a_file_is_durable_too() {
        let (_folder, store) = created();
        let name = FileName::new(FileType::Data, Id::of(BYTES));
        let place = Place::of(name);
        let _ = fs::remove_dir(store.path().join(&place.folder));
        let synced = synced_by(|| store.save(name, BYTES).unwrap());
        let (_, prefix) = place.folder.split_once('/').unwrap();
        let is_parent = |synced: &Synced| {
            let has_it = synced.names.iter().any(|name| name == prefix);
            synced.path.ends_with("data") && has_it
        };
        assert!(synced.iter().any(is_parent), "{synced:?}");
    }

    #[test]
    fn what_others_may_refer_to_is_gone_for_good_once_it_is_removed() {
        let (_folder, store) = created();
        for kind in [FileType::Index, FileType::Keys, FileType::Snapshots] {
            let name = FileName::new(kind, Id::of(BYTES));
            let place = Place::of(name);
            store.save(name, BYTES).unwrap();
            let synced = synced_by(|| store.remove(name).unwrap());
            let [folder] = &synced[..] else {
                panic!("{synced:?}");
            };
            assert!(folder.path.ends_with(&place.folder), "{folder:?}");
            assert!(!folder.names.contains(&place.base), "{folder:?}");
        }
    }
}
