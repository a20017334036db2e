//! A disk that is full: uploads end while the reserve is free, everything else goes on, and when
//! there is room again so do they.
//!
//! The disk is a small one in memory, in name spaces of the vault's own, so that nobody has to be
//! root and no other file system is touched.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use strongroom_ledger::{Verifier, audit};
use strongroom_model::{FileName, FileType};
use strongroom_testkit::contract::noise;
use tempfile::TempDir;

use crate::clients::REPOSITORY;
use crate::clients::wire::Wire;

/// What uploads never touch.
const RESERVE_BYTES: u64 = 8 << 20;

/// Mounts the disk, makes a vault on it with something in its way, and serves.
const SCRIPT: &str = "
    set -e
    disk=$1 vault=$2
    mount -t tmpfs -o size=40m,mode=0700 tmpfs \"$disk\"
    \"$vault\" init \"$disk/data\" >/dev/null
    echo 'reserve = \"8MiB\"' >\"$disk/data/vault.toml\"
    head -c 12582912 /dev/zero >\"$disk/ballast\"
    set -- --config \"$disk/data/vault.toml\"
    \"$vault\" token create \"$@\" --repository acme/repos --right maintain
    exec \"$vault\" serve \"$@\" --no-tls --listen 127.0.0.1:0
";

/// A vault on a disk of 40 MiB.
struct Small {
    child: Child,
    /// The disk, as it is seen from here.
    disk: PathBuf,
    token: String,
    wire: Wire,
    _folder: TempDir,
}

impl Small {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let log = File::create(folder.path().join("log.json")).unwrap();
        let mut child = Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                SCRIPT,
                "sh",
            ])
            .arg(&disk)
            .arg(env!("CARGO_BIN_EXE_strongroom-vault"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("unshare is needed for this test: apt-get install util-linux");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || match lines.next() {
            Some(line) => line.unwrap(),
            None => panic!(
                "{}",
                fs::read_to_string(folder.path().join("log.json")).unwrap()
            ),
        };
        let (token, address) = (line(), line());
        let (_, address) = address.rsplit_once("://").unwrap();
        let seen = format!("/proc/{}/root{}", child.id(), disk.display());
        Self {
            child,
            disk: seen.into(),
            token,
            wire: Wire::open(address).unwrap(),
            _folder: folder,
        }
    }

    fn put(&mut self, kind: FileType, bytes: &[u8]) -> (FileName, u16) {
        self.wire.put(REPOSITORY, &self.token, kind, bytes)
    }

    fn free_bytes(&self) -> u64 {
        let is = rustix::fs::statvfs(&self.disk).unwrap();
        is.f_bavail * is.f_frsize
    }

    fn read(&mut self, name: FileName) -> (u16, Vec<u8>) {
        let answer = self.wire.get(&format!("{REPOSITORY}{name}"), &self.token);
        (answer.status, answer.body)
    }

    fn list(&mut self) -> Vec<(FileName, u64)> {
        self.wire.list(REPOSITORY, &self.token, FileType::Data)
    }

    /// How many leaves are published.
    fn published(&mut self) -> u64 {
        let note = self.wire.get("/log/checkpoint", "").text();
        note.lines().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_full_disk_ends_uploads_and_nothing_else_and_they_go_on_when_there_is_room() {
    let mut small = Small::start();
    let created = small
        .wire
        .post(&format!("{REPOSITORY}?create=true"), &small.token, b"");
    assert_eq!(created.status, 200);
    let mut kept = Vec::new();
    let refused = loop {
        let bytes = noise(kept.len() as u64, 3 << 20);
        match small.put(FileType::Data, &bytes) {
            (name, 200) => kept.push((name, bytes)),
            (name, 507) => break (name, bytes),
            (_, other) => panic!("{other}"),
        }
        assert!(kept.len() < 20, "it never ends");
    };
    assert!(!kept.is_empty());
    let free_bytes = small.free_bytes();
    assert!(free_bytes >= RESERVE_BYTES, "{free_bytes} bytes are free");
    // Small ones are stopped by the same bound sooner or later.
    let mut number = 1_000;
    while small.put(FileType::Index, &noise(number, 400_000)).1 == 200 {
        number += 1;
        assert!(number < 1_020, "it never ends");
    }
    assert!(small.free_bytes() >= RESERVE_BYTES);

    // Reading, listing, locks, deletion and the log go on.
    for (name, bytes) in &kept {
        assert_eq!(small.read(*name), (200, bytes.clone()));
    }
    assert_eq!(small.list().len(), kept.len());
    let (lock, status) = small.put(FileType::Locks, &noise(1, 200));
    assert_eq!(status, 200);
    let token = small.token.clone();
    assert_eq!(
        small
            .wire
            .delete(&format!("{REPOSITORY}{lock}"), &token)
            .status,
        200
    );
    let before = small.published();
    let (deleted, _) = kept.pop().unwrap();
    assert_eq!(
        small
            .wire
            .delete(&format!("{REPOSITORY}{deleted}"), &token)
            .status,
        200
    );
    while small.published() <= before {}

    // Somebody else fills the reserve as well, to the last byte.
    let mut ballast = File::create(small.disk.join("more")).unwrap();
    for piece in [1 << 20, 4_096, 1] {
        while ballast.write_all(&vec![0; piece]).is_ok() {}
    }
    assert_eq!(small.free_bytes(), 0);
    for (name, bytes) in &kept {
        assert_eq!(small.read(*name), (200, bytes.clone()));
    }
    assert_eq!(small.list().len(), kept.len());
    let (_, status) = small.put(FileType::Data, &refused.1);
    assert!([503, 507].contains(&status), "{status}");
    // The database may have room within its own files; then what it answers is true.
    let (lock, status) = small.put(FileType::Locks, &noise(2, 200));
    match status {
        200 => assert_eq!(small.read(lock).0, 200),
        status => assert!([503, 507].contains(&status), "{status}"),
    }

    // Room again: all of it goes on, and nothing of what was refused is there.
    drop(ballast);
    fs::remove_file(small.disk.join("more")).unwrap();
    assert_eq!(small.read(refused.0).0, 404);
    assert_eq!(small.put(FileType::Locks, &noise(2, 200)).1, 200);
    assert_eq!(small.put(FileType::Data, &refused.1).1, 507);
    fs::remove_file(small.disk.join("ballast")).unwrap();
    assert_eq!(small.put(FileType::Data, &refused.1), (refused.0, 200));
    kept.push(refused);
    assert_eq!(small.list().len(), kept.len());
    for (name, bytes) in &kept {
        assert_eq!(small.read(*name), (200, bytes.clone()));
    }
    let before = small.published();
    small.put(FileType::Data, b"one more");
    while small.published() <= before {}
    let data = small.disk.join("data");
    let key = fs::read_to_string(data.join("keys/log.pub")).unwrap();
    let key: Verifier = key.trim().parse().unwrap();
    let report = audit(&data.join("log"), Some(&key), None);
    assert!(report.is_sound(), "{report:?}");
}
