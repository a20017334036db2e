//! Several processes on one PostgreSQL and one Ceph, with stock restic at each of them, and kills
//! at any moment.
//!
//! One cluster for all: it takes seconds to start.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use strongroom_model::{Id, Secret};
use strongroom_store::{Bodies, S3Bodies, S3Credentials, S3Options};
use strongroom_testkit::{Ceph, CephAccount, PostgresServer};
use strongroom_vault::people::Who;
use strongroom_vault::publication::{LogFiles, Publisher};

use super::client::{self, REPOSITORY, content, delete, get, put};
use super::log::log_files_contract;
use super::pairs::{EVERYWHERE, all_within, on_postgres};
use super::process::{
    Fleet, Process, boottime_ms, entries, is_thorough, meanwhile, moment, pause, wait_until,
};
use crate::vault::scene::{Scene, on_sqlite};

#[test]
fn a_vault_in_a_bucket_with_any_process_dying_at_any_moment() {
    let ceph = Ceph::start();
    let account = ceph.new_account("owner");
    a_log_lies_in_a_bucket_as_in_a_folder(&ceph, &account);
    what_was_changed_of_a_log_in_a_bucket_is_found(&ceph, &account);
    all_acts_are_the_same_in_a_bucket(&ceph, &account);
    what_was_acknowledged_is_there_whoever_dies(&ceph, &account);
}

fn bodies(ceph: &Ceph, account: &CephAccount, prefix: &str) -> S3Bodies {
    let bodies = S3Bodies::new(S3Options {
        endpoint: Some(ceph.endpoint().parse().unwrap()),
        path_style: true,
        prefix: prefix.to_owned(),
        credentials: Some(S3Credentials {
            access_key: account.access_key.clone(),
            secret_key: Secret::new(account.secret_key.as_str()),
        }),
        ..S3Options::new("vaults")
    })
    .unwrap();
    bodies.create().unwrap();
    bodies
}

fn a_log_lies_in_a_bucket_as_in_a_folder(ceph: &Ceph, account: &CephAccount) {
    log_files_contract(&bodies(ceph, account, "contract").files("log"));
    log_files_contract(&bodies(ceph, account, "").files("log"));
}

fn what_was_changed_of_a_log_in_a_bucket_is_found(ceph: &Ceph, account: &CephAccount) {
    let scene = Scene::new();
    let keys = scene.folder.path().join("keys");
    let open = |files| Publisher::open(scene.vault.clone(), Arc::new(files), &keys).unwrap();
    let files = bodies(ceph, account, "look").files("log");
    let publisher = open(bodies(ceph, account, "look").files("log"));
    for number in 0..300 {
        let path = format!("acme/r{number}").parse().unwrap();
        scene.vault.add_repository(Who::Folder, &path).unwrap();
    }
    publisher.publish().unwrap();
    assert_eq!(publisher.look_back().unwrap(), None);
    for name in ["tile/entries/000", "tile/0/000"] {
        let sound = LogFiles::read(&files, name).unwrap().unwrap();
        let mut changed = sound.clone();
        changed[100] ^= 1;
        LogFiles::write(&files, name, &changed).unwrap();
        let wrong = publisher.look_back().unwrap().expect("it is found");
        assert_eq!(wrong.bundle, Some(0));
        LogFiles::write(&files, name, &sound).unwrap();
        assert_eq!(publisher.look_back().unwrap(), None);
    }
    assert_eq!(scene.acts("log-wrong").len(), 2);
    // A bucket that is away is no sign that anybody changed it.
    let away = S3Bodies::new(S3Options {
        endpoint: Some("http://127.0.0.1:1".parse().unwrap()),
        path_style: true,
        credentials: Some(S3Credentials {
            access_key: account.access_key.clone(),
            secret_key: Secret::new(account.secret_key.as_str()),
        }),
        ..S3Options::new("vaults")
    });
    assert!(open(away.unwrap().files("log")).look_back().is_err());
    assert_eq!(scene.vault.observe().unwrap().look_back.wrong, []);
}

fn all_acts_are_the_same_in_a_bucket(ceph: &Ceph, account: &CephAccount) {
    let storage = {
        let (ceph, account) = (ceph.endpoint().to_owned(), account.clone());
        move |folder: &Path| -> Arc<dyn Bodies> {
            let prefix = Id::of(folder.as_os_str().as_encoded_bytes()).to_string();
            let bodies = S3Bodies::new(S3Options {
                endpoint: Some(ceph.parse().unwrap()),
                path_style: true,
                prefix,
                credentials: Some(S3Credentials {
                    access_key: account.access_key.clone(),
                    secret_key: Secret::new(account.secret_key.as_str()),
                }),
                ..S3Options::new("vaults")
            });
            Arc::new(bodies.unwrap())
        }
    };
    let server = Arc::new(PostgresServer::start());
    all_within(&|| on_postgres(&server, storage.clone()), EVERYWHERE);
    // What differs by the storage is tried with the other database too.
    let some = EVERYWHERE.len().min(if is_thorough() { 100 } else { 6 });
    all_within(&|| on_sqlite(storage.clone()), &EVERYWHERE[..some]);
}

/// restic at one process.
fn restic(fleet: &Fleet, process: &Process, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("restic");
    command
        .env("RESTIC_PASSWORD", "a password")
        .env("RESTIC_CACHE_DIR", fleet.path("cache"))
        .arg("--repo")
        .arg(format!(
            "rest:http://any:{token}@{}/{REPOSITORY}/",
            process.address
        ))
        .args(arguments);
    command
}

fn expect(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn begin_backup(fleet: &Fleet, process: &Process, token: &str, source: &Path) -> Child {
    let arguments = ["backup", source.to_str().unwrap()];
    restic(fleet, process, token, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn what_was_acknowledged_is_there_whoever_dies(ceph: &Ceph, account: &CephAccount) {
    let storage = format!(
        "[storage]\nbucket = \"fleet\"\nendpoint = \"{}\"\nprefix = \"vault\"\n",
        ceph.endpoint()
    );
    let mut fleet = Fleet::new(&storage);
    fleet.environment = vec![
        ("AWS_ACCESS_KEY_ID", account.access_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", account.secret_key.clone()),
    ];
    let mut processes = [fleet.start(), fleet.start()];
    let (append, maintain) = (fleet.token("append"), fleet.token("maintain"));
    expect(restic(&fleet, &processes[0], &append, &["init"]));
    let sources = ["source-0", "source-1"].map(|name| fleet.path(name));
    for source in &sources {
        fs::create_dir(source).unwrap();
    }
    let (began_ms, began_boot_ms) = (fleet.vault_ms(), boottime_ms());

    let mut acknowledged = Vec::new();
    let rounds = if is_thorough() { 25 } else { 6 };
    for round in 0..rounds {
        acknowledged.extend(one_dies(&fleet, &mut processes, &append, &sources, round));
    }

    // Everything is whole, through each of them, and the log is one.
    let addresses = [processes[0].address.clone(), processes[1].address.clone()];
    for (number, address) in addresses.iter().enumerate() {
        let listed = client::list(address, &append).unwrap();
        for content in &acknowledged {
            let id = Id::of(content);
            assert!(listed.contains(&id), "{id} is lost");
            assert_eq!(get(address, &append, id).as_ref(), Some(content));
        }
        let check = ["check", "--no-lock", "--read-data"];
        expect(restic(&fleet, &processes[number], &append, &check));
    }
    let purged = acknowledged.first().unwrap();
    a_purge_happens_once_in_a_bucket(&fleet, &processes, [&append, &maintain], purged);
    let gone_ms = fleet.vault_ms() - began_ms;
    let most_ms = (boottime_ms() - began_boot_ms) * 25 / 24 + 1_000;
    assert!((0..=most_ms).contains(&gone_ms), "{gone_ms} of {most_ms}");
    fleet.wait_for_log();
    for (number, process) in processes.iter().enumerate() {
        let into = fleet.path(&format!("audit-{number}"));
        process.audit_log(&append, &into);
        assert_eq!(fleet.count_acts(&into, "purge"), 1);
        let arrivals = entries(&into)
            .iter()
            .filter(|entry| is_arrival(entry))
            .count();
        let objects = fleet
            .row("SELECT objects FROM repository", |row| row.int(0))
            .unwrap();
        // No leaf is missing and none is there twice; one object came again after its purge.
        assert_eq!(arrivals as i64, objects + 1);
    }
    let [one, other] = processes;
    one.stop();
    other.stop();
}

fn is_arrival(entry: &[u8]) -> bool {
    String::from_utf8_lossy(entry).contains("\"act\":\"arrival\"")
}

/// Both take backups and packs; one dies in the middle, and comes back. Returns the contents that
/// were acknowledged.
fn one_dies(
    fleet: &Fleet,
    processes: &mut [Process; 2],
    append: &str,
    sources: &[std::path::PathBuf; 2],
    round: u64,
) -> Vec<Vec<u8>> {
    for (number, source) in (0..).zip(sources) {
        let noise = content(1_000 + 10 * round + number, 3_000_000);
        fs::write(source.join(format!("file-{}", round % 4)), noise).unwrap();
    }
    let putters: Vec<_> = (0..)
        .zip(processes.iter())
        .map(|(which, process)| {
            let (address, append) = (process.address.clone(), append.to_owned());
            meanwhile(move |ended| {
                let mut acknowledged = Vec::new();
                for number in 0_u64.. {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let number = ((round * 2 + which) << 32) + (1 << 20) + number;
                    let content = content(number, 4_000);
                    if put(&address, &append, &content).is_some() {
                        acknowledged.push(content);
                    }
                }
                acknowledged
            })
        })
        .collect();
    let victim =
        usize::from(moment(1_000 + round, Duration::from_secs(2)) > Duration::from_secs(1));
    let survivor = 1 - victim;
    let mut backups: Vec<_> = (0..2)
        .map(|number| begin_backup(fleet, &processes[number], append, &sources[number]))
        .collect();
    pause(moment(round, Duration::from_millis(1_500)));
    processes[victim].kill();
    let mut lost = backups.remove(victim);
    let _ = lost.kill();
    lost.wait().unwrap();
    // The other one never noticed, also where the dead one held every lease.
    assert!(backups[0].wait().unwrap().success(), "round {round}");
    let number = round << 8;
    let more = content(number, 4_000);
    assert!(put(&processes[survivor].address, append, &more).is_some());
    let mut acknowledged = vec![more];
    for (ended, putter) in putters {
        ended.store(true, Ordering::SeqCst);
        acknowledged.extend(putter.join().unwrap());
    }
    let listed = client::list(&processes[survivor].address, append).unwrap();
    for content in &acknowledged {
        assert!(listed.contains(&Id::of(content)), "round {round}");
    }
    if !is_thorough() {
        fleet.end_leases();
    }
    let stood_ms = fleet.vault_ms();
    wait_until("the survivor moves the clock", || {
        fleet.vault_ms() > stood_ms
    });
    let address = processes[victim].address.clone();
    processes[victim] = fleet.start_in("data", &address);
    acknowledged
}

/// Deletes a pack, lets a process that has just begun purge it, and posts it again.
fn a_purge_happens_once_in_a_bucket(
    fleet: &Fleet,
    processes: &[Process; 2],
    [append, maintain]: [&str; 2],
    content: &[u8],
) {
    let id = Id::of(content);
    let [one, other] = processes;
    assert!(delete(&one.address, maintain, id));
    assert_eq!(get(&other.address, append, id), None);
    fleet.purge();
    assert_eq!(put(&other.address, append, content), Some(id));
    assert_eq!(get(&one.address, append, id).as_deref(), Some(content));
}
