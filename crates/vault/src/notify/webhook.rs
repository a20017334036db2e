//! A webhook of ours: JSON, signed, so that whoever gets it knows that it is the vault's and from now.
//!
//! `Strongroom-Signature` is `v1=` and, in hexadecimal digits, the HMAC-SHA256 (RFC 2104) of the text
//! of `Strongroom-Timestamp`, a dot, and the body as it was sent. Whoever checks it refuses what is
//! older than some minutes: else a message that was seen once could be sent again.

use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use strongroom_model::Secret;

use crate::Result;
use crate::config::AddressConfig;
use crate::notify::post::Poster;
use crate::notify::{Message, secret_file};

#[derive(Debug)]
pub(super) struct Webhook {
    poster: Poster,
    secret: Secret,
}

impl Webhook {
    pub(super) fn open(
        url: &AddressConfig,
        secret_file: &Path,
        ca_file: Option<&Path>,
    ) -> Result<Self> {
        Ok(Self {
            poster: Poster::open(&secret_file::address(url)?, ca_file)?,
            secret: secret_file::read(secret_file)?,
        })
    }

    pub(super) fn send(&self, message: &Message, now_s: i64) -> Result<(), String> {
        let body = json!({
            "id": message.id,
            "kind": message.kind.word(),
            "level": message.level.word(),
            "subject": message.subject,
            "body": message.body,
            "at": message.at,
            "vault": message.vault,
        });
        let body = body.to_string();
        let timestamp = now_s.to_string();
        let signature = sign(&self.secret, &timestamp, body.as_bytes())?;
        let headers = [
            ("Content-Type", "application/json"),
            ("Strongroom-Timestamp", timestamp.as_str()),
            ("Strongroom-Signature", signature.as_str()),
        ];
        self.poster.post(&headers, body.as_bytes())
    }
}

/// The signature of a body that is sent at a time.
fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> Result<String, String> {
    let key = secret.expose().as_bytes();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).map_err(|_| "it cannot be signed".to_owned())?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    Ok(format!("v1={}", HEXLOWER.encode(&digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_openssl() {
        // printf '%s' '1800000000.{"id":7}' | openssl dgst -sha256 -hmac 'a secret'
        let secret = Secret::new("a secret");
        let signature = sign(&secret, "1800000000", b"{\"id\":7}").unwrap();
        assert_eq!(
            signature,
            "v1=f8cce380fa2d7ba1650b8a5282ac33d4bc9bd2482c91c9b77dca3e99e7c3d568"
        );
    }
}
