//! A hundred thousand invented snapshots: stopped at the bound of a day, and where there is none,
//! quick to list and gone by one act.

use std::thread;
use std::time::{Duration, Instant};

use strongroom_model::FileType;

use crate::clients::server::Server;
use crate::clients::{REPOSITORY, is_thorough};

/// The connections that send at a time.
const SENDERS: u32 = 8;

#[test]
fn a_flood_of_snapshots_stops_at_the_bound_of_a_day() {
    let server = Server::start();
    let honest = server.token("append");
    let bounds = ["--daily-objects", "150", "--daily-size", "1MiB"];
    let stolen = server.token_for("acme/repos", "append", &bounds);
    let mut wire = server.wire();
    wire.post(&format!("{REPOSITORY}?create=true"), &honest, b"");
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (mut wire, token) = (server.wire(), stolen.clone());
            thread::spawn(move || {
                let put = |number: u32| {
                    let bytes = (number * SENDERS + sender).to_le_bytes();
                    wire.put(REPOSITORY, &token, FileType::Snapshots, &bytes).1
                };
                (0..40).map(put).filter(|status| *status == 200).count()
            })
        })
        .collect();
    let taken: usize = senders
        .into_iter()
        .map(|sender| sender.join().unwrap())
        .sum();
    assert!((143..=150).contains(&taken), "{taken}");
    let listed = wire.list(REPOSITORY, &honest, FileType::Snapshots);
    assert_eq!(listed.len(), taken);
    // Large ones do not pass the bound either, nor stay behind on the disk.
    let large = vec![7; 2 << 20];
    assert_eq!(wire.put(REPOSITORY, &stolen, FileType::Data, &large).1, 507);
    let folder = server.data().join("repositories/acme/repos");
    assert_eq!(files_in(&folder), taken);
    // Whoever did nothing wrong goes on.
    assert_eq!(
        wire.put(REPOSITORY, &honest, FileType::Snapshots, b"a snapshot")
            .1,
        200
    );
}

#[test]
fn snapshots_without_a_bound_are_quick_to_list_and_gone_by_one_act() {
    let count = if is_thorough() { 100_000 } else { 4_000 };
    let server = Server::start();
    let (honest, stolen) = (server.token("append"), server.token("append"));
    let mut wire = server.wire();
    wire.post(&format!("{REPOSITORY}?create=true"), &honest, b"");
    wire.put(REPOSITORY, &honest, FileType::Snapshots, b"a snapshot");
    let since = server.moment();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (mut wire, token) = (server.wire(), stolen.clone());
            thread::spawn(move || {
                for number in (sender..count).step_by(SENDERS as usize) {
                    let bytes = number.to_le_bytes();
                    let (_, status) = wire.put(REPOSITORY, &token, FileType::Snapshots, &bytes);
                    assert_eq!(status, 200);
                }
            })
        })
        .collect();
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());

    let listed = timed(Duration::from_secs(2), || {
        wire.list(REPOSITORY, &honest, FileType::Snapshots).len()
    });
    assert_eq!(listed, count as usize + 1);
    let name = stolen.split('-').nth(1).unwrap();
    server.run(&["token", "revoke", name]);
    let said = timed(Duration::from_secs(10), || {
        server.run(&["hide", "--token", name, "--since", &since])
    });
    assert!(said.starts_with(&format!("{count} ")), "{said}");
    let before = format!("/asof/{since}{REPOSITORY}");
    for folder in [REPOSITORY, &before] {
        let listed = timed(Duration::from_secs(2), || {
            wire.list(folder, &honest, FileType::Snapshots).len()
        });
        assert_eq!(listed, 1, "{folder}");
    }
    let said = server.run(&["unhide", "--token", name]);
    assert!(said.starts_with(&format!("{count} ")), "{said}");
}

/// Does something within a time.
fn timed<T>(most: Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    assert!(took < most, "it took {took:?}");
    done
}

fn files_in(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => files_in(&path),
        false => 1,
    };
    entries.map(count).sum()
}
