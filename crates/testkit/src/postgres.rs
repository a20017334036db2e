//! A real PostgreSQL server of its own in a temporary folder, for as long as a test runs.
//!
//! It listens on a socket in that folder alone, trusts whoever reaches it, and sorts text as
//! English does, so that whoever forgets to say how text is sorted is found out. It does not
//! synchronise its disk: what it has written survives its death, though not the machine's.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use strongroom_model::Id;
use tempfile::TempDir;

use crate::programs::{program, tools};
use crate::starting::wait_for_line;

/// A running PostgreSQL, which ends when this is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    child: Child,
    folder: TempDir,
    settings: Vec<(String, String)>,
}

impl PostgresServer {
    /// Makes a new server, and waits until it answers.
    ///
    /// # Panics
    /// Panics where PostgreSQL is missing or does not start: such a test has not been run.
    pub fn start() -> Self {
        Self::start_with(&[], |_| {})
    }

    /// Makes a new server with settings of `postgresql.conf`, after the folder with its sockets
    /// was prepared by the caller, whose files there belong to the server.
    ///
    /// # Panics
    /// As [`PostgresServer::start`].
    pub fn start_with(settings: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("strongroom-postgres-")
            .tempdir()
            .unwrap();
        prepare(folder.path());
        give_away(folder.path());
        make_data(&folder.path().join("data"));
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            child: serve(folder.path(), &settings),
            folder,
            settings,
        }
    }

    /// One of the programs that come with it, as `pg_dump`.
    ///
    /// # Panics
    /// Where it is missing.
    pub fn program(name: &str) -> PathBuf {
        find(name)
    }

    /// The URL of its database, through its socket.
    pub fn url(&self) -> String {
        let folder = self.folder.path().display().to_string();
        format!(
            "postgres://postgres@{}/postgres",
            folder.replace('/', "%2F")
        )
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// The folder that the caller prepared.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it at once, as a crash does.
    pub fn crash(&mut self) {
        // SIGQUIT ends its children with it; they would go on for a moment after a SIGKILL.
        let _ = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        let _ = self.child.wait();
    }

    /// Starts it anew on what it wrote, after [`PostgresServer::crash`].
    pub fn start_again(&mut self) {
        self.child = serve(self.folder.path(), &self.settings);
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// How the files of each server are made.
const HOW: [&str; 9] = [
    "--auth=trust",
    "--username=postgres",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=icu",
    "--icu-locale=en-US",
    "--no-sync",
    "--no-instructions",
    "--wal-segsize=1",
];

/// Makes the files of a new server. That takes PostgreSQL more than a second, so that they are kept
/// and copied from then on.
fn make_data(data: &Path) {
    let version = run_initdb(|command| command.arg("--version"));
    let made_so = format!("{version} {HOW:?} {:?}", user());
    let name = format!("postgres-{}", Id::of(made_so.as_bytes()).short());
    let kept = tools().join(name);
    if kept.is_dir() {
        copy(&kept, data);
        return;
    }
    run_initdb(|command| command.args(HOW).arg("--pgdata").arg(data));
    fs::create_dir_all(tools()).unwrap();
    let beside = tempfile::tempdir_in(tools()).unwrap();
    let copied = beside.path().join("data");
    copy(data, &copied);
    // Whoever was faster has made the same.
    let _ = fs::rename(copied, kept);
}

/// Runs initdb, which must succeed, and returns what it prints.
fn run_initdb(tell: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let output = tell(&mut command("initdb")).output();
    let output = output.expect("setpriv starts initdb");
    assert!(
        output.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Copies a folder that belongs to whoever the server runs as.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp can be started").success());
}

fn serve(folder: &Path, settings: &[(String, String)]) -> Child {
    let mut command = command("postgres");
    command
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-c", "listen_addresses=", "-c", "fsync=off"])
        .args([
            "-c",
            "shared_buffers=16MB",
            "-c",
            "dynamic_shared_memory_type=mmap",
        ]);
    for (name, value) in settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setpriv starts postgres");
    let ready = "database system is ready to accept connections";
    wait_for_line(&mut child, "PostgreSQL", |line| {
        line.contains(ready).then_some(())
    });
    child
}

/// A program of PostgreSQL, which ends with us, and does not run as root: it would refuse to.
fn command(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some(user) = user() {
        command
            .arg(format!("--reuid={}", user.0))
            .arg(format!("--regid={}", user.1))
            .arg("--clear-groups");
    }
    command.arg(find(name)).current_dir("/").env("LC_ALL", "C");
    command
}

/// The newest of those that Debian keeps out of PATH, or the one on PATH.
fn find(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.is_file().then_some((version, path))
        })
        .max()
        .map_or_else(|| program(name), |(_, path)| path)
}

/// Gives a folder and the files in it to whoever the server runs as.
fn give_away(folder: &Path) {
    let Some((user, group)) = user() else {
        return;
    };
    for entry in fs::read_dir(folder).unwrap() {
        chown(entry.unwrap().path(), Some(user), Some(group)).unwrap();
    }
    chown(folder, Some(user), Some(group)).unwrap();
}

/// The user and group to be instead of root, where we are root.
fn user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("every system has it");
    let named = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(
        named("postgres")
            .or_else(|| named("nobody"))
            .expect("somebody who is not root"),
    )
}
