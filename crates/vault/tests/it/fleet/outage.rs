//! A database that goes away and comes back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::client::{REPOSITORY, ask, content, get, list, put};
use super::process::{Fleet, is_thorough, meanwhile, moment, pause, wait_until};

/// How large the packs of this test are.
const BYTES: usize = 3_000;

#[test]
fn while_the_database_is_away_nothing_is_acknowledged_and_nothing_was_lost() {
    let mut fleet = Fleet::on_a_folder();
    let processes = [fleet.start(), fleet.start()];
    let append = fleet.token("append");
    let create = format!("/{REPOSITORY}/?create=true");
    let created = ask(&processes[0].address, "POST", &create, Some(&append), b"");
    assert_eq!(created.unwrap().0, 200);
    let rounds = if is_thorough() { 10 } else { 2 };
    for round in 0..rounds {
        let putters: Vec<_> = processes
            .iter()
            .zip([1, 2])
            .map(|(process, which)| {
                let (address, append) = (process.address.clone(), append.clone());
                meanwhile(move |ended| {
                    let mut acknowledged = Vec::new();
                    for number in 0_u64.. {
                        if ended.load(Ordering::SeqCst) {
                            break;
                        }
                        let number = (number * 10 + which) * 100 + round;
                        let content = content(number, BYTES);
                        if put(&address, &append, &content).is_some() {
                            acknowledged.push(content);
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        pause(moment(round, Duration::from_secs(2)));
        fleet.server.as_mut().unwrap().crash();
        for (process, which) in processes.iter().zip([3, 4]) {
            let content = content(which * 100 + round, BYTES);
            assert_eq!(put(&process.address, &append, &content), None);
            wait_until("it tells that it cannot serve", || !process.is_ready());
            let health = ask(&process.address, "GET", "/healthz", None, b"").unwrap();
            assert_eq!(health.0, 200, "nobody must restart it");
            let path = format!("/{REPOSITORY}/data/{}", strongroom_model::Id::of(b"any"));
            let (status, _) = ask(&process.address, "GET", &path, Some(&append), b"").unwrap();
            assert_eq!(status, 503);
        }
        fleet.server.as_mut().unwrap().start_again();
        for process in &processes {
            wait_until("it serves again", || process.is_ready());
            let more = content(5 * 100 + round, BYTES);
            wait_until("it takes packs again", || {
                put(&process.address, &append, &more).is_some()
            });
        }
        for (ended, putter) in putters {
            ended.store(true, Ordering::SeqCst);
            let acknowledged = putter.join().unwrap();
            assert!(!acknowledged.is_empty());
            for process in &processes {
                let listed = list(&process.address, &append).unwrap();
                for content in &acknowledged {
                    assert!(listed.contains(&strongroom_model::Id::of(content)));
                }
                let last = acknowledged.last().unwrap();
                let id = strongroom_model::Id::of(last);
                assert_eq!(get(&process.address, &append, id).as_ref(), Some(last));
            }
        }
    }
    for (number, process) in processes.iter().enumerate() {
        process.audit_log(&append, &fleet.path(&format!("audit-{number}")));
    }
}
