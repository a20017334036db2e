//! Either server, started on a free port of loopback and ended again.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::measure::peak_bytes;
use crate::run::{capture, target_folder};

/// How long a server may take to answer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    Vault,
    Rclone,
}

impl Which {
    pub(super) const ALL: [Self; 2] = [Self::Vault, Self::Rclone];
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vault => "vault",
            Self::Rclone => "rclone",
        })
    }
}

/// A server that runs; ends when this is dropped.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    token: Option<String>,
}

impl Server {
    /// Starts a server that keeps everything in an empty folder.
    pub(super) fn start(which: Which, folder: &Path) -> Result<Self> {
        match which {
            Which::Vault => {
                init(folder)?;
                Self::serve(folder)
            }
            Which::Rclone => Self::rclone(folder),
        }
    }

    /// Serves the vault in a folder.
    pub(super) fn serve(folder: &Path) -> Result<Self> {
        let config = folder.join("vault.toml");
        let said = capture(
            vault()?
                .args(["token", "create", "--json", "--config"])
                .arg(&config)
                .args(["--repository", super::REPOSITORY, "--right", "append"]),
        )?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let token = said.get("token").and_then(serde_json::Value::as_str);
        let token = token.context("No token was made")?;
        let mut child = vault()?
            .args(["serve", "--no-tls", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("stderr"))?)
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("It has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("Listening on http://");
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            _ = child.kill();
            _ = child.wait();
            bail!(
                "The vault said {line:?}: {}",
                fs::read_to_string(folder.join("stderr"))?
            );
        };
        Ok(Self {
            child,
            address,
            token: Some(token.to_owned()),
        })
    }

    fn rclone(folder: &Path) -> Result<Self> {
        // Free a moment ago, which is as much as can be said of a port.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new("rclone")
            .args(["serve", "restic", "--config", "", "--addr"])
            .arg(address.to_string())
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("Cannot start rclone; run `cargo xtask setup`")?;
        let server = Self {
            child,
            address,
            token: None,
        };
        let started = Instant::now();
        let (_keep, pause) = channel::<()>();
        while TcpStream::connect(address).is_err() {
            if started.elapsed() > START_LIMIT {
                bail!("rclone does not answer");
            }
            // Nobody sends anything: it only waits.
            _ = pause.recv_timeout(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of `Authorization`, where the server asks for one.
    pub(super) fn authorization(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        let text = format!("bench:{token}");
        Some(format!(
            "Basic {}",
            data_encoding::BASE64.encode(text.as_bytes())
        ))
    }

    /// A repository's address, as restic takes it.
    pub(super) fn repository(&self, path: &str) -> String {
        match &self.token {
            Some(token) => format!("rest:http://bench:{token}@{}/{path}/", self.address),
            None => format!("rest:http://{}/{path}/", self.address),
        }
    }

    /// The most memory that it has held.
    pub(super) fn peak_bytes(&self) -> Result<u64> {
        peak_bytes(self.child.id()).context("The server is gone")
    }

    /// Ends it, as systemd would.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("It has no number")?, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Makes a vault that keeps as little room as it may: the disk is for what is measured.
pub(super) fn init(folder: &Path) -> Result<()> {
    capture(vault()?.arg("init").arg(folder)).map(drop)
}

fn vault() -> Result<Command> {
    let program = target_folder().join("release/strongroom-vault");
    Ok(Command::new(program))
}
