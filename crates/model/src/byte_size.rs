//! Sizes as people write them: `16MiB`, `1.5GB`.
//!
//! `MB` is a million and `MiB` is 1,048,576, as the standards have it; a bare `M`, which means one
//! to some and the other to others, is refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};

/// How a size is written, as told to people.
pub const RULE: &str =
    "a size is a number and one of the units B, kB, KiB, MB, MiB, GB, GiB, TB, TiB: \"16MiB\"";

/// The units, smallest first.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of `count` bytes.
    pub const fn from_bytes(count: u64) -> Self {
        Self(count)
    }

    /// A size of `count` MiB.
    pub const fn mib(count: u32) -> Self {
        Self((count as u64) << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size in a sentence, rounded to two or three digits: "41 GB", "1.5 GB", "512 B".
    pub fn spoken(self) -> String {
        let decimal = [("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)];
        for (unit, power) in decimal {
            let size = 10_u64.pow(power);
            if self.0 < size {
                continue;
            }
            let whole = self.0 / size;
            let tenths = self.0 % size / (size / 10);
            return if whole < 10 && tenths > 0 {
                format!("{whole}.{tenths} {unit}")
            } else {
                format!("{whole} {unit}")
            };
        }
        format!("{} B", self.0)
    }

    /// The size that was probably meant by "16 mb", "16M" or "16Mib".
    pub(crate) fn suggest(text: &str) -> Option<String> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at_checked(end)?;
        let unit = unit.trim().to_ascii_lowercase();
        let unit = match unit.as_str() {
            "k" => "KiB",
            "m" => "MiB",
            "g" => "GiB",
            "t" => "TiB",
            "byte" | "bytes" => "B",
            unit => UNITS
                .iter()
                .map(|(known, _)| *known)
                .find(|known| known.eq_ignore_ascii_case(unit))?,
        };
        let meant = format!("{number}{unit}");
        meant.parse::<Self>().ok().map(|_| meant)
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    /// Reads a number with at most nine decimals and a unit; the result must be whole bytes.
    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, unit) = text.split_at_checked(end)?;
            let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
            let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
            if whole.is_empty() || decimals.is_empty() || decimals.len() > 9 {
                return None;
            }
            let scale = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
            let factor = u128::from(*factor);
            let whole = u128::from(whole.parse::<u64>().ok()?).checked_mul(factor)?;
            let part = u128::from(decimals.parse::<u64>().ok()?) * factor;
            if part % scale != 0 {
                return None;
            }
            u64::try_from(whole + part / scale).ok().map(Self)
        };
        read().ok_or_else(|| Error::ByteSize {
            text: text.chars().take(64).collect(),
        })
    }
}

impl fmt::Display for ByteSize {
    /// Writes the exact number of bytes, in the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, size): &&(&str, u64)| self.0 >= *size && self.0.is_multiple_of(*size);
        let (unit, size) = UNITS.iter().rev().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
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
    fn decimal_and_binary_units_differ() {
        let bytes = |text: &str| text.parse::<ByteSize>().unwrap().bytes();
        assert_eq!(bytes("16MiB"), 16 << 20);
        assert_eq!(bytes("16MB"), 16_000_000);
        assert_eq!(bytes("1.5GB"), 1_500_000_000);
        assert_eq!(bytes("0.5KiB"), 512);
        assert_eq!(bytes("0B"), 0);
    }

    #[test]
    fn what_is_not_exactly_a_size_is_refused() {
        for bad in [
            "",
            "MiB",
            "16",
            "16 MiB",
            "16M",
            "16mib",
            "-1B",
            "+1B",
            ".5GB",
            "1.GB",
            "1.2.3GB",
            "1.5B",
            "99999999TiB",
            "1e3B",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_meant_is_suggested() {
        assert_eq!(ByteSize::suggest("16M").as_deref(), Some("16MiB"));
        assert_eq!(ByteSize::suggest("1.5 gb").as_deref(), Some("1.5GB"));
        assert_eq!(ByteSize::suggest("100 bytes").as_deref(), Some("100B"));
        assert_eq!(ByteSize::suggest("big"), None);
        assert_eq!(ByteSize::suggest("16"), None);
    }

    #[test]
    fn it_is_spoken_in_few_digits() {
        let spoken = |bytes| ByteSize::from_bytes(bytes).spoken();
        assert_eq!(spoken(0), "0 B");
        assert_eq!(spoken(999), "999 B");
        assert_eq!(spoken(1_500_000_000), "1.5 GB");
        assert_eq!(spoken(41_234_567_890), "41 GB");
        assert_eq!(spoken(2_000_000), "2 MB");
        assert_eq!(spoken(u64::MAX), "18446744 TB");
    }

    proptest! {
        #[test]
        fn every_size_survives_being_written_and_read(bytes in any::<u64>(), shift in 0u32..64) {
            let size = ByteSize::from_bytes(bytes >> shift);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn no_text_panics(text in "\\PC*|[0-9.]{0,25} ?[a-zA-Z]{0,4}") {
            let _ = text.parse::<ByteSize>();
            let _ = ByteSize::suggest(&text);
        }
    }
}
