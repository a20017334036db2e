//! One bucket: the runtime that waits for it, the client that asks it, and what its answers mean.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Builder as ConfigBuilder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use tokio::runtime::{Handle, Runtime};
use tokio::time::sleep;

use crate::clock::ServerClock;
use crate::rest::{INTERRUPTED_WAIT, Retries, SLICE, Timeouts};
use crate::s3::fault::{Failure, Interrupted};
use crate::s3::options::S3Options;
use crate::s3::part::{PART_BYTES, Waiting};
use crate::s3::prompt::prompt;
use crate::s3::tls::{encrypted, trusting};
use crate::{Error, Result};

/// Enough to move bytes; whoever calls does the rest in his own thread.
const WORKERS: usize = 2;

/// What everything that belongs to a bucket shares.
pub(super) struct Bucket {
    pub(super) client: Client,
    /// Who says with which account it asks.
    pub(super) identity: Option<SharedCredentialsProvider>,
    /// The same, that tries nothing twice.
    pub(super) once: Client,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) timeouts: Timeouts,
    pub(super) retries: Retries,
    /// Where a new bucket has to be, if that has to be said.
    pub(super) constraint: Option<String>,
    /// The region, at Amazon.
    pub(super) region: Option<String>,
    /// The server, where it is not Amazon's.
    pub(super) endpoint: Option<String>,
    /// What waits to be sent.
    pub(super) waiting: Waiting,
    /// The server's own time.
    pub(super) clock: ServerClock,
    /// Set from outside to end all waiting.
    cancelled: Arc<AtomicBool>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Bucket {
    /// Finds out how to reach it; the bucket itself is not asked.
    pub(super) fn connect(options: S3Options) -> Result<Self> {
        options.check()?;
        let location = options.location();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|source| Error::Io {
                location: location.clone(),
                action: "start the threads that wait for it".to_owned(),
                source,
            })?;
        let clock = ServerClock::default();
        let (client, region, identity) = runtime.block_on(client(&options, &clock))?;
        let region = Some(region).filter(|_| options.endpoint.is_none());
        let once = client.config().to_builder();
        let once = Client::from_conf(once.retry_config(RetryConfig::disabled()).build());
        Ok(Self {
            client,
            identity,
            once,
            constraint: region.clone().filter(|region| region != FIRST_REGION),
            region,
            endpoint: options.endpoint.map(|endpoint| {
                let endpoint = endpoint.as_str();
                endpoint.trim_end_matches('/').to_owned()
            }),
            waiting: Waiting::new(options.spool, options.spool_reserve_bytes),
            name: options.bucket,
            prefix: options.prefix,
            location,
            clock,
            timeouts: options.timeouts,
            retries: options.retries,
            cancelled: options.cancelled,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Waits for an answer.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.handle.block_on(answer)
    }

    /// Waits for the answer to a request; after an interruption a moment and no more, so that what
    /// is almost there comes to its end, and whoever ends cleanly can still ask.
    pub(super) fn answer<T, E>(
        &self,
        request: impl Future<Output = Result<T, Failure<E>>>,
    ) -> Result<T, Box<Failure<E>>> {
        match self.wait_unless_interrupted(request) {
            Some(answer) => answer.map_err(Box::new),
            None => Err(Box::new(Failure::timeout_error(Interrupted))),
        }
    }

    /// As [`Bucket::answer`], for anything; `None` where an interruption ended it.
    pub(super) fn wait_unless_interrupted<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        self.wait(async {
            tokio::select! {
                answer = answer => Some(answer),
                () = interruption(&self.cancelled) => None,
            }
        })
    }

    /// Whether somebody interrupted.
    pub(super) fn is_interrupted(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// What all keys begin with, with the slash behind it.
    pub(super) fn folder(&self) -> String {
        match self.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        }
    }

    /// How long a request with a body of this size may take; to be said of each that may be large.
    pub(super) fn patience(&self, size_bytes: usize) -> ConfigBuilder {
        let timeouts = timeouts(&self.timeouts, size_bytes);
        aws_sdk_s3::Config::builder().timeout_config(timeouts)
    }

    /// Lets something be done without waiting for it.
    pub(super) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) {
        self.handle.spawn(work);
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.location).finish()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Waiting for it would be forbidden to whoever drops this in a runtime of his own.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Comes to its end when whoever interrupted has waited long enough.
async fn interruption(cancelled: &AtomicBool) {
    while !cancelled.load(Ordering::Relaxed) {
        sleep(SLICE).await;
    }
    sleep(INTERRUPTED_WAIT).await;
}

/// The region of whoever names none, and the one whose buckets need no constraint.
pub(super) const FIRST_REGION: &str = "us-east-1";

/// A client, the region that it found, and who says with which account it asks.
async fn client(
    options: &S3Options,
    clock: &ServerClock,
) -> Result<(Client, String, Option<SharedCredentialsProvider>)> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(encrypted());
    let named = options.region.as_deref();
    // A server of one's own knows no regions, and asking the machine for its own takes seconds.
    if let Some(region) = named.or(options.endpoint.as_ref().map(|_| FIRST_REGION)) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(account) = &options.credentials {
        loader = loader.credentials_provider(Credentials::new(
            &account.access_key,
            account.secret_key.expose(),
            None,
            None,
            "strongroom",
        ));
    }
    let shared = loader.load().await;
    let region = shared
        .region()
        .map_or(FIRST_REGION, AsRef::as_ref)
        .to_owned();
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .region(Region::new(region.clone()))
        .force_path_style(options.path_style)
        .timeout_config(timeouts(&options.timeouts, PART_BYTES))
        .retry_config(retries(&options.retries))
        // The timeouts above bound every step; a reader that is slow itself is no stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Signatures cover what is sent, ids what is read; older servers know no other checksums.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .interceptor(clock.clone());
    if let Some(ca_file) = &options.ca_file {
        // Whoever gives the credentials is asked as ever.
        let trusting = trusting(ca_file).map_err(|reason| Error::Address {
            address: options.location(),
            reason: format!("the CA file {}: {reason}", ca_file.display()),
        })?;
        config = config.http_client(trusting);
    }
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint.as_str());
        if endpoint.scheme() == "http" {
            config = config.http_client(prompt(options.timeouts.connect));
        }
    }
    let identity = shared.credentials_provider();
    Ok((Client::from_conf(config.build()), region, identity))
}

/// One try may take as long as a body of this size at the least speed.
fn timeouts(timeouts: &Timeouts, size_bytes: usize) -> TimeoutConfig {
    let attempt: Duration = timeouts.for_body(size_bytes as u64);
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(attempt)
        .build()
}

fn retries(retries: &Retries) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(retries.tries.max(1))
        .with_initial_backoff(retries.first_pause)
        .with_max_backoff(retries.longest_pause)
}
