//! Leases: one holder at a time.

use std::thread;

use strongroom_vault::Error;
use strongroom_vault::database::Database;
use strongroom_vault::database::lease::{self, Holder, Lease};

use crate::database::{Scene, both};

both! {
    a_lease_has_one_holder_until_it_ends
    a_holder_that_lost_it_is_told
    a_released_lease_is_free_at_once
    a_clock_that_is_set_back_blocks_nobody
    only_a_holder_does_what_requires_the_lease
    the_clock_of_leases_goes_on_within_a_transaction
    many_that_ask_at_once_get_it_once
}

enum Act {
    Acquire,
    Renew,
    Release,
    Require,
}
use Act::{Acquire, Release, Renew, Require};

/// Does something at a time, for ten seconds; true where it was granted.
fn at(database: &dyn Database, now_ms: i64, holder: &Holder, act: Act) -> bool {
    let lease = Lease {
        name: "purge",
        holder: *holder,
    };
    let until_ms = now_ms + 10;
    let mut granted = false;
    database
        .write(&mut |transaction| {
            granted = match act {
                Acquire => lease.acquire(transaction, now_ms, until_ms)?,
                Renew => lease.renew(transaction, now_ms, until_ms)?,
                Release => lease.release(transaction).map(|()| true)?,
                Require => match lease.require(transaction) {
                    Ok(()) => true,
                    Err(Error::LeaseLost { job: "purge" }) => false,
                    Err(error) => return Err(error),
                },
            };
            Ok(())
        })
        .unwrap();
    granted
}

fn holders() -> [Holder; 2] {
    [Holder::random().unwrap(), Holder::random().unwrap()]
}

fn a_lease_has_one_holder_until_it_ends(scene: &Scene) {
    let database = &*scene.open();
    let [a, b] = &holders();
    assert!(at(database, 100, a, Acquire));
    assert!(!at(database, 109, b, Acquire));
    assert!(at(database, 109, a, Renew));
    assert!(!at(database, 118, b, Acquire));
    assert!(at(database, 118, a, Acquire), "its own again");
    assert!(!at(database, 127, b, Acquire));
    assert!(at(database, 128, b, Acquire), "it ends at 128");
    assert!(!at(database, 128, a, Acquire));
    let other = Lease {
        name: "scrub",
        holder: *a,
    };
    database
        .write(&mut |transaction| {
            assert!(other.acquire(transaction, 128, 138)?, "another lease");
            Ok(())
        })
        .unwrap();
}

fn a_holder_that_lost_it_is_told(scene: &Scene) {
    let database = &*scene.open();
    let [a, b] = &holders();
    assert!(!at(database, 100, a, Renew), "never had");
    assert!(at(database, 100, a, Acquire));
    assert!(!at(database, 110, a, Renew), "ended, though nobody took it");
    assert!(at(database, 110, b, Acquire));
    assert!(!at(database, 111, a, Renew));
    assert!(at(database, 111, b, Renew));
}

fn a_released_lease_is_free_at_once(scene: &Scene) {
    let database = &*scene.open();
    let [a, b] = &holders();
    assert!(at(database, 100, a, Acquire));
    at(database, 101, b, Release);
    assert!(!at(database, 101, b, Acquire), "another's stays");
    at(database, 102, a, Release);
    assert!(at(database, 102, b, Acquire));
    assert!(!at(database, 103, a, Renew));
}

fn a_clock_that_is_set_back_blocks_nobody(scene: &Scene) {
    let database = &*scene.open();
    let [a, b] = &holders();
    assert!(at(database, 1_000_000, a, Acquire));
    assert_eq!(holder_at(database, 1_000_009), Some(*a));
    // No lease that was taken now could end so late.
    assert_eq!(holder_at(database, 500), None);
    assert!(at(database, 500, b, Acquire));
    assert!(!at(database, 501, a, Renew));
    assert!(!at(database, 509, a, Acquire));
    assert_eq!(holder_at(database, 509), Some(*b));
    assert_eq!(holder_at(database, 510), None);
}

fn only_a_holder_does_what_requires_the_lease(scene: &Scene) {
    let database = &*scene.open();
    let [a, b] = &holders();
    assert!(!at(database, 100, a, Require), "never had");
    assert!(at(database, 100, a, Acquire));
    assert!(at(database, 109, a, Require));
    assert!(at(database, 150, a, Require), "ended, and nobody took it");
    assert!(at(database, 150, b, Acquire));
    assert!(!at(database, 151, a, Require));
    assert!(at(database, 151, b, Require));
}

fn the_clock_of_leases_goes_on_within_a_transaction(scene: &Scene) {
    let database = scene.open();
    let (mut first_ms, mut last_ms) = (0, 0);
    database
        .write(&mut |transaction| {
            first_ms = transaction.lease_ms()?;
            let until = std::time::Instant::now() + std::time::Duration::from_millis(20);
            while std::time::Instant::now() < until {
                last_ms = transaction.lease_ms()?;
            }
            Ok(())
        })
        .unwrap();
    assert!(last_ms - first_ms >= 10, "{first_ms} {last_ms}");
    assert!(first_ms > 0);
}

/// Who holds the lease at a time.
fn holder_at(database: &dyn Database, now_ms: i64) -> Option<Holder> {
    database
        .look(|transaction| lease::holder(transaction, "purge", now_ms, 10))
        .unwrap()
}

fn many_that_ask_at_once_get_it_once(scene: &Scene) {
    let processes = [scene.open(), scene.open()];
    let granted = thread::scope(|scope| {
        let threads: Vec<_> = (0..10)
            .map(|n| {
                let database = &processes[n % 2];
                scope.spawn(move || at(&**database, 100, &Holder::random().unwrap(), Acquire))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|granted| *granted)
            .count()
    });
    assert_eq!(granted, 1);
}

#[test]
fn a_holder_is_like_no_other() {
    let [a, b] = holders();
    assert_ne!(a, b);
}
