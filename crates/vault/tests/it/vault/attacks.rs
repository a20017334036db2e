//! The attacks of docs/vault.md, each with the credential that it is made with.

use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{NewToken, Principal, Seen};

use super::scene::{Scene, key_file, new_token, repository};

#[test]
pub(crate) fn junk_of_every_type_is_out_of_sight_by_one_act_and_was_never_in_the_view_before() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    let key = scene.init(&honest);
    let pack = scene.put(&honest, FileType::Data, b"a pack").unwrap();
    let index = scene.put(&honest, FileType::Index, b"an index").unwrap();
    let snapshot = scene
        .put(&honest, FileType::Snapshots, b"a snapshot")
        .unwrap();
    scene.pass(MINUTE_MS);
    let before_ms = scene.vault.now().recorded_ms;
    scene.pass(MINUTE_MS);

    assert!(scene.put(&stolen, FileType::Keys, b"junk!").is_err());
    scene.put(&stolen, FileType::Keys, &key_file(66)).unwrap();
    for kind in [FileType::Index, FileType::Snapshots, FileType::Data] {
        scene.put(&stolen, kind, b"junk!").unwrap();
    }
    scene.put(&stolen, FileType::Locks, &[9; 60]).unwrap();
    assert!(scene.put(&stolen, FileType::Locks, b"junk!").is_err());
    // The honest key is the only one that any client sees.
    assert_eq!(scene.list(&honest, View::Now, FileType::Keys), [key]);
    let before = scene.vault.as_of(before_ms).unwrap();
    assert_eq!(scene.list(&honest, before, FileType::Index), [index]);
    assert_eq!(scene.list(&honest, before, FileType::Snapshots), [snapshot]);

    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &stolen.name, before_ms)
            .unwrap()
            .objects,
        4
    );
    assert_eq!(scene.list(&honest, View::Now, FileType::Index), [index]);
    assert_eq!(
        scene.list(&honest, View::Now, FileType::Snapshots),
        [snapshot]
    );
    assert_eq!(scene.list(&honest, View::Now, FileType::Data), [pack]);
    assert_eq!(scene.list(&honest, View::Now, FileType::Locks), []);
    // Who put the junk cannot bring it back; an operator can.
    let again = scene.put(&stolen, FileType::Index, b"junk!");
    assert!(matches!(again, Err(Error::Hidden { .. })), "{again:?}");
    assert_eq!(
        scene
            .vault
            .unhide(Who::Folder, &stolen.name)
            .unwrap()
            .objects,
        4
    );
    assert_eq!(scene.list(&honest, View::Now, FileType::Index).len(), 2);
    assert_eq!(scene.list(&honest, View::Now, FileType::Keys), [key]);
}

#[test]
pub(crate) fn what_somebody_else_has_put_as_well_is_not_hidden_with_the_thief() {
    let scene = Scene::new();
    let (honest, stolen) = (scene.token(Right::Append), scene.token(Right::Append));
    scene.init(&honest);
    // The thief knows a pack that is coming, and is first.
    let pack = scene.put(&stolen, FileType::Data, b"a pack").unwrap();
    scene.put(&honest, FileType::Data, b"a pack").unwrap();
    let other = scene.put(&stolen, FileType::Data, b"his own").unwrap();
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &stolen.name, 0)
            .unwrap()
            .objects,
        1
    );
    assert_eq!(scene.list(&honest, View::Now, FileType::Data), [pack]);
    // And what is needed after all comes back by being put.
    scene.put(&honest, FileType::Data, b"his own").unwrap();
    assert!(
        scene
            .list(&honest, View::Now, FileType::Data)
            .contains(&other)
    );
}

#[test]
pub(crate) fn no_right_but_maintain_asks_for_deletion() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    for right in [Right::Append, Right::Read, Right::Report] {
        let refused = scene.vault.remove(&scene.token(right), &repository(), pack);
        assert!(
            matches!(refused, Err(Error::Forbidden { .. })),
            "{right}: {refused:?}"
        );
    }
    let reader = scene.token(Right::Read);
    assert!(scene.put(&reader, FileType::Data, b"more").is_err());
    assert!(scene.put(&reader, FileType::Locks, &[1; 50]).is_err());
    let report = scene.token(Right::Report);
    assert!(scene.read(&report, View::Now, pack).is_err());
    let elsewhere = scene.token_for(Right::Maintain, "acme2");
    assert!(scene.read(&elsewhere, View::Now, pack).is_err());
    assert!(scene.vault.remove(&elsewhere, &repository(), pack).is_err());
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
}

#[test]
pub(crate) fn a_clock_set_forward_ten_years_purges_nothing_and_freezes_purging() {
    let (scene, append) = one_of_forty_deleted();
    scene.clocks.lock().wall_ms += 3_652 * DAY_MS;
    scene.vault.tick().unwrap();
    assert_eq!(held(&scene), (0, Some(Hold::Clock)));
    scene.pass(4 * HOUR_MS);
    assert_eq!(held(&scene), (0, Some(Hold::Clock)));
    // The time that is recorded has not jumped either.
    let soon_ms = super::scene::START_MS + DAY_MS;
    let today = scene.vault.as_of(soon_ms).unwrap();
    assert_eq!(scene.list(&append, today, FileType::Data).len(), 39);
    // To believe ten years takes more than a yes.
    let refused = scene.vault.confirm_clock(Who::Folder, Seen::default());
    assert!(
        matches!(refused, Err(Error::WallClock { .. })),
        "{refused:?}"
    );
    let wall_ms = scene.clocks.lock().wall_ms;
    for wrong_ms in [wall_ms - 3_652 * DAY_MS, wall_ms + 2 * MINUTE_MS] {
        let seen = Seen {
            wall_ms: Some(wrong_ms),
            ..Seen::default()
        };
        assert!(scene.vault.confirm_clock(Who::Folder, seen).is_err());
    }
    assert_eq!(held(&scene), (0, Some(Hold::Clock)));
    assert!(scene.acts("clock-confirmed").is_empty());
    let seen = Seen {
        wall_ms: Some(wall_ms),
        ..Seen::default()
    };
    scene.vault.confirm_clock(Who::Folder, seen).unwrap();
    assert_eq!(held(&scene), (1, None));
}

#[test]
pub(crate) fn a_clock_that_walks_by_less_than_a_jump_freezes_purging_as_well() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let start_ms = scene.vault.now().recorded_ms;
    for _ in 0..100 {
        {
            let mut clocks = scene.clocks.lock();
            clocks.boottime_ms += 5 * SECOND_MS;
            clocks.wall_ms += 64 * SECOND_MS;
        }
        scene.vault.tick().unwrap();
    }
    assert_eq!(held(&scene), (0, Some(Hold::Clock)));
    assert_eq!(scene.acts("clock-jump").len(), 1);
    let gone_ms = scene.vault.now().recorded_ms - start_ms;
    assert!(gone_ms < 11 * MINUTE_MS, "{gone_ms}");
    // An operator has put it right, and it goes on as any clock does.
    scene
        .vault
        .confirm_clock(Who::Folder, Seen::default())
        .unwrap();
    scene.pass(HOUR_MS);
    assert_eq!(held(&scene), (0, None));
    assert_eq!(scene.acts("clock-jump").len(), 1);
}

#[test]
pub(crate) fn being_off_for_a_week_with_the_clock_moved_brings_no_purge_nearer() {
    let scene = off_for_twenty_days(one_of_forty_deleted().0);
    scene.vault.tick().unwrap();
    assert_eq!(held(&scene), (0, None));
    scene.pass(2 * HOUR_MS);
    assert_eq!(held(&scene), (0, None));
    scene.pass(HOUR_MS);
    assert_eq!(held(&scene), (1, None));
}

#[test]
fn an_operator_who_gives_a_time_off_away_that_never_was_has_a_day_to_notice() {
    let scene = off_for_twenty_days(one_of_forty_deleted().0);
    let wall_ms = scene.clocks.lock().wall_ms;
    let catch_up = |by_ms, wall_ms| {
        scene.vault.confirm_clock(
            Who::Folder,
            Seen {
                wall_ms,
                catch_up_ms: Some(by_ms),
            },
        )
    };
    // Half of a day needs nobody's word, and so little counts together.
    catch_up(DAY_MS / 2, None).unwrap();
    let refused = catch_up(DAY_MS, None).unwrap_err();
    assert!(matches!(refused, Error::CatchUpUnseen { .. }), "{refused}");
    let wrong = catch_up(DAY_MS, Some(wall_ms - 19 * DAY_MS)).unwrap_err();
    assert!(matches!(wrong, Error::WallClock { .. }), "{wrong}");
    let before_ms = scene.vault.now().vault_ms;
    catch_up(10 * DAY_MS, Some(wall_ms)).unwrap();
    assert_eq!(scene.vault.now().vault_ms, before_ms + 10 * DAY_MS);
    // What is told to be due is what a purge would take.
    assert_eq!(scene.vault.observe().unwrap().repositories[0].due, 0);
    assert_eq!(held(&scene), (0, None));
    scene.pass(2 * HOUR_MS);
    assert_eq!(held(&scene), (0, None), "its three hours are not over");
    scene.pass(HOUR_MS);
    assert_eq!(held(&scene), (1, None));
}

#[test]
pub(crate) fn a_lost_answer_and_the_delete_after_it_lose_nothing() {
    let scene = Scene::new();
    let maintain = scene.token(Right::Maintain);
    scene.init(&maintain);
    let pack = scene.put(&maintain, FileType::Data, b"a pack").unwrap();
    // The answer was lost: restic deletes, then posts again.
    scene.vault.remove(&maintain, &repository(), pack).unwrap();
    scene.put_as(&maintain, pack, b"a pack").unwrap();
    let scene = scene.reopened();
    assert_eq!(scene.read(&maintain, View::Now, pack).unwrap(), b"a pack");
}

#[test]
pub(crate) fn a_flood_of_snapshots_stops_at_the_bound_of_a_day() {
    let scene = Scene::new();
    let honest = scene.token(Right::Append);
    scene.init(&honest);
    let new = NewToken {
        daily_bytes: Some(1 << 20),
        daily_objects: Some(200),
        ..new_token(Right::Append)
    };
    let stolen = scene.admit(&new);
    let mut taken = 0;
    for number in 0..250_u32 {
        let put = scene.put(&stolen, FileType::Snapshots, &number.to_le_bytes());
        match put {
            Ok(_) => taken += 1,
            Err(error) => assert!(matches!(error, Error::Full { .. }), "{error}"),
        }
    }
    assert_eq!(taken, 200);
    scene
        .put(&honest, FileType::Snapshots, b"a snapshot")
        .unwrap();
    assert_eq!(
        scene
            .vault
            .hide(Who::Folder, &stolen.name, 0)
            .unwrap()
            .objects,
        200
    );
    assert_eq!(scene.list(&honest, View::Now, FileType::Snapshots).len(), 1);
}

#[test]
pub(crate) fn a_name_that_was_never_put_is_no_oracle() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    let name = FileName::new(FileType::Data, Id::of(b"x"));
    let missing = scene.read(&append, View::Now, name);
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{missing:?}"
    );
    scene.init(&append);
    let missing = scene.read(&append, View::Now, name);
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{missing:?}"
    );
}

/// A vault of which one of forty packs was asked to be deleted, and who has put them.
fn one_of_forty_deleted() -> (Scene, Principal) {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let packs = scene.put_packs(&append, 40, 50);
    scene
        .vault
        .remove(&maintain, &repository(), packs[0])
        .unwrap();
    (scene, append)
}

/// The same vault, after its machine was off for twenty days as the wall clock has it.
fn off_for_twenty_days(scene: Scene) -> Scene {
    {
        let mut clocks = scene.clocks.lock();
        clocks.boot = "two".to_owned();
        clocks.boottime_ms = 1;
        clocks.wall_ms += 20 * DAY_MS;
    }
    scene.reopened()
}

fn held(scene: &Scene) -> (u64, Option<Hold>) {
    let outcomes = scene.vault.purge().unwrap();
    let (_, purged) = &outcomes[0];
    (purged.objects, purged.held)
}
