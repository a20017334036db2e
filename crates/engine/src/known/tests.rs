//! What records name, and what counts for nothing.

use std::sync::Arc;

use strongroom_model::FileEntry;
use strongroom_testkit::memory::MemoryStore;

use super::*;
use crate::Files;
use crate::state::{SeenFiles, StateFolder};

struct World {
    _folder: tempfile::TempDir,
    memory: RepositoryState,
    copies: Vec<CopyStore>,
}

impl World {
    fn new(copies: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = |name: &&str| CopyStore {
            name: (*name).to_owned(),
            store: Arc::new(MemoryStore::new(name)),
            is_local: true,
        };
        Self {
            memory: StateFolder::new(folder.path()).repository(Id::of(b"repository")),
            copies: copies.iter().map(copy).collect(),
            _folder: folder,
        }
    }

    fn see(&self, copy: usize, snapshot: &str) {
        let see = |seen: &mut SeenFiles| {
            seen.snapshots.insert(id(snapshot));
        };
        self.memory.update_seen(&self.copies[copy], see).unwrap();
    }

    fn unlisted(&self, listings: &[&Listing]) -> BTreeSet<FileName> {
        Records::new(&self.memory, None, &self.copies).unlisted_files(listings)
    }
}

fn id(text: &str) -> Id {
    Id::of(text.as_bytes())
}

fn snapshot(text: &str) -> FileName {
    FileName::new(FileType::Snapshots, id(text))
}

fn listing(snapshots: &[&str]) -> Listing {
    let entry = |text: &&str| FileEntry {
        id: id(text),
        size_bytes: 1,
    };
    Listing {
        snapshots: Files::new(snapshots.iter().map(entry).collect()),
        ..Listing::default()
    }
}

#[test]
fn what_one_of_several_copies_alone_was_seen_to_hold_is_missed_by_nobody() {
    let world = World::new(&["one", "two", "three"]);
    world.see(2, "junk");
    assert_eq!(world.unlisted(&[]), BTreeSet::new());
    world.see(0, "real");
    world.see(1, "real");
    assert_eq!(world.unlisted(&[]), [snapshot("real")].into());
    assert_eq!(world.unlisted(&[&listing(&["real"])]), BTreeSet::new());
    let alone = World::new(&["one"]);
    alone.see(0, "real");
    assert_eq!(alone.unlisted(&[]), [snapshot("real")].into());
}

#[test]
fn what_is_lost_stays_so_until_it_is_back_or_accepted() {
    let world = World::new(&["one"]);
    let files = BTreeSet::from([snapshot("a"), snapshot("b"), FileName::CONFIG]);
    let update = |change: &dyn Fn(&mut crate::state::GoneFiles)| {
        world.memory.update_gone(|gone| change(gone)).unwrap();
    };
    update(&|gone| gone.lose(&files));
    assert_eq!(world.unlisted(&[]), [snapshot("a"), snapshot("b")].into());
    update(&|gone| gone.accept(&[snapshot("a")].into()));
    assert_eq!(world.unlisted(&[]), [snapshot("b")].into());
    // What was accepted is not lost by the next look.
    update(&|gone| gone.lose(&files));
    assert_eq!(world.unlisted(&[]), [snapshot("b")].into());
    // Once it was back, it is missed again.
    update(&|gone| gone.find(|name| name == snapshot("a")));
    update(&|gone| gone.lose(&files));
    assert_eq!(world.unlisted(&[]), [snapshot("a"), snapshot("b")].into());
}

#[test]
fn a_copy_that_is_away_may_have_what_the_others_lack() {
    let (here, files) = (listing(&["a"]), [snapshot("a"), snapshot("b")].into());
    let lost = Lost::among(&files, [("one", Some(&here)), ("two", None)]);
    assert_eq!(lost.files, [snapshot("b")].into());
    assert!(!lost.is_certain() && !lost.is_empty());
    assert!(lost.to_string().ends_with("two may have it"), "{lost}");
    let lost = Lost::among(&files, [("one", Some(&here))]);
    assert!(lost.is_certain());
    assert!(lost.hint().contains("--accept-removed"));
}
