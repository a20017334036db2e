//! The one place where what was written is made durable, so that tests see what was, and when: no
//! kill shows it, for the system still has all of it in memory.

use std::os::fd::AsFd;

/// Waits until a file, or the names in a folder, are on the disk.
pub(super) fn sync(opened: impl AsFd) -> rustix::io::Result<()> {
    #[cfg(test)]
    tests::note(&opened, false);
    rustix::fs::fsync(opened)
}

/// Waits until all of the file system that a file is on is on the disk.
pub(super) fn sync_whole(opened: impl AsFd) -> rustix::io::Result<()> {
    #[cfg(test)]
    tests::note(&opened, true);
    rustix::fs::syncfs(opened)
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
    use crate::bodies::{Bodies, BodyKey, Staged};
    use crate::local::folder::Place;
    use crate::local::{LocalBodies, LocalStore};
    use crate::store::Store;

    /// A file or folder that was made durable.
    #[derive(Debug)]
    struct Synced {
        path: PathBuf,
        /// What the folder, or that of the file, held at that moment.
        names: Vec<String>,
        /// Whether all of its file system was.
        is_whole: bool,
    }

    thread_local! {
        static SYNCED: RefCell<Vec<Synced>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes what this thread makes durable.
    pub(super) fn note(opened: &impl AsFd, is_whole: bool) {
        let link = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
        let path = fs::read_link(link).unwrap_or_default();
        let folder = match path.is_dir() {
            true => path.clone(),
            false => path.parent().unwrap_or(&path).to_owned(),
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let synced = Synced {
            path,
            names: names.collect(),
            is_whole,
        };
        SYNCED.with_borrow_mut(|all| all.push(synced));
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
            FileType::Records,
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
        assert!(!file.is_whole && !folder.is_whole, "{synced:?}");
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

    /// A place for bodies, and what was made durable when it was made.
    fn bodies_in(folder: &TempDir) -> (LocalBodies, Vec<Synced>) {
        let bodies = LocalBodies::new(folder.path().join("repositories"));
        let synced = synced_by(|| bodies.create().unwrap());
        (bodies, synced)
    }

    fn body(name: FileName) -> BodyKey {
        BodyKey {
            repository: "acme/repos".parse().unwrap(),
            name,
            generation: 1,
        }
    }

    fn stage(bodies: &LocalBodies, name: FileName) -> Box<dyn Staged> {
        let mut staged = bodies.stage(&body(name)).unwrap();
        staged.write(BYTES).unwrap();
        staged
    }

    #[test]
    fn a_body_is_durable_before_it_has_its_name_and_the_name_before_it_counts_as_stored() {
        let folder = TempDir::new().unwrap();
        let (bodies, _) = bodies_in(&folder);
        for name in all_kinds() {
            let place = Place::of(name);
            // The second one comes in place of the first.
            for _ in 0..2 {
                let staged = stage(&bodies, name);
                let synced = synced_by(|| staged.publish().unwrap());
                let file = assert_ends_with_name(&synced, &place);
                assert!(file.path.to_string_lossy().contains("/.tmp-"), "{file:?}");
            }
            // What would replace another is not left to be settled later.
            let staged = stage(&bodies, name);
            let synced = synced_by(|| assert!(staged.name().unwrap().is_durable()));
            let file = assert_ends_with_name(&synced, &place);
            assert!(file.path.to_string_lossy().contains("/.tmp-"), "{file:?}");
        }
    }

    #[test]
    fn a_body_that_is_written_in_one_go_has_no_passing_name_and_is_durable_once_it_is_settled() {
        let folder = in_memory();
        let (bodies, _) = bodies_in(&folder);
        let name = FileName::new(FileType::Data, Id::of(BYTES));
        let place = Place::of(name);
        let mut named = Vec::new();
        let synced = synced_by(|| named.push(bodies.name(&body(name), BYTES).unwrap()));
        assert!(
            synced.iter().all(|synced| synced.path.is_dir()),
            "{synced:?}"
        );
        let synced = synced_by(|| assert!(bodies.settle(&named)[0].is_ok()));
        assert_eq!(synced.len(), 2, "{synced:?}");
        let file = assert_ends_with_name(&synced, &place);
        // So a file is told that was begun without any name.
        assert!(file.path.to_string_lossy().contains("/#"), "{file:?}");
        assert_eq!(file.names, [place.base.as_str()]);
        // What would replace another is not left to be settled later.
        let synced = synced_by(|| {
            let named = bodies.name(&body(name), b"other bytes").unwrap();
            assert!(named.is_durable());
        });
        let file = assert_ends_with_name(&synced, &place);
        assert!(file.path.to_string_lossy().contains("/.tmp-"), "{file:?}");
    }

    #[test]
    fn all_folders_that_lead_to_a_body_are_durable_too() {
        let folder = TempDir::new().unwrap();
        let (bodies, mut synced) = bodies_in(&folder);
        let name = FileName::new(FileType::Data, Id::of(BYTES));
        synced.extend(synced_by(|| stage(&bodies, name).publish().unwrap()));
        let place = Place::of(name);
        let (_, prefix) = place.folder.split_once('/').unwrap();
        let root = folder.path().file_name().unwrap().to_str().unwrap();
        for (parent, part) in [
            (root, "repositories"),
            ("repositories", "acme"),
            ("repositories/acme", "repos"),
            ("acme/repos", "data"),
            ("repos/data", prefix),
        ] {
            let has_it = |synced: &Synced| {
                let is_in = synced.names.iter().any(|name| name == part);
                synced.path.ends_with(parent) && is_in
            };
            assert!(synced.iter().any(has_it), "{part}: {synced:?}");
        }
    }

    #[test]
    fn a_body_is_gone_for_good_once_it_is_removed() {
        let folder = TempDir::new().unwrap();
        let (bodies, _) = bodies_in(&folder);
        for name in all_kinds() {
            let place = Place::of(name);
            stage(&bodies, name).publish().unwrap();
            let synced = synced_by(|| bodies.remove(&body(name)).unwrap());
            let [folder] = &synced[..] else {
                panic!("{synced:?}");
            };
            assert!(folder.path.ends_with(&place.folder), "{folder:?}");
            assert!(!folder.names.contains(&place.base), "{folder:?}");
        }
    }

    /// A folder in memory, which is synchronised as a whole, as disks are.
    fn in_memory() -> TempDir {
        TempDir::new_in("/dev/shm").expect("this test needs a RAM disk at /dev/shm")
    }

    /// Settles so many bodies that have their names already: which, and what was made durable.
    fn settled_in(folder: &TempDir, count: u8) -> (Vec<FileName>, Vec<Synced>) {
        let (bodies, _) = bodies_in(folder);
        let name = |number: u8| FileName::new(FileType::Data, Id::of(&[number]));
        let names: Vec<_> = (0..count).map(name).collect();
        let named = names.iter().map(|name| stage(&bodies, *name).name());
        let named: Vec<_> = named.map(Result::unwrap).collect();
        assert!(!named.iter().any(|named| named.is_durable()));
        let synced = synced_by(|| {
            let settled = bodies.settle(&named);
            assert!(settled.iter().all(Result::is_ok), "{settled:?}");
        });
        (names, synced)
    }

    /// Asserts that of each body the file was made durable, and then its name, and nothing else.
    #[track_caller]
    fn assert_each(synced: &[Synced], names: &[FileName]) {
        assert_eq!(synced.len(), 2 * names.len(), "{synced:?}");
        for (name, synced) in names.iter().zip(synced.chunks(2)) {
            let place = Place::of(*name);
            let file = assert_ends_with_name(synced, &place);
            assert!(file.path.ends_with(&place.base), "{file:?}");
        }
    }

    #[test]
    fn a_few_bodies_that_have_their_names_already_are_made_durable_each_for_itself() {
        for folder in [TempDir::new().unwrap(), in_memory()] {
            let (names, synced) = settled_in(&folder, 3);
            assert_each(&synced, &names);
        }
    }

    #[test]
    fn many_are_made_durable_by_their_whole_file_system_where_that_is_believed() {
        let (names, synced) = settled_in(&in_memory(), 20);
        let [whole, file] = &synced[..] else {
            panic!("{synced:?}");
        };
        // Linux tells of a whole what was lost from 5.17 on. It is asked by the file begun first.
        assert!(whole.is_whole, "{synced:?}");
        let base = Place::of(names[0]).base;
        assert!(whole.path.ends_with(&base), "{synced:?}");
        assert!(whole.names.contains(&base), "{synced:?}");
        // A whole says less than one file, so that file is asked for itself all the same.
        assert!(!file.is_whole && file.path == whole.path, "{synced:?}");
    }

    #[test]
    fn many_are_durable_once_they_are_settled_whatever_their_folder_lies_on() {
        let (names, synced) = settled_in(&TempDir::new().unwrap(), 20);
        // A whole is believed on disks, and on the overlays of containers it is not.
        match &synced[..] {
            [whole, file] if whole.is_whole => assert_eq!(file.path, whole.path, "{synced:?}"),
            each => assert_each(each, &names),
        }
    }
}
