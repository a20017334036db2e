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
use crate::rules::refusals::Reason;
use crate::rules::right::{self, Right};
use crate::vault::Vault;
use crate::{Error, Result};

/// How every token begins.
pub(super) const PREFIX: &str = "srt-";

/// How long a token is believed without asking the database again, by the boot clock.
const BELIEVED_MS: i64 = 1_000;

/// When a token was seen that has to be looked up at its next use.
const LONG_AGO: i64 = i64::MIN;

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
    fn of(token: Token) -> Self {
        Self {
            token: token.id,
            name: token.name,
            right: token.right,
            prefix: token.prefix,
        }
    }

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
    /// [`Error::Unauthorized`] whatever is wrong with it; what it was is for the log alone. Those of
    /// the database.
    pub fn authenticate(&self, text: &str) -> Result<Principal> {
        let refuse = |reason, token: Option<&str>| -> Result<Principal> {
            self.refuse(reason, token, None);
            Err(Error::Unauthorized)
        };
        let Some((name, secret)) = parts_of(text) else {
            return refuse(Reason::UnknownToken, None);
        };
        let now = self.now();
        let Some(token) = self.token(name)? else {
            return refuse(Reason::UnknownToken, None);
        };
        if !is_secret_of(&token, secret) {
            return refuse(Reason::WrongSecret, Some(name));
        }
        if token.revoked_ms.is_some() {
            return refuse(Reason::Revoked, Some(name));
        }
        if !token.counts_at(now.vault_ms) {
            return refuse(Reason::Expired, Some(name));
        }
        let is_noted = |used_ms: i64| now.vault_ms.saturating_sub(used_ms) < MINUTE_MS;
        if token.used_ms.is_some_and(is_noted) {
            return Ok(Principal::of(token));
        }
        match self.note_use(&token) {
            // The first use is in the log, or does not happen. Later ones are only for people to
            // look at: where the disk is full, reading goes on without.
            Err(error) if token.used_ms.is_some() => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    token = token.name,
                    "The use of a token was not noted"
                );
            }
            noted => noted?,
        }
        Ok(Principal::of(token))
    }

    /// Who a token belongs to that was used a moment ago, without asking the database: `None`
    /// where that has to be asked.
    pub fn authenticate_known(&self, text: &str) -> Option<Principal> {
        let (name, secret) = parts_of(text)?;
        let token = self.remembered(name)?;
        let now = self.now();
        // The first use is in the log, or does not happen: it is no use that was known.
        let is_right = token.used_ms.is_some()
            && is_secret_of(&token, secret)
            && token.counts_at(now.vault_ms);
        is_right.then(|| Principal::of(token))
    }

    /// Whether a token was right when it was last looked up, however long ago: whoever shows it is
    /// no stranger, and is believed as little as one.
    pub(crate) fn is_acquainted(&self, text: &str) -> bool {
        let Some((name, secret)) = parts_of(text) else {
            return false;
        };
        let vault_ms = self.now().vault_ms;
        let known = self.shared.known.0.lock();
        let token = known.get(name).map(|(_, token)| token);
        token.is_some_and(|token| token.counts_at(vault_ms) && is_secret_of(token, secret))
    }

    fn remembered(&self, name: &str) -> Option<Token> {
        let at_ms = self.shared.read_clocks.read().boottime_ms;
        let known = self.shared.known.0.lock();
        let (seen_ms, token) = known.get(name)?;
        let age_ms = at_ms.saturating_sub(*seen_ms);
        (0..BELIEVED_MS).contains(&age_ms).then(|| token.clone())
    }

    fn token(&self, name: &str) -> Result<Option<Token>> {
        if let Some(token) = self.remembered(name) {
            return Ok(Some(token));
        }
        let at_ms = self.shared.read_clocks.read().boottime_ms;
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
        if let Some((seen_ms, _)) = self.shared.known.0.lock().get_mut(name) {
            *seen_ms = LONG_AGO;
        }
    }
}

/// The name and the secret of a token.
fn parts_of(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(PREFIX)?.split_once('-')
}

fn is_secret_of(token: &Token, secret: &str) -> bool {
    let digest = Sha256::digest(secret.as_bytes());
    token.secret.ct_eq(digest.as_slice()).into()
}
