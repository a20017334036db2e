//! The sum by which a server checks what came, and what it calls it: MD5.
//!
//! **Security:** MD5 protects from nobody who can choose both texts. It is used because a PUT with
//! a lock must have it and every server compares it; what a file is, its SHA-256 says.

use aws_sdk_s3::types::ServerSideEncryption;
use data_encoding::{BASE64, HEXLOWER};
use md5::{Digest, Md5};

/// The size of a part of a large file.
pub(super) const LARGE_PART_BYTES: usize = 16 << 20;

/// What is larger goes in parts.
const ONE_REQUEST_BYTES: usize = 64 << 20;

/// The sum of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum([u8; 16]);

/// The sums of a file as it is sent: one, or one for each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// In one request.
    Whole(Sum),
    /// In parts.
    Parts(Vec<Sum>),
}

impl Sum {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Md5::digest(bytes).into())
    }

    /// As `Content-MD5` has it.
    pub(super) fn header(self) -> String {
        BASE64.encode(&self.0)
    }

    /// As the tag of what was stored has it.
    pub(super) fn tag(self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl Sums {
    /// The sums of a file.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes.len() > ONE_REQUEST_BYTES {
            false => Self::Whole(Sum::of(bytes)),
            true => Self::Parts(bytes.chunks(LARGE_PART_BYTES).map(Sum::of).collect()),
        }
    }

    /// The tag that a file has which was sent so.
    pub(super) fn tag(&self) -> String {
        match self {
            Self::Whole(sum) => sum.tag(),
            Self::Parts(parts) => {
                let all: Vec<u8> = parts.iter().flat_map(|part| part.0).collect();
                format!("{}-{}", Sum::of(&all).tag(), parts.len())
            }
        }
    }
}

/// What a tag says of whether something is stored as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is.
    Same,
    /// Something else is.
    Other,
    /// Nothing: it is no such sum.
    Nothing,
}

/// Compares the tag that a server tells with the expected one. What is encrypted by the key of an
/// account has another one, and so has what came in parts of another size.
pub(super) fn compare(
    tag: Option<&str>,
    encryption: Option<&ServerSideEncryption>,
    expected: &str,
) -> Said {
    let Some(tag) = tag.map(|tag| tag.trim_matches('"')) else {
        return Said::Nothing;
    };
    let is_digit = |byte: u8| byte.is_ascii_hexdigit();
    let is_sum = |text: &str| text.len() == 32 && text.bytes().all(is_digit);
    let is_plain = encryption.is_none_or(|by| *by == ServerSideEncryption::Aes256);
    if tag.eq_ignore_ascii_case(expected) {
        Said::Same
    } else if is_plain && is_sum(tag) && is_sum(expected) {
        Said::Other
    } else {
        Said::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_the_published_ones() {
        let sum = Sum::of(b"");
        assert_eq!(sum.tag(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(sum.header(), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }

    #[test]
    fn what_is_large_has_a_sum_for_each_part() {
        let bytes = vec![0; ONE_REQUEST_BYTES + 1];
        let Sums::Parts(parts) = Sums::of(&bytes) else {
            panic!("one request");
        };
        assert_eq!(parts.len(), 5);
        assert_eq!(parts[4], Sum::of(&[0]));
        assert!(Sums::of(&bytes).tag().ends_with("-5"));
        let whole = Sums::of(&bytes[..ONE_REQUEST_BYTES]);
        assert!(matches!(whole, Sums::Whole(_)));
    }

    #[test]
    fn a_tag_that_is_no_sum_says_nothing() {
        let (sum, other) = (Sum::of(b"a").tag(), Sum::of(b"b").tag());
        let plain = |tag: &str| compare(Some(tag), None, &sum);
        assert_eq!(plain(&sum), Said::Same);
        assert_eq!(plain(&format!("\"{sum}\"")), Said::Same);
        assert_eq!(plain(&sum.to_uppercase()), Said::Same);
        assert_eq!(plain(&other), Said::Other);
        for tag in ["", "tag", &format!("{other}-2"), &other[1..]] {
            assert_eq!(plain(tag), Said::Nothing, "{tag}");
        }
        assert_eq!(compare(None, None, &sum), Said::Nothing);
        let by = |encryption: &ServerSideEncryption| compare(Some(&other), Some(encryption), &sum);
        assert_eq!(by(&ServerSideEncryption::Aes256), Said::Other);
        assert_eq!(by(&ServerSideEncryption::AwsKms), Said::Nothing);
        let of_parts = format!("{other}-2");
        assert_eq!(compare(Some(&sum), None, &of_parts), Said::Nothing);
    }
}
