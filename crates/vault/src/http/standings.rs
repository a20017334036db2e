//! What is told to Prometheus of snapshots, and of where the vault runs.
//!
//! A series goes when what it tells of is gone. Their number is bounded: sources are named by
//! clients, and whoever names very many must not fill anybody's memory.
//!
//! What can go wrong: nobody looks any more, and what was seen last is told for ever, by alarms
//! that then stay silent. So ages grow by themselves, and what was not looked at for long is not
//! called whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use strongroom_model::vault::{KnownBy, RunsIn};
use strongroom_model::{Name, RepositoryPath};

use crate::http::metrics::Metrics;
use crate::vault::Newest;

/// The most sources that are told of.
const MOST_SOURCES: usize = 2_000;

/// For how long a snapshot is called whole that nobody has looked at again.
const BELIEVED: Duration = Duration::from_secs(600);

/// The gauges. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    whole: Family<Source, Gauge>,
    age: Family<Source, Gauge<f64, AtomicU64>>,
    runs_in: Family<Place, Gauge>,
    told: Arc<Mutex<Told>>,
}

/// What there is a series of.
#[derive(Debug, Default)]
struct Told {
    /// In order, each with how old its newest snapshot was when that was looked at.
    sources: BTreeMap<Source, i64>,
    looked: Option<Instant>,
    place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Source {
    repository: String,
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    account: String,
    by: &'static str,
}

impl Standings {
    /// Registers the gauges.
    pub fn new(metrics: &Metrics) -> Self {
        let ours = Self::default();
        metrics.register(|registry| {
            registry.register(
                "snapshot_whole",
                "Whether the newest snapshot of a source is whole here, by its newest receipt",
                ours.whole.clone(),
            );
            registry.register(
                "snapshot_age_seconds",
                "How long ago the newest snapshot of a source was told of first, by vault time",
                ours.age.clone(),
            );
            registry.register(
                "runs_in",
                "Whose account the vault runs in, and how that is known",
                ours.runs_in.clone(),
            );
        });
        let refreshed = ours.clone();
        metrics.before_each(move || refreshed.refresh());
        ours
    }

    /// Lets ages grow by the time since they were looked at, in whole seconds.
    fn refresh(&self) {
        let told = self.told.lock();
        let Some(looked) = told.looked else {
            return;
        };
        let since = looked.elapsed();
        for (source, age_ms) in &told.sources {
            let age_s = *age_ms as f64 / 1000.0 + since.as_secs() as f64;
            self.age.get_or_create(source).set(age_s);
            if since > BELIEVED {
                self.whole.get_or_create(source).set(0);
            }
        }
    }

    /// Tells of the newest snapshots, and of no others any more.
    pub fn set(&self, newest: &BTreeMap<(RepositoryPath, Name), Newest>) {
        let mut told = self.told.lock();
        let mut sources = BTreeMap::new();
        for ((repository, source), newest) in newest.iter().take(MOST_SOURCES) {
            let labels = Source {
                repository: repository.to_string(),
                source: source.to_string(),
            };
            let whole = self.whole.get_or_create(&labels);
            whole.set(i64::from(newest.is_whole));
            drop(whole);
            let age = self.age.get_or_create(&labels);
            age.set(newest.age_ms as f64 / 1000.0);
            drop(age);
            sources.insert(labels, newest.age_ms);
        }
        if newest.len() > MOST_SOURCES {
            let left_out = newest.len() - MOST_SOURCES;
            tracing::warn!(left_out, "Not all sources are told of in the metrics");
        }
        for gone in told.sources.keys() {
            if !sources.contains_key(gone) {
                self.whole.remove(gone);
                self.age.remove(gone);
            }
        }
        told.sources = sources;
        told.looked = Some(Instant::now());
    }

    /// Tells where the vault runs.
    pub fn set_place(&self, runs_in: Option<RunsIn>) {
        let mut told = self.told.lock();
        let place = runs_in.map(|known| Place {
            account: known.account.to_string(),
            by: match known.by {
                KnownBy::Metadata => "metadata",
                KnownBy::Declared => "declared",
            },
        });
        if told.place == place {
            return;
        }
        if let Some(before) = &told.place {
            self.runs_in.remove(before);
        }
        if let Some(place) = &place {
            self.runs_in.get_or_create(place).set(1);
        }
        told.place = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(is_whole: bool) -> Newest {
        Newest {
            is_whole,
            age_ms: 1_500,
        }
    }

    #[test]
    fn a_series_goes_with_its_source() {
        let metrics = Metrics::new();
        let standings = Standings::new(&metrics);
        let key = |source: &str| ("acme/repos".parse().unwrap(), source.parse().unwrap());
        let mut all = BTreeMap::from([(key("a"), newest(true)), (key("b"), newest(false))]);
        standings.set(&all);
        let text = metrics.text().unwrap();
        let line = |name: &str, source: &str, value: &str| {
            format!(
                "strongroom_vault_snapshot_{name}{{repository=\"acme/repos\",source=\"{source}\"}} \
                 {value}\n"
            )
        };
        assert!(text.contains(&line("whole", "a", "1")), "{text}");
        assert!(text.contains(&line("whole", "b", "0")), "{text}");
        assert!(text.contains(&line("age_seconds", "b", "1.5")), "{text}");
        all.remove(&key("a"));
        standings.set(&all);
        let text = metrics.text().unwrap();
        assert!(!text.contains("source=\"a\""), "{text}");
        assert!(text.contains(&line("whole", "b", "0")), "{text}");
    }

    #[test]
    fn ages_grow_though_nobody_looks_and_what_is_not_looked_at_is_not_whole() {
        let metrics = Metrics::new();
        let standings = Standings::new(&metrics);
        let key = ("acme/repos".parse().unwrap(), "a".parse().unwrap());
        standings.set(&BTreeMap::from([(key, newest(true))]));
        let ago = |time: Duration| {
            let mut told = standings.told.lock();
            told.looked = told.looked.and_then(|looked| looked.checked_sub(time));
        };
        let value = |name: &str| -> f64 {
            let text = metrics.text().unwrap();
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("strongroom_vault_snapshot_{name}{{")));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
                .unwrap()
        };
        ago(Duration::from_secs(60));
        assert!((61.5..100.0).contains(&value("age_seconds")));
        assert!((value("whole") - 1.0).abs() < f64::EPSILON);
        ago(BELIEVED);
        assert!((661.5..700.0).contains(&value("age_seconds")));
        assert!(value("whole").abs() < f64::EPSILON);
    }

    #[test]
    fn the_account_is_a_label_and_there_is_one() {
        let metrics = Metrics::new();
        let standings = Standings::new(&metrics);
        let account = |account: &str, by| {
            Some(RunsIn {
                account: account.parse().unwrap(),
                by,
            })
        };
        standings.set_place(account("somewhere", KnownBy::Declared));
        standings.set_place(account("aws:123456789012", KnownBy::Metadata));
        let text = metrics.text().unwrap();
        let line = "strongroom_vault_runs_in{account=\"aws:123456789012\",by=\"metadata\"} 1\n";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("somewhere"), "{text}");
    }
}
