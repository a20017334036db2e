//! Each fault happens when it should, and to nobody else.

use std::io::{ErrorKind, Read};
use std::thread;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Bodies, BodyKey, Error, LocalBodies, Store};
use strongroom_testkit::bodies::{get, key};
use strongroom_testkit::{Fault, FaultyBodies, FaultyStore, Gate, MemoryStore, Op, Rule};

fn store() -> FaultyStore<MemoryStore> {
    FaultyStore::new(MemoryStore::new("m"))
}

fn named(kind: FileType, bytes: &[u8]) -> FileName {
    FileName::new(kind, Id::of(bytes))
}

#[test]
fn only_the_nth_matching_operation_fails() {
    let store = store().with(Rule::on(&[Op::Save], Fault::Full).of(FileType::Data).nth(2));
    let save = |kind, bytes: &[u8]| store.save(named(kind, bytes), bytes);
    save(FileType::Index, b"index").unwrap();
    save(FileType::Data, b"1").unwrap();
    assert!(matches!(
        save(FileType::Data, b"2"),
        Err(Error::Full { .. })
    ));
    save(FileType::Data, b"2").unwrap();
}

#[test]
fn a_place_with_room_for_ten_bytes_takes_no_more() {
    let store = store().with_room(10);
    store
        .save(named(FileType::Data, b"123456"), b"123456")
        .unwrap();
    let saved = store.save(named(FileType::Data, b"12345"), b"12345");
    assert!(matches!(saved, Err(Error::Full { .. })));
    assert_eq!(store.list(FileType::Data).unwrap().len(), 1);
    store.save(named(FileType::Data, b"1234"), b"1234").unwrap();
}

#[test]
fn a_place_that_is_away_answers_nothing_until_it_is_back() {
    let store = store();
    store.set_unreachable(true);
    assert!(matches!(store.create(), Err(Error::Unreachable { .. })));
    assert!(matches!(
        store.list(FileType::Keys),
        Err(Error::Unreachable { .. })
    ));
    assert!(matches!(
        store.size(FileName::CONFIG),
        Err(Error::Unreachable { .. })
    ));
    store.heal();
    assert_eq!(store.list(FileType::Keys).unwrap(), []);
}

#[test]
fn a_lost_answer_means_that_it_was_done() {
    let store = store().with(Rule::on(&[Op::Save, Op::Remove], Fault::AnswerLost));
    let name = named(FileType::Data, b"bytes");
    assert!(matches!(
        store.save(name, b"bytes"),
        Err(Error::Unreachable { .. })
    ));
    assert_eq!(store.read(name).unwrap(), b"bytes");
    assert!(store.remove(name).is_err());
    assert!(matches!(store.read(name), Err(Error::NotFound { .. })));
}

#[test]
fn what_is_read_can_be_short_or_wrong_in_one_bit() {
    let store = store();
    let name = named(FileType::Data, b"0123");
    store.save(name, b"0123").unwrap();
    store.add(Rule::on(&Op::READS, Fault::FlipBit(6)));
    assert_eq!(store.read(name).unwrap(), b"0133");
    assert_eq!(store.read_range(name, 1..4).unwrap(), b"023");
    let mut text = String::new();
    store
        .open(name, None)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "0133");
    store.heal();
    store.add(Rule::on(&Op::READS, Fault::ShortRead(2)).named(name));
    assert!(store.read(name).is_err());
    let mut bytes = Vec::new();
    let error = store
        .open(name, None)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap_err();
    assert_eq!(
        (error.kind(), &bytes[..]),
        (ErrorKind::UnexpectedEof, &b"01"[..])
    );
}

#[test]
fn a_gate_holds_a_save_until_it_opens() {
    let gate = Gate::closed();
    let store = store().with(Rule::on(&[Op::Save], Fault::Wait(gate.clone())).nth(1));
    thread::scope(|scope| {
        let saving = scope.spawn(|| store.save(named(FileType::Data, b"late"), b"late"));
        gate.wait_for_waiting(1);
        store
            .save(named(FileType::Data, b"early"), b"early")
            .unwrap();
        assert_eq!(store.inner().names().len(), 1);
        gate.open();
        saving.join().unwrap().unwrap();
    });
    assert_eq!(store.inner().names().len(), 2);
}

#[test]
#[should_panic(expected = "is not the hash of what is saved")]
fn memory_does_not_let_bytes_be_saved_under_a_wrong_name() {
    let _ = MemoryStore::new("m").save(named(FileType::Data, b"a"), b"b");
}

fn bodies() -> (tempfile::TempDir, FaultyBodies<LocalBodies>) {
    let folder = tempfile::tempdir().unwrap();
    let bodies = FaultyBodies::new(LocalBodies::new(folder.path()));
    (folder, bodies)
}

fn put(bodies: &dyn Bodies, body: &BodyKey) -> strongroom_store::Result<()> {
    let mut staged = bodies.stage(body)?;
    staged.write(b"bytes")?;
    staged.publish()
}

#[test]
fn each_step_of_a_body_can_fail_and_the_next_try_succeeds() {
    let (_folder, bodies) = bodies();
    let body = key("acme", FileType::Data, b"bytes");
    for op in [Op::Stage, Op::Write, Op::Publish] {
        bodies.rules().add(Rule::on(&[op], Fault::Full).nth(1));
        assert!(matches!(put(&bodies, &body), Err(Error::Full { .. })));
        assert!(get(bodies.inner(), &body, None).is_err(), "{op:?}");
        put(&bodies, &body).unwrap();
        bodies
            .rules()
            .add(Rule::on(&[Op::Remove], Fault::Unreachable).nth(1));
        assert!(bodies.remove(&body).is_err());
        bodies.remove(&body).unwrap();
        bodies.rules().heal();
    }
}

#[test]
fn bodies_have_no_more_room_than_they_are_given() {
    let (_folder, bodies) = bodies();
    bodies.rules().set_room(Some(8));
    put(&bodies, &key("acme", FileType::Data, b"1")).unwrap();
    let full = put(&bodies, &key("acme", FileType::Data, b"2"));
    assert!(matches!(full, Err(Error::Full { .. })));
}

#[test]
fn a_crash_before_publishing_leaves_only_what_a_sweep_removes() {
    let (folder, bodies) = bodies();
    let body = key("acme", FileType::Data, b"bytes");
    bodies
        .rules()
        .add(Rule::on(&[Op::Publish], Fault::Crash).nth(1));
    assert!(put(&bodies, &body).is_err());
    assert!(get(&bodies, &body, None).is_err(), "dead is dead");
    let revived = LocalBodies::new(folder.path());
    assert!(matches!(
        get(&revived, &body, None),
        Err(Error::NotFound { .. })
    ));
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5_000_000_000);
    assert_eq!(revived.sweep(later).unwrap(), 1);
}

#[test]
fn a_crash_after_publishing_leaves_the_body() {
    let (_folder, bodies) = bodies();
    let body = key("acme", FileType::Data, b"bytes");
    bodies
        .rules()
        .add(Rule::on(&[Op::Publish], Fault::CrashAfter).nth(1));
    assert!(put(&bodies, &body).is_err());
    assert!(bodies.free_bytes().is_err(), "dead is dead");
    bodies.rules().heal();
    assert_eq!(get(&bodies, &body, None).unwrap().1, b"bytes");
}

#[test]
fn what_is_read_of_a_body_can_be_spoiled() {
    let (_folder, bodies) = bodies();
    let body = key("acme", FileType::Data, b"bytes");
    put(&bodies, &body).unwrap();
    bodies
        .rules()
        .add(Rule::on(&[Op::Open], Fault::FlipBit(0)).nth(1));
    assert_eq!(get(&bodies, &body, None).unwrap(), (5, b"cytes".to_vec()));
    bodies
        .rules()
        .add(Rule::on(&[Op::Open], Fault::ShortRead(2)));
    let mut read = Vec::new();
    let (_, mut stream) = bodies.open(&body, None).unwrap();
    stream.read_to_end(&mut read).unwrap_err();
    assert_eq!(read, b"by");
}
