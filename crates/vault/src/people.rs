//! People: how operators come, sign in, ask, agree, and seal. What is decided is decided by
//! [`strongroom_access`]; here it is read, asked for and written down.
//!
//! Every decision is made in the transaction that writes what comes of it, on what that transaction
//! reads. docs/people.md tells the whole.

mod doing;
mod enrolling;
mod forwarding;
mod guessing;
mod joining;
mod operations;
mod recovering;
mod sealing;
mod sessions;
mod showing;
mod signing_in;
mod telling;
mod world;

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};
use strongroom_access::{OperatorId, Shown, forward};
use strongroom_model::Secret;

pub use doing::{Done, Performed};
pub(crate) use doing::{keep, shows_something};
pub use enrolling::{Enrolling, NewFactor};
pub use forwarding::{AtHost, Way};
pub use joining::{Joined, Joining};
pub use operations::Listed;
pub use recovering::Recovering;
pub use sessions::{Browser, SignedIn};
pub use signing_in::Cookies;
pub use world::Known;
pub(crate) use world::{allow, held};

use crate::passkeys::Passkeys;
use crate::passwords::Passwords;
use crate::{Error, Result, Vault};

/// For so long an answer to a challenge is waited for, in milliseconds of vault time.
const ANSWERED_WITHIN_MS: i64 = 5 * 60_000;

/// How many random bytes somebody shows who shows a cookie, a link or the name of a challenge.
const SECRET_BYTES: usize = 32;

/// Random bytes of a code that people write down.
const CODE_BYTES: usize = 10;

/// The people of a vault.
#[derive(Debug)]
pub struct People {
    vault: Vault,
    /// None where no address is configured that passkeys could be bound to.
    passkeys: Option<Passkeys>,
    passwords: Passwords,
    /// What buckets of names are numbered by that nobody has.
    key: Secret,
    /// Whom proxies let in where.
    rules: Vec<forward::Rule>,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever has the vault's own folder, until the first link is used.
    Folder,
    /// An operator, and what he has shown for this.
    Operator(OperatorId, Shown),
}

/// A secret that somebody is given, and later shows.
#[derive(Clone)]
pub struct Given {
    text: Secret,
    digest: [u8; 32],
}

impl Given {
    /// A new one: 256 random bits.
    fn random() -> Result<Self> {
        Ok(Self::of_text(
            &BASE64URL_NOPAD.encode(&random::<SECRET_BYTES>()?),
        ))
    }

    fn of_text(text: &str) -> Self {
        Self {
            text: Secret::new(text),
            digest: digest_of(text),
        }
    }

    /// It, to be shown once.
    pub fn reveal(&self) -> &str {
        self.text.expose()
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(***)")
    }
}

/// A code that people write down: 80 random bits, four times four letters and digits.
fn code() -> Result<Given> {
    let text = BASE32_NOPAD.encode(&random::<CODE_BYTES>()?).to_lowercase();
    let letters: Vec<char> = text.chars().collect();
    let parts: Vec<String> = letters
        .chunks(4)
        .map(|part| part.iter().collect())
        .collect();
    Ok(Given {
        text: Secret::new(parts.join("-")),
        digest: digest_of(&plain(&text)),
    })
}

/// A code as it is compared: people write it in capitals, with spaces or without strokes.
fn plain(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// What is kept of a secret that somebody was given.
fn digest_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Random bytes.
fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Refused {
        reason: format!("the system gives no randomness: {error}"),
    })?;
    Ok(bytes)
}

impl People {
    /// Those of a vault; `key` is a secret of its folder, of 256 random bits.
    pub fn new(vault: Vault, passkeys: Option<Passkeys>, key: Secret) -> Self {
        Self {
            vault,
            passkeys,
            passwords: Passwords::new(key.clone()),
            key,
            rules: Vec::new(),
        }
    }

    /// With rules of whom proxies let in where.
    #[must_use]
    pub fn protecting(mut self, rules: Vec<forward::Rule>) -> Self {
        self.rules = rules;
        self
    }

    /// Whom proxies let in where.
    pub fn rules(&self) -> &[forward::Rule] {
        &self.rules
    }

    /// The vault.
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The address of the pages, where one is configured.
    pub fn origin(&self) -> Option<&str> {
        self.passkeys
            .as_ref()
            .map(|passkeys| passkeys.origin.as_str())
    }

    fn passkeys(&self) -> Result<&Passkeys> {
        self.passkeys.as_ref().ok_or_else(|| Error::Refused {
            reason:
                "passkeys are bound to an address, and none is configured: write public_url in \
                     vault.toml"
                    .to_owned(),
        })
    }
}
