//! A real REST server: `rclone serve restic` on a free loopback port, for as long as a test runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::starting::wait_for_line;

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
        let url = wait_for_line(&mut child, "rclone", |line| {
            let (_, url) = line.split_once("Serving restic REST API on ")?;
            Some(url.trim_matches(['[', ']', ' ']).to_owned())
        });
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
