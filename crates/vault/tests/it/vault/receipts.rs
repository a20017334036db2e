//! Receipts: what they show, what they hold back, and what they never do.

pub(crate) mod anew;
pub(crate) mod binding;
mod day;
mod drills;
mod model;
mod open_door;
pub(crate) mod parts;
pub(crate) mod shares;

use strongroom_model::receipt::NeedsChange;
use strongroom_model::{FileName, FileType, Id, Needs, Receipt};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::HOUR_MS;
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::quota::counted_bytes;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Principal;

use super::scene::{Scene, key_file, repository};
use crate::signing::{Client, first, needs, send_bytes};

const CONFIG: &[u8] = b"the config";

/// The size of each pack; a key is small beside all of them, as it is in life.
const PACK_BYTES: usize = 400;

/// A repository with many packs, so that a few deletions are an everyday prune.
struct World {
    scene: Scene,
    append: Principal,
    maintain: Principal,
    client: Client,
    files: Vec<FileName>,
    snapshot: FileName,
}

impl World {
    fn new() -> Self {
        Self::within(Scene::new())
    }

    fn within(scene: Scene) -> Self {
        let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
        let key = scene.init(&append);
        for number in 0..100_u8 {
            scene
                .put(&append, FileType::Data, &[number; PACK_BYTES])
                .unwrap();
        }
        let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
        let index = scene.put(&append, FileType::Index, b"an index").unwrap();
        let snapshot = scene
            .put(&append, FileType::Snapshots, b"a snapshot")
            .unwrap();
        Self {
            scene,
            append,
            maintain,
            client: Client::new(1),
            files: vec![key, pack, index],
            snapshot,
        }
    }

    /// Asks for the removal of the first packs, once a receipt holds them back.
    fn remove_claimed(&self, count: u8) {
        let claimed: Vec<FileName> = (0..count).map(pack_of).collect();
        let needs = first(&needs(&claimed, CONFIG));
        let claim = self.client.receipt(self.snapshot, None, needs);
        self.client.send(&self.scene, &self.append, &claim).unwrap();
        for name in &claimed {
            self.remove(*name);
        }
    }

    /// Another snapshot.
    fn put_snapshot(&self, number: u16) -> FileName {
        let content = format!("snapshot {number}");
        self.scene
            .put(&self.append, FileType::Snapshots, content.as_bytes())
            .unwrap()
    }

    fn needs(&self) -> Needs {
        needs(&self.files, CONFIG)
    }

    /// The first receipt of the snapshot.
    fn receipt(&self) -> Receipt {
        let needs = first(&self.needs());
        self.client.receipt(self.snapshot, None, needs)
    }

    fn send_first(&self) -> Id {
        let receipt = self.receipt();
        let (id, accepted) = self
            .client
            .send(&self.scene, &self.append, &receipt)
            .unwrap();
        assert_eq!(accepted.missing, 0);
        id
    }

    fn remove(&self, name: FileName) {
        let vault = &self.scene.vault;
        vault.remove(&self.maintain, &repository(), name).unwrap();
    }

    fn missing(&self) -> Vec<(u64, Vec<FileName>)> {
        let page = self
            .scene
            .vault
            .standings(&self.append, &repository(), None)
            .unwrap();
        let all = page.standings.into_iter();
        all.map(|standing| (standing.missing_files, standing.missing))
            .collect()
    }

    /// How many objects a run of the purge removed, and how many receipts held back. Somebody has
    /// agreed to it.
    fn purge(&self) -> (u64, u64) {
        self.scene.agree().unwrap();
        let outcomes = self.scene.vault.purge().unwrap();
        let (_, purged) = &outcomes[0];
        assert_eq!(purged.held, None);
        (purged.objects, purged.held_back)
    }
}

#[test]
pub(crate) fn a_snapshot_is_whole_while_everything_is_here_that_its_receipt_names() {
    let world = World::new();
    let id = world.send_first();
    assert_eq!(world.missing(), [(0, Vec::new())]);
    let leaf = world.scene.acts("receipt").pop().unwrap();
    assert_eq!(leaf["receipt"], id.to_string());
    assert_eq!(leaf["client"], world.client.id().to_string());
    assert_eq!(leaf["token"], world.append.name);
    for name in world.files.clone() {
        world.remove(name);
        assert_eq!(world.missing(), [(1, vec![name])]);
        assert!(
            world
                .scene
                .vault
                .undelete_one(Who::Folder, &repository(), name)
                .unwrap()
        );
        assert_eq!(world.missing(), [(0, Vec::new())]);
    }
    // All at once, and back by one act.
    for name in world.files.clone() {
        world.remove(name);
    }
    assert_eq!(world.missing()[0].0, 3);
    let by = Some(world.maintain.name.as_str());
    world
        .scene
        .vault
        .undelete(Who::Folder, &repository(), by, None, None)
        .unwrap();
    assert_eq!(world.missing(), [(0, Vec::new())]);
    // Hidden is not here; and the newest snapshot is told of, whatever became of it.
    world
        .scene
        .vault
        .hide(Who::Folder, &world.append.name, 0)
        .unwrap();
    assert_eq!(world.missing()[0].0, 4);
    world
        .scene
        .vault
        .unhide(Who::Folder, &world.append.name)
        .unwrap();
    assert_eq!(world.missing(), [(0, Vec::new())]);
    // A key that waits is here; but where no other one is live, nothing opens.
    let key = world.files[0];
    world.remove(key);
    world
        .scene
        .put_as(&world.append, key, &key_file(1))
        .unwrap();
    assert_eq!(world.missing(), [(1, vec![key])]);
    assert!(
        world
            .scene
            .vault
            .admit_key(Who::Folder, &repository(), key)
            .unwrap()
    );
    assert_eq!(world.missing(), [(0, Vec::new())]);
    world.remove(world.snapshot);
    assert_eq!(world.missing(), [(1, vec![world.snapshot])]);
}

#[test]
pub(crate) fn what_comes_after_its_receipt_is_missing_until_it_comes() {
    let world = World::new();
    let named = |content: &[u8], kind| FileName::new(kind, Id::of(content));
    let (pack, key) = (
        named(b"late", FileType::Data),
        named(&key_file(9), FileType::Keys),
    );
    let snapshot = named(b"late snapshot", FileType::Snapshots);
    let all = [world.files.clone(), vec![pack, key]].concat();
    let receipt = world
        .client
        .receipt(snapshot, None, first(&needs(&all, CONFIG)));
    let (_, accepted) = world
        .client
        .send(&world.scene, &world.append, &receipt)
        .unwrap();
    assert_eq!(accepted.missing, 3);
    world
        .scene
        .put(&world.append, FileType::Data, b"late")
        .unwrap();
    world
        .scene
        .put(&world.append, FileType::Keys, &key_file(9))
        .unwrap();
    assert_eq!(world.missing(), [(1, vec![snapshot])]);
    world
        .scene
        .put(&world.append, FileType::Snapshots, b"late snapshot")
        .unwrap();
    assert_eq!(world.missing(), [(0, Vec::new())]);
    // Sent again it is the same, and no leaf.
    let (_, again) = world
        .client
        .send(&world.scene, &world.append, &receipt)
        .unwrap();
    assert_eq!(again.missing, 0);
    assert_eq!(world.scene.acts("receipt").len(), 1);
    let newest = world.scene.vault.newest_snapshots().unwrap();
    assert!(newest.values().all(|newest| newest.is_whole));
    assert_eq!(newest.len(), 1);
}

#[test]
fn another_config_is_missing() {
    let world = World::new();
    let other = needs(&world.files, b"another config");
    let receipt = world.client.receipt(world.snapshot, None, first(&other));
    world
        .client
        .send(&world.scene, &world.append, &receipt)
        .unwrap();
    assert_eq!(world.missing(), [(1, vec![FileName::CONFIG])]);
}

#[test]
pub(crate) fn what_a_live_snapshots_receipt_names_is_not_purged_until_the_snapshot_is_gone() {
    let world = World::new();
    world.send_first();
    let [key, pack, index] = world.files[..] else {
        panic!("three files");
    };
    for name in [key, pack, index] {
        world.remove(name);
    }
    world.scene.pass(4 * HOUR_MS);
    assert_eq!(world.purge(), (0, 3));
    // The snapshot was asked to be deleted: it can be taken back, and so can what it needs.
    world.remove(world.snapshot);
    assert_eq!(world.purge(), (0, 3));
    world.scene.pass(4 * HOUR_MS);
    assert_eq!(world.purge(), (1, 3));
    assert_eq!(world.purge(), (3, 0));
    assert!(
        world.missing().is_empty(),
        "a purged snapshot is told of no more"
    );
}

#[test]
fn lying_receipts_only_make_the_vault_keep_more_and_the_quota_bounds_it() {
    let world = World::new();
    let honest = world.send_first();
    let (scene, append) = (&world.scene, &world.append);
    // Production is taken over: the client's key, its append token and one for reports.
    let report = scene.token(Right::Report);
    let needs_nothing = NeedsChange {
        packs_dropped: world.needs().packs,
        index_dropped: world.needs().index,
        config: Id::of(CONFIG),
        ..NeedsChange::default()
    };
    let lie = world
        .client
        .receipt(world.snapshot, Some(honest), needs_nothing);
    world.client.send(scene, &report, &lie).unwrap();
    let from_nothing = world
        .client
        .receipt(world.snapshot, None, first(&needs(&[], CONFIG)));
    world.client.send(scene, append, &from_nothing).unwrap();
    // What the honest receipt named stays named.
    for name in &world.files {
        world.remove(*name);
    }
    // Another client claims junk for a live snapshot; other junk nobody claims.
    let junk = scene.put(append, FileType::Data, b"junk").unwrap();
    let other_junk = scene.put(append, FileType::Data, b"other junk").unwrap();
    let other = Client::new(2);
    let thief = scene.token(Right::Report);
    let claim = other.receipt(world.snapshot, None, first(&needs(&[junk], CONFIG)));
    other.send(scene, &thief, &claim).unwrap();
    let before = scene.vault.repositories().unwrap()[0].objects;
    world.remove(junk);
    world.remove(other_junk);
    scene.pass(4 * HOUR_MS);
    assert_eq!(world.purge(), (1, 4));
    assert!(
        scene
            .vault
            .undelete_one(Who::Folder, &repository(), junk)
            .unwrap()
    );
    for name in &world.files {
        assert!(
            scene
                .vault
                .undelete_one(Who::Folder, &repository(), *name)
                .unwrap()
        );
    }
    assert_eq!(scene.read(append, View::Now, junk).unwrap(), b"junk");
    let after = &scene.vault.repositories().unwrap()[0];
    assert_eq!(after.objects, before - 1);
    // What is kept counts, and the quota holds for receipts too.
    scene
        .vault
        .set_quota(Who::Folder, &repository(), Some(after.bytes))
        .unwrap();
    let more = other.receipt(junk, None, first(&needs(&[pack_of(7)], CONFIG)));
    let refused = other.send(scene, &thief, &more);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
}

fn pack_of(number: u8) -> FileName {
    FileName::new(FileType::Data, Id::of(&[number; PACK_BYTES]))
}

#[test]
fn objects_that_receipts_hold_back_do_not_keep_the_rest_from_going() {
    let world = World::new();
    let scene = &world.scene;
    world.remove_claimed(100);
    world.remove(world.files[1]);
    scene.agree().unwrap();
    scene.pass(4 * HOUR_MS);
    assert_eq!(world.purge(), (1, 100));
}

#[test]
fn a_receipt_without_its_parent_is_sent_back_for_it() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    let root = world.receipt();
    let root_id = world.client.sign(&root).id();
    let change = NeedsChange::between(&world.needs(), &world.needs());
    let child = world.client.receipt(world.snapshot, Some(root_id), change);
    let refused = world.client.send(scene, append, &child);
    assert!(
        matches!(refused, Err(Error::UnknownParent { parent, .. }) if parent == root_id),
        "{refused:?}"
    );
    world.client.send(scene, append, &root).unwrap();
    world.client.send(scene, append, &child).unwrap();
    // What does not belong to its parent is refused.
    let again = world
        .client
        .receipt(world.snapshot, Some(root_id), first(&world.needs()));
    let refused = world.client.send(scene, append, &again);
    assert!(
        matches!(refused, Err(Error::Malformed { .. })),
        "{refused:?}"
    );
    let other = Client::new(2);
    let stranger = scene.token(Right::Report);
    let change = NeedsChange::between(&world.needs(), &world.needs());
    let stolen = other.receipt(world.snapshot, Some(root_id), change);
    let refused = other.send(scene, &stranger, &stolen);
    assert!(
        matches!(refused, Err(Error::Malformed { .. })),
        "{refused:?}"
    );
}

#[test]
fn junk_and_forged_signatures_are_refused_and_change_nothing() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    let receipt = world.receipt();
    let signed = world.client.sign(&receipt);
    let right: serde_json::Value = serde_json::from_slice(&world.client.request(&signed)).unwrap();
    let change = |path: &str, value: &str| {
        let mut changed = right.clone();
        *changed.pointer_mut(path).unwrap() = value.into();
        serde_json::to_vec(&changed).unwrap()
    };
    let body = right["receipt"]["body"].as_str().unwrap();
    let other_key =
        serde_json::from_slice::<serde_json::Value>(&Client::new(2).request(&signed)).unwrap();
    let mut extra = right.clone();
    extra["more"] = 1.into();
    let mut long_host = receipt.clone();
    long_host.host = "h\u{0}".to_owned();
    let mut many_keys = receipt.clone();
    many_keys.needs.keys = (0..1_001_u32).map(|n| Id::of(&n.to_le_bytes())).collect();
    for bad in [
        b"".to_vec(),
        b"{}".to_vec(),
        b"[[[[".to_vec(),
        vec![b'['; 100_000],
        serde_json::to_vec(&extra).unwrap(),
        serde_json::to_vec(&other_key).unwrap(),
        change("/key", "AAAA"),
        change("/key", "not base64"),
        change("/receipt/signature", &"A".repeat(86)),
        change("/receipt/body", &format!("{body} ")),
        change("/receipt/body", "{\"version\":2}"),
        world.client.request(&world.client.sign(&long_host)),
        world.client.request(&world.client.sign(&many_keys)),
    ] {
        let refused = send_bytes(&scene.vault, scene, append, &bad);
        assert!(
            matches!(refused, Err(Error::Malformed { .. })),
            "{refused:?}"
        );
    }
    assert!(world.missing().is_empty());
    assert!(scene.acts("client-key").is_empty());
    let reader = scene.token(Right::Read);
    let refused = world.client.send(scene, &reader, &receipt);
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
}

#[test]
fn two_receipts_of_one_parent_at_once_are_both_taken() {
    let world = World::new();
    let root = world.send_first();
    let scene = &world.scene;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let numbered = (0..8_u8).map(|number| (number, world.put_snapshot(number.into())));
        let senders: Vec<_> = numbered
            .map(|(number, snapshot)| {
                let world = &world;
                scope.spawn(move || {
                    let mut next = world.needs();
                    next.packs.insert(pack_of(number).id().unwrap());
                    let change = NeedsChange::between(&world.needs(), &next);
                    let receipt = world.client.receipt(snapshot, Some(root), change);
                    world.client.send(scene, &world.append, &receipt)
                })
            })
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect()
    });
    for outcome in outcomes {
        assert_eq!(outcome.unwrap().1.missing, 0);
    }
    let page = scene
        .vault
        .standings(&world.append, &repository(), None)
        .unwrap();
    let positions: Vec<u64> = page
        .standings
        .iter()
        .map(|standing| standing.receipt.position)
        .collect();
    assert_eq!(positions, (0..9).collect::<Vec<_>>());
    // Each stands for its own pack, whichever came last.
    world.remove(pack_of(3));
    let lacking = world
        .missing()
        .iter()
        .filter(|(count, _)| *count == 1)
        .count();
    assert_eq!(lacking, 1);
}

#[test]
fn more_snapshots_than_a_page_has_are_all_told_of_and_each_with_what_it_lacks() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    let mut parent = world.send_first();
    let same = NeedsChange::between(&world.needs(), &world.needs());
    for number in 1..1_001 {
        let snapshot = world.put_snapshot(number);
        let mut next = world.client.receipt(snapshot, Some(parent), same.clone());
        if number == 1_000 {
            next.needs.packs_added = needs(&[pack_of(200)], CONFIG).packs;
        }
        parent = world.client.send(scene, append, &next).unwrap().0;
    }
    let vault = &scene.vault;
    let page = vault.standings(append, &repository(), None).unwrap();
    assert_eq!(page.standings.len(), 1_000);
    let all = page.standings.iter();
    assert!(all.clone().all(|standing| standing.missing_files == 0));
    let rest = vault.standings(append, &repository(), page.next).unwrap();
    assert_eq!(rest.standings.len(), 1);
    assert_eq!(rest.standings[0].missing, [pack_of(200)]);
    assert_eq!(rest.next, None);
}

#[test]
fn purging_is_held_as_before_where_there_are_no_receipts() {
    let world = World::new();
    for number in 0..30 {
        world.remove(pack_of(number));
    }
    world.scene.pass(4 * HOUR_MS);
    let outcomes = world.scene.vault.purge().unwrap();
    assert_eq!(outcomes[0].1.held, Some(Hold::ManyTombstones));
}

#[test]
pub(crate) fn receipts_and_objects_share_one_quota() {
    let world = World::new();
    let vault = &world.scene.vault;
    let held = || vault.repositories().unwrap()[0].bytes;
    let live = || {
        let observed = vault.observe().unwrap().repositories.remove(0);
        observed
            .tally(strongroom_vault::rules::life::State::Live)
            .bytes
    };
    let (before, objects) = (held(), live());
    assert_eq!(before, objects);
    // With room for one object more.
    let there = vault.repositories().unwrap()[0].objects;
    let quota = counted_bytes(there + 1, before) + 8_000;
    vault
        .set_quota(Who::Folder, &repository(), Some(quota))
        .unwrap();
    world.send_first();
    let receipts = held() - before;
    assert!((100..8_000).contains(&receipts), "{receipts}");
    assert_eq!(live(), objects);
    let left = usize::try_from(8_000 - receipts).unwrap();
    let put = |bytes: usize| {
        let content = vec![9; bytes];
        world.scene.put(&world.append, FileType::Data, &content)
    };
    let refused = put(left + 1);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    put(left).unwrap();
    // What is purged gives its part back.
    world.remove(world.snapshot);
    world.scene.agree().unwrap();
    world.scene.pass(4 * HOUR_MS);
    world.purge();
    let snapshot = b"a snapshot".len() as u64;
    assert_eq!(held(), before + left as u64 - snapshot);
    assert_eq!(held(), live());
}
