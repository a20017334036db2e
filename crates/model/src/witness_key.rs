//! The public key of a witness, who cosigns the log of a vault.
//!
//! A wrong one must never pass for a right one, so its parts have to agree; whether the key is a
//! sound one is for who verifies with it.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// What to write.
pub(crate) const RULE: &str = "the key of a witness is one line, as `strongroom-vault witness show` \
     prints it there: \"vault-b.example.net/strongroom-witness+b3a54140+BKzD…\"";

/// The kinds of keys: a log's, and a witness's by Ed25519 (C2SP signed-note, tlog-cosignature).
const OF_LOG: u8 = 0x01;
const OF_WITNESS: u8 = 0x04;

/// The longest name of a key.
const LONGEST_NAME_BYTES: usize = 255;

/// How many bytes a key has, with its kind before it.
const KEY_BYTES: usize = 33;

/// The key that verifies what a witness has cosigned; as text, a verifier key of C2SP signed-note:
/// `name+id+base64(0x04 ‖ public key)`, where the id is the first four bytes of
/// SHA-256(name ‖ 0x0A ‖ 0x04 ‖ public key) in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WitnessKey(String);

impl WitnessKey {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.split('+').next().unwrap_or_default()
    }
}

impl FromStr for WitnessKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::WitnessKey {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it has no three parts with + between them"));
        };
        let is_name = (1..=LONGEST_NAME_BYTES).contains(&name.len())
            && !name.chars().any(|c| c.is_whitespace() || c.is_control());
        if !is_name {
            return Err(wrong("its name is none"));
        }
        let bytes = BASE64.decode(key.as_bytes()).ok();
        let bytes = bytes.filter(|bytes| bytes.len() == KEY_BYTES);
        let Some(bytes) = bytes else {
            return Err(wrong("its last part is no key in base64"));
        };
        match bytes.first() {
            Some(&OF_WITNESS) => {}
            Some(&OF_LOG) => return Err(wrong("it is the key of a log, and not of a witness")),
            _ => return Err(wrong("it is of a kind that is not known here")),
        }
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([0x0a])
            .chain_update(&bytes)
            .finalize();
        let expected = digest.get(..4).map(|id| HEXLOWER.encode(id));
        match expected.as_deref() == Some(id) {
            true => Ok(Self(text.to_owned())),
            false => Err(wrong("its parts do not belong together")),
        }
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vault-b.example.net/strongroom-witness+b3a54140+\
                       BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk";
    const LOG: &str = "vault-b.example.net/strongroom+c72d2874+\
                       ASnRxx+G5pdpZO8qucjAq+qwIS5Y3yM4utxOVOwpogVO";

    #[test]
    fn it_is_read_as_a_witness_prints_it() {
        let key: WitnessKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        assert_eq!(key.name(), "vault-b.example.net/strongroom-witness");
    }

    #[test]
    fn what_is_no_key_of_a_witness_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "three parts"),
            ("vault-b.example.net", "three parts"),
            (&KEY[1..], "belong together"),
            (&KEY.replace("b3a54140", "b3a54141"), "belong together"),
            (&KEY.replace("b3a54140", "B3A54140"), "belong together"),
            (&KEY[..KEY.len() - 1], "base64"),
            (&KEY[..KEY.len() - 4], "base64"),
            (&format!("{KEY}AAAA"), "base64"),
            (&KEY.replace("vault-b", "vault b"), "name"),
            (&KEY.replace("BKzD", "BazD"), "kind"),
            (&format!("+b3a54140+{}", &KEY[48..]), "name"),
            (LOG, "key of a log"),
        ] {
            let error = text.parse::<WitnessKey>().unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
            assert!(error.hint().unwrap().contains("witness show"));
        }
    }
}
