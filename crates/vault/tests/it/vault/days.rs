//! What a token may put and delete in a day.

use strongroom_model::FileType;
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::rules::clock::{DAY_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{NewToken, Principal, TokenDay};

use super::scene::{Scene, new_token, repository};

#[test]
pub(crate) fn repositories_are_bounded_by_the_day_as_objects_are() {
    let scene = Scene::new();
    let append = scene.admit(&NewToken {
        prefix: "acme".parse().unwrap(),
        daily_objects: Some(3),
        ..new_token(Right::Append)
    });
    let make = |number| {
        let path = format!("acme/r{number}").parse().unwrap();
        scene.vault.create(&append, &path)
    };
    assert_eq!((0..10).filter(|number| make(*number).is_ok()).count(), 3);
    assert_eq!(scene.vault.repositories().unwrap().len(), 3);
}

/// A token that may put and delete so many objects in a day.
fn bounded(scene: &Scene, right: Right, daily_objects: Option<u64>) -> Principal {
    scene.admit(&NewToken {
        daily_objects,
        ..new_token(right)
    })
}

#[test]
fn deletions_use_up_the_day() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let packs: Vec<_> = (0..6_u8)
        .map(|number| scene.put(&append, FileType::Data, &[number]).unwrap())
        .collect();
    let maintain = bounded(&scene, Right::Maintain, Some(4));
    let delete = |pack| scene.vault.remove(&maintain, &repository(), pack);
    for pack in &packs[..4] {
        delete(*pack).unwrap();
    }
    // What is gone already costs nothing, and is not refused.
    delete(packs[0]).unwrap();
    // Until when is said: of a deletion so that whoever asks may ask again, and of what is put in
    // words.
    let refused = delete(packs[4]);
    let Err(Error::DayIsUsedUp { until, pause }) = refused else {
        panic!("{refused:?}");
    };
    let left_ms = until.as_millisecond() - scene.vault.now().vault_ms;
    assert!((1..=DAY_MS).contains(&left_ms), "{until}");
    assert_eq!(until.as_millisecond() % DAY_MS, 0);
    let left_s = u64::try_from(left_ms / SECOND_MS).unwrap();
    assert_eq!(pause.as_secs(), left_s + 1);
    let refused = scene.put(&maintain, FileType::Data, b"more");
    let Err(Error::Full { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains(&until.to_string()), "{reason}");
    scene.pass(DAY_MS);
    delete(packs[4]).unwrap();
    // Who says nothing has a bound all the same.
    bounded(&scene, Right::Maintain, None);
    let tokens = scene.vault.tokens().unwrap();
    assert_eq!(tokens.last().unwrap().daily_objects, Some(1_000_000));
}

#[test]
pub(crate) fn the_log_tells_what_a_new_token_may_do_in_a_day() {
    let scene = Scene::new();
    bounded(&scene, Right::Maintain, Some(9_000_000_000));
    bounded(&scene, Right::Append, None);
    let new = NewToken {
        daily_bytes: Some(1 << 40),
        daily_objects: Some(7),
        ..new_token(Right::Append)
    };
    scene.vault.create_token(Who::Folder, &new).unwrap();
    let leaves = scene.acts("token-made");
    let told = |field: &str| {
        let told = leaves.iter().map(|leaf| leaf[field].as_u64());
        told.collect::<Vec<_>>()
    };
    // One for which nothing was said has a bound too, and the log tells that one.
    let objects = [Some(9_000_000_000), Some(1_000_000), Some(7)];
    assert_eq!(told("daily_objects"), objects);
    assert_eq!(told("daily_bytes"), [None, None, Some(1 << 40)]);
    assert!(leaves[0].get("daily_bytes").is_none(), "{}", leaves[0]);
}

#[test]
pub(crate) fn the_day_of_a_token_can_be_raised() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let packs: Vec<_> = (0..4_u8)
        .map(|number| scene.put(&append, FileType::Data, &[number]).unwrap())
        .collect();
    let maintain = bounded(&scene, Right::Maintain, Some(2));
    let delete = |pack| scene.vault.remove(&maintain, &repository(), pack);
    for pack in &packs[..2] {
        delete(*pack).unwrap();
    }
    assert!(delete(packs[2]).is_err());
    let day = |daily_bytes, daily_objects| TokenDay {
        daily_bytes,
        daily_objects,
    };
    let set = |day| scene.vault.set_token_day(Who::Folder, &maintain.name, day);
    assert_eq!(set(day(None, Some(3))).unwrap(), day(None, Some(3)));
    delete(packs[2]).unwrap();
    // What is used up stays counted.
    assert!(delete(packs[3]).is_err());
    let both = day(Some(1_000), Some(3));
    assert_eq!(set(day(Some(1_000), None)).unwrap(), both);
    // That nothing changes is no act.
    assert_eq!(set(both).unwrap(), both);
    let leaves = scene.acts("token-day");
    assert_eq!(leaves.len(), 2);
    assert_eq!(leaves[0]["token"], maintain.name);
    // They are called what they are in the leaf of a new token.
    assert_eq!(leaves[0]["daily_objects"], 3);
    assert!(leaves[0].get("daily_bytes").is_none());
    assert_eq!(leaves[1]["daily_objects"], 3);
    assert_eq!(leaves[1]["daily_bytes"], 1_000);
    let refused = set(day(None, Some(u64::MAX)));
    assert!(
        matches!(refused, Err(Error::Malformed { .. })),
        "{refused:?}"
    );
    let unknown = scene.vault.set_token_day(Who::Folder, "nobody", both);
    assert!(matches!(unknown, Err(Error::Unknown { .. })), "{unknown:?}");
}

#[test]
pub(crate) fn a_token_that_may_not_do_anything_is_given_no_day() {
    let scene = Scene::new();
    let day = TokenDay {
        daily_bytes: None,
        daily_objects: Some(5),
    };
    let set = |name: &str| scene.vault.set_token_day(Who::Folder, name, day);
    let (revoked, reader) = (scene.token(Right::Append), scene.token(Right::Read));
    scene
        .vault
        .revoke_token(Who::Folder, &revoked.name)
        .unwrap();
    let new = NewToken {
        expires_in_ms: Some(MINUTE_MS),
        ..new_token(Right::Append)
    };
    let expires = scene.vault.create_token(Who::Folder, &new).unwrap().name;
    assert_eq!(set(expires.as_str()).unwrap(), day);
    scene.pass(10 * MINUTE_MS);
    for (name, why) in [
        (revoked.name.as_str(), "does not count any more"),
        (expires.as_str(), "does not count any more"),
        (reader.name.as_str(), "only reads"),
    ] {
        let refused = set(name);
        let Err(Error::Malformed { reason, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains(name), "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
    assert_eq!(scene.acts("token-day").len(), 1);
    // Receipts use up a day as well.
    let reporter = scene.token(Right::Report);
    assert_eq!(set(reporter.name.as_str()).unwrap(), day);
    // No token is made with a bound that the database does not hold.
    for (daily_bytes, daily_objects) in [(Some(1 << 63), None), (None, Some(u64::MAX))] {
        let refused = scene.vault.create_token(
            Who::Folder,
            &NewToken {
                daily_bytes,
                daily_objects,
                ..new.clone()
            },
        );
        assert!(
            matches!(refused, Err(Error::Malformed { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(scene.vault.tokens().unwrap().len(), 4);
}
