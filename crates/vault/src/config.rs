//! The vault's configuration, `vault.toml`, parsed once into types.
//!
//! In the manner of `strongroom.toml`: nothing is guessed, all mistakes are told at once with their
//! lines, and `${NAME}` stands for a variable of the environment. No secret has to sit in the file.

mod database;
mod limits;
mod notify;
mod protect;
mod public_url;
mod storage;
mod witness;

pub use database::DatabaseConfig;
pub use notify::{AddressConfig, MailConfig, MailTls, NotifyConfig, Way};
pub(crate) use notify::{is_loopback, parse_address};
pub use protect::{Network, ProtectConfig};
pub use public_url::PublicUrl;
pub use storage::{BucketConfig, StorageConfig};
pub use witness::WitnessConfig;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use strongroom_ledger::Verifier;
use strongroom_model::config::reader::{Reader, quoted};
use strongroom_model::config::section::Section;
use strongroom_model::config::{Problem, parse};
use strongroom_model::{Account, ByteSize, ConfigError, Id, Period};
use tracing::Level;

use crate::http::{CertificateFiles, Limits};
use crate::records::leaves::Configured;
use crate::{Error, Result};

/// What `strongroom-vault init` writes: everything there is, with its default, as comments.
pub const TEMPLATE: &str = include_str!("config/vault.toml");

/// The name of the file in a vault's folder.
pub const FILE_NAME: &str = "vault.toml";

/// No sound configuration is larger.
const LARGEST_BYTES: u64 = 1 << 20;

/// Clients hold sizes in 32 bits.
const LARGEST_OBJECT: ByteSize = ByteSize::mib(4095);

/// A whole configuration that contradicts itself nowhere.
#[derive(Clone, Debug)]
pub struct VaultConfig {
    /// The vault's folder: keys, log, and what has no other place.
    pub data: PathBuf,
    /// What to listen on; at least one.
    pub listen: Vec<SocketAddr>,
    /// Under which address browsers reach it.
    pub public_url: Option<PublicUrl>,
    /// The certificate; `None` where the vault makes its own.
    pub tls: Option<CertificateFiles>,
    /// Where bodies of objects lie.
    pub storage: StorageConfig,
    /// Where everything else lies.
    pub database: DatabaseConfig,
    /// The authorities that vouch for the certificate of a PostgreSQL; `None` for those that
    /// browsers trust.
    pub database_ca_file: Option<PathBuf>,
    /// For how long what has arrived is kept, unless its repository says otherwise.
    pub retention: Period,
    /// For how long what was asked to be deleted is kept.
    pub grace: Period,
    /// Within which time the vault reads all it has.
    pub verify_every: Period,
    /// Space that uploads never touch.
    pub reserve: ByteSize,
    /// The largest object.
    pub object_size: ByteSize,
    /// What clients may take of the server.
    pub limits: Limits,
    /// Whose account the vault runs in, as declared.
    pub runs_in: Option<Account>,
    /// What opens `/metrics`, instead of being on this machine.
    pub metrics_token_file: Option<PathBuf>,
    /// Who cosigns the vault's log.
    pub witnesses: Vec<WitnessConfig>,
    /// The keys of the logs that the vault cosigns.
    pub witness_for: Vec<Verifier>,
    /// Who is told of what happens.
    pub notify: Vec<NotifyConfig>,
    /// Whom proxies let in to other hosts.
    pub protect: ProtectConfig,
    /// How much is told in the log.
    pub log_level: Level,
    /// What can be used but should not stay as it is.
    pub warnings: Vec<Problem>,
    /// The SHA-256 of what stands in it, without comments and the database's address.
    pub digest: Id,
}

const KEYS: [&str; 20] = [
    "data",
    "listen",
    "public_url",
    "retention",
    "grace",
    "verify_every",
    "reserve",
    "object_size",
    "runs_in",
    "metrics_token_file",
    "log_level",
    "tls",
    "storage",
    "database",
    "limits",
    "witness",
    "witness_for",
    "notify",
    "trusted_proxies",
    "protect",
];

impl VaultConfig {
    /// Reads a file; `environment` answers for `${NAME}`.
    ///
    /// # Errors
    /// [`Error::Local`] and [`Error::Config`].
    pub fn open(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST_BYTES).read_to_string(&mut text))
            .map_err(Error::of_vault(format!("read {}", path.display())))?;
        let folder = std::path::absolute(path)
            .map_err(Error::local(format!("find {}", path.display())))?
            .parent()
            .unwrap_or(Path::new("/"))
            .to_owned();
        Self::parse(&text, &folder, environment).map_err(|problems| Error::Config {
            path: path.to_owned(),
            problems,
        })
    }

    /// Reads the text of a configuration that lies in `folder`.
    ///
    /// # Errors
    /// Returns every problem that was found, each with its line.
    pub fn parse(
        text: &str,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (mut config, warnings) = parse(text, environment, &KEYS, |reader, top| {
            Self::read(reader, top, folder)
        })?;
        config.warnings = warnings;
        config.digest = digest(text);
        Ok(config)
    }

    fn read(reader: &mut Reader<'_>, top: &Section<'_>, folder: &Path) -> Option<Self> {
        let data = top
            .path(reader, "data")
            .unwrap_or_else(|| folder.to_owned());
        let listen = listen(reader, top);
        let public_url = public_url::read(reader, top);
        let tls = tls(reader, top);
        let storage = storage::read(reader, top, &data);
        let database = database::read(reader, top, &data);
        let retention = top.period(reader, "retention").unwrap_or(Period::days(30));
        let grace = top.period(reader, "grace").unwrap_or(retention);
        let verify_every = top.period(reader, "verify_every");
        let reserve = top.size(reader, "reserve");
        let object_size = object_size(reader, top);
        let limits = limits::read(reader, top);
        let runs_in = runs_in(reader, top);
        let metrics_token_file = top.path(reader, "metrics_token_file");
        let log_level = log_level(reader, top);
        let notify = notify::read(reader, top);
        let protect = protect::read(reader, top);
        let witnesses = witness::read_witnesses(reader, top);
        let witness_for = witness::read_logs(reader, top);
        let (database, database_ca_file) = database?;
        Some(Self {
            data,
            listen: listen?,
            public_url,
            tls,
            storage: storage?,
            database,
            database_ca_file,
            retention,
            grace,
            verify_every: verify_every.unwrap_or(Period::days(30)),
            reserve: reserve.map_or(ByteSize::mib(1024), |(_, size)| size),
            object_size: object_size?,
            limits: limits?,
            runs_in,
            metrics_token_file,
            witnesses: witnesses?,
            witness_for: witness_for?,
            notify: notify?,
            protect: protect?,
            log_level: log_level?,
            warnings: Vec::new(),
            digest: Id::default(),
        })
    }

    /// What the log tells of it when a process begins to serve.
    pub fn told(&self) -> Configured {
        Configured {
            retention_s: self.retention.milliseconds() / 1000,
            grace_s: self.grace.milliseconds() / 1000,
            verify_every_s: self.verify_every.milliseconds() / 1000,
            reserve_bytes: self.reserve.bytes(),
            public_url: self.public_url.as_ref().map(ToString::to_string),
            runs_in: self.runs_in.as_ref().map(ToString::to_string),
            storage: match self.storage {
                StorageConfig::Folder(_) => "folder",
                StorageConfig::Bucket(_) => "bucket",
            },
            database: match self.database {
                DatabaseConfig::File(_) => "sqlite",
                DatabaseConfig::Postgres(_) | DatabaseConfig::PostgresFile(_) => "postgresql",
            },
            config: self.digest,
        }
    }
}

/// The digest of a text, without what is a secret or may have been one: a short password could be
/// guessed from it. So of all addresses those of witnesses alone are in it, which have none: where
/// one is sent elsewhere nobody cosigns any more, and that must show. Whoever knows a topic of ntfy
/// reads it.
fn digest(text: &str) -> Id {
    let mut is_witness = false;
    let mut told = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_witness = line.starts_with("[[witness]]");
        }
        let key = line.split('=').next().unwrap_or_default().trim_end();
        let key = key.trim_matches(['"', '\'']);
        let is_secret = key == "topic" || (key == "url" && !is_witness);
        if !line.is_empty() && !line.starts_with('#') && !is_secret {
            told.push(line);
        }
    }
    Id::of(told.join("\n").as_bytes())
}

fn listen(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Vec<SocketAddr>> {
    const EXAMPLE: &str = "listen = [\"0.0.0.0:8000\"], or [\"[::]:8000\"] for IPv6 as well";
    let Some(line) = top.line_of(reader, "listen") else {
        return Some(vec![SocketAddr::from(([0, 0, 0, 0], 8000))]);
    };
    let texts = top.texts(reader, "listen")?;
    if texts.is_empty() {
        let message = "There is nothing to listen on";
        reader.problem(line, message, format!("write {EXAMPLE}"));
    }
    let mut addresses = Vec::new();
    for text in texts {
        match text.value.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => {
                let message = format!("{} is not an IP address and a port", quoted(text.written));
                reader.problem(text.line, message, format!("write {EXAMPLE}"));
            }
        }
    }
    Some(addresses)
}

fn tls(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<CertificateFiles> {
    let section = top.section(reader, "tls", &["certificate", "key"])?;
    section.require(
        reader,
        "certificate",
        "certificate = \"/etc/letsencrypt/live/vault.example.net/fullchain.pem\"",
    );
    section.require(
        reader,
        "key",
        "key = \"/etc/letsencrypt/live/vault.example.net/privkey.pem\"",
    );
    let certificate = section.path(reader, "certificate");
    let key = section.path(reader, "key");
    Some(CertificateFiles {
        certificate: certificate?,
        key: key?,
    })
}

fn object_size(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<ByteSize> {
    let Some((line, size)) = top.size(reader, "object_size") else {
        return Some(ByteSize::mib(1024));
    };
    if !(ByteSize::mib(1)..=LARGEST_OBJECT).contains(&size) {
        reader.problem(
            line,
            format!("object_size = \"{size}\" is out of bounds"),
            format!("write a size from \"1MiB\" to \"{LARGEST_OBJECT}\""),
        );
        return None;
    }
    Some(size)
}

fn runs_in(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Account> {
    top.parsed(
        reader,
        "runs_in",
        |text| text.parse().ok(),
        "no name of an account",
        "write what the provider calls it, in letters of ASCII: runs_in = \"aws:123456789012\"",
    )
}

fn log_level(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Level> {
    if !top.has("log_level") {
        return Some(Level::INFO);
    }
    let named = |word: &str| {
        let mut levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG].into_iter();
        levels.find(|level| level.as_str().to_ascii_lowercase() == word)
    };
    let instead = "write \"error\", \"warn\", \"info\" or \"debug\"";
    top.parsed(reader, "log_level", named, "no level of the log", instead)
}

#[cfg(test)]
mod tests;
