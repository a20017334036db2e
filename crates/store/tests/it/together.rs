//! Work that reads from several places which may hang, on one thread.

use std::io::{BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::patient::{GivenUp, together};
use strongroom_store::{Error, PatientStore, Pulse, Store};
use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, RecordingStore, Rule};

use crate::patient::pass;

/// How long a place that hangs is waited for; one that answers must do so in a quarter of it on any
/// machine.
const LIMIT: Duration = Duration::from_secs(1);

fn name() -> FileName {
    FileName::new(FileType::Data, Id::of(b"bytes"))
}

fn place(rule: Option<Rule>) -> Arc<dyn Store> {
    let memory = MemoryStore::new("m");
    memory.save(name(), b"bytes").unwrap();
    let faulty = rule
        .into_iter()
        .fold(FaultyStore::new(memory), FaultyStore::with);
    Arc::new(PatientStore::new(Arc::new(faulty), Pulse::default(), LIMIT))
}

/// A place whose files hang so.
fn hanging(fault: Fault) -> Arc<dyn Store> {
    place(Some(Rule::on(&[Op::Open], fault)))
}

/// How a file may hang: before it is opened, in the middle, and when it is closed.
fn hangs(gate: &Gate) -> [Fault; 3] {
    let gate = || gate.clone();
    [
        Fault::Wait(gate()),
        Fault::Stall(2, gate()),
        Fault::StallAtClose(gate()),
    ]
}

/// Opens the file of each place, reads them by turns and closes them in the same order; tells how
/// many bytes came.
fn read_all(stores: &[Arc<dyn Store>]) -> Result<usize, GivenUp> {
    let (first, others) = stores.split_first().unwrap();
    together(first, others, |places| {
        let all = std::iter::once(places.first()).chain(places.others());
        let mut files: Vec<_> = all.map(|place| place.open(name()).unwrap()).collect();
        let mut came = Vec::new();
        for file in &mut files {
            file.read_to_end(&mut came).unwrap();
        }
        files.into_iter().for_each(drop);
        came.len()
    })
}

fn assert_given_up(read: Result<usize, GivenUp>, expected: usize) {
    let GivenUp { place, error } = read.unwrap_err();
    assert_eq!(place, expected);
    assert_eq!(
        error.to_string(),
        "memory:m cannot be reached: it has not answered for 1 s"
    );
}

#[test]
fn a_place_that_hangs_is_named_and_the_others_can_be_read() {
    let gate = Gate::closed();
    thread::scope(|scope| {
        for (number, fault) in (0..3).flat_map(|number| hangs(&gate).map(|fault| (number, fault))) {
            scope.spawn(move || {
                let mut stores = vec![place(None), place(None)];
                stores.insert(number, hanging(fault));
                assert_given_up(read_all(&stores), number);
                let hung = stores.remove(number);
                assert!(matches!(hung.read(name()), Err(Error::Unreachable { .. })));
                assert_eq!(read_all(&stores).unwrap(), 10);
            });
        }
    });
}

#[test]
fn a_thread_that_was_left_behind_reads_nothing_more() {
    let gate = Gate::closed();
    let later = RecordingStore::new(MemoryStore::new("m"));
    later.save(name(), b"bytes").unwrap();
    let later = Arc::new(later);
    let patient = PatientStore::new(
        Arc::clone(&later) as Arc<dyn Store>,
        Pulse::default(),
        LIMIT,
    );
    let stores: [Arc<dyn Store>; 2] = [hanging(Fault::Wait(gate.clone())), Arc::new(patient)];
    let (told, ended) = channel();
    let [first, second] = &stores;
    let read = together(first, std::slice::from_ref(second), move |places| {
        let mut file = places.first().open(name()).unwrap();
        let read = file.fill_buf().is_err();
        let next = places.others().all(|place| place.open(name()).is_err());
        drop(file);
        told.send((read, next)).unwrap();
        0
    });
    assert_given_up(read, 0);
    gate.open();
    assert_eq!(ended.recv().unwrap(), (true, true));
    assert_eq!(later.tally(&[Op::Open], FileType::Data).calls, 0);
}

#[test]
fn who_is_given_up_by_another_is_waited_for_no_longer() {
    let gate = Gate::closed();
    let pulse = Pulse::default();
    let hang = Rule::on(&[Op::Open], Fault::Wait(gate.clone()));
    let faulty = FaultyStore::new(MemoryStore::new("m")).with(hang);
    let hung = PatientStore::new(Arc::new(faulty), pulse.clone(), LIMIT);
    let stores = [place(None), Arc::new(hung)];
    thread::scope(|scope| {
        let first = scope.spawn(|| read_all(&stores));
        gate.wait_for_waiting(1);
        pass(LIMIT / 2);
        let second = scope.spawn(|| read_all(&stores));
        gate.wait_for_waiting(2);
        assert_given_up(first.join().unwrap(), 1);
        // By itself it would see all of this move.
        while !second.is_finished() {
            pulse.beat();
            pass(LIMIT / 100);
        }
        assert_given_up(second.join().unwrap(), 1);
    });
}

#[test]
fn a_place_that_answers_is_waited_for() {
    let read = together(&place(None), &[], |places| {
        let mut file = places.first().open(name()).unwrap();
        // Several limits long, in steps that nothing but the turns tells of.
        for _ in 0..40 {
            file.fill_buf().unwrap();
            pass(LIMIT / 15);
        }
        40
    });
    assert_eq!(read.unwrap(), 40);
}

#[test]
fn whoever_waits_for_himself_does_it_himself() {
    let impatient: Arc<dyn Store> = Arc::new(MemoryStore::new("n"));
    let here = thread::current().id();
    let thread = |_: &_| thread::current().id();
    assert_eq!(together(&place(None), &[impatient], thread).unwrap(), here);
    assert_ne!(together(&place(None), &[], thread).unwrap(), here);
}

#[test]
fn work_that_dies_is_an_error_and_no_hang() {
    let died = together(&place(None), &[place(None)], |places| {
        let second = places.others().map(|place| place.open(name()));
        assert!(second.count() == 0, "on purpose");
    });
    let GivenUp { place, error } = died.unwrap_err();
    assert_eq!(place, 1);
    assert!(error.to_string().contains("died"), "{error}");
}

#[test]
fn the_place_at_which_work_dies_is_named_though_files_of_others_are_open() {
    for culprit in 0..3 {
        let died = together(&place(None), &[place(None), place(None)], move |places| {
            let all = std::iter::once(places.first()).chain(places.others());
            let mut files: Vec<_> = all.map(|place| place.open(name()).unwrap()).collect();
            let came = files[culprit].fill_buf().unwrap();
            assert!(came.is_empty(), "on purpose");
        });
        let GivenUp { place, error } = died.unwrap_err();
        assert_eq!(place, culprit);
        assert!(error.to_string().contains("died"), "{error}");
    }
}
