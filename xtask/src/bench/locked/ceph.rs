//! A Ceph on loopback, as the tests start it, and what is asked of it beside what is measured.
//!
//! It is a program of `testkit`, which this one may not link; it ends when its input does, so that
//! it never outlives this process. What it keeps it keeps in memory, 4 GiB at most, and nobody
//! removes what is locked: so whoever stores much starts one for each round.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::data::Size;
use crate::run::{capture, target_folder};

/// A bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// With Object Lock, and so with versions.
    Locked,
    /// Without versions: what is removed is gone.
    Plain,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Locked => "locked",
            Self::Plain => "plain",
        })
    }
}

/// A server that runs; ends when this is dropped.
pub(super) struct Ceph {
    child: Child,
    endpoint: String,
    port: u16,
    access_key: String,
    secret_key: String,
}

impl Ceph {
    /// Starts one with both buckets; takes some 2 s.
    pub(super) fn start() -> Result<Self> {
        let mut child = Command::new(target_folder().join("release/examples/ceph"))
            .args([Bucket::Locked, Bucket::Plain].map(|bucket| bucket.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("Cannot start Ceph")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("It has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let words: Vec<_> = line.split_whitespace().collect();
        let &[endpoint, access_key, secret_key] = words.as_slice() else {
            let ended = child.wait()?;
            bail!("Ceph did not start ({ended}): run `cargo xtask setup`");
        };
        Ok(Self {
            endpoint: endpoint.to_owned(),
            port: port_of(endpoint)?,
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            child,
        })
    }

    /// Where it answers, on loopback.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn access_key(&self) -> &str {
        &self.access_key
    }

    pub(super) fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// A repository's address, as restic and ours take it.
    pub(super) fn repository(&self, bucket: Bucket, folder: &str) -> String {
        format!("s3:{}/{bucket}/{folder}", self.endpoint)
    }

    /// rclone, which knows this server by the name that [`remote`] begins with. It asks for nothing
    /// but what it is told to: no look before or behind what it moves.
    pub(super) fn rclone(&self) -> Command {
        let mut command = Command::new("rclone");
        command
            .env("RCLONE_CONFIG_CEPH_TYPE", "s3")
            .env("RCLONE_CONFIG_CEPH_PROVIDER", "Ceph")
            .env("RCLONE_CONFIG_CEPH_ENDPOINT", &self.endpoint)
            .env("RCLONE_CONFIG_CEPH_ACCESS_KEY_ID", &self.access_key)
            .env("RCLONE_CONFIG_CEPH_SECRET_ACCESS_KEY", &self.secret_key)
            .env("RCLONE_CONFIG_CEPH_NO_CHECK_BUCKET", "true")
            .env("RCLONE_CONFIG_CEPH_NO_HEAD", "true")
            .env("RCLONE_CONFIG_CEPH_NO_HEAD_OBJECT", "true")
            // Its transport takes no authorities of somebody's own, and fails where there are some.
            .env_remove("AWS_CA_BUNDLE")
            .args(["--config", "", "--quiet"])
            .args(["--transfers", "16", "--checkers", "16", "--fast-list"]);
        command
    }

    /// Lets a program find the account where Amazon's do.
    pub(super) fn sign_for(&self, command: &mut Command) {
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key)
            .env("AWS_DEFAULT_REGION", "us-east-1");
    }

    /// How much lies in a folder and is not hidden.
    pub(super) fn size_of(&self, bucket: Bucket, folder: &str) -> Result<Size> {
        let mut size = self.rclone();
        size.args(["size", "--json"]).arg(remote(bucket, folder));
        size_told(&capture(&mut size)?)
    }

    /// Until when the newest version of a key is locked, as text that sorts by time.
    pub(super) fn locked_until(&self, key: &str) -> Result<String> {
        let mut command = Command::new("aws");
        command
            .args(["--endpoint-url", &self.endpoint, "--output", "text"])
            .args(["--query", "Retention.RetainUntilDate"])
            .args(["s3api", "get-object-retention", "--key", key])
            .args(["--bucket", &Bucket::Locked.to_string()]);
        self.sign_for(&mut command);
        let said = capture(&mut command)?;
        let date = said.trim();
        ensure!(
            date.starts_with(|first: char| first.is_ascii_digit()),
            "{key} is locked until {date:?}, which is no date"
        );
        Ok(date.to_owned())
    }
}

impl Drop for Ceph {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        _ = self.child.wait();
    }
}

/// A folder of a bucket, as [`Ceph::rclone`] takes it.
pub(super) fn remote(bucket: Bucket, folder: &str) -> String {
    format!("ceph:{bucket}/{folder}")
}

fn port_of(endpoint: &str) -> Result<u16> {
    let port = endpoint.strip_prefix("http://127.0.0.1:");
    port.and_then(|port| port.parse().ok())
        .with_context(|| format!("Ceph answers at {endpoint:?}, which is not on loopback"))
}

/// What `rclone size --json` says.
fn size_told(said: &str) -> Result<Size> {
    let told: serde_json::Value = serde_json::from_str(said)?;
    let number = |name| told.get(name).and_then(serde_json::Value::as_u64);
    match (number("count"), number("bytes")) {
        (Some(files), Some(bytes)) => Ok(Size { files, bytes }),
        _ => bail!("rclone said {said:?} of a size"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_from_what_rclone_says() {
        let size = size_told("{\"count\":2,\"bytes\":9,\"sizeless\":0}\n").unwrap();
        assert_eq!(size, Size { files: 2, bytes: 9 });
        size_told("{\"count\":2}").unwrap_err();
        size_told("").unwrap_err();
    }

    #[test]
    fn only_a_port_of_loopback_is_taken() {
        assert_eq!(port_of("http://127.0.0.1:8000").unwrap(), 8000);
        port_of("http://192.0.2.1:8000").unwrap_err();
        port_of("http://127.0.0.1:").unwrap_err();
    }
}
