//! Somebody keeps locked, in a bucket, what was removed on purpose, so that nothing behind it goes.

use std::time::Duration;

use strongroom_store::{Locks as _, VersionContent, Versions};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn what_somebody_keeps_locked_is_hidden_and_named_and_holds_up_nothing_else() {
    let mut world = World::new();
    let offsite = world.add_offsite(FakeBucket::locking("offsite", DAY * 30));
    let copies = ["one", "offsite"];
    world.publish(&copies);
    let is_snapshot = |name: &&FileName| name.kind() == FileType::Snapshots;
    let snapshot = *world.first.iter().find(is_snapshot).unwrap();
    let version = offsite.versions_of(snapshot).unwrap().remove(0).version;
    let far = offsite.now().unwrap() + DAY * 1000;
    offsite.lock_until(snapshot, Some(&version), far).unwrap();
    // The locks of all others are over.
    offsite.advance(DAY * 60);
    let is_listed = |name: &FileName| {
        let listed = offsite.list(name.kind()).unwrap();
        listed.iter().any(|entry| Some(entry.id) == name.id())
    };
    let kept = |name: FileName| {
        let versions = offsite.versions_of(name).unwrap();
        let is_bytes = |content: &VersionContent| matches!(content, VersionContent::Bytes { .. });
        versions.iter().any(|version| is_bytes(&version.content))
    };
    assert!(world.first.iter().all(is_listed));

    let mut session = world.open(&copies);
    let finished = world.finish(&mut session);
    let told = finished.iter().find(|copy| copy.name == "offsite").unwrap();
    let failure = told.failure.as_ref().unwrap();
    assert!(
        failure.reason.contains(&snapshot.to_string()),
        "{failure:?}"
    );
    assert!(failure.reason.contains("hidden now"), "{failure:?}");
    assert_eq!(told.removed, world.first.len() as u64 - 1);
    assert_eq!(told.waiting, 1);
    assert!(!world.first.iter().any(is_listed));
    assert!(world.second.iter().all(is_listed));
    let left: Vec<&FileName> = world.first.iter().filter(|name| kept(**name)).collect();
    assert_eq!(left, [&snapshot]);

    // When nothing holds it any more, it goes with the next removal there.
    offsite.advance(DAY * 1000);
    let of = |kind| ids(&world.second, kind);
    let rest = Removal {
        snapshots: of(FileType::Snapshots),
        index: of(FileType::Index),
        data: of(FileType::Data),
        stays: BTreeSet::new(),
        ..world.removal()
    };
    let mut session = world.open(&copies);
    let memory = world.memory(&session);
    publish(&mut session, &memory, rest).unwrap();
    let mut session = world.open(&copies);
    let finished = world.finish(&mut session);
    let told = finished.iter().find(|copy| copy.name == "offsite").unwrap();
    assert_eq!(told.failure, None);
    assert_eq!(told.removed, world.second.len() as u64 + 1);
    assert!(!kept(snapshot));
}
