//! Times as people say them: "12 min ago".
//!
//! Clocks of several machines disagree; a time that lies ahead is said to lie ahead, and is never
//! rounded down to "just now".

use jiff::{SignedDuration, Timestamp};

/// Says how long before `now` a moment was: "40 s ago", "12 min ago", "3 h ago", "6 d ago".
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    let passed = now.duration_since(then);
    if passed.is_negative() {
        format!("{} ahead of this clock", lasting(passed.abs()))
    } else {
        format!("{} ago", lasting(passed))
    }
}

/// Says how long something lasts, in one unit and rounded down.
pub fn lasting(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distance_has_its_unit() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let said = |seconds: i64| ago(now, now - SignedDuration::from_secs(seconds));
        assert_eq!(said(0), "0 s ago");
        assert_eq!(said(59), "59 s ago");
        assert_eq!(said(60), "1 min ago");
        assert_eq!(said(12 * 60 + 30), "12 min ago");
        assert_eq!(said(3 * 3_600), "3 h ago");
        assert_eq!(said(47 * 3_600), "47 h ago");
        assert_eq!(said(48 * 3_600), "2 d ago");
        assert_eq!(said(400 * 86_400), "400 d ago");
    }

    #[test]
    fn a_time_that_lies_ahead_is_not_called_past() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let later = now + SignedDuration::from_mins(5);
        assert_eq!(ago(now, later), "5 min ahead of this clock");
        assert_eq!(
            ago(Timestamp::MIN, Timestamp::MAX),
            "7304481 d ahead of this clock".to_owned(),
        );
    }
}
