//! Copies that hang when they are asked in whose hand they are.

use std::time::Duration;

use strongroom_testkit::Gate;
use strongroom_testkit::faulty::{Fault, Op, Rule};

use super::world::World;
use crate::session::{Cancel, Looking};
use crate::status::look::{Seen, look_at_all};

/// Long enough for a few small files on a busy machine.
const LONGEST: Duration = Duration::from_secs(3);

#[test]
fn a_copy_that_hangs_only_when_it_is_asked_whose_it_is_is_asked_beside_its_listing() {
    let world = World::new();
    let made = world.backup("content", 1);
    let session = world.session();
    let (asked, listed) = (Gate::closed(), Gate::closed());
    let store = world.stores[1].inner();
    // It lists nothing before it was asked, and does not answer that ever.
    store.add(Rule::on(&[Op::List], Fault::Wait(listed.clone())));
    store.add(Rule::on(&[Op::Holder], Fault::Wait(asked.clone())));
    let looking = Looking {
        longest: LONGEST,
        cancel: Cancel::default(),
    };
    let copies = world.copies();
    let configured = world.config.copies.iter().zip(copies.iter().map(Some));
    let configured: Vec<_> = configured.collect();
    for session in [None, Some(&session)] {
        let looks = std::thread::scope(|scope| {
            scope.spawn(|| {
                asked.wait_for_waiting(1);
                listed.open();
            });
            look_at_all(&configured, session, None, &looking)
        });
        assert_eq!(looks.len(), copies.len());
        for look in &looks {
            let Seen::Ready(ready) = &look.seen else {
                panic!("{look:?}");
            };
            assert!(ready.listing.snapshots.contains(made.id), "{look:?}");
        }
    }
}
