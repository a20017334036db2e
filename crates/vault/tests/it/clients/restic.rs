//! Stock restic, with each right.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use strongroom_ledger::{Verifier, audit};
use strongroom_model::FileType;
use strongroom_testkit::cheap;

use super::server::Server;
use crate::clients::REPOSITORY;

/// Stock restic with a token.
pub(super) struct Restic<'s> {
    pub(super) server: &'s Server,
    pub(super) token: String,
}

impl Restic<'_> {
    pub(super) fn command(&self, view: &str, arguments: &[&str]) -> Command {
        self.command_of(Path::new("restic"), view, arguments)
    }

    /// The same with a restic of some version.
    pub(super) fn command_of(&self, program: &Path, view: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env("RESTIC_PASSWORD", cheap::PASSWORD)
            .env("RESTIC_CACHE_DIR", self.server.folder.path().join("cache"))
            .args(["--repo", &self.server.repository(&self.token, view)])
            .args(arguments);
        if let Some(authority) = self.server.authority() {
            command.arg("--cacert").arg(authority);
        }
        command
    }

    /// Makes the repository under a key that is opened at once: after an `init` of its own, restic
    /// does little but open keys.
    pub(super) fn begin(&self) {
        let mut wire = self.server.wire();
        let create = format!("{REPOSITORY}?create=true");
        assert_eq!(wire.post(&create, &self.token, b"").status, 200);
        let (_, status) = wire.put(REPOSITORY, &self.token, FileType::Keys, cheap::KEY);
        assert_eq!(status, 200);
        let config = format!("{REPOSITORY}config");
        assert_eq!(wire.post(&config, &self.token, cheap::CONFIG).status, 200);
    }

    pub(super) fn run(&self, view: &str, arguments: &[&str]) -> (bool, String) {
        let output = self.command(view, arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    pub(super) fn expect(&self, view: &str, arguments: &[&str]) -> String {
        let (is_good, said) = self.run(view, arguments);
        assert!(is_good, "{arguments:?}: {said}");
        said
    }
}

#[test]
fn restic_does_all_its_work_and_a_prune_is_taken_back() {
    let server = Server::start();
    let restic = |right| Restic {
        server: &server,
        token: server.token(right),
    };
    let (append, maintain, read) = (restic("append"), restic("maintain"), restic("read"));
    let source = server.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("first"), vec![1; 300_000]).unwrap();
    append.expect("", &["init"]);
    append.expect("", &["backup", path(&source)]);
    fs::write(source.join("first"), b"changed").unwrap();
    fs::write(source.join("second"), vec![2; 300_000]).unwrap();
    append.expect("", &["backup", path(&source)]);
    append.expect("", &["check", "--read-data"]);
    let before = server.moment();
    let snapshots = append.expect("", &["snapshots"]);
    assert!(snapshots.contains("2 snapshots"), "{snapshots}");

    let forget = ["forget", "--keep-last", "1", "--group-by", "", "--prune"];
    read.expect("", &["--no-lock", "snapshots"]);
    maintain.expect("", &forget);
    let snapshots = append.expect("", &["snapshots"]);
    assert!(snapshots.contains("1 snapshots"), "{snapshots}");
    append.expect("", &["check", "--read-data"]);

    // As it stood before, with nothing but restic, and for who may only read.
    let view = format!("asof/{before}/");
    let snapshots = read.expect(&view, &["--no-lock", "snapshots"]);
    assert!(snapshots.contains("2 snapshots"), "{snapshots}");
    let target = server.folder.path().join("restored");
    read.expect(
        &view,
        &["--no-lock", "restore", "latest", "--target", path(&target)],
    );
    let restored = target.join(source.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("first")).unwrap(), b"changed");
    assert_eq!(fs::read(restored.join("second")).unwrap(), vec![2; 300_000]);

    let said = server.run(&["undelete", "acme/repos"]);
    assert!(!said.starts_with("0 "), "{said}");
    let snapshots = append.expect("", &["snapshots"]);
    assert!(snapshots.contains("2 snapshots"), "{snapshots}");
    append.expect("", &["check", "--read-data"]);

    for token in [&append.token, &maintain.token, &read.token] {
        assert!(!server.log().contains(token.as_str()));
    }
}

#[test]
fn with_append_alone_restic_forgets_nothing() {
    let server = Server::start();
    let restic = Restic {
        server: &server,
        token: server.token("append"),
    };
    let source = server.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    restic.begin();
    for content in ["first", "second"] {
        fs::write(source.join("file"), content).unwrap();
        restic.expect("", &["backup", path(&source)]);
    }
    let target = server.folder.path().join("restored");
    restic.expect("", &["restore", "latest", "--target", path(&target)]);
    let restored = target.join(source.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("file")).unwrap(), b"second");
    let mut wire = server.wire();
    let kinds = [
        FileType::Keys,
        FileType::Data,
        FileType::Index,
        FileType::Snapshots,
    ];
    let mut list = || kinds.map(|kind| wire.list(REPOSITORY, &restic.token, kind));
    let before = list();
    let mut forget = restic
        .command("", &["forget", "latest", "--prune"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It asks again for a minute; the first refusal is enough.
    let said = BufReader::new(forget.stderr.take().unwrap()).lines();
    let refusal = said.map_while(Result::ok).find(|line| line.contains("403"));
    let _ = forget.kill();
    assert!(!forget.wait().unwrap().success());
    assert!(refusal.is_some());
    assert_eq!(list(), before);
    // Of each type, by itself.
    for (name, _) in before.iter().flatten() {
        let place = format!("{REPOSITORY}{name}");
        assert_eq!(
            server.wire().delete(&place, &restic.token).status,
            403,
            "{name}"
        );
    }
    assert_eq!(list(), before);
    restic.expect("", &["unlock", "--remove-all"]);
    restic.expect("", &["check", "--read-data"]);
}

#[test]
fn killed_at_any_moment_what_was_answered_is_there_and_the_log_is_whole() {
    let mut server = Server::start();
    let token = server.token("append");
    let source = server.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    let restic = |server: &Server, arguments: &[&str]| {
        let restic = Restic {
            server,
            token: token.clone(),
        };
        restic.run("", arguments)
    };
    assert!(restic(&server, &["init"]).0);
    for round in 0..5_u8 {
        let content: Vec<u8> = (0..4_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761 + u32::from(round)) >> 13) as u8)
            .collect();
        fs::write(source.join(format!("file-{round}")), content).unwrap();
        let running = Restic {
            server: &server,
            token: token.clone(),
        };
        let mut backup = running
            .command("", &["backup", path(&source)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::park_timeout(std::time::Duration::from_millis(
            300 + 150 * u64::from(round),
        ));
        server.kill_and_restart();
        let _ = backup.kill();
        backup.wait().unwrap();
        let (is_good, said) = restic(&server, &["check", "--no-lock", "--read-data"]);
        assert!(is_good, "round {round}: {said}");
    }
    let (is_good, said) = restic(&server, &["backup", path(&source)]);
    assert!(is_good, "{said}");
    let (is_good, said) = restic(&server, &["check", "--no-lock", "--read-data"]);
    assert!(is_good, "{said}");
    server.kill_and_restart();
    let log = server.data().join("log");
    let key = fs::read_to_string(server.data().join("keys/log.pub")).unwrap();
    let key: Verifier = key.trim().parse().unwrap();
    let report = audit(&log, Some(&key), None);
    assert!(report.is_sound() && report.leaves > 10, "{report:?}");
}

pub(super) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
