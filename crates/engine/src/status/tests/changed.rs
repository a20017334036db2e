//! Copies that were pruned or replaced behind our back.

use std::fs;

use strongroom_model::evidence::{CopyEvidence, SaidWhole, Share, VaultWord, Verifier, Verify};
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Store;

use super::world::{NAMES, World, facts, held};
use super::{WHOLE, behind, needs_of, receipt};
use crate::state::SeenFiles;
use crate::status::Status;

#[test]
fn a_prune_of_one_copy_is_named_only_where_a_sound_index_file_of_its_own_tells_of_it() {
    let world = World::new();
    let old = world.backup("old", 9);
    let new = world.backup("new", 1);
    let memory = world.state.repository(world.session().id());
    let snapshot = FileName::new(FileType::Snapshots, old.id);
    for copy in world.copies() {
        let see = |seen: &mut SeenFiles| {
            seen.index.extend(old.index.id());
            seen.snapshots.insert(old.id);
        };
        memory.update_seen(&copy, see).unwrap();
    }
    let gone = |status: &Status| {
        let gone = NAMES.map(|name| facts(status, name).gone);
        gone.map(|gone| gone.map(|gone| (gone.files, gone.is_pruned)))
    };
    assert_eq!(gone(&world.status()), [None; 3]);
    world.stores[2].remove(snapshot).unwrap();
    world.stores[2].remove(old.index).unwrap();
    assert_eq!(gone(&world.status()), [None, None, Some((2, false))]);
    // Five bytes are no prune, whatever their name.
    let junk = FileName::new(FileType::Index, Id::of(b"junk!"));
    world.stores[2].save(junk, b"junk!").unwrap();
    assert_eq!(gone(&world.status()), [None, None, Some((2, false))]);
    world.repack(&[2], "new", &new);
    assert_eq!(gone(&world.status()), [None, None, Some((2, true))]);
    // Without the key nobody can tell.
    assert_eq!(gone(&world.status_of(None)), [None, None, Some((2, false))]);

    // What is damaged elsewhere cannot be brought back.
    for copy in &world.copies()[..2] {
        let damage = |evidence: &mut CopyEvidence| {
            let now = (world.environment.clock)();
            evidence.record_damage(now, old.index.to_string(), "wrong".to_owned());
        };
        memory.update_evidence(copy, damage).unwrap();
    }
    assert_eq!(gone(&world.status()), [None, None, Some((1, true))]);
    // What was removed on purpose is missed nowhere, though somebody has put it back.
    let removed = [old.index, snapshot].into();
    memory.update_gone(|gone| gone.accept(&removed)).unwrap();
    assert_eq!(gone(&world.status()), [None; 3]);
}

#[test]
fn what_a_vault_misses_since_a_prune_has_moved_it_is_no_lack() {
    let world = World::new();
    let made = world.backup("content", 1);
    receipt(&world, &made);
    world.status();
    let memory = world.state.repository(world.session().id());
    let (now, copies) = ((world.environment.clock)(), world.copies());
    let said_of = |missing: u64| {
        let say = |evidence: &mut CopyEvidence| {
            let said = SaidWhole {
                at: now,
                snapshot: made.id,
                whole: Some(false),
                missing,
            };
            let mut word = VaultWord::asked(now);
            word.snapshots.insert("repos".parse().unwrap(), said);
            evidence.by_vault = Some(word);
        };
        memory.update_evidence(&copies[2], say).unwrap();
        let status = world.status();
        let word = facts(&status, "disk3").evidence.by_vault.clone();
        let said = word.unwrap().snapshots.into_values().next().unwrap();
        (said.whole, said.missing)
    };
    world.repack(&[0, 1, 2], "content", &made);
    assert_eq!(said_of(3), (Some(false), 3));
    let removed = [made.tree_pack, made.data_pack, made.index].into();
    memory.update_gone(|gone| gone.accept(&removed)).unwrap();
    assert_eq!(said_of(3), (None, 0));
    // One more is rotten there.
    assert_eq!(said_of(4), (Some(false), 1));
    // What the state folder keeps is the vault's own word.
    let kept = memory.evidence(&copies[2]).by_vault.unwrap();
    assert!(kept.snapshots.values().all(|said| said.missing == 4));
}

#[test]
fn what_was_read_counts_only_for_the_place_that_was_read() {
    let world = World::new();
    world.backup("content", 1);
    let (session, copies) = (world.session(), world.copies());
    let memory = world.state.repository(session.id());
    let place = session.ready().last().unwrap().1.listing.place;
    assert!(place.is_some());
    let verified = |evidence: &mut CopyEvidence| {
        evidence.move_to(place);
        let verify = Verify {
            at: (world.environment.clock)(),
            by: Verifier::Us,
            share: Share::All,
            decoded: false,
        };
        evidence.record_verify(verify, []);
    };
    memory.update_evidence(&copies[2], verified).unwrap();
    let found = || {
        let status = world.status();
        let read = facts(&status, "disk3").evidence.every_byte_read_since();
        (read.is_some(), status.problems.join("; "))
    };
    assert_eq!(found(), (true, String::new()));
    // Another has written its config, or it is another disk.
    let config = world.repository.config_bytes();
    world.stores[2].replace(FileName::CONFIG, config).unwrap();
    let (is_read, problems) = found();
    assert!(!is_read);
    assert!(
        problems.contains("disk3: what lies there now is not the place"),
        "{problems}"
    );
    world.stores[2].remove(FileName::CONFIG).unwrap();
    let (is_read, problems) = found();
    assert!(!is_read);
    assert!(
        problems.contains("disk3: its config is missing"),
        "{problems}"
    );
    // What was noted is kept.
    let kept = memory.evidence(&copies[2]);
    assert!(kept.every_byte_read_since().is_some());
}

#[test]
fn an_index_file_that_is_listed_in_another_size_than_elsewhere_is_not_there() {
    let world = World::new();
    let made = world.backup("content", 1);
    let wholeness = |status: &Status| NAMES.map(|name| held(status, name)[0].1.clone());
    assert_eq!(wholeness(&world.status()), [WHOLE; 3]);
    fs::write(world.path_of(1, made.index), b"short").unwrap();
    assert_eq!(wholeness(&world.status()), [WHOLE, behind(1), WHOLE]);
    // Where no size is listed by most copies, nobody knows which is right.
    fs::write(world.path_of(2, made.index), b"shorter").unwrap();
    assert_eq!(
        wholeness(&world.status()),
        [behind(1), behind(1), behind(1)]
    );
}

#[test]
fn a_snapshot_or_a_key_that_is_listed_in_another_size_than_elsewhere_is_not_there() {
    let world = World::new();
    let made = world.backup("content", 1);
    receipt(&world, &made);
    world.status();
    let snapshot = FileName::new(FileType::Snapshots, made.id);
    let key = FileName::new(FileType::Keys, world.repository.key_id());
    let write = |copy: usize, name: FileName, bytes: &[u8]| {
        fs::write(world.path_of(copy, name), bytes).unwrap();
    };
    let wholeness = |status: &Status| NAMES.map(|name| held(status, name)[0].1.clone());
    for name in [snapshot, key] {
        assert_eq!(wholeness(&world.status_of(None)), [WHOLE; 3]);
        let bytes = fs::read(world.path_of(0, name)).unwrap();
        write(1, name, b"short");
        assert_eq!(
            wholeness(&world.status_of(None)),
            [WHOLE, behind(1), WHOLE],
            "{name}"
        );
        assert_eq!(
            wholeness(&world.status()),
            [WHOLE, behind(1), WHOLE],
            "{name}"
        );
        // Where no size is listed by most copies, nobody knows which is right.
        write(2, name, b"shorter");
        assert_eq!(
            wholeness(&world.status_of(None)),
            [behind(1), behind(1), behind(1)],
            "{name}"
        );
        write(1, name, &bytes);
        write(2, name, &bytes);
    }
    // Who has read a snapshot knows.
    write(1, snapshot, b"short");
    write(2, snapshot, b"short");
    assert_eq!(wholeness(&world.status()), [WHOLE, behind(1), behind(1)]);
}

#[test]
fn of_two_packs_that_have_one_blob_the_same_counts_each_time_and_one_that_is_nowhere_last() {
    for number in 0..8 {
        let world = World::new();
        let content = format!("content {number}");
        let made = world.backup(&content, 1);
        let store = &world.stores[0];
        let index = store.read(made.index).unwrap();
        let packs = [made.tree_pack, made.data_pack];
        let old = packs.map(|name| (name, store.read(name).unwrap()));
        world.repack(&[0, 1, 2], &content, &made);
        let restore = |name: FileName, bytes: &[u8]| {
            for store in &world.stores {
                store.save(name, bytes).unwrap();
            }
        };
        restore(made.index, &index);
        let needs = needs_of(&world, &made);
        let is_old = |id: &Id| packs.contains(&FileName::new(FileType::Data, *id));
        assert_eq!(needs.packs.len(), 2, "{needs:?}");
        assert!(!needs.packs.iter().any(|(id, _)| is_old(id)), "{needs:?}");
        for (name, bytes) in &old {
            restore(*name, bytes);
        }
        let listed = world.stores[0].list(FileType::Index).unwrap();
        let first = listed.iter().map(|entry| entry.id).min().unwrap();
        assert_eq!(needs_of(&world, &made).index_files, [first]);
    }
}
