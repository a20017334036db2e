//! Times as leaves have them: `2027-01-15T08:00:00.25Z`, and in no other way.

/// The milliseconds since 1970 of a time in UTC; `None` of whatever a vault does not write.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, thousandths(fraction)?),
        None => (time, 0),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000 + fraction)
}

/// Three numbers of so many digits each.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The thousandths of a fraction of one to nine digits; what is finer is cut.
fn thousandths(digits: &str) -> Option<i64> {
    let is_one = (1..=9).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    let padded = format!("{digits:0<3}");
    is_one.then(|| padded.get(..3)?.parse().ok()).flatten()
}

/// The days from 1970 to a date of the Gregorian calendar, which is counted from March on so that a
/// leap day is the last one of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month > 2 {
        true => (year, month - 3),
        false => (year - 1, month + 9),
    };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    of_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_a_vault_writes_them() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.001Z", 1),
            ("2000-02-29T12:00:00.5Z", 951_825_600_500),
            ("2027-01-15T08:00:00Z", 1_800_000_000_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ] {
            assert_eq!(milliseconds(text), Some(ms), "{text}");
        }
        for bad in [
            "",
            "Z",
            "2027-01-15 08:00:00Z",
            "2027-01-15T08:00:00",
            "2027-01-15T08:00:00+01:00",
            "2027-1-15T08:00:00Z",
            "2027-13-15T08:00:00Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T08:00:00.Z",
            "2027-01-15T08:00:00.1234567890Z",
            "2027-01-15T08:00:+1Z",
            "-027-01-15T08:00:00Z",
        ] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }
}
