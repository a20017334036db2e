//! Copies in every state, and what is said of them.

mod changed;
mod holder;
mod locked;
mod restic;
mod world;

use std::fs;

use strongroom_model::scorecard::{LineKind, Location, Standing, Wholeness};
use strongroom_model::{FileName, FileType};
use strongroom_store::Store;
use strongroom_testkit::faulty::{Fault, Op, Rule};

use super::*;
use crate::backup::report::{BackupReport, SnapshotNeeds, SourceReport};
use crate::receipts::trusted_keys;
use crate::session::Locks;
use crate::status::needs::needs_of_snapshots;
use world::{Made, NAMES, World, facts, held, line};

const WHOLE: Wholeness = Wholeness::Whole;

const fn behind(files: u64) -> Wholeness {
    Wholeness::Behind { files }
}

fn needs_of(world: &World, made: &Made) -> SnapshotNeeds {
    let cancel = &world.environment.cancel;
    let trees = [made.snapshot.tree];
    let found = needs_of_snapshots(&world.session(), &trees, None, cancel);
    let found = found.unwrap().unwrap();
    assert!(found.gap.is_none(), "{found:?}");
    found.needs
}

/// Signs the receipt that the backup would have signed.
fn receipt(world: &World, made: &Made) {
    let source = SourceReport {
        name: "repos".to_owned(),
        snapshot: Some(made.id),
        tree: Some(made.snapshot.tree),
        time: Some(made.snapshot.time),
        needs: needs_of(world, made),
        ..SourceReport::default()
    };
    let report = BackupReport {
        sources: vec![source],
        ..BackupReport::default()
    };
    let session = world.session();
    let memory = world.state.repository(session.id());
    let client = world.state.client_key().unwrap();
    let receipts = Receipts::new(&memory, &client);
    receipts.issue(&session, &report, "h").unwrap();
}

#[test]
fn what_a_snapshot_needs_is_found_in_its_trees() {
    let world = World::new();
    let other = world.backup("other", 9);
    let made = world.backup("content", 1);
    let needs = needs_of(&world, &made);
    let mut packs: Vec<Id> = needs.packs.iter().map(|(id, _)| *id).collect();
    packs.sort_unstable();
    let mut expected = vec![made.tree_pack.id().unwrap(), made.data_pack.id().unwrap()];
    expected.sort_unstable();
    assert_eq!(packs, expected);
    assert_eq!(needs.index_files, [made.index.id().unwrap()]);
    for (id, size_bytes) in needs.packs {
        let name = FileName::new(FileType::Data, id);
        assert_eq!(world.stores[0].size(name).unwrap(), size_bytes);
    }
    assert_ne!(other.data_pack, made.data_pack);
}

#[test]
fn three_whole_copies_on_one_disk_are_whole_and_one_copy() {
    let world = World::new();
    let made = world.backup("content", 1);
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name), [(made.id, WHOLE)]);
        let Location::Folder { devices, .. } = &facts(&status, name).location else {
            panic!("{name} is no folder");
        };
        assert!(!devices.is_empty(), "the device of {name} is not known");
        let listing = facts(&status, name).evidence.listing.unwrap();
        assert_eq!(listing.files, 5);
    }
    let (met, reason) = line(&status, LineKind::Copies);
    assert_eq!(met, Standing::Missed, "{reason}");
    assert_eq!(line(&status, LineKind::Offsite).0, Standing::Missed);
    assert!(status.scorecard.sources[0].last_good.is_none());
    assert_eq!(
        status.scorecard.sources[0].last_backup,
        Some(made.snapshot.time)
    );
    assert_eq!(status.problems, [""; 0]);
    let devices = &status.facts.sources.values().next().unwrap().devices;
    assert!(!devices.is_empty());
}

#[test]
fn a_copy_that_lacks_a_pack_an_index_or_the_right_size_is_behind() {
    for (number, lost) in ["data", "tree", "index", "truncated", "config"]
        .into_iter()
        .enumerate()
    {
        let world = World::new();
        let made = world.backup("content", 1);
        let copy = &world.stores[number % 3];
        match lost {
            "data" => copy.remove(made.data_pack).unwrap(),
            "tree" => copy.remove(made.tree_pack).unwrap(),
            "index" => copy.remove(made.index).unwrap(),
            "config" => copy.remove(FileName::CONFIG).unwrap(),
            _ => fs::write(world.path_of(number % 3, made.data_pack), b"short").unwrap(),
        }
        for round in ["found out", "remembered"] {
            let status = world.status();
            for name in NAMES {
                let expected = if name == NAMES[number % 3] {
                    behind(1)
                } else {
                    WHOLE
                };
                assert_eq!(
                    held(&status, name),
                    [(made.id, expected)],
                    "{lost} {name} {round}"
                );
            }
        }
    }
}

#[test]
fn what_all_copies_have_lost_is_missed_on_all() {
    let world = World::new();
    let made = world.backup("content", 1);
    for store in &world.stores {
        store.remove(made.data_pack).unwrap();
    }
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name), [(made.id, behind(1))]);
    }
    for store in &world.stores {
        store.remove(made.tree_pack).unwrap();
    }
    // Now nobody can tell what else it needs, but so much is sure. The first status has noted it.
    fs::remove_dir_all(world.state.path()).unwrap();
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name), [(made.id, behind(1))]);
    }
}

#[test]
fn a_lost_index_on_all_copies_is_unknown_and_says_why() {
    let world = World::new();
    let made = world.backup("content", 1);
    for store in &world.stores {
        store.remove(made.index).unwrap();
    }
    let status = world.status();
    let Wholeness::Unknown { reason } = &held(&status, "here")[0].1 else {
        panic!("{:?}", held(&status, "here"));
    };
    assert!(reason.contains("No index names"), "{reason}");
}

#[test]
fn a_copy_without_the_newest_snapshot_shows_the_one_it_has() {
    let world = World::new();
    let old = world.backup("old", 30);
    let new = world.backup("new", 1);
    let name = FileName::new(FileType::Snapshots, new.id);
    world.stores[1].remove(name).unwrap();
    let status = world.status();
    assert_eq!(held(&status, "here"), [(new.id, WHOLE)]);
    assert_eq!(held(&status, "disk2"), [(old.id, WHOLE)]);
    let row = &status.scorecard.copies[1];
    assert_eq!(row.whole.met, Standing::Missed);
    assert!(
        row.whole.reason.contains("lacks the newest snapshot"),
        "{}",
        row.whole.reason
    );
}

#[test]
fn a_copy_behind_for_the_newest_snapshot_also_shows_the_newest_whole_one() {
    let world = World::new();
    let old = world.backup("old", 30);
    let new = world.backup("new", 1);
    world.stores[2].remove(new.data_pack).unwrap();
    let status = world.status();
    assert_eq!(
        held(&status, "disk3"),
        [(new.id, behind(1)), (old.id, WHOLE)]
    );
    let last = facts(&status, "disk3")
        .evidence
        .last_whole
        .values()
        .next()
        .unwrap();
    assert_eq!(last.id, old.id);
}

#[test]
fn a_damaged_snapshot_is_named_and_counts_as_lacking() {
    let world = World::new();
    let made = world.backup("content", 1);
    let name = FileName::new(FileType::Snapshots, made.id);
    fs::write(world.path_of(0, name), b"junk!").unwrap();
    let status = world.status();
    assert_eq!(held(&status, "here"), []);
    assert_eq!(held(&status, "disk2"), [(made.id, WHOLE)]);
    assert!(
        status.problems[0].contains(&made.id.to_string()),
        "{:?}",
        status.problems
    );
}

#[test]
fn a_junk_index_is_named_and_hides_nothing() {
    let world = World::new();
    let made = world.backup("content", 1);
    let junk = b"junk!";
    let name = FileName::new(FileType::Index, Id::of(junk));
    world.stores[1].save(name, junk).unwrap();
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name), [(made.id, WHOLE)]);
    }
    assert!(
        status.problems[0].contains(&name.to_string()),
        "{:?}",
        status.problems
    );
}

#[test]
fn a_copy_that_cannot_be_reached_is_unproven_and_keeps_its_evidence() {
    let world = World::new();
    let made = world.backup("content", 1);
    world.status();
    world.stores[1].inner().set_unreachable(true);
    let status = world.status();
    let found = facts(&status, "disk2");
    assert!(found.unreachable.is_some());
    assert_eq!(
        found.evidence.last_whole.values().next().unwrap().id,
        made.id
    );
    assert_eq!(status.scorecard.copies[1].whole.met, Standing::Unproven);
    assert_eq!(held(&status, "here"), [(made.id, WHOLE)]);
}

#[test]
fn an_empty_folder_that_once_held_a_copy_may_be_an_unmounted_disk() {
    let world = World::new();
    world.backup("content", 1);
    let empty = |world: &World| {
        fs::remove_dir_all(world.folder.path().join("disk2")).unwrap();
        world.stores[1].create().unwrap();
    };
    world.status();
    empty(&world);
    let status = world.status();
    assert!(
        facts(&status, "disk2")
            .unreachable
            .as_ref()
            .unwrap()
            .contains("mounted")
    );
    fs::remove_dir_all(world.state.path()).unwrap();
    let status = world.status();
    assert_eq!(facts(&status, "disk2").unreachable, None);
    assert_eq!(status.scorecard.copies[1].whole.met, Standing::Missed);
}

#[test]
fn nothing_at_all_can_be_reached() {
    let world = World::new();
    let made = world.backup("content", 1);
    world.status();
    for store in &world.stores {
        store.inner().set_unreachable(true);
    }
    let status = world.status_of(None);
    for name in NAMES {
        let found = facts(&status, name);
        assert!(found.unreachable.is_some());
        assert_eq!(
            found.evidence.last_whole.values().next().unwrap().id,
            made.id
        );
    }
    assert_eq!(line(&status, LineKind::Errors).0, Standing::Unproven);
}

#[test]
fn without_the_password_receipts_tell() {
    let world = World::new();
    let made = world.backup("content", 1);
    receipt(&world, &made);
    world.status();
    world.stores[2].remove(made.data_pack).unwrap();
    let status = world.status_of(None);
    assert_eq!(held(&status, "here"), [(made.id, WHOLE)]);
    assert_eq!(held(&status, "disk3"), [(made.id, behind(1))]);
    assert_eq!(world.pack_reads(), 0);
}

#[test]
fn without_password_and_receipts_nothing_is_claimed() {
    let world = World::new();
    world.backup("content", 1);
    let status = world.status_of(None);
    let reason = facts(&status, "here").unreachable.as_ref().unwrap();
    assert!(reason.contains("password"), "{reason}");
    assert_eq!(status.scorecard.copies[0].whole.met, Standing::Unproven);
}

#[test]
fn the_second_status_reads_no_tree() {
    let world = World::new();
    let made = world.backup("content", 1);
    world.status();
    assert!(world.pack_reads() > 0);
    world.status();
    assert_eq!(world.pack_reads(), 0);
    // Nor does it, while a copy is known to be behind.
    world.stores[1].remove(made.data_pack).unwrap();
    let status = world.status();
    assert_eq!(held(&status, "disk2"), [(made.id, behind(1))]);
    assert_eq!(world.pack_reads(), 0);
}

#[test]
fn with_a_receipt_not_even_the_first_status_reads_a_tree() {
    let world = World::new();
    let made = world.backup("content", 1);
    receipt(&world, &made);
    let status = world.status();
    assert_eq!(held(&status, "here"), [(made.id, WHOLE)]);
    assert_eq!(world.pack_reads(), 0);
}

#[test]
fn copies_that_were_repacked_alike_are_whole_whatever_the_receipt_says() {
    let world = World::new();
    let made = world.backup("content", 1);
    receipt(&world, &made);
    world.repack(&[0, 1, 2], "content", &made);
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name), [(made.id, WHOLE)]);
    }
}

#[test]
fn a_copy_that_was_pruned_alone_is_whole_by_its_own_index() {
    let world = World::new();
    let made = world.backup("content", 1);
    world.repack(&[1], "content", &made);
    let status = world.status();
    for name in NAMES {
        assert_eq!(held(&status, name), [(made.id, WHOLE)]);
    }
}

#[test]
fn another_hosts_snapshots_do_not_make_a_source_fresh() {
    let world = World::new();
    let own = world.backup("own", 40);
    world.backup_of("repos", "other", "theirs", 1);
    world.backup_of("unheard-of", "h", "x", 1);
    let status = world.status();
    assert_eq!(held(&status, "here"), [(own.id, WHOLE)]);
    assert_eq!(
        status.scorecard.sources[0].last_backup,
        Some(own.snapshot.time)
    );
    assert!(
        status.problems[0].contains("host other's"),
        "{:?}",
        status.problems
    );
}

#[test]
fn a_copy_that_fails_while_it_is_read_is_stood_in_for() {
    let world = World::new();
    let made = world.backup("content", 1);
    let session = world.session();
    world.stores[0]
        .inner()
        .add(Rule::on(&Op::READS, Fault::Unreachable));
    let status = world.status_of(Some(&session));
    for name in ["disk2", "disk3"] {
        assert_eq!(held(&status, name), [(made.id, WHOLE)]);
    }
    let asked = world.stores[0].records().len();
    assert!(
        asked <= 3,
        "asked {asked} times though it could not be reached"
    );
}

#[test]
fn a_state_folder_that_cannot_be_written_stops_nothing() {
    let world = World::new();
    let made = world.backup("content", 1);
    fs::write(world.state.path(), b"").unwrap();
    let status = world.status();
    assert_eq!(held(&status, "here"), [(made.id, WHOLE)]);
    assert!(!status.problems.is_empty());
}

#[test]
fn a_junk_key_on_one_copy_gets_into_no_receipt() {
    let world = World::new();
    let keys = trusted_keys(&world.session());
    assert_eq!(keys.len(), 1);
    let junk = b"{}";
    let name = FileName::new(FileType::Keys, Id::of(junk));
    world.stores[0].save(name, junk).unwrap();
    assert_eq!(trusted_keys(&world.session()), keys);
    for store in &world.stores {
        store.save(name, junk).unwrap();
    }
    assert_eq!(trusted_keys(&world.session()), keys);
}

/// Locks all copies as any backup does, and remembers what that tells of their places.
fn lock_and_remember(world: &World) -> Status {
    let mut session = world.session();
    let mut locks = Locks::acquire(&mut session, &world.environment, false).unwrap();
    locks.release();
    let memory = world.state.repository(session.id());
    let copies: Vec<&CopyStore> = session.copies.iter().map(|copy| &copy.copy).collect();
    let now = (world.environment.clock)();
    session.places.remember(&copies, &memory, now).unwrap();
    world.status()
}

#[test]
fn a_lock_that_two_addresses_list_tells_that_they_are_one_place_until_they_are_not() {
    let world = World::new();
    world.backup("content", 1);
    let [_, disk2, disk3] = NAMES.map(|name| world.folder.path().join(name));
    let own = world.folder.path().join("own");
    fs::rename(&disk3, &own).unwrap();
    std::os::unix::fs::symlink(&disk2, &disk3).unwrap();
    let status = lock_and_remember(&world);
    let now = (world.environment.clock)();
    let twin = |name: &str| BTreeMap::from([(name.parse().unwrap(), now)]);
    assert_eq!(facts(&status, "here").one_place, BTreeMap::new());
    assert_eq!(facts(&status, "disk2").one_place, twin("disk3"));
    assert_eq!(facts(&status, "disk3").one_place, twin("disk2"));
    // A run that cannot lock both of them tells nothing new.
    fs::remove_file(&disk3).unwrap();
    let status = lock_and_remember(&world);
    assert_eq!(facts(&status, "disk2").one_place, twin("disk3"));
    fs::rename(&own, &disk3).unwrap();
    let status = lock_and_remember(&world);
    for name in NAMES {
        assert_eq!(facts(&status, name).one_place, BTreeMap::new());
    }
}

#[test]
fn a_key_that_a_vault_holds_and_does_not_list_yet_is_there_beside_one_that_it_lists() {
    let mut world = World::new();
    let made = world.backup("content", 1);
    let key = world.repository.key_id();
    let another = FileName::new(FileType::Keys, Id::of(b"another"));
    world.stores[1].save(another, b"another").unwrap();
    world.stores[1]
        .remove(FileName::new(FileType::Keys, key))
        .unwrap();
    assert_eq!(held(&world.status(), NAMES[1]), [(made.id, behind(1))]);
    let vault = VaultFacts {
        pending_keys: [key].into(),
        ..VaultFacts::default()
    };
    world.vaults.insert(NAMES[1].to_owned(), vault);
    // One that nobody else knows is no key until somebody shows that it is.
    assert_eq!(held(&world.status(), NAMES[1]), [(made.id, behind(1))]);
    world.stores[0].save(another, b"another").unwrap();
    assert_eq!(held(&world.status(), NAMES[1]), [(made.id, WHOLE)]);
    // Where it lists none, nothing opens the copy.
    world.stores[1].remove(another).unwrap();
    assert_eq!(held(&world.status(), NAMES[1]), [(made.id, behind(1))]);
}

#[test]
fn what_was_found_out_about_a_vault_reaches_the_scorecard() {
    let mut world = World::new();
    world.backup("content", 1);
    let account: Account = "aws:123456789012".parse().unwrap();
    let vault = VaultFacts {
        alarm: Some("it was rewritten".to_owned()),
        in_production: Some(account.clone()),
        runs_in: Some(account.clone()),
        objects_in_production: Some(account.clone()),
        objects_in: vec![account.clone()],
        ..VaultFacts::default()
    };
    world.vaults.insert(NAMES[1].to_owned(), vault);
    let status = world.status();
    let row = &status.scorecard.copies[1];
    assert_eq!(row.alarm.as_deref(), Some("it was rewritten"));
    assert!(row.domain_reason.is_some());
    let told = facts(&status, NAMES[1]);
    assert_eq!(told.runs_in.as_ref(), Some(&account));
    assert_eq!(told.objects_in_production.as_ref(), Some(&account));
    assert_eq!(told.objects_in, [account]);
    assert_eq!(status.scorecard.copies[0].alarm, None);
}
