//! A vault process of our own, on loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use tempfile::TempDir;

use crate::clients::wire::Wire;
use crate::running::program;

/// A running vault; killed when dropped.
pub(super) struct Server {
    pub(super) folder: TempDir,
    child: Child,
    address: String,
    is_tls: bool,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with("")
    }

    /// With lines in its configuration.
    pub(super) fn start_with(configuration: &str) -> Self {
        Self::begin(configuration, false)
    }

    /// As it is started outside of tests: with TLS, and a certificate of its own.
    pub(super) fn start_tls() -> Self {
        Self::begin("", true)
    }

    fn begin(configuration: &str, is_tls: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let made = program(&["init"]).arg(folder.path().join("data")).output();
        assert!(made.unwrap().status.success());
        if !configuration.is_empty() {
            std::fs::write(config(folder.path()), configuration).unwrap();
        }
        let (child, address) = serve(folder.path(), "127.0.0.1:0", is_tls);
        Self {
            folder,
            child,
            address,
            is_tls,
        }
    }

    /// Ends the process as a power cut would, and starts it again at the same address.
    pub(super) fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Ends the process as a power cut would.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts one that was killed again, at the same address.
    pub(super) fn restart(&mut self) {
        (self.child, self.address) = serve(self.folder.path(), &self.address, self.is_tls);
    }

    /// What it says where it does not start.
    pub(super) fn fails_to_start(&self) -> String {
        let mut child = program(&["serve", "--no-tls", "--listen", "127.0.0.1:0", "--config"])
            .arg(config(self.folder.path()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        if !first.is_empty() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(first, "", "it has started");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// What a command of the vault's own program prints.
    pub(super) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// How a command of the vault's own program ends.
    pub(super) fn output(&self, arguments: &[&str]) -> Output {
        let mut command = program(arguments);
        command.arg("--config").arg(config(self.folder.path()));
        command.output().unwrap()
    }

    pub(super) fn token(&self, right: &str) -> String {
        self.token_for("acme/repos", right, &[])
    }

    /// A token for a repository, or those in a folder, with more arguments.
    pub(super) fn token_for(&self, repository: &str, right: &str, arguments: &[&str]) -> String {
        let create = [
            "token",
            "create",
            "--repository",
            repository,
            "--right",
            right,
        ];
        self.run(&[&create[..], arguments].concat())
    }

    /// A connection of our own.
    pub(super) fn wire(&self) -> Wire {
        Wire::open(&self.address).unwrap()
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The time that the vault records now.
    pub(super) fn moment(&self) -> String {
        let said = self.run(&["clock", "show"]);
        let (_, time) = said.split_once("recorded time ").unwrap();
        time.split_whitespace().next().unwrap().to_owned()
    }

    /// The most memory that the process has had, in bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = line
            .unwrap()
            .trim()
            .strip_suffix(" kB")
            .unwrap()
            .parse()
            .unwrap();
        kib << 10
    }

    /// The address of the repository, in a view.
    pub(super) fn repository(&self, token: &str, view: &str) -> String {
        let (scheme, address) = (self.scheme(), &self.address);
        format!("rest:{scheme}://any:{token}@{address}/{view}acme/repos/")
    }

    /// The address of one of its pages.
    pub(super) fn url(&self, page: &str) -> String {
        format!("{}://{}{page}", self.scheme(), self.address)
    }

    /// The certificate that clients have to trust, where it has TLS.
    pub(super) fn authority(&self) -> Option<PathBuf> {
        self.is_tls.then(|| self.data().join("keys/tls.crt"))
    }

    fn scheme(&self) -> &'static str {
        match self.is_tls {
            true => "https",
            false => "http",
        }
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

fn config(folder: &Path) -> PathBuf {
    folder.join("data/vault.toml")
}

fn serve(folder: &Path, listen: &str, is_tls: bool) -> (Child, String) {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log.json"));
    let mut command = program(&["serve", "--listen", listen, "--config"]);
    command.arg(config(folder));
    if !is_tls {
        command.arg("--no-tls");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(log.unwrap())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    let address = first.trim().rsplit_once("://");
    let Some((_, address)) = address else {
        let log = std::fs::read_to_string(folder.join("log.json"));
        panic!("it said {first:?}: {log:?}");
    };
    if is_tls {
        // It tells its fingerprint too, and ends where nobody hears it.
        stdout.read_line(&mut String::new()).unwrap();
    }
    (child, address.to_owned())
}
