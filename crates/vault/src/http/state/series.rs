//! The series of the vault itself.
//!
//! Labels are few: repositories beyond a bound are told together, so that whoever makes a thousand
//! of them does not drown the rest.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::http::metrics::Metrics;
use crate::records::tally::Tally;
use crate::records::tokens::Standing;
use crate::rules::life::State;
use crate::rules::refusals::Reason;
use crate::vault::{Observation, Observed, Scrubbed};

/// So many repositories, the oldest, have series of their own.
const MOST_REPOSITORIES: usize = 200;

/// What all others are told as.
const OTHERS: &str = "(others)";

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    repository: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    repository: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTokens {
    right: &'static str,
    standing: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWitness {
    witness: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

/// The series.
#[derive(Debug, Default)]
pub(super) struct Series {
    repositories: Gauge,
    objects: Family<OfState, Gauge>,
    bytes: Family<OfState, Gauge>,
    quotas: Family<Of, Gauge>,
    arrivals: Family<Of, Seconds>,
    purge_due: Family<Of, Gauge>,
    purge_held: Family<Of, Gauge>,
    purged_objects: Counter,
    purged_bytes: Counter,
    scrub_age: Family<Of, Seconds>,
    scrub_round: Family<Of, Gauge>,
    rotten: Family<Of, Gauge>,
    scrubbed_objects: Counter,
    scrubbed_bytes: Counter,
    vault_time: Seconds,
    vault_time_lag: Seconds,
    clock_doubted: Gauge,
    leaves: Gauge,
    leaves_published: Gauge,
    log_behind: Seconds,
    log_wrong: Gauge,
    log_look_age: Seconds,
    witness_time: Family<OfWitness, Seconds>,
    witness_size: Family<OfWitness, Gauge>,
    witness_failing: Family<OfWitness, Gauge>,
    witness_alarm: Family<OfWitness, Gauge>,
    tokens: Family<OfTokens, Gauge>,
    refused: Family<OfReason, Counter>,
    free: Gauge,
    reserve: Gauge,
    ready: Gauge,
}

impl Series {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let series = Self::default();
        metrics.register(|registry| {
            series.register_objects(registry);
            series.register_log(registry);
            series.register_rest(registry);
        });
        series
    }

    fn register_objects(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, help: &str, of: &Family<Of, Gauge>| {
            registry.register(name, help, of.clone());
        };
        gauge(
            "quota_bytes",
            "The bytes that a repository may hold",
            &self.quotas,
        );
        gauge(
            "purge_due_objects",
            "Tombstones that are due, counted up to 10,000",
            &self.purge_due,
        );
        gauge(
            "purge_held",
            "1 where nothing is purged until an operator has agreed",
            &self.purge_held,
        );
        gauge(
            "scrub_round_objects",
            "Objects that the round of scrubbing under way has read",
            &self.scrub_round,
        );
        gauge(
            "rotten_objects",
            "Objects whose bytes are not what they were",
            &self.rotten,
        );
        registry.register("repositories", "Repositories", self.repositories.clone());
        registry.register(
            "objects",
            "Objects, by state; nothing but a purge takes any away",
            self.objects.clone(),
        );
        registry.register("object_bytes", "Their bytes", self.bytes.clone());
        registry.register(
            "last_arrival_seconds",
            "When the last object arrived, in seconds since 1970",
            self.arrivals.clone(),
        );
        registry.register(
            "scrub_age_seconds",
            "How old the oldest reading can be: since the beginning of the last full round",
            self.scrub_age.clone(),
        );
        registry.register(
            "purged_objects",
            "Objects whose bytes were removed when they were due",
            self.purged_objects.clone(),
        );
        registry.register("purged_bytes", "Their bytes", self.purged_bytes.clone());
        registry.register(
            "scrubbed_objects",
            "Objects that were read to see whether they are sound",
            self.scrubbed_objects.clone(),
        );
        registry.register("scrubbed_bytes", "Their bytes", self.scrubbed_bytes.clone());
    }

    fn register_log(&self, registry: &mut Registry) {
        registry.register("log_leaves", "Leaves of the log", self.leaves.clone());
        registry.register(
            "log_published_leaves",
            "Leaves that are in its files",
            self.leaves_published.clone(),
        );
        registry.register(
            "log_behind_seconds",
            "For how long it was not possible to publish all leaves",
            self.log_behind.clone(),
        );
        registry.register(
            "log_wrong",
            "How many files of the log are known not to be what was written, the first three",
            self.log_wrong.clone(),
        );
        registry.register(
            "log_look_age_seconds",
            "Since the beginning of the last full look at all files of the log",
            self.log_look_age.clone(),
        );
        registry.register(
            "witness_cosigned_seconds",
            "When a witness has cosigned the log the last time, in seconds since 1970",
            self.witness_time.clone(),
        );
        registry.register(
            "witness_cosigned_leaves",
            "How many leaves it has cosigned",
            self.witness_size.clone(),
        );
        registry.register(
            "witness_failing",
            "1 where the last attempt to have the log cosigned failed",
            self.witness_failing.clone(),
        );
        registry.register(
            "witness_alarm",
            "1 where a witness says that the log was set back or rewritten",
            self.witness_alarm.clone(),
        );
    }

    fn register_rest(&self, registry: &mut Registry) {
        registry.register(
            "vault_time_seconds",
            "Vault time, which alone decides expiry, in seconds since 1970",
            self.vault_time.clone(),
        );
        registry.register(
            "vault_time_lag_seconds",
            "By how much vault time lags behind the wall clock",
            self.vault_time_lag.clone(),
        );
        registry.register(
            "clock_doubted",
            "1 after a jump of the clocks that nobody has confirmed: purging stands still",
            self.clock_doubted.clone(),
        );
        registry.register("tokens", "Tokens", self.tokens.clone());
        registry.register(
            "refused",
            "Requests and logins that were refused",
            self.refused.clone(),
        );
        registry.register("storage_free_bytes", "Free in storage", self.free.clone());
        registry.register(
            "storage_reserve_bytes",
            "What uploads leave free",
            self.reserve.clone(),
        );
        registry.register("ready", "1 where /readyz says so", self.ready.clone());
    }

    pub(super) fn set(
        &self,
        observed: &Observation,
        refusals: impl Iterator<Item = (Reason, u64)>,
    ) {
        self.repositories
            .set(number(observed.repositories.len() as u64));
        for family in [&self.objects, &self.bytes] {
            family.clear();
        }
        let of_repositories = [
            &self.quotas,
            &self.purge_due,
            &self.purge_held,
            &self.scrub_round,
            &self.rotten,
        ];
        of_repositories.into_iter().for_each(Family::clear);
        self.arrivals.clear();
        self.scrub_age.clear();
        let (own, others) = match observed.repositories.split_at_checked(MOST_REPOSITORIES) {
            Some(parts) => parts,
            None => (observed.repositories.as_slice(), &[][..]),
        };
        for repository in own {
            self.set_repository(repository, observed.vault_ms);
        }
        self.set_others(others);
        let (purged, purged_bytes) = observed.purged;
        raise(&self.purged_objects, purged);
        raise(&self.purged_bytes, purged_bytes);
        self.vault_time.set(seconds(observed.vault_ms));
        let lag_ms = observed.wall_ms.saturating_sub(observed.vault_ms);
        self.vault_time_lag.set(seconds(lag_ms));
        self.clock_doubted.set(i64::from(observed.is_clock_doubted));
        self.leaves.set(number(observed.head.leaves));
        self.leaves_published.set(number(observed.head.published));
        self.set_log(observed);
        self.tokens.clear();
        for tokens in &observed.tokens {
            let of = OfTokens {
                right: tokens.right.word(),
                standing: match tokens.standing {
                    Standing::Counts => "counts",
                    Standing::Expired => "expired",
                    Standing::Revoked => "revoked",
                },
            };
            self.tokens.get_or_create(&of).set(number(tokens.count));
        }
        for (reason, count) in refusals {
            let of = OfReason {
                reason: reason.word(),
            };
            raise(&self.refused.get_or_create(&of), count);
        }
        if let Some(free) = observed.free_bytes {
            self.free.set(number(free));
        }
        self.reserve.set(number(observed.reserve_bytes));
    }

    fn set_log(&self, observed: &Observation) {
        let look_back = &observed.look_back;
        let wrong = look_back.wrong.len();
        self.log_wrong.set(i64::try_from(wrong).unwrap_or(i64::MAX));
        // Before the first round has ended: since it began.
        if let Some(began_at_ms) = look_back.last_began_at_ms.or(look_back.began_at_ms) {
            let age_ms = observed.wall_ms.saturating_sub(began_at_ms);
            self.log_look_age.set(seconds(age_ms));
        }
        self.witness_time.clear();
        for family in [
            &self.witness_size,
            &self.witness_failing,
            &self.witness_alarm,
        ] {
            family.clear();
        }
        for witness in &observed.witnesses {
            let name = witness.vkey.split('+').next().unwrap_or_default();
            let of = OfWitness {
                witness: name.to_owned(),
            };
            if let (Some(time_s), Some(size)) = (witness.time_s, witness.size) {
                self.witness_time.get_or_create(&of).set(time_s as f64);
                self.witness_size.get_or_create(&of).set(number(size));
            }
            let is_failing = witness.trouble.is_some();
            let failing = self.witness_failing.get_or_create(&of);
            failing.set(i64::from(is_failing));
            let alarm = self.witness_alarm.get_or_create(&of);
            alarm.set(i64::from(witness.is_alarm));
        }
    }

    fn set_repository(&self, observed: &Observed, vault_ms: i64) {
        let repository = &observed.repository;
        let of = Of {
            repository: repository.path.to_string(),
        };
        for state in State::ALL {
            self.set_tally(&of.repository, state, observed.tally(state));
        }
        if let Some(quota) = repository.quota_bytes {
            self.quotas.get_or_create(&of).set(number(quota));
        }
        if let Some(arrived_at_ms) = repository.arrived_at_ms {
            let arrivals = self.arrivals.get_or_create(&of);
            arrivals.set(seconds(arrived_at_ms));
        }
        self.purge_due.get_or_create(&of).set(number(observed.due));
        let is_held = observed.held.is_some();
        self.purge_held.get_or_create(&of).set(i64::from(is_held));
        let scrub = &observed.scrub;
        let round_began_ms = scrub.round.as_ref().map(|round| round.progress.began_ms);
        // Before the first round has ended: since it began.
        let began_ms = scrub.last.map(|last| last.began_ms).or(round_began_ms);
        if let Some(began_ms) = began_ms {
            let age_ms = vault_ms.saturating_sub(began_ms);
            self.scrub_age.get_or_create(&of).set(seconds(age_ms));
        }
        let read = scrub
            .round
            .as_ref()
            .map(|round| round.progress.done.objects);
        let read = number(read.unwrap_or_default());
        self.scrub_round.get_or_create(&of).set(read);
        self.rotten.get_or_create(&of).set(number(scrub.rotten));
    }

    /// Tells all repositories beyond the bound together.
    fn set_others(&self, others: &[Observed]) {
        if others.is_empty() {
            return;
        }
        let of = Of {
            repository: OTHERS.to_owned(),
        };
        for state in State::ALL {
            let tallies = others.iter().map(|observed| observed.tally(state));
            let sum = tallies.fold(Tally::default(), |sum, tally| Tally {
                objects: sum.objects.saturating_add(tally.objects),
                bytes: sum.bytes.saturating_add(tally.bytes),
            });
            self.set_tally(OTHERS, state, sum);
        }
        let due = others.iter().map(|observed| observed.due).sum();
        self.purge_due.get_or_create(&of).set(number(due));
        let held = others.iter().filter(|observed| observed.held.is_some());
        let held = number(held.count() as u64);
        self.purge_held.get_or_create(&of).set(held);
        let rotten = others.iter().map(|observed| observed.scrub.rotten).sum();
        self.rotten.get_or_create(&of).set(number(rotten));
    }

    fn set_tally(&self, repository: &str, state: State, tally: Tally) {
        let of = OfState {
            repository: repository.to_owned(),
            state: state.word(),
        };
        self.objects.get_or_create(&of).set(number(tally.objects));
        self.bytes.get_or_create(&of).set(number(tally.bytes));
    }

    pub(super) fn set_beside(&self, behind_ms: i64, is_ready: bool) {
        self.log_behind.set(seconds(behind_ms));
        self.ready.set(i64::from(is_ready));
    }

    pub(super) fn add_scrubbed(&self, scrubbed: &Scrubbed) {
        self.scrubbed_objects.inc_by(scrubbed.read.objects);
        self.scrubbed_bytes.inc_by(scrubbed.read.bytes);
    }
}

/// Brings a counter up to what is counted elsewhere.
fn raise(counter: &Counter, to: u64) {
    if let Some(more) = to.checked_sub(counter.get()) {
        counter.inc_by(more);
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
