//! What records may do, told from what was gathered of them, without a copy: forged, held, annulled, of
//! a newer version, and those that wait. What can go wrong: one that should not count is obeyed.

use std::collections::BTreeSet;

use strongroom_model::holds::Hold;
use strongroom_repo::record::RemovedBy;

use super::*;
use crate::Files;

/// When the records are looked at.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn id(text: &str) -> Id {
    Id::of(text.as_bytes())
}

fn ids(names: &[&str]) -> BTreeSet<Id> {
    names.iter().map(|name| id(name)).collect()
}

fn removal(snapshots: &[&str], data: &[&str]) -> Removal {
    Removal {
        at: NOW,
        host: "web-1".to_owned(),
        by: RemovedBy::Prune,
        snapshots: ids(snapshots),
        index: BTreeSet::new(),
        data: ids(data),
        stays: ids(&["stays"]),
    }
}

fn origin(is_ours: bool) -> Origin {
    let signer = None;
    Origin { is_ours, signer }
}

/// One removal of a snapshot and a pack, by this machine or seen so many hours ago.
fn found(is_ours: bool, hours_ago: i64) -> Found {
    let mut found = Found {
        now: Some(NOW),
        ..Found::default()
    };
    let seen = NOW - SignedDuration::from_hours(hours_ago);
    let record = Record::Removal(removal(&["snapshot"], &["pack"]));
    let seen = Some(seen).filter(|_| !is_ours);
    assert!(found.add(id("record"), record, origin(is_ours), seen));
    found
}

fn pack() -> FileName {
    FileName::new(FileType::Data, id("pack"))
}

#[test]
fn what_this_machine_decided_goes_at_once_and_of_others_it_is_told_for_a_week() {
    let ours = Removals::of(found(true, 0));
    assert!(ours.names(pack()) && ours.may_go(pack()));
    assert_eq!(ours.tellings(), []);
    let new = Removals::of(found(false, 0));
    assert!(new.names(pack()) && !new.may_go(pack()));
    let file = |text: &str| RemovedFile {
        name: FileName::new(FileType::Data, id(text)),
        size_bytes: 7,
    };
    // Of what no record names, and of what we decided, nobody takes anything back.
    let until = new.waits_until(&[file("pack"), file("other")]);
    assert_eq!(until, [(pack(), NOW + OTHERS_WAIT)].into());
    assert!(ours.waits_until(&[file("pack")]).is_empty());
    let [told] = new.tellings() else {
        panic!("{:?}", new.tellings());
    };
    assert!(matches!(
        told,
        Telling::Foreign {
            snapshots: 1,
            others: 1,
            ..
        }
    ));
    assert!(told.to_string().contains("web-1"), "{told}");
    assert!(told.hint().contains("forget --annul"), "{}", told.hint());
    assert!(!Removals::of(found(false, 7 * 24 - 1)).may_go(pack()));
    let old = Removals::of(found(false, 7 * 24));
    assert!(old.may_go(pack()));
    assert_eq!(old.tellings(), []);
}

#[test]
fn of_two_records_that_name_a_file_the_first_that_is_due_counts() {
    for (first, second) in [(1, 50), (50, 1)] {
        let mut found = found(false, first);
        let record = Record::Removal(removal(&[], &["pack", "other"]));
        let seen = NOW - SignedDuration::from_hours(second);
        assert!(found.add(id("second"), record, origin(false), Some(seen)));
        let file = RemovedFile {
            name: pack(),
            size_bytes: 7,
        };
        let until = Removals::of(found).waits_until(&[file]);
        let due = NOW + OTHERS_WAIT - SignedDuration::from_hours(50);
        assert_eq!(until, [(pack(), due)].into());
    }
}

#[test]
fn a_removal_of_others_is_decided_when_this_machine_saw_it_whatever_it_says() {
    let files = BTreeSet::from([pack()]);
    let decided = |found: Found| Removals::of(found).decided(&files);
    let at = |time: Timestamp| HashMap::from([(pack(), SystemTime::try_from(time).unwrap())]);
    assert_eq!(decided(found(true, 9)), at(NOW));
    let seen = |hours: i64| NOW - SignedDuration::from_hours(hours);
    assert_eq!(decided(found(false, 200)), at(seen(200)));
    // That somebody accepts it makes its time no truer.
    let mut accepted = found(false, 9);
    accepted.trust.removals.insert(id("record"), NOW);
    assert_eq!(decided(accepted), at(seen(9)));
}

#[test]
fn nothing_that_others_decided_goes_while_a_record_is_unread_or_too_much() {
    let unread = Telling::Unread {
        files: vec![id("unread")],
        reason: "away".to_owned(),
    };
    for problem in [unread, Telling::TooMany { left_out: 1 }] {
        for is_ours in [true, false] {
            let mut found = found(is_ours, 1000);
            found.problems.push(problem.clone());
            let removals = Removals::of(found);
            assert!(removals.names(pack()));
            assert_eq!(removals.may_go(pack()), is_ours, "{problem}");
            assert_eq!(removals.are_all_due(), is_ours, "{problem}");
        }
    }
    let mut found = found(false, 1000);
    found.problems.push(Telling::Junk { files: Vec::new() });
    assert!(Removals::of(found).may_go(pack()), "junk says nothing");
}

#[test]
fn without_a_state_folder_what_others_decided_only_hides() {
    let mut found = found(false, 1000);
    found.now = None;
    let removals = Removals::of(found);
    assert!(removals.names(pack()) && !removals.may_go(pack()));
}

#[test]
fn a_removal_that_names_what_is_held_does_not_count_and_neither_does_one_that_was_taken_back() {
    let mut held = found(true, 0);
    let mut holds = Holds::default();
    let hold = Hold {
        since: NOW,
        why: String::new(),
    };
    holds.hold(id("snapshot"), hold);
    let list = Record::Holds(holds.clone());
    held.add(id("list of a copy"), list, origin(false), None);
    let removals = Removals::of(held.clone());
    assert!(!removals.names(pack()) && !removals.may_go(pack()));
    assert_eq!(removals.records().count(), 0);
    assert!(matches!(removals.tellings(), [Telling::Held { .. }]));
    assert!(removals.holds().held(id("snapshot")).is_some());
    // Our own list knows better.
    let mut own = holds;
    own.release(id("snapshot"), NOW);
    held.own_holds = Some(own);
    assert!(Removals::of(held).names(pack()));

    let mut annulled = found(true, 0);
    let annulment = Annulment {
        at: NOW,
        host: "web-1".to_owned(),
        record: id("record"),
    };
    let annulment = Record::Annulment(annulment);
    annulled.add(id("annulment"), annulment, origin(false), None);
    let removals = Removals::of(annulled);
    assert!(!removals.names(pack()));
    let record = id("record");
    assert_eq!(removals.resolve(&record.short()).unwrap(), record);
    assert!(removals.resolve("").is_err() && removals.resolve("zz").is_err());
}

#[test]
fn of_records_that_begin_alike_none_is_meant_by_its_first_digits() {
    let record = id("record");
    let digits: String = record.to_string().chars().take(2).collect();
    let is_alike = |other: &Id| *other != record && other.begins_with(&digits);
    let mut names = (0_u32..100_000).map(|number| id(&number.to_string()));
    let alike = names.find(is_alike).unwrap();
    let mut known = found(false, 0);
    let removals = Removals::of(known.clone());
    assert_eq!(removals.resolve_surely(&digits).unwrap(), record);
    let other = Record::Removal(removal(&[], &["other"]));
    assert!(known.add(alike, other, origin(false), Some(NOW)));
    let removals = Removals::of(known.clone());
    let refused = removals.resolve_surely(&digits).unwrap_err();
    assert!(matches!(refused, Error::AmbiguousRecord { .. }));
    let text = refused.to_string();
    for one in [record, alike] {
        assert!(text.contains(&one.to_string()), "{text}");
        assert_eq!(removals.resolve_surely(&one.to_string()).unwrap(), one);
    }

    // Another may be among those that nobody has read.
    known.problems.push(Telling::TooMany { left_out: 1 });
    let removals = Removals::of(known);
    let short = record.short();
    assert_eq!(removals.resolve(&short).unwrap(), record);
    let refused = removals.resolve_surely(&short).unwrap_err();
    assert!(matches!(refused, Error::AmbiguousRecord { .. }));
    let whole = record.to_string().to_uppercase();
    assert_eq!(removals.resolve_surely(&whole).unwrap(), record);
}

#[test]
fn what_others_name_has_a_bound_and_what_we_name_has_none() {
    let mut found = found(false, 0);
    found.ids_of_others = MOST_IDS - 1;
    let two = || Record::Removal(removal(&["a"], &["b"]));
    assert!(!found.add(id("theirs"), two(), origin(false), Some(NOW)));
    assert!(found.add(id("ours"), two(), Origin::OURS, None));
    found.trust = trust(None, Some("accepted"), false);
    assert!(found.add(id("accepted"), two(), origin(false), Some(NOW)));
    let removals = Removals::of(found);
    assert!(removals.names(FileName::new(FileType::Data, id("b"))));
}

fn listed(listing: Listing) -> ReadyCopy {
    ReadyCopy {
        listing,
        removed: Vec::new(),
        config_is_right: true,
        doubts: BTreeSet::new(),
    }
}

#[test]
fn packs_stay_where_a_snapshot_lies_whose_removal_may_be_taken_back() {
    let entry = FileEntry {
        id: id("snapshot"),
        size_bytes: 7,
    };
    let mut ready = listed(Listing {
        snapshots: Files::new(vec![entry]),
        ..Listing::default()
    });
    for (is_ours, hours_ago, keeps) in [(true, 0, false), (false, 0, true), (false, 7 * 24, false)]
    {
        let removals = Removals::of(found(is_ours, hours_ago));
        ready.obey(&removals);
        assert_eq!(removals.has_waiting_snapshots(&ready), keeps);
    }
    // Where it lies no more there is nothing to wait for.
    let removals = Removals::of(found(false, 0));
    assert!(!removals.has_waiting_snapshots(&listed(Listing::default())));
}

#[test]
fn a_listing_comes_back_whole_when_a_removal_does_not_count_any_more() {
    let entry = |text: &str| FileEntry {
        id: id(text),
        size_bytes: 7,
    };
    let listing = Listing {
        data: Files::new(vec![entry("pack"), entry("other")]),
        snapshots: Files::new(vec![entry("snapshot")]),
        // The same id under another type is another file.
        index: Files::new(vec![entry("pack")]),
        ..Listing::default()
    };
    let mut ready = listed(listing.clone());
    let removals = Removals::of(found(true, 0));
    for _ in 0..2 {
        ready.obey(&removals);
        assert_eq!(ready.removed.len(), 2);
        assert_eq!(ready.listing.data, Files::new(vec![entry("other")]));
        assert!(ready.listing.snapshots.is_empty());
        assert_eq!(ready.listing.index.len(), 1);
    }
    ready.obey(&Removals::default());
    assert_eq!(ready.listing, listing);
    assert_eq!(ready.removed, []);
}

/// What somebody has said on this machine.
fn trust(machine: Option<&str>, removal: Option<&str>, ignores_strangers: bool) -> Trust {
    let named = |name: Option<&str>| name.map(|name| (id(name), NOW)).into_iter().collect();
    Trust {
        machines: named(machine),
        removals: named(removal),
        ignores_strangers,
    }
}

/// One removal that a machine has signed, seen a moment ago.
fn signed(signer: &str, trust: Trust) -> Found {
    let mut found = Found {
        trust,
        ..found(false, 0)
    };
    let known = found.removals.get_mut(&id("record")).unwrap();
    known.origin.signer = Some(id(signer));
    found
}

fn annulled_by(found: &mut Found, annulment: &str, origin: Origin) {
    let said = Annulment {
        at: NOW,
        host: "evil".to_owned(),
        record: id("record"),
    };
    assert!(found.add(id(annulment), Record::Annulment(said), origin, Some(NOW)));
}

#[test]
fn what_a_trusted_machine_signed_and_what_was_accepted_here_goes_at_once() {
    for (trust, goes) in [
        (trust(None, None, false), false),
        (trust(Some("web-2"), None, false), true),
        (trust(Some("web-3"), None, false), false),
        (trust(None, Some("record"), false), true),
        (trust(None, Some("another"), false), false),
    ] {
        let removals = Removals::of(signed("web-2", trust.clone()));
        assert!(removals.names(pack()));
        assert_eq!(removals.may_go(pack()), goes, "{trust:?}");
        assert_eq!(removals.are_all_due(), goes, "{trust:?}");
        assert_eq!(removals.tellings().is_empty(), goes, "{trust:?}");
    }
    // Nor does it wait for records that are unread: nobody else takes it back.
    let mut unread = signed("web-2", trust(Some("web-2"), None, false));
    unread.problems.push(Telling::TooMany { left_out: 1 });
    assert!(Removals::of(unread).may_go(pack()));
}

#[test]
fn what_was_accepted_here_stands_whoever_takes_it_back_and_an_annulment_counts_else() {
    for (accepted, goes) in [(None, false), (Some("record"), true)] {
        let mut ours = Found {
            trust: trust(None, accepted, false),
            ..found(true, 0)
        };
        annulled_by(&mut ours, "first", origin(false));
        annulled_by(&mut ours, "second", origin(false));
        let removals = Removals::of(ours);
        assert_eq!(removals.may_go(pack()), goes);
        let state = removals.undecided_state(id("record"), &removals.found.removals[&id("record")]);
        let taken_back = Some(UndecidedState::TakenBack).filter(|_| !goes);
        assert_eq!(state, taken_back);
    }
    // Taken back by this machine, or by one that it trusts, there is nothing to decide.
    let web_2 = Origin {
        is_ours: false,
        signer: Some(id("web-2")),
    };
    for by in [Origin::OURS, web_2] {
        let mut ours = Found {
            trust: trust(Some("web-2"), None, false),
            ..found(true, 0)
        };
        annulled_by(&mut ours, "first", origin(false));
        annulled_by(&mut ours, "second", by);
        let removals = Removals::of(ours);
        assert!(!removals.names(pack()));
        let known = &removals.found.removals[&id("record")];
        assert_eq!(removals.undecided_state(id("record"), known), None);
    }
}

#[test]
fn strangers_that_are_ignored_hide_hold_annul_and_stop_nothing() {
    let newer = |origin| Said {
        what: "it has version 9".to_owned(),
        origin,
    };
    let held = || {
        let mut holds = Holds::default();
        let (since, why) = (NOW, String::new());
        holds.hold(id("snapshot"), Hold { since, why });
        Record::Holds(holds)
    };
    let mut ours = Found {
        trust: trust(None, None, true),
        ..found(true, 0)
    };
    annulled_by(&mut ours, "annulment", origin(false));
    assert!(ours.add(id("list"), held(), origin(false), Some(NOW)));
    ours.newer.insert(id("newer"), newer(origin(false)));
    let theirs = Record::Removal(removal(&["other"], &["needed"]));
    assert!(ours.add(id("theirs"), theirs, origin(false), Some(NOW)));
    let needed = FileName::new(FileType::Data, id("needed"));
    let removals = Removals::of(ours.clone());
    assert!(removals.may_go(pack()) && !removals.names(needed));
    assert_eq!(removals.stop(), None);
    assert_eq!(removals.tellings(), []);
    assert!(removals.are_all_due() && removals.holds().held(id("snapshot")).is_none());
    let carried: Vec<Id> = removals.all_records().collect();
    assert_eq!(carried, [id("record")], "nothing of theirs is carried on");

    // All of it counts where nobody says so, and what a trusted machine signed in any case.
    ours.trust.ignores_strangers = false;
    let removals = Removals::of(ours.clone());
    assert!(removals.names(needed) && !removals.names(pack()));
    let hint = removals.stop().unwrap().hint;
    assert!(
        hint.contains("strongroom removals --strangers ignore"),
        "{hint}"
    );
    assert!(removals.holds().held(id("snapshot")).is_some());
    ours.trust = trust(Some("web-2"), None, true);
    let web_2 = Origin {
        is_ours: false,
        signer: Some(id("web-2")),
    };
    ours.newer.insert(id("newer"), newer(web_2));
    assert!(Removals::of(ours).stop().is_some());
}

#[test]
fn lists_of_holds_take_of_what_others_may_name_as_much_as_they_take_of_memory() {
    let mut found = found(false, 0);
    let mut holds = Holds::default();
    let (since, why) = (NOW, "x".repeat(ID_BYTES * 100));
    holds.hold(id("snapshot"), Hold { since, why });
    let before = found.ids_of_others;
    assert!(found.add(
        id("list"),
        Record::Holds(holds.clone()),
        origin(false),
        Some(NOW)
    ));
    assert!(found.ids_of_others >= before + 100);
    found.ids_of_others = MOST_IDS - 50;
    let list = Record::Holds(holds);
    assert!(!found.add(id("another"), list, origin(false), Some(NOW)));
}

#[test]
fn what_goes_waits_for_what_was_removed_by_then_and_by_the_worst_of_clocks() {
    let snapshot = FileName::new(FileType::Snapshots, id("snapshot"));
    // When a snapshot was forgotten, and when a prune let go of a pack, by the hour; of others when that
    // was seen here, too.
    let waits = |forgotten: (i64, Option<i64>), pruned: (i64, Option<i64>)| {
        let mut found = Found {
            trust: trust(Some("web-2"), None, false),
            now: Some(NOW),
            ..Found::default()
        };
        let hour = |hour| NOW + SignedDuration::from_hours(hour);
        let mut add = |name, removal: Removal, (at, seen): (i64, Option<i64>)| {
            let origin = Origin {
                is_ours: seen.is_none(),
                signer: seen.map(|_| id("web-2")),
            };
            let removal = Removal {
                at: hour(at),
                ..removal
            };
            assert!(found.add(id(name), Record::Removal(removal), origin, seen.map(hour)));
        };
        add("forget", removal(&["snapshot"], &[]), forgotten);
        add("prune", removal(&[], &["pack"]), pruned);
        let removals = Removals::of(found);
        assert!(removals.may_go(pack()) && removals.may_go(snapshot));
        assert!(removals.held_up([pack()], &BTreeSet::new()).is_empty());
        let held_up = removals.held_up([pack()], &[snapshot].into());
        held_up.contains(&pack())
    };
    assert!(!waits((2, None), (1, None)));
    assert!(waits((1, None), (1, None)));
    assert!(waits((1, None), (2, None)));
    assert!(!waits((3, Some(4)), (1, Some(2))));
    assert!(waits((1, Some(4)), (2, Some(3))));
    assert!(waits((3, Some(4)), (1, Some(3))));
}
