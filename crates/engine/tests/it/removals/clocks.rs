//! Somebody sets the clock of this machine, so that the week seems to be over in which a removal of
//! others can be taken back.

use std::time::Duration;

use super::*;

const COPIES: [&str; 2] = ["one", "offsite"];

/// Longer than the removal of others waits.
const EIGHT_DAYS: Duration = Duration::from_secs(8 * 86_400);

/// A bucket whose clock is right beside a folder, and a removal that somebody else wrote.
fn world() -> (World, Arc<FakeBucket>) {
    let mut world = World::new();
    let offsite = world.add_offsite(FakeBucket::new("offsite"));
    offsite.set_time(u64::try_from(world.now.as_second()).unwrap());
    world.forge("one", &Record::Removal(world.removal()));
    (world, offsite)
}

#[test]
fn a_clock_that_is_set_ahead_finishes_no_removal_of_others_before_its_time() {
    let (world, offsite) = world();
    let session = world.open(&COPIES);
    let told = session.removals.tellings();
    assert!(matches!(told, [Telling::Foreign { .. }]), "{told:?}");

    let ahead = world.now + EIGHT_DAYS;
    let mut session = world.open_at(&COPIES, &world.state, ahead);
    let told = session.removals.tellings();
    let is_ahead = |told: &Telling| match told {
        Telling::ClockAhead { copy, ours, .. } => copy == "offsite" && *ours == ahead,
        _ => false,
    };
    assert!(told.iter().any(is_ahead), "{told:?}");
    assert_eq!(session.removals.alarms(&session).len(), 1, "it is not due");
    for finished in world.finish(&mut session) {
        assert_eq!(finished.removed, 0, "{finished:?}");
    }
    assert_eq!(world.left("one"), world.first.len());

    // The week is over by every clock.
    offsite.advance(EIGHT_DAYS);
    let mut session = world.open_at(&COPIES, &world.state, ahead);
    assert_eq!(session.removals.tellings(), []);
    world.finish(&mut session);
    assert_eq!(world.left("one"), 0);
}

#[test]
fn a_clock_that_was_set_back_when_a_removal_was_first_seen_makes_it_no_older() {
    let (world, _offsite) = world();
    world.open_at(&COPIES, &world.state, world.now - EIGHT_DAYS);
    let mut session = world.open(&COPIES);
    assert_eq!(session.removals.alarms(&session).len(), 1, "it is new");
    for finished in world.finish(&mut session) {
        assert_eq!(finished.removed, 0, "{finished:?}");
    }
    assert_eq!(world.left("one"), world.first.len());
}
