//! A database that goes away and comes back, or stands still; and a bucket that says nothing.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use strongroom_model::{FileType, Secret};
use strongroom_store::Bodies;
use strongroom_testkit::PostgresServer;
use strongroom_vault::database::{Database, Postgres};
use strongroom_vault::http::VaultState;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::right::Right;

use super::client::{REPOSITORY, ask, content, delete, get, list, put};
use super::process::{Fleet, Process, is_thorough, meanwhile, moment, pause, wait_until};
use super::storage::{begun, hangs};
use crate::database::proxy::Proxy;
use crate::vault::scene::{Pair, Scene, local_bodies, within};

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

#[test]
fn a_database_that_stands_still_is_told_by_readyz_and_no_request_waits_for_it() {
    let server = PostgresServer::start();
    let proxy = Proxy::start(&server);
    let (url, patience) = (proxy.url(), Duration::from_secs(2));
    let pair: Pair = Rc::new(
        move |folder: &Path| -> (Arc<dyn Database>, Arc<dyn Bodies>) {
            let url = Secret::new(url.as_str());
            let database = Postgres::open_with(&url, None, patience).unwrap();
            (Arc::new(database), local_bodies(folder))
        },
    );
    within(&pair, || {
        let scene = Scene::new();
        let append = scene.token(Right::Append);
        scene.init(&append);
        let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
        let metrics = Metrics::new();
        let state = VaultState::new(&metrics);
        state.try_storage(&scene.vault);
        let is_ready = || {
            state.look(&scene.vault, &metrics, 0);
            state.readyz(&scene.vault).status() == StatusCode::OK
        };
        assert!(is_ready());
        proxy.stand_still(true);
        let began = Instant::now();
        assert!(!is_ready());
        assert!(began.elapsed() < 3 * patience, "{:?}", began.elapsed());
        // A new start would not help.
        assert!(state.is_alive(&scene.vault));
        let began = Instant::now();
        for number in 0..100_u8 {
            scene
                .put(&append, FileType::Data, &[number; 40])
                .unwrap_err();
            scene.read(&append, View::Now, pack).unwrap_err();
            assert!(!is_ready());
        }
        assert!(began.elapsed() < patience, "{:?}", began.elapsed());
        proxy.stand_still(false);
        // The test runner's limit is the judge.
        while !is_ready() {
            thread::yield_now();
        }
        assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
        scene.put(&append, FileType::Data, b"more").unwrap();
    });
}

#[test]
fn a_start_does_not_wait_for_a_bucket_that_says_nothing() {
    let mut fleet = Fleet::on_a_folder();
    let (process, [append, maintain], pack) = begun(&fleet);
    process.stop();
    // The kernel takes connections, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap();
    fleet.environment = vec![
        ("AWS_ACCESS_KEY_ID", "name".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "geheim".to_owned()),
    ];
    let storage = format!("[storage]\nbucket = \"fleet\"\nendpoint = \"http://{endpoint}\"\n");
    fleet.configure("data", &storage);
    let began = Instant::now();
    let process = fleet.start();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    // All that needs no storage is done.
    let listed = || list(&process.address, &append).unwrap();
    assert!(listed().contains(&pack));
    assert!(delete(&process.address, &maintain, pack));
    assert!(!listed().contains(&pack));
    let (status, told) = ask(&process.address, "GET", "/readyz", None, b"").unwrap();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(status, 503, "{told}");
    assert!(told.contains("storage"), "{told}");
    stop_with_unpublished(&fleet, process);
}

/// Stops a process whose storage says nothing: it waits some seconds, and tells what it leaves.
fn stop_with_unpublished(fleet: &Fleet, process: Process) {
    let began = Instant::now();
    let said = process.stopped();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(said.contains("waited for so long"), "{said}");
    assert!(
        said.contains("leaves of the log are not published"),
        "{said}"
    );
    assert!(said.contains("Stopped"), "{said}");
    assert!(fleet.unpublished() > 0);
}

#[test]
fn a_folder_that_hangs_holds_up_neither_start_nor_stop_and_the_next_start_publishes() {
    let fleet = Fleet::on_a_folder();
    let (process, [append, maintain], pack) = begun(&fleet);
    process.stop();
    assert_eq!(fleet.unpublished(), 0);
    let checkpoint = fleet.path("storage/log/checkpoint");
    let kept = fs::read(&checkpoint).unwrap();
    fs::remove_file(&checkpoint).unwrap();
    hangs(&checkpoint);
    let began = Instant::now();
    let process = fleet.start();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(delete(&process.address, &maintain, pack));
    stop_with_unpublished(&fleet, process);
    fs::remove_file(&checkpoint).unwrap();
    fs::write(&checkpoint, kept).unwrap();
    let process = fleet.start();
    fleet.wait_for_log();
    process.audit_log(&append, &fleet.path("audit"));
    process.stop();
    assert_eq!(fleet.unpublished(), 0);
    let log = fleet.path("storage/log");
    assert_eq!(fleet.count_acts(&log, "tombstone"), 1);
    assert_eq!(fleet.count_acts(&log, "start"), 3);
}
