//! Sessions: for how long somebody is believed who has shown who he is.

use crate::factor::Shown;
use crate::operator::OperatorId;
use crate::{HOUR_MS, MINUTE_MS};

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a browser, on the vault's own pages.
    Console,
    /// In a browser, on the pages of another host that the vault lets people in to.
    Host,
    /// On the command line.
    CommandLine,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub operator: OperatorId,
    /// Where.
    pub place: Place,
    /// What he has shown.
    pub shown: Shown,
    /// When, by vault time; where he has shown it anew, when he did.
    pub shown_ms: i64,
    /// When it began.
    pub began_ms: i64,
    /// When it was last used.
    pub used_ms: i64,
}

/// So long nobody ends the sessions of the same operator again: whoever did so without end would
/// lock him out.
const ENDED_AGAIN_AFTER_MS: i64 = HOUR_MS;

/// Whether somebody may end the sessions of another operator, of whom he has last done so at a moment;
/// his own he ends whenever he likes.
pub fn may_end_again(last_ms: Option<i64>, now_ms: i64) -> bool {
    last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= ENDED_AGAIN_AFTER_MS)
}

impl Place {
    /// How long a session lasts, however much it is used.
    pub const fn lasts_ms(self) -> i64 {
        match self {
            Self::Console | Self::Host => 12 * HOUR_MS,
            Self::CommandLine => HOUR_MS,
        }
    }

    /// How long it lasts without being used.
    pub const fn idle_ms(self) -> i64 {
        match self {
            Self::Console | Self::Host => 15 * MINUTE_MS,
            Self::CommandLine => HOUR_MS,
        }
    }
}

impl Session {
    /// Whether it counts at a moment.
    pub fn counts_at(&self, now_ms: i64) -> bool {
        let is_within = |since_ms: i64, most_ms: i64| now_ms.saturating_sub(since_ms) < most_ms;
        is_within(self.began_ms, self.place.lasts_ms())
            && is_within(self.used_ms, self.place.idle_ms())
    }

    /// What whoever has it shows by it at a moment; `None` where it does not count, or is for the pages
    /// of another host.
    pub fn shown_at(&self, now_ms: i64) -> Option<Shown> {
        match (self.counts_at(now_ms), self.place, self.shown) {
            (false, ..) | (true, Place::Host, _) => None,
            (true, Place::CommandLine, _) => Some(Shown::Elsewhere),
            (true, Place::Console, Shown::Passkey) => Some(Shown::PasskeyBefore),
            (true, Place::Console, shown) => Some(shown),
        }
    }

    /// Whether a factor was shown within a time, as what is guarded more strictly wants.
    pub fn is_fresh_at(&self, now_ms: i64, within_ms: i64) -> bool {
        self.counts_at(now_ms) && now_ms.saturating_sub(self.shown_ms) < within_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(place: Place) -> Session {
        Session {
            operator: OperatorId(1),
            place,
            shown: Shown::Passkey,
            shown_ms: 0,
            began_ms: 0,
            used_ms: 0,
        }
    }

    #[test]
    fn nobody_locks_another_out_by_ending_his_sessions_without_end() {
        assert!(may_end_again(None, 0));
        assert!(!may_end_again(Some(0), HOUR_MS - 1));
        assert!(may_end_again(Some(0), HOUR_MS));
    }

    #[test]
    fn a_session_shows_no_passkey_and_none_of_another_host_shows_anything() {
        let shown_at = |place, now_ms| session(place).shown_at(now_ms);
        assert_eq!(shown_at(Place::Console, 0), Some(Shown::PasskeyBefore));
        assert_eq!(shown_at(Place::CommandLine, 0), Some(Shown::Elsewhere));
        assert_eq!(shown_at(Place::Host, 0), None);
        assert_eq!(shown_at(Place::Console, 15 * MINUTE_MS), None);
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_in_any_case_after_half_a_day() {
        let mut console = session(Place::Console);
        assert!(console.counts_at(15 * MINUTE_MS - 1));
        assert!(!console.counts_at(15 * MINUTE_MS));
        console.used_ms = 12 * HOUR_MS - 1;
        assert!(console.counts_at(12 * HOUR_MS - 1));
        assert!(!console.counts_at(12 * HOUR_MS));
        assert!(!console.is_fresh_at(11 * HOUR_MS, HOUR_MS));
        let mut line = session(Place::CommandLine);
        assert!(line.counts_at(HOUR_MS - 1));
        line.used_ms = HOUR_MS;
        assert!(!line.counts_at(HOUR_MS));
    }
}
