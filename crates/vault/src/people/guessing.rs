//! How often a password may be guessed, and from where.
//!
//! Strangers guess in one of 4,096 buckets, whether somebody has the name or nobody: so no pause tells
//! which.

use sha2::{Digest, Sha256};
use strongroom_access::OperatorId;
use strongroom_access::throttle::Guesses;

use crate::Result;
use crate::database::Transaction;
use crate::people::{Browser, Given, People, digest_of};
use crate::records::leaves::Moment;
use crate::records::people::guessing;

/// How many browsers are remembered of an operator.
const MOST_BROWSERS: i64 = 20;

/// Where a guess is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    key: [u8; 32],
    /// Whose browser it is.
    owner: Option<OperatorId>,
}

impl People {
    /// Where a guess is counted that is about a name, which is that of an account or nobody's.
    pub(super) fn bucket(
        &self,
        transaction: &mut dyn Transaction,
        name: &str,
        account: Option<OperatorId>,
        browser: &Browser,
    ) -> Result<Bucket> {
        if let (Some(account), Some(cookie)) = (account, &browser.cookie) {
            let key = digest_of(cookie);
            if guessing::owner(transaction, &key)? == Some(account) {
                return Ok(Bucket {
                    key,
                    owner: Some(account),
                });
            }
        }
        let keyed = |what: &[u8]| -> [u8; 32] {
            Sha256::new()
                .chain_update(self.key.expose())
                .chain_update(what)
                .finalize()
                .into()
        };
        let [first, second, ..] = keyed(name.as_bytes());
        let key = keyed(&[first, second & 0x0f, b'?']);
        Ok(Bucket { key, owner: None })
    }
}

impl Bucket {
    /// Whether it is that of a browser in which the owner of the account was signed in.
    pub(super) const fn is_known(self) -> bool {
        self.owner.is_some()
    }

    /// What was guessed wrong here.
    pub(super) fn guesses(self, transaction: &mut dyn Transaction) -> Result<Guesses> {
        Ok(guessing::get(transaction, &self.key)?.unwrap_or_default())
    }

    /// Notes one more that was wrong.
    pub(super) fn note_wrong(self, transaction: &mut dyn Transaction, now: Moment) -> Result<()> {
        let guesses = self.guesses(transaction)?.wrong_at(now.vault_ms);
        guessing::set(transaction, &self.key, self.owner, guesses)
    }

    /// Notes one that was right, in a browser that has this cookie from now on; tells whether he
    /// never was there before.
    pub(super) fn note_right(
        self,
        transaction: &mut dyn Transaction,
        now: Moment,
        who: OperatorId,
        cookie: &Given,
    ) -> Result<bool> {
        let none = Guesses {
            wrong: 0,
            last_ms: now.vault_ms,
        };
        guessing::set(transaction, &self.key, self.owner, none)?;
        note_browser(transaction, now, who, self.owner, cookie)
    }
}

/// Notes that somebody is signed in in a browser; tells whether he never was there before.
pub(super) fn note_browser(
    transaction: &mut dyn Transaction,
    now: Moment,
    who: OperatorId,
    owner: Option<OperatorId>,
    cookie: &Given,
) -> Result<bool> {
    let guesses = Guesses {
        wrong: 0,
        last_ms: now.vault_ms,
    };
    guessing::set(transaction, &cookie.digest, Some(who), guesses)?;
    guessing::keep_newest(transaction, who, MOST_BROWSERS)?;
    Ok(owner != Some(who))
}

/// Whose browser a cookie is of.
pub(super) fn owner_of(
    transaction: &mut dyn Transaction,
    browser: &Browser,
) -> Result<Option<OperatorId>> {
    match &browser.cookie {
        Some(cookie) => guessing::owner(transaction, &digest_of(cookie)),
        None => Ok(None),
    }
}
