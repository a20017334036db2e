//! The part of a file that a request asks for; RFC 9110, section 14.

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it: several ranges at once, or what is none, may be passed over.
    Whole,
    /// Some of it, within the file.
    Part(std::ops::Range<u64>),
    /// Nothing of what was asked for lies in the file.
    Outside,
}

impl Range {
    /// Reads the header for a file of `size_bytes`.
    pub fn parse(header: &[u8], size_bytes: u64) -> Self {
        Self::of(header, size_bytes).unwrap_or(Self::Whole)
    }

    fn of(header: &[u8], size_bytes: u64) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let range = match (number(first), number(last)) {
            (Some(first), None) if last.is_empty() => first..size_bytes,
            (Some(first), Some(last)) if first <= last => {
                first..size_bytes.min(last.saturating_add(1))
            }
            (None, Some(length)) if first.is_empty() => {
                size_bytes.saturating_sub(length)..size_bytes
            }
            _ => return None,
        };
        Some(match range.start < range.end {
            true => Self::Part(range),
            false => Self::Outside,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_understood() {
        let parse = |header: &str| Range::parse(header.as_bytes(), 100);
        assert_eq!(parse("bytes=0-"), Range::Part(0..100));
        assert_eq!(parse("bytes=10-19"), Range::Part(10..20));
        assert_eq!(parse("bytes=90-200"), Range::Part(90..100));
        assert_eq!(parse("bytes=-30"), Range::Part(70..100));
        assert_eq!(parse("bytes=-300"), Range::Part(0..100));
        assert_eq!(parse("bytes=100-"), Range::Outside);
        assert_eq!(parse("bytes=-0"), Range::Outside);
        assert_eq!(parse("bytes=99999999999999999999999-"), Range::Outside);
        assert_eq!(parse("bytes=0-18446744073709551615"), Range::Part(0..100));
        for other in [
            "",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=+1-2",
        ] {
            assert_eq!(parse(other), Range::Whole, "{other}");
        }
    }
}
