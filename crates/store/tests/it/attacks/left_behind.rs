//! What drills leave where things may be made and not removed, and what the next one does about it.

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::attack::{Trace, TraceKind};
use strongroom_store::Traces;

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

fn probe(kept: &Mutex<Kept>) -> Trace {
    let probes = kept.lock().probes();
    let [name] = probes.as_slice() else {
        panic!("{probes:?}");
    };
    Trace::new(TraceKind::ProbeBucket, name.as_str())
}

#[test]
fn what_may_be_made_and_neither_listed_nor_removed_is_noted_and_goes_with_a_later_drill() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let (seen, order) = (kept.clone(), Arc::new(Mutex::new(Vec::new())));
    let pages = order.clone();
    let traces = Traces::new([], move |noted| {
        let mut probes = noted.left.iter();
        let is_noted = probes.any(|trace| trace.kind == TraceKind::ProbeBucket);
        pages
            .lock()
            .push((is_noted, !seen.lock().probes().is_empty()));
    });
    drill_on(&kept, MAKES, &traces);
    // It was written down before it was made.
    let first = order.lock().iter().find(|(is_noted, _)| *is_noted).copied();
    assert_eq!(first, Some((true, false)));
    let (left, probe) = (traces.left(), probe(&kept));
    assert!(left.contains(&probe), "{left:?}");
    // Beside it what is locked: a canary of each bucket, by its version.
    let canaries = left.iter().filter(|one| one.kind == TraceKind::Canary);
    let canaries: Vec<&Trace> = canaries.collect();
    assert_eq!((canaries.len(), left.len()), (2, 3), "{left:?}");
    assert!(canaries.iter().all(|one| one.version.is_some()), "{left:?}");
    assert_eq!(kept.lock().count(), 2);

    // While nothing may be removed, it stays noted, and what comes is noted beside it.
    let traces = Traces::new(left.clone(), |_| {});
    drill_on(&kept, MAKES, &traces);
    assert!(traces.left().is_superset(&left));
    assert_eq!(kept.lock().probes().len(), 2);

    let traces = Traces::new(traces.left(), |_| {});
    drill_on(&kept, LATER, &traces);
    assert_eq!(traces.left(), [].into());
    assert!(traces.noted().gone.contains(&probe));
    assert_eq!((kept.lock().count(), kept.lock().probes().len()), (0, 0));
}

#[test]
fn what_may_be_listed_goes_though_nobody_remembers_it() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let lists = Lies {
        lists: true,
        ..MAKES
    };
    let traces = Traces::default();
    drill_on(&kept, lists, &traces);
    assert!(traces.left().contains(&probe(&kept)));
    let later = Lies {
        lists: true,
        ..LATER
    };
    let traces = Traces::default();
    drill_on(&kept, later, &traces);
    assert_eq!(traces.left(), [].into());
    assert_eq!((kept.lock().count(), kept.lock().probes().len()), (0, 0));
}

#[test]
fn nothing_is_removed_for_being_noted_that_no_drill_could_have_made() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let foreign = [
        Trace::new(TraceKind::ProbeBucket, "bucket"),
        Trace::new(TraceKind::ProbeBucket, "shop-probe-0123456789abcdef"),
        Trace::new(TraceKind::Canary, "bucket/config").in_version(Some("v1".to_owned())),
        Trace::new(TraceKind::Canary, "other/strongroom/drill/1"),
        // Whoever stands between may make of it what it leads to.
        Trace::new(TraceKind::Canary, "bucket/strongroom/drill/../../config"),
    ];
    let traces = Traces::new(foreign.clone(), |_| {});
    drill_on(&kept, LATER, &traces);
    assert_eq!(traces.left(), foreign.into());
}
