//! Asking on the terminal without showing what is typed.
//!
//! The terminal must never stay silent behind us. So it is read key by key with signals switched
//! off: Ctrl-C comes in as a key, and there is no way out that does not restore the terminal.

use std::fs::File;
use std::io::{Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use strongroom_engine::session::Password;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// No one types a longer one.
const MOST_BYTES: usize = 4096;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACES: [u8; 2] = [0x08, 0x7f];
const ERASE_LINE: u8 = 0x15;

/// A terminal that does not echo, until it is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

/// Asks a question and reads one line.
pub(super) fn ask(prompt: &str) -> Result<Password> {
    let mut terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| Error::NoPassword)?;
    let asking = || Error::local("ask on the terminal");
    let silent = Silent::new(&terminal).map_err(|error| asking()(error.into()))?;
    (&terminal).write_all(prompt.as_bytes()).map_err(asking())?;
    let line = read_line(&terminal);
    drop(silent);
    terminal.write_all(b"\n").map_err(asking())?;
    line
}

fn read_line(mut terminal: impl Read) -> Result<Password> {
    let mut line = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
    let mut key = Zeroizing::new([0]);
    while line.len() < MOST_BYTES {
        let count = terminal
            .read(key.as_mut_slice())
            .map_err(Error::local("read from the terminal"))?;
        let [byte] = *key;
        match byte {
            _ if count == 0 => break,
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Err(strongroom_engine::Error::Interrupted.into()),
            ERASE_LINE => line.clear(),
            byte if BACKSPACES.contains(&byte) => erase_character(&mut line),
            byte => line.push(byte),
        }
    }
    Ok(line)
}

/// Removes the last character, all bytes of it.
fn erase_character(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        let continues = byte & 0xc0 == 0x80;
        if !continues {
            break;
        }
    }
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> rustix::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing more can be done where this fails.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<Vec<u8>> {
        read_line(keys).ok().map(|line| line.to_vec())
    }

    #[test]
    fn a_line_ends_with_return_or_the_end() {
        assert_eq!(typed(b"secret\nmore").unwrap(), b"secret");
        assert_eq!(typed(b"secret\r").unwrap(), b"secret");
        assert_eq!(typed(b"secret").unwrap(), b"secret");
        assert_eq!(typed(b"").unwrap(), b"");
    }

    #[test]
    fn backspace_takes_back_one_character_and_control_u_all() {
        assert_eq!(
            typed("geh\u{7f}eim\u{e9}\u{7f}\n".as_bytes()).unwrap(),
            b"geeim"
        );
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
        assert_eq!(typed(b"\x7f\x08ok\n").unwrap(), b"ok");
    }

    #[test]
    fn control_c_interrupts() {
        assert!(typed(b"sec\x03ret\n").is_none());
    }
}
