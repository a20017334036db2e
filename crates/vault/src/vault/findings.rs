//! What somebody should look at: one list, for `doctor` on the vault's machine and for the API, so
//! that neither calls sound what the other does not.
//!
//! It reads and changes nothing. What it finds is no secret to whoever runs the vault. A command in
//! a hint ends at a comma, a semicolon or the end, and can be typed as it stands.

use strongroom_model::{ByteSize, Period};

use crate::Result;
use crate::config::NotifyConfig;
use crate::records::{cosigned, leaves, look_back, notices, receipts, tombstones};
use crate::rules::clock::{DAY_MS, SECOND_MS};
use crate::rules::life::State;
use crate::rules::purge::Keeping;
use crate::vault::jobs::{self, Job};
use crate::vault::{Observation, Observed, Vault};

/// So long before its end a token is warned of.
const TOKEN_ENDS_WITHIN_MS: i64 = 14 * DAY_MS;

/// For how long the log may be behind.
pub(crate) const LOG_BEHIND_MS: i64 = 15 * SECOND_MS;

/// How many rotten objects are named.
const ROTTEN_NAMED: u64 = 10;

/// How many tokens are named.
const TOKENS_NAMED: usize = 20;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// Whether it is broken, and not only to be seen to.
    pub is_broken: bool,
    /// What it is about, as the path of a repository.
    pub about: String,
    /// What is to be seen.
    pub problem: String,
    /// The next step.
    pub hint: Option<String>,
}

/// What the vault is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Within which time it reads all it has.
    pub verify_every_ms: i64,
    /// For how long its log has been behind, where somebody serves it; `None` where nobody needs
    /// to.
    pub behind_ms: Option<i64>,
    /// Over which channels people are told; `None` where nobody asks.
    pub channels: Option<Channels>,
}

/// The channels of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// How many there are that are told at once, and not only where nobody has acknowledged.
    pub count: usize,
    /// How many of them lie outside of production's domain, as declared.
    pub outside_production: usize,
}

impl Channels {
    /// Counts what is configured.
    pub fn of(configs: &[NotifyConfig]) -> Self {
        let at_once = || {
            configs
                .iter()
                .filter(|config| !config.wants.escalation_only)
        };
        let outside = at_once().filter(|config| config.is_outside_production);
        Self {
            count: at_once().count(),
            outside_production: outside.count(),
        }
    }
}

impl Finding {
    fn warn(check: &'static str, about: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            check,
            is_broken: false,
            about: about.into(),
            problem: problem.into(),
            hint: None,
        }
    }

    fn fail(check: &'static str, about: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            is_broken: true,
            ..Self::warn(check, about, problem)
        }
    }

    fn next(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl Vault {
    /// Looks for what somebody should look at.
    ///
    /// # Errors
    /// Those of the database.
    pub fn findings(&self, demands: Demands) -> Result<Vec<Finding>> {
        let observed = self.observe()?;
        let mut findings = Vec::new();
        findings.extend(clock(&observed));
        findings.extend(caught_up(&observed)?);
        findings.extend(room(&observed));
        if let Some(behind_ms) = demands.behind_ms {
            findings.extend(self.serving(behind_ms)?);
        }
        findings.extend(self.look_at_log()?);
        for repository in &observed.repositories {
            findings.extend(self.of_repository(repository, observed.vault_ms, demands)?);
        }
        for ((path, source), newest) in self.all_newest_snapshots()? {
            if !newest.is_whole {
                let problem = format!("The newest snapshot of source {source} is not whole here");
                let finding = Finding::warn("snapshots", path.to_string(), problem);
                findings.push(finding.next("a sync by its client brings what is missing"));
            }
        }
        let wrong = self.read(|transaction| receipts::count_wrongly_held(transaction))?;
        if wrong > 0 {
            let problem = format!("{wrong} receipts hold back too much, or too little");
            let finding = Finding::fail("receipts", "receipts", problem);
            findings.push(finding.next("this is a fault of this program: please report it"));
        }
        findings.extend(self.ending_tokens(observed.vault_ms)?);
        if let Some(channels) = demands.channels {
            findings.extend(self.telling(channels)?);
        }
        Ok(findings)
    }

    /// What whoever serves has to do all the time.
    fn serving(&self, behind_ms: i64) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        if behind_ms > LOG_BEHIND_MS {
            let problem = format!("Nothing was published for {} s", behind_ms / SECOND_MS);
            let finding = Finding::fail("log", "log", problem);
            findings.push(finding.next("what the process says on standard error tells why"));
        }
        if self
            .read(|transaction| jobs::holder(transaction, Job::Clock))?
            .is_none()
        {
            let problem = "No process moves the clock: vault time stands still";
            let finding = Finding::warn("clock", "clock", problem);
            findings.push(finding.next("ask again in half a minute, when a lease has run out"));
        }
        Ok(findings)
    }

    /// Whether anybody would be told of anything.
    fn telling(&self, channels: Channels) -> Result<Vec<Finding>> {
        let mut findings: Vec<Finding> = who_is_told(channels).into_iter().collect();
        let (failing, unseen) = self.read(|transaction| {
            let failing = notices::failing(transaction)?;
            Ok((failing, notices::count_unseen(transaction)?))
        })?;
        for failing in failing {
            let since = leaves::timestamp(failing.since_ms)?;
            let problem = format!(
                "Nothing has reached the channel {} since {since}, by vault time, and it lacks {} \
                 notices: {}",
                failing.channel, failing.notices, failing.error
            );
            let finding = Finding::fail("notify", "notify", problem);
            findings.push(finding.next(format!(
                "mend it, and try it: strongroom-vault notify test --channel {}",
                failing.channel
            )));
        }
        if unseen > 0 {
            let problem = format!("{unseen} critical notices are acknowledged by nobody");
            let finding = Finding::warn("notify", "notify", problem);
            findings.push(finding.next(
                "look at them: strongroom-vault notify list; then: strongroom-vault notify \
                 acknowledge N",
            ));
        }
        Ok(findings)
    }

    fn look_at_log(&self) -> Result<Vec<Finding>> {
        let (look_back, witnesses) = self.read(|transaction| {
            let look_back = look_back::get(transaction)?;
            Ok((look_back, cosigned::witnesses(transaction)?))
        })?;
        let mut findings = Vec::new();
        for wrong in look_back.wrong {
            let problem = format!("Its files are not what was written: {}", wrong.what);
            let finding = Finding::fail("log", "log", problem);
            findings.push(finding.next("strongroom-vault log verify; then put the file back"));
        }
        for witness in witnesses {
            let Some(trouble) = witness.trouble else {
                continue;
            };
            let name = witness.vkey.split('+').next().unwrap_or_default();
            let problem = format!("The witness {name} does not cosign: {trouble}");
            let finding = Finding::warn("witnesses", "log", problem);
            findings.push(finding.next("strongroom-vault witness show"));
        }
        Ok(findings)
    }

    fn of_repository(
        &self,
        observed: &Observed,
        vault_ms: i64,
        demands: Demands,
    ) -> Result<Vec<Finding>> {
        let (repository, scrub) = (&observed.repository, &observed.scrub);
        let path = &repository.path;
        let mut findings = Vec::new();
        if repository.purge_held_ms.is_some() {
            let tombstones =
                self.read(|transaction| tombstones::look(transaction, repository.id))?;
            let problem = format!(
                "Very many deletions were asked for in a day, or what nothing opens without was \
                 deleted, and nothing is purged: there are {tombstones}"
            );
            let finding = Finding::warn("purge", path.to_string(), problem);
            let options = tombstones.options();
            findings.push(finding.next(format!(
                "look at them; were they meant: strongroom-vault repository agree-to-purge {path} \
                 {options}; if not: strongroom-vault undelete {path}"
            )));
        }
        if scrub.rotten > 0 {
            let named = self.rotten(path, None, ROTTEN_NAMED)?;
            let mut names: Vec<String> = named.iter().map(|(name, _)| name.to_string()).collect();
            if scrub.rotten > names.len() as u64 {
                names.push("…".to_owned());
            }
            let problem = format!(
                "{} objects are not what they were: {}",
                scrub.rotten,
                names.join(", ")
            );
            let finding = Finding::fail("rot", path.to_string(), problem);
            findings.push(finding.next(
                "whoever has them puts them again, and they are healed: strongroom sync; then \
                 look at the disk (smartctl)",
            ));
        }
        let round_ms = scrub.round.as_ref().map(|round| round.progress.began_ms);
        let since_ms = scrub.last.map(|last| last.began_ms).or(round_ms);
        let age_ms = since_ms.map(|since_ms| vault_ms.saturating_sub(since_ms));
        let every_ms = demands.verify_every_ms;
        // Every object is read once a round, so that two rounds may lie between its readings.
        if age_ms.is_some_and(|age_ms| age_ms > every_ms.saturating_mul(2)) {
            let every = Period::of_milliseconds(every_ms);
            let problem = format!("Not all was read within {every}");
            let finding = Finding::warn("scrub", path.to_string(), problem);
            findings.push(finding.next(
                "is the disk too slow? raise verify_every in vault.toml, or see what the log says",
            ));
        }
        findings.extend(keeping(
            &path.to_string(),
            repository.keeping,
            self.shared.settings.keeping,
        ));
        let keys = observed.tally(State::Pending).objects;
        if keys > 0 {
            let problem = format!("{keys} keys wait to be let in");
            let finding = Finding::warn("keys", path.to_string(), problem);
            findings.push(finding.next(format!("strongroom-vault key list {path}")));
        }
        Ok(findings)
    }

    fn ending_tokens(&self, vault_ms: i64) -> Result<Option<Finding>> {
        let mut ending = Vec::new();
        for token in self.tokens()? {
            let ends_ms = token.expires_ms.filter(|_| token.revoked_ms.is_none());
            let left_ms = ends_ms.map(|ends_ms| ends_ms.saturating_sub(vault_ms));
            if left_ms.is_some_and(|left_ms| (0..TOKEN_ENDS_WITHIN_MS).contains(&left_ms)) {
                ending.push(format!("{} ({} {})", token.name, token.right, token.prefix));
            }
        }
        if ending.is_empty() {
            return Ok(None);
        }
        let count = ending.len();
        ending.truncate(TOKENS_NAMED);
        let problem = format!("{count} expire within two weeks: {}", ending.join(", "));
        let finding = Finding::warn("tokens", "tokens", problem);
        Ok(Some(finding.next(
            "make new ones in time: strongroom-vault token create --repository PATH --right RIGHT",
        )))
    }
}

fn who_is_told(channels: Channels) -> Option<Finding> {
    let problem = match channels {
        Channels { count: 0, .. } => "No channel is configured: nobody is told of anything",
        Channels {
            outside_production: 0,
            ..
        } => {
            "No channel lies outside of production's domain: whoever holds production can silence \
             all of them"
        }
        Channels { .. } => return None,
    };
    let finding = Finding::warn("notify", "notify", problem);
    Some(finding.next(
        "write a [[notify]] with outside_production = true into vault.toml, restart the vault, and \
         try it: strongroom-vault notify test",
    ))
}

fn clock(observed: &Observation) -> Option<Finding> {
    if observed.is_clock_doubted {
        let problem = "The wall clock has jumped, and nobody has looked at it: nothing is purged";
        let finding = Finding::fail("clock", "clock", problem);
        let next = "put the machine's clock right; then: strongroom-vault clock confirm";
        return Some(finding.next(next));
    }
    let lag_ms = observed.wall_ms.saturating_sub(observed.vault_ms);
    if lag_ms > DAY_MS {
        let days = lag_ms / DAY_MS;
        let problem = format!("Vault time lags {days} days behind the wall, as after a time off");
        let finding = Finding::warn("clock", "clock", problem);
        return Some(finding.next(
            "it catches up by an hour a day, and nothing has to be done; where the vault really \
             was off, sooner: strongroom-vault clock confirm --help",
        ));
    }
    None
}

/// What a long leap of the clock holds back for a day.
fn caught_up(observed: &Observation) -> Result<Option<Finding>> {
    let Some(until_ms) = observed.leap_holds_until_ms else {
        return Ok(None);
    };
    let until = leaves::timestamp(until_ms)?;
    let problem = format!(
        "An operator has had vault time catch up more than a day: what became due by that alone is \
         not purged before {until}, by vault time"
    );
    let finding = Finding::warn("clock", "clock", problem);
    Ok(Some(finding.next(
        "nothing has to be done where the vault really was off; if it was not, keep things longer \
         before that: strongroom-vault repository set --help",
    )))
}

fn room(observed: &Observation) -> Option<Finding> {
    let free = observed.free_bytes?;
    let reserve = observed.reserve_bytes;
    let next = "make room, or take a larger disk; nothing that is due stays longer than it must";
    let spoken = |bytes| ByteSize::from_bytes(bytes).spoken();
    if free < reserve {
        let problem = format!(
            "{} are free, less than the reserve of {}: uploads are refused",
            spoken(free),
            spoken(reserve)
        );
        return Some(Finding::fail("room", "room", problem).next(next));
    }
    if free < reserve.saturating_mul(2) {
        let problem = format!(
            "{} are free, not twice the reserve of {}",
            spoken(free),
            spoken(reserve)
        );
        return Some(Finding::warn("room", "room", problem).next(next));
    }
    None
}

fn keeping(path: &str, kept: Keeping, of_new: Keeping) -> Option<Finding> {
    if kept.retention_ms >= of_new.retention_ms && kept.grace_ms >= of_new.grace_ms {
        return None;
    }
    let problem = "It keeps things for a shorter time than vault.toml says for new ones";
    let finding = Finding::warn("keeping", path, problem);
    Some(finding.next(format!(
        "strongroom-vault repository set {path} --retention {} --grace {}",
        Period::of_milliseconds(of_new.retention_ms.max(kept.retention_ms)),
        Period::of_milliseconds(of_new.grace_ms.max(kept.grace_ms))
    )))
}
