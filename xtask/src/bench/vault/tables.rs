//! What was measured of the vault, as tables beside its targets.

use std::fmt::Write;

use crate::bench::measure::median_rate;
use crate::bench::report::{Bound, Target, target_table};
use crate::bench::vault::server::Which;

/// One figure of both servers, of each round.
#[derive(Debug, Default)]
pub(super) struct Both {
    vault: Vec<f64>,
    rclone: Vec<f64>,
}

/// What both servers can do.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) put_rates: Both,
    pub(super) get_rates: Both,
    pub(super) backups: Both,
    pub(super) restores: Both,
}

/// Everything measured of the vault.
#[derive(Debug, Default)]
pub(in crate::bench) struct Figures {
    pub(super) servers: Servers,
    /// The same on a disk, and its file system, where all else was measured in memory.
    pub(super) on_disk: Option<(String, Servers)>,
    pub(super) list_seconds: Vec<f64>,
    pub(super) list_peaks: Vec<f64>,
    pub(super) quiet_seconds: Vec<f64>,
    pub(super) flood_seconds: Vec<f64>,
    pub(super) flood_peaks: Vec<f64>,
    /// Requests a second of the flood that were really looked up.
    pub(super) flood_rates: Vec<f64>,
    pub(super) leaves: Vec<LeafCost>,
}

/// What a leaf takes, and what a small put takes without HTTP, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeafCost {
    pub(super) leaf_us: f64,
    pub(super) put_us: f64,
}

impl Both {
    pub(super) fn add(&mut self, which: Which, figure: f64) {
        match which {
            Which::Vault => self.vault.push(figure),
            Which::Rclone => self.rclone.push(figure),
        }
    }

    fn medians(&self) -> (f64, f64) {
        (median(&self.vault), median(&self.rclone))
    }

    fn ratio(&self) -> f64 {
        let (vault, rclone) = self.medians();
        vault / rclone
    }
}

/// The part of the report that is about the vault.
pub(in crate::bench) fn text(figures: &Figures) -> String {
    let at_most = |what: &str, measured: f64, limit: f64| Target {
        what: what.to_owned(),
        measured,
        limit,
        bound: Bound::AtMost,
    };
    let at_least = |what: &str, measured: f64, limit: f64| Target {
        bound: Bound::AtLeast,
        ..at_most(what, measured, limit)
    };
    let servers = &figures.servers;
    let flooded = median(&figures.flood_seconds) / median(&figures.quiet_seconds);
    let of_leaves = |figure: fn(&LeafCost) -> f64| {
        let figures: Vec<_> = figures.leaves.iter().map(figure).collect();
        median(&figures)
    };
    let leaf_us = of_leaves(|cost| cost.leaf_us);
    let targets = [
        at_most(
            "restic backup of 2 GB, time of rclone's",
            servers.backups.ratio(),
            1.15,
        ),
        at_most(
            "restic restore of 2 GB, time of rclone's",
            servers.restores.ratio(),
            1.15,
        ),
        at_least(
            "4 KiB objects put, 64 connections, rate of rclone's",
            servers.put_rates.ratio(),
            1.0,
        ),
        at_least(
            "4 KiB objects got, 64 connections, rate of rclone's",
            servers.get_rates.ratio(),
            1.0,
        ),
        at_most(
            "list of 1,000,000 objects, seconds",
            median(&figures.list_seconds),
            2.0,
        ),
        at_most("… peak memory, MB", median(&figures.list_peaks), 300.0),
        at_most(
            "a leaf, share of a small put over HTTP",
            leaf_us * servers.put_rates.medians().0 / 1e6,
            0.10,
        ),
        at_most("restic backup under flood, of its usual time", flooded, 2.0),
    ];
    let mut text = target_table(
        "The vault's figures, divided by rclone's where both can do it.",
        &targets,
    );
    text += "\n## Figures\n\n";
    text += &servers.table();
    _ = write!(
        text,
        "\nA backup of a quarter of the data takes {:.2} s in quiet, and {:.2} s with 2,000 idle or \
         slow connections and {:.0} requests a second beside it, each with another token that \
         is none and from another address, counted as they were looked up; the vault holds at most {:.0} MB meanwhile.\n",
        median(&figures.quiet_seconds),
        median(&figures.flood_seconds),
        median(&figures.flood_rates),
        median(&figures.flood_peaks)
    );
    _ = write!(
        text,
        "\nA leaf takes {leaf_us:.1} µs in a commit of 64, and a small put by the vault's own call, \
         without HTTP, {:.1} µs of both cores.\n",
        of_leaves(|cost| cost.put_us),
    );
    if let Some((file_system, servers)) = &figures.on_disk {
        _ = write!(
            text,
            "\n## On a disk\n\n\
             The same beside each other on {file_system}, where a flush costs what it costs. What \
             rclone has answered for may be gone after a loss of power; what the vault has is on \
             the disk, and so are the database that names it and the log that tells of it.\n\n{}",
            servers.table()
        );
    }
    text
}

impl Servers {
    fn table(&self) -> String {
        let rows = [
            ("restic backup, s", &self.backups),
            ("restic restore, s", &self.restores),
            ("4 KiB objects put, a second", &self.put_rates),
            ("4 KiB objects got, a second", &self.get_rates),
        ];
        let mut text = "| | vault | rclone | ratio |\n|---|---|---|---|\n".to_owned();
        for (what, both) in rows {
            let (vault, rclone) = both.medians();
            _ = writeln!(
                text,
                "| {what} | {vault:.2} | {rclone:.2} | {:.2} |",
                both.ratio()
            );
        }
        text
    }
}

fn median(figures: &[f64]) -> f64 {
    median_rate(figures).unwrap_or(f64::NAN)
}
