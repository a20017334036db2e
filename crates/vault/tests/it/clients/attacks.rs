//! The attacks of docs/vault.md over real HTTP, with stock restic as the one who is attacked.
//!
//! Each shows three things: that the attack does harm where nothing is done (else it would prove
//! nothing), that the view as of the moment before is clean without any act, and that the live
//! repository works again after one.

use std::fs;
use std::path::PathBuf;

use strongroom_model::FileType;
use strongroom_testkit::contract::noise;

use crate::clients::REPOSITORY;
use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;

/// A repository with a backup in it, and a token that was stolen.
struct Scene {
    server: Server,
    source: PathBuf,
    honest: String,
    stolen: String,
    /// Before the attack.
    before: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let source = server.folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), noise(1, 200_000)).unwrap();
        let (honest, stolen) = (server.token("append"), server.token("append"));
        let restic = Restic {
            server: &server,
            token: honest.clone(),
        };
        restic.begin();
        restic.expect("", &["backup", path(&source)]);
        let before = server.moment();
        Self {
            server,
            source,
            honest,
            stolen,
            before,
        }
    }

    fn restic(&self) -> Restic<'_> {
        Restic {
            server: &self.server,
            token: self.honest.clone(),
        }
    }

    fn put(&self, kind: FileType, content: &[u8]) -> u16 {
        let (_, status) = self
            .server
            .wire()
            .put(REPOSITORY, &self.stolen, kind, content);
        status
    }

    /// As of the moment before everything is as it was, to nothing but restic.
    fn expect_the_past(&self) {
        let restic = self.restic();
        let view = format!("asof/{}/", self.before);
        let target = self.server.folder.path().join("restored");
        let restore = ["--no-lock", "restore", "latest", "--target", path(&target)];
        restic.expect(&view, &restore);
        let restored = target.join(self.source.strip_prefix("/").unwrap());
        assert_eq!(fs::read(restored.join("file")).unwrap(), noise(1, 200_000));
        fs::remove_dir_all(&target).unwrap();
        restic.expect(&view, &["--no-lock", "check", "--read-data"]);
    }

    /// The live repository does all it has to do.
    fn expect_all_work(&self) {
        let restic = self.restic();
        fs::write(self.source.join("more"), noise(2, 50_000)).unwrap();
        restic.expect("", &["backup", path(&self.source)]);
        restic.expect("", &["check", "--read-data"]);
        let target = self.server.folder.path().join("restored");
        restic.expect("", &["restore", "latest", "--target", path(&target)]);
        let restored = target.join(self.source.strip_prefix("/").unwrap());
        assert_eq!(fs::read(restored.join("more")).unwrap(), noise(2, 50_000));
        fs::remove_dir_all(&target).unwrap();
    }

    /// What an operator does who knows which token it was.
    fn revoke_and_hide(&self) -> u64 {
        let name = name_of(&self.stolen);
        self.server.run(&["token", "revoke", name]);
        let hide = ["hide", "--token", name, "--since", &self.before];
        let said = self.server.run(&hide);
        said.split(' ').next().unwrap().parse().unwrap()
    }
}

#[test]
fn junk_in_keys_is_seen_by_nobody() {
    let scene = Scene::new();
    assert_eq!(scene.put(FileType::Keys, b"junk"), 400);
    assert_eq!(scene.put(FileType::Keys, b"{}"), 400);
    let bomb = key(1, 1 << 30);
    assert_eq!(scene.put(FileType::Keys, bomb.as_bytes()), 400);
    // More keys than restic tries, and any of them would cost it a second.
    for number in 0..30 {
        assert_eq!(
            scene.put(FileType::Keys, key(number, 1 << 15).as_bytes()),
            200
        );
    }
    scene.expect_all_work();
    scene.expect_the_past();
    let between = scene.server.moment();
    assert_eq!(scene.revoke_and_hide(), 30);
    scene.expect_all_work();
    // And as of the moment at which they waited.
    let view = format!("asof/{between}/");
    scene
        .restic()
        .expect(&view, &["--no-lock", "check", "--read-data"]);
}

#[test]
fn junk_in_index_is_out_of_sight_by_one_act() {
    junk_is_out_of_sight_by_one_act(FileType::Index);
}

#[test]
fn junk_in_snapshots_is_out_of_sight_by_one_act() {
    junk_is_out_of_sight_by_one_act(FileType::Snapshots);
}

fn junk_is_out_of_sight_by_one_act(kind: FileType) {
    let scene = Scene::new();
    for seed in 0..3 {
        assert_eq!(scene.put(kind, &noise(70 + seed, 400)), 200);
    }
    assert_eq!(scene.put(FileType::Data, &noise(80, 4_000)), 200);
    let (is_good, said) = scene.restic().run("", &["check"]);
    assert!(!is_good, "this attack does no harm: {said}");
    scene.expect_the_past();
    assert_eq!(scene.revoke_and_hide(), 4);
    scene.expect_all_work();
    scene.expect_the_past();
}

#[test]
fn junk_in_locks_stops_nobody_for_long() {
    let scene = Scene::new();
    assert_eq!(scene.put(FileType::Locks, b"short"), 400);
    assert_eq!(scene.put(FileType::Locks, &noise(1, 17 << 10)), 413);
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..20 {
        match scene.put(FileType::Locks, &noise(90 + seed, 200)) {
            200 => taken += 1,
            // And not 507: the disk is not full.
            403 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((taken, refused), (16, 4));
    scene.expect_the_past();
    assert_eq!(scene.revoke_and_hide(), 0);
    scene.expect_all_work();
}

#[test]
fn the_lock_of_somebody_else_is_neither_removed_nor_kept_alive() {
    let scene = Scene::new();
    let content = noise(5, 150);
    let mut wire = scene.server.wire();
    let (lock, status) = wire.put(REPOSITORY, &scene.honest, FileType::Locks, &content);
    assert_eq!(status, 200);
    let place = format!("{REPOSITORY}{lock}");
    assert_eq!(wire.delete(&place, &scene.stolen).status, 403);
    assert_eq!(wire.get(&place, &scene.stolen).body, content);
    // Restic makes and removes its own beside it.
    assert_eq!(wire.delete(&place, &scene.honest).status, 200);
    scene.expect_all_work();
    // One that was renewed by the wrong one does not become his, nor stay for him.
    wire.put(REPOSITORY, &scene.honest, FileType::Locks, &content);
    wire.put(REPOSITORY, &scene.stolen, FileType::Locks, &content);
    assert_eq!(wire.delete(&place, &scene.stolen).status, 403);
    assert_eq!(wire.delete(&place, &scene.honest).status, 200);
    assert_eq!(wire.get(&place, &scene.honest).status, 404);
}

#[test]
fn config_is_never_overwritten() {
    let scene = Scene::new();
    let mut wire = scene.server.wire();
    let place = format!("{REPOSITORY}config");
    let config = wire.get(&place, &scene.stolen).body;
    let maintain = scene.server.token("maintain");
    for token in [&scene.stolen, &maintain] {
        assert_eq!(wire.post(&place, token, &noise(6, 155)).status, 403);
        assert_eq!(wire.post(&place, token, b"").status, 400);
        assert_eq!(wire.post(&place, token, &config).status, 200);
        assert_eq!(wire.delete(&place, token).status, 403);
        let created = wire.post(&format!("{REPOSITORY}?create=true"), token, b"");
        assert_eq!(created.status, 200);
    }
    assert_eq!(wire.get(&place, &scene.stolen).body, config);
    scene.expect_all_work();
}

#[test]
fn two_tokens_that_were_stolen_do_not_speak_for_each_other() {
    let mut scene = Scene::new();
    let other = scene.server.token("append");
    let junk = noise(70, 400);
    assert_eq!(scene.put(FileType::Index, &junk), 200);
    let first = std::mem::replace(&mut scene.stolen, other);
    assert_eq!(scene.put(FileType::Index, &junk), 200);
    let count = scene.revoke_and_hide();
    scene.stolen = first;
    assert_eq!(count + scene.revoke_and_hide(), 1);
    scene.expect_all_work();
    scene.expect_the_past();
}

#[test]
fn what_was_deleted_and_taken_back_is_not_hidden_with_what_came_later() {
    let scene = Scene::new();
    let maintain = scene.server.token("maintain");
    let forger = Restic {
        server: &scene.server,
        token: maintain.clone(),
    };
    forger.expect("", &["forget", "latest", "--prune"]);
    // The very token that has put all of it is stolen, and puts junk.
    let junk = scene
        .server
        .wire()
        .put(REPOSITORY, &scene.honest, FileType::Index, &noise(7, 90));
    assert_eq!(junk.1, 200);
    let said = scene
        .server
        .run(&["undelete", "acme/repos", "--token", name_of(&maintain)]);
    assert!(!said.starts_with("0 "), "{said}");
    let hide = [
        "hide",
        "--token",
        name_of(&scene.honest),
        "--since",
        &scene.before,
    ];
    let said = scene.server.run(&hide);
    assert!(said.starts_with("1 "), "{said}");
    let snapshots = scene.restic().expect("", &["snapshots"]);
    assert!(snapshots.contains("1 snapshots"), "{snapshots}");
    scene.restic().expect("", &["check", "--read-data"]);
}

/// The name in a token.
fn name_of(token: &str) -> &str {
    token.split('-').nth(1).unwrap()
}

/// A key file that nobody has a password for.
fn key(number: u64, n: u64) -> String {
    let encode = |bytes: Vec<u8>| data_encoding::BASE64.encode(&bytes);
    let (salt, data) = (encode(noise(number, 64)), encode(noise(number, 150)));
    serde_json::json!({
        "created": "2026-11-20T10:00:00Z", "username": "u", "hostname": "h",
        "kdf": "scrypt", "N": n, "r": 8, "p": 1, "salt": salt, "data": data,
    })
    .to_string()
}
