//! What the listener counts, for Prometheus.
//!
//! Labels come from few words of ours: whatever a client sends must not make a new series.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::http::service::Note;
use crate::{Error, Result};

/// The bounds of the histogram of times, in seconds.
const TIMES: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0,
];

/// Where everything is registered that Prometheus asks for.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// What is done before all is told.
    before_each: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

/// What the listener counts.
#[derive(Debug)]
pub struct HttpMetrics {
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were accepted.
    pub connections_total: Counter,
    /// Requests under way.
    pub requests_under_way: Gauge,
    requests: Family<Answered, Counter>,
    received_bytes: Counter<u64, AtomicU64>,
    sent_bytes: Counter<u64, AtomicU64>,
    refusals: Family<Refused, Counter>,
    times: Family<Routed, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: &'static str,
}

/// How a request and its answer look to the metrics and the log.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) status: u16,
}

impl Metrics {
    /// An empty registry; all names begin with `strongroom_vault_`.
    pub fn new() -> Self {
        Self {
            registry: Mutex::new(Registry::with_prefix("strongroom_vault")),
            before_each: Mutex::default(),
        }
    }

    /// Does something before each time that all is told, such as bringing an age up to date; it
    /// must be quick, as anybody who may ask can ask often.
    pub fn before_each(&self, refresh: impl Fn() + Send + 'static) {
        self.before_each.lock().push(Box::new(refresh));
    }

    /// Registers more.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock());
    }

    /// Changes several at once: nobody sees some of them changed and others not.
    pub fn change(&self, change: impl FnOnce()) {
        let registry = self.registry.lock();
        change();
        drop(registry);
    }

    /// Everything as OpenMetrics text.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where a metric cannot be written.
    pub fn text(&self) -> Result<String> {
        let mut page = String::new();
        for refresh in &*self.before_each.lock() {
            refresh();
        }
        text::encode(&mut page, &self.registry.lock()).map_err(|_| Error::Unfinished)?;
        Ok(page)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpMetrics {
    /// Registers what the listener counts.
    pub fn new(metrics: &Metrics) -> Self {
        let times: fn() -> Histogram = || Histogram::new(TIMES);
        let ours = Self {
            connections: Gauge::default(),
            connections_total: Counter::default(),
            requests_under_way: Gauge::default(),
            requests: Family::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            refusals: Family::default(),
            times: Family::new_with_constructor(times),
        };
        metrics.register(|registry| ours.register(registry));
        ours
    }

    /// Counts a refusal by the listener itself, or a connection that it closed.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Refused { reason }).inc();
    }

    /// Counts a request that was answered.
    pub(super) fn answered(&self, seen: &Seen, received: u64, sent: u64, took: Duration) {
        let answered = Answered {
            route: seen.route,
            method: seen.method,
            status: seen.status,
        };
        self.requests.get_or_create(&answered).inc();
        self.received_bytes.inc_by(received);
        self.sent_bytes.inc_by(sent);
        let times = self.times.get_or_create(&Routed { route: seen.route });
        times.observe(took.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections",
            "Connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "connections_accepted",
            "Connections that were accepted",
            self.connections_total.clone(),
        );
        registry.register(
            "requests_under_way",
            "Requests under way",
            self.requests_under_way.clone(),
        );
        registry.register(
            "requests",
            "Requests that were answered",
            self.requests.clone(),
        );
        registry.register(
            "received_bytes",
            "Bytes of the bodies of requests",
            self.received_bytes.clone(),
        );
        registry.register(
            "sent_bytes",
            "Bytes of the bodies of answers",
            self.sent_bytes.clone(),
        );
        registry.register(
            "refusals",
            "Connections and requests that the limits refused or ended",
            self.refusals.clone(),
        );
        registry.register(
            "request_seconds",
            "Time from the head of a request to the end of its answer",
            self.times.clone(),
        );
    }
}

impl Seen {
    pub(super) fn new(method: &Method, note: &Note, status: StatusCode) -> Self {
        const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let known = KNOWN.into_iter().find(|known| *known == method.as_str());
        Self {
            method: known.unwrap_or("other"),
            route: if note.route.is_empty() {
                "other"
            } else {
                note.route
            },
            status: status.as_u16(),
        }
    }
}
