//! Chains that add up, and everything that can break one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use proptest::prelude::*;
use strongroom_model::receipt::Outcome;

use super::*;
use crate::backup::report::{SnapshotNeeds, SourceReport};
use crate::state::StateFolder;

struct World {
    _folder: tempfile::TempDir,
    state: StateFolder,
    repository: RepositoryState,
    client: ClientKey,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path());
        Self {
            repository: state.repository(id("repository")),
            client: state.client_key().unwrap(),
            _folder: folder,
            state,
        }
    }

    fn receipts(&self) -> Receipts<'_> {
        Receipts::new(&self.repository, &self.client)
    }

    /// Backs up `source` of `host`; the snapshot needs these packs.
    fn issue(&self, source: &str, host: &str, number: usize, packs: &[u8]) -> Id {
        let snapshot = id(&format!("{source}{host}{number}"));
        let report = SourceReport {
            needs: SnapshotNeeds {
                packs: packs.iter().map(|pack| (Id::of(&[*pack]), 5)).collect(),
                index_files: packs.iter().map(|pack| Id::of(&[*pack / 4, 1])).collect(),
            },
            ..SourceReport::default()
        };
        let statement = Statement {
            source: source.parse().unwrap(),
            snapshot,
            tree: id("tree"),
            time: Timestamp::from_second(1_800_000_000 + number as i64).unwrap(),
            report: &report,
            host,
            copies: BTreeMap::from([("here".parse().unwrap(), Outcome::Whole)]),
            keys: BTreeSet::from([id("key")]),
            config: id("config"),
        };
        self.receipts().sign(&statement).unwrap();
        snapshot
    }

    fn packs_of(&self, snapshot: Id) -> Option<BTreeSet<Id>> {
        Some(self.receipts().known_needs(snapshot)?.packs)
    }

    fn parent_of(&self, snapshot: Id) -> Option<Id> {
        let receipts = self.receipts().of(&BTreeSet::from([snapshot]));
        assert_eq!(receipts.len(), 1);
        receipts[0].receipt().parent
    }

    fn file_of(&self, snapshot: Id) -> PathBuf {
        let folder = self.repository.subfolder("receipts");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut files = files.filter(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with(&snapshot.to_string())
        });
        files.next().unwrap().path()
    }

    fn count(&self) -> usize {
        fs::read_dir(self.repository.subfolder("receipts"))
            .unwrap()
            .count()
    }
}

fn id(text: &str) -> Id {
    Id::of(text.as_bytes())
}

fn ids(packs: &[u8]) -> Option<BTreeSet<Id>> {
    Some(packs.iter().map(|pack| Id::of(&[*pack])).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_chain_tells_again_what_every_snapshot_of_it_needs(
        backups in prop::collection::vec(prop::collection::btree_set(any::<u8>(), 0..20), 1..12)
    ) {
        let world = World::new();
        let mut parent = false;
        let mut made = Vec::new();
        for (number, packs) in backups.iter().enumerate() {
            let packs: Vec<u8> = packs.iter().copied().collect();
            let snapshot = world.issue("repos", "h", number, &packs);
            prop_assert_eq!(world.parent_of(snapshot).is_some(), parent);
            parent = true;
            made.push((snapshot, packs));
        }
        for (snapshot, packs) in made {
            let needs = world.receipts().known_needs(snapshot).unwrap();
            prop_assert_eq!(Some(needs.packs), ids(&packs));
            prop_assert_eq!(needs.keys, BTreeSet::from([id("key")]));
            prop_assert_eq!(needs.config, id("config"));
            let index: BTreeSet<Id> = packs.iter().map(|pack| Id::of(&[*pack / 4, 1])).collect();
            prop_assert_eq!(needs.index, index);
        }
    }
}

#[test]
fn the_newest_receipt_tells_the_config() {
    let world = World::new();
    assert_eq!(world.receipts().config(), None);
    world.issue("repos", "a", 1, &[1]);
    assert_eq!(world.receipts().config(), Some(id("config")));
    let stranger = ClientKey::generate().unwrap();
    assert_eq!(Receipts::new(&world.repository, &stranger).config(), None);
}

#[test]
fn sources_and_hosts_have_chains_of_their_own() {
    let world = World::new();
    for (source, host) in [("repos", "a"), ("repos", "b"), ("shop-db", "a")] {
        let first = world.issue(source, host, 0, &[1]);
        assert_eq!(world.parent_of(first), None, "{source} {host}");
    }
    for (source, host) in [("repos", "a"), ("repos", "b"), ("shop-db", "a")] {
        let second = world.issue(source, host, 1, &[1, 2]);
        assert!(world.parent_of(second).is_some(), "{source} {host}");
        assert_eq!(world.packs_of(second), ids(&[1, 2]));
    }
}

#[test]
fn a_tampered_receipt_is_refused_and_the_next_begins_a_new_chain() {
    let world = World::new();
    let first = world.issue("repos", "h", 0, &[1, 2]);
    let second = world.issue("repos", "h", 1, &[1, 2, 3]);
    let path = world.file_of(first);
    let good = fs::read_to_string(&path).unwrap();
    let pack = Id::of(&[2]).to_string();
    assert!(good.contains(&pack));
    fs::write(&path, good.replace(&pack, &Id::of(&[9]).to_string())).unwrap();
    assert_eq!(world.packs_of(first), None);
    assert_eq!(world.packs_of(second), None);
    assert!(world.receipts().of(&BTreeSet::from([first])).is_empty());
    let third = world.issue("repos", "h", 2, &[1, 2, 3]);
    assert_eq!(world.parent_of(third), None);
    assert_eq!(world.packs_of(third), ids(&[1, 2, 3]));
}

#[test]
fn a_receipt_under_the_name_of_another_is_refused() {
    let world = World::new();
    let first = world.issue("repos", "h", 0, &[1]);
    let other = world.issue("shop-db", "h", 0, &[2]);
    fs::copy(world.file_of(other), world.file_of(first)).unwrap();
    assert_eq!(world.packs_of(first), None);
    assert_eq!(world.packs_of(other), ids(&[2]));
}

#[test]
fn a_lost_or_damaged_link_begins_a_new_chain() {
    for damage in [None, Some(&b""[..]), Some(b"{\"body\":\"")] {
        let world = World::new();
        let first = world.issue("repos", "h", 0, &[1]);
        let second = world.issue("repos", "h", 1, &[1, 2]);
        match damage {
            None => fs::remove_file(world.file_of(first)).unwrap(),
            Some(bytes) => fs::write(world.file_of(first), bytes).unwrap(),
        }
        assert_eq!(world.packs_of(second), None);
        let third = world.issue("repos", "h", 2, &[2]);
        assert_eq!(world.packs_of(third), ids(&[2]));
        let fourth = world.issue("repos", "h", 3, &[2, 3]);
        assert!(world.parent_of(fourth).is_some());
    }
}

#[test]
fn another_client_key_begins_a_new_chain_and_believes_nothing_older() {
    let mut world = World::new();
    let first = world.issue("repos", "h", 0, &[1]);
    fs::remove_file(world.state.path().join("client.key")).unwrap();
    world.client = world.state.client_key().unwrap();
    assert_eq!(world.packs_of(first), None);
    let second = world.issue("repos", "h", 1, &[1]);
    assert_eq!(world.parent_of(second), None);
}

#[test]
fn a_wiped_state_folder_begins_a_new_chain() {
    let world = World::new();
    let first = world.issue("repos", "h", 0, &[1]);
    fs::remove_dir_all(world.repository.subfolder("receipts")).unwrap();
    assert_eq!(world.packs_of(first), None);
    let second = world.issue("repos", "h", 1, &[1]);
    assert_eq!(world.parent_of(second), None);
}

#[test]
fn a_chain_ends_at_its_limit_and_all_of_it_can_be_told() {
    let world = World::new();
    let made: Vec<Id> = (0..=CHAIN_LIMIT)
        .map(|number| world.issue("repos", "h", number, &[number as u8]))
        .collect();
    let starts = |number: usize| world.parent_of(made[number]).is_none();
    assert!(starts(0) && !starts(1) && !starts(CHAIN_LIMIT - 1) && starts(CHAIN_LIMIT));
    for number in [0, CHAIN_LIMIT - 1, CHAIN_LIMIT] {
        assert_eq!(world.packs_of(made[number]), ids(&[number as u8]));
    }
}

#[test]
fn pruning_keeps_held_snapshots_what_they_build_on_and_the_last_chain() {
    let world = World::new();
    let other: Vec<Id> = (0..3)
        .map(|n| world.issue("old", "h", n, &[n as u8]))
        .collect();
    fs::remove_dir_all(world.repository.subfolder("heads")).unwrap();
    let repos: Vec<Id> = (0..3)
        .map(|n| world.issue("repos", "h", n, &[n as u8]))
        .collect();
    assert_eq!(
        world.receipts().prune(&BTreeSet::from([other[1]])).unwrap(),
        1
    );
    assert_eq!(world.packs_of(other[1]), ids(&[1]));
    assert_eq!(world.packs_of(other[2]), None);
    assert_eq!(world.packs_of(repos[0]), ids(&[0]));
    assert_eq!(world.receipts().prune(&BTreeSet::new()).unwrap(), 2);
    assert_eq!(world.count(), 3);
    let next = world.issue("repos", "h", 3, &[3]);
    assert!(world.parent_of(next).is_some());
}

#[test]
fn two_backups_at_once_both_get_receipts_that_hold() {
    let world = World::new();
    let made: Vec<(Id, Vec<u8>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u8)
            .map(|thread| {
                let world = &world;
                scope.spawn(move || {
                    let issue = |n: u8| {
                        let packs = vec![thread, n];
                        let number = usize::from(thread) * 10 + usize::from(n);
                        (world.issue("repos", "h", number, &packs), packs)
                    };
                    (4..8).map(issue).collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    for (snapshot, packs) in made {
        assert_eq!(world.packs_of(snapshot), ids(&packs));
    }
}

#[test]
fn the_newest_snapshots_needs_are_noted_with_sizes() {
    let world = World::new();
    world.issue("repos", "h", 0, &[1]);
    let newest = world.issue("repos", "h", 1, &[1, 2]);
    let noted = world.repository.needs("repos", "h").unwrap();
    assert_eq!(noted.snapshot, newest);
    assert_eq!(noted.packs().len(), 2);
    assert!(noted.packs().iter().all(|(_, size_bytes)| *size_bytes == 5));
}
