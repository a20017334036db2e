//! Purging goes on whatever single objects do, and ends when the process does.

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType};
use strongroom_store::BodyKey;
use strongroom_vault::Vault;
use strongroom_vault::database::Transaction;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Settings;

use super::asked::AskedBodies;
use super::scene::{Scene, on_sqlite, within};

type Removes = Box<dyn Fn(&BodyKey) -> strongroom_store::Result<()> + Send>;

/// A scene whose bodies ask before one is removed.
fn asked_scene() -> (Scene, Arc<Mutex<Removes>>) {
    asked_scene_with(|_| ())
}

fn asked_scene_with(change: impl FnOnce(&mut Settings)) -> (Scene, Arc<Mutex<Removes>>) {
    let anything: Removes = Box::new(|_| Ok(()));
    let asked = Arc::new(Mutex::new(anything));
    let before_removal = Arc::clone(&asked);
    let pair = on_sqlite(move |folder| {
        let asks = Arc::clone(&before_removal);
        Arc::new(AskedBodies {
            before_removal: Box::new(move |body| (asks.lock())(body)),
            ..AskedBodies::new(folder)
        })
    });
    (within(&pair, || Scene::with(change)), asked)
}

/// Puts as many packs, and asks for some of them to be deleted.
fn put_and_remove(scene: &Scene, path: &str, count: u8, removed: usize) -> Vec<FileName> {
    let path = path.parse().unwrap();
    let maintain = scene.token(Right::Maintain);
    scene.vault.create(&maintain, &path).unwrap();
    let mut packs = Vec::new();
    for number in 0..count {
        let content = [number; 50];
        let name = FileName::new(FileType::Data, strongroom_model::Id::of(&content));
        let length = Some(content.len() as u64);
        let put = scene.vault.begin_put(&maintain, &path, name, length);
        let mut put = put.unwrap();
        put.write(&content).unwrap();
        put.finish().unwrap();
        packs.push(name);
    }
    packs.sort();
    for pack in packs.iter().take(removed) {
        scene.vault.remove(&maintain, &path, *pack).unwrap();
    }
    packs
}

fn in_state(vault: &Vault, state: State) -> Vec<u64> {
    let observed = vault.observe().unwrap().repositories;
    observed
        .iter()
        .map(|repository| repository.tally(state).objects)
        .collect()
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_being_removed() {
    let (scene, asked) = asked_scene();
    let first = put_and_remove(&scene, "acme/a", 100, 4);
    put_and_remove(&scene, "acme/b", 100, 4);
    let stuck = first[0];
    *asked.lock() = Box::new(move |body: &BodyKey| {
        let is_stuck = body.name == stuck && body.repository.as_str() == "acme/a";
        match is_stuck {
            true => Err(strongroom_store::Error::Denied {
                location: "the disk".to_owned(),
                action: "remove it".to_owned(),
                reason: "it is immutable".to_owned(),
            }),
            false => Ok(()),
        }
    });
    scene.pass(4 * HOUR_MS);
    let outcomes = scene.vault.purge().unwrap();
    let done: Vec<_> = outcomes
        .iter()
        .map(|(_, purged)| (purged.objects, purged.failed))
        .collect();
    assert_eq!(done, [(3, 1), (4, 0)]);
    for _ in 0..2 {
        scene.pass(MINUTE_MS);
        scene.vault.purge().unwrap();
    }
    assert_eq!(in_state(&scene.vault, State::Purging), [1, 0]);
    // And it goes on with what is deleted later, and with this one as soon as it can.
    let maintain = scene.token(Right::Maintain);
    let path = "acme/a".parse().unwrap();
    scene.vault.remove(&maintain, &path, first[50]).unwrap();
    scene.pass(4 * HOUR_MS);
    assert_eq!(scene.vault.purge().unwrap()[0].1.objects, 1);
    *asked.lock() = Box::new(|_| Ok(()));
    scene.vault.purge().unwrap();
    assert_eq!(in_state(&scene.vault, State::Purging), [0, 0]);
}

#[test]
fn a_repository_in_which_each_run_ends_keeps_no_other_from_its_turn() {
    let (scene, asked) = asked_scene();
    put_and_remove(&scene, "acme/a", 100, 4);
    put_and_remove(&scene, "acme/b", 100, 4);
    scene.pass(4 * HOUR_MS);
    let (vault, clocks) = (scene.vault.clone(), Arc::clone(&scene.clocks));
    *asked.lock() = Box::new(move |body: &BodyKey| {
        if body.repository.as_str() == "acme/a" {
            // It takes so long that another process has the lease by then.
            let lose = "UPDATE lease SET holder = randomblob(16) WHERE name = 'purge'";
            let mut work =
                |transaction: &mut dyn Transaction| transaction.execute(lose, &[]).map(drop);
            vault.database().write(&mut work).unwrap();
            let mut clocks = clocks.lock();
            clocks.boottime_ms += 20 * SECOND_MS;
            clocks.wall_ms += 20 * SECOND_MS;
        }
        Ok(())
    });
    for _ in 0..2 {
        assert!(scene.vault.purge().unwrap().is_empty());
        scene.execute("DELETE FROM lease WHERE name = 'purge'");
    }
    assert_eq!(in_state(&scene.vault, State::Tombstoned), [0, 0]);
    // One body went in each run before it ended.
    assert_eq!(in_state(&scene.vault, State::Purging), [2, 0]);
}

#[test]
fn a_run_removes_a_share_of_each_repository_and_the_next_one_goes_on() {
    let (scene, asked) = asked_scene_with(|settings| settings.purge_share = 3);
    put_and_remove(&scene, "acme/a", 150, 7);
    put_and_remove(&scene, "acme/b", 100, 2);
    scene.pass(4 * HOUR_MS);
    let purge = || -> Vec<u64> {
        let outcomes = scene.vault.purge().unwrap().into_iter();
        outcomes.map(|(_, purged)| purged.objects).collect()
    };
    assert_eq!(purge(), [3, 2]);
    assert_eq!(in_state(&scene.vault, State::Tombstoned), [4, 0]);
    // However often a storage is asked that lets nothing go, no more than a share waits for it.
    *asked.lock() = Box::new(|_| {
        Err(strongroom_store::Error::Denied {
            location: "the disk".to_owned(),
            action: "remove it".to_owned(),
            reason: "it is read-only".to_owned(),
        })
    });
    for _ in 0..2 {
        assert_eq!(purge(), [0, 0]);
        assert_eq!(in_state(&scene.vault, State::Purging), [3, 0]);
    }
    *asked.lock() = Box::new(|_| Ok(()));
    assert_eq!(purge(), [3, 0]);
    assert_eq!(purge(), [1, 0]);
    assert_eq!(in_state(&scene.vault, State::Tombstoned), [0, 0]);
    assert_eq!(in_state(&scene.vault, State::Purging), [0, 0]);
}

#[test]
fn a_purge_under_way_ends_when_the_process_does_and_the_next_one_ends_it() {
    let (scene, asked) = asked_scene();
    put_and_remove(&scene, "acme/a", 100, 4);
    put_and_remove(&scene, "acme/b", 100, 4);
    scene.pass(4 * HOUR_MS);
    let vault = scene.vault.clone();
    *asked.lock() = Box::new(move |_| {
        vault.end_jobs();
        Ok(())
    });
    let outcomes = scene.vault.purge().unwrap();
    let objects: Vec<_> = outcomes.iter().map(|(_, purged)| purged.objects).collect();
    assert_eq!(objects, [1]);
    assert_eq!(in_state(&scene.vault, State::Purging), [3, 0]);
    // None begins any more, and others need not wait for the lease.
    assert!(scene.vault.purge().unwrap().is_empty());
    *asked.lock() = Box::new(|_| Ok(()));
    let next = scene.beside();
    let outcomes = next.vault.purge().unwrap();
    let objects: Vec<_> = outcomes.iter().map(|(_, purged)| purged.objects).collect();
    assert_eq!(objects, [3, 4]);
}
