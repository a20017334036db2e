//! Signing in, by a passkey, or by a password and a code.

use std::time::Duration;

use serde_json::Value;
use strongroom_access::session::Place;
use strongroom_access::{OperatorId, Shown};
use strongroom_model::Secret;

use crate::passkeys::Answer;
use crate::people::guessing::{Bucket, note_browser, owner_of};
use crate::people::{Browser, Given, People, sessions};
use crate::records::people::challenges::{Challenge, Purpose};
use crate::records::people::factors::{self, Factor, Kind};
use crate::records::people::operators;
use crate::{Error, Result};

/// What somebody gets who has signed in.
#[derive(Clone, Debug)]
pub struct Cookies {
    /// Who he is.
    pub operator: OperatorId,
    /// The session.
    pub session: Given,
    /// That he was signed in in this browser.
    pub browser: Given,
    /// Whether he never was there before.
    pub is_new_place: bool,
}

impl People {
    /// Asks whoever is at an address for a passkey.
    ///
    /// # Errors
    /// Those of the database.
    pub fn ask_who(&self, address: &str) -> Result<(Given, Value)> {
        let (now, handle) = (self.vault.now(), Given::random()?);
        let asked = self.passkeys()?.ask_who()?;
        let challenge = Challenge {
            purpose: Purpose::SignIn,
            operator: None,
            subject: None,
            nonce: None,
            address: Some(address.to_owned()),
            state: asked.state,
            made_ms: now.vault_ms,
        };
        self.keep(&handle, challenge)?;
        Ok((handle, asked.options))
    }

    /// Signs in by a passkey.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] whatever is wrong; those of the database.
    pub fn sign_in(&self, handle: &str, answer: &str, browser: &Browser) -> Result<Cookies> {
        let none = |_| Error::NotSignedIn;
        let challenge = self.take(handle, Purpose::SignIn).map_err(none)?;
        let answer = Answer::parse(answer).map_err(none)?;
        let factor = self
            .vault
            .read(|transaction| factors::by_credential(transaction, answer.credential()))?;
        let factor = factor.ok_or(Error::NotSignedIn)?;
        let Kind::Passkey { passkey, .. } = &factor.kind else {
            return Err(Error::NotSignedIn);
        };
        let signed = self
            .passkeys()?
            .signed_in(&challenge.state, &answer, passkey)
            .map_err(none)?;
        self.note_shown(&factor, &signed)?;
        self.begin(factor.operator, Shown::Passkey, browser, None)
    }

    /// Signs in by a password and a code of TOTP.
    ///
    /// **Security:** a name that nobody has costs what others cost, is paused as others are, and gets
    /// the same answer.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] whatever is wrong, [`Error::Guessed`] in a pause; those of the database.
    pub fn sign_in_by_password(
        &self,
        name: &str,
        password: &Secret,
        code: &str,
        browser: &Browser,
    ) -> Result<Cookies> {
        let now = self.vault.now();
        let (account, bucket) = self.vault.read(|transaction| {
            let account = account(transaction, name)?;
            let owner = account.as_ref().map(|(who, _)| *who);
            let bucket = self.bucket(transaction, name, owner, browser)?;
            Ok((account, bucket))
        })?;
        // Whoever guesses from one address many names waits before anything is hashed; the owner in his
        // own browser does not.
        if let Some(pause) = browser.pause.filter(|_| !bucket.is_known()) {
            return Err(Error::Guessed { pause });
        }
        // Counted as wrong before it is looked at: of many at once no more are than may be.
        let paused = self.vault.commit(move |transaction| {
            let guesses = bucket.guesses(transaction)?;
            match guesses.pauses_until(now.vault_ms) {
                Some(until_ms) => Ok(Some(until_ms.saturating_sub(now.vault_ms))),
                None => {
                    bucket.note_wrong(transaction, now)?;
                    Ok(None)
                }
            }
        })?;
        if let Some(pause_ms) = paused {
            return Err(Error::Guessed {
                pause: Duration::from_millis(u64::try_from(pause_ms).unwrap_or_default()),
            });
        }
        match self.check_password(account.as_ref(), password, code)? {
            Some((who, factor, step)) => {
                let is_new = self.vault.commit(move |transaction| {
                    factors::take_step(transaction, factor, step, now.vault_ms)
                })?;
                match is_new {
                    true => self.begin(who, Shown::PasswordAndTotp, browser, Some(bucket)),
                    false => Err(Error::NotSignedIn),
                }
            }
            None => Err(Error::NotSignedIn),
        }
    }

    /// Whose password and code these are: both are looked at, whatever the first one is.
    fn check_password(
        &self,
        account: Option<&(OperatorId, Option<Factor>)>,
        password: &Secret,
        code: &str,
    ) -> Result<Option<(OperatorId, i64, u64)>> {
        let kept = account.and_then(|(who, factor)| match factor {
            Some(Factor {
                id,
                kind: Kind::Password { password, salt, .. },
                ..
            }) => Some((*who, *id, password.as_str(), salt.as_slice())),
            _ => None,
        });
        let hash = kept.map(|(_, _, hash, _)| hash);
        let is_right = self.passwords.is_right(password, hash)?;
        let salt = kept.map_or(&b"nobody's"[..], |(_, _, _, salt)| salt);
        let step = self.passwords.step_of(code, salt, self.vault.wall_ms())?;
        Ok(match (kept, is_right, step) {
            (Some((who, factor, ..)), true, Some(step)) => Some((who, factor, step)),
            _ => None,
        })
    }

    fn begin(
        &self,
        who: OperatorId,
        shown: Shown,
        browser: &Browser,
        bucket: Option<Bucket>,
    ) -> Result<Cookies> {
        let (now, browser) = (self.vault.now(), browser.clone());
        let (session, cookie) = (Given::random()?, Given::random()?);
        let (of_session, of_browser) = (session.clone(), cookie.clone());
        let is_new_place = self.vault.commit(move |transaction| {
            let is_new_place = match bucket {
                Some(bucket) => bucket.note_right(transaction, now, who, &of_browser)?,
                None => {
                    let owner = owner_of(transaction, &browser)?;
                    note_browser(transaction, now, who, owner, &of_browser)?
                }
            };
            let cookie = (&of_session, is_new_place);
            sessions::begin(
                transaction,
                now,
                (who, shown),
                Place::Console,
                &browser,
                cookie,
            )?;
            Ok(is_new_place)
        })?;
        Ok(Cookies {
            operator: who,
            session,
            browser: cookie,
            is_new_place,
        })
    }
}

/// The account of a name, and its password.
fn account(
    transaction: &mut dyn crate::database::Transaction,
    name: &str,
) -> Result<Option<(OperatorId, Option<Factor>)>> {
    let Some(known) = operators::by_name(transaction, name)? else {
        return Ok(None);
    };
    let who = known.operator.id;
    let factors = factors::of(transaction, who)?;
    let password = factors
        .into_iter()
        .find(|factor| matches!(factor.kind, Kind::Password { .. }));
    Ok(Some((who, password)))
}
