//! A key that waits is rejected by a deletion, and one that was removed comes back as one that
//! waits.

use strongroom_model::FileType;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::right::Right;

use super::scene::{Scene, repository};

#[test]
pub(crate) fn a_key_that_waits_is_rejected_by_a_deletion_and_waits_again_when_that_is_taken_back() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let first = scene.init(&append);
    let junk = super::scene::key_file(66);
    let waiting = scene.put(&append, FileType::Keys, &junk).unwrap();
    scene
        .vault
        .remove(&maintain, &repository(), waiting)
        .unwrap();
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), []);
    assert_eq!(scene.acts("tombstone").len(), 1);
    assert!(scene.vault.tallies_agree().unwrap());
    let leaves = scene.acts("tombstone")[0]["n"].as_u64().unwrap();
    for leaves in 0..leaves + 2 {
        let keys = scene.list(&append, View::AsOf(leaves), FileType::Keys);
        assert!(!keys.contains(&waiting));
    }
    // Neither an undelete nor another POST lets it in.
    let undone = scene
        .vault
        .undelete(Who::Folder, &repository(), None, None, None);
    assert_eq!(undone.unwrap(), 1);
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [waiting]);
    scene
        .vault
        .remove(&maintain, &repository(), waiting)
        .unwrap();
    assert!(
        scene
            .vault
            .undelete_one(Who::Folder, &repository(), waiting)
            .unwrap()
    );
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [waiting]);
    scene
        .vault
        .remove(&maintain, &repository(), waiting)
        .unwrap();
    scene.put_as(&append, waiting, &junk).unwrap();
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [waiting]);
    assert_eq!(scene.list(&append, View::Now, FileType::Keys), [first]);
    assert!(scene.vault.tallies_agree().unwrap());
    // What was rejected goes in time, and with it its part of the quota.
    scene
        .vault
        .remove(&maintain, &repository(), waiting)
        .unwrap();
    scene.pass(4 * HOUR_MS);
    scene.agree().unwrap();
    assert_eq!(scene.vault.purge().unwrap()[0].1.objects, 1);
}

#[test]
pub(crate) fn a_rejected_key_is_taken_back_by_when_it_was_rejected_and_not_by_when_it_came() {
    let scene = Scene::new();
    let maintain = scene.token(Right::Maintain);
    scene.init(&maintain);
    let waiting = scene.put(&maintain, FileType::Keys, &super::scene::key_file(66));
    let waiting = waiting.unwrap();
    scene.pass(MINUTE_MS);
    let between_ms = scene.vault.now().recorded_ms;
    scene.pass(MINUTE_MS);
    let removed = scene.vault.remove(&maintain, &repository(), waiting);
    removed.unwrap();
    let undelete = |since_ms, until_ms| {
        let undone = scene
            .vault
            .undelete(Who::Folder, &repository(), None, since_ms, until_ms);
        undone.unwrap()
    };
    assert_eq!(undelete(None, Some(between_ms)), 0);
    assert_eq!(undelete(Some(between_ms), None), 1);
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [waiting]);
}

#[test]
pub(crate) fn a_key_that_was_removed_comes_back_by_a_post_only_as_one_that_waits() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let first = scene.init(&append);
    scene.pass(MINUTE_MS);
    let before_ms = scene.vault.now().recorded_ms;
    scene.pass(MINUTE_MS);
    scene.vault.remove(&maintain, &repository(), first).unwrap();
    let key = super::scene::key_file(1);
    scene.put_as(&append, first, &key).unwrap();
    assert_eq!(scene.list(&append, View::Now, FileType::Keys), []);
    assert_eq!(scene.vault.pending_keys(&repository()).unwrap(), [first]);
    let before = scene.vault.as_of(before_ms).unwrap();
    assert_eq!(scene.list(&append, before, FileType::Keys), [first]);
    assert!(scene.vault.tallies_agree().unwrap());
    assert!(
        scene
            .vault
            .admit_key(Who::Folder, &repository(), first)
            .unwrap()
    );
    assert_eq!(scene.list(&append, View::Now, FileType::Keys), [first]);
}
