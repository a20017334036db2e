//! A vault keeps as many moments as it has something to show, however long it runs.

use strongroom_model::FileType;
use strongroom_vault::people::Who;
use strongroom_vault::records::moments::{self, Spot};
use strongroom_vault::rules::clock::HOUR_MS;
use strongroom_vault::rules::right::Right;

use super::scene::{START_MS, Scene, repository};

fn count(scene: &Scene) -> i64 {
    let statement = "SELECT COUNT(*) FROM moment";
    let database = scene.vault.database();
    let count = database.look(|transaction| transaction.first(statement, &[], |row| row.int(0)));
    count.unwrap().unwrap()
}

pub(crate) fn moments_go_of_which_nothing_tells_and_every_view_stays() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let mut times = vec![START_MS - 1, START_MS];
    let mut packs = Vec::new();
    for number in 0..40_u8 {
        scene.pass(1_000);
        // What is told of is no object, but for every fourth second.
        match number % 8 {
            3 => packs.push(scene.put(&append, FileType::Data, &[number]).unwrap()),
            7 => {
                let pack = packs.last().copied().unwrap();
                scene.vault.remove(&maintain, &repository(), pack).unwrap();
            }
            _ => drop(scene.token(Right::Read)),
        }
        let now_ms = scene.vault.now().recorded_ms;
        times.extend([now_ms - 1, now_ms]);
    }
    let shown = || {
        let views = times.iter().map(|time_ms| {
            let view = scene.vault.as_of(*time_ms).unwrap();
            let of = |kind| scene.list(&append, view, kind);
            (of(FileType::Data), of(FileType::Keys))
        });
        views.collect::<Vec<_>>()
    };
    let (before, views) = (count(&scene), shown());
    let removed = scene.vault.thin_moments().unwrap();
    assert!(removed >= 20, "{removed}");
    assert_eq!(count(&scene), before - removed as i64);
    assert_eq!(shown(), views);
    assert_eq!(scene.vault.thin_moments().unwrap(), 0);
    // What was deleted since a time is taken back by it still.
    let since_ms = times.last().copied().unwrap() - 7_500;
    let undone = scene
        .vault
        .undelete(Who::Folder, &repository(), None, Some(since_ms), None);
    assert_eq!(undone.unwrap(), 1);

    // When the objects are gone, so are the moments that only they needed.
    let left = count(&scene);
    scene
        .vault
        .remove(&maintain, &repository(), packs[4])
        .unwrap();
    scene.pass(4 * HOUR_MS);
    scene.agree().unwrap();
    scene.vault.purge().unwrap();
    assert!(scene.beside().vault.thin_moments().unwrap() > 5);
    assert!(count(&scene) < left - 5, "{left} and {}", count(&scene));
    let now = scene.vault.as_of(scene.vault.now().recorded_ms).unwrap();
    assert_eq!(scene.list(&append, now, FileType::Keys).len(), 1);
}

/// The leaves of which objects speak, by pages of so many rows.
fn spoken_of(scene: &Scene, limit: u64) -> Vec<Vec<u64>> {
    let (mut pages, mut next) = (Vec::new(), Some(Spot::FIRST));
    while let Some(behind) = next.take() {
        let read = scene.vault.database().look(|transaction| {
            let mut page = Vec::new();
            let each = &mut |leaf: u64| page.push(leaf);
            next = moments::of_objects(transaction, &behind, limit, each)?;
            Ok(page)
        });
        pages.push(read.unwrap());
    }
    pages
}

#[test]
fn few_lives_are_read_at_a_time_however_many_an_object_has() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    for _ in 0..20 {
        for pack in scene.put_packs(&append, 6, 100) {
            scene.vault.remove(&maintain, &repository(), pack).unwrap();
        }
    }
    let all = spoken_of(&scene, 10_000);
    assert_eq!(all.len(), 1);
    let pages = spoken_of(&scene, 4);
    // The lives of one object, and a few rows more.
    let longest = pages.iter().map(Vec::len).max().unwrap();
    assert!((30..80).contains(&longest), "{longest}");
    let sorted = |pages: Vec<Vec<u64>>| {
        let mut leaves = pages.concat();
        leaves.sort_unstable();
        leaves
    };
    assert_eq!(sorted(pages), sorted(all));
}

#[test]
fn moments_are_kept_while_something_tells_of_them() {
    moments_go_of_which_nothing_tells_and_every_view_stays();
}
