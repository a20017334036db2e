//! What the vault itself says: the list that the API tells too, and what was found to be well.

use strongroom_model::ByteSize;

use crate::Result;
use crate::doctor::{Examination, Line, State};
use crate::vault::{Channels, Demands, Finding, Observation, Vault};

/// How many lines of one kind are told.
const MOST_LINES: usize = 20;

/// What is told of repositories.
const OF_REPOSITORIES: [&str; 7] = [
    "purge",
    "rot",
    "scrub",
    "keeping",
    "keys",
    "snapshots",
    "receipts",
];

impl Examination<'_> {
    pub(super) fn state(&self, vault: &Vault) -> Result<Vec<Line>> {
        let findings = vault.findings(Demands {
            verify_every_ms: self.config.verify_every.milliseconds(),
            behind_ms: None,
            channels: Some(Channels::of(&self.config.notify)),
        })?;
        let observed = vault.observe()?;
        let mut lines = told(&findings, &["clock"], || clock(&observed));
        lines.extend(told(&findings, &["room"], || room(&observed)));
        lines.extend(told(&findings, &OF_REPOSITORIES, || {
            let count = observed.repositories.len();
            Line::ok("repositories", format!("{count}, and nothing to tell"))
        }));
        lines.extend(told(&findings, &["tokens"], || {
            Line::ok("tokens", "none expires within two weeks")
        }));
        lines.extend(told(&findings, &["notify"], || {
            let channels = self.config.notify.len();
            Line::ok("notify", format!("{channels} channels, and nothing failed"))
        }));
        if self.is_thorough {
            lines.push(match vault.tallies_agree()? {
                true => Line::ok("tallies", "what is counted is what is there"),
                false => Line::fail(
                    "tallies",
                    "the counts of tombstones, hidden and pending objects are not what is there",
                    "nothing is lost by it; report it as a fault of this program",
                ),
            });
        }
        Ok(lines)
    }
}

/// The findings of some checks, what is broken first; where there are none, what is well.
fn told(findings: &[Finding], checks: &[&str], well: impl FnOnce() -> Line) -> Vec<Line> {
    let of_checks = findings
        .iter()
        .filter(|finding| checks.contains(&finding.check));
    let mut lines: Vec<Line> = of_checks.map(line).collect();
    if lines.is_empty() {
        return vec![well()];
    }
    lines.sort_by_key(|line| line.state != State::Fail);
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    if more > 0 {
        lines.push(Line::warn(
            "repositories",
            format!("there are {more} more of such lines"),
            "mend these first",
        ));
    }
    lines
}

fn line(finding: &Finding) -> Line {
    Line {
        check: finding.check,
        state: match finding.is_broken {
            true => State::Fail,
            false => State::Warn,
        },
        found: match finding.about == finding.check {
            true => finding.problem.clone(),
            false => format!("{}: {}", finding.about, finding.problem),
        },
        next: finding.hint.clone(),
    }
}

fn clock(observed: &Observation) -> Line {
    let lag_s = observed.wall_ms.saturating_sub(observed.vault_ms) / 1000;
    Line::ok("clock", format!("vault time is {lag_s} s behind the wall"))
}

fn room(observed: &Observation) -> Line {
    match observed.free_bytes {
        None => Line::ok("room", "the storage has no bound that it tells"),
        Some(free) => {
            let free = ByteSize::from_bytes(free).spoken();
            Line::ok("room", format!("{free} are free"))
        }
    }
}
