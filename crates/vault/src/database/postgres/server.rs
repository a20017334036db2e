//! Connecting to a PostgreSQL server, waiting for its answers, and not hammering at one that is
//! away.
//!
//! What can go wrong:
//! - A URL has a password in it, so nothing here prints it or repeats what a parser says of it.
//! - A server that is away is asked again by a thread of ours, after a while that grows; until it
//!   answers, whoever needs it is told at once, and does not wait.
//! - A server, or the way to it, stands still with all connections open. Nothing breaks then, and
//!   an answer that takes long looks the same. So where nothing was heard of it for a while, it is
//!   greeted on a new connection, as a guest who knows nothing of what it is busy with: where that
//!   is not answered either, it counts as away, and all that wait for it give up.

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use strongroom_model::Secret;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Result;
use crate::database::failed;
use crate::database::guarded::Fault;
use crate::database::postgres::bare::{Prepared, fault};
use crate::database::postgres::connection::{Connection, Session};

/// What fails where the server is away.
const REACH: &str = "reach PostgreSQL";

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a peer may be silent before it is taken for gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(15);

/// The first and the longest pause after a server could not be reached.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long an answer may take beyond the time that the server itself gives a statement.
const LATE: Duration = Duration::from_secs(15);

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
    pub(super) fn settings(self) -> &'static str {
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

    /// How long an answer may take, whatever else is heard of the server.
    pub(super) fn limit(self) -> Duration {
        let statement = match self {
            Self::Writer => Duration::from_secs(60),
            Self::Reader => Duration::from_secs(5 * 60),
        };
        statement + LATE
    }
}

/// Where the server is, and whether it could be reached.
pub(super) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// After so long without a word it counts as away.
    patience: Duration,
    /// Why it counts as away; a thread asks it again until it answers.
    trouble: Mutex<Option<Trouble>>,
    /// When it was last heard of.
    heard: Mutex<Instant>,
    /// Whether somebody greets it, because nothing is heard of it.
    is_greeted: AtomicBool,
}

/// Why a server counts as away.
struct Trouble {
    reason: String,
    /// It says nothing on any connection. Else it takes no new ones, and those that are open may
    /// go on: it may be full.
    is_silent: bool,
}

impl Server {
    /// Reads a URL; see [`Postgres::open`](super::Postgres::open).
    pub(super) fn parse(
        url: &Secret,
        authorities: Option<&Path>,
        patience: Duration,
    ) -> Result<Arc<Self>> {
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
        Ok(Arc::new(Self {
            config,
            tls,
            patience,
            trouble: Mutex::new(None),
            heard: Mutex::new(Instant::now()),
            is_greeted: AtomicBool::new(false),
        }))
    }

    /// Makes a connection, unless the server counts as away.
    pub(super) fn connect(self: &Arc<Self>, role: Role) -> Result<Session> {
        if let Some(trouble) = &*self.trouble.lock() {
            return Err(failed(REACH, &trouble.reason));
        }
        match Connection::open(self, role) {
            Ok(connection) => Ok(Session {
                connection,
                prepared: Prepared::default(),
            }),
            Err(fault) => {
                self.is_away(&fault.reason, false);
                Err(fault.into_error(REACH))
            }
        }
    }

    /// Fails where the server says nothing, on connections that are open as little as on new ones.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.trouble.lock() {
            Some(trouble) if trouble.is_silent => Err(failed(REACH, &trouble.reason)),
            _ => Ok(()),
        }
    }

    /// Waits for an answer; `None` where the server counts as away meanwhile, or the answer took
    /// longer than `limit`.
    pub(super) async fn wait<T>(
        self: &Arc<Self>,
        limit: Duration,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Option<Result<T, tokio_postgres::Error>> {
        let mut answer = pin!(answer);
        let began = Instant::now();
        loop {
            if let Ok(answer) = timeout(self.patience / 10, answer.as_mut()).await {
                if answer.as_ref().err().is_none_or(is_answer) {
                    *self.heard.lock() = Instant::now();
                }
                return Some(answer);
            }
            if began.elapsed() >= limit || self.is_silent(began).await {
                return None;
            }
        }
    }

    /// Whether nothing is heard of the server, though somebody has waited for it since a while and
    /// it was greeted.
    async fn is_silent(self: &Arc<Self>, since: Instant) -> bool {
        if self.check().is_err() {
            return true;
        }
        let last = since.max(*self.heard.lock());
        // The other half of the patience is for the greeting.
        if last.elapsed() < self.patience / 2 || self.is_greeted.swap(true, Ordering::AcqRel) {
            return false;
        }
        let greeted = self.greet("SELECT 1").await;
        self.is_greeted.store(false, Ordering::Release);
        match greeted {
            Ok(_) => false,
            Err(fault) => {
                let reason = self.silence();
                tracing::error!(
                    reason,
                    greeting = fault.reason,
                    "PostgreSQL does not answer"
                );
                self.is_away(&reason, true);
                true
            }
        }
    }

    /// What is told of a server that is silent.
    pub(super) fn silence(&self) -> String {
        let seconds = self.patience.as_secs_f64().ceil();
        format!("The server has said nothing for {seconds} s")
    }

    /// Connects and says something, within a time. An error of the server is an answer too.
    pub(super) async fn greet(&self, words: &str) -> Result<(Client, JoinHandle<()>), Fault> {
        let greeted = timeout(self.patience / 2, self.try_greet(words)).await;
        let Ok(greeted) = greeted else {
            return Err(Fault {
                reason: self.silence(),
                is_passing: true,
            });
        };
        if greeted.as_ref().err().is_none_or(is_answer) {
            *self.heard.lock() = Instant::now();
        }
        greeted.map_err(|error| Fault {
            is_passing: true,
            ..fault(&error)
        })
    }

    async fn try_greet(
        &self,
        words: &str,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        // An error of the connection is told to whoever waits for an answer.
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        client.batch_execute(words).await?;
        Ok((client, driver))
    }

    /// Notes that the server is away, and has it asked again until it answers.
    fn is_away(self: &Arc<Self>, reason: &str, is_silent: bool) {
        let mut trouble = self.trouble.lock();
        if let Some(known) = &mut *trouble {
            // It is asked already.
            if is_silent {
                known.is_silent = true;
                known.reason = reason.to_owned();
            }
            return;
        }
        let server = Arc::downgrade(self);
        let asking = thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || ask_again(&server));
        match asking {
            Ok(_) => {
                *trouble = Some(Trouble {
                    reason: reason.to_owned(),
                    is_silent,
                });
            }
            // Then whoever comes next asks for himself.
            Err(error) => tracing::error!(%error, "There is no thread to look for PostgreSQL"),
        }
    }

    /// Whether the server answers again.
    fn is_back(&self) -> bool {
        let greeted = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
            .and_then(|runtime| {
                let greeted = runtime.block_on(self.greet("SELECT 1"));
                greeted.map(drop).map_err(|fault| fault.reason)
            });
        let mut trouble = self.trouble.lock();
        match greeted {
            Ok(()) => *trouble = None,
            Err(reason) => {
                if let Some(known) = &mut *trouble {
                    known.reason = reason;
                }
            }
        }
        trouble.is_none()
    }
}

/// Asks a server that is away until it answers, or nobody needs it any more.
fn ask_again(server: &Weak<Server>) {
    let mut pause = PAUSES.0;
    loop {
        thread::park_timeout(pause);
        let Some(server) = server.upgrade() else {
            return;
        };
        if server.is_back() {
            tracing::info!("PostgreSQL answers again");
            return;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Whether an error is a word of the server, and not that nothing came of it.
fn is_answer(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some()
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
