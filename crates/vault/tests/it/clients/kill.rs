//! `kill -9` while several clients put small and large files, a hundred times.
//!
//! The moments are drawn by a seed, and counted from what was answered, so that a slow machine is
//! hit in the middle of its work too. After each of them: the log's files are whole as they were
//! left, nothing torn is listed, and all that was ever answered is there with its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use strongroom_ledger::{Verifier, audit};
use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::contract::noise;

use crate::clients::server::Server;
use crate::clients::wire::{Sends, Wire};
use crate::clients::{REPOSITORY, is_thorough, leaves_of};

/// The connections that send at a time; the first one sends large files.
const SENDERS: u64 = 4;

/// What was answered with 200.
type Acknowledged = BTreeMap<FileName, Id>;

#[test]
fn killed_a_hundred_times_nothing_torn_is_listed_and_nothing_answered_is_lost() {
    let kills = if is_thorough() { 500 } else { 100 };
    let mut server = Server::start();
    let token = server.token("append");
    let created = server
        .wire()
        .post(&format!("{REPOSITORY}?create=true"), &token, b"");
    assert_eq!(created.status, 200);
    let key = fs::read_to_string(server.data().join("keys/log.pub")).unwrap();
    let key: Verifier = key.trim().parse().unwrap();
    let mut acknowledged = Acknowledged::new();
    let mut sound = BTreeSet::new();
    for round in 0..kills {
        let before = acknowledged.len();
        let (tell, told) = channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (address, token) = (server.address().to_owned(), token.clone());
                let tell = tell.clone();
                thread::spawn(move || {
                    send(&address, &token, round * SENDERS + sender, sender, &tell)
                })
            })
            .collect();
        drop(tell);
        wait(round, &told, &mut acknowledged);
        server.kill();
        // What was answered before the end and not yet counted.
        acknowledged.extend(told);
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
        assert!(
            acknowledged.len() > before,
            "nothing was put in round {round}"
        );

        let report = audit(&server.data().join("log"), Some(&key), None);
        assert!(report.is_sound(), "after kill {round}: {report:?}");
        server.restart();
        look(&server, &token, &acknowledged, &mut sound);
    }
    server.kill_and_restart();
    let report = audit(&server.data().join("log"), Some(&key), None);
    assert!(report.is_sound(), "{report:?}");
    // One leaf for each: an object that came once has arrived once.
    let mut arrivals: BTreeMap<String, u64> = BTreeMap::new();
    for leaf in leaves_of(&server) {
        if leaf["act"] == "arrival" {
            *arrivals
                .entry(leaf["file"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    let listed: BTreeSet<String> = sound.iter().map(FileName::to_string).collect();
    let told: BTreeSet<String> = arrivals.keys().cloned().collect();
    assert_eq!(
        told, listed,
        "the log tells of what is there, and of nothing else"
    );
    assert!(arrivals.values().all(|count| *count == 1));
}

/// Waits for some answers, and for a moment more.
fn wait(round: u64, told: &Receiver<(FileName, Id)>, acknowledged: &mut Acknowledged) {
    let digest = Id::of(format!("kill {round}").as_bytes());
    let [answers, moment, ..] = digest.as_bytes();
    for _ in 0..=answers % 24 {
        let patience = Duration::from_secs(60);
        acknowledged.extend([told.recv_timeout(patience).expect("something is answered")]);
    }
    thread::park_timeout(Duration::from_micros(u64::from(*moment) * 60));
}

/// Puts one file after the other until the server is gone.
fn send(address: &str, token: &str, seed: u64, sender: u64, tell: &Sender<(FileName, Id)>) {
    let Ok(mut wire) = Wire::open(address) else {
        return;
    };
    for number in 0.. {
        let kind = match (sender, number % 3) {
            (0, _) | (_, 0) => FileType::Data,
            (_, 1) => FileType::Index,
            _ => FileType::Snapshots,
        };
        let bytes = match sender {
            0 => noise(seed * 1_000 + number, 3_000_000),
            _ => noise(seed * 1_000 + number, 300 + 97 * (number as usize % 40)),
        };
        let name = FileName::new(kind, Id::of(&bytes));
        let path = format!("{REPOSITORY}{name}");
        let sends = match number % 2 {
            0 => Sends::Whole(&bytes),
            _ => Sends::Chunks(&bytes),
        };
        match wire.ask("POST", &path, token, &[], sends) {
            Ok(answer) if answer.status == 200 => drop(tell.send((name, Id::of(&bytes)))),
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            Err(_) => return,
        }
    }
}

/// All that is listed is whole, and all that was answered is listed. What was found sound once is
/// not read again.
fn look(server: &Server, token: &str, acknowledged: &Acknowledged, sound: &mut BTreeSet<FileName>) {
    let mut wire = server.wire();
    let mut listed = BTreeMap::new();
    for kind in [FileType::Data, FileType::Index, FileType::Snapshots] {
        listed.extend(wire.list(REPOSITORY, token, kind));
    }
    for (name, size_bytes) in &listed {
        if sound.contains(name) {
            continue;
        }
        let answer = wire.get(&format!("{REPOSITORY}{name}"), token);
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.body.len() as u64, *size_bytes, "{name}");
        assert_eq!(Some(Id::of(&answer.body)), name.id(), "{name} is torn");
        sound.insert(*name);
    }
    for (name, id) in acknowledged {
        assert!(
            listed.contains_key(name),
            "{name} was answered and is not there"
        );
        assert_eq!(name.id(), Some(*id));
    }
}
