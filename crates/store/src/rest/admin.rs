//! The administration of a vault, for whoever has its token for that.
//!
//! The token goes into one header and nowhere else. What is asked changes things: nothing is sent a
//! second time by itself, since an answer that was lost may have been a yes.

use std::fmt;

use serde_json::Value;
use strongroom_model::Secret;
use zeroize::Zeroizing;

use crate::rest::client::Client;
use crate::rest::json::Reply;
use crate::rest::options::{Address, RestOptions, Retries};
use crate::rest::retry::Attempts;
use crate::{Error, Result};

/// No list of tokens or repositories is longer.
const LIMIT_BYTES: u64 = 64 << 20;

/// Asks a vault to be administered.
pub struct VaultAdmin {
    client: Client,
    attempts: Attempts,
    root: String,
}

impl VaultAdmin {
    /// Prepares a client for the vault at a URL; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Address`] where the URL or the CA file cannot be used, or where the token would
    /// cross a network readable by anyone on the way.
    pub fn new(options: &RestOptions, token: &Secret) -> Result<Self> {
        let mut address = Address::parse(&options.url)?;
        let root = address.root();
        address.location = root.clone();
        if !root.starts_with("https:") && !address.is_loopback() {
            return Err(Error::Address {
                address: root,
                reason: "over plain HTTP the token could be read on the way".to_owned(),
            });
        }
        let value = format!("Bearer {}", token.expose());
        address.authorization = Some(Zeroizing::new(value));
        Ok(Self {
            attempts: Attempts {
                location: root.clone(),
                retries: Retries {
                    tries: 1,
                    ..options.retries
                },
                cancelled: options.cancelled.clone(),
            },
            client: Client::new(address, options)?,
            root,
        })
    }

    /// Asks for something; `action` is what it does, as a verb phrase.
    ///
    /// # Errors
    /// [`Error::Vault`], [`Error::BadAnswer`], and where it cannot be reached.
    pub fn get(&self, path: &str, action: &str) -> Result<Value> {
        let url = self.url(path);
        let ask = |_| self.client.get_json(&url, action, LIMIT_BYTES);
        self.decode(&self.attempts.run(ask)?, action)
    }

    /// Has something done.
    ///
    /// # Errors
    /// As [`VaultAdmin::get`].
    pub fn post(&self, path: &str, body: &Value, action: &str) -> Result<Value> {
        let url = self.url(path);
        let body = body.to_string();
        let post = |_| {
            self.client
                .post_json(&url, body.as_bytes(), action, LIMIT_BYTES)
        };
        self.decode(&self.attempts.run(post)?, action)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{}", self.root, path.trim_start_matches('/'))
    }

    /// What came; `null` where a yes has no words.
    fn decode(&self, reply: &Reply, action: &str) -> Result<Value> {
        if reply.status.is_success() && reply.is_empty() {
            return Ok(Value::Null);
        }
        self.client.decode(reply, &self.root, action)
    }
}

impl fmt::Debug for VaultAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VaultAdmin").field(&self.root).finish()
    }
}
