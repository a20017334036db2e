//! What an interruption leaves of files that are on their way.

use strongroom_model::Id;
use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, Rule};

use super::*;

fn pack(number: u8) -> Upload {
    let bytes = vec![number; 100];
    Upload {
        name: FileName::new(FileType::Data, Id::of(&bytes)),
        bytes,
        permit: None,
        after: Vec::new(),
    }
}

fn destination(name: &str, rule: Rule) -> Destination {
    let store = FaultyStore::new(MemoryStore::new(name)).with(rule);
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

/// The first copy has one pack and takes the second, the other one takes the first; nobody has
/// begun the third.
#[test]
fn what_one_copy_has_begun_to_take_the_others_get_as_well_and_nobody_gets_more() {
    let (first, second) = (Gate::closed(), Gate::closed());
    let waits = |gate: &Gate| Rule::on(&[Op::Save], Fault::Wait(gate.clone()));
    let destinations = vec![
        destination("fast", waits(&first).after(1)),
        destination("slow", waits(&second)),
    ];
    let stores = [0, 1].map(|number| Arc::clone(&destinations[number].copy.store));
    let cancel = Cancel::default();
    let fanout = Fanout::start(destinations, 1, 8, 16, cancel.clone());
    let names = [1, 2, 3].map(|number| {
        let upload = pack(number);
        let name = upload.name;
        fanout.push(upload).unwrap();
        name
    });
    first.wait_for_waiting(1);
    second.wait_for_waiting(1);
    cancel.cancel();
    first.open();
    second.open();
    // As a run does that hears of it.
    drop(fanout);
    for store in stores {
        let has = names.map(|name| store.size(name).is_ok());
        assert_eq!(has, [true, true, false], "{}", store.location());
    }
}
