//! Until when a copy in a bucket is said to be locked, by which clock, and what is not known of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use strongroom_model::evidence::{ClaimedLock, CopyEvidence};
use strongroom_model::scorecard::{HeldSnapshot, LockedFiles, Wholeness};
use strongroom_model::{BackupCopy, Config, FileName, FileType, Id};
use strongroom_store::{Holder, SavedLock, VersionId};
use strongroom_testkit::FakeBucket;

use super::world::{Made, World};
use crate::Listing;
use crate::locking::Window;
use crate::session::CopyStore;
use crate::state::{LockDates, RepositoryState};
use crate::status::held::Judge;
use crate::status::held_of;
use crate::status::locked::locked;
use crate::status::look::{Look, ReadyLook, Seen, look_at_session};
use crate::status::snapshots::KnownSnapshots;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What must always be left of a lock.
const LEAST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A copy in a bucket that is to be locked for thirty days, beside those in folders.
struct Offsite {
    world: World,
    copy: BackupCopy,
    bucket: Arc<FakeBucket>,
    store: CopyStore,
}

impl Offsite {
    /// By the clock of the bucket it is as late as here, and nothing is recorded.
    fn new() -> Self {
        let text = "[[source]]\nname = \"repos\"\npath = \"/srv/repos\"\n\
                    [[copy]]\nname = \"offsite\"\nstore = \"s3:https://s3.example/acme/repos\"\n\
                    medium = \"object\"\nsite = \"eu\"\ndomain = \"offsite\"\nlock = \"30d\"\n";
        let config = Config::parse(text, &|_| None).unwrap();
        let bucket = Arc::new(FakeBucket::locking("offsite", LEAST));
        let offsite = Self {
            world: World::new(),
            copy: config.copies[0].clone(),
            store: CopyStore {
                name: "offsite".to_owned(),
                store: bucket.clone(),
                is_local: false,
            },
            bucket,
        };
        offsite.set_clock(0);
        offsite
    }

    fn now(&self) -> Timestamp {
        (self.world.environment.clock)()
    }

    /// When so many days have passed.
    fn in_days(&self, days: i64) -> Timestamp {
        self.now() + SignedDuration::from_hours(24 * days)
    }

    /// Sets the clock of the bucket so many days ahead of ours, or behind it.
    fn set_clock(&self, days: i64) {
        let now_s = self.in_days(days).as_second();
        self.bucket.set_time(now_s.try_into().unwrap());
    }

    fn memory(&self) -> RepositoryState {
        self.world.state.repository(self.world.session().id())
    }

    fn change(&self, change: impl FnOnce(&mut LockDates)) {
        let changed = self.memory().update_lock_dates(&self.store, |dates| {
            change(dates);
            true
        });
        changed.unwrap();
    }

    /// Records that these files are locked for so long from now on, by our clock.
    fn note(&self, names: &[FileName], left: Duration) {
        let seen = names.iter().map(|name| SavedLock {
            name: *name,
            // Of another version what is recorded last counts.
            version: VersionId::new(left.as_secs().to_string()),
            until: SystemTime::try_from(self.now()).unwrap() + left,
        });
        self.change(|dates| dates.note(seen));
    }

    /// Everything that a snapshot needs.
    fn needed(&self, made: &Made) -> [FileName; 6] {
        [
            FileName::CONFIG,
            FileName::new(FileType::Keys, self.world.repository.key_id()),
            FileName::new(FileType::Snapshots, made.id),
            made.index,
            made.tree_pack,
            made.data_pack,
        ]
    }

    /// What is said where the bucket was seen like this, with this evidence: of what its snapshots
    /// need, which are those in the folders and `more`.
    fn told_of(
        &self,
        seen: Seen,
        evidence: &CopyEvidence,
        more: &[HeldSnapshot],
    ) -> Option<LockedFiles> {
        let (config, environment) = (&self.world.config, &self.world.environment);
        let (session, memory) = (self.world.session(), self.memory());
        let looks = look_at_session(&session);
        let known = KnownSnapshots::find(config, &looks, Some(&session), None, environment);
        let cancel = &environment.cancel;
        let mut judge = Judge::new(&looks, Some(&session), Some(&memory), None, cancel);
        let (source, known) = (&config.sources[0].name, known.unwrap());
        let mut held = held_of(&looks[0], source, &known, &mut judge).unwrap();
        held.extend_from_slice(more);
        let look = Look {
            name: "offsite".to_owned(),
            store: Some(&self.store),
            location: None,
            evidence: CopyEvidence::default(),
            holder: Holder::default(),
            seen,
        };
        let (copy, now) = (&self.copy, self.now());
        locked(copy, &look, &held, &judge, evidence, Some(&memory), now)
    }

    /// What is said where the bucket can be listed and nothing else is known.
    fn told(&self) -> Option<LockedFiles> {
        self.told_of(ready(None), &CopyEvidence::default(), &[])
    }
}

/// A bucket that can be listed, at this place.
fn ready(place: Option<Id>) -> Seen {
    Seen::Ready(ReadyLook {
        listing: Listing {
            place,
            ..Listing::default()
        },
        config: None,
        pending_keys: BTreeSet::new(),
    })
}

fn pack(text: &str) -> FileName {
    FileName::new(FileType::Data, Id::of(text.as_bytes()))
}

#[test]
fn of_two_clocks_the_later_one_counts_and_a_place_that_is_away_has_none() {
    let offsite = Offsite::new();
    let short = |seen| {
        let told = offsite.told_of(seen, &CopyEvidence::default(), &[]);
        told.unwrap().short
    };
    offsite.note(&[pack("a")], DAY * 40);
    assert_eq!(short(ready(None)), 0);
    // There 29 days are left.
    offsite.set_clock(11);
    assert_eq!(short(ready(None)), 1);
    for seen in [Seen::Empty, Seen::Failed("it is away".to_owned())] {
        assert_eq!(short(seen), 0);
    }
    // There 31 are left, and here 20.
    offsite.note(&[pack("a")], DAY * 20);
    offsite.set_clock(-11);
    assert_eq!(short(ready(None)), 1);
}

#[test]
fn each_file_counts_of_whose_lock_less_is_left_than_must_be() {
    let offsite = Offsite::new();
    let told = |until, short| {
        let told = LockedFiles {
            until,
            since: None,
            short,
            unlocked: 0,
        };
        assert_eq!(offsite.told(), Some(told));
    };
    offsite.note(&[pack("a")], LEAST);
    told(offsite.in_days(30), 0);
    offsite.note(&[pack("b")], LEAST - HOUR);
    told(offsite.in_days(30) - SignedDuration::from_hours(1), 1);
    // One that has ended.
    offsite.note(&[pack("c")], Duration::ZERO);
    told(offsite.now(), 2);
}

#[test]
fn an_end_is_told_no_later_than_it_is_believed() {
    let offsite = Offsite::new();
    offsite.note(&[pack("a"), pack("b")], DAY * 1000);
    let window = Window {
        now: offsite.now().try_into().unwrap(),
        least: LEAST,
    };
    let told = offsite.told().unwrap();
    assert_eq!(SystemTime::try_from(told.until).unwrap(), window.furthest());
    assert_eq!(told.short, 0);
    offsite.note(&[pack("a")], DAY * 40);
    assert_eq!(offsite.told().unwrap().until, offsite.in_days(40));
}

#[test]
fn a_needed_file_is_locked_where_its_date_is_recorded_still_to_come_and_believed() {
    let offsite = Offsite::new();
    let made = offsite.world.backup("content", 1);
    let needed = offsite.needed(&made);
    let unlocked = || offsite.told().unwrap().unlocked;
    // Nothing is recorded of anything.
    assert_eq!(unlocked(), 6);
    offsite.note(&needed, DAY * 40);
    assert_eq!(unlocked(), 0);
    for name in needed {
        offsite.change(|dates| dates.forget(&[name].into()));
        assert_eq!(unlocked(), 1, "{name}");
        for left in [Duration::ZERO, DAY * 1000] {
            offsite.note(&[name], left);
            assert_eq!(unlocked(), 1, "{name}: {left:?}");
        }
        offsite.note(&[name], DAY * 40);
        assert_eq!(unlocked(), 0, "{name}");
    }
    // By the clock of the bucket all of it has ended.
    offsite.set_clock(40);
    assert_eq!(unlocked(), 6);
}

#[test]
fn a_whole_snapshot_of_which_nobody_knows_what_it_needs_is_not_known_to_be_locked() {
    let offsite = Offsite::new();
    offsite.note(&[FileName::CONFIG], DAY * 40);
    let unlocked = |wholeness| {
        let unheard_of = HeldSnapshot {
            source: "repos".parse().unwrap(),
            id: Id::of(b"unheard of"),
            time: offsite.now(),
            source_errors: 0,
            wholeness,
        };
        let evidence = CopyEvidence::default();
        let told = offsite.told_of(ready(None), &evidence, &[unheard_of]);
        told.unwrap().unlocked
    };
    assert_eq!(unlocked(Wholeness::Whole), 1);
    // One that does not count as whole needs nothing there.
    assert_eq!(unlocked(Wholeness::Behind { files: 1 }), 0);
    let reason = "nobody knows".to_owned();
    assert_eq!(unlocked(Wholeness::Unknown { reason }), 0);
}

#[test]
fn where_nothing_is_recorded_the_last_look_stands_in() {
    let offsite = Offsite::new();
    let told = |days| {
        let (at, until) = (offsite.in_days(-5), offsite.in_days(days));
        let mut evidence = CopyEvidence::default();
        evidence.lock = Some(ClaimedLock::again(None, at, until, 7));
        let told = offsite.told_of(ready(None), &evidence, &[]).unwrap();
        assert_eq!((told.until, told.since), (until, Some(at)));
        (told.short, told.unlocked)
    };
    assert_eq!(told(40), (0, 0));
    assert_eq!(told(29), (1, 0));
    // By the clock of the bucket.
    offsite.set_clock(11);
    assert_eq!(told(40), (1, 0));
    // And where there was none, nothing is said while no snapshot needs anything.
    offsite.set_clock(0);
    assert_eq!(offsite.told(), None);
    offsite.world.backup("content", 1);
    let nothing = LockedFiles {
        until: offsite.now(),
        since: None,
        short: 0,
        unlocked: 6,
    };
    assert_eq!(offsite.told(), Some(nothing));
}

#[test]
fn what_another_place_has_shown_is_not_recorded_of_this_one() {
    let offsite = Offsite::new();
    let place = |text: &str| Some(Id::of(text.as_bytes()));
    let (this, another) = (place("this"), place("another"));
    offsite.note(&[pack("a")], DAY * 40);
    offsite.change(|dates| assert!(!dates.move_to(this)));
    let told = |place| offsite.told_of(ready(place), &CopyEvidence::default(), &[]);
    assert_eq!(told(this).unwrap().until, offsite.in_days(40));
    assert_eq!(told(another), None);
    assert_eq!(told(None), None);
}

#[test]
fn nothing_is_said_of_a_copy_without_a_lock() {
    let mut offsite = Offsite::new();
    offsite.note(&[pack("a")], DAY * 40);
    assert!(offsite.told().is_some());
    let lock = offsite.copy.lock.take();
    assert_eq!(offsite.told(), None);
    offsite.copy.lock = lock;
    // Nor where its place keeps none.
    offsite.store.store = Arc::new(FakeBucket::new("offsite"));
    assert_eq!(offsite.told(), None);
}
