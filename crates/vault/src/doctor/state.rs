//! What the vault itself says: clock, room, holds, rot, keeping, tokens.

use crate::Result;
use crate::config::VaultConfig;
use crate::doctor::{Examination, Line};
use crate::rules::clock::DAY_MS;
use crate::rules::purge::Hold;
use crate::vault::{Observation, Observed, Vault};

/// So long before its end a token is warned of.
const TOKEN_ENDS_WITHIN_MS: i64 = 14 * DAY_MS;

/// How many repositories or tokens are told one by one.
const MOST_LINES: usize = 20;

impl Examination<'_> {
    pub(super) fn state(&self, vault: &Vault) -> Result<Vec<Line>> {
        let observed = vault.observe()?;
        let mut lines = vec![clock(&observed), room(&observed)];
        let mut of_repositories: Vec<Line> = observed
            .repositories
            .iter()
            .flat_map(|repository| of_repository(self.config, repository, observed.vault_ms))
            .collect();
        let more = of_repositories.len().saturating_sub(MOST_LINES);
        of_repositories.truncate(MOST_LINES);
        if of_repositories.is_empty() {
            let count = observed.repositories.len();
            lines.push(Line::ok(
                "repositories",
                format!("{count}, and nothing to tell"),
            ));
        }
        lines.extend(of_repositories);
        if more > 0 {
            lines.push(Line::warn(
                "repositories",
                format!("there are {more} more of such lines"),
                "mend these first",
            ));
        }
        lines.extend(tokens(vault, observed.vault_ms)?);
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

fn clock(observed: &Observation) -> Line {
    let lag_s = observed.wall_ms.saturating_sub(observed.vault_ms) / 1000;
    if observed.is_clock_doubted {
        return Line::fail(
            "clock",
            "it has jumped, and nobody has looked at it: nothing is purged",
            "put the machine's clock right, then strongroom-vault clock confirm",
        );
    }
    if lag_s > 86_400 {
        let days = lag_s / 86_400;
        return Line::warn(
            "clock",
            format!("vault time lags {days} days behind the wall, as after a time off"),
            "it catches up by an hour a day; nothing is to be done",
        );
    }
    Line::ok("clock", format!("vault time is {lag_s} s behind the wall"))
}

fn room(observed: &Observation) -> Line {
    let Some(free) = observed.free_bytes else {
        return Line::ok("room", "the storage has no bound that it tells");
    };
    let reserve = observed.reserve_bytes;
    let next = "make room, or take a larger disk; nothing that is due stays longer than it must";
    if free < reserve {
        let found = format!(
            "{free} bytes are free, less than the reserve of {reserve}: uploads are refused"
        );
        return Line::fail("room", found, next);
    }
    if free < reserve.saturating_mul(2) {
        let found = format!("{free} bytes are free, not twice the reserve of {reserve}");
        return Line::warn("room", found, next);
    }
    Line::ok("room", format!("{free} bytes are free"))
}

fn of_repository(config: &VaultConfig, observed: &Observed, vault_ms: i64) -> Vec<Line> {
    let (repository, scrub) = (&observed.repository, &observed.scrub);
    let path = &repository.path;
    let mut lines = Vec::new();
    if observed.held == Some(Hold::ManyTombstones) {
        lines.push(Line::warn(
            "purge",
            format!("{path}: nothing is purged, because so much was deleted within a day"),
            format!(
                "was that meant? strongroom-vault repository agree-to-purge {path}; if not, \
                 strongroom-vault undelete {path}"
            ),
        ));
    }
    if scrub.rotten > 0 {
        lines.push(Line::fail(
            "rot",
            format!("{path}: {} objects are not what they were", scrub.rotten),
            "whoever has them puts them again, and they are healed: strongroom sync; then look at \
             the disk (smartctl)",
        ));
    }
    let every_ms = i64::try_from(config.verify_every.duration().as_millis()).unwrap_or(i64::MAX);
    let round_ms = scrub.round.as_ref().map(|round| round.progress.began_ms);
    let since_ms = scrub.last.map(|last| last.began_ms).or(round_ms);
    let age_ms = since_ms.map(|since_ms| vault_ms.saturating_sub(since_ms));
    // Every object is read once a round, so that two rounds may lie between its readings.
    if age_ms.is_some_and(|age_ms| age_ms > every_ms.saturating_mul(2)) {
        lines.push(Line::warn(
            "scrub",
            format!("{path}: not all was read within {}", config.verify_every),
            "is the disk too slow? raise verify_every in vault.toml, or see what the log says",
        ));
    }
    let in_ms = |period: strongroom_model::Period| {
        i64::try_from(period.duration().as_millis()).unwrap_or(i64::MAX)
    };
    if repository.keeping.retention_ms < in_ms(config.retention)
        || repository.keeping.grace_ms < in_ms(config.grace)
    {
        lines.push(Line::warn(
            "keeping",
            format!("{path} keeps things for a shorter time than vault.toml says for new ones"),
            format!(
                "strongroom-vault repository set {path} --retention {} --grace {}",
                config.retention, config.grace
            ),
        ));
    }
    lines
}

fn tokens(vault: &Vault, vault_ms: i64) -> Result<Vec<Line>> {
    let mut ending = Vec::new();
    for token in vault.tokens()? {
        let ends_ms = token.expires_ms.filter(|_| token.revoked_ms.is_none());
        let left_ms = ends_ms.map(|ends_ms| ends_ms.saturating_sub(vault_ms));
        if left_ms.is_some_and(|left_ms| (0..TOKEN_ENDS_WITHIN_MS).contains(&left_ms)) {
            ending.push(format!("{} ({} {})", token.name, token.right, token.prefix));
        }
    }
    if ending.is_empty() {
        return Ok(vec![Line::ok("tokens", "none expires within two weeks")]);
    }
    let count = ending.len();
    ending.truncate(MOST_LINES);
    Ok(vec![Line::warn(
        "tokens",
        format!("{count} expire within two weeks: {}", ending.join(", ")),
        "make new ones in time: strongroom-vault token create",
    )])
}
