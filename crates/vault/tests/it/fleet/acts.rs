//! Two processes at one vault, whose clocks and whose sleep a test rules.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use serde_json::Value as Json;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Bodies, LocalBodies};
use strongroom_testkit::{Fault, FaultyBodies, Gate, Op, Rule};
use strongroom_vault::Error;
use strongroom_vault::database::Transaction;
use strongroom_vault::people::Who;
use strongroom_vault::records::leaves;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{Job, NewToken, Principal};

use super::pairs::on_both;
use crate::vault::parts::{packs, put_many};
use crate::vault::scene::{START_MS, Scene, new_token, on_sqlite, repository, within};

/// The leases of whoever lives end now, as if their holders had been silent for 30 s.
pub(super) fn end_leases(scene: &Scene) {
    scene.execute("UPDATE lease SET until_ms = 0");
}

/// All leaves that are in the database, by number.
pub(super) fn all_leaves(scene: &Scene) -> Vec<Json> {
    let mut found = Vec::new();
    let mut read = |transaction: &mut dyn Transaction| {
        found.clear();
        leaves::entries(transaction, 0, 1 << 20, &mut |_, entry| {
            found.push(serde_json::from_slice(&entry).unwrap());
            Ok(())
        })
    };
    scene.vault.database().read(&mut read).unwrap();
    found
}

/// The same time passes for all.
fn pass(scenes: &[&Scene], ms: i64) {
    let mut left_ms = ms;
    while left_ms > 0 {
        let step_ms = left_ms.min(50 * SECOND_MS);
        left_ms -= step_ms;
        for scene in scenes {
            let mut clocks = scene.clocks.lock();
            clocks.boottime_ms += step_ms;
            clocks.wall_ms += step_ms;
        }
        for scene in scenes {
            scene.vault.tick().unwrap();
        }
    }
}

/// Many packs, of which the first is asked to be deleted, and it is time to purge it.
fn with_one_due(scene: &Scene, who: &Principal) -> FileName {
    scene.init(who);
    let put = |number: u8| scene.put(who, FileType::Data, &[number; 50]).unwrap();
    let packs: Vec<_> = (0..60).map(put).collect();
    scene.vault.remove(who, &repository(), packs[0]).unwrap();
    packs[0]
}

fn purges(scene: &Scene) -> usize {
    let is_purge = |leaf: &&Json| leaf["act"] == "purge";
    all_leaves(scene).iter().filter(is_purge).count()
}

#[test]
fn a_token_that_is_revoked_at_one_process_stops_at_the_other_within_a_second() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        let new = new_token(Right::Append);
        let token = one.vault.create_token(Who::Folder, &new).unwrap();
        other.vault.authenticate(token.reveal()).unwrap();
        // Its first use is noted; from the second on it is believed.
        other.vault.authenticate(token.reveal()).unwrap();
        assert!(other.vault.authenticate_known(token.reveal()).is_some());
        one.vault.revoke_token(Who::Folder, &token.name).unwrap();
        other.clocks.lock().boottime_ms += SECOND_MS;
        assert!(other.vault.authenticate_known(token.reveal()).is_none());
        let refused = other.vault.authenticate(token.reveal());
        assert!(matches!(refused, Err(Error::Unauthorized)), "{refused:?}");
    });
}

#[test]
fn what_a_token_may_put_in_a_day_is_counted_for_all_processes() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        one.init(&one.token(Right::Append));
        let new = NewToken {
            daily_objects: Some(10),
            ..new_token(Right::Append)
        };
        let token = one.admit(&new);
        let put = |number: u8| {
            let scene = if number.is_multiple_of(2) {
                &one
            } else {
                &other
            };
            scene.put(&token, FileType::Data, &[number; 20]).is_ok()
        };
        assert_eq!((0..20).filter(|number| put(*number)).count(), 10);
        // Just before midnight, and just after it for one of them: that begins one day, not many.
        let midnight_ms = (START_MS / DAY_MS + 1) * DAY_MS;
        one.execute(&format!(
            "UPDATE clock SET vault_ms = {}",
            midnight_ms - 500
        ));
        pass(&[&one, &other], 1);
        assert_eq!((20..40).filter(|number| put(*number)).count(), 0);
        pass(&[&one], SECOND_MS);
        assert_eq!((40..80).filter(|number| put(*number)).count(), 10);
    });
}

#[test]
fn two_that_purge_at_once_purge_each_object_once() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        let maintain = one.token(Right::Maintain);
        with_one_due(&one, &maintain);
        pass(&[&one, &other], 4 * HOUR_MS);
        thread::scope(|scope| {
            for scene in [&one, &other, &one, &other] {
                let vault = scene.vault.clone();
                scope.spawn(move || vault.purge().unwrap());
            }
        });
        one.vault.purge().unwrap();
        assert_eq!(purges(&one), 1);
        let repositories = other.vault.repositories().unwrap();
        assert_eq!(repositories[0].objects, 62 - 1);
    });
}

/// A scene whose removals wait at a gate, and another process of it without a gate.
fn gated() -> (Scene, Scene, Gate) {
    let gate = Gate::closed();
    let bodies = {
        let gate = gate.clone();
        move |folder: &Path| -> Arc<dyn Bodies> {
            let local = LocalBodies::new(folder.join("repositories"));
            local.create().unwrap();
            let faulty = FaultyBodies::new(local);
            let rule = Rule::on(&[Op::Remove], Fault::Wait(gate.clone()));
            faulty.rules().add(rule);
            Arc::new(faulty)
        }
    };
    let one = within(&on_sqlite(bodies), Scene::new);
    let other = one.beside();
    (one, other, gate)
}

#[test]
fn a_purge_that_slept_and_was_ended_by_a_post_takes_nothing_of_what_came_since() {
    let (one, other, gate) = gated();
    let maintain = one.token(Right::Maintain);
    let pack = with_one_due(&one, &maintain);
    pass(&[&one, &other], 4 * HOUR_MS);
    thread::scope(|scope| {
        let vault = one.vault.clone();
        let sleeper = scope.spawn(move || vault.purge());
        gate.wait_for_waiting(1);
        end_leases(&one);
        other.put_as(&maintain, pack, &[0; 50]).unwrap();
        gate.open();
        sleeper.join().unwrap().unwrap();
    });
    for scene in [&one, &other] {
        assert_eq!(scene.read(&maintain, View::Now, pack).unwrap(), [0; 50]);
        assert_eq!(scene.vault.purge().unwrap()[0].1.objects, 0);
        assert_eq!(scene.vault.repositories().unwrap()[0].objects, 62);
    }
    assert_eq!(purges(&one), 1);
    let arrivals = all_leaves(&one);
    let arrivals = arrivals
        .iter()
        .filter(|leaf| leaf["act"] == "arrival" && leaf["file"] == pack.to_string());
    assert_eq!(arrivals.count(), 2);
}

#[test]
fn a_post_waits_for_the_purge_of_another_process() {
    let (one, other, gate) = gated();
    let maintain = one.token(Right::Maintain);
    let pack = with_one_due(&one, &maintain);
    pass(&[&one, &other], 4 * HOUR_MS);
    thread::scope(|scope| {
        let vault = one.vault.clone();
        let purger = scope.spawn(move || vault.purge());
        gate.wait_for_waiting(1);
        let poster = {
            let (vault, maintain) = (other.vault.clone(), maintain.clone());
            scope.spawn(move || {
                let length_bytes = Some(50);
                let mut upload = vault.begin_put(&maintain, &repository(), pack, length_bytes)?;
                upload.write(&[0; 50])?;
                upload.finish()
            })
        };
        // Whoever reads meanwhile finds nothing.
        assert!(other.read(&maintain, View::Now, pack).is_err());
        gate.open();
        purger.join().unwrap().unwrap();
        poster.join().unwrap().unwrap();
    });
    assert_eq!(one.read(&maintain, View::Now, pack).unwrap(), [0; 50]);
    assert_eq!(purges(&one), 1);
}

#[test]
fn a_purge_under_way_is_taken_over_by_another_process() {
    let (one, other, gate) = gated();
    let maintain = one.token(Right::Maintain);
    let pack = with_one_due(&one, &maintain);
    pass(&[&one, &other], 4 * HOUR_MS);
    thread::scope(|scope| {
        let vault = one.vault.clone();
        let sleeper = scope.spawn(move || vault.purge());
        gate.wait_for_waiting(1);
        assert!(
            other.vault.purge().unwrap().is_empty(),
            "the lease is another's"
        );
        end_leases(&one);
        assert_eq!(other.vault.purge().unwrap()[0].1.objects, 1);
        gate.open();
        sleeper.join().unwrap().unwrap();
    });
    assert!(one.read(&maintain, View::Now, pack).is_err());
    assert_eq!(one.vault.repositories().unwrap()[0].objects, 61);
    assert_eq!(purges(&one), 1);
}

#[test]
fn a_host_that_is_twenty_days_ahead_and_takes_over_is_doubted() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        other.clocks.lock().wall_ms += 20 * DAY_MS;
        pass(&[&one, &other], 10 * MINUTE_MS);
        assert!(!other.vault.is_clock_doubted());
        // However it ends: here its lease is given back, as by one that is stopped.
        one.vault.release_leases().unwrap();
        pass(&[&other], MINUTE_MS);
        assert!(other.vault.is_clock_doubted());
        let gone_ms = other.vault.now().recorded_ms - START_MS;
        assert!(gone_ms < 15 * MINUTE_MS, "{gone_ms}");
        assert_eq!(one.acts("clock-jump").len(), 1);
    });
}

#[test]
fn the_clock_is_moved_by_one_and_taken_over_without_a_leap() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        pass(&[&one, &other], 10 * MINUTE_MS);
        let before_ms = one.vault.now().vault_ms;
        // The first step had nothing to go by, and what it lost is caught up slowly.
        let gone_ms = before_ms - START_MS;
        assert!(
            (9 * MINUTE_MS..=10 * MINUTE_MS).contains(&gone_ms),
            "{gone_ms}"
        );
        let behind_ms = before_ms - other.vault.now().vault_ms;
        assert!((0..=15 * SECOND_MS).contains(&behind_ms), "{behind_ms}");

        // The first one dies. While its lease runs the clock stands still.
        pass(&[&other], 10 * MINUTE_MS);
        assert!(other.vault.now().vault_ms <= before_ms + 15 * SECOND_MS);
        end_leases(&other);
        pass(&[&other], MINUTE_MS);
        // It was only asleep: what it believes to hold it does not.
        one.vault.tick().unwrap();
        pass(&[&other, &one], 10 * MINUTE_MS);
        let (one_ms, other_ms) = (one.vault.now().vault_ms, other.vault.now().vault_ms);
        let gone_ms = other_ms - before_ms;
        assert!(
            (10 * MINUTE_MS..=12 * MINUTE_MS).contains(&gone_ms),
            "{gone_ms}"
        );
        assert!((other_ms - one_ms).abs() <= 15 * SECOND_MS);
    });
}

#[test]
fn a_process_that_stops_hands_over_at_once() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        for job in [Job::Clock, Job::Log, Job::Purge, Job::Scrub] {
            let run = |scene: &Scene| scene.vault.run_job(job, |_| Ok(())).unwrap().is_some();
            assert!(run(&one), "{job:?}");
            // Short jobs leave nothing behind; the constant ones are kept.
            let is_kept = matches!(job, Job::Clock | Job::Log);
            assert_eq!(run(&other), !is_kept, "{job:?}");
            one.vault.release_leases().unwrap();
            assert!(run(&other), "{job:?}");
            other.vault.release_leases().unwrap();
        }
    });
}

#[test]
fn what_is_left_of_an_act_is_done_by_another_as_soon_as_its_process_stops() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        let (honest, thief) = (one.token(Right::Append), one.token(Right::Append));
        one.init(&honest);
        put_many(&one, &thief);
        one.vault.end_jobs();
        let stopped = one.vault.hide(Who::Folder, &thief.name, 0);
        let Err(Error::Stopping { objects }) = stopped else {
            panic!("{stopped:?}");
        };
        assert_eq!(objects, 5_000);
        assert!(packs(&other, &honest) > 0);
        assert_eq!(other.vault.go_on().unwrap(), 1);
        assert_eq!(packs(&other, &honest), 0);
        assert_eq!(other.vault.go_on().unwrap(), 0);
        assert!(other.vault.tallies_agree().unwrap());
    });
}

#[test]
fn a_job_that_lost_its_lease_commits_nothing_more() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        let done = one.vault.run_job(Job::Scrub, |held| {
            held.keep()?;
            end_leases(&one);
            let taken = other.vault.run_job(Job::Scrub, |_| {
                let lease = held.lease();
                let mut require = |transaction: &mut dyn Transaction| lease.require(transaction);
                let refused = one.vault.database().write(&mut require);
                assert!(matches!(refused, Err(Error::LeaseLost { job: "scrub" })));
                Ok(())
            });
            assert_eq!(taken.unwrap(), Some(()));
            one.clocks.lock().boottime_ms += 10 * SECOND_MS;
            held.keep()
        });
        assert_eq!(done.unwrap(), None);
    });
}

#[test]
fn times_in_the_log_never_run_backwards_whichever_process_writes() {
    on_both(|| {
        let one = Scene::new();
        let other = one.beside();
        let append = one.token(Right::Append);
        one.init(&append);
        // The wall clock of one is half a minute ahead, and it looks at the row only now and then.
        other.clocks.lock().wall_ms += 30 * SECOND_MS;
        for number in 0..60_u8 {
            pass(&[&one], SECOND_MS);
            let mut clocks = other.clocks.lock();
            clocks.boottime_ms += SECOND_MS;
            clocks.wall_ms += SECOND_MS;
            drop(clocks);
            if number % 13 == 0 {
                other.vault.tick().unwrap();
            }
            let scene = if number % 3 == 0 { &other } else { &one };
            scene.put(&append, FileType::Data, &[number; 30]).unwrap();
        }
        let leaves = all_leaves(&one);
        for field in ["at", "vault"] {
            let times: Vec<jiff::Timestamp> = leaves
                .iter()
                .map(|leaf| leaf[field].as_str().unwrap().parse().unwrap())
                .collect();
            assert!(times.is_sorted(), "{field}: {times:?}");
        }
    });
}

#[test]
fn an_arrival_is_dated_when_it_is_committed_and_not_when_its_process_fell_asleep() {
    let one = Scene::new();
    let other = one.beside();
    let append = one.token(Right::Append);
    one.init(&append);
    pass(&[&one, &other], MINUTE_MS);
    // For an hour the other one sees no clock move, and looks at nothing.
    pass(&[&one], HOUR_MS);
    let name = FileName::new(FileType::Data, Id::of(b"slept"));
    other.put_as(&append, name, b"slept").unwrap();
    let leaves = all_leaves(&one);
    let at: jiff::Timestamp = leaves.last().unwrap()["vault"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let behind_ms = one.vault.now().vault_ms - at.as_millisecond();
    assert!((0..=15 * SECOND_MS).contains(&behind_ms), "{behind_ms}");
}
