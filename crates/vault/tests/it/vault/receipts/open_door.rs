//! Nothing opens without a key, and a snapshot that nothing opens is not whole.

use strongroom_model::FileType;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;

use super::World;
use crate::vault::scene::{key_file, repository};

#[test]
fn a_snapshot_whose_only_key_was_made_to_wait_is_not_whole_until_that_is_taken_back() {
    let world = World::new();
    let scene = &world.scene;
    world.send_first();
    let key = world.files[0];
    let is_whole = || {
        let newest = scene.vault.newest_snapshots().unwrap();
        newest.values().all(|newest| newest.is_whole)
    };
    // A second key that waits is missing to nobody.
    scene
        .put(&world.append, FileType::Keys, &key_file(2))
        .unwrap();
    assert!(is_whole());
    // By the thief's DELETE, and the POST of an honest client, who has it still.
    world.remove(key);
    scene.put_as(&world.append, key, &key_file(1)).unwrap();
    assert_eq!(world.missing(), [(1, vec![key])]);
    assert!(!is_whole());
    // Once more, so that the key is a tombstone that was never seen.
    world.remove(key);
    assert!(!is_whole());

    let undelete = |by: &str| {
        let undone = scene
            .vault
            .undelete(Who::Folder, &repository(), Some(by), None, None);
        undone.unwrap()
    };
    assert_eq!(undelete(&world.append.name), 0);
    assert_eq!(undelete(&world.maintain.name), 1);
    assert_eq!(scene.list(&world.append, View::Now, FileType::Keys), [key]);
    assert_eq!(world.missing(), [(0, Vec::new())]);
    assert!(is_whole());
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn a_key_that_waits_is_let_in_by_no_undelete_but_that_of_whoever_had_it_deleted() {
    let world = World::new();
    let scene = &world.scene;
    let key = world.files[0];
    let never_seen = scene
        .put(&world.append, FileType::Keys, &key_file(3))
        .unwrap();
    scene.pass(60_000);
    let before_ms = scene.vault.now().recorded_ms;
    scene.pass(60_000);
    world.remove(key);
    scene.put_as(&world.append, key, &key_file(1)).unwrap();
    world.remove(never_seen);
    let keys = || scene.list(&world.append, View::Now, FileType::Keys);
    let by = Some(world.maintain.name.as_str());
    // Who names nobody does not say it of this one, and who names another time neither.
    let all = scene
        .vault
        .undelete(Who::Folder, &repository(), None, None, None);
    assert_eq!((all.unwrap(), keys()), (1, Vec::new()));
    let earlier = scene
        .vault
        .undelete(Who::Folder, &repository(), by, None, Some(before_ms));
    assert_eq!((earlier.unwrap(), keys()), (0, Vec::new()));
    let since = scene
        .vault
        .undelete(Who::Folder, &repository(), by, Some(before_ms), None);
    assert_eq!((since.unwrap(), keys()), (1, vec![key]));
    // Once it was let in, it is as any other.
    let again = scene
        .vault
        .undelete(Who::Folder, &repository(), by, None, None);
    assert_eq!(again.unwrap(), 0);
    assert_eq!(
        scene.vault.pending_keys(&repository()).unwrap(),
        [never_seen]
    );
}
