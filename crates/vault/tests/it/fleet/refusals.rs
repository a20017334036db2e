//! What is no fleet: processes that would lack what came through the others, or contradict them.

use std::fs;

use super::client::{REPOSITORY, ask, content, get, put};
use super::process::Fleet;

#[test]
fn a_second_process_needs_the_key_and_the_storage_of_the_first() {
    let fleet = Fleet::on_a_folder();
    let first = fleet.start();
    let append = fleet.token("append");
    let create = format!("/{REPOSITORY}/?create=true");
    assert_eq!(
        ask(&first.address, "POST", &create, Some(&append), b"")
            .unwrap()
            .0,
        200
    );
    let storage = |folder: &str| format!("[storage]\nfolder = {:?}\n", fleet.path(folder));

    // Another machine, without the keys.
    fleet.configure("second", &storage("storage"));
    let said = fleet.try_start("second", "127.0.0.1:0").err().unwrap();
    assert!(
        said.contains("log.key is not that of the log: there is none"),
        "{said}"
    );
    assert!(
        said.contains("hint:") && said.contains("copy the folder keys"),
        "{said}"
    );
    assert!(
        !fleet.path("second/keys/log.key").exists(),
        "no key is made"
    );

    // With a key of its own.
    fs::write(
        fleet.path("second/keys/log.key"),
        format!("{}\n", "07".repeat(32)),
    )
    .unwrap();
    let said = fleet.try_start("second", "127.0.0.1:0").err().unwrap();
    assert!(said.contains("the log is verified with"), "{said}");

    // With the keys, and storage of its own.
    copy_keys(&fleet, "second");
    fs::create_dir(fleet.path("elsewhere")).unwrap();
    fleet.configure("second", &storage("elsewhere"));
    let said = fleet.try_start("second", "127.0.0.1:0").err().unwrap();
    assert!(
        said.contains("is missing in") && said.contains("elsewhere/log"),
        "{said}"
    );
    assert!(
        said.contains("where all processes of the vault must have their storage"),
        "{said}"
    );

    // With both it serves the same vault, whose log keeps the name that it has.
    let url = format!(
        "public_url = \"https://vault.example.net\"\n{}",
        storage("storage")
    );
    fleet.configure("second", &url);
    let second = fleet.start_in("second", "127.0.0.1:0");
    let pack = content(1, 5_000);
    let id = put(&second.address, &append, &pack).unwrap();
    assert_eq!(get(&first.address, &append, id), Some(pack));
    second.stop();
    first.stop();
}

fn copy_keys(fleet: &Fleet, to: &str) {
    for name in ["log.key", "log.pub"] {
        let (from, to) = (fleet.path("data/keys"), fleet.path(to).join("keys"));
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn on_sqlite_one_process_serves() {
    let fleet = Fleet::on_a_folder();
    let text = fs::read_to_string(fleet.path("data/vault.toml")).unwrap();
    let (text, _) = text.split_once("[database]").unwrap();
    fs::write(fleet.path("data/vault.toml"), text).unwrap();
    let first = fleet.start();
    let said = fleet.try_start("data", "127.0.0.1:0").err().unwrap();
    assert!(
        said.contains("several processes need a PostgreSQL"),
        "{said}"
    );
    // Commands beside it are no servers.
    fleet.token("append");
    let mut first = first;
    first.kill();
    // Its leases died with it: whoever holds the folder's lock knows that.
    let again = fleet.start();
    let token = fleet.token("read");
    let leaves = again.audit_log(&token, &fleet.path("audit"));
    assert!(leaves >= 3, "{leaves}");
    again.stop();
}
