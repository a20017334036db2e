//! Signing in, by a passkey, or by a password and a code.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use strongroom_access::session::Place;
use strongroom_access::{OperatorId, Shown};
use strongroom_model::{Name, Secret};
use subtle::ConstantTimeEq;

use crate::passkeys::Answer;
use crate::passwords::Place as Waiting;
use crate::people::guessing::{Bucket, note_browser, owner_of};
use crate::people::{ANSWERED_WITHIN_MS, Browser, Given, People, digest_of, sessions};
use crate::records::people::challenges;
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
    /// Asks whoever is there for a passkey.
    ///
    /// **Security:** nothing is kept of that, so that no flood of strangers keeps anybody from signing in:
    /// what the answer is compared with comes back with it, under a code that only this vault makes. An
    /// answer that is right is noted, and counts once.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where the library fails.
    pub fn ask_who(&self) -> Result<(Given, Value)> {
        let asked = self.passkeys()?.ask_who()?;
        let sheet = Sheet {
            state: asked.state,
            made_ms: self.vault.now().vault_ms,
        };
        let text = serde_json::to_vec(&sheet).map_err(|_| Error::Unfinished)?;
        let code = self.code_of(&text)?;
        let handle = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(&text),
            BASE64URL_NOPAD.encode(&code)
        );
        Ok((Given::of_text(&handle), asked.options))
    }

    /// What only this vault makes of a text.
    fn code_of(&self, text: &[u8]) -> Result<[u8; 32]> {
        let code = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes());
        let mut code = code.map_err(|_| Error::Unfinished)?;
        code.update(b"strongroom sign-in\0");
        code.update(text);
        Ok(code.finalize().into_bytes().into())
    }

    /// What an answer is compared with, of a handle that this vault has made a moment ago.
    pub(super) fn sheet(&self, handle: &str) -> Result<Sheet> {
        let (text, code) = handle.split_once('.').ok_or(Error::NotSigned)?;
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes());
        let text = decode(text).map_err(|_| Error::NotSigned)?;
        let code = decode(code).map_err(|_| Error::NotSigned)?;
        let is_ours: bool = self.code_of(&text)?.ct_eq(&code).into();
        let sheet: Sheet = match is_ours {
            true => serde_json::from_slice(&text).map_err(|_| Error::NotSigned)?,
            false => return Err(Error::NotSigned),
        };
        let age_ms = self.vault.now().vault_ms.saturating_sub(sheet.made_ms);
        match age_ms < ANSWERED_WITHIN_MS {
            true => Ok(sheet),
            false => Err(Error::NotSigned),
        }
    }

    /// Signs in by a passkey.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] whatever is wrong; those of the database.
    pub fn sign_in(&self, handle: &str, answer: &str, browser: &Browser) -> Result<Cookies> {
        let none = |_| Error::NotSignedIn;
        let sheet = self.sheet(handle).map_err(none)?;
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
            .signed_in(&sheet.state, &answer, passkey)
            .map_err(none)?;
        let (now, used) = (self.vault.now(), digest_of(handle));
        let is_first = self
            .vault
            .commit(move |transaction| challenges::note_used(transaction, &used, now.vault_ms))?;
        if !is_first {
            return Err(Error::NotSignedIn);
        }
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
        let waiting = self.passwords.place(bucket.is_known())?;
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
        match self.check_password(&waiting, account.as_ref(), password, code)? {
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
        waiting: &Waiting<'_>,
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
        let is_right = self.passwords.is_right(waiting, password, hash);
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

/// What the answer of a passkey is compared with that shall sign in.
#[derive(Serialize, Deserialize)]
pub(super) struct Sheet {
    /// As the library keeps it.
    pub(super) state: String,
    made_ms: i64,
}

/// The account of a name, and its password.
fn account(
    transaction: &mut dyn crate::database::Transaction,
    name: &str,
) -> Result<Option<(OperatorId, Option<Factor>)>> {
    // What is no name at all is nobody's.
    let Ok(name) = name.parse::<Name>() else {
        return Ok(None);
    };
    let Some(known) = operators::by_name(transaction, name.as_str())? else {
        return Ok(None);
    };
    let who = known.operator.id;
    let factors = factors::of(transaction, who)?;
    let password = factors
        .into_iter()
        .find(|factor| matches!(factor.kind, Kind::Password { .. }));
    Ok(Some((who, password)))
}
