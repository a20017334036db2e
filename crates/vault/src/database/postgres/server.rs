//! Connecting to a PostgreSQL server, and not hammering at one that is away.
//!
//! What can go wrong: a URL has a password in it, so nothing here prints it or repeats what a
//! parser says of it. A server that is away is asked again after a while that grows; until then
//! whoever needs it is told at once, and does not wait.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::postgres::config::{Host, SslMode, TargetSessionAttrs};
use ::postgres::{Config, NoTls};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use strongroom_model::Secret;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Result;
use crate::database::failed;
use crate::database::postgres::Session;
use crate::database::postgres::bare::{Prepared, told};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a peer may be silent before it is taken for gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(15);

/// The first and the longest pause after a server could not be reached.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Holds the lock of those who write, so that it must never stand still.
    Writer,
    /// Holds nothing that others need.
    Reader,
}

impl Role {
    /// What its connection begins with. A database may have been told to answer before a commit is
    /// durable; ours are not.
    fn settings(self) -> &'static str {
        match self {
            Self::Writer => {
                "SET statement_timeout = '60s';
                 SET idle_in_transaction_session_timeout = '15s';
                 SELECT set_config('synchronous_commit', 'on', false)
                     WHERE current_setting('synchronous_commit') = 'off'"
            }
            Self::Reader => {
                "SET statement_timeout = '5min';
                 SET idle_in_transaction_session_timeout = '5min'"
            }
        }
    }
}

/// Where the server is, and whether it could be reached.
pub(super) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    trouble: Mutex<Option<Trouble>>,
}

/// The server could not be reached.
struct Trouble {
    reason: String,
    pause: Duration,
    until: Instant,
}

impl Server {
    /// Reads a URL; see [`Postgres::open`](super::Postgres::open).
    pub(super) fn parse(url: &Secret, authorities: Option<&Path>) -> Result<Self> {
        let mut config: Config = url.expose().parse().map_err(|_| {
            let form = "It is no URL of the form postgres://user:password@host:port/database";
            failed("read the URL of PostgreSQL", form)
        })?;
        config
            .connect_timeout(CONNECT_LIMIT)
            .tcp_user_timeout(SILENCE_LIMIT)
            .keepalives_idle(SILENCE_LIMIT)
            .keepalives_interval(SILENCE_LIMIT / 3)
            .keepalives_retries(3)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("strongroom-vault");
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(tls(authorities)?),
            _ if authorities.is_some() => {
                let reason = "There is a file of authorities, and the URL lacks sslmode=require";
                return Err(failed("read the URL of PostgreSQL", reason));
            }
            _ => None,
        };
        Ok(Self {
            config,
            tls,
            trouble: Mutex::new(None),
        })
    }

    /// Makes a connection, unless that failed a moment ago.
    pub(super) fn connect(&self, role: Role) -> Result<Session> {
        const ACTION: &str = "reach PostgreSQL";
        if let Some(trouble) = &*self.trouble.lock()
            && Instant::now() < trouble.until
        {
            return Err(failed(ACTION, &trouble.reason));
        }
        let outcome = self.try_connect(role);
        let mut trouble = self.trouble.lock();
        outcome.inspect(|_| *trouble = None).map_err(|error| {
            let reason = told(&error);
            let now = Instant::now();
            let pause = match &*trouble {
                None => PAUSES.0,
                // Another thread has just found the same.
                Some(known) if now < known.until => known.pause,
                Some(known) => (known.pause * 2).min(PAUSES.1),
            };
            *trouble = Some(Trouble {
                reason: reason.clone(),
                pause,
                until: now + pause,
            });
            failed(ACTION, reason)
        })
    }

    fn try_connect(&self, role: Role) -> Result<Session, ::postgres::Error> {
        let mut client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone())?,
            None => self.config.connect(NoTls)?,
        };
        client.batch_execute(role.settings())?;
        Ok(Session {
            client,
            prepared: Prepared::default(),
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        f.debug_struct("Server")
            .field("hosts", &hosts.collect::<Vec<_>>())
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

/// TLS that believes these authorities, or those that browsers trust.
fn tls(authorities: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let action = format!("read the authorities in {}", path.display());
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(&action, error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(&action, error))?;
                roots
                    .add(certificate)
                    .map_err(|error| failed(&action, error))?;
            }
            if roots.is_empty() {
                return Err(failed(&action, "There is no certificate in it"));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("set up TLS", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
