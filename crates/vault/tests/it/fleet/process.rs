//! Processes of one vault, as an operator starts them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use strongroom_ledger::tile::{LEVEL_LIMIT, TILE_WIDTH, width_in_tree};
use strongroom_ledger::{Level, SignedCheckpoint, Tile, Verifier, audit};
use strongroom_model::{Id, Secret};
use strongroom_testkit::PostgresServer;
use strongroom_vault::database::{Database, Postgres, Row};
use tempfile::TempDir;

use super::client;

/// How long whatever is waited for may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Whether there is time for more.
pub(super) fn is_thorough() -> bool {
    std::env::var_os("STRONGROOM_THOROUGH").is_some()
}

/// A random part of a time, drawn by a seed.
pub(super) fn moment(seed: u64, of: Duration) -> Duration {
    let digest = Id::of(format!("moment {seed}").as_bytes());
    let [high, low, ..] = digest.as_bytes();
    of.mul_f64(f64::from(u16::from_be_bytes([*high, *low])) / f64::from(u16::MAX))
}

/// Waits until something holds.
#[track_caller]
pub(super) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} has not come to be");
        pause(Duration::from_millis(50));
    }
}

/// Lets time pass, in which others do what they do.
pub(super) fn pause(time: Duration) {
    let (_never, nothing) = mpsc::channel::<()>();
    let _ = nothing.recv_timeout(time);
}

/// CLOCK_BOOTTIME, in milliseconds.
pub(super) fn boottime_ms() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// What the processes of a vault share.
pub(super) struct Fleet {
    pub(super) folder: TempDir,
    pub(super) server: Option<PostgresServer>,
    /// Where the database is, with a password or not.
    pub(super) url: String,
    pub(super) environment: Vec<(&'static str, String)>,
}

/// A running process; killed when dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: String,
    log: PathBuf,
}

impl Fleet {
    /// A PostgreSQL, and storage as `vault.toml` has it.
    pub(super) fn new(storage: &str) -> Self {
        let server = PostgresServer::start();
        let fleet = Self {
            folder: TempDir::new().unwrap(),
            url: server.url(),
            server: Some(server),
            environment: Vec::new(),
        };
        fleet.configure("data", storage);
        fleet
    }

    /// The same, with storage in a folder that all share.
    pub(super) fn on_a_folder() -> Self {
        let fleet = Self::new("");
        let storage = fleet.path("storage");
        fs::create_dir(&storage).unwrap();
        fleet.configure("data", &format!("[storage]\nfolder = {storage:?}\n"));
        fleet
    }

    /// Writes the configuration of a data folder, as `init` and an operator do.
    pub(super) fn configure(&self, data: &str, storage: &str) {
        let folder = self.path(data);
        if !folder.exists() {
            assert!(
                self.command(&["init"])
                    .arg(&folder)
                    .output()
                    .unwrap()
                    .status
                    .success()
            );
        }
        let text = format!(
            "retention = \"1s\"\ngrace = \"1s\"\nreserve = \"1MiB\"\n{storage}\n\
             [database]\nurl = \"${{DATABASE_URL}}\"\n"
        );
        fs::write(folder.join("vault.toml"), text).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-vault"));
        command
            .args(arguments)
            .env("DATABASE_URL", &self.url)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a process on the data folder that all share.
    pub(super) fn start(&self) -> Process {
        self.start_in("data", "127.0.0.1:0")
    }

    /// Starts a process on a data folder, at an address.
    pub(super) fn start_in(&self, data: &str, listen: &str) -> Process {
        match self.try_start(data, listen) {
            Ok(process) => process,
            Err(said) => panic!("it does not start: {said}"),
        }
    }

    /// Starts a process, or tells why it does not.
    pub(super) fn try_start(&self, data: &str, listen: &str) -> Result<Process, String> {
        let number = fs::read_dir(self.folder.path()).unwrap().count();
        let log = self.path(&format!("log-{number}-{}", boottime_ms()));
        let mut child = self
            .command(&["serve", "--no-tls", "--listen", listen, "--config"])
            .arg(self.path(data).join("vault.toml"))
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut first).unwrap();
        match first.trim().rsplit_once("://") {
            Some((_, address)) => Ok(Process {
                child,
                address: address.to_owned(),
                log,
            }),
            None => {
                child.wait().unwrap();
                Err(fs::read_to_string(&log).unwrap())
            }
        }
    }

    /// Runs a command of the vault's own program to its end.
    pub(super) fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.arg("--config").arg(self.path("data/vault.toml"));
        command.output().unwrap()
    }

    /// What a command of the vault's own program prints.
    pub(super) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn token(&self, right: &str) -> String {
        let of = ["--repository", client::REPOSITORY, "--right", right];
        self.run(&[&["token", "create"][..], &of].concat())
    }

    /// A connection to the database, past all processes.
    pub(super) fn database(&self) -> Arc<dyn Database> {
        Arc::new(Postgres::open(&Secret::new(self.url.as_str()), None).unwrap())
    }

    /// Ends all leases at once, as if the clock of the database's machine jumped by half a minute.
    pub(super) fn end_leases(&self) {
        let mut end = |transaction: &mut dyn strongroom_vault::database::Transaction| {
            let statement = "UPDATE lease SET until_ms = 0";
            transaction.execute(statement, &[]).map(drop)
        };
        self.database().write(&mut end).unwrap();
    }

    /// One row of the database.
    pub(super) fn row<T>(
        &self,
        statement: &str,
        mut read: impl FnMut(&dyn Row) -> strongroom_vault::Result<T>,
    ) -> Option<T> {
        let database = self.database();
        let row = database.look(|transaction| transaction.first(statement, &[], &mut read));
        row.unwrap()
    }

    /// Vault time, as the row has it.
    pub(super) fn vault_ms(&self) -> i64 {
        let statement = "SELECT vault_ms FROM clock";
        self.row(statement, |row| row.int(0)).unwrap()
    }

    /// How many leaves there are that are not published.
    pub(super) fn unpublished(&self) -> i64 {
        let unpublished = "SELECT leaves - published FROM log_head";
        self.row(unpublished, |row| row.int(0)).unwrap()
    }

    /// Waits until all that was committed until now is in the log's files.
    pub(super) fn wait_for_log(&self) {
        let leaves = "SELECT leaves FROM log_head";
        let leaves = self.row(leaves, |row| row.int(0)).unwrap();
        wait_until("the log is published", || {
            let published = "SELECT published FROM log_head";
            self.row(published, |row| row.int(0)).unwrap() >= leaves
        });
    }

    /// Lets a process that has just begun purge all that was deleted.
    pub(super) fn purge(&self) {
        let due_ms = self.vault_ms() + 1_100;
        wait_until("the time to purge", || self.vault_ms() > due_ms);
        let process = self.start();
        wait_until("the purge", || {
            let left = "SELECT COUNT(*) FROM object WHERE state IN (1, 4)";
            self.row(left, |row| row.int(0)).unwrap() == 0
        });
        process.stop();
    }

    /// How many leaves of an act a log in a folder has.
    pub(super) fn count_acts(&self, log: &Path, act: &str) -> usize {
        let wanted = format!("\"act\":\"{act}\"");
        entries(log)
            .iter()
            .filter(|entry| String::from_utf8_lossy(entry).contains(&wanted))
            .count()
    }
}

impl Process {
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it stop as it should.
    pub(super) fn stop(self) {
        self.stopped();
    }

    /// The same; returns all that it has logged.
    pub(super) fn stopped(mut self) -> String {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success(), "{}", self.said());
        self.said()
    }

    /// Waits until it ends by itself because of an error; returns all that it has logged.
    pub(super) fn failed(mut self) -> String {
        let mut ended = None;
        wait_until("the process ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(1), "{}", self.said());
        self.said()
    }

    /// All that it has logged.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn is_ready(&self) -> bool {
        let answer = client::ask(&self.address, "GET", "/readyz", None, b"");
        answer.is_some_and(|(status, _)| status == 200)
    }

    fn log_file(&self, name: &str, token: Option<&str>) -> Option<Vec<u8>> {
        let path = format!("/log/{name}");
        let (status, body) = client::ask(&self.address, "GET", &path, token, b"").unwrap();
        match status {
            200 => Some(body),
            404 => None,
            other => panic!("{path}: {other}"),
        }
    }

    /// Gets the whole log as a client of tlog-tiles does, and audits it; returns its leaves.
    pub(super) fn audit_log(&self, token: &str, into: &Path) -> u64 {
        fs::create_dir(into).unwrap();
        let key = self.log_file("key", None).unwrap();
        let key: Verifier = String::from_utf8(key).unwrap().trim().parse().unwrap();
        let note = self.log_file("checkpoint", None).unwrap();
        let size = SignedCheckpoint::open(&note, &key).unwrap();
        let size = size.checkpoint().size();
        fs::write(into.join("checkpoint"), note).unwrap();
        for level in 0..=LEVEL_LIMIT {
            for index in 0.. {
                let width = width_in_tree(level, index, size);
                if width == 0 {
                    break;
                }
                self.tile(Level::Hashes(level), index, width, token, into);
                if level == 0 {
                    self.tile(Level::Entries, index, width, token, into);
                }
            }
        }
        let report = audit(into, Some(&key), None);
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.leaves, size);
        size
    }

    /// A partial tile may have become full meanwhile.
    fn tile(&self, level: Level, index: u64, width: u16, token: &str, into: &Path) {
        for width in [width, TILE_WIDTH] {
            let name = Tile::new(level, index, width).unwrap().to_string();
            if let Some(bytes) = self.log_file(&name, Some(token)) {
                let path = into.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
                return;
            }
        }
        panic!("there is no tile {level:?} {index} {width}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All entries of a log in a folder.
pub(super) fn entries(log: &Path) -> Vec<Vec<u8>> {
    let note = fs::read_to_string(log.join("checkpoint")).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    let folder = strongroom_ledger::Folder::new(log);
    let mut found = Vec::new();
    for index in 0.. {
        let width = width_in_tree(0, index, size);
        if width == 0 {
            break;
        }
        let bundle = folder.bundle(index, width).unwrap();
        let parts = strongroom_ledger::bundle::entries(&bundle, width).unwrap();
        found.extend(parts.into_iter().map(<[u8]>::to_vec));
    }
    found
}

/// Runs something until it is told to end, and hands over what it returns.
pub(super) fn meanwhile<T: Send + 'static>(
    work: impl FnOnce(Arc<std::sync::atomic::AtomicBool>) -> T + Send + 'static,
) -> (Arc<std::sync::atomic::AtomicBool>, thread::JoinHandle<T>) {
    let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    (ended, thread::spawn(move || work(flag)))
}
