//! Whatever was answered is there, whoever dies.

use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use strongroom_model::Secret;
use strongroom_vault::database::{Commits, Database, Postgres, Sqlite, migrate};

use crate::database::{SCHEMA, Scene, ids, own, put};

/// Says to a child where its database is.
const PLACE: &str = "STRONGROOM_TEST_DATABASE";

/// Where a scene's database is.
fn place(scene: &Scene) -> String {
    match scene {
        Scene::Sqlite(folder) => folder.path().join("vault.db").display().to_string(),
        Scene::Postgres(server) => server.url(),
    }
}

/// The test that commits until it is killed where it is told so.
const CHILD: &str = "database::durability::what_was_answered_on_sqlite_is_there_after_a_kill";

#[test]
fn what_was_answered_on_sqlite_is_there_after_a_kill() {
    match std::env::var(PLACE) {
        Ok(place) => commit_until_killed(place),
        Err(_) => what_was_answered_is_there_after_a_kill(&Scene::sqlite()),
    }
}

#[test]
fn what_was_answered_on_postgres_is_there_after_a_kill() {
    what_was_answered_is_there_after_a_kill(&Scene::postgres());
}

/// Says what was answered.
fn commit_until_killed(place: String) {
    let database: Arc<dyn Database> = if place.starts_with("postgres:") {
        Arc::new(Postgres::open(&Secret::new(place), None).unwrap())
    } else {
        Arc::new(Sqlite::open(Path::new(&place)).unwrap())
    };
    migrate(&*database, &SCHEMA).unwrap();
    let first = ids(&*database).last().map_or(0, |last| last + 1);
    let commits = Commits::new(database).unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let commits = &commits;
            scope.spawn(move || {
                for n in 0.. {
                    let id = first + n * 8 + thread;
                    let outcome = commits.commit(move |transaction| {
                        put(transaction, id, id)?;
                        if id % 10 == 9 { Err(own()) } else { Ok(()) }
                    });
                    assert_eq!(outcome.is_err(), id % 10 == 9);
                    let answer = if outcome.is_ok() { "kept" } else { "refused" };
                    let mut out = stdout().lock();
                    // At the beginning of a line, whatever the test runner has written.
                    write!(out, "\n{answer} {id}\n").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// Starts a child, lets it answer so many times, and kills it in the midst of its work.
fn run_and_kill(scene: &Scene, answers: usize) -> Vec<(bool, i64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(PLACE, place(scene))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(id) = line.strip_prefix("kept ") {
            said.push((true, id.parse().unwrap()));
        } else if let Some(id) = line.strip_prefix("refused ") {
            said.push((false, id.parse().unwrap()));
        }
        // What it says between the signal and its end is read too: it was answered.
        if said.len() == answers {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(said.len() >= answers, "the child ended early");
    said
}

fn what_was_answered_is_there_after_a_kill(scene: &Scene) {
    let mut answered = Vec::new();
    for round in 1..=5 {
        answered.extend(run_and_kill(scene, round * 40));
        let found = ids(&*scene.open());
        for (kept, id) in &answered {
            assert_eq!(found.binary_search(id).is_ok(), *kept, "{id}");
        }
    }
}

#[test]
fn what_was_answered_is_there_though_nothing_was_closed() {
    let scene = Scene::sqlite();
    let database = scene.open();
    database
        .write(&mut |transaction| put(transaction, 1, 1))
        .unwrap();
    std::mem::forget(database);
    assert_eq!(ids(&*scene.open()), [1]);
}

#[test]
fn what_was_answered_is_there_after_a_crash_of_the_server() {
    let mut scene = Scene::postgres();
    for round in 0..3 {
        let database = scene.open();
        let commits = Commits::new(Arc::clone(&database)).unwrap();
        let answers = Mutex::new(Vec::new());
        let (say, answered) = channel();
        thread::scope(|scope| {
            for thread in 0..8 {
                let (commits, answers, say) = (&commits, &answers, say.clone());
                scope.spawn(move || {
                    for n in 0.. {
                        let id = round * 1_000_000 + n * 8 + thread;
                        let outcome = commits.commit(move |transaction| put(transaction, id, id));
                        let is_over = outcome.is_err();
                        answers.lock().unwrap().push((id, outcome));
                        let _ = say.send(());
                        if is_over {
                            break;
                        }
                    }
                });
            }
            (0..100).for_each(|_| answered.recv().unwrap());
            let Scene::Postgres(server) = &mut scene else {
                unreachable!()
            };
            server.crash();
        });
        let Scene::Postgres(server) = &mut scene else {
            unreachable!()
        };
        server.start_again();
        let found = ids(&*scene.open());
        for (id, outcome) in answers.into_inner().unwrap() {
            let is_there = found.binary_search(&id).is_ok();
            match outcome {
                Ok(()) => assert!(is_there, "{id}"),
                Err(error) if error.to_string().contains("not known") => {}
                Err(error) => assert!(!is_there, "{id}: {error}"),
            }
        }
    }
}
