//! Small files that come at a time are made durable together, and only then made known.

use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::{Fault, Gate, Op, Rule};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::SHORT_BYTES;

use super::scene::{Scene, faulty, files_in, new_token, repository};

#[test]
fn many_at_a_time_are_all_known_and_all_there() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let content = |number: u32| format!("pack {number}").into_bytes();
    let put = |number| {
        let pack = scene.put(&append, FileType::Data, &content(number));
        (number, pack.unwrap())
    };
    let packs: Vec<_> = thread::scope(|scope| {
        let threads = (0..400).step_by(10).map(|first| {
            let put = &put;
            scope.spawn(move || (first..first + 10).map(put).collect::<Vec<_>>())
        });
        let threads: Vec<_> = threads.collect();
        let puts = threads.into_iter().map(|thread| thread.join().unwrap());
        puts.flatten().collect()
    });
    assert_eq!(scene.list(&append, View::Now, FileType::Data).len(), 400);
    for (number, pack) in packs {
        let stored = scene.read(&append, View::Now, pack).unwrap();
        assert_eq!(stored, content(number));
    }
}

#[test]
fn a_short_pack_is_nowhere_on_the_disk_until_it_is_whole() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let folder = scene.folder.path().join("repositories");
    let before = files_in(&folder);
    let name = FileName::new(FileType::Data, Id::of(b"a pack"));
    for end in [b"".as_slice(), b"irs", b"ack"] {
        let upload = scene.vault.begin_put(&append, &repository(), name, Some(6));
        let mut upload = upload.unwrap();
        upload.write(b"a p").unwrap();
        upload.write_owned(end.to_vec()).unwrap();
        assert_eq!(files_in(&folder), before);
        assert_eq!(upload.finish().is_ok(), end == b"ack");
    }
    assert_eq!(files_in(&folder), before + 1);
    assert_eq!(scene.lies(name).unwrap(), b"a pack");
    assert_eq!(scene.read(&append, View::Now, name).unwrap(), b"a pack");
}

#[test]
fn a_short_pack_comes_in_place_of_what_no_row_knows() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let name = FileName::new(FileType::Data, Id::of(b"a pack"));
    // As a power cut leaves it.
    scene.lay(name, b"");
    scene.put_as(&append, name, b"a pack").unwrap();
    assert_eq!(scene.lies(name).unwrap(), b"a pack");
    assert_eq!(scene.read(&append, View::Now, name).unwrap(), b"a pack");
}

#[test]
fn a_pack_of_which_more_comes_than_was_declared_is_stored_whole() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let short = usize::try_from(SHORT_BYTES).unwrap();
    for length in [7, short, short + 1, 3 * short] {
        let content = vec![7; length];
        let name = FileName::new(FileType::Data, Id::of(&content));
        let upload = scene.vault.begin_put(&append, &repository(), name, Some(6));
        let mut upload = upload.unwrap();
        for step in content.chunks(10_000) {
            upload.write(step).unwrap();
        }
        upload.finish().unwrap();
        let stored = scene.read(&append, View::Now, name).unwrap();
        assert!(stored == content, "{length}");
    }
    assert!(scene.vault.tallies_agree().unwrap());
}

#[test]
fn what_could_not_be_made_durable_is_not_known_and_can_be_put_again() {
    let (scene, bodies) = faulty();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let rule = Rule::on(&[Op::Settle], Fault::Io(std::io::ErrorKind::Other)).times(1);
    bodies.rules().add(rule);
    let put = || scene.put(&append, FileType::Data, b"a pack");
    let failed = put();
    assert!(matches!(failed, Err(Error::Storage(_))), "{failed:?}");
    assert_eq!(scene.list(&append, View::Now, FileType::Data), []);
    let pack = put().unwrap();
    assert_eq!(scene.list(&append, View::Now, FileType::Data), [pack]);
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
}

#[test]
fn a_file_that_is_not_short_waits_for_no_others() {
    let (scene, bodies) = faulty();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let rule = Rule::on(&[Op::Settle], Fault::Io(std::io::ErrorKind::Other));
    bodies.rules().add(rule);
    let length = usize::try_from(SHORT_BYTES).unwrap();
    let put = |length| scene.put(&append, FileType::Data, &vec![7; length]);
    assert!(put(length).is_err());
    put(length + 1).unwrap();
}

#[test]
fn what_a_row_knows_and_what_is_no_pack_is_durable_before_it_has_its_name() {
    let (scene, bodies) = faulty();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let rule = Rule::on(&[Op::Settle], Fault::Io(std::io::ErrorKind::Other));
    bodies.rules().add(rule);
    // Nobody who posts it beside this one may take bytes for sound that are not durable.
    let lies = scene.folder.path().join("repositories/acme/repos/data");
    let lies = lies.join(&pack.id().unwrap().to_string()[..2]);
    std::fs::remove_file(lies.join(pack.id().unwrap().to_string())).unwrap();
    assert_eq!(scene.put(&append, FileType::Data, b"a pack").unwrap(), pack);
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
    // A torn one would keep stock restic from opening the folder.
    for kind in [FileType::Index, FileType::Snapshots] {
        scene.put(&append, kind, b"not a pack").unwrap();
    }
    assert!(scene.put(&append, FileType::Data, b"a new pack").is_err());
}

#[test]
fn where_too_many_wait_the_next_ones_are_told_to_ask_again() {
    let (scene, bodies) = faulty();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let gate = Gate::closed();
    let rule = Rule::on(&[Op::Settle], Fault::Wait(gate.clone()));
    bodies.rules().add(rule);
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    for number in 0..600_u32 {
        let content = number.to_le_bytes();
        let name = FileName::new(FileType::Data, Id::of(&content));
        let upload = scene.vault.begin_put(&append, &repository(), name, Some(4));
        let mut upload = upload.unwrap();
        upload.write(&content).unwrap();
        let outcomes = Arc::clone(&outcomes);
        upload.finish_then(move |outcome| outcomes.lock().push(outcome.is_ok()));
    }
    let refused = outcomes.lock().len();
    assert!((80..=350).contains(&refused), "{refused} of 600");
    assert!(!outcomes.lock().contains(&true));
    // What needs no storage goes past.
    scene
        .vault
        .create_token(Who::Folder, &new_token(Right::Read))
        .unwrap();
    gate.open();
    while outcomes.lock().len() < 600 {
        thread::yield_now();
    }
    let known = scene.list(&append, View::Now, FileType::Data).len();
    assert_eq!(known, 600 - refused);
}
