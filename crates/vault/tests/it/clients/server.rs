//! A vault process of our own, on loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running vault; killed when dropped.
pub(super) struct Server {
    pub(super) folder: TempDir,
    child: Child,
    address: String,
}

impl Server {
    pub(super) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let made = program()
            .arg("init")
            .arg(folder.path().join("data"))
            .output();
        assert!(made.unwrap().status.success());
        let (child, address) = serve(folder.path(), "127.0.0.1:0");
        Self {
            folder,
            child,
            address,
        }
    }

    /// Ends the process as a power cut would, and starts it again at the same address.
    pub(super) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.address) = serve(self.folder.path(), &self.address);
    }

    /// What a command of the vault's own program prints.
    pub(super) fn run(&self, arguments: &[&str]) -> String {
        let mut command = program();
        command
            .args(arguments)
            .arg("--config")
            .arg(config(self.folder.path()));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn token(&self, right: &str) -> String {
        self.run(&[
            "token",
            "create",
            "--repository",
            "acme/repos",
            "--right",
            right,
        ])
    }

    /// The address of the repository, in a view.
    pub(super) fn repository(&self, token: &str, view: &str) -> String {
        format!("rest:http://any:{token}@{}/{view}acme/repos/", self.address)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// All that the process has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.json")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_strongroom-vault"))
}

fn config(folder: &Path) -> PathBuf {
    folder.join("data/vault.toml")
}

fn serve(folder: &Path, listen: &str) -> (Child, String) {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log.json"));
    let mut child = program()
        .args(["serve", "--no-tls", "--listen", listen, "--config"])
        .arg(config(folder))
        .stdout(Stdio::piped())
        .stderr(log.unwrap())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut first).unwrap();
    let address = first.trim().rsplit_once("://");
    let Some((_, address)) = address else {
        let log = std::fs::read_to_string(folder.join("log.json"));
        panic!("it said {first:?}: {log:?}");
    };
    (child, address.to_owned())
}
