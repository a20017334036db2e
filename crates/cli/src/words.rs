//! Numbers and times in words, the same everywhere.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_model::ByteSize;

/// A moment in the time zone of whoever looks.
pub(crate) fn local_time(time: Timestamp) -> String {
    let zoned = time.to_zoned_datetime(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time by the clock of a place as a moment; `None` where it is beyond all calendars.
pub(crate) fn moment(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}

/// "1 file", "12,345 files".
pub(crate) fn count(number: u64, one: &str, several: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {several}", grouped(number)),
    }
}

/// A size as people say it: "41 GB".
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::from_bytes(bytes).spoken()
}

/// A time in seconds as people say it, in the largest unit that it is a whole number of: "30 d".
pub(crate) fn period(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60)];
    let whole = units
        .into_iter()
        .find(|(_, length)| seconds > 0 && seconds.is_multiple_of(*length));
    match whole {
        Some((unit, length)) => format!("{} {unit}", seconds / length),
        None => format!("{seconds} s"),
    }
}

/// "by 2 of the 3 witnesses that must have": who has cosigned a log.
pub(crate) fn cosigned_by(verified: usize, asked: usize) -> String {
    match asked {
        1 if verified == 1 => "by the one witness that must have".to_owned(),
        1 => "not by the one witness that must have".to_owned(),
        _ => format!("by {verified} of the {asked} witnesses that must have"),
    }
}

/// A number with a comma before every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(0, "file", "files"), "0 files");
    }
}
