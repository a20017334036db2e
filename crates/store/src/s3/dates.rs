//! Until when a file is locked: by the clock of the server, held against ours.
//!
//! What can go wrong: somebody sets our clock back, so that locks are short, or ahead, so that
//! nothing can be let go of for a century and the owner pays. So the server's clock counts; where
//! the two are far apart the later one, within a bound; and that is told.

use std::time::{Duration, SystemTime};

use crate::clock::are_apart;

/// Until when a file is locked that must stay so for `least`: half as long again from now, but
/// never more than twice as far ahead of the server.
pub(super) fn date(least: Duration, server: SystemTime, ours: SystemTime) -> SystemTime {
    let now = match are_apart(server, ours) {
        true => server.max(ours),
        false => server,
    };
    let later = |from: SystemTime, by: Duration| from.checked_add(by).unwrap_or(from);
    let wanted = later(now, least.saturating_add(least / 2));
    wanted.min(later(server, least.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const LEAST: Duration = Duration::from_secs(30 * 86_400);

    fn server() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    #[test]
    fn a_date_is_half_as_long_again_as_the_lock_by_the_clock_of_the_server() {
        for ours in [
            server(),
            server() + Duration::from_secs(600),
            server() - Duration::from_secs(600),
        ] {
            assert_eq!(date(LEAST, server(), ours), server() + DAY * 45);
            assert!(!are_apart(server(), ours));
        }
    }

    #[test]
    fn a_clock_of_ours_that_was_set_back_makes_no_lock_shorter() {
        for ours in [SystemTime::UNIX_EPOCH, server() - DAY] {
            assert_eq!(date(LEAST, server(), ours), server() + DAY * 45);
            assert!(are_apart(server(), ours));
        }
    }

    #[test]
    fn of_two_clocks_that_are_apart_the_later_one_counts_within_a_bound() {
        assert_eq!(date(LEAST, server(), server() + DAY), server() + DAY * 46);
        for ahead in [DAY * 16, DAY * 36_500] {
            let ours = server() + ahead;
            assert_eq!(date(LEAST, server(), ours), server() + DAY * 60);
        }
        // A server whose clock is wrong itself.
        let wrong = SystemTime::UNIX_EPOCH;
        assert_eq!(date(LEAST, wrong, server()), wrong + DAY * 60);
    }
}
