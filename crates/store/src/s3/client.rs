//! One bucket: the runtime that waits for it, the client that asks it, and what its answers mean.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::runtime::{Handle, Runtime};

use crate::rest::{Retries, Timeouts};
use crate::s3::options::S3Options;
use crate::s3::part::{PART_BYTES, Waiting};
use crate::{Error, Result};

/// Enough to move bytes; whoever calls does the rest in his own thread.
const WORKERS: usize = 2;

/// What everything that belongs to a bucket shares.
pub(super) struct Bucket {
    pub(super) client: Client,
    /// The same, that tries nothing twice.
    pub(super) once: Client,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) timeouts: Timeouts,
    pub(super) retries: Retries,
    /// Where a new bucket has to be, if that has to be said.
    pub(super) constraint: Option<String>,
    /// What waits to be sent.
    pub(super) waiting: Waiting,
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
        let (client, region) = runtime.block_on(client(&options));
        let once = client.config().to_builder();
        let once = Client::from_conf(once.retry_config(RetryConfig::disabled()).build());
        Ok(Self {
            client,
            once,
            constraint: Some(region)
                .filter(|region| options.endpoint.is_none() && region != FIRST_REGION),
            waiting: Waiting::new(options.spool, options.spool_reserve_bytes),
            name: options.bucket,
            prefix: options.prefix,
            location,
            timeouts: options.timeouts,
            retries: options.retries,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Waits for an answer.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.handle.block_on(answer)
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

/// The region of whoever names none, and the one whose buckets need no constraint.
const FIRST_REGION: &str = "us-east-1";

/// A client, and the region that it found.
async fn client(options: &S3Options) -> (Client, String) {
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
        .timeout_config(timeouts(&options.timeouts))
        .retry_config(retries(&options.retries))
        // The timeouts above bound every step; a reader that is slow itself is no stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Signatures cover what is sent, ids what is read; older servers know no other checksums.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint.as_str());
        if endpoint.scheme() == "http" {
            config = config.http_client(Builder::new().build_http());
        }
    }
    (Client::from_conf(config.build()), region)
}

fn encrypted() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// One try may take as long as a whole part at the least speed.
fn timeouts(timeouts: &Timeouts) -> TimeoutConfig {
    let attempt: Duration = timeouts.for_body(PART_BYTES as u64);
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
