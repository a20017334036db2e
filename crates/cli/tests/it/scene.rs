//! A source, its copies, a configuration, and the real program run on them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Key;
use strongroom_repo::key::{KeyFile, ScryptCost};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::programs::{Restic, restic_versions};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const ALL: [&str; 3] = ["one", "two", "three"];

/// How long something may take that is sure to happen, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A temporary folder with a source, an empty state folder and three local copies to be.
pub(crate) struct Scene {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A run that goes on.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    ended: Receiver<(String, String)>,
}

impl Scene {
    /// An empty source, and a configuration of three local copies.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let scene = Self {
            _folder: folder,
            root,
        };
        fs::create_dir(scene.source()).unwrap();
        fs::write(scene.path("password"), PASSWORD).unwrap();
        set_mode(&scene.path("password"), 0o600);
        scene.configure_local("");
        scene
    }

    /// Writes a configuration of three local copies.
    pub(crate) fn configure_local(&self, settings: &str) {
        self.configure(
            settings,
            &ALL.map(|name| (name, self.path(name).display().to_string())),
        );
    }

    /// Writes the configuration; `settings` stand before all tables.
    pub(crate) fn configure(&self, settings: &str, copies: &[(&str, String)]) {
        let mut text = format!(
            "password_file = {:?}\n{settings}\n[[source]]\nname = \"main\"\npath = {:?}\n",
            self.path("password"),
            self.source()
        );
        for (name, store) in copies {
            text.push_str(&format!(
                "\n[[copy]]\nname = {name:?}\nstore = {store:?}\nmedium = \"disk\"\n\
                 site = \"site-{name}\"\ndomain = \"domain-{name}\"\n"
            ));
        }
        fs::write(self.path("strongroom.toml"), text).unwrap();
        // Whatever the umask: others' configurations are not believed.
        set_mode(&self.path("strongroom.toml"), 0o644);
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.path("source")
    }

    /// The program in this scene, without the environment of the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(arguments);
        self.dress(&mut command);
        command
    }

    /// Puts any program into this scene.
    pub(crate) fn dress(&self, command: &mut Command) {
        command
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.root)
            .env("TZ", "UTC")
            .env("STRONGROOM_STATE", self.path("state"))
            .stdin(Stdio::null());
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs the program to its end, which must have this exit status.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        ended.assert_code(code, &arguments);
        ended
    }

    /// Makes the repository. Where the first copy is a folder, it gets a key that costs next to
    /// nothing to open: else all these runs would do little but that.
    #[track_caller]
    pub(crate) fn init(&self) -> Ended {
        let first = self.path(ALL[0]);
        let config = fs::read_to_string(self.path("strongroom.toml")).unwrap();
        if config.contains(&format!("store = {first:?}")) {
            plant_key(&first, PASSWORD);
        }
        self.expect(0, &["--quiet", "init"])
    }

    /// Makes the repository and a first backup.
    #[track_caller]
    pub(crate) fn begin(&self) {
        self.init();
        self.expect(0, &["--quiet", "backup"]);
    }

    /// Adds a key that this password opens.
    #[track_caller]
    pub(crate) fn add_key(&self, password: &str) -> Ended {
        let file = self.path("second");
        fs::write(&file, password).unwrap();
        let add = ["key", "add", "--new-password-file"];
        self.expect(0, &[&add[..], &[file.to_str().unwrap()]].concat())
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// `restic check --read-data` on all three copies, by every restic there is. The oldest locks them,
    /// so that no lock of ours may be left; that is a pause of its, which one of them is enough for.
    pub(crate) fn check_all(&self) {
        let mut more: &[&str] = &[];
        for restic in restic_versions() {
            for copy in ALL {
                self.check(&restic, copy, more);
            }
            more = &["--no-lock"];
        }
    }

    /// `restic check --read-data` on one copy.
    pub(crate) fn check(&self, restic: &Restic, copy: &str, more: &[&str]) {
        let mut arguments = vec!["check", "--read-data"];
        arguments.extend(more);
        self.restic(restic, copy, &arguments);
    }

    /// Runs a restic, which must succeed, on a copy.
    pub(crate) fn restic(&self, restic: &Restic, copy: &str, arguments: &[&str]) -> Ended {
        let output = Command::new(&restic.path)
            .args(["--no-cache", "-r"])
            .arg(self.path(copy))
            .args(arguments)
            .env("RESTIC_PASSWORD", PASSWORD)
            .output();
        let ended = Ended::from(output.unwrap());
        ended.assert_code(0, &(copy, &restic.version, arguments));
        ended
    }

    /// Asserts that every restic there is restores from each copy what the source holds.
    pub(crate) fn assert_restic_restores_all(&self) {
        for restic in restic_versions() {
            for copy in ALL {
                let target = tempfile::tempdir().unwrap();
                let to = target.path().to_str().unwrap();
                let restore = ["restore", "latest", "--no-lock", "--target", to];
                self.restic(&restic, copy, &restore);
                let restored = target.path().join(self.source().strip_prefix("/").unwrap());
                let differences = strongroom_testkit::tree::compare(&self.source(), &restored);
                assert_eq!(differences, [], "{copy}, restic {}", restic.version);
            }
        }
    }

    /// The snapshots that are listed, the oldest first, by their whole ids.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        let ended = self.run(&["--json", "snapshots"]);
        let lines = ended.out.lines();
        let objects = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let snapshots = objects.filter(|object| object["message_type"] == "snapshot");
        snapshots
            .map(|object| object["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Asserts that a status calls every copy whole, and misses nothing anywhere.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        let card = self.run(&["--json", "status"]).summary();
        for row in card["copies"].as_array().unwrap() {
            assert_eq!(row["whole"]["met"], true, "{row}");
        }
        let lines = card["lines"].as_array().unwrap();
        let errors = lines.iter().find(|line| line["line"] == "errors").unwrap();
        let reason = errors["reason"].as_str().unwrap();
        for word in ["lost", "on no copy"] {
            assert!(!reason.contains(word), "{errors}");
        }
        assert_eq!(card["problems"], serde_json::json!([]), "{card}");
    }

    /// The files of a copy, below `folder`, by their paths; temporary ones too.
    pub(crate) fn files(&self, copy: &str, folder: &str) -> BTreeSet<PathBuf> {
        let base = self.path(copy);
        let mut found = BTreeSet::new();
        collect(&base.join(folder), &mut found);
        found
            .iter()
            .map(|path| path.strip_prefix(&base).unwrap().to_owned())
            .collect()
    }

    /// Asserts that all copies hold the same files, byte for byte, and no locks.
    pub(crate) fn assert_identical(&self) {
        let first = self.files("one", "");
        assert!(first.iter().any(|path| path.starts_with("snapshots")));
        assert_eq!(self.files("one", "locks"), BTreeSet::new());
        for copy in ["two", "three"] {
            assert_eq!(first, self.files(copy, ""), "one and {copy}");
            for path in &first {
                let bytes = |copy| fs::read(self.path(copy).join(path)).unwrap();
                assert!(bytes("one") == bytes(copy), "{copy}: {}", path.display());
            }
        }
    }
}

/// Leaves a key that costs next to nothing to open where a repository is to be, as an init does that
/// was cut off: the next one goes on with it.
pub(crate) fn plant_key(folder: &Path, password: &str) {
    let made = "2026-01-01T00:00:00Z".parse().unwrap();
    let (key, cost) = (Key::generate().unwrap(), ScryptCost::LEAST);
    let file = KeyFile::seal(&key, password.as_bytes(), cost, made, "tester", "testhost");
    let bytes = file.unwrap().to_bytes().unwrap();
    let store = LocalStore::new(folder);
    store.create().unwrap();
    let name = FileName::new(FileType::Keys, Id::of(&bytes));
    store.save(name, &bytes).unwrap();
}

impl Ended {
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32, what: &dyn std::fmt::Debug) {
        let Self { out, err, .. } = self;
        assert_eq!(self.code, Some(code), "{what:?}:\n{out}\n{err}");
    }

    /// Asserts that standard error has a line with all of these words.
    #[track_caller]
    pub(crate) fn assert_says(&self, words: &[&str]) {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(
            self.err.lines().any(has_all),
            "{words:?} in:\n{}\n{}",
            self.out,
            self.err
        );
    }

    /// The last object of `--json`.
    pub(crate) fn summary(&self) -> serde_json::Value {
        serde_json::from_str(self.out.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Running {
    /// Starts a command, whose output is read on.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        let (send, ended) = channel();
        let said = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            let errors = std::thread::spawn(move || {
                for line in err.lines() {
                    let mut text = heard.lock().unwrap();
                    text.push_str(&line.unwrap());
                    text.push('\n');
                }
                heard.lock().unwrap().clone()
            });
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            let _ = send.send((text, errors.join().unwrap()));
        });
        Self { child, said, ended }
    }

    /// Waits until it has said a word on standard error; it must still be running then.
    pub(crate) fn until_it_says(self, word: &str) -> Self {
        let said = Arc::clone(&self.said);
        let heard = self.until(|| said.lock().unwrap().contains(word));
        heard.unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Lets it run for a time, then kills it; tells whether it was still running.
    pub(crate) fn kill_after(mut self, time: Duration) -> bool {
        let was_running = self.ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        was_running
    }

    /// Asks again and again until `is_so`; returns how it ended where that comes first.
    pub(crate) fn until(mut self, mut is_so: impl FnMut() -> bool) -> Result<Self, Ended> {
        let start = Instant::now();
        while !is_so() {
            match self.ended.recv_timeout(Duration::from_millis(1)) {
                Err(RecvTimeoutError::Timeout) => {}
                ended => {
                    let (out, err) = ended.unwrap();
                    let code = self.child.wait().unwrap().code();
                    return Err(Ended { code, out, err });
                }
            }
            assert!(start.elapsed() < PATIENCE, "it does not come about");
        }
        Ok(self)
    }

    /// Looks at something again and again until the program ends.
    pub(crate) fn watch(mut self, mut look: impl FnMut(u32)) -> Ended {
        let pid = self.pid();
        let (out, err) = loop {
            match self.ended.recv_timeout(Duration::from_millis(2)) {
                Err(RecvTimeoutError::Timeout) => look(pid),
                ended => break ended.unwrap(),
            }
        };
        let code = self.child.wait().unwrap().code();
        Ended { code, out, err }
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Ended {
        self.watch(|_| {})
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Incompressible bytes in a file.
pub(crate) fn write_noise(path: &Path, seed: u64, length: usize) {
    fs::write(path, strongroom_testkit::contract::noise(seed, length)).unwrap();
}

fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.insert(path);
        }
    }
}
