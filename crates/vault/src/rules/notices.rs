//! When a notice is sent, where to, and how often.
//!
//! What can go wrong: nobody looks. So a critical notice is sent again until somebody says that he
//! has seen it, and after a while to others as well. And the opposite: whoever causes notices without
//! end would fill every mailbox, and have the one that matters overlooked. So each channel is sent so
//! many messages and no more, and what comes beyond that comes together, in one.

use crate::rules::clock::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// For how long an ordinary notice is tried.
pub const TRIED_FOR_MS: i64 = 7 * DAY_MS;

/// For how long a notice is kept that is done with.
pub const KEPT_FOR_MS: i64 = 90 * DAY_MS;

/// The most notices that wait to be sent; and the most that are kept behind that.
pub const MOST_KEPT: u64 = 10_000;

/// Within which time equal notices are one.
pub const FOLDED_MS: i64 = MINUTE_MS;

/// After how long a critical notice goes to those who are told only where nobody has seen it.
pub const ESCALATES_AFTER_MS: i64 = 15 * MINUTE_MS;

/// The first pause behind a failure.
const SHORTEST_PAUSE_MS: i64 = 10 * SECOND_MS;

/// The longest pause behind failures.
const LONGEST_PAUSE_MS: i64 = HOUR_MS;

/// How many messages a channel is sent at once.
const BURST: i64 = 20;

/// After how long it is sent one more.
const ONE_MORE_MS: i64 = MINUTE_MS;

/// Up to how many notices are sent one by one, and not together.
pub const MOST_SINGLY: usize = 5;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An operation was asked for.
    Request,
    /// Somebody has agreed to an operation.
    Approval,
    /// An operation was stopped.
    Stop,
    /// An operation was done.
    Done,
    /// The vault was sealed.
    Seal,
    /// The seal was opened.
    Unseal,
    /// Somebody has signed in from where he never did.
    NewPlace,
    /// The operators are to begin again, or somebody has used a recovery code.
    Recovery,
    /// One operator alone has asked for something, and it waits.
    Alone,
    /// The guard has concluded something.
    Verdict,
    /// Purging waits, as very much was asked to be deleted.
    PurgeHeld,
    /// The wall clock was not believed.
    ClockJump,
    /// The log's files are not what was written, or a witness gives alarm.
    LogWrong,
    /// A log that is cosigned here does not go on from what was cosigned.
    WitnessAlarm,
    /// The first object of a repository has rotted.
    Rotten,
    /// Somebody tries the channels.
    Test,
    /// Several notices in one message; none that is kept is this.
    Several,
}

impl Kind {
    const ALL: [Self; 17] = [
        Self::Request,
        Self::Approval,
        Self::Stop,
        Self::Done,
        Self::Seal,
        Self::Unseal,
        Self::NewPlace,
        Self::Recovery,
        Self::Alone,
        Self::Verdict,
        Self::PurgeHeld,
        Self::ClockJump,
        Self::LogWrong,
        Self::WitnessAlarm,
        Self::Rotten,
        Self::Test,
        Self::Several,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Stop => "stop",
            Self::Done => "done",
            Self::Seal => "seal",
            Self::Unseal => "unseal",
            Self::NewPlace => "new-place",
            Self::Recovery => "recovery",
            Self::Alone => "alone",
            Self::Verdict => "verdict",
            Self::PurgeHeld => "purge-held",
            Self::ClockJump => "clock-jump",
            Self::LogWrong => "log-wrong",
            Self::WitnessAlarm => "witness-alarm",
            Self::Rotten => "rotten",
            Self::Test => "test",
            Self::Several => "several",
        }
    }

    /// The kind of a word; `None` where it is none.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// To be read some time.
    Ordinary,
    /// To be seen now: it is repeated until somebody says that he has.
    Critical,
}

impl Level {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Critical => "critical",
        }
    }

    /// The number that the database keeps.
    pub const fn number(self) -> i64 {
        match self {
            Self::Ordinary => 0,
            Self::Critical => 1,
        }
    }

    /// The level of a number; `None` where it is none.
    pub const fn of_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Ordinary),
            1 => Some(Self::Critical),
            _ => None,
        }
    }
}

/// What a channel wants to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Of critical notices alone.
    pub critical_only: bool,
    /// Only where a critical one stays unacknowledged.
    pub escalation_only: bool,
}

/// When a notice is sent to a channel for the first time; `None` where it never is.
pub const fn first_ms(level: Level, wants: Wants, made_ms: i64) -> Option<i64> {
    match (level, wants.escalation_only) {
        (Level::Critical, true) => Some(made_ms.saturating_add(ESCALATES_AFTER_MS)),
        (Level::Critical, false) => Some(made_ms),
        (Level::Ordinary, true) => None,
        (Level::Ordinary, false) if wants.critical_only => None,
        (Level::Ordinary, false) => Some(made_ms),
    }
}

/// When it is sent again after it was; `None` where it is done with.
pub fn again_ms(level: Level, made_ms: i64, now_ms: i64) -> Option<i64> {
    match level {
        Level::Ordinary => None,
        Level::Critical => Some(now_ms.saturating_add(repeats_after_ms(made_ms, now_ms))),
    }
}

/// How often a critical notice is sent: every five minutes for an hour, then every half hour.
fn repeats_after_ms(made_ms: i64, now_ms: i64) -> i64 {
    match now_ms.saturating_sub(made_ms) < HOUR_MS {
        true => 5 * MINUTE_MS,
        false => 30 * MINUTE_MS,
    }
}

/// When it is tried again after so many failures in a row; `None` where it is given up. `random` is
/// any number, so that not all that failed at once is tried at once. A critical notice is never
/// given up, nor does it wait longer than it would to be repeated.
pub fn retry_ms(
    level: Level,
    made_ms: i64,
    now_ms: i64,
    failures: u32,
    random: u64,
) -> Option<i64> {
    let doubled = 1_i64
        .checked_shl(failures.saturating_sub(1).min(30))
        .unwrap_or(i64::MAX);
    let longest_ms = match level {
        Level::Ordinary => LONGEST_PAUSE_MS,
        Level::Critical => repeats_after_ms(made_ms, now_ms),
    };
    let pause_ms = SHORTEST_PAUSE_MS.saturating_mul(doubled).min(longest_ms);
    let share = u64::try_from(pause_ms / 4).unwrap_or_default().max(1);
    let jitter_ms = i64::try_from(random % share).unwrap_or_default();
    let pause_ms = pause_ms.saturating_sub(jitter_ms).max(SHORTEST_PAUSE_MS);
    let next_ms = now_ms.saturating_add(pause_ms);
    let is_given_up = level == Level::Ordinary && next_ms.saturating_sub(made_ms) > TRIED_FOR_MS;
    (!is_given_up).then_some(next_ms)
}

/// How many messages a channel may be sent now. Twenty at once, then one a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Until when what was sent counts.
    full_ms: Option<i64>,
}

impl Pace {
    /// How many more it may be, by a clock that never runs back.
    pub fn left(&self, now_ms: i64) -> usize {
        let full_ms = self.full_ms.unwrap_or(now_ms).max(now_ms);
        let ahead_ms = full_ms.saturating_sub(now_ms);
        let used = ahead_ms.saturating_add(ONE_MORE_MS - 1) / ONE_MORE_MS;
        usize::try_from(BURST.saturating_sub(used)).unwrap_or_default()
    }

    /// Counts messages that are sent.
    #[must_use]
    pub fn after(self, messages: usize, now_ms: i64) -> Self {
        let full_ms = self.full_ms.unwrap_or(now_ms).max(now_ms);
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        Self {
            full_ms: Some(full_ms.saturating_add(messages.saturating_mul(ONE_MORE_MS))),
        }
    }

    /// Into how many messages so many notices go.
    pub fn messages(&self, notices: usize, now_ms: i64) -> usize {
        match self.left(now_ms) {
            0 => 0,
            left if notices <= left.min(MOST_SINGLY) => notices,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MADE_MS: i64 = 1_800_000_000_000;

    #[test]
    fn words_are_of_one_kind_each() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_word(kind.word()), Some(kind));
        }
        assert_eq!(Kind::of_word("nothing"), None);
    }

    #[test]
    fn a_channel_is_told_what_it_wants_and_escalation_waits_a_quarter_of_an_hour() {
        let all = Wants::default();
        let critical = Wants {
            critical_only: true,
            ..all
        };
        let escalation = Wants {
            escalation_only: true,
            ..all
        };
        let first = |level, wants| first_ms(level, wants, MADE_MS);
        assert_eq!(first(Level::Ordinary, all), Some(MADE_MS));
        assert_eq!(first(Level::Ordinary, critical), None);
        assert_eq!(first(Level::Ordinary, escalation), None);
        assert_eq!(first(Level::Critical, all), Some(MADE_MS));
        assert_eq!(first(Level::Critical, critical), Some(MADE_MS));
        let later = MADE_MS + 15 * MINUTE_MS;
        assert_eq!(first(Level::Critical, escalation), Some(later));
    }

    #[test]
    fn a_critical_one_repeats_every_five_minutes_for_an_hour_and_then_every_half_hour() {
        assert_eq!(again_ms(Level::Ordinary, MADE_MS, MADE_MS), None);
        let mut now_ms = MADE_MS;
        let mut sent = Vec::new();
        while now_ms < MADE_MS + 3 * HOUR_MS {
            sent.push((now_ms - MADE_MS) / MINUTE_MS);
            now_ms = again_ms(Level::Critical, MADE_MS, now_ms).unwrap();
        }
        let expected = [
            0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 90, 120, 150,
        ];
        assert_eq!(sent, expected);
        let year_ms = MADE_MS + 365 * DAY_MS;
        assert!(again_ms(Level::Critical, MADE_MS, year_ms).is_some());
    }

    #[test]
    fn an_ordinary_one_is_tried_for_a_week_less_and_less_often() {
        let (mut now_ms, mut failures) = (MADE_MS, 0);
        let mut pauses = Vec::new();
        loop {
            failures += 1;
            let Some(next_ms) = retry_ms(Level::Ordinary, MADE_MS, now_ms, failures, 0) else {
                break;
            };
            pauses.push((next_ms - now_ms) / SECOND_MS);
            now_ms = next_ms;
        }
        assert_eq!(
            &pauses[..10],
            [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
        );
        let left_ms = MADE_MS + TRIED_FOR_MS - now_ms;
        assert!((0..=HOUR_MS).contains(&left_ms), "{left_ms}");
        assert!(failures < 200, "{failures}");
    }

    #[test]
    fn twenty_at_once_then_one_a_minute_and_the_rest_together() {
        let mut pace = Pace::default();
        assert_eq!(pace.left(0), 20);
        assert_eq!(pace.messages(5, 0), 5);
        assert_eq!(pace.messages(6, 0), 1);
        for _ in 0..20 {
            assert_eq!(pace.messages(1, 0), 1);
            pace = pace.after(1, 0);
        }
        assert_eq!((pace.left(0), pace.messages(1_000, 0)), (0, 0));
        assert_eq!(pace.left(MINUTE_MS - 1), 0);
        assert_eq!(pace.messages(1_000, MINUTE_MS), 1);
        pace = pace.after(1, MINUTE_MS);
        assert_eq!(pace.left(MINUTE_MS), 0);
        assert_eq!(pace.left(3 * HOUR_MS), 20);
    }

    proptest! {
        #[test]
        fn a_retry_is_within_its_bounds(
            is_critical: bool,
            age_ms in 0..400 * DAY_MS,
            failures in 0..u32::MAX,
            random: u64,
        ) {
            let level = if is_critical { Level::Critical } else { Level::Ordinary };
            let now_ms = MADE_MS + age_ms;
            let next_ms = retry_ms(level, MADE_MS, now_ms, failures, random);
            match next_ms {
                None => prop_assert!(!is_critical && age_ms > TRIED_FOR_MS - HOUR_MS),
                Some(next_ms) => {
                    let pause_ms = next_ms - now_ms;
                    prop_assert!((10 * SECOND_MS..=HOUR_MS).contains(&pause_ms));
                    let again_ms = again_ms(level, MADE_MS, now_ms);
                    prop_assert!(again_ms.is_none_or(|again_ms| next_ms <= again_ms));
                }
            }
        }

        #[test]
        fn whoever_causes_notices_has_no_more_messages_sent(
            steps in prop::collection::vec((0..10 * MINUTE_MS, 0..2_000_usize), 1..100),
        ) {
            let (mut pace, mut now_ms, mut sent) = (Pace::default(), 0, 0);
            for (pause_ms, notices) in steps {
                now_ms += pause_ms;
                let messages = pace.messages(notices, now_ms);
                prop_assert!(messages <= notices);
                pace = pace.after(messages, now_ms);
                sent += messages;
                let most = 20 + now_ms / MINUTE_MS;
                prop_assert!(sent <= usize::try_from(most).unwrap());
            }
        }
    }
}
