//! A process that stands still in the middle of whatever it does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;

use super::client::{self, REPOSITORY, ask, content, delete, get, put};
use super::process::{Fleet, boottime_ms, is_thorough, meanwhile, moment, pause, wait_until};

/// How large the packs of this test are.
const BYTES: usize = 2_000;

#[test]
fn a_process_that_is_paused_does_no_harm() {
    let fleet = Fleet::on_a_folder();
    let (one, other) = (fleet.start(), fleet.start());
    let (append, maintain) = (fleet.token("append"), fleet.token("maintain"));
    let create = format!("/{REPOSITORY}/?create=true");
    assert_eq!(
        ask(&one.address, "POST", &create, Some(&append), b"")
            .unwrap()
            .0,
        200
    );
    let first = content(0, BYTES);
    let pack = put(&one.address, &append, &first).unwrap();
    for number in 1..60 {
        let address = if number % 2 == 0 {
            &one.address
        } else {
            &other.address
        };
        put(address, &append, &content(number, BYTES)).unwrap();
    }
    let (began_ms, began_boot_ms) = (fleet.vault_ms(), boottime_ms());

    let rounds = if is_thorough() { 10 } else { 2 };
    for round in 0..rounds {
        // It is stopped while it puts, at any moment.
        let (ended, putting) = meanwhile({
            let (address, append) = (one.address.clone(), append.clone());
            move |ended| {
                let mut acknowledged = Vec::new();
                for number in 1_000 * (round + 1).. {
                    if ended.load(Ordering::SeqCst) {
                        return acknowledged;
                    }
                    acknowledged.extend(put(&address, &append, &content(number, BYTES)));
                }
                acknowledged
            }
        });
        pause(moment(round, Duration::from_secs(1)));
        one.signal(Signal::STOP);
        match is_thorough() {
            true => pause(Duration::from_secs(35)),
            false => fleet.end_leases(),
        }

        // The other one moves the clock and publishes the log.
        let stood_ms = fleet.vault_ms();
        wait_until("the clock moved by the other", || {
            fleet.vault_ms() > stood_ms
        });
        put(&other.address, &append, &content(500 + round, BYTES)).unwrap();
        fleet.wait_for_log();

        // A purge; then the same file comes again.
        assert!(delete(&other.address, &maintain, pack));
        fleet.purge();
        assert_eq!(get(&other.address, &append, pack), None);
        put(&other.address, &append, &first).unwrap();

        one.signal(Signal::CONT);
        ended.store(true, Ordering::SeqCst);
        let acknowledged = putting.join().unwrap();
        for process in [&one, &other] {
            assert_eq!(get(&process.address, &append, pack).as_ref(), Some(&first));
            let listed = client::list(&process.address, &append).unwrap();
            assert!(acknowledged.iter().all(|id| listed.contains(id)));
        }
    }

    // Time went on as fast as it does, and no faster, and the log is one.
    let gone_ms = fleet.vault_ms() - began_ms;
    let most_ms = (boottime_ms() - began_boot_ms) * 25 / 24 + 1_000;
    assert!((0..=most_ms).contains(&gone_ms), "{gone_ms} of {most_ms}");
    for (number, process) in [&one, &other].into_iter().enumerate() {
        process.audit_log(&append, &fleet.path(&format!("audit-{number}")));
    }
    let addresses = [one.address.clone(), other.address.clone()];
    one.stop();
    other.stop();
    assert!(
        addresses
            .iter()
            .all(|address| put(address, &append, b"late").is_none())
    );
    let log = fleet.path("storage/log");
    assert_eq!(fleet.count_acts(&log, "purge"), rounds as usize);
    assert_eq!(fleet.count_acts(&log, "start"), 2 + rounds as usize);
}
