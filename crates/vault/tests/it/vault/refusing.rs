//! Refusals are in the log: the first at once, all of them counted, and none can flood it.

use strongroom_model::FileType;
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::purge::Tombstones;
use strongroom_vault::rules::refusals::Reason;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::NewToken;

use super::scene::{Scene, new_token, repository};

/// What the leaves tell: token, reason, how many before.
fn told(scene: &Scene) -> Vec<(String, String, u64)> {
    let leaves = scene.acts("refusal");
    let told = leaves.iter().map(|leaf| {
        let token = leaf["token"].as_str().unwrap_or("-").to_owned();
        let reason = leaf["reason"].as_str().unwrap().to_owned();
        (token, reason, leaf["before"].as_u64().unwrap())
    });
    told.collect()
}

#[test]
fn a_deletion_that_is_refused_a_hundred_times_is_two_leaves() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let refuse = || {
        let error = scene
            .vault
            .remove(&append, &repository(), pack)
            .unwrap_err();
        let path = repository();
        let token = Some(append.name.as_str());
        scene.vault.note_refusal(&error, true, token, Some(&path));
    };
    refuse();
    assert_eq!(scene.vault.tell_refusals(false).unwrap(), 1);
    (0..99).for_each(|_| refuse());
    assert_eq!(scene.vault.tell_refusals(false).unwrap(), 0);
    scene.pass(MINUTE_MS);
    assert_eq!(scene.vault.tell_refusals(false).unwrap(), 1);
    scene.pass(HOUR_MS);
    assert_eq!(scene.vault.tell_refusals(true).unwrap(), 0);
    let of = |before| (append.name.clone(), "deletion".to_owned(), before);
    assert_eq!(told(&scene), [of(0), of(98)]);
    assert_eq!(scene.acts("refusal")[0]["repository"], "acme/repos");
    let count = scene
        .vault
        .refusals()
        .find(|(reason, _)| *reason == Reason::Deletion);
    assert_eq!(count.unwrap().1, 100);
}

#[test]
fn a_stranger_cannot_write_names_of_his_own_into_the_log() {
    let scene = Scene::new();
    scene
        .vault
        .add_repository(Who::Folder, &repository())
        .unwrap();
    let invented = "some/name".parse().unwrap();
    for path in [&invented, &repository()] {
        scene.vault.note_no_token(Some(path));
        scene.vault.tell_refusals(false).unwrap();
        scene.pass(MINUTE_MS);
    }
    // Who is known answers for what he writes.
    let append = scene.token(Right::Append);
    let refused = Error::Forbidden {
        token: append.name.clone(),
        action: "read".to_owned(),
    };
    let token = Some(append.name.as_str());
    for path in [&invented, &repository()] {
        scene.vault.note_refusal(&refused, false, token, Some(path));
    }
    scene.vault.tell_refusals(true).unwrap();
    let leaves = scene.acts("refusal");
    let told: Vec<_> = leaves
        .iter()
        .map(|leaf| (leaf["repository"].as_str(), leaf["elsewhere"].as_bool()))
        .collect();
    assert_eq!(
        told,
        [
            (None, None),
            (Some("acme/repos"), None),
            (Some("some/name"), Some(true))
        ]
    );
}

#[test]
fn the_end_of_a_process_tells_what_is_left() {
    let scene = Scene::new();
    for _ in 0..2 {
        for _ in 0..10 {
            assert!(scene.vault.authenticate("srt-nobody-knows").is_err());
        }
        scene.vault.tell_refusals(false).unwrap();
    }
    scene.vault.tell_refusals(true).unwrap();
    let of = |before| ("-".to_owned(), "unknown-token".to_owned(), before);
    assert_eq!(told(&scene), [of(9), of(9)]);
}

#[test]
fn what_is_wrong_with_a_token_is_in_the_log_and_not_in_the_answer() {
    let scene = Scene::new();
    let new = NewToken {
        expires_in_ms: Some(HOUR_MS),
        ..new_token(Right::Read)
    };
    let short = scene.vault.create_token(Who::Folder, &new).unwrap();
    let ended = scene.vault.create_token(Who::Folder, &new).unwrap();
    scene.vault.revoke_token(Who::Folder, &ended.name).unwrap();
    let forged = format!("{}x", short.reveal());
    let answers: Vec<String> = [ended.reveal(), &forged, "srt-a-b", ""]
        .into_iter()
        .map(|text| scene.vault.authenticate(text).unwrap_err().to_string())
        .collect();
    scene.pass(HOUR_MS);
    let expired = scene.vault.authenticate(short.reveal()).unwrap_err();
    assert!(answers.iter().all(|answer| *answer == expired.to_string()));
    scene.vault.tell_refusals(true).unwrap();
    let mut told = told(&scene);
    told.sort_by(|a, b| a.1.cmp(&b.1));
    let of = |token: &str, reason: &str, before| (token.to_owned(), reason.to_owned(), before);
    assert_eq!(
        told,
        [
            of(&short.name, "expired", 0),
            of(&ended.name, "revoked", 0),
            of("-", "unknown-token", 1),
            of(&short.name, "wrong-secret", 0),
        ]
    );
    let leaves = format!("{:?}", scene.acts("refusal"));
    let secret = short.reveal().splitn(3, '-').nth(2).unwrap();
    assert!(!leaves.contains(secret), "{leaves}");
}

#[test]
fn thousands_of_refusals_are_a_handful_of_leaves() {
    let scene = Scene::new();
    for number in 0..20_000 {
        let text = format!("srt-{number}-x");
        assert!(scene.vault.authenticate(&text).is_err());
        if number % 2_000 == 0 {
            scene.vault.tell_refusals(false).unwrap();
        }
    }
    scene.vault.tell_refusals(true).unwrap();
    let leaves = told(&scene);
    assert_eq!(leaves.len(), 2);
    let counted: u64 = leaves.iter().map(|(_, _, before)| before + 1).sum();
    assert_eq!(counted, 20_000);
}

#[test]
fn whatever_is_refused_has_its_reason() {
    let scene = Scene::new();
    let what = "receipt";
    for (error, reason) in [
        (
            Error::OtherClient {
                token: "a".to_owned(),
            },
            Reason::OtherClient,
        ),
        (
            Error::Malformed {
                what,
                reason: "its signature does not hold".to_owned(),
            },
            Reason::Malformed,
        ),
        (Error::DayIsOver { what, pause_s: 1 }, Reason::NoRoom),
        (Error::TooManyLocks { most: 16 }, Reason::NoRoom),
        (
            Error::OtherTombstones {
                repository: repository(),
                found: Tombstones::default(),
                agreed: Tombstones::default(),
            },
            Reason::NeedsApproval,
        ),
    ] {
        let count = || {
            let mut counts = scene.vault.refusals();
            counts.find(|(known, _)| *known == reason).unwrap().1
        };
        let before = count();
        scene.vault.note_refusal(&error, false, None, None);
        assert_eq!(count(), before + 1, "{error}");
    }
    // What is nobody's fault is no refusal.
    let before: u64 = scene.vault.refusals().map(|(_, count)| count).sum();
    scene
        .vault
        .note_refusal(&Error::Unfinished, false, None, None);
    let after: u64 = scene.vault.refusals().map(|(_, count)| count).sum();
    assert_eq!(before, after);
}
