//! Base64 that has one text for each value.
//!
//! Decoders also take padding in the middle, as of pieces put together. Then a note could be
//! changed and mean the same, and two programs could disagree whether it is one.

use data_encoding::BASE64;

/// The bytes of a text, where it is the one that [`encode`] writes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    (encode(&bytes) == text).then_some(bytes)
}

/// The text of bytes: RFC 4648, section 4, with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_text() {
        assert_eq!(decode("AQ=="), Some(vec![1]));
        assert_eq!(decode("AQECAw=="), Some(vec![1, 1, 2, 3]));
        for bad in ["AQ==AQID", "AR==", "AQ", "AQ=", "AQ==\n", "A Q==", "-_-_"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
