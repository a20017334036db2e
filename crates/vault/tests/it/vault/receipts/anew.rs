//! Receipts that say anew what a snapshot needs: when one takes the place of an older one, and that no
//! lie does sooner than a deletion would.

use strongroom_model::receipt::NeedsChange;
use strongroom_model::{FileName, FileType, Id, Needs, Receipt};
use strongroom_vault::people::Who;
use strongroom_vault::rules::clock::HOUR_MS;
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::right::Right;

use super::{CONFIG, World};
use crate::signing::{Client, first, needs};

/// A snapshot whose pack and index file a prune has written anew.
struct Pruned {
    world: World,
    honest: Id,
    /// What its first receipt names beside the key.
    old: [FileName; 2],
    /// What it needs by now.
    new: Needs,
}

impl Pruned {
    fn new() -> Self {
        let world = World::new();
        let honest = world.send_first();
        let [key, pack, index] = world.files[..] else {
            panic!("three files");
        };
        let put = |kind, content: &[u8]| world.scene.put(&world.append, kind, content).unwrap();
        let new_pack = put(FileType::Data, b"the same, written anew");
        let new_index = put(FileType::Index, b"an index of that");
        Self {
            new: needs(&[key, new_pack, new_index], CONFIG),
            old: [pack, index],
            honest,
            world,
        }
    }

    fn remove_old(&self) {
        for name in self.old {
            self.world.remove(name);
        }
    }

    /// A receipt of the same snapshot that names this.
    fn anew(&self, needs: &Needs) -> Receipt {
        let change = NeedsChange::between(&self.world.needs(), needs);
        let world = &self.world;
        world
            .client
            .receipt(world.snapshot, Some(self.honest), change)
    }

    fn send(&self, receipt: &Receipt) -> Id {
        let world = &self.world;
        let sent = world.client.send(&world.scene, &world.append, receipt);
        sent.unwrap().0
    }

    fn pass(&self, hours: i64) {
        self.world.scene.pass(hours * HOUR_MS);
    }

    /// How many leaves tell that a receipt has taken the place of others.
    fn replaced(&self) -> usize {
        self.world.scene.acts("receipt-replaces").len()
    }
}

#[test]
pub(crate) fn what_was_moved_goes_when_the_new_receipt_has_waited_as_a_tombstone_does() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    pruned.remove_old();
    pruned.pass(2);
    let lacks: Vec<u64> = world.missing().iter().map(|(files, _)| *files).collect();
    assert_eq!(lacks, [2]);
    let newer = pruned.send(&pruned.anew(&pruned.new));
    // Both hold back what they name, and the newer one says what the snapshot needs.
    pruned.pass(2);
    assert_eq!(world.purge(), (0, 2));
    assert_eq!(world.missing(), [(0, Vec::new())]);
    let newest = world.scene.vault.newest_snapshots().unwrap();
    assert!(newest.values().all(|newest| newest.is_whole));
    assert_eq!(pruned.replaced(), 0);
    pruned.pass(2);
    assert_eq!(world.purge(), (2, 0));
    assert_eq!(world.missing(), [(0, Vec::new())]);
    let leaf = world.scene.acts("receipt-replaces").pop().unwrap();
    assert_eq!(leaf["receipt"], newer.to_string());
    assert_eq!(leaf["replaced"], 1);
    // It counts as any other does.
    world.purge();
    assert_eq!(pruned.replaced(), 1);
    let new_pack = pruned.new.packs.first().unwrap();
    world.remove(FileName::new(FileType::Data, *new_pack));
    pruned.pass(10);
    assert_eq!(world.purge(), (0, 1));
}

#[test]
fn a_receipt_whose_files_a_later_prune_has_moved_takes_its_place_all_the_same() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    pruned.remove_old();
    pruned.send(&pruned.anew(&pruned.new));
    pruned.pass(2);
    let put = |kind, content: &[u8]| world.scene.put(&world.append, kind, content).unwrap();
    let pack = put(FileType::Data, b"the same, once more");
    let index = put(FileType::Index, b"an index of that too");
    let newest = needs(&[world.files[0], pack, index], CONFIG);
    for (kind, ids) in [
        (FileType::Data, &pruned.new.packs),
        (FileType::Index, &pruned.new.index),
    ] {
        let names = ids.iter().map(|id| FileName::new(kind, *id));
        names.for_each(|name| world.remove(name));
    }
    pruned.send(&pruned.anew(&newest));
    pruned.pass(2);
    // What the first prune has moved goes, and what the second has waits for its own time.
    assert_eq!((world.purge(), pruned.replaced()), ((2, 0), 1));
    pruned.pass(2);
    assert_eq!((world.purge(), pruned.replaced()), ((2, 0), 2));
    assert_eq!(world.missing(), [(0, Vec::new())]);
}

#[test]
fn a_snapshot_is_not_whole_where_its_newest_receipt_is_not_though_an_older_one_is() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    let pack = Id::of(b"not here yet");
    let late = Needs {
        packs: [pack].into(),
        ..pruned.new.clone()
    };
    pruned.send(&pruned.anew(&late));
    let name = FileName::new(FileType::Data, pack);
    assert_eq!(world.missing(), [(1, vec![name])]);
    let put = world
        .scene
        .put(&world.append, FileType::Data, b"not here yet");
    assert_eq!(put.unwrap(), name);
    assert_eq!(world.missing(), [(0, Vec::new())]);
}

#[test]
pub(crate) fn what_is_said_anew_of_an_older_snapshot_makes_it_no_newer() {
    let pruned = Pruned::new();
    let (world, vault) = (&pruned.world, &pruned.world.scene.vault);
    let newest = world.put_snapshot(2);
    let same = NeedsChange::between(&world.needs(), &world.needs());
    pruned.send(&world.client.receipt(newest, Some(pruned.honest), same));
    pruned.pass(2);
    pruned.send(&pruned.anew(&pruned.new));
    // No backup has come since, and whoever waits for one hears it.
    let told = vault.newest_snapshots().unwrap();
    let ages: Vec<_> = told.values().map(|newest| newest.age_ms).collect();
    assert_eq!(ages, [2 * HOUR_MS]);
    assert_eq!(world.missing(), [(0, Vec::new()), (0, Vec::new())]);
    // That the newest one is gone is seen, though the older one is whole.
    world.remove(newest);
    let told = vault.newest_snapshots().unwrap();
    assert!(told.values().all(|newest| !newest.is_whole));
    assert_eq!(world.missing(), [(1, vec![newest]), (0, Vec::new())]);
}

#[test]
fn a_key_that_was_removed_keeps_no_receipt_from_its_place_where_another_opens() {
    let pruned = Pruned::new();
    let mut needs = pruned.new.clone();
    needs.keys.insert(Id::of(b"a key that was removed"));
    pruned.send(&pruned.anew(&needs));
    pruned.remove_old();
    pruned.pass(4);
    assert_eq!(pruned.world.purge(), (2, 0));
    assert_eq!(pruned.replaced(), 1);
}

#[test]
fn who_names_too_little_waits_for_the_deletion_besides() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    // Sent long before, so that it has taken the place when the deletion is asked for.
    pruned.send(&pruned.anew(&pruned.new));
    pruned.pass(10);
    assert_eq!(world.purge(), (0, 0));
    assert_eq!(pruned.replaced(), 1);
    pruned.remove_old();
    pruned.pass(2);
    assert_eq!(world.purge(), (0, 0));
    for name in pruned.old {
        let vault = &world.scene.vault;
        assert!(
            vault
                .undelete_one(Who::Folder, &super::repository(), name)
                .unwrap()
        );
    }
    pruned.pass(10);
    assert_eq!(world.purge(), (0, 0));
}

#[test]
fn a_receipt_that_names_what_is_not_here_or_nothing_takes_no_place() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    let scene = &world.scene;
    let lies = [
        Needs {
            packs: [Id::of(b"never put")].into(),
            ..pruned.new.clone()
        },
        Needs {
            packs: [].into(),
            ..pruned.new.clone()
        },
        Needs {
            index: [].into(),
            ..pruned.new.clone()
        },
        Needs {
            keys: [].into(),
            ..pruned.new.clone()
        },
        Needs {
            keys: [Id::of(b"no key")].into(),
            ..pruned.new.clone()
        },
        Needs {
            config: Id::of(b"another config"),
            ..pruned.new.clone()
        },
    ];
    for lie in &lies {
        pruned.send(&pruned.anew(lie));
    }
    // All of it is here, and it is said of another source, or signed by another key.
    let elsewhere = Receipt {
        source: "elsewhere".parse().unwrap(),
        ..world
            .client
            .receipt(world.snapshot, None, first(&pruned.new))
    };
    pruned.send(&elsewhere);
    let (thief, other) = (scene.token(Right::Report), Client::new(2));
    let his = other.receipt(world.snapshot, None, first(&pruned.new));
    other.send(scene, &thief, &his).unwrap();

    pruned.remove_old();
    pruned.pass(10);
    assert_eq!(world.purge(), (0, 2));
    assert_eq!(pruned.replaced(), 0);
    // One that says it right takes the places of all.
    pruned.send(&pruned.anew(&pruned.new));
    pruned.pass(4);
    assert_eq!(world.purge(), (2, 0));
    assert_eq!(pruned.replaced(), 1);
}

#[test]
pub(crate) fn what_a_stolen_token_has_said_takes_no_place_once_it_is_hidden() {
    let pruned = Pruned::new();
    let (world, vault) = (&pruned.world, &pruned.world.scene.vault);
    // The client's key was stolen as well.
    let stolen = world.scene.token(Right::Report);
    pruned.pass(1);
    let since_ms = vault.now().recorded_ms;
    let anew = pruned.anew(&pruned.new);
    world.client.send(&world.scene, &stolen, &anew).unwrap();
    pruned.pass(1);
    let later_ms = vault.now().recorded_ms;
    pruned.remove_old();
    let hide = |since_ms: i64| {
        let hiding = vault.hide(Who::Folder, &stolen.name, since_ms).unwrap();
        (hiding.objects, hiding.others, hiding.found)
    };
    // It has said nothing since.
    assert_eq!(hide(vault.now().recorded_ms), (0, 0, false));
    assert_eq!(hide(since_ms), (0, 1, true));
    assert_eq!(hide(since_ms), (0, 0, true));
    // What is silenced was said before that.
    assert_eq!(hide(later_ms), (0, 0, false));
    pruned.pass(10);
    assert_eq!((world.purge(), pruned.replaced()), ((0, 2), 0));
    let shown = vault.unhide(Who::Folder, &stolen.name).unwrap();
    assert_eq!((shown.objects, shown.others, shown.found), (0, 1, true));
    assert!(!vault.unhide(Who::Folder, &stolen.name).unwrap().found);
    assert_eq!((world.purge(), pruned.replaced()), ((2, 0), 1));
}

#[test]
fn whoever_has_very_many_wait_keeps_an_older_one_from_its_place_for_a_run_alone() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    pruned.send(&pruned.anew(&pruned.new));
    pruned.pass(1);
    // As many as one run looks at, and none of them may take a place.
    for number in 0..100_u8 {
        let lie = Needs {
            packs: [Id::of(&[number; 40])].into(),
            ..pruned.new.clone()
        };
        pruned.send(&pruned.anew(&lie));
    }
    pruned.remove_old();
    pruned.pass(10);
    assert_eq!((world.purge(), pruned.replaced()), ((0, 2), 0));
    assert_eq!((world.purge(), pruned.replaced()), ((2, 0), 1));
    // Behind the last one it begins in front again.
    let put = world.scene.put(&world.append, FileType::Data, &[7; 40]);
    put.unwrap();
    assert_eq!((world.purge(), pruned.replaced()), ((0, 0), 2));
}

#[test]
fn a_receipt_that_a_process_took_which_slept_has_waited_no_longer_for_it() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    pruned.remove_old();
    // Its clock stands still, as that of a machine that is suspended.
    let asleep = world.scene.beside();
    pruned.pass(10);
    let anew = pruned.anew(&pruned.new);
    world.client.send(&asleep, &world.append, &anew).unwrap();
    assert_eq!((world.purge(), pruned.replaced()), ((0, 2), 0));
    pruned.pass(4);
    assert_eq!((world.purge(), pruned.replaced()), ((2, 0), 1));
}

#[test]
fn no_receipt_takes_a_place_while_purging_is_held() {
    let pruned = Pruned::new();
    let world = &pruned.world;
    pruned.send(&pruned.anew(&pruned.new));
    pruned.remove_old();
    for number in 0..30 {
        world.remove(super::pack_of(number));
    }
    pruned.pass(10);
    let outcomes = world.scene.vault.purge().unwrap();
    assert_eq!(outcomes[0].1.held, Some(Hold::ManyTombstones));
    assert_eq!(pruned.replaced(), 0);
    assert_eq!(world.purge(), (32, 0));
    assert_eq!(pruned.replaced(), 1);
}
