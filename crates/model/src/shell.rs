//! Paths in commands that people paste into a shell.
//!
//! What is pasted runs with their rights, and the names in it may be an attacker's: a quote must
//! not end the word, and a control character neither the line nor the terminal's good manners.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Characters that turn round what stands beside them on a screen.
const TURNING: [char; 12] = [
    '\u{061c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

/// A path or text as one word of a shell, in plain sight.
///
/// It is in single quotes; what cannot be shown is spelled out as `$'…'`, which bash, ksh, zsh and
/// POSIX since 2024 read.
pub fn quoted(text: impl AsRef<OsStr>) -> String {
    let bytes = text.as_ref().as_bytes();
    let hidden = |character: char| character.is_control() || TURNING.contains(&character);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(hidden) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => spelled(bytes),
    }
}

fn spelled(bytes: &[u8]) -> String {
    let mut word = String::from("$'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => word.push(char::from(*byte)),
            // Octal ends after three digits; hexadecimal would swallow those that follow.
            _ => word.push_str(&format!("\\{byte:03o}")),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn what_is_plain_stays_plain() {
        assert_eq!(quoted("/srv/größe 1"), "'/srv/größe 1'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn what_would_steer_a_terminal_is_spelled_out() {
        assert_eq!(quoted("a\u{1b}[2J"), r"$'a\033[2J'");
        assert_eq!(quoted("a\n'\\7"), r"$'a\012\'\\7'");
        assert_eq!(quoted("\u{202e}"), r"$'\342\200\256'");
        assert_eq!(quoted(OsStr::from_bytes(b"\xff1")), r"$'\3771'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_shell_reads_back_every_byte(bytes in prop::collection::vec(1u8.., 0..40)) {
            let word = quoted(OsStr::from_bytes(&bytes));
            prop_assert!(!word.contains(char::is_control));
            let script = format!("printf %s {word}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(output.stdout, bytes);
        }
    }
}
