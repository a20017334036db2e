//! Somebody is at work for ever on a copy that was away, so that what was removed stays there.

use strongroom_engine::removals::finish_alone;
use strongroom_repo::lock::Lock;

use super::*;

/// Finishes as a sync does, and returns what came of the second copy.
fn finished_on_two(world: &World) -> FinishedCopy {
    let session = world.open(&["one", "two"]);
    let (environment, progress) = (&world.fixture.environment, &world.fixture.progress);
    let mut finished = finish_alone(&session, None, environment, progress).unwrap();
    assert_eq!(finished.len(), 1, "{finished:?}");
    let two = finished.remove(0);
    assert_eq!((two.name.as_str(), &two.failure), ("two", &None));
    two
}

#[test]
fn who_is_at_work_for_ever_is_told_with_since_when_that_keeps_what_and_what_to_type() {
    let world = World::new();
    world.publish(&["one"]);
    world.finish(&mut world.open(&["one"]));
    let lock = Lock {
        time: (world.fixture.environment.clock)(),
        exclusive: false,
        hostname: "elsewhere".to_owned(),
        username: "somebody".to_owned(),
        pid: 7,
        uid: 0,
        gid: 0,
    };
    let (id, bytes) = lock.seal(&world.fixture.key, 2).unwrap();
    let name = FileName::new(FileType::Locks, id);
    world.copy("two").store.save(name, &bytes).unwrap();

    let two = finished_on_two(&world);
    assert_eq!((two.removed, two.waiting), (0, world.first.len() as u64));
    let told = two.in_use.unwrap();
    let reason = &told.reason;
    assert!(reason.contains("since 2026-06-01T12:00:00Z"), "{reason}");
    assert!(reason.contains("process 7 on elsewhere"), "{reason}");
    let hint = told.hint.unwrap();
    assert!(hint.contains("strongroom unlock --all"), "{hint}");
    assert_eq!(world.left("two"), world.first.len());

    world.copy("two").store.remove(name).unwrap();
    let two = finished_on_two(&world);
    assert_eq!((two.removed, two.in_use), (world.first.len() as u64, None));
    assert_eq!(world.left("two"), 0);
}
