//! Grouped commits: all of them, each with its own answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

use strongroom_vault::database::{Commits, Database, Work};
use strongroom_vault::{Error, Result};

use crate::database::{Scene, both, ids, is_own, number, own, put};

both! {
    each_gets_its_own_answer
    a_failure_in_a_group_is_its_own_callers_alone
    what_is_answered_is_there
    works_of_a_group_see_each_other
    what_is_refused_without_a_change_has_nobody_elses_work_done_again
}

fn each_gets_its_own_answer(scene: &Scene) {
    let commits = Commits::new(scene.open()).unwrap();
    thread::scope(|scope| {
        for thread in 0..16 {
            let commits = &commits;
            scope.spawn(move || {
                for n in 0..20 {
                    let id = thread * 100 + n;
                    let answer = commits.commit(move |transaction| {
                        put(transaction, id, id)?;
                        Ok(format!("note {id}"))
                    });
                    assert_eq!(answer.unwrap(), format!("note {id}"));
                }
            });
        }
    });
    drop(commits);
    assert_eq!(ids(&*scene.open()).len(), 320);
}

/// Every fifth fails by itself, every seventh by a statement, every eleventh panics.
fn a_failure_in_a_group_is_its_own_callers_alone(scene: &Scene) {
    let database = scene.open();
    let commits = Commits::new(Arc::clone(&database)).unwrap();
    let is_sound = |id: i64| id % 5 != 0 && id % 7 != 0 && id % 11 != 0;
    thread::scope(|scope| {
        for thread in 0..16 {
            let commits = &commits;
            scope.spawn(move || {
                for id in thread * 20..thread * 20 + 20 {
                    let outcome = catch_unwind(AssertUnwindSafe(|| {
                        commits.commit(move |transaction| {
                            put(transaction, id, id)?;
                            if id % 5 == 0 {
                                return Err(own());
                            } else if id % 7 == 0 {
                                put(transaction, id, id)?;
                            } else if id % 11 == 0 {
                                panic!("on purpose");
                            }
                            Ok(id)
                        })
                    }));
                    match outcome {
                        Ok(Ok(answer)) => assert!(answer == id && is_sound(id)),
                        Ok(Err(error)) if is_own(&error) => assert_eq!(id % 5, 0),
                        Ok(Err(Error::Database { .. })) => assert_eq!(id % 7, 0),
                        Ok(Err(error)) => panic!("{error:?}"),
                        Err(panic) => {
                            assert_eq!(id % 11, 0);
                            assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
                        }
                    }
                }
            });
        }
    });
    let sound: Vec<_> = (0..320).filter(|id| is_sound(*id)).collect();
    assert_eq!(ids(&*database), sound);
}

fn what_is_answered_is_there(scene: &Scene) {
    let database = scene.open();
    let commits = Commits::new(Arc::clone(&database)).unwrap();
    thread::scope(|scope| {
        for id in 0..8 {
            let (commits, database) = (&commits, &database);
            scope.spawn(move || {
                commits
                    .commit(move |transaction| put(transaction, id, 0))
                    .unwrap();
                assert!(ids(&**database).contains(&id));
            });
        }
    });
}

fn works_of_a_group_see_each_other(scene: &Scene) {
    let database = scene.open();
    let commits = Commits::new(Arc::clone(&database)).unwrap();
    commits
        .commit(|transaction| put(transaction, 1, 0))
        .unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let commits = &commits;
            scope.spawn(move || {
                for _ in 0..20 {
                    let outcome = commits.commit(move |transaction| {
                        transaction.execute("UPDATE note SET number = number + 1", &[])?;
                        let now = number(transaction, 1)?;
                        if thread == 0 { Err(own()) } else { Ok(now) }
                    });
                    assert_eq!(outcome.is_err(), thread == 0);
                }
            });
        }
    });
    let last = commits
        .commit(|transaction| number(transaction, 1))
        .unwrap();
    assert_eq!(last, Some(140));
}

/// A database that counts transactions, and can be away.
#[derive(Debug)]
struct Counted {
    database: Arc<dyn Database>,
    writes: AtomicUsize,
    is_away: bool,
}

impl Database for Counted {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let outcome = self.database.write(work);
        if self.is_away {
            return Err(Error::Database {
                action: "commit".to_owned(),
                reason: "It is away".to_owned(),
            });
        }
        outcome
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.database.read(work)
    }
}

/// Lets 60 threads commit while the first work stands still; half of them fail.
fn crowd(counted: &Arc<Counted>) -> Vec<Result<()>> {
    let commits = Commits::new(Arc::clone(counted) as Arc<dyn Database>).unwrap();
    let (open_gate, gate) = channel::<()>();
    let (say, arrived) = channel();
    let say_first = say.clone();
    thread::scope(|scope| {
        let commits = &commits;
        scope.spawn(move || {
            commits.commit(move |_| {
                let _ = say_first.send(());
                let _ = gate.recv();
                Ok(())
            })
        });
        arrived.recv().unwrap();
        let threads: Vec<_> = (0..60)
            .map(|id| {
                let say = say.clone();
                scope.spawn(move || {
                    say.send(()).unwrap();
                    commits.commit(move |transaction| {
                        put(transaction, id, id)?;
                        if id % 2 == 0 { Err(own()) } else { Ok(()) }
                    })
                })
            })
            .collect();
        threads.iter().for_each(|_| arrived.recv().unwrap());
        drop(open_gate);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn what_waits_is_done_together_even_where_many_fail() {
    let scene = Scene::sqlite();
    let counted = Arc::new(Counted {
        database: scene.open(),
        writes: AtomicUsize::new(0),
        is_away: false,
    });
    let outcomes = crowd(&counted);
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        30
    );
    // One for the first, and two for all, or a few more for those who were late.
    let writes = counted.writes.load(Ordering::Relaxed);
    assert!(writes < 30, "{writes}");
}

#[test]
fn where_the_database_is_away_everybody_is_told_so() {
    let scene = Scene::sqlite();
    let counted = Arc::new(Counted {
        database: scene.open(),
        writes: AtomicUsize::new(0),
        is_away: true,
    });
    for outcome in crowd(&counted) {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("It is away"), "{error}");
    }
}

#[test]
fn a_lone_failure_is_done_once() {
    let scene = Scene::sqlite();
    let commits = Commits::new(scene.open()).unwrap();
    let mut times = 0;
    let error = commits
        .commit(move |_| {
            times += 1;
            assert_eq!(times, 1);
            Err::<(), _>(own())
        })
        .unwrap_err();
    assert!(is_own(&error));
}

fn what_is_refused_without_a_change_has_nobody_elses_work_done_again(scene: &Scene) {
    let database = scene.open();
    let commits = Commits::new(Arc::clone(&database)).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for thread in 0..16 {
            let (commits, runs, start) = (&commits, &runs, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..20 {
                    let id = thread * 100 + round;
                    if thread % 2 == 0 {
                        let refused = commits.commit(move |transaction| {
                            assert_eq!(number(transaction, 9_999)?, None);
                            Err::<(), _>(own())
                        });
                        assert!(is_own(&refused.unwrap_err()));
                        continue;
                    }
                    let runs = Arc::clone(runs);
                    let put = commits.commit(move |transaction| {
                        runs.fetch_add(1, Ordering::SeqCst);
                        put(transaction, id, id)
                    });
                    put.unwrap();
                }
            });
        }
    });
    drop(commits);
    assert_eq!(ids(&*database).len(), 160);
    assert_eq!(runs.load(Ordering::SeqCst), 160);
}
