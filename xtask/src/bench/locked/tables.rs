//! What was measured of locked copies and of letting go, as tables beside its targets.

use std::fmt::Write;

use crate::bench::data::DataSet;
use crate::bench::locked::connections::Connections;
use crate::bench::locked::programs::Who;
use crate::bench::measure::{Sample, median_rate};
use crate::bench::report::{Bound, Target, target_table};

/// Every run of ours and of a peer.
#[derive(Debug)]
pub(super) struct Pair {
    peer: &'static str,
    ours: Vec<Sample>,
    theirs: Vec<Sample>,
}

/// What was done to many small objects.
#[derive(Debug)]
pub(super) struct Crowd {
    objects: u64,
    pub(super) extends: Vec<Sample>,
    pub(super) recovers: Pair,
    our_connections: Vec<Connections>,
    their_connections: Vec<Connections>,
}

/// Prunes of a repository.
#[derive(Debug)]
pub(super) struct Pruned {
    before_bytes: u64,
    pub(super) pair: Pair,
}

/// Everything measured; what was not is not there.
#[derive(Debug, Default)]
pub(in crate::bench) struct Figures {
    pub(super) backups: Vec<(DataSet, Pair)>,
    pub(super) crowd: Option<Crowd>,
    pub(super) in_folder: Option<Pruned>,
    pub(super) in_bucket: Option<Pruned>,
}

impl Pair {
    pub(super) fn beside(peer: &'static str) -> Self {
        Self {
            peer,
            ours: Vec::new(),
            theirs: Vec::new(),
        }
    }

    /// What the program is called.
    pub(super) fn name(&self, who: Who) -> &'static str {
        match who {
            Who::Ours => "strongroom",
            Who::Peer => self.peer,
        }
    }

    pub(super) fn add(&mut self, who: Who, sample: Sample) {
        match who {
            Who::Ours => self.ours.push(sample),
            Who::Peer => self.theirs.push(sample),
        }
    }

    fn of(&self, who: Who) -> &[Sample] {
        match who {
            Who::Ours => &self.ours,
            Who::Peer => &self.theirs,
        }
    }

    /// Our time, divided by the peer's.
    fn ratio(&self) -> f64 {
        median(&self.ours, wall) / median(&self.theirs, wall)
    }

    /// A row for each program.
    fn rows(&self, step: &str) -> String {
        [Who::Ours, Who::Peer]
            .map(|who| {
                let ratio = median(self.of(who), wall) / median(&self.theirs, wall);
                row(step, self.name(who), self.of(who), Some(ratio))
            })
            .concat()
    }
}

impl Crowd {
    pub(super) fn new(objects: u64) -> Self {
        Self {
            objects,
            extends: Vec::new(),
            recovers: Pair::beside("rclone"),
            our_connections: Vec::new(),
            their_connections: Vec::new(),
        }
    }

    pub(super) fn add_connections(&mut self, who: Who, connections: Connections) {
        match who {
            Who::Ours => self.our_connections.push(connections),
            Who::Peer => self.their_connections.push(connections),
        }
    }

    fn targets(&self) -> [Target; 3] {
        let objects = self.objects;
        [
            at_most(
                format!("recover of {objects} objects, time of plain GETs with 16 connections"),
                self.recovers.ratio(),
                1.20,
            ),
            Target {
                bound: Bound::AtLeast,
                ..at_most(
                    "… requests in flight".to_owned(),
                    usual(&self.our_connections),
                    16.0,
                )
            },
            at_most(
                format!("lock extend of {objects} objects, seconds"),
                median(&self.extends, wall),
                60.0,
            ),
        ]
    }

    fn text(&self) -> String {
        let rate = |samples: &[Sample]| self.objects as f64 / median(samples, wall);
        let peak = self.our_connections.iter().map(|seen| seen.peak).max();
        let recovers = &self.recovers;
        format!(
            "\n### {} small objects\n{HEAD}{}{}\n\
             A recover brings back {:.0} objects a second with {:.0} requests in flight, {} at most; \
             rclone gets {:.0} a second with {:.0}. A lock extend locks {:.0} a second.\n",
            self.objects,
            row("lock extend", "strongroom", &self.extends, None),
            recovers.rows("recover"),
            rate(&recovers.ours),
            usual(&self.our_connections),
            peak.unwrap_or_default(),
            rate(&recovers.theirs),
            usual(&self.their_connections),
            rate(&self.extends),
        )
    }
}

impl Pruned {
    pub(super) fn of(before_bytes: u64) -> Self {
        Self {
            before_bytes,
            pair: Pair::beside("restic"),
        }
    }

    fn target(&self, place: &str) -> Target {
        let what = format!(
            "prune that frees half of {:.1} GB in a {place}, time of restic's",
            self.before_bytes as f64 / 1e9
        );
        at_most(what, self.pair.ratio(), 0.60)
    }

    fn text(&self, place: &str) -> String {
        format!(
            "\n### Prune in a {place}\n{} MB before.\n{HEAD}{}",
            self.before_bytes / 1_000_000,
            self.pair.rows("prune")
        )
    }
}

/// The part of the report that is about locked copies.
pub(in crate::bench) fn text(figures: &Figures) -> String {
    let mut targets = Vec::new();
    let mut tables = String::new();
    for (set, pair) in &figures.backups {
        let what = format!("{set} first backup, to a folder and a locked bucket, time of restic's");
        targets.push(at_most(what, pair.ratio(), 1.25));
        _ = write!(
            tables,
            "\n### First backup, {set} {}\n{HEAD}{}",
            set.description(),
            pair.rows("first backup")
        );
    }
    if let Some(crowd) = &figures.crowd {
        targets.extend(crowd.targets());
        tables += &crowd.text();
    }
    for (place, pruned) in [
        ("folder", &figures.in_folder),
        ("bucket", &figures.in_bucket),
    ] {
        if let Some(pruned) = pruned {
            targets.push(pruned.target(place));
            tables += &pruned.text(place);
        }
    }
    let caption = "Our time, divided by restic's or rclone's; seconds where it says so.";
    let targets = target_table(caption, &targets);
    format!("{targets}\n## Figures\n{tables}")
}

const HEAD: &str = "\n| step | program | wall s | CPU s | peak MB | stored MB | wall / peer's |\n\
                    |---|---|---|---|---|---|---|\n";

fn row(step: &str, program: &str, samples: &[Sample], ratio: Option<f64>) -> String {
    let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let stored = median(samples, |sample| sample.stored_bytes as f64);
    // Nothing is stored by what only reads.
    let stored = match stored > 0.0 {
        true => format!("{:.1}", stored / 1e6),
        false => String::new(),
    };
    format!(
        "| {step} | {program} | {:.2} | {:.2} | {:.0} | {stored} | {ratio} |\n",
        median(samples, wall),
        median(samples, |sample| sample.cpu.as_secs_f64()),
        median(samples, |sample| sample.peak_bytes as f64) / 1e6,
    )
}

fn at_most(what: String, measured: f64, limit: f64) -> Target {
    Target {
        what,
        measured,
        limit,
        bound: Bound::AtMost,
    }
}

fn wall(sample: &Sample) -> f64 {
    sample.wall.as_secs_f64()
}

fn median(samples: &[Sample], figure: fn(&Sample) -> f64) -> f64 {
    let figures: Vec<_> = samples.iter().map(figure).collect();
    median_rate(&figures).unwrap_or(f64::NAN)
}

/// The median of the rounds' medians.
fn usual(connections: &[Connections]) -> f64 {
    let usual: Vec<_> = connections.iter().map(|seen| seen.usual as f64).collect();
    median_rate(&usual).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pair(peer: &'static str, our_s: u64) -> Pair {
        let mut pair = Pair::beside(peer);
        for (who, seconds) in [(Who::Ours, our_s), (Who::Peer, 100)] {
            let wall = Duration::from_secs(seconds);
            pair.add(
                who,
                Sample {
                    wall,
                    ..Sample::default()
                },
            );
        }
        pair
    }

    fn figures(our_s: u64, connections: usize) -> Figures {
        let mut crowd = Crowd::new(10_000);
        crowd.recovers = pair("rclone", our_s);
        crowd.extends.clone_from(&crowd.recovers.ours);
        for who in [Who::Ours, Who::Peer] {
            let (usual, peak) = (connections, connections);
            crowd.add_connections(who, Connections { usual, peak });
        }
        let pruned = || {
            let mut pruned = Pruned::of(5_000_000_000);
            pruned.pair = pair("restic", our_s);
            Some(pruned)
        };
        Figures {
            backups: vec![(DataSet::A, pair("restic", our_s))],
            crowd: Some(crowd),
            in_folder: pruned(),
            in_bucket: pruned(),
        }
    }

    #[test]
    fn every_target_is_met_at_its_limit_or_missed() {
        let met = text(&figures(60, 16));
        assert_eq!(met.matches("| met |").count(), 6, "{met}");
        assert!(!met.contains("missed"), "{met}");
        let missed = text(&figures(126, 15));
        assert_eq!(missed.matches("| **missed** |").count(), 6, "{missed}");
    }

    #[test]
    fn every_program_has_its_figures() {
        let text = text(&figures(50, 16));
        for row in [
            "| first backup | strongroom | 50.00 |",
            "| first backup | restic | 100.00 |",
            "| lock extend | strongroom | 50.00 |",
            "| recover | rclone | 100.00 |",
            "| prune | restic | 100.00 |",
            "brings back 200 objects a second with 16 requests in flight",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let figures = Figures {
            backups: vec![(DataSet::B, pair("restic", 50))],
            ..Figures::default()
        };
        let text = text(&figures);
        assert_eq!(text.matches("| met |").count(), 1, "{text}");
        assert!(!text.contains("NaN") && !text.contains("prune"), "{text}");
    }
}
