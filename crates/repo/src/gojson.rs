//! JSON as Go's `encoding/json` writes it, and names as Go's `strconv.Quote` writes them.
//!
//! A tree's id is the hash of its text, so a tree that is read and written again must come out
//! byte for byte as restic would write it; otherwise `restic rewrite` refuses the repository.
//! What differs between versions of Go is written as since 1.22: `\b` and `\f` in JSON have their
//! short form, and what is printable is ruled by Unicode 15.0.

mod printable;
mod scanner;

use std::borrow::Cow;

pub(crate) use scanner::{Scanner, Unexpected};

use printable::is_printable;

/// Appends a JSON string; what is not UTF-8 becomes `\ufffd`, as in Go.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    push_string_body(out, text);
    out.push(b'"');
}

/// Appends a JSON string that holds `name` as `strconv.Quote` writes it.
pub(crate) fn push_quoted_name(out: &mut Vec<u8>, name: &[u8]) {
    if name.iter().all(|byte| is_plain(*byte)) {
        out.push(b'"');
        out.extend_from_slice(name);
        out.push(b'"');
    } else {
        push_string(out, &quote(name));
    }
}

/// Appends a number in decimal digits.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, number: u64) {
    let mut text = [0; 20];
    let mut used = 0;
    let mut rest = number;
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        used += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(text.len() - used..).unwrap_or_default());
}

/// Takes back what `strconv.Quote` did, without the outer quotes; `None` where Go would refuse.
pub(crate) fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'\\' | b'"' | b'\n'));
        let (plain, special) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        name.extend_from_slice(plain);
        rest = match special {
            [] => return Some(name),
            [b'\\', letter, after @ ..] => unquote_escape(&mut name, *letter, after)?,
            _ => return None,
        };
    }
}

/// Appends what the escape of `letter` stands for and returns what follows it.
fn unquote_escape<'a>(name: &mut Vec<u8>, letter: u8, after: &'a [u8]) -> Option<&'a [u8]> {
    let byte = match letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'"' => letter,
        b'x' => {
            let (byte, after) = hex(after, 2)?;
            name.push(u8::try_from(byte).ok()?);
            return Some(after);
        }
        b'u' | b'U' => {
            let (number, after) = hex(after, if letter == b'u' { 4 } else { 8 })?;
            let character = char::from_u32(number)?;
            name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(after);
        }
        b'0'..=b'7' => {
            let ([second, third], after) = after.split_first_chunk()?;
            let digits = [letter, *second, *third];
            let octal = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
            let number = digits
                .iter()
                .fold(0, |sum, digit| sum * 8 + u32::from(digit & 7));
            name.push(u8::try_from(number).ok().filter(|_| octal)?);
            return Some(after);
        }
        _ => return None,
    };
    name.push(byte);
    Some(after)
}

/// Resolves the escapes of a JSON string's body; a lone surrogate becomes U+FFFD, as in Go.
fn unescape(body: &str) -> Option<Cow<'_, str>> {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((plain, special)) = rest.split_once('\\') {
        text.push_str(plain);
        let letter = *special.as_bytes().first()?;
        let mut after = special.get(1..)?;
        let character = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (first, _) = hex(after.as_bytes(), 4)?;
                after = after.get(4..)?;
                let low = after
                    .strip_prefix("\\u")
                    .and_then(|low| hex(low.as_bytes(), 4));
                match low {
                    Some((low @ 0xdc00..=0xdfff, _)) if (0xd800..=0xdbff).contains(&first) => {
                        after = after.get(6..)?;
                        char::from_u32(0x1_0000 + ((first & 0x3ff) << 10) + (low & 0x3ff))?
                    }
                    _ => char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            _ => return None,
        };
        text.push(character);
        rest = after;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

fn hex(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (digits, after) = text.split_at_checked(digits)?;
    let number = digits.iter().try_fold(0, |sum, digit| {
        Some(sum * 16 + char::from(*digit).to_digit(16)?)
    })?;
    Some((number, after))
}

/// Whether the byte stands for itself in a quoted name inside a JSON string.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// What `strconv.Quote` makes of `name`, without the outer quotes.
fn quote(name: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 16);
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            quote_character(&mut quoted, character);
        }
        for byte in chunk.invalid() {
            push_hex(&mut quoted, b'x', u32::from(*byte), 2);
        }
    }
    quoted
}

fn quote_character(quoted: &mut Vec<u8>, character: char) {
    let number = u32::from(character);
    let short = match character {
        '"' | '\\' => u8::try_from(number).ok(),
        '\u{7}' => Some(b'a'),
        '\u{8}' => Some(b'b'),
        '\u{c}' => Some(b'f'),
        '\n' => Some(b'n'),
        '\r' => Some(b'r'),
        '\t' => Some(b't'),
        '\u{b}' => Some(b'v'),
        _ => None,
    };
    if let Some(letter) = short {
        quoted.extend_from_slice(&[b'\\', letter]);
    } else if is_printable(character) {
        quoted.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else if number < 0x80 {
        push_hex(quoted, b'x', number, 2);
    } else if number < 0x1_0000 {
        push_hex(quoted, b'u', number, 4);
    } else {
        push_hex(quoted, b'U', number, 8);
    }
}

fn push_hex(out: &mut Vec<u8>, letter: u8, number: u32, digits: u32) {
    out.extend_from_slice(&[b'\\', letter]);
    for place in (0..digits).rev() {
        let digit = char::from_digit((number >> (4 * place)) & 15, 16);
        out.extend(digit.and_then(|digit| u8::try_from(digit).ok()));
    }
}

fn push_string_body(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_character(out, character);
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn push_character(out: &mut Vec<u8>, character: char) {
    let short = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\0'..=' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if character != ' ' => {
            push_hex(out, b'u', u32::from(character), 4);
            return;
        }
        _ => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(name: &[u8]) -> String {
        let mut out = Vec::new();
        push_quoted_name(&mut out, name);
        String::from_utf8(out).unwrap()
    }

    fn json(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_quoted_as_go_quotes_them() {
        assert_eq!(quoted(b"plain name.txt"), r#""plain name.txt""#);
        assert_eq!(
            quoted(b"n\xc2\xa0\xff\"\n<"),
            r#""n\\u00a0\\xff\\\"\\n\u003c""#
        );
        assert_eq!(
            quoted(b"\x07\x08\x0c\x0b\x01\x7f"),
            r#""\\a\\b\\f\\v\\x01\\x7f""#
        );
        assert_eq!(
            quoted("ä\u{1f600}\u{fffd}".as_bytes()),
            "\"ä\u{1f600}\u{fffd}\""
        );
        assert_eq!(
            quoted("\u{2028}\u{ad}\u{e0001}".as_bytes()),
            r#""\\u2028\\u00ad\\U000e0001""#
        );
        assert_eq!(
            quoted(b"\xed\xa0\x80\xe2\x82"),
            r#""\\xed\\xa0\\x80\\xe2\\x82""#
        );
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        assert_eq!(json(b"a<b>&\"\\/"), r#""a\u003cb\u003e\u0026\"\\/""#);
        assert_eq!(
            json(b"\x08\x0c\n\r\t\x01\x7f"),
            "\"\\b\\f\\n\\r\\t\\u0001\x7f\""
        );
        assert_eq!(
            json("ä\u{2028}\u{2029}\u{fffd} ".as_bytes()),
            "\"ä\\u2028\\u2029\u{fffd} \""
        );
        assert_eq!(json(b"\xff\xe2\x82"), r#""\ufffd\ufffd\ufffd""#);
    }

    #[test]
    fn what_go_would_not_unquote_is_refused() {
        for bad in [
            r"\",
            r"\'",
            r"\q",
            r"\x1",
            r"\xg0",
            r"\ud800",
            r"\U00110000",
            r"\400",
            r"\08",
            "\"",
            "\n",
        ] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
        assert_eq!(unquote(r"\101\x41A\U00000041").unwrap(), b"AAAA");
    }

    #[test]
    fn surrogates_are_paired_or_replaced() {
        assert_eq!(unescape(r"\ud83d\ude00").unwrap(), "\u{1f600}");
        assert_eq!(
            unescape(r"\ud83d\u0041\ude00x\ud83d").unwrap(),
            "\u{fffd}A\u{fffd}x\u{fffd}"
        );
        for bad in [r"\", r"\u12", r"\u12é4", r"\x41"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            push_unsigned(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_quoting(name: Vec<u8>) {
            let text: String = serde_json::from_str(&quoted(&name)).unwrap();
            prop_assert_eq!(unquote(&text), Some(name));
        }

        #[test]
        fn every_text_survives_escaping(text: String) {
            let escaped = json(text.as_bytes());
            prop_assert_eq!(&serde_json::from_str::<String>(&escaped).unwrap(), &text);
            prop_assert_eq!(unescape(&escaped[1..escaped.len() - 1]).unwrap(), text);
        }

        #[test]
        fn unquoting_anything_is_harmless(text: String) {
            let _ = unquote(&text);
            let _ = unescape(&text);
        }
    }
}
