//! Moving in from `rclone serve restic`, and out again with nothing but restic and rclone.
//!
//! rclone is a server of restic's protocol, over HTTP or over standard input and output
//! (`restic -r rclone:…`), and never its client. So rclone cannot speak to a vault; a repository
//! that it has served can move in, file by file, and what a vault has stored it can serve.

use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::RcloneServer;
use strongroom_testkit::contract::noise;

use crate::clients::REPOSITORY;
use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;
use crate::clients::wire::Wire;

#[test]
fn a_repository_that_rclone_has_served_moves_in_and_out() {
    let server = Server::start();
    let area = server.folder.path();
    let (source, old) = (area.join("source"), area.join("old"));
    let rclone = served_by_rclone(area, 3_000_000);
    let there = format!("rest:{}", rclone.url());
    fs::write(source.join("file"), noise(2, 2_000_000)).unwrap();
    restic(area, &there, &["backup", path(&source)]);

    // `config` last of what opens it: a key that comes after it waits for an operator.
    let token = server.token("append");
    let mut wire = server.wire();
    wire.post(&format!("{REPOSITORY}?create=true"), &token, b"");
    move_all(&mut wire, &token, &old, FileType::Keys);
    let config = fs::read(old.join("config")).unwrap();
    assert_eq!(
        wire.post(&format!("{REPOSITORY}config"), &token, &config)
            .status,
        200
    );
    for kind in [FileType::Data, FileType::Index, FileType::Snapshots] {
        move_all(&mut wire, &token, &old, kind);
    }
    let here = Restic {
        server: &server,
        token,
    };
    let snapshots = here.expect("", &["snapshots"]);
    assert!(snapshots.contains("2 snapshots"), "{snapshots}");
    here.expect("", &["check", "--read-data"]);
    here.expect("", &["backup", path(&source)]);

    // And out: the folder is a repository to restic, alone and through rclone.
    let folder = server.data().join("repositories/acme/repos");
    let out = RcloneServer::start(&folder, &["--append-only"]);
    let stdio = format!("rclone:{}", folder.display());
    for repository in [path(&folder), &format!("rest:{}", out.url()), &stdio] {
        let said = restic(area, repository, &["--no-lock", "snapshots"]);
        assert!(said.contains("3 snapshots"), "{repository}: {said}");
        restic(area, repository, &["--no-lock", "check", "--read-data"]);
    }
}

#[test]
fn restic_copies_a_repository_in_from_rclone() {
    let server = Server::start();
    let rclone = served_by_rclone(server.folder.path(), 1_000_000);
    let there = format!("rest:{}", rclone.url());
    let here = Restic {
        server: &server,
        token: server.token("append"),
    };
    here.expect("", &["init"]);
    let copied = here
        .command("", &["copy", "--from-repo", &there])
        .env("RESTIC_FROM_PASSWORD", "a password")
        .output()
        .unwrap();
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    here.expect("", &["check", "--read-data"]);
    let snapshots = here.expect("", &["snapshots"]);
    assert!(snapshots.contains("1 snapshots"), "{snapshots}");
}

/// Serves the folder `old` of an area by rclone, and backs up the folder `source` with a file of so
/// many bytes there.
fn served_by_rclone(area: &Path, bytes: usize) -> RcloneServer {
    let (source, old) = (area.join("source"), area.join("old"));
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), noise(1, bytes)).unwrap();
    fs::create_dir(&old).unwrap();
    let rclone = RcloneServer::start(&old, &[]);
    let there = format!("rest:{}", rclone.url());
    restic(area, &there, &["init"]);
    restic(area, &there, &["backup", path(&source)]);
    rclone
}

/// Puts all files of a type, from a folder as restic lays it out.
fn move_all(wire: &mut Wire, token: &str, from: &Path, kind: FileType) {
    let mut folders = vec![from.join(kind.folder())];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let id: Id = entry
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            let place = format!("{REPOSITORY}{}", FileName::new(kind, id));
            let answer = wire.post(&place, token, &fs::read(&entry).unwrap());
            assert_eq!(answer.status, 200, "{place}: {}", answer.text());
            count += 1;
        }
    }
    assert!(count > 0, "there are no {kind}");
}

fn restic(area: &Path, repository: &str, arguments: &[&str]) -> String {
    let output = Command::new("restic")
        .env("RESTIC_PASSWORD", "a password")
        .env("RESTIC_CACHE_DIR", area.join("cache"))
        .env("RCLONE_CONFIG", "/dev/null")
        .args(["--repo", repository])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success(),
        "{repository} {arguments:?}: {said}"
    );
    said
}
