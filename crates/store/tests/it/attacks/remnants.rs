//! What drills leave where things may be made and not removed, and what the next one does about it.

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::attack::{Remnant, RemnantKind};
use strongroom_store::Remnants;

use crate::attacks::fake::{Deletion, HONEST, Kept, Lies, drill_on};

/// An account that may make buckets, and neither list nor remove them.
const MAKES: Lies = Lies {
    makes_buckets: true,
    ..HONEST
};

/// The same, when locks are over.
const LATER: Lies = Lies {
    of_locked: Deletion::Done,
    removes_buckets: true,
    ..MAKES
};

fn probe(kept: &Mutex<Kept>) -> Remnant {
    let probes = kept.lock().probes();
    let [name] = probes.as_slice() else {
        panic!("{probes:?}");
    };
    Remnant::new(RemnantKind::ProbeBucket, name.as_str())
}

/// How many versions lie there, and how many probes.
fn lying(kept: &Mutex<Kept>) -> (usize, usize) {
    let kept = kept.lock();
    (kept.count(), kept.probes().len())
}

#[test]
fn what_may_be_made_and_neither_listed_nor_removed_is_noted_and_goes_with_a_later_drill() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let (seen, order) = (kept.clone(), Arc::new(Mutex::new(Vec::new())));
    let pages = order.clone();
    let remnants = Remnants::new([], move |noted| {
        let mut probes = noted.left.iter();
        let is_noted = probes.any(|remnant| remnant.kind == RemnantKind::ProbeBucket);
        pages
            .lock()
            .push((is_noted, !seen.lock().probes().is_empty()));
    });
    drill_on(&kept, MAKES, &remnants);
    // It was written down before it was made.
    let first = order.lock().iter().find(|(is_noted, _)| *is_noted).copied();
    assert_eq!(first, Some((true, false)));
    let (left, probe) = (remnants.left(), probe(&kept));
    assert!(left.contains(&probe), "{left:?}");
    // Beside it what is locked: a canary of each bucket, by its version.
    let canaries = left.iter().filter(|one| one.kind == RemnantKind::Canary);
    let canaries: Vec<&Remnant> = canaries.collect();
    assert_eq!((canaries.len(), left.len()), (2, 3), "{left:?}");
    assert!(canaries.iter().all(|one| one.version.is_some()), "{left:?}");
    assert_eq!(kept.lock().count(), 2);

    // While nothing may be removed, it stays noted, and what comes is noted beside it.
    let remnants = Remnants::new(left.clone(), |_| {});
    drill_on(&kept, MAKES, &remnants);
    assert!(remnants.left().is_superset(&left));
    assert_eq!(kept.lock().probes().len(), 2);

    let remnants = Remnants::new(remnants.left(), |_| {});
    drill_on(&kept, LATER, &remnants);
    assert_eq!(remnants.left(), [].into());
    assert!(remnants.noted().gone.contains(&probe));
    assert_eq!(lying(&kept), (0, 0));
}

#[test]
fn what_may_be_listed_goes_though_nobody_remembers_it() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let lists = Lies {
        lists: true,
        ..MAKES
    };
    let remnants = Remnants::default();
    drill_on(&kept, lists, &remnants);
    assert!(remnants.left().contains(&probe(&kept)));
    let later = Lies {
        lists: true,
        ..LATER
    };
    let remnants = Remnants::default();
    drill_on(&kept, later, &remnants);
    assert_eq!(remnants.left(), [].into());
    assert_eq!(lying(&kept), (0, 0));
}

#[test]
fn buckets_of_others_that_are_called_as_probes_neither_hold_up_ours_nor_become_ours() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let remnants = Remnants::default();
    drill_on(&kept, MAKES, &remnants);
    let ours = probe(&kept);
    // By name they come before it.
    for number in 0..8 {
        let name = format!("bucket-probe-{number:016x}");
        assert!(name < ours.name, "{}", ours.name);
        kept.lock().make_foreign(&name);
    }
    let later = Lies {
        lists: true,
        ..LATER
    };
    let remnants = Remnants::new(remnants.left(), |_| {});
    drill_on(&kept, later, &remnants);
    assert_eq!(remnants.left(), [].into());
    assert!(remnants.noted().gone.contains(&ours));
    assert_eq!(lying(&kept), (8, 8));
}

#[test]
fn nothing_is_removed_for_being_noted_that_no_drill_could_have_made() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let foreign = [
        Remnant::new(RemnantKind::ProbeBucket, "bucket"),
        Remnant::new(RemnantKind::ProbeBucket, "shop-probe-0123456789abcdef"),
        Remnant::new(RemnantKind::Canary, "bucket/config").in_version(Some("v1".to_owned())),
        Remnant::new(RemnantKind::Canary, "other/strongroom/drill/1"),
        // Whoever stands between may make of it what it leads to.
        Remnant::new(RemnantKind::Canary, "bucket/strongroom/drill/../../config"),
    ];
    let remnants = Remnants::new(foreign.clone(), |_| {});
    drill_on(&kept, LATER, &remnants);
    assert_eq!(remnants.left(), foreign.into());
}
