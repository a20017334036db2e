//! A reader of JSON text that hands out what it points at instead of building values.
//!
//! Trees come from whoever holds the repository's key, so nothing here trusts them: every step is
//! bounded by the text, nothing recurses, and every refusal names the place.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::gojson::unescape;

/// A place in a JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// What was expected and not found, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unexpected {
    pub(crate) offset: usize,
    pub(crate) wanted: &'static str,
}

type Result<T> = std::result::Result<T, Unexpected>;

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Refuses the place where the scanner stands.
    pub(crate) fn refuse<T>(&self, wanted: &'static str) -> Result<T> {
        Err(Unexpected {
            offset: self.at,
            wanted,
        })
    }

    /// Refuses anything but white space up to the end.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.refuse("the end of the text"),
        }
    }

    /// Opens an object or an array.
    pub(crate) fn open(&mut self, bracket: u8, wanted: &'static str) -> Result<()> {
        if self.eat(bracket) {
            Ok(())
        } else {
            self.refuse(wanted)
        }
    }

    /// Moves to the next member of an object and returns its key, escapes left as they are;
    /// `None` at the end. `first` is true before the first call.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Result<Option<&'a str>> {
        if !self.next_element(b'}', first)? {
            return Ok(None);
        }
        let (key, _) = self.string_body("a field's name")?;
        self.open(b':', "a colon")?;
        Ok(Some(key))
    }

    /// Moves to the next element before `close`; false at the end. `first` is true before the
    /// first call.
    pub(crate) fn next_element(&mut self, close: u8, first: &mut bool) -> Result<bool> {
        if self.eat(close) {
            return Ok(false);
        }
        if !std::mem::take(first) && !self.eat(b',') {
            return self.refuse("a comma or the end of a list");
        }
        Ok(true)
    }

    /// Passes `null`, if it stands here.
    pub(crate) fn null(&mut self) -> bool {
        let found = self.peek() == Some(b'n') && self.rest().starts_with(b"null");
        if found {
            self.at += 4;
        }
        found
    }

    /// Reads a string and resolves its escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at;
        match self.string_body("a string")? {
            (body, false) => Ok(Cow::Borrowed(body)),
            (body, true) => unescape(body).ok_or(Unexpected {
                offset: start,
                wanted: "valid escapes",
            }),
        }
    }

    /// Reads a whole number of at most 64 bits.
    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        const WANTED: &str = "a whole number of at most 64 bits";
        self.peek();
        let mut number = 0_u64;
        let mut digits = 0_usize;
        for byte in self.rest().iter().take_while(|byte| byte.is_ascii_digit()) {
            let next = number.checked_mul(10);
            let Some(next) = next.and_then(|tens| tens.checked_add(u64::from(byte - b'0'))) else {
                return self.refuse(WANTED);
            };
            number = next;
            digits += 1;
        }
        let leading_zero = digits > 1 && self.rest().first() == Some(&b'0');
        let fraction = matches!(self.rest().get(digits), Some(b'.' | b'e' | b'E'));
        if digits == 0 || leading_zero || fraction {
            return self.refuse(WANTED);
        }
        self.at += digits;
        Ok(number)
    }

    /// Reads any value and returns its text.
    pub(crate) fn raw_value(&mut self) -> Result<&'a str> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let Some(Ok(value)) = values.next() else {
            return self.refuse("a value");
        };
        self.at += values.byte_offset();
        Ok(value.get())
    }

    /// The next byte that is not white space; the scanner stands on it afterwards.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes `byte`, if it stands here.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Passes a string and returns what stands between its quotes, and whether it has escapes.
    fn string_body(&mut self, wanted: &'static str) -> Result<(&'a str, bool)> {
        self.open(b'"', wanted)?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_length(self.rest());
            match self.rest() {
                [b'"', ..] => break,
                [b'\\', _, ..] => {
                    escaped = true;
                    self.at += 2;
                }
                _ => return self.refuse("the end of a string"),
            }
        }
        // A step over an escape may land inside a character; its remaining bytes are plain, so
        // both ends stand beside a quote.
        let body = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok((body, escaped))
    }
}

/// How many bytes come before the first quote, backslash or control character, eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut length = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let has_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = has_zero(word ^ (ONES * 0x22));
        let backslash = has_zero(word ^ (ONES * 0x5c));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & HIGH;
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let special = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
    length + tail.iter().position(special).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_plain_part_ends_where_a_byte_by_byte_search_ends(bytes: Vec<u8>) {
            let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            let expected = bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }

        #[test]
        fn strings_are_read_as_serde_reads_them(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Scanner::new(&json).string().unwrap(), text);
        }

        #[test]
        fn numbers_are_read_as_serde_reads_them(text in "[0-9.eE+-]{1,22}") {
            let expected = serde_json::from_str::<u64>(&text).ok();
            let mut scanner = Scanner::new(&text);
            let number = scanner.unsigned().ok().filter(|_| scanner.end().is_ok());
            prop_assert_eq!(number, expected);
        }
    }

    #[test]
    fn a_string_that_does_not_end_is_refused() {
        for bad in ["\"", "\"a", "\"\\", "\"\\\"", "\"a\nb\"", "", "x", "\"\\é"] {
            assert!(Scanner::new(bad).string().is_err(), "{bad}");
        }
    }
}
