//! Sessions on the pages of other hosts, to which a browser comes by a code of the vault.
//!
//! What can go wrong: a code or a cookie that is used elsewhere than where it was given. A code is for
//! one host, for one browser, once, and for a minute; a cookie is for one host, and only as long as
//! the session on the vault's own pages that it came from.

use strongroom_access::Operator;
use strongroom_access::forward::{self, Verdict, Visitor};
use strongroom_access::session::{Place, Session};

use crate::passkeys::Answer;
use crate::people::sessions::LONGEST_PROGRAM;
use crate::people::{Browser, Given, People, SignedIn, digest_of};
use crate::records::people::challenges;
use crate::records::people::factors::{self, Kind};
use crate::records::people::host_codes::{self, HostCode};
use crate::records::people::{operators, seals, sessions};
use crate::rules::clock::MINUTE_MS;
use crate::{Error, Result};

/// For so long a code counts, in milliseconds of vault time.
const CODE_COUNTS_MS: i64 = MINUTE_MS;

/// Where somebody wants to go on another host.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The host, as rules name it.
    pub host: &'a str,
    /// The whole address.
    pub target: &'a str,
    /// The digest of what his browser has there.
    pub browser: &'a [u8; 32],
}

/// What is answered to a request on another host.
#[derive(Clone, Debug)]
pub struct AtHost {
    /// What a proxy is told.
    pub verdict: Verdict,
    /// Who it is, where he is let in.
    pub operator: Option<Operator>,
}

impl People {
    /// Decides on a request for a path and query on another host, by whoever has a cookie of that
    /// host.
    ///
    /// # Errors
    /// Those of the database.
    pub fn at_host(&self, host: &str, uri: &str, cookie: Option<&str>) -> Result<AtHost> {
        let (now, digest) = (self.vault.now(), cookie.map(digest_of));
        let (found, is_raised) = self.vault.read(|transaction| {
            let kept = match digest {
                Some(digest) => sessions::get_at_host(transaction, &digest, host)?,
                None => None,
            };
            let operator = match &kept {
                Some(kept) => operators::get(transaction, kept.session.operator)?,
                None => None,
            };
            let is_raised = seals::get(transaction)?.is_closed();
            Ok((kept.zip(operator), is_raised))
        })?;
        let visitor = found.as_ref().map(|(kept, known)| Visitor {
            operator: &known.operator,
            session: &kept.session,
        });
        let asked = (host, uri);
        let verdict = forward::decide(&self.rules, asked, visitor, is_raised, now.vault_ms);
        let operator = match (verdict, found) {
            (Verdict::Allow, Some((kept, known))) => {
                if now.vault_ms.saturating_sub(kept.session.used_ms) >= MINUTE_MS {
                    let number = kept.number;
                    self.vault.commit(move |transaction| {
                        sessions::note_use(transaction, number, now.vault_ms)
                    })?;
                }
                Some(known.operator)
            }
            _ => None,
        };
        Ok(AtHost { verdict, operator })
    }

    /// Decides whether somebody who is signed in on the vault's own pages may go to another host.
    ///
    /// # Errors
    /// Those of the database.
    pub fn may_go(&self, who: &SignedIn, host: &str, uri: &str) -> Result<Verdict> {
        let now = self.vault.now();
        let is_raised = self.vault.read(|transaction| seals::get(transaction))?;
        let visitor = Visitor {
            operator: &who.operator,
            session: &who.session.session,
        };
        Ok(forward::decide(
            &self.rules,
            (host, uri),
            Some(visitor),
            is_raised.is_closed(),
            now.vault_ms,
        ))
    }

    /// Makes the code by which a browser goes from the session of a cookie to another host.
    ///
    /// # Errors
    /// Those of the database.
    pub fn code_for_host(&self, cookie: &str, way: Way<'_>) -> Result<Given> {
        let (now, given) = (self.vault.now(), Given::random()?);
        let code = HostCode {
            host: way.host.to_owned(),
            target: way.target.to_owned(),
            parent: digest_of(cookie),
            browser: *way.browser,
            made_ms: now.vault_ms,
        };
        let digest = given.digest;
        self.vault
            .commit(move |transaction| host_codes::insert(transaction, &digest, &code))?;
        Ok(given)
    }

    /// Takes a code on a host from a browser that has `shown` there; returns the cookie of a session
    /// there, and where it goes on. The code is used up, whatever is wrong.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`]; those of the database.
    pub fn enter_host(
        &self,
        code: &str,
        host: &str,
        shown: &str,
        browser: &Browser,
    ) -> Result<(Given, String)> {
        let (now, given) = (self.vault.now(), Given::random()?);
        let (digest, shown) = (digest_of(code), digest_of(shown));
        let (cookie, host, browser) = (given.digest, host.to_owned(), browser.clone());
        let entered = self.vault.commit(move |transaction| {
            let Some(code) = host_codes::take(transaction, &digest)? else {
                return Ok(None);
            };
            let is_fresh = now.vault_ms.saturating_sub(code.made_ms) < CODE_COUNTS_MS;
            if code.host != host || code.browser != shown || !is_fresh {
                return Ok(None);
            }
            let Some(parent) = sessions::get(transaction, &code.parent)? else {
                return Ok(None);
            };
            let session = parent.session;
            let operator = operators::get(transaction, session.operator)?;
            let counts = operator.is_some_and(|known| known.operator.counts());
            if !counts || session.place != Place::Console || !session.counts_at(now.vault_ms) {
                return Ok(None);
            }
            let at_host = sessions::AtHost {
                host: &host,
                parent: &code.parent,
            };
            sessions::end_at_host(transaction, at_host)?;
            let session = Session {
                place: Place::Host,
                used_ms: now.vault_ms,
                ..session
            };
            let program: String = browser.program.chars().take(LONGEST_PROGRAM).collect();
            let place = (browser.address.as_str(), program.as_str());
            sessions::insert(transaction, &cookie, &session, place, Some(at_host))?;
            Ok(Some(code.target))
        })?;
        let target = entered.ok_or(Error::NotSignedIn)?;
        Ok((given, target))
    }

    /// Notes that whoever is signed in has shown his passkey anew.
    ///
    /// # Errors
    /// [`Error::NotSigned`] where it is not his, or whatever else is wrong; those of the database.
    pub fn show_anew(&self, who: &SignedIn, handle: &str, answer: &str) -> Result<()> {
        let sheet = self.sheet(handle)?;
        let answer = Answer::parse(answer)?;
        let factor = self
            .vault
            .read(|transaction| factors::by_credential(transaction, answer.credential()))?;
        let factor = factor.filter(|factor| factor.operator == who.operator.id);
        let factor = factor.ok_or(Error::NotSigned)?;
        let Kind::Passkey { passkey, .. } = &factor.kind else {
            return Err(Error::NotSigned);
        };
        let signed = self.passkeys()?.signed_in(&sheet.state, &answer, passkey)?;
        self.note_shown(&factor, &signed)?;
        let (now, number) = (self.vault.now(), who.session.number);
        let used = digest_of(handle);
        self.vault.commit(move |transaction| {
            match challenges::note_used(transaction, &used, now.vault_ms)? {
                true => sessions::note_shown(transaction, number, now.vault_ms),
                false => Err(Error::NotSigned),
            }
        })
    }
}
