//! Hours, days, weeks, months and years, in UTC: whoever forgets, and wherever, they are the same.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Serialize;

const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 86_400;

/// A piece of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week of ISO 8601, which begins on a Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Unit {
    /// The number of the one in which a moment lies; the next one has the next number.
    pub(super) fn of(self, moment: Timestamp) -> i64 {
        let seconds = moment.as_second();
        let day = seconds.div_euclid(DAY_SECONDS);
        let date = || Offset::UTC.to_datetime(moment);
        match self {
            Self::Hour => seconds.div_euclid(HOUR_SECONDS),
            Self::Day => day,
            // Day 0, the first of 1970, was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => {
                let date = date();
                i64::from(date.year()) * 12 + i64::from(date.month()) - 1
            }
            Self::Year => i64::from(date().year()),
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_begins_where_the_calendar_says() {
        let differ = |unit: Unit, before: &str, from: &str| {
            let number = |text: &str| unit.of(text.parse().unwrap());
            number(from) - number(before)
        };
        let (before, from) = ("2026-03-01T11:59:59.999Z", "2026-03-01T12:00:00Z");
        assert_eq!(differ(Unit::Hour, before, from), 1);
        assert_eq!(differ(Unit::Day, before, from), 0);
        let (before, from) = ("2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z");
        assert_eq!(differ(Unit::Day, before, from), 1);
        assert_eq!(differ(Unit::Week, before, from), 0, "Saturday, Sunday");
        assert_eq!(differ(Unit::Month, before, from), 1);
        assert_eq!(differ(Unit::Year, before, from), 0);
        let (before, from) = ("2026-03-01T23:59:59Z", "2026-03-02T00:00:00Z");
        assert_eq!(differ(Unit::Week, before, from), 1, "Sunday, Monday");
        assert_eq!(differ(Unit::Month, before, from), 0);
        let (before, from) = ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z");
        assert_eq!(differ(Unit::Week, before, from), 0, "one week of two years");
        assert_eq!(differ(Unit::Month, before, from), 1);
        assert_eq!(differ(Unit::Year, before, from), 1);
        let (before, from) = ("2024-02-28T12:00:00Z", "2026-02-28T12:00:00Z");
        assert_eq!(differ(Unit::Day, before, from), 366 + 365);
        assert_eq!(differ(Unit::Month, before, from), 24);
    }
}
