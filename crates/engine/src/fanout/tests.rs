//! What an interruption leaves of files that are on their way, and what copies that hang keep.

use std::sync::mpsc::channel;

use strongroom_model::Id;
use strongroom_store::{Error as StoreError, PatientStore, Pulse};
use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, RecordingStore, Rule};
use tracing::span::{Attributes, Id as SpanId, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::fanout::lane::TIME_TO_EVEN_OUT;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(40);

fn upload(kind: FileType, bytes: Vec<u8>, after: &[FileName]) -> Upload {
    Upload {
        name: FileName::new(kind, Id::of(&bytes)),
        bytes,
        permit: None,
        after: after.iter().map(|name| (*name, 0)).collect(),
    }
}

fn pack(number: u8) -> Upload {
    upload(FileType::Data, vec![number; 100], &[])
}

fn destination_of(name: &str, store: impl Store + 'static) -> Destination {
    Destination {
        copy: CopyStore {
            name: name.to_owned(),
            store: Arc::new(store),
            is_local: true,
        },
        listing: Listing::default(),
        doubts: BTreeSet::new(),
    }
}

fn destination(name: &str, rule: Rule) -> Destination {
    destination_of(name, FaultyStore::new(MemoryStore::new(name)).with(rule))
}

fn waits(gate: &Gate) -> Rule {
    Rule::on(&[Op::Save], Fault::Wait(gate.clone()))
}

/// Two copies that stand before their gates.
struct Scene {
    fanout: Fanout,
    cancel: Cancel,
    stores: [Arc<dyn Store>; 2],
    gates: [Gate; 2],
    /// The first copy has one pack and takes the second, the other one takes the first; nobody has
    /// begun the third.
    packs: [FileName; 3],
}

impl Scene {
    fn new() -> Self {
        let gates = [Gate::closed(), Gate::closed()];
        let destinations = vec![
            destination("fast", waits(&gates[0]).after(1)),
            destination("slow", waits(&gates[1])),
        ];
        let stores = [0, 1].map(|number| Arc::clone(&destinations[number].copy.store));
        let cancel = Cancel::default();
        let fanout = Fanout::start(destinations, 1, 8, 16, cancel.clone());
        let packs = [1, 2, 3].map(|number| {
            let upload = pack(number);
            let name = upload.name;
            fanout.push(upload).unwrap();
            name
        });
        for gate in &gates {
            gate.wait_for_waiting(1);
        }
        Self {
            fanout,
            cancel,
            stores,
            gates,
            packs,
        }
    }

    /// Ends it as a run does that hears of an interruption; tells for each copy which packs it has.
    fn interrupt(self) -> [[bool; 3]; 2] {
        self.cancel.cancel();
        for gate in &self.gates {
            gate.open();
        }
        drop(self.fanout);
        self.stores
            .map(|store| self.packs.map(|name| store.size(name).is_ok()))
    }
}

#[test]
fn what_one_copy_has_begun_to_take_the_others_get_as_well_and_nobody_gets_more() {
    let has = Scene::new().interrupt();
    assert_eq!(has, [[true, true, false]; 2]);
}

#[test]
fn nothing_is_begun_any_more_when_the_time_to_even_out_is_over() {
    let scene = Scene::new();
    let long_ago = Instant::now().checked_sub(TIME_TO_EVEN_OUT).unwrap();
    scene.fanout.shared.state.lock().interrupted = Some(long_ago);
    assert_eq!(
        scene.interrupt(),
        [[true, true, false], [true, false, false]]
    );
}

#[test]
fn a_copy_that_takes_longer_than_is_left_begins_nothing_more() {
    let scene = Scene::new();
    {
        let mut state = scene.fanout.shared.state.lock();
        assert!(state.lanes[0].last_took.is_some(), "it is measured");
        assert_eq!(state.lanes[1].last_took, None, "it has taken nothing yet");
        state.lanes[1].last_took = Some(TIME_TO_EVEN_OUT / 2);
        state.drop_what_is_not_begun();
        assert_eq!(state.lanes[1].queue.len(), 1);
        state.lanes[1].last_took = Some(TIME_TO_EVEN_OUT);
        state.drop_what_is_not_begun();
        assert_eq!(state.lanes[1].queue.len(), 0);
    }
    assert_eq!(
        scene.interrupt(),
        [[true, true, false], [true, false, false]]
    );
}

/// The first copy has a pack and its index file, and takes another pack; the other one takes the
/// first pack.
#[test]
fn an_index_file_that_one_copy_has_goes_to_the_others_behind_its_packs() {
    let gates = [Gate::closed(), Gate::closed()];
    let recorded = Arc::new(RecordingStore::new(
        FaultyStore::new(MemoryStore::new("slow")).with(waits(&gates[1])),
    ));
    let destinations = vec![
        destination("fast", waits(&gates[0]).of(FileType::Data).after(1)),
        destination_of("slow", Arc::clone(&recorded)),
    ];
    let cancel = Cancel::default();
    let fanout = Fanout::start(destinations, 1, 8, 16, cancel.clone());
    let (first, second) = (pack(1), pack(2));
    let packs = [first.name, second.name];
    let index = upload(FileType::Index, vec![7; 10], &packs[..1]);
    // Its packs have all been begun, and it has not.
    let later = upload(FileType::Index, vec![8; 10], &packs);
    let index_name = index.name;
    fanout.push(first).unwrap();
    fanout.push_barrier(index).unwrap();
    fanout.push(second).unwrap();
    fanout.push_barrier(later).unwrap();
    for gate in &gates {
        gate.wait_for_waiting(1);
    }
    cancel.cancel();
    for gate in &gates {
        gate.open();
    }
    drop(fanout);
    assert_eq!(recorded.written(), [packs[0], index_name, packs[1]]);
}

#[test]
fn a_copy_that_hangs_keeps_nobody_from_making_packs_for_the_others() {
    let faulty = FaultyStore::new(MemoryStore::new("hung")).with(waits(&Gate::closed()));
    let limit = Duration::from_millis(60);
    let hung = PatientStore::new(Arc::new(faulty), Pulse::default(), limit);
    let destinations = vec![
        destination_of("hung", hung),
        destination_of("sound", MemoryStore::new("sound")),
    ];
    let cancel = Cancel::default();
    // Room for one pack, which the copy that hangs is given and never gives back.
    let fanout = Fanout::start(destinations, 1, 8, 1, cancel.clone());
    let permit = fanout.permit().unwrap();
    let upload = Upload {
        permit: Some(permit),
        ..pack(1)
    };
    fanout.push(upload).unwrap();
    let (sender, permitted) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(fanout.permit().is_ok()).unwrap());
        let permitted = permitted.recv_timeout(PATIENCE);
        // Whoever waits for a permit still hears of this.
        cancel.cancel();
        assert_eq!(permitted, Ok(true));
    });
    let outcomes = fanout.finish();
    let has_failed = |outcome: &Outcome| outcome.failure.is_some();
    assert_eq!(
        outcomes.iter().map(has_failed).collect::<Vec<_>>(),
        [true, false]
    );
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> SpanId {
        SpanId::from_u64(1)
    }

    fn record(&self, _: &SpanId, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &SpanId, _: &SpanId) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &SpanId) {}

    fn exit(&self, _: &SpanId) {}
}

#[test]
fn what_the_user_has_ended_is_told_as_no_failure_of_a_copy() {
    let warnings_of = |error: StoreError| {
        let mut state = State::new(vec![destination_of("one", MemoryStore::new("one"))]);
        let upload = Sending::from(pack(1));
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || {
            state.lanes[0].note(&upload, Duration::ZERO, Err(error));
        });
        assert!(state.lanes[0].failure.is_some(), "it gets nothing more");
        warnings.0.load(Ordering::Relaxed)
    };
    let location = "memory:one".to_owned();
    let full = StoreError::Full {
        location: location.clone(),
    };
    assert_eq!(warnings_of(full), 1);
    assert_eq!(warnings_of(StoreError::Cancelled { location }), 0);
}
