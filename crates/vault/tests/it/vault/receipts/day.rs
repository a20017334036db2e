//! What a token may send of receipts in a day, and what those on their way take of the disk.

use strongroom_model::Id;
use strongroom_vault::Error;
use strongroom_vault::records::client_keys::{self, Sent};
use strongroom_vault::rules::clock::DAY_MS;
use strongroom_vault::rules::purge::day_of;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Principal;

use super::World;
use crate::signing::{Client, first, send_bytes};
use crate::vault::scene::{Scene, repository};

#[test]
fn a_day_ends_for_receipts_too() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    let receipt = world.receipt();
    let today = day_of(scene.vault.now().vault_ms);
    let sent = |receipts, files, bytes| Sent {
        day: today,
        receipts,
        files,
        bytes,
    };
    for full in [
        sent(5_000, 0, 0),
        sent(0, 4_000_000, 0),
        sent(0, 0, 1 << 30),
    ] {
        set_sent(scene, &append.name, full);
        let refused = world.client.send(scene, append, &receipt);
        assert!(
            matches!(
                refused,
                Err(Error::DayIsOver {
                    pause_s: 1..=3600,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    scene.pass(DAY_MS);
    world.client.send(scene, append, &receipt).unwrap();
}

fn set_sent(scene: &Scene, name: &str, sent: Sent) {
    let token = token_row(scene, name);
    scene
        .vault
        .database()
        .write(&mut |transaction| client_keys::set_sent(transaction, token, sent))
        .unwrap();
}

fn sent_by(scene: &Scene, name: &str) -> Sent {
    let token = token_row(scene, name);
    let database = scene.vault.database();
    let sent = database.look(|transaction| client_keys::sent(transaction, token));
    sent.unwrap()
}

#[test]
fn receipts_that_are_refused_use_up_the_day_too() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    let receipt = world.receipt();
    // Signed by one client, and sent as another's.
    let signed = world.client.sign(&receipt);
    let forged = Client::new(2).request(&signed);
    let nonsense = vec![b'['; 1_000];
    for (bad, count) in [(&forged, 1), (&nonsense, 2), (&forged, 3)] {
        let refused = send_bytes(&scene.vault, scene, append, bad);
        assert!(
            matches!(refused, Err(Error::Malformed { .. })),
            "{refused:?}"
        );
        assert_eq!(sent_by(scene, &append.name).receipts, count);
    }
    let bytes = 2 * forged.len() as u64 + 1_000;
    assert_eq!(sent_by(scene, &append.name).bytes, bytes);
    let full = Sent {
        receipts: 4_999,
        ..sent_by(scene, &append.name)
    };
    set_sent(scene, &append.name, full);
    send_bytes(&scene.vault, scene, append, &forged).unwrap_err();
    let refused = world.client.send(scene, append, &receipt);
    assert!(
        matches!(refused, Err(Error::DayIsOver { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_is_looked_through_is_counted_though_nothing_comes_of_it() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    // A long lineage; what it names need not be there.
    let mut needs = world.needs();
    needs
        .packs
        .extend((0..1_000_u32).map(|number| Id::of(&number.to_be_bytes())));
    let receipt = world.client.receipt(world.snapshot, None, first(&needs));
    world.client.send(scene, append, &receipt).unwrap();
    // One that begins anew, and drops behind all others what no receipt ever named.
    let mut broken = world.receipt();
    broken
        .needs
        .packs_dropped
        .insert(Id::from_bytes([0xff; 32]));
    let before = sent_by(scene, &append.name).files;
    let refused = world.client.send(scene, append, &broken);
    assert!(
        matches!(refused, Err(Error::Malformed { .. })),
        "{refused:?}"
    );
    let after = sent_by(scene, &append.name).files;
    assert!(after >= before + 1_000 / 8, "{before} and {after}");
    // Where the day has no room for it, it is not looked through to its end.
    let full = Sent {
        files: 4_000_000 - 10,
        ..sent_by(scene, &append.name)
    };
    set_sent(scene, &append.name, full);
    let refused = world.client.send(scene, append, &broken);
    assert!(
        matches!(refused, Err(Error::DayIsOver { .. })),
        "{refused:?}"
    );
    assert_eq!(sent_by(scene, &append.name).files, 4_000_000);
}

#[test]
fn two_processes_at_midnight_share_one_day() {
    let world = World::new();
    let (scene, append) = (&world.scene, &world.append);
    // Another process, whose clock is a moment ahead, has begun the next day and used it up.
    let full = Sent {
        day: day_of(scene.vault.now().vault_ms) + 1,
        receipts: 5_000,
        ..Sent::default()
    };
    set_sent(scene, &append.name, full);
    let receipt = world.receipt();
    let refused = world.client.send(scene, append, &receipt);
    assert!(
        matches!(refused, Err(Error::DayIsOver { .. })),
        "{refused:?}"
    );
    assert_eq!(sent_by(scene, &append.name), full);
}

#[test]
fn large_receipts_of_one_token_leave_room_for_those_of_others() {
    let world = World::new();
    let scene = &world.scene;
    let other = scene.token(Right::Report);
    let begin = |who: &Principal| {
        let mut upload = scene
            .vault
            .begin_receipt(who, &repository(), None, scene.folder.path())
            .unwrap();
        let piece = vec![b' '; 8 << 20];
        for _ in 0..7 {
            upload.write(&piece)?;
        }
        Ok(upload)
    };
    let mut waiting = Vec::new();
    let refused = loop {
        match begin(&world.append) {
            Ok(upload) => waiting.push(upload),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Crowded { .. }), "{refused:?}");
    assert_eq!(waiting.len(), 2);
    drop(begin(&other).unwrap());
    waiting.pop();
    begin(&world.append).unwrap();
}

fn token_row(scene: &Scene, name: &str) -> i64 {
    let all = scene.vault.tokens().unwrap();
    all.iter().find(|token| token.name == name).unwrap().id
}
