//! A real REST server: `rclone serve restic` on a free loopback port, for as long as a test runs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `rclone serve restic`, which ends when this is dropped.
#[derive(Debug)]
pub struct RcloneServer {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl RcloneServer {
    /// Serves a folder, and waits until the server answers.
    ///
    /// # Panics
    /// Panics where rclone is missing or does not start: such a test has not been run.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new("rclone")
            .args(["serve", "restic", "--config", "", "--addr", "127.0.0.1:0"])
            .args(["--cache-objects=false"])
            .args(arguments)
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rclone is needed for this test: apt-get install rclone");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (send, lines) = mpsc::channel();
        // Goes on reading to the end, so that rclone never blocks on a full pipe.
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut said = String::new();
        let url = loop {
            let Ok(line) = lines.recv_timeout(START_LIMIT) else {
                let _ = child.kill();
                panic!("rclone did not start to serve; it said: {said}");
            };
            if let Some((_, url)) = line.split_once("Serving restic REST API on ") {
                break url.trim_matches(['[', ']', ' ']).to_owned();
            }
            said.push_str(&line);
        };
        Self {
            child,
            folder: folder.to_owned(),
            url,
        }
    }

    /// The URL of the repository at the root: `http://127.0.0.1:<port>/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets it stand still, as a server does whose disk hangs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our own child");
    }

    /// The folder that it serves.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for RcloneServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
