//! `strongroom-vault serve`: the server, from its configuration to its end.
//!
//! What blocks (the database, the storage) is opened before anything runs on the runtime but what
//! listens for signals, and closed after it: both wait by themselves, which nothing may do that runs
//! on one.

mod asking;
mod beginning;
mod ending;
mod jobs;
mod waiting;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use jiff::Timestamp;
use sd_notify::NotifyState;
use strongroom_ledger::Signer;
use strongroom_model::Secret;
use strongroom_store::place::account::Metadata;
use strongroom_vault::config::{PublicUrl, StorageConfig, VaultConfig};
use strongroom_vault::doctor::own_certificate;
use strongroom_vault::http::api::Parts;
use strongroom_vault::http::console::Parts as ConsoleParts;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::standings::Standings;
use strongroom_vault::http::tls::{Names, make_own};
use strongroom_vault::http::{
    Answering, Api, Blocking, Certificates, Console, Forward, Handler, HttpMetrics, Peer, Request,
    Rest, Serving, Stop, Stopper, VaultState, WitnessPage, bind, health, serve, simple, witness,
};
use strongroom_vault::notify::Teller;
use strongroom_vault::opening::PATIENCE;
use strongroom_vault::publication::{Publisher, Witnesses, witness_signer};
use strongroom_vault::runs_in::Whereabouts;
use strongroom_vault::vault::Channels;
use strongroom_vault::{Error, Result, Vault, admin_token, logging, notify, opening};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::interval;

use self::asking::{AskStorage, Asking};
use self::beginning::Late;
use self::ending::stop_on_signals;
use self::jobs::Jobs;
use self::waiting::Waiting;
use crate::command::Which;

/// How often it is looked whether the certificate was renewed.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(5);

/// More threads than there are places for works and for lists, whatever `requests` says: the places
/// bound them, and the jobs must never wait for a thread while works hang.
const MOST_THREADS: usize = 200_000;

/// The longest line that is a token.
const LONGEST_TOKEN_BYTES: usize = 4096;

/// Serve until SIGTERM or SIGINT
///
/// Requests that are under way then get the time that is configured to finish.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Listen here and not where the configuration says; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Speak plain HTTP; on loopback addresses only
    #[arg(long)]
    no_tls: bool,
}

/// Answers everything.
#[derive(Debug)]
struct Pages {
    metrics: Arc<Metrics>,
    token: Option<Secret>,
    rest: Rest,
    api: Api,
    console: Console,
    forward: Forward,
    vault: Vault,
    state: Arc<VaultState>,
    witness: Option<WitnessPage>,
}

/// What is served, and published.
struct Opened {
    vault: Vault,
    publisher: Arc<Publisher>,
    /// What the storage had no answer to yet.
    late: Option<Late>,
    witnesses: Arc<Witnesses>,
    /// What this vault cosigns the logs of others with, where it does.
    cosigner: Option<Arc<Signer>>,
    metrics: Arc<Metrics>,
    state: Arc<VaultState>,
    /// Tells people.
    teller: Teller,
}

/// What a start goes on with while it begins to serve.
struct Start {
    late: Option<Late>,
    waiting: Waiting,
    stopper: Arc<Stopper>,
    stop: Stop,
}

impl Opened {
    /// Opens it. `is_alone` where no other process may serve, so that whoever held leases is dead.
    fn open(config: &VaultConfig, is_alone: bool, waiting: &Waiting) -> Result<Self> {
        let opened = opening::open_with_storage(config, &|step| waiting.at(step));
        let (vault, storage) = opened?;
        if is_alone {
            vault.end_leases_of_the_dead()?;
        }
        let keys = config.data.join("keys");
        waiting.at_path("the keys in", &keys);
        let publisher = Arc::new(Publisher::open(vault.clone(), storage.log, &keys)?);
        // From here on the storage is waited for with patience.
        waiting.at(None);
        let patience = match storage.is_silent {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        let until = Instant::now() + patience;
        // Before anything is told of a start. A storage that has not answered by then is let alone
        // until it has; what is told is in the database, and published where the log is ours.
        let late = beginning::look(&vault, &publisher, until)?;
        if is_alone && !vault.is_storage_doubted() {
            beginning::sweep(&vault);
        }
        vault.tell_start(Some(&config.told()))?;
        if late.is_none() {
            beginning::publish(&publisher, until)?;
        }
        let witnesses = Arc::new(Witnesses::new(&config.witnesses)?);
        let cosigner = match config.witness_for.is_empty() {
            true => None,
            false => {
                let signer = witness_signer(&vault, &keys, &opening::host(config))?;
                Some(Arc::new(signer))
            }
        };
        let host = opening::host(config);
        let channels = notify::open_all(&config.notify, &host)?;
        let teller = Teller::new(vault.clone(), channels, host);
        let metrics = Arc::new(Metrics::new());
        let state = Arc::new(VaultState::new(&metrics));
        // The first answer of /readyz is true.
        beginning::try_storage(&state, &vault, until)?;
        state.look(&vault, &metrics, publisher.behind_ms());
        Ok(Self {
            vault,
            publisher,
            late,
            witnesses,
            cosigner,
            metrics,
            state,
            teller,
        })
    }
}

impl Args {
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = Builder::new_multi_thread()
            .max_blocking_threads(MOST_THREADS)
            .enable_all()
            .build();
        let runtime: Runtime = runtime.map_err(Error::local("start threads"))?;
        let (stopper, stop) = Stopper::new();
        let stopper = Arc::new(stopper);
        let waiting = Waiting::begin()?;
        let listening = runtime.enter();
        stop_on_signals(Arc::clone(&stopper), waiting.is_over())?;
        drop(listening);
        waiting.at_path("the configuration", &self.which.config);
        let config = self.which.config()?;
        logging::start(config.log_level);
        strongroom_store::raise_file_limit();
        for warning in &config.warnings {
            tracing::warn!(line = warning.line, "{}; {}", warning.message, warning.hint);
        }
        waiting.at_path("the folder", &config.data);
        let lock = opening::lock(&config)?;
        let mut opened = Opened::open(&config, lock.is_some(), &waiting)?;
        waiting.at_path("the keys and the certificate in", &config.data);
        let start = Start {
            late: opened.late.take(),
            waiting,
            stopper,
            stop,
        };
        let served = runtime.block_on(self.serve(&config, &opened, start));
        // What still blocks is not waited for: it was given its time.
        runtime.shutdown_background();
        // However it ends, others shall not wait for its leases.
        ending::leave(&opened.vault, &opened.publisher);
        logging::flush();
        served?;
        tracing::info!("Stopped");
        Ok(())
    }

    async fn serve(&self, config: &VaultConfig, opened: &Opened, start: Start) -> Result<()> {
        let Start {
            late,
            waiting,
            stopper,
            stop,
        } = start;
        let listen = if self.listen.is_empty() {
            &config.listen
        } else {
            &self.listen
        };
        let certificates = if self.no_tls {
            None
        } else {
            Some(certificates(config, listen)?)
        };
        tell_of_passkeys(config);
        if certificates.is_some() {
            tell_of_names(config, listen);
        }
        let Opened {
            vault,
            publisher,
            witnesses,
            cosigner,
            metrics,
            state,
            ..
        } = opened;
        let serving = Serving {
            limits: config.limits.clone(),
            certificates: certificates.clone(),
            metrics: Arc::new(HttpMetrics::new(metrics)),
        };
        let blocking = Blocking::new(config.limits.requests);
        let admin_token = admin_token::open(&config.data.join("keys"))?;
        let log = publisher.published();
        let limits = config.limits.clone();
        let rest = Rest::new(vault.clone(), log, blocking.clone(), limits);
        let token = config.metrics_token_file.as_deref();
        let token = token.map(read_token).transpose()?;
        let listeners = listen
            .iter()
            .map(|address| bind(*address))
            .collect::<Result<Vec<_>>>()?;
        // Whoever is told where it listens may stop it as well.
        waiting.end();
        tell_where(&listeners, certificates.as_deref())?;
        if let Some(certificates) = certificates {
            tokio::spawn(certificates.keep_fresh(CERTIFICATE_EVERY, stop.clone()));
        }
        let (watched, seen) = (vault.clone(), Arc::clone(state));
        let is_alive = move || seen.is_alive(&watched);
        tokio::spawn(notify_systemd(stop.clone(), is_alive));
        let standings = Standings::new(metrics);
        let runs_in = Whereabouts::declared(config.runs_in.clone());
        standings.set_place(runs_in.known());
        let asking = Asking {
            runs_in: runs_in.clone(),
            standings: standings.clone(),
            blocking: blocking.clone(),
            metadata: Metadata::of(&|name| std::env::var(name).ok()),
            storage: storage_to_ask(config, vault),
        };
        tokio::spawn(asking.go_on(stop.clone()));
        let api = Api::new(Parts {
            vault: vault.clone(),
            rest: rest.clone(),
            publisher: Arc::clone(publisher),
            blocking: blocking.clone(),
            limits: config.limits.clone(),
            spool: config.data.clone(),
            runs_in,
            verify_every_ms: config.verify_every.milliseconds(),
            channels: Channels::of(&config.notify),
            admin_token,
        });
        let people = Arc::new(opening::people(config, vault.clone())?);
        let jobs = Jobs {
            vault: vault.clone(),
            people: Arc::clone(&people),
            publisher: Arc::clone(publisher),
            witnesses: Arc::clone(witnesses),
            standings,
            metrics: Arc::clone(metrics),
            state: Arc::clone(state),
            verify_every_ms: config.verify_every.milliseconds(),
            teller: opened.teller.clone(),
        };
        let jobs = jobs.start(&stop);
        let late = late.map(|late| tokio::spawn(late.go_on(stop.clone(), stopper)));
        let witness = cosigner.as_ref().map(|signer| {
            let logs = config.witness_for.clone();
            WitnessPage::new(vault.clone(), blocking.clone(), Arc::clone(signer), logs)
        });
        let key = admin_token::open_forward(&config.data.join("keys"))?;
        let protect = config.protect.clone();
        let forward = Forward::new(Arc::clone(&people), protect, &key, blocking.clone())?;
        let pages = Arc::new(Pages {
            metrics: Arc::clone(metrics),
            token,
            rest,
            api,
            console: Console::new(ConsoleParts {
                people,
                publisher: Arc::clone(publisher),
                blocking,
                verify_every_ms: config.verify_every.milliseconds(),
                channels: Channels::of(&config.notify),
            }),
            forward,
            vault: vault.clone(),
            state: Arc::clone(state),
            witness,
        });
        serve(serving, listeners, pages, stop).await?;
        ending::end(vault, publisher, jobs).await;
        match late {
            Some(late) => late.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

impl Handler for Pages {
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static> {
        Box::pin(async move {
            match request.uri().path() {
                "/healthz" => health::healthz(),
                "/readyz" => self.state.readyz(&self.vault),
                "/metrics" => {
                    health::metrics(request.headers(), &peer, self.token.as_ref(), &self.metrics)
                }
                witness::PATH => match &self.witness {
                    Some(page) => page.answer(request, &peer).await,
                    None => simple(StatusCode::NOT_FOUND, "No log is cosigned here"),
                },
                _ => {
                    let request = match self.api.answer(request, &peer).await {
                        Ok(response) => return response,
                        Err(request) => *request,
                    };
                    let request = match self.forward.answer(request, &peer).await {
                        Ok(response) => return response,
                        Err(request) => *request,
                    };
                    let request = match self.console.answer(request, &peer).await {
                        Ok(response) => return response,
                        Err(request) => *request,
                    };
                    let answer = self.rest.answer(request, &peer).await;
                    answer.unwrap_or_else(|| simple(StatusCode::NOT_FOUND, "There is nothing here"))
                }
            }
        })
    }
}

/// The configured certificate, or the vault's own.
fn certificates(config: &VaultConfig, listen: &[SocketAddr]) -> Result<Arc<Certificates>> {
    if let Some(files) = &config.tls {
        return Certificates::open(files.clone());
    }
    let addresses = listen.iter().map(SocketAddr::ip);
    let names = Names {
        hosts: config.public_url.iter().map(PublicUrl::host).collect(),
        addresses: addresses.filter(|ip| !ip.is_unspecified()).collect(),
    };
    #[expect(clippy::disallowed_methods, reason = "the edge at which time comes in")]
    let now = Timestamp::now();
    let (files, is_new) = make_own(&config.data.join("keys"), &names, now)?;
    let certificates = Certificates::open(files)?;
    if is_new {
        let fingerprint = certificates.fingerprint();
        tracing::info!(%fingerprint, "The vault has made its own certificate");
    }
    Ok(certificates)
}

/// What is asked in whose account the objects lie; a folder has none.
fn storage_to_ask(config: &VaultConfig, vault: &Vault) -> Option<AskStorage> {
    match config.storage {
        StorageConfig::Folder(_) => None,
        StorageConfig::Bucket(_) => {
            let vault = vault.clone();
            Some(Arc::new(move || vault.ask_whose_objects()))
        }
    }
}

fn tell_of_passkeys(config: &VaultConfig) {
    let problem = match &config.public_url {
        Some(url) => url.passkey_problem(config.tls.is_none()),
        None => Some(PublicUrl::missing()),
    };
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

fn tell_of_names(config: &VaultConfig, listen: &[SocketAddr]) {
    if let Some(line) = own_certificate(config, listen) {
        let next = line.next.unwrap_or_default();
        tracing::warn!("{}; {next}", line.found);
    }
}

fn tell_where(listeners: &[TcpListener], certificates: Option<&Certificates>) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut tell = || -> io::Result<()> {
        let scheme = if certificates.is_some() {
            "https"
        } else {
            "http"
        };
        for listener in listeners {
            let address = listener.local_addr()?;
            tracing::info!(%address, scheme, "Listening");
            writeln!(out, "Listening on {scheme}://{address}")?;
        }
        if let Some(certificates) = certificates {
            writeln!(
                out,
                "SHA-256 of the certificate: {}",
                certificates.fingerprint()
            )?;
        }
        out.flush()
    };
    tell().map_err(Error::local("write to standard output"))
}

fn read_token(path: &std::path::Path) -> Result<Secret> {
    let failed = || format!("read the token in {}", path.display());
    let text = std::fs::read_to_string(path).map_err(Error::local(failed()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() || token.len() > LONGEST_TOKEN_BYTES {
        return Err(Error::local(failed())(io::ErrorKind::InvalidData.into()));
    }
    Ok(Secret::new(token))
}

/// Tells systemd that the vault is there, that it still lives, and that it stops; where no systemd
/// asks for it nothing is told. That this runs proves nothing: the vault lives while its jobs look
/// at it.
async fn notify_systemd(mut stop: Stop, is_alive: impl Fn() -> bool + Send + 'static) {
    let notify = |state| {
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!(%error, "systemd cannot be told");
        }
    };
    notify(NotifyState::Ready);
    let every = sd_notify::watchdog_enabled().map(|limit| limit / 3);
    match every.filter(|every| !every.is_zero()) {
        None => stop.wait().await,
        Some(every) => {
            let mut tick = interval(every);
            while stop.wait_or(tick.tick()).await.is_some() {
                match is_alive() {
                    true => notify(NotifyState::Watchdog),
                    false => tracing::error!("The vault's jobs stand still"),
                }
            }
        }
    }
    notify(NotifyState::Stopping);
}
