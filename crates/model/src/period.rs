//! Periods of time as people write them: `90s`, `15m`, `24h`, `7d`, `8w`, `1y`.
//!
//! A period remembers its unit, so that "at most 24 h" stays what the operator wrote; two periods
//! are equal when they last equally long.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};

/// How a period is written, as told to people.
pub const RULE: &str = "a period is a whole number and one of the units s, m, h, d, w, y: \"24h\"";

/// The longest period: what is longer is a mistake.
const LONGEST_SECONDS: u64 = 100 * 365 * 86_400;

/// A period of time from one second to a hundred years.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    count: u32,
    unit: Unit,
}

/// A unit of [`Period`]; a year has 365 days.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Year,
}

impl Period {
    /// A period of `count` hours.
    pub const fn hours(count: u32) -> Self {
        Self {
            count,
            unit: Unit::Hour,
        }
    }

    /// A period of `count` days.
    pub const fn days(count: u32) -> Self {
        Self {
            count,
            unit: Unit::Day,
        }
    }

    /// The period that lasts so many milliseconds, in the largest of the units d, h, m and s that it
    /// is a whole number of; the nearest one where there is none.
    pub fn of_milliseconds(milliseconds: i64) -> Self {
        let seconds = u64::try_from(milliseconds / 1_000).unwrap_or_default();
        let seconds = seconds.clamp(1, LONGEST_SECONDS);
        let units = [Unit::Day, Unit::Hour, Unit::Minute];
        let mut whole = units
            .into_iter()
            .filter(|unit| seconds.is_multiple_of(unit.seconds()));
        let unit = whole.next().unwrap_or(Unit::Second);
        Self {
            count: u32::try_from(seconds / unit.seconds()).unwrap_or(u32::MAX),
            unit,
        }
    }

    /// How long it lasts in seconds.
    pub const fn seconds(self) -> u64 {
        self.count as u64 * self.unit.seconds()
    }

    /// How long it lasts in milliseconds, which a hundred years are far from filling.
    pub const fn milliseconds(self) -> i64 {
        self.seconds().cast_signed().saturating_mul(1_000)
    }

    /// How long it lasts.
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.seconds()).unwrap_or(i64::MAX))
    }

    /// The period in a sentence, with the unit apart: "24 h", "15 min".
    pub fn spoken(self) -> String {
        let unit = match self.unit {
            Unit::Minute => "min",
            unit => unit.letter(),
        };
        format!("{} {unit}", self.count)
    }

    /// The period that was probably meant by "24 hrs", "2 weeks" or "3 months".
    pub(crate) fn suggest(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at_checked(end)?;
        let count = digits.parse::<u32>().ok()?;
        let (factor, unit) = match unit.trim().to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => (1, Unit::Second),
            "m" | "min" | "mins" | "minute" | "minutes" => (1, Unit::Minute),
            "h" | "hr" | "hrs" | "hour" | "hours" => (1, Unit::Hour),
            "d" | "day" | "days" => (1, Unit::Day),
            "w" | "wk" | "wks" | "week" | "weeks" => (1, Unit::Week),
            "mo" | "mon" | "month" | "months" => (30, Unit::Day),
            "y" | "yr" | "yrs" | "year" | "years" => (1, Unit::Year),
            _ => return None,
        };
        Self::checked(count.checked_mul(factor)?, unit)
    }

    fn checked(count: u32, unit: Unit) -> Option<Self> {
        let period = Self { count, unit };
        (1..=LONGEST_SECONDS)
            .contains(&period.seconds())
            .then_some(period)
    }
}

impl Unit {
    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Year => 365 * 86_400,
        }
    }

    const fn letter(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Year => "y",
        }
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let end = text.find(|c: char| !c.is_ascii_digit())?;
            let (digits, unit) = text.split_at_checked(end)?;
            let unit = match unit {
                "s" => Unit::Second,
                "m" => Unit::Minute,
                "h" => Unit::Hour,
                "d" => Unit::Day,
                "w" => Unit::Week,
                "y" => Unit::Year,
                _ => return None,
            };
            Self::checked(digits.parse().ok()?, unit)
        };
        read().ok_or_else(|| Error::Period {
            text: text.chars().take(64).collect(),
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl PartialEq for Period {
    fn eq(&self, other: &Self) -> bool {
        self.seconds() == other.seconds()
    }
}

impl Eq for Period {}

impl PartialOrd for Period {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Period {
    fn cmp(&self, other: &Self) -> Ordering {
        self.seconds().cmp(&other.seconds())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|_| de::Error::custom(RULE))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_lasts_as_long_as_it_says() {
        let seconds = |text: &str| text.parse::<Period>().unwrap().seconds();
        assert_eq!(seconds("90s"), 90);
        assert_eq!(seconds("15m"), 900);
        assert_eq!(seconds("24h"), seconds("1d"));
        assert_eq!(seconds("8w"), seconds("56d"));
        assert_eq!(seconds("1y"), seconds("365d"));
    }

    #[test]
    fn what_is_not_exactly_a_period_is_refused() {
        for bad in [
            "",
            "h",
            "24",
            "24 h",
            "24 hrs",
            "-1h",
            "+1h",
            "1.5h",
            "1h30m",
            "0s",
            "24H",
            "٣h",
            "101y",
            "99999999999s",
        ] {
            assert!(bad.parse::<Period>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let suggest = |text| Period::suggest(text).map(|period| period.to_string());
        assert_eq!(suggest("24 hrs").as_deref(), Some("24h"));
        assert_eq!(suggest("2 Weeks").as_deref(), Some("2w"));
        assert_eq!(suggest("3months").as_deref(), Some("90d"));
        assert_eq!(suggest("24"), None);
        assert_eq!(suggest("0 days"), None);
        assert_eq!(suggest("ages"), None);
    }

    #[test]
    fn what_is_known_in_milliseconds_is_written_in_the_largest_unit() {
        for (written, text) in [
            ("30d", "30d"),
            ("25h", "25h"),
            ("90m", "90m"),
            ("7s", "7s"),
            ("48h", "2d"),
            ("1y", "365d"),
            ("100y", "36500d"),
        ] {
            let period: Period = written.parse().unwrap();
            let again = Period::of_milliseconds(period.milliseconds());
            assert_eq!((again, again.to_string()), (period, text.to_owned()));
        }
        for (odd_ms, text) in [(-1, "1s"), (0, "1s"), (i64::MAX, "36500d")] {
            assert_eq!(Period::of_milliseconds(odd_ms).to_string(), text);
        }
    }

    #[test]
    fn it_is_spoken_as_it_was_written() {
        assert_eq!("24h".parse::<Period>().unwrap().spoken(), "24 h");
        assert_eq!("15m".parse::<Period>().unwrap().spoken(), "15 min");
    }

    proptest! {
        #[test]
        fn every_period_survives_being_written_and_read(count in 1u32..=2_000_000, unit in "[smhdwy]") {
            if let Ok(period) = format!("{count}{unit}").parse::<Period>() {
                let again: Period = period.to_string().parse().unwrap();
                prop_assert_eq!(again.seconds(), period.seconds());
                prop_assert_eq!(again.to_string(), period.to_string());
                prop_assert!((1..=LONGEST_SECONDS).contains(&period.seconds()));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*|[0-9]{0,12} ?[a-zA-Z]{0,7}") {
            let _ = text.parse::<Period>();
            let _ = Period::suggest(&text);
        }
    }
}
