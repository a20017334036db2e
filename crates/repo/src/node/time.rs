//! Moments of a node, as Go's `time.Time` writes them: RFC 3339 with nanoseconds and an offset.
//!
//! The text's own offset is kept, since a tree must re-encode to the same bytes.
//! Only years 0 to 9999 can be written; a filesystem can hold others, which are moved to the
//! nearest such year as restic does.

/// A moment with the offset from UTC in which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds after that, below 1,000,000,000.
    pub nanos: u32,
    /// Minutes east of UTC in which the text is written; −1439 to 1439.
    pub offset_minutes: i16,
}

const DAY_SECS: i64 = 86_400;

impl NodeTime {
    /// The zero value of Go's `time.Time`: 0001-01-01T00:00:00Z.
    pub const ZERO: Self = Self::utc(-62_135_596_800, 0);

    /// A moment that is written in UTC.
    pub const fn utc(secs: i64, nanos: u32) -> Self {
        Self {
            secs,
            nanos,
            offset_minutes: 0,
        }
    }

    /// Whether both are the same moment, however they are written.
    pub fn is_same_moment(&self, other: &Self) -> bool {
        (self.secs, self.nanos) == (other.secs, other.nanos)
    }

    /// Reads RFC 3339; digits of the fraction beyond nanoseconds are dropped, as Go does.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (civil, rest) = text.split_first_chunk::<19>()?;
        let &[
            y0,
            y1,
            y2,
            y3,
            b'-',
            mo0,
            mo1,
            b'-',
            d0,
            d1,
            b'T',
            h0,
            h1,
            b':',
            mi0,
            mi1,
            b':',
            s0,
            s1,
        ] = civil
        else {
            return None;
        };
        let year = two(y0, y1)? * 100 + two(y2, y3)?;
        let (month, day) = (two(mo0, mo1)?, two(d0, d1)?);
        let (hour, minute, second) = (two(h0, h1)?, two(mi0, mi1)?, two(s0, s1)?);
        if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (nanos, zone) = fraction(rest)?;
        let offset_minutes = offset(zone)?;
        let day_number = days_from_civil(year, month, day);
        let local_secs = day_number * DAY_SECS + hour * 3600 + minute * 60 + second;
        Some(Self {
            secs: local_secs - i64::from(offset_minutes) * 60,
            nanos,
            offset_minutes,
        })
    }

    /// Appends the text that Go writes, without quotes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let local_secs = self
            .secs
            .saturating_add(i64::from(self.offset_minutes) * 60);
        let (mut year, mut month, mut day) = civil_from_days(local_secs.div_euclid(DAY_SECS));
        year = year.clamp(0, 9999);
        if day > days_of_month(year, month) {
            (month, day) = (month + 1, 1);
        }
        let second = local_secs.rem_euclid(DAY_SECS);
        push_two(out, year / 100);
        push_two(out, year % 100);
        out.push(b'-');
        push_two(out, month);
        out.push(b'-');
        push_two(out, day);
        out.push(b'T');
        push_two(out, second / 3600);
        out.push(b':');
        push_two(out, second / 60 % 60);
        out.push(b':');
        push_two(out, second % 60);
        push_fraction(out, self.nanos);
        if self.offset_minutes == 0 {
            out.push(b'Z');
        } else {
            let minutes = i64::from(self.offset_minutes.unsigned_abs());
            out.push(if self.offset_minutes < 0 { b'-' } else { b'+' });
            push_two(out, minutes / 60);
            out.push(b':');
            push_two(out, minutes % 60);
        }
    }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = digits
        .iter()
        .take_while(|digit| digit.is_ascii_digit())
        .count();
    let (digits, zone) = digits.split_at_checked(count)?;
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
    let nanos = padded
        .take(9)
        .fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    (count > 0).then_some((nanos, zone))
}

fn offset(zone: &[u8]) -> Option<i16> {
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            let total = i16::try_from(hours * 60 + minutes).ok()?;
            let valid = hours < 24 && minutes < 60;
            valid.then_some(if sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

fn push_two(out: &mut Vec<u8>, number: i64) {
    let digit = |number: i64| b'0' + u8::try_from(number % 10).unwrap_or(0);
    out.extend_from_slice(&[digit(number / 10), digit(number)]);
}

/// Appends `.` and the nanoseconds without trailing zeros, or nothing.
fn push_fraction(out: &mut Vec<u8>, nanos: u32) {
    if nanos == 0 {
        return;
    }
    let mut text = *b".000000000";
    let mut rest = nanos;
    for place in text.iter_mut().skip(1).rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let zeros = text
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    out.extend_from_slice(text.get(..text.len() - zeros).unwrap_or_default());
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
///
/// Years begin in March here, so that the leap day is the last, and repeat every 400 years, which
/// are 146,097 days; see <https://howardhinnant.github.io/date_algorithms.html>.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(time: NodeTime) -> String {
        let mut out = Vec::new();
        time.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        assert_eq!(text(NodeTime::utc(0, 0)), "1970-01-01T00:00:00Z");
        assert_eq!(
            text(NodeTime::utc(-1, 500_000_000)),
            "1969-12-31T23:59:59.5Z"
        );
        assert_eq!(
            text(NodeTime::utc(951_782_400, 1)),
            "2000-02-29T00:00:00.000000001Z"
        );
        assert_eq!(text(NodeTime::ZERO), "0001-01-01T00:00:00Z");
        let nepal = NodeTime {
            secs: 0,
            nanos: 20,
            offset_minutes: 345,
        };
        assert_eq!(text(nepal), "1970-01-01T05:45:00.00000002+05:45");
        let west = NodeTime {
            offset_minutes: -210,
            ..nepal
        };
        assert_eq!(text(west), "1969-12-31T20:30:00.00000002-03:30");
    }

    #[test]
    fn a_year_that_cannot_be_written_is_moved_as_restic_does() {
        assert_eq!(
            text(NodeTime::utc(253_402_300_800, 7)),
            "9999-01-01T00:00:00.000000007Z"
        );
        // 2 March 10000 and 29 February 12000, a day that 9999 does not have.
        assert_eq!(
            text(NodeTime::utc(253_407_571_200, 0)),
            "9999-03-02T00:00:00Z"
        );
        let leap_day = days_from_civil(12_000, 2, 29) * DAY_SECS;
        assert_eq!(text(NodeTime::utc(leap_day, 0)), "9999-03-01T00:00:00Z");
        let before = days_from_civil(-4, 2, 29) * DAY_SECS;
        assert_eq!(text(NodeTime::utc(before, 0)), "0000-02-29T00:00:00Z");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(NodeTime::parse(text(NodeTime::utc(extreme, 0)).as_bytes()).is_some());
        }
    }

    #[test]
    fn a_text_that_is_no_moment_is_refused() {
        for bad in [
            "",
            "2020-01-01",
            "2020-13-01T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "2020-01-00T00:00:00Z",
            "2020-01-01T24:00:00Z",
            "2020-01-01T00:60:00Z",
            "2020-01-01T00:00:60Z",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00+24:00",
            "2020-01-01T00:00:00+0100",
            "2020-01-01T00:00:00Zx",
            "02020-01-01T00:00:00Z",
            "2020-01-01 00:00:00Z",
        ] {
            assert_eq!(NodeTime::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_writable_moment_is_read_back(
            secs in -62_167_000_000_i64..253_402_000_000,
            nanos in 0_u32..1_000_000_000,
            offset_minutes in -1439_i16..=1439,
        ) {
            let time = NodeTime { secs, nanos, offset_minutes };
            prop_assert_eq!(NodeTime::parse(text(time).as_bytes()), Some(time));
        }

        #[test]
        fn any_moment_is_written_so_that_it_can_be_read(secs: i64, offset_minutes in -1439_i16..=1439) {
            let time = NodeTime { secs, nanos: 5, offset_minutes };
            prop_assert!(NodeTime::parse(text(time).as_bytes()).is_some());
        }
    }
}
