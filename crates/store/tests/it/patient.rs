//! Places that hang, and places that are only slow.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::patient::{HANG_LIMIT, within};
use strongroom_store::{Error, Holder, LocalStore, PatientStore, Pulse, Store};
use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, Rule};

const LIMIT: Duration = Duration::from_millis(40);

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(40);

/// So many bytes come before a stream stalls: as many as are handed over at a time.
const STALL_BYTES: usize = 256 << 10;

const ALL: [Op; 9] = [
    Op::Create,
    Op::List,
    Op::Size,
    Op::Open,
    Op::Read,
    Op::ReadRange,
    Op::Save,
    Op::Replace,
    Op::Remove,
];

fn name() -> FileName {
    FileName::new(FileType::Data, Id::of(b"bytes"))
}

fn patient(rule: Rule) -> PatientStore {
    let faulty = FaultyStore::new(MemoryStore::new("m")).with(rule);
    PatientStore::new(Arc::new(faulty), Pulse::default(), LIMIT)
}

/// Calls everything that there is, and says what came of each.
fn call_all(store: &dyn Store) -> Vec<Option<Error>> {
    vec![
        store.create().err(),
        store.save(name(), b"bytes").err(),
        store.save_shared(name(), Arc::new(*b"bytes")).err(),
        store.replace(name(), b"bytes").err(),
        store.replace_shared(name(), Arc::new(*b"bytes")).err(),
        store.list(FileType::Data).err(),
        store.size(name()).err(),
        store.open(name(), None).err(),
        store.open(name(), Some(0..1)).err(),
        store.read(name()).err(),
        store.read_range(name(), 0..1).err(),
        store.remove(name()).err(),
    ]
}

#[test]
fn every_call_ends_where_the_place_hangs() {
    for op in ALL {
        let rule = Rule::on(&[op], Fault::Wait(Gate::closed()));
        let failed = call_all(&patient(rule));
        let first = failed.iter().flatten().next().unwrap();
        assert_eq!(
            first.to_string(),
            "memory:m cannot be reached: it has not answered for 40 ms",
            "{op:?}"
        );
        assert!(matches!(first, Error::Unreachable { .. }));
    }
}

#[test]
fn a_place_that_has_hung_is_not_asked_again() {
    let gate = Gate::closed();
    let store = patient(Rule::on(&[Op::List], Fault::Wait(gate.clone())));
    assert!(store.list(FileType::Data).is_err());
    gate.open();
    assert!(call_all(&store).iter().all(Option::is_some));
}

#[test]
fn a_place_that_moves_is_waited_for() {
    let gate = Gate::closed();
    let pulse = Pulse::default();
    let faulty = FaultyStore::new(MemoryStore::new("m"))
        .with(Rule::on(&[Op::List], Fault::Wait(gate.clone())));
    let store = PatientStore::new(Arc::new(faulty), pulse.clone(), LIMIT);
    let listing = || store.list(FileType::Data);
    let listed = gate.meanwhile(listing, || {
        // Several limits long, counted by calls that each wait for one.
        let never = Gate::closed();
        for _ in 0..40 {
            pulse.beat();
            let waiting = never.clone();
            assert_eq!(within(LIMIT / 8, move || waiting.pass()), None);
        }
    });
    assert_eq!(listed.unwrap(), []);
}

/// Lets some time pass.
pub(crate) fn pass(time: Duration) {
    let (_never_sends, nothing) = channel::<()>();
    assert!(nothing.recv_timeout(time).is_err());
}

#[test]
fn whoever_waits_beside_a_call_that_is_given_up_waits_no_longer() {
    let limit = Duration::from_secs(1);
    let gate = Gate::closed();
    let pulse = Pulse::default();
    let faulty = FaultyStore::new(MemoryStore::new("m"))
        .with(Rule::on(&[Op::List], Fault::Wait(gate.clone())));
    let store = PatientStore::new(Arc::new(faulty), pulse.clone(), limit);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| store.list(FileType::Data));
        gate.wait_for_waiting(1);
        pass(limit / 2);
        let second = scope.spawn(|| store.list(FileType::Data));
        gate.wait_for_waiting(2);
        let begin = Instant::now();
        while !first.is_finished() {
            assert!(begin.elapsed() < PATIENCE, "the first is waited for");
            pass(limit / 100);
        }
        // By itself it would have seen all of this move.
        while !second.is_finished() {
            assert!(begin.elapsed() < PATIENCE, "the second is waited for");
            pulse.beat();
            pass(limit / 100);
        }
        for call in [first, second] {
            let ended = call.join().unwrap();
            assert!(matches!(ended, Err(Error::Unreachable { .. })), "{ended:?}");
        }
    });
}

/// Asserts that a save which hangs is given up while somebody asks for this again and again.
fn assert_given_up_beside(ask: impl Fn(&PatientStore)) {
    let gate = Gate::closed();
    let faulty = FaultyStore::new(MemoryStore::new("m"))
        .with(Rule::on(&[Op::Save], Fault::Wait(gate.clone())).of(FileType::Data))
        .with(Rule::on(&[Op::List], Fault::Denied));
    let store = PatientStore::new(Arc::new(faulty), Pulse::default(), LIMIT);
    std::thread::scope(|scope| {
        let saving = scope.spawn(|| store.save(name(), b"bytes"));
        gate.wait_for_waiting(1);
        let begin = Instant::now();
        while !saving.is_finished() {
            assert!(begin.elapsed() < PATIENCE, "it is waited for");
            ask(&store);
            pass(LIMIT / 8);
        }
        let saved = saving.join().unwrap();
        assert!(matches!(saved, Err(Error::Unreachable { .. })), "{saved:?}");
    });
}

#[test]
fn errors_are_no_movement() {
    assert_given_up_beside(|store| assert!(store.list(FileType::Data).is_err()));
}

#[test]
fn what_becomes_of_a_lock_is_no_movement() {
    let lock = FileName::new(FileType::Locks, Id::of(b"lock"));
    // Each succeeds until the place is given up.
    assert_given_up_beside(|store| {
        let _ = store.save(lock, b"lock");
        let _ = store.size(lock);
        let _ = store.remove(lock);
    });
}

#[test]
fn a_place_that_is_given_much_to_write_at_a_time_is_waited_for_longer() {
    let limit = Duration::from_secs(1);
    let bytes = Arc::new(vec![7_u8; 16 << 20]);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    let slow = |gate: &Gate| {
        let faulty = FaultyStore::new(MemoryStore::new("m"))
            .with(Rule::on(&[Op::Save], Fault::Wait(gate.clone())));
        PatientStore::new(Arc::new(faulty), Pulse::default(), limit)
    };
    let gate = Gate::closed();
    let store = slow(&gate);
    std::thread::scope(|scope| {
        let saves = [(); 8].map(|()| scope.spawn(|| store.save_shared(name, bytes.clone())));
        gate.wait_for_waiting(8);
        pass(limit * 2);
        gate.open();
        for save in saves {
            save.join().unwrap().unwrap();
        }
    });
    // One of them alone is waited for twice as long as nothing.
    let alone = slow(&Gate::closed()).save_shared(name, bytes);
    let text = alone.unwrap_err().to_string();
    assert!(text.ends_with("it has not answered for 2 s"), "{text}");
}

#[test]
fn what_is_done_to_a_lock_is_no_step_of_a_local_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("repo"));
    store.create().unwrap();
    let lock = FileName::new(FileType::Locks, Id::of(b"lock"));
    let before = store.pulse().count();
    store.save(lock, b"lock").unwrap();
    store.save(lock, b"lock").unwrap();
    store.replace(lock, b"lock").unwrap();
    assert_eq!(store.read(lock).unwrap(), b"lock");
    store.remove(lock).unwrap();
    assert_eq!(store.pulse().count(), before);
}

#[test]
fn the_steps_of_a_local_folder_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("repo"));
    let pulse = store.pulse();
    let bytes = strongroom_testkit::contract::noise(1, 5 << 20);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    let steps = |work: &dyn Fn()| {
        let before = pulse.count();
        work();
        pulse.count() - before
    };
    assert!(steps(&|| store.create().unwrap()) >= 256);
    assert!(steps(&|| store.save(name, &bytes).unwrap()) >= 5);
    assert!(steps(&|| store.save(name, &bytes).unwrap()) >= 5);
    assert!(steps(&|| drop(store.list(FileType::Data).unwrap())) >= 1);
    assert!(steps(&|| drop(store.read(name).unwrap())) >= 1);
    let read_through = || io::copy(&mut store.open(name, None).unwrap(), &mut io::sink());
    assert!(steps(&|| assert_eq!(read_through().unwrap(), 5 << 20)) >= 5);
}

#[test]
fn shared_bytes_are_given_back_when_a_save_returns() {
    let store = patient(Rule::on(&[], Fault::Full));
    let bytes = Arc::new(b"bytes".to_vec());
    store.save_shared(name(), bytes.clone()).unwrap();
    assert!(Arc::into_inner(bytes).is_some());
}

#[test]
fn a_look_that_never_ends_is_given_up() {
    let gate = Gate::closed();
    assert_eq!(within(LIMIT, move || gate.pass()), None);
    assert_eq!(within(Duration::from_secs(60), || 1), Some(1));
}

/// A store with a file of some blocks, whose streams stop behind their first bytes.
fn stalling(gate: &Gate, limit: Duration) -> (PatientStore, FileName, Vec<u8>) {
    let memory = MemoryStore::new("m");
    let bytes = strongroom_testkit::contract::noise(2, 3 << 20);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    memory.save(name, &bytes).unwrap();
    let stall = Rule::on(&[Op::Open], Fault::Stall(STALL_BYTES as u64, gate.clone())).times(1);
    let faulty = FaultyStore::new(memory).with(stall);
    let store = PatientStore::new(Arc::new(faulty), Pulse::default(), limit);
    (store, name, bytes)
}

#[test]
fn a_stream_that_hangs_in_the_middle_is_given_up() {
    let (store, name, bytes) = stalling(&Gate::closed(), Duration::from_secs(1));
    let mut came = Vec::new();
    let error = store.open(name, None).unwrap().read_to_end(&mut came);
    assert!(came == bytes[..STALL_BYTES], "{} bytes", came.len());
    let error = Error::of_stream("memory:m", name, error.unwrap_err());
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(call_all(&store).iter().all(Option::is_some));
}

#[test]
fn a_stream_brings_every_byte_also_where_it_broke_off_before() {
    let gate = Gate::closed();
    let (store, name, bytes) = stalling(&gate, HANG_LIMIT);
    // Somebody looks at the first bytes and goes; the thread is still reading.
    let mut first = store.open(name, None).unwrap();
    assert!(bytes.starts_with(first.fill_buf().unwrap()));
    gate.wait_for_waiting(1);
    drop(first);
    for range in [
        None,
        Some(0..bytes.len() as u64),
        Some(5..(1 << 20) + 7),
        Some(9..9),
    ] {
        let expected = match &range {
            Some(range) => &bytes[range.start as usize..range.end as usize],
            None => &bytes,
        };
        let mut came = Vec::new();
        let mut stream = store.open(name, range.clone()).unwrap();
        stream.read_to_end(&mut came).unwrap();
        assert!(came == expected, "{range:?}: {} bytes", came.len());
        assert!(
            stream.fill_buf().unwrap().is_empty(),
            "the end stays the end"
        );
    }
    gate.open();
}

#[test]
fn a_stream_that_breaks_says_so() {
    let memory = MemoryStore::new("m");
    memory.save(name(), b"bytes").unwrap();
    let faulty = FaultyStore::new(memory).with(Rule::on(&[Op::Open], Fault::ShortRead(2)));
    let store = PatientStore::new(Arc::new(faulty), Pulse::default(), HANG_LIMIT);
    let failed = match store.open(name(), None) {
        Ok(mut stream) => {
            let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
            Error::of_stream("memory:m", name(), error)
        }
        Err(error) => error,
    };
    assert!(matches!(failed, Error::Io { .. }), "{failed:?}");
}

#[test]
fn a_stream_that_has_broken_says_so_whenever_it_is_asked() {
    let memory = MemoryStore::new("m");
    let bytes = strongroom_testkit::contract::noise(3, 3 << 20);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    memory.save(name, &bytes).unwrap();
    let breaks = Rule::on(&[Op::Open], Fault::ShortRead(STALL_BYTES as u64));
    let faulty = FaultyStore::new(memory).with(breaks);
    let store = PatientStore::new(Arc::new(faulty), Pulse::default(), HANG_LIMIT);
    let mut stream = store.open(name, None).unwrap();
    let mut came = Vec::new();
    for _ in 0..3 {
        let error = stream.read_to_end(&mut came).unwrap_err();
        let error = Error::of_stream("memory:m", name, error);
        assert!(
            matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof),
            "{error:?}"
        );
    }
    assert!(came == bytes[..STALL_BYTES], "{} bytes", came.len());
}

#[test]
fn a_file_grows_behind_it_and_leaves_nothing_where_it_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStore::new(folder.path());
    local.create().unwrap();
    let pulse = local.pulse();
    let store = PatientStore::new(Arc::new(local), pulse, HANG_LIMIT);
    let mut growing = store.begin(name()).unwrap().unwrap();
    growing.write(b"by").unwrap();
    growing.write(b"tes").unwrap();
    assert!(matches!(store.size(name()), Err(Error::NotFound { .. })));
    growing.finish().unwrap();
    assert_eq!(store.read(name()).unwrap(), b"bytes");

    let other = FileName::new(FileType::Data, Id::of(b"other"));
    let mut growing = store.begin(other).unwrap().unwrap();
    growing.write(b"ot").unwrap();
    drop(growing);
    assert!(matches!(store.size(other), Err(Error::NotFound { .. })));

    // A place that takes whole files only says so, and is asked on by the same thread.
    let memory = Arc::new(MemoryStore::new("m"));
    let store = PatientStore::new(memory, Pulse::default(), HANG_LIMIT);
    assert!(store.begin(name()).unwrap().is_none());
    assert_eq!(store.list(FileType::Data).unwrap(), []);
}

#[test]
fn a_file_ends_where_the_place_has_hung() {
    let store = patient(Rule::on(&[Op::List], Fault::Wait(Gate::closed())));
    assert!(store.list(FileType::Data).is_err());
    assert!(matches!(
        store.begin(name()),
        Err(Error::Unreachable { .. })
    ));
}

/// Tells whose it is and what it has ended, as a bucket does.
#[derive(Debug)]
struct Telling(MemoryStore);

impl Store for Telling {
    fn location(&self) -> &str {
        self.0.location()
    }

    fn holder(&self) -> Holder {
        Holder {
            credential: Some(Id::of(b"key")),
            accounts: Vec::new(),
            key: None,
        }
    }

    fn create(&self) -> strongroom_store::Result<()> {
        self.0.create()
    }

    fn list(&self, kind: FileType) -> strongroom_store::Result<Vec<FileEntry>> {
        self.0.list(kind)
    }

    fn size(&self, name: FileName) -> strongroom_store::Result<u64> {
        self.0.size(name)
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> strongroom_store::Result<Box<dyn BufRead + Send + '_>> {
        self.0.open(name, range)
    }

    fn read(&self, name: FileName) -> strongroom_store::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> strongroom_store::Result<Vec<u8>> {
        self.0.read_range(name, range)
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> strongroom_store::Result<()> {
        self.0.save(name, bytes)
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> strongroom_store::Result<()> {
        self.0.replace(name, bytes)
    }

    fn end_old_uploads(&self, _: SystemTime) -> strongroom_store::Result<u64> {
        Ok(3)
    }

    fn remove(&self, name: FileName) -> strongroom_store::Result<()> {
        self.0.remove(name)
    }
}

#[test]
fn what_a_place_tells_of_itself_is_passed_on() {
    let telling = Arc::new(Telling(MemoryStore::new("m")));
    let store = PatientStore::new(telling.clone(), Pulse::default(), HANG_LIMIT);
    assert_ne!(store.holder(), Holder::default());
    assert_eq!(store.holder(), telling.holder());
    assert_eq!(store.end_old_uploads(SystemTime::UNIX_EPOCH).unwrap(), 3);
}
