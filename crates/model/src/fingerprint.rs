//! The fingerprint of a certificate, by which a client knows a server that no authority vouches for.
//!
//! It is no secret. A wrong one must never pass for a right one, so nothing is guessed: what is not
//! written out in full is refused.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// What to write.
pub(crate) const RULE: &str = "a fingerprint is the SHA-256 of the certificate, 64 hexadecimal digits as \
     `strongroom-vault serve` prints them: \"5A:0C:…:91\"";

/// How many bytes SHA-256 has.
const BYTES: usize = 32;

/// SHA-256 of a certificate in DER; as text `5A:0C:…:91`, as `openssl x509 -fingerprint -sha256`
/// writes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// Takes digits in capitals or not, with a colon between all bytes or none.
    fn from_str(text: &str) -> Result<Self> {
        let malformed = || Error::Fingerprint {
            text: text.to_owned(),
        };
        let digits = match text.contains(':') {
            true => {
                let bytes: Vec<&str> = text.split(':').collect();
                if bytes.iter().any(|byte| byte.len() != 2) {
                    return Err(malformed());
                }
                bytes.concat()
            }
            false => text.to_owned(),
        };
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(malformed)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of nothing, as openssl would write it.
    const OF_NOTHING: &str = "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:\
                              93:4C:A4:95:99:1B:78:52:B8:55";

    #[test]
    fn it_is_read_as_it_is_written_and_as_other_programs_write_it() {
        let fingerprint = Fingerprint::of(b"");
        assert_eq!(fingerprint.to_string(), OF_NOTHING);
        let plain = OF_NOTHING.replace(':', "");
        for text in [
            OF_NOTHING,
            &plain,
            &plain.to_lowercase(),
            &OF_NOTHING.to_lowercase(),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap(), fingerprint, "{text}");
        }
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let plain = OF_NOTHING.replace(':', "");
        for text in [
            "",
            ":",
            "5A:0C",
            &plain[1..],
            &format!("{plain}0"),
            &format!("{plain}00"),
            &OF_NOTHING.replace("E3", "G3"),
            &OF_NOTHING.replacen("E3:B0", "E:3B0", 1),
            &format!("{OF_NOTHING}:"),
            &format!(" {OF_NOTHING}"),
            &format!("SHA256:{plain}"),
            // SHA-1, which older programs print.
            "DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09",
        ] {
            let error = text.parse::<Fingerprint>().unwrap_err();
            assert!(error.hint().unwrap().contains("SHA-256"), "{text}");
        }
    }
}
