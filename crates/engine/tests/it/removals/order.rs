//! Snapshots are forgotten each day, so that locks hold some of them at any time: what an earlier prune
//! let go of goes all the same.

use std::time::Duration;

use strongroom_engine::removals::finish_alone;
use strongroom_store::{Locks as _, Versions};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn what_was_let_go_of_waits_for_no_snapshot_that_was_forgotten_later() {
    for (hours, goes) in [(24, true), (-24, false)] {
        let mut world = World::new();
        let offsite = world.add_offsite(FakeBucket::locking("offsite", DAY * 30));
        let copies = ["one", "offsite"];
        world.publish(&copies);
        // The other snapshot is forgotten, and its lock ends behind all others.
        let is_snapshot = |name: &&FileName| name.kind() == FileType::Snapshots;
        let forgotten = *world.second.iter().find(is_snapshot).unwrap();
        let forget = Removal {
            at: world.now + SignedDuration::from_hours(hours),
            by: RemovedBy::Forget,
            snapshots: ids(&world.second, FileType::Snapshots),
            index: BTreeSet::new(),
            data: BTreeSet::new(),
            stays: BTreeSet::new(),
            ..world.removal()
        };
        let mut session = world.open(&copies);
        let memory = world.memory(&session);
        publish(&mut session, &memory, forget).unwrap();
        let lock = |name: FileName, days: u32| {
            let version = offsite.versions_of(name).unwrap().remove(0).version;
            let until = offsite.now().unwrap() + DAY * days;
            offsite.lock_until(name, Some(&version), until).unwrap();
        };
        lock(forgotten, 53);
        let is_index = |name: &&FileName| name.kind() == FileType::Index;
        lock(*world.first.iter().find(is_index).unwrap(), 50);

        let is_listed = |name: &FileName| {
            let listed = offsite.list(name.kind()).unwrap();
            listed.iter().any(|entry| Some(entry.id) == name.id())
        };
        let (environment, progress) = (&world.fixture.environment, &world.fixture.progress);
        // First its snapshot can go, and then its index file.
        for days in [48, 3] {
            offsite.advance(DAY * days);
            let session = world.open(&["offsite"]);
            finish_alone(&session, None, environment, progress).unwrap();
        }
        let left: Vec<&FileName> = world.first.iter().filter(|name| is_listed(name)).collect();
        let are_left = left.iter().all(|name| name.kind() != FileType::Snapshots);
        assert!(are_left, "{left:?}");
        assert_eq!(left.is_empty(), goes, "{left:?}");
        // What it refers to itself is there as long as it is.
        assert!(world.second.iter().all(is_listed));
    }
}
