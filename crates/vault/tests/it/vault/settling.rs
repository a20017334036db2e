//! Small files that come at a time are made durable together, and only then made known.

use std::thread;

use strongroom_model::FileType;
use strongroom_testkit::{Fault, Op, Rule};
use strongroom_vault::Error;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::right::Right;

use super::scene::{Scene, faulty};

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
    let length = usize::try_from(strongroom_vault::vault::SHORT_BYTES).unwrap();
    let put = |length| scene.put(&append, FileType::Data, &vec![7; length]);
    assert!(put(length).is_err());
    put(length + 1).unwrap();
}
