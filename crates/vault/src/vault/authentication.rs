//! Who asks: tokens, looked up by their name and compared by the digest of their secret.
//!
//! A token is `srt-NAME-SECRET`: 48 bits of name, which may be told, and 256 random bits. So one
//! SHA-256 is enough to keep it by, and nothing can be guessed.

use std::collections::HashMap;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use strongroom_model::RepositoryPath;
use subtle::ConstantTimeEq;

use crate::records::leaves::{self, Act};
use crate::records::tokens::{self, Token};
use crate::rules::clock::MINUTE_MS;
use crate::rules::right::{self, Right};
use crate::vault::Vault;
use crate::{Error, Result};

/// How every token begins.
pub(super) const PREFIX: &str = "srt-";

/// How long a token is believed without asking the database again, by the boot clock.
const BELIEVED_MS: i64 = 1_000;

/// How many tokens are remembered.
const REMEMBERED: usize = 10_000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The key of the token's row.
    pub(super) token: i64,
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub right: Right,
    /// With which repositories.
    pub prefix: RepositoryPath,
}

/// The tokens that were used lately.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, (i64, Token)>>);

impl Principal {
    /// Fails where this may not do something with a repository.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn authorise(&self, act: right::Act, path: &RepositoryPath) -> Result<()> {
        if path.is_within(&self.prefix) && self.right.allows(act) {
            return Ok(());
        }
        let what = match act {
            right::Act::Put(kind) => format!("put {kind}"),
            right::Act::Read => "read".to_owned(),
            right::Act::Remove(kind) => format!("remove {kind}"),
            right::Act::Report => "report".to_owned(),
        };
        Err(Error::Forbidden {
            token: self.name.clone(),
            action: format!("{what} in {path}"),
        })
    }
}

impl Vault {
    /// Who a token belongs to.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] whatever is wrong with it; those of the database.
    pub fn authenticate(&self, text: &str) -> Result<Principal> {
        let (name, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .ok_or(Error::Unauthorized)?;
        let token = self.token(name)?;
        let digest = Sha256::digest(secret.as_bytes());
        let now = self.now();
        let is_right = match &token {
            Some(token) => bool::from(token.secret.ct_eq(digest.as_slice())),
            None => false,
        };
        let token = token
            .filter(|token| is_right && token.counts_at(now.vault_ms))
            .ok_or(Error::Unauthorized)?;
        let is_noted = |used_ms: i64| now.vault_ms.saturating_sub(used_ms) < MINUTE_MS;
        if !token.used_ms.is_some_and(is_noted) {
            self.note_use(&token)?;
        }
        Ok(Principal {
            token: token.id,
            name: token.name,
            right: token.right,
            prefix: token.prefix,
        })
    }

    fn token(&self, name: &str) -> Result<Option<Token>> {
        let at_ms = self.shared.read_clocks.read().boottime_ms;
        if let Some((seen_ms, token)) = self.shared.known.0.lock().get(name)
            && (0..BELIEVED_MS).contains(&at_ms.saturating_sub(*seen_ms))
        {
            return Ok(Some(token.clone()));
        }
        let found = self.read(|transaction| tokens::get(transaction, name))?;
        let mut known = self.shared.known.0.lock();
        match &found {
            Some(token) => {
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(name.to_owned(), (at_ms, token.clone()));
            }
            None => {
                known.remove(name);
            }
        }
        Ok(found)
    }

    fn note_use(&self, token: &Token) -> Result<()> {
        let (id, name) = (token.id, token.name.clone());
        let now = self.now();
        self.shared.commits.commit(move |transaction| {
            let is_first = tokens::get(transaction, &name)?.is_some_and(|t| t.used_ms.is_none());
            tokens::note_use(transaction, id, now.vault_ms)?;
            if is_first {
                let token = name.clone();
                leaves::append(transaction, now, &Act::TokenUsed { token })?;
            }
            Ok(())
        })?;
        self.forget_token(&token.name);
        Ok(())
    }

    /// Looks a token up anew at its next use.
    pub(super) fn forget_token(&self, name: &str) {
        self.shared.known.0.lock().remove(name);
    }
}
