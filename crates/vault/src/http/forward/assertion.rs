//! Assertions: who somebody is, signed for back ends that do not want to believe a header.
//!
//! One is a JWS in compact form (RFC 7515) with EdDSA over Ed25519 (RFC 8037): the key is published as a
//! set of JWK (RFC 7517). It counts for a minute, and for one host.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;
use sha2::{Digest, Sha256};
use strongroom_access::Operator;
use strongroom_model::Secret;

use crate::http::service::{Response, simple};
use crate::{Error, Result};

/// How long one counts, in seconds.
const COUNTS_S: i64 = 60;

/// Signs.
pub struct Assertions {
    key: SigningKey,
    /// What the key is called.
    id: String,
}

impl Assertions {
    /// With a secret of the vault's folder: 32 bytes in base64url.
    ///
    /// # Errors
    /// [`Error::Refused`] where it is none.
    pub fn new(secret: &Secret) -> Result<Self> {
        let bytes = BASE64URL_NOPAD.decode(secret.expose().as_bytes()).ok();
        let seed = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let seed = seed.ok_or_else(|| Error::Refused {
            reason: "the key that signs for back ends is not 32 bytes in base64url".to_owned(),
        })?;
        let key = SigningKey::from_bytes(&seed);
        let digest = Sha256::digest(key.verifying_key().as_bytes());
        let id = digest.get(..8).unwrap_or_default();
        let id = HEXLOWER.encode(id);
        Ok(Self { key, id })
    }

    /// Says who somebody is, to the back end of a host, at a moment of wall time.
    ///
    /// # Errors
    /// [`Error::Refused`] where there is no randomness.
    pub fn sign(&self, operator: &Operator, host: &str, wall_ms: i64) -> Result<String> {
        let mut nonce = [0_u8; 16];
        getrandom::fill(&mut nonce).map_err(|error| Error::Refused {
            reason: format!("the system gives no randomness: {error}"),
        })?;
        let issued_s = wall_ms.div_euclid(1000);
        let header = json!({ "alg": "EdDSA", "kid": self.id, "typ": "JWT" });
        let groups: Vec<&str> = operator.roles.iter().map(|role| role.word()).collect();
        let claims = json!({
            "user": operator.name.as_str(),
            "groups": groups,
            "host": host,
            "iat": issued_s,
            "exp": issued_s.saturating_add(COUNTS_S),
            "nonce": BASE64URL_NOPAD.encode(&nonce),
        });
        let encode = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
        let signed = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signature = self.key.sign(signed.as_bytes());
        let signature = BASE64URL_NOPAD.encode(&signature.to_bytes());
        Ok(format!("{signed}.{signature}"))
    }

    /// The answer that tells the public key.
    pub(super) fn published(&self) -> Response {
        let key = BASE64URL_NOPAD.encode(self.key.verifying_key().as_bytes());
        let set = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id, "x": key,
        }] });
        let mut response = simple(StatusCode::OK, &set.to_string());
        let kind = HeaderValue::from_static("application/jwk-set+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assertions({})", self.id)
    }
}
