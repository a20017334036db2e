//! A storage that hangs, refuses, or is another one than the vault's: what needs none goes on.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use rustix::fs::{CWD, FileType as Kind, Mode, mknodat};
use strongroom_model::Id;

use super::client::{REPOSITORY, ask, content, delete, get, list, put};
use super::process::{Fleet, Process, wait_until};

/// How large the packs of this test are.
const BYTES: usize = 3_000;

/// How long a client waits that gives up.
const MOMENT: Duration = Duration::from_millis(50);

/// A process on a folder, with a repository; tokens to append and to maintain; and a pack.
pub(super) fn begun(fleet: &Fleet) -> (Process, [String; 2], Id) {
    let process = fleet.start();
    let (append, maintain) = (fleet.token("append"), fleet.token("maintain"));
    let create = format!("/{REPOSITORY}/?create=true");
    let created = ask(&process.address, "POST", &create, Some(&append), b"");
    assert_eq!(created.unwrap().0, 200);
    let pack = put(&process.address, &append, &content(1, BYTES)).unwrap();
    (process, [append, maintain], pack)
}

/// Whoever opens a pipe that nobody writes hangs as in a folder whose server is away.
pub(super) fn hangs(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    mknodat(CWD, path, Kind::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn status(process: &Process, method: &str, path: &str, token: &str, body: &[u8]) -> u16 {
    let answer = ask(&process.address, method, path, Some(token), body);
    answer.unwrap().0
}

/// Asks, and goes after a moment.
fn ask_and_go(address: &str, path: &str, token: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(MOMENT)).unwrap();
    let login = BASE64.encode(format!("any:{token}").as_bytes());
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {login}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // Whether it is answered or not.
    let _ = stream.read_exact(&mut [0; 1]);
}

#[test]
fn clients_that_hang_in_the_storage_and_go_hold_up_neither_clock_nor_deletions() {
    let fleet = Fleet::on_a_folder();
    let (process, [append, maintain], pack) = begun(&fleet);
    hangs(&fleet.path("storage/log/tile/2/000"));
    // More than there are places for works.
    for _ in 0..300 {
        ask_and_go(&process.address, "/log/tile/2/000", &append);
    }
    assert!(delete(&process.address, &maintain, pack));
    let listed = list(&process.address, &maintain).unwrap();
    assert!(!listed.contains(&pack));
    let stood_ms = fleet.vault_ms();
    wait_until("vault time moves", || fleet.vault_ms() > stood_ms);
    process.stop();
}

#[test]
fn a_process_whose_storage_answers_late_and_is_another_one_takes_nothing() {
    let fleet = Fleet::on_a_folder();
    let (process, [append, maintain], pack) = begun(&fleet);
    process.stop();
    let checkpoint = fleet.path("elsewhere/log/checkpoint");
    hangs(&checkpoint);
    let storage = |folder: &str| format!("[storage]\nfolder = {:?}\n", fleet.path(folder));
    fleet.configure("data", &storage("elsewhere"));
    let process = fleet.start();
    let late = content(2, BYTES);
    let path = |id: Id| format!("/{REPOSITORY}/data/{id}");
    let of_late = path(Id::of(&late));
    assert_eq!(status(&process, "POST", &of_late, &append, &late), 503);
    let known = content(1, BYTES);
    assert_eq!(status(&process, "POST", &path(pack), &append, &known), 503);
    // That it is not there is not true.
    assert_eq!(status(&process, "GET", &path(pack), &append, b""), 503);
    assert_eq!(status(&process, "HEAD", &path(pack), &append, b""), 200);
    assert!(!process.is_ready());
    let repository = fleet.path("elsewhere/repositories").join(REPOSITORY);
    assert!(!repository.exists());
    // What needs no storage goes on.
    assert!(delete(&process.address, &maintain, pack));
    let leases = || {
        let held = "SELECT COUNT(*) FROM lease WHERE name = 'clock'";
        fleet.row(held, |row| row.int(0)).unwrap()
    };
    wait_until("it moves the clock", || leases() > 0);
    // It answers, and has not got the log.
    let answers = fs::OpenOptions::new().write(true).open(&checkpoint);
    fs::remove_file(&checkpoint).unwrap();
    drop(answers.unwrap());
    let said = process.failed();
    assert!(said.contains("is missing in"), "{said}");
    assert!(!repository.exists());
    assert_eq!(leases(), 0, "others need not wait for its leases");
    fleet.configure("data", &storage("storage"));
    let process = fleet.start();
    assert_eq!(list(&process.address, &append).unwrap(), []);
    assert_eq!(put(&process.address, &append, &known), Some(pack));
    assert_eq!(get(&process.address, &append, pack), Some(known));
    process.stop();
}

#[test]
fn a_bucket_that_refuses_ends_no_start() {
    let mut fleet = Fleet::on_a_folder();
    let (process, [append, maintain], pack) = begun(&fleet);
    process.stop();
    let endpoint = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    fleet.environment = vec![
        ("AWS_ACCESS_KEY_ID", "name".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "geheim".to_owned()),
    ];
    let storage = format!("[storage]\nbucket = \"fleet\"\nendpoint = \"http://{endpoint}\"\n");
    fleet.configure("data", &storage);
    let process = fleet.start();
    assert_eq!(list(&process.address, &append).unwrap(), [pack]);
    assert!(delete(&process.address, &maintain, pack));
    let late = content(2, BYTES);
    let path = format!("/{REPOSITORY}/data/{}", Id::of(&late));
    assert_eq!(status(&process, "POST", &path, &append, &late), 503);
    assert!(!process.is_ready());
    wait_until("it is tried again", || {
        process.said().contains("goes on in half a minute")
    });
    process.stop();
}
