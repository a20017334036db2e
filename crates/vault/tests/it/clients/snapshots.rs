//! A hundred thousand invented snapshots: stopped at the bound of a day, and where there is none,
//! quick to list and gone by one act.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_testkit::contract::noise;
use strongroom_vault::database::{Database, Sqlite, Transaction};
use strongroom_vault::records::leaves::{self, Act, File, Moment};
use strongroom_vault::records::objects::{self, Key};
use strongroom_vault::records::{clock, repositories, tokens};
use strongroom_vault::rules::life::{Object, State};

use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;
use crate::clients::wire::{Sends, Wire};
use crate::clients::{REPOSITORY, is_thorough};
use crate::vault::scene::files_in;

/// The connections that send at a time.
const SENDERS: u32 = 8;

/// How many invented snapshots there are.
const FAKES: u32 = 100_000;

/// How many of them are sent where there is little time.
const SENT: u32 = 4_000;

/// How many are written at once of those that are not.
const AT_ONCE: usize = 5_000;

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
fn a_hundred_thousand_snapshots_are_quick_to_list_and_gone_by_one_act() {
    let sent = if is_thorough() { FAKES } else { SENT };
    let mut server = Server::start();
    let (honest, stolen) = (server.token("append"), server.token("append"));
    let source = server.folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), noise(1, 200_000)).unwrap();
    let restic = |server: &Server, view: &str, arguments: &[&str]| {
        let token = honest.clone();
        Restic { server, token }.expect(view, arguments)
    };
    let owner = Restic {
        server: &server,
        token: honest.clone(),
    };
    owner.begin();
    restic(&server, "", &["backup", path(&source)]);
    let since = server.moment();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (mut wire, token) = (server.wire(), stolen.clone());
            thread::spawn(move || {
                for number in (sender..sent).step_by(SENDERS as usize) {
                    let bytes = number.to_le_bytes();
                    let (_, status) = wire.put(REPOSITORY, &token, FileType::Snapshots, &bytes);
                    assert_eq!(status, 200);
                }
            })
        })
        .collect();
    // Whoever has something to save saves it meanwhile; it asks for no parent, which would be to
    // read all that is invented.
    std::fs::write(source.join("file"), noise(2, 200_000)).unwrap();
    restic(&server, "", &["backup", "--force", path(&source)]);
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    let mut wire = server.wire();
    let name = stolen.split('-').nth(1).unwrap();
    if sent < FAKES {
        server.kill();
        write_rows(&server, name, sent..FAKES);
        server.restart();
        wire = server.wire();
    }

    assert_eq!(list(&mut wire, REPOSITORY, &honest), FAKES as usize + 2);
    server.run(&["token", "revoke", name]);
    let said = timed(Duration::from_secs(10), || {
        server.run(&["hide", "--token", name, "--since", &since])
    });
    assert!(said.starts_with(&format!("{FAKES} ")), "{said}");
    let before = format!("/asof/{since}{REPOSITORY}");
    for (folder, snapshots) in [(REPOSITORY, 2), (before.as_str(), 1)] {
        assert_eq!(list(&mut wire, folder, &honest), snapshots, "{folder}");
    }
    // All is as it was to restic: what is there now, and what was there before.
    restic(&server, "", &["check", "--read-data"]);
    restic(&server, "", &["backup", path(&source)]);
    let view = format!("asof/{since}/");
    restic(&server, &view, &["--no-lock", "check", "--read-data"]);
    let target = server.folder.path().join("restored");
    let restore = ["--no-lock", "restore", "latest", "--target", path(&target)];
    restic(&server, &view, &restore);
    let restored = target.join(source.strip_prefix("/").unwrap()).join("file");
    assert!(std::fs::read(restored).unwrap() == noise(1, 200_000));
    let said = server.run(&["unhide", "--token", name]);
    assert!(said.starts_with(&format!("{FAKES} ")), "{said}");
    assert_eq!(list(&mut wire, REPOSITORY, &honest), FAKES as usize + 3);
}

/// Writes what came of snapshots, by the functions by which an arrival is written, while nobody
/// serves. Sent one by one they would take minutes here; what a list and a `hide` go through is
/// their rows, and none of their bytes.
fn write_rows(server: &Server, token: &str, numbers: Range<u32>) {
    let database = Sqlite::open(&server.data().join("vault.sqlite")).unwrap();
    let numbers: Vec<u32> = numbers.collect();
    for some in numbers.chunks(AT_ONCE) {
        let written = database.write(&mut |transaction| {
            let path = "acme/repos".parse().unwrap();
            for number in some {
                arrive(transaction, &path, token, &number.to_le_bytes())?;
            }
            Ok(())
        });
        written.unwrap();
    }
}

fn arrive(
    transaction: &mut dyn Transaction,
    path: &RepositoryPath,
    token: &str,
    bytes: &[u8],
) -> strongroom_vault::Result<()> {
    let repository = repositories::must(transaction, path)?.id;
    let by = tokens::get(transaction, token)?.unwrap().id;
    let clock = clock::read(transaction)?.unwrap();
    let now = Moment {
        recorded_ms: clock.recorded_ms,
        vault_ms: clock.vault_ms,
    };
    let name = FileName::new(FileType::Snapshots, Id::of(bytes));
    let size_bytes = bytes.len() as u64;
    let file = File {
        repository: path.clone(),
        file: name.to_string(),
        bytes: size_bytes,
        token: Some(token.to_owned()),
    };
    let leaf = leaves::append_dated(transaction, now, &Act::Arrival(file))?;
    let object = Object {
        generation: 1,
        bytes: size_bytes,
        state: State::Live,
        token: by,
        began: leaf.number,
        ended: None,
        arrived_ms: leaf.moment.vault_ms,
        tombstoned_ms: None,
    };
    objects::insert(transaction, &Key::new(repository, name), &object)?;
    let at_ms = leaf.moment.recorded_ms;
    repositories::arrive(transaction, repository, size_bytes, at_ms, true)
}

/// How many snapshots are listed, within the time that a million may take.
fn list(wire: &mut Wire, folder: &str, token: &str) -> usize {
    let path = format!("{folder}snapshots/");
    let v2 = [("accept", "application/vnd.x.restic.rest.v2")];
    let answer = timed(Duration::from_secs(2), || {
        wire.ask("GET", &path, token, &v2, Sends::Nothing).unwrap()
    });
    assert_eq!(answer.status, 200, "{folder}");
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
    listed.len()
}

/// Does something within a time.
fn timed<T>(most: Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    assert!(took < most, "it took {took:?}");
    done
}
