//! `strongroom-vault serve`: the server, from its configuration to its end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use jiff::Timestamp;
use sd_notify::NotifyState;
use strongroom_model::Secret;
use strongroom_vault::config::{PublicUrl, VaultConfig};
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::state::Beside;
use strongroom_vault::http::tls::{Names, make_own};
use strongroom_vault::http::{
    Answering, Blocking, Certificates, Handler, HttpMetrics, Peer, Request, Rest, Serving, Stop,
    Stopper, VaultState, WitnessPage, bind, health, serve, simple, witness,
};
use strongroom_vault::publication::{Publisher, witness_signer};
use strongroom_vault::{Error, Result, Vault, logging, opening};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

use crate::command::upkeep::{Scrubber, Watch};

/// How often it is looked whether the certificate was renewed.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(5);

/// How often what was committed is published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// How often the vault's clock is moved on.
const TICK_EVERY: Duration = Duration::from_secs(5);

/// After how many ticks old locks are dropped and a share of what is due is purged.
const TICKS_BETWEEN_JOBS: u64 = 12;

/// After how many ticks what is left of broken uploads is removed: a day; and how old that is.
const TICKS_BETWEEN_SWEEPS: u64 = 24 * 3_600 / 5;
const BROKEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// After how many publications it is looked whether the log's files are what was written.
const PUBLICATIONS_BETWEEN_LOOKS: u64 = 5;

/// The longest line that is a token.
const LONGEST_TOKEN_BYTES: usize = 4096;

/// Serve until SIGTERM or SIGINT
///
/// Requests that are under way then get the time that is configured to finish.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration, as init has made it
    #[arg(long, value_name = "PATH")]
    config: PathBuf,
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
    vault: Vault,
    state: Arc<VaultState>,
    witness: Option<WitnessPage>,
}

/// What has to be done from time to time, and what it needs.
#[derive(Debug)]
struct Jobs {
    vault: Vault,
    blocking: Blocking,
    metrics: Arc<Metrics>,
    state: Arc<VaultState>,
    publisher: Arc<Publisher>,
    watch: Watch,
    verify_every_ms: i64,
}

impl Args {
    pub(crate) fn run(&self) -> Result<()> {
        let config = VaultConfig::open(&self.config, &|name| std::env::var(name).ok())?;
        logging::start(config.log_level);
        for warning in &config.warnings {
            tracing::warn!(line = warning.line, "{}; {}", warning.message, warning.hint);
        }
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime: Runtime = runtime.map_err(Error::local("start threads"))?;
        let served = runtime.block_on(self.serve(&config));
        // What still blocks is not waited for: it was given its time.
        runtime.shutdown_background();
        served
    }

    async fn serve(&self, config: &VaultConfig) -> Result<()> {
        let (stopper, stop) = Stopper::new();
        stop_on_signals(stopper)?;
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
        let metrics = Arc::new(Metrics::new());
        let serving = Serving {
            limits: config.limits.clone(),
            certificates: certificates.clone(),
            metrics: Arc::new(HttpMetrics::new(&metrics)),
        };
        let _lock = opening::lock(config)?;
        let vault = opening::open(config)?;
        vault.begin_serving()?;
        let blocking = Blocking::new(config.limits.requests);
        let publisher = Publisher::open(vault.clone(), &config.data, vault.origin())?;
        publisher.publish()?;
        let log = publisher.published();
        let state = Arc::new(VaultState::new(&metrics));
        // The first answer of /readyz is true.
        state.look(&vault, &metrics, &Beside::new(0, Vec::new()));
        let limits = config.limits.clone();
        let rest = Rest::new(vault.clone(), log, blocking.clone(), limits);
        let token = config.metrics_token_file.as_deref();
        let token = token.map(read_token).transpose()?;
        let listeners = listen
            .iter()
            .map(|address| bind(*address))
            .collect::<Result<Vec<_>>>()?;
        tell_where(&listeners, certificates.as_deref())?;
        if let Some(certificates) = certificates {
            tokio::spawn(certificates.keep_fresh(CERTIFICATE_EVERY, stop.clone()));
        }
        tokio::spawn(notify_systemd(stop.clone()));
        let publisher = Arc::new(publisher);
        let publishing = keep_publishing(Arc::clone(&publisher), blocking.clone(), stop.clone());
        let publishing = tokio::spawn(publishing);
        let watch = Watch::begin(&config.witnesses, &publisher, &stop)?;
        let jobs = Jobs {
            vault: vault.clone(),
            blocking: blocking.clone(),
            metrics: Arc::clone(&metrics),
            state: Arc::clone(&state),
            publisher: Arc::clone(&publisher),
            watch,
            verify_every_ms: i64::try_from(config.verify_every.duration().as_millis())
                .unwrap_or(i64::MAX),
        };
        let jobs = tokio::spawn(run_jobs(jobs, stop.clone()));
        let witness = witness_page(config, &vault, &blocking)?;
        let pages = Arc::new(Pages {
            metrics,
            token,
            rest,
            vault: vault.clone(),
            state,
            witness,
        });
        serve(serving, listeners, pages, stop).await?;
        // A job that is under way is finished, and the last leaves are published.
        let _ = jobs.await;
        let _ = publishing.await;
        let told = blocking.run(move || {
            vault.tell_refusals(true)?;
            publisher.publish()
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "The last leaves are not published");
        }
        tracing::info!("Stopped");
        Ok(())
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
                    Some(page) => page.answer(request).await,
                    None => simple(StatusCode::NOT_FOUND, "No log is cosigned here"),
                },
                _ => {
                    let answer = self.rest.answer(request, &peer).await;
                    answer.unwrap_or_else(|| simple(StatusCode::NOT_FOUND, "There is nothing here"))
                }
            }
        })
    }
}

/// Does what has to be done from time to time, until `stop`.
async fn run_jobs(jobs: Jobs, mut stop: Stop) {
    let mut tick = interval(TICK_EVERY);
    let mut ticks = 0_u64;
    let scrubber = Scrubber::default();
    loop {
        tokio::select! {
            () = stop.wait() => break,
            _ = tick.tick() => {}
        }
        let vault = jobs.vault.clone();
        let is_due = ticks.is_multiple_of(TICKS_BETWEEN_JOBS);
        let sweeps = ticks.is_multiple_of(TICKS_BETWEEN_SWEEPS);
        ticks += 1;
        #[expect(clippy::disallowed_methods, reason = "the edge at which time comes in")]
        let broken = SystemTime::now().checked_sub(BROKEN_AFTER);
        let done = jobs.blocking.run(move || {
            vault.tick()?;
            vault.tell_refusals(false)?;
            if is_due {
                vault.drop_old_locks()?;
                vault.purge()?;
            }
            if let Some(broken) = broken.filter(|_| sweeps) {
                vault.sweep(broken)?;
            }
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::error!(error = &error as &dyn std::error::Error, "A job failed");
        }
        scrubber.begin(&jobs.vault, jobs.verify_every_ms, &jobs.state);
        let (vault, metrics) = (jobs.vault.clone(), Arc::clone(&jobs.metrics));
        let state = Arc::clone(&jobs.state);
        let beside = Beside::new(jobs.publisher.behind_ms(), jobs.watch.status());
        let looked = jobs.blocking.run(move || {
            state.look(&vault, &metrics, &beside);
            Ok(())
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "The vault cannot be watched");
        }
    }
    scrubber.end().await;
}

/// Publishes the log, a second behind at most, and once more after `stop`.
async fn keep_publishing(publisher: Arc<Publisher>, blocking: Blocking, mut stop: Stop) {
    let mut tick = interval(PUBLISH_EVERY);
    let mut goes_on = true;
    let mut ticks = 0_u64;
    while goes_on {
        tokio::select! {
            () = stop.wait() => goes_on = false,
            _ = tick.tick() => {}
        }
        let looks_back = ticks.is_multiple_of(PUBLICATIONS_BETWEEN_LOOKS);
        ticks += 1;
        let publisher = Arc::clone(&publisher);
        let published = blocking.run(move || {
            publisher.publish()?;
            if looks_back {
                publisher.look_back()?;
            }
            Ok(())
        });
        if let Err(error) = published.await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "The log is not published"
            );
        }
    }
}

/// The page on which the logs of others are cosigned, where any are.
fn witness_page(
    config: &VaultConfig,
    vault: &Vault,
    blocking: &Blocking,
) -> Result<Option<WitnessPage>> {
    if config.witness_for.is_empty() {
        return Ok(None);
    }
    let signer = witness_signer(&config.data, &opening::host(config))?;
    let logs = config.witness_for.clone();
    Ok(Some(WitnessPage::new(
        vault.clone(),
        blocking.clone(),
        signer,
        logs,
    )))
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

fn tell_of_passkeys(config: &VaultConfig) {
    let problem = match &config.public_url {
        Some(url) => url.passkey_problem(config.tls.is_none()),
        None => Some(PublicUrl::missing()),
    };
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
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

fn stop_on_signals(stopper: Stopper) -> Result<()> {
    let listen = |kind| signal(kind).map_err(Error::local("listen for signals"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("Stopping: requests under way are finished");
        stopper.stop();
        // A second one must end the program, as it does everywhere.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}

/// Tells systemd that the vault is there, that it still lives, and that it stops; where no systemd
/// asks for it nothing is told.
async fn notify_systemd(mut stop: Stop) {
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
            loop {
                tokio::select! {
                    () = stop.wait() => break,
                    _ = tick.tick() => notify(NotifyState::Watchdog),
                }
            }
        }
    }
    notify(NotifyState::Stopping);
}
