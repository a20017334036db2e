//! A real vault for a trial: in this process, on loopback, for as long as the trial runs.
//!
//! It is put together from the same parts as `strongroom-vault serve`, and its folder can be served
//! by that program afterwards. Nothing of it goes on when the trial ends, however it ends.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use strongroom_model::Secret;
use strongroom_vault::admin_token;
use strongroom_vault::config::{FILE_NAME, VaultConfig};
use strongroom_vault::http::api::Parts;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::{
    Answering, Api, Blocking, Handler, HttpMetrics, Peer, Request, Rest, Serving, Stopper, bind,
    serve, simple,
};
use strongroom_vault::opening::{self, ServingLock};
use strongroom_vault::people::Who;
use strongroom_vault::publication::Publisher;
use strongroom_vault::rules::right::Right;
use strongroom_vault::runs_in::Whereabouts;
use strongroom_vault::vault::{Channels, NewToken};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::error::{Error, Result};

/// The repository of the trial.
pub(super) const REPOSITORY: &str = "tried";

/// How often what was done is published in the vault's log.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// What the vault is told: little room is kept free, since a trial may be on a small disk.
const CONFIGURATION: &str = "# Made by strongroom try.\nreserve = \"1MiB\"\n";

/// A vault that serves until this is dropped.
pub(super) struct TrialVault {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What may put files there, and never delete.
    pub(super) token: Secret,
    /// Its configuration.
    pub(super) config: PathBuf,
    stopper: Stopper,
    serving: Option<JoinHandle<strongroom_vault::Result<()>>>,
    runtime: Option<Runtime>,
    _lock: Option<ServingLock>,
}

/// Answers restic's protocol, and what a vault tells beside it.
#[derive(Debug)]
struct Pages {
    rest: Rest,
    api: Api,
}

impl TrialVault {
    /// Makes a vault in a folder, with a token that may append, and serves it on a free port.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let making = || Error::local(format!("make the vault {}", folder.display()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .map_err(making())?;
        let config = folder.join(FILE_NAME);
        super::area::write(&config, CONFIGURATION.as_bytes())?;
        let found = VaultConfig::open(&config, &|_| None)?;
        let lock = opening::lock(&found)?;
        let (vault, storage) = opening::open_with_storage(&found, &|_| ())?;
        let token = vault.create_token(
            Who::Folder,
            &NewToken {
                right: Right::Append,
                prefix: REPOSITORY.parse().map_err(strongroom_engine::Error::from)?,
                expires_in_ms: None,
                daily_bytes: None,
                daily_objects: None,
            },
        )?;
        vault.begin_serving(Some(&found.told()))?;
        let publisher = Publisher::open(vault.clone(), storage.log, &found.data.join("keys"))?;
        let publisher = Arc::new(publisher);
        publisher.publish()?;
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(making())?;
        let (stopper, stop) = Stopper::new();
        let blocking = Blocking::new(found.limits.requests);
        let rest = Rest::new(
            vault.clone(),
            publisher.published(),
            blocking.clone(),
            found.limits.clone(),
        );
        let api = Api::new(Parts {
            vault: vault.clone(),
            rest: rest.clone(),
            publisher: Arc::clone(&publisher),
            blocking: blocking.clone(),
            limits: found.limits.clone(),
            spool: found.data.clone(),
            runs_in: Whereabouts::declared(None),
            verify_every_ms: found.verify_every.milliseconds(),
            channels: Channels::of(&found.notify),
            admin_token: admin_token::open(&found.data.join("keys"))?,
        });
        let pages = Pages { rest, api };
        let serving = Serving {
            limits: found.limits,
            certificates: None,
            metrics: Arc::new(HttpMetrics::new(&Metrics::new())),
        };
        let mut ending = stop.clone();
        let listener = {
            let _entered = runtime.enter();
            bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?
        };
        let address = listener.local_addr().map_err(making())?;
        let serving = runtime.spawn(async move {
            let published = tokio::spawn(async move {
                let mut tick = interval(PUBLISH_EVERY);
                let mut goes_on = true;
                while goes_on {
                    tokio::select! {
                        () = ending.wait() => goes_on = false,
                        _ = tick.tick() => {}
                    }
                    let (vault, publisher) = (vault.clone(), Arc::clone(&publisher));
                    let done = blocking.run(move || {
                        vault.tick()?;
                        publisher.publish()
                    });
                    if let Err(error) = done.await {
                        tracing::warn!(%error, "The log of the trial's vault is not published");
                    }
                }
            });
            serve(serving, vec![listener], Arc::new(pages), stop).await?;
            // The last leaves are published before it ends.
            let _ = published.await;
            Ok(())
        });
        Ok(Self {
            address,
            token: Secret::new(token.reveal()),
            config,
            stopper,
            serving: Some(serving),
            runtime: Some(runtime),
            _lock: lock,
        })
    }

    /// The address of the repository, with its token, as a configuration writes it.
    pub(super) fn store(&self) -> String {
        format!(
            "rest:http://try:{}@{}/{REPOSITORY}/",
            self.token.expose(),
            self.address
        )
    }
}

impl Drop for TrialVault {
    fn drop(&mut self) {
        self.stopper.stop();
        if let (Some(runtime), Some(serving)) = (self.runtime.take(), self.serving.take()) {
            // Whatever came of it, the trial ends here, and the vault with it.
            let _ = runtime.block_on(serving);
            runtime.shutdown_background();
        }
    }
}

impl Handler for Pages {
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static> {
        Box::pin(async move {
            let request = match self.api.answer(request, &peer).await {
                Ok(response) => return response,
                Err(request) => *request,
            };
            let answer = self.rest.answer(request, &peer).await;
            answer.unwrap_or_else(|| simple(StatusCode::NOT_FOUND, "There is nothing here"))
        })
    }
}
