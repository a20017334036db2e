//! What an operator signed who agreed to an operation, so that anybody can check it for ever.
//!
//! A passkey signs no text of ours, but a challenge: here the SHA-256 of the operation's id, the
//! operator's number and random bytes. The browser wraps it into the *client data*, which says for
//! which page it is; the authenticator adds its own data, which says whether it has verified the person,
//! and signs both (Web Authentication Level 3, sections 6.3.3 and 7.2).
//!
//! What can go wrong: a signature over something else, or for another page, or one that was given
//! without the person having been verified. The client data is read as the standard says that it is
//! written (section 5.8.1.1), from its first byte on, and not as JSON in general: two readers of JSON may
//! disagree about the same text, and an audit must not.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The longest client data: an address and a challenge, with room for what browsers add.
const LONGEST_CLIENT_DATA_BYTES: usize = 4 << 10;

/// The longest authenticator data: 37 bytes, and extensions.
const LONGEST_AUTHENTICATOR_DATA_BYTES: usize = 4 << 10;

/// Where the authenticator data has its flags, behind the hash of the host.
const FLAGS: usize = 32;

/// Flags, and the counter of signatures behind them.
const LEAST_AUTHENTICATOR_DATA_BYTES: usize = 37;

/// The person was there.
const PRESENT: u8 = 0x01;

/// The person was verified: by a PIN, a finger, a face.
const VERIFIED: u8 = 0x04;

/// An operator's yes to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval<'a> {
    /// The id of the operation, which is a SHA-256 of its exact contents among others.
    pub operation: &'a [u8; 32],
    /// The operator's number.
    pub operator: i64,
    /// Random bytes, of which nobody knew before the operation was to be approved.
    pub nonce: &'a [u8; 32],
    /// What the authenticator said.
    pub authenticator_data: &'a [u8],
    /// What the browser said: UTF-8 of JSON.
    pub client_data: &'a [u8],
    /// The signature over both: ECDSA with SHA-256 on P-256 (ES256), in ASN.1 DER.
    pub signature: &'a [u8],
    /// The public key of the passkey: an uncompressed point of SEC 1, 65 bytes.
    pub public_key: &'a [u8],
}

/// The page on which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// The host, as `vault.example.org`: the passkey is bound to it.
    pub host: &'a str,
    /// The origin, as `https://vault.example.org`.
    pub origin: &'a str,
}

/// What a passkey signs for an operator's yes to an operation: SHA-256(operation ‖ operator ‖ nonce), the
/// number of the operator as eight bytes, the least first.
pub fn challenge(operation: &[u8; 32], operator: i64, nonce: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(operation)
        .chain_update(operator.to_le_bytes())
        .chain_update(nonce)
        .finalize()
        .into()
}

impl Approval<'_> {
    /// Checks that the passkey has signed a yes to this operation, on a page, with its owner verified.
    ///
    /// That the passkey was this operator's, and that the page was the vault's, is what the log says
    /// elsewhere.
    ///
    /// # Errors
    /// [`Error::NotApproved`], which says what it is not.
    pub fn verify(&self, page: &Page<'_>) -> Result<()> {
        self.check_client_data(page.origin)?;
        self.check_authenticator_data(page.host)?;
        let key = VerifyingKey::from_sec1_bytes(self.public_key)
            .map_err(|_| not("its key is no point of P-256"))?;
        let signature = Signature::from_der(self.signature)
            .map_err(|_| not("its signature is none of ECDSA"))?;
        let mut signed = self.authenticator_data.to_vec();
        signed.extend_from_slice(&Sha256::digest(self.client_data));
        key.verify(&signed, &signature)
            .map_err(|_| not("its signature is not by that key"))
    }

    fn check_client_data(&self, origin: &str) -> Result<()> {
        if self.client_data.len() > LONGEST_CLIENT_DATA_BYTES {
            return Err(not("its client data is too long"));
        }
        // Such an origin would have to be escaped, and no web address is one.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if !origin.bytes().all(is_plain) {
            return Err(not("the origin of its page is none"));
        }
        let challenge = challenge(self.operation, self.operator, self.nonce);
        let challenge = BASE64URL_NOPAD.encode(&challenge);
        let rest = self
            .client_data
            .strip_prefix(br#"{"type":"webauthn.get","challenge":""#)
            .ok_or(not("its client data is of something else than a sign-in"))?
            .strip_prefix(challenge.as_bytes())
            .ok_or(not("it is to another operation, or by another operator"))?
            .strip_prefix(br#"","origin":""#)
            .ok_or(not("it is to another operation, or by another operator"))?
            .strip_prefix(origin.as_bytes())
            .ok_or(not("it was given on another page"))?
            .strip_prefix(br#"","crossOrigin":false"#)
            .ok_or(not("it was given on another page, or within one"))?;
        match rest.first() {
            Some(b'}' | b',') => Ok(()),
            _ => Err(not("its client data is not as browsers write it")),
        }
    }

    fn check_authenticator_data(&self, host: &str) -> Result<()> {
        let length = self.authenticator_data.len();
        if !(LEAST_AUTHENTICATOR_DATA_BYTES..=LONGEST_AUTHENTICATOR_DATA_BYTES).contains(&length) {
            return Err(not("its authenticator data is too short or too long"));
        }
        let host: [u8; 32] = Sha256::digest(host).into();
        if !self.authenticator_data.starts_with(&host) {
            return Err(not("its passkey is of another host"));
        }
        let flags = self.authenticator_data.get(FLAGS).copied();
        match flags.unwrap_or_default() & (PRESENT | VERIFIED) {
            flags if flags == PRESENT | VERIFIED => Ok(()),
            _ => Err(not("nobody verified who held the passkey")),
        }
    }
}

const fn not(reason: &'static str) -> Error {
    Error::NotApproved { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATION: [u8; 32] = [1; 32];
    const NONCE: [u8; 32] = [2; 32];

    /// What a passkey in software signed for operator 7, taken by webauthn-rs 0.6.2.
    const CLIENT_DATA: &str = r#"{"type":"webauthn.get","challenge":"OYXf0nY31MLKM5QVk_VBEJSwcwQFh8niQ2qzZvb52Bg","origin":"http://localhost:8000","crossOrigin":false}"#;
    const AUTHENTICATOR_DATA: &str = "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MdAAAAAA";
    const SIGNATURE: &str = "MEUCIQDa_KJIVJf5XtPEd7ZAXxFJJdHBJV_vxlkL7m99lPvdWQIgRs6els9Jvq6TURSJ4cu181jy2Ou7KB_bJIYhPGkkPCU";
    const PUBLIC_KEY: &str =
        "BNz2VxCYhrQ1XnFjHZTwjuCU-zxF83LvO6AbZbf2W7PXWS2qEWLPwNgOlWqqkMtFjWq-sees683QQLcNUXuAoIQ";

    const PAGE: Page<'static> = Page {
        host: "localhost",
        origin: "http://localhost:8000",
    };

    struct Signed {
        authenticator_data: Vec<u8>,
        client_data: Vec<u8>,
        signature: Vec<u8>,
        public_key: Vec<u8>,
    }

    impl Signed {
        fn new() -> Self {
            let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
            Self {
                authenticator_data: decode(AUTHENTICATOR_DATA),
                client_data: CLIENT_DATA.as_bytes().to_vec(),
                signature: decode(SIGNATURE),
                public_key: decode(PUBLIC_KEY),
            }
        }

        fn approval(&self) -> Approval<'_> {
            Approval {
                operation: &OPERATION,
                operator: 7,
                nonce: &NONCE,
                authenticator_data: &self.authenticator_data,
                client_data: &self.client_data,
                signature: &self.signature,
                public_key: &self.public_key,
            }
        }

        fn refused(&self) -> &'static str {
            reason(self.approval().verify(&PAGE))
        }
    }

    fn reason(verified: Result<()>) -> &'static str {
        match verified {
            Err(Error::NotApproved { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_yes_is_verified_without_the_library_that_took_it() {
        Signed::new().approval().verify(&PAGE).unwrap();
    }

    #[test]
    fn it_is_to_one_operation_by_one_operator_and_for_one_moment() {
        let signed = Signed::new();
        let approval = signed.approval();
        let other = [3; 32];
        for changed in [
            Approval {
                operation: &other,
                ..approval
            },
            Approval {
                operator: 8,
                ..approval
            },
            Approval {
                nonce: &other,
                ..approval
            },
        ] {
            let reason = reason(changed.verify(&PAGE));
            assert_eq!(reason, "it is to another operation, or by another operator");
        }
    }

    #[test]
    fn another_page_or_host_is_not_the_vault() {
        let signed = Signed::new();
        for origin in [
            "http://localhost:8001",
            "http://localhost:800",
            "http://localhost:80000",
            "https://localhost:8000",
            "http://localhost:8000\",\"crossOrigin\":false,\"x\":\"",
            "",
        ] {
            let page = Page { origin, ..PAGE };
            assert!(signed.approval().verify(&page).is_err(), "{origin}");
        }
        let host = "local";
        let elsewhere = signed.approval().verify(&Page { host, ..PAGE });
        assert_eq!(reason(elsewhere), "its passkey is of another host");
    }

    #[test]
    fn client_data_is_taken_as_browsers_write_it_and_in_no_other_way() {
        let change = |from: &str, to: &str| {
            let mut signed = Signed::new();
            signed.client_data = CLIENT_DATA.replacen(from, to, 1).into_bytes();
            signed.refused()
        };
        change("webauthn.get", "webauthn.create");
        change("{", "{ ");
        change("{", r#"{"type":"webauthn.get","#);
        change(r#""crossOrigin":false"#, r#""crossOrigin":true"#);
        change(r#","crossOrigin":false"#, "");
        change("false}", "false");
        // What a browser adds behind it may be there, and is signed as well.
        let added = change("false}", r#"false,"topOrigin":"x"}"#);
        assert_eq!(added, "its signature is not by that key");
    }

    #[test]
    fn whoever_was_not_verified_has_agreed_to_nothing() {
        for flags in [0x00, 0x01, 0x04, 0x18] {
            let mut signed = Signed::new();
            signed.authenticator_data[FLAGS] = flags;
            assert_eq!(signed.refused(), "nobody verified who held the passkey");
        }
        let mut signed = Signed::new();
        signed.authenticator_data[FLAGS] ^= 0x10;
        assert_eq!(signed.refused(), "its signature is not by that key");
    }

    #[test]
    fn junk_is_refused_and_nothing_panics() {
        let mut signed = Signed::new();
        signed.authenticator_data.truncate(36);
        signed.refused();
        let mut signed = Signed::new();
        signed.authenticator_data.resize(5 << 10, 0);
        signed.refused();
        let mut signed = Signed::new();
        signed.client_data.resize(5 << 10, b' ');
        signed.refused();
        for length in [0, 1, 64, 200] {
            let mut signed = Signed::new();
            signed.signature = vec![0x30; length];
            signed.refused();
            let mut signed = Signed::new();
            signed.public_key = vec![0x04; length];
            signed.refused();
        }
    }
}
