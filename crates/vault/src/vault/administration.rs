//! What those who run a vault do: tokens, repositories, keys that wait.
//!
//! What raises protection is done at once; what lowers it would need several people, and is
//! refused while there is no way to ask them.

use std::collections::HashMap;
use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use strongroom_access::Act as Permitted;
use strongroom_model::{FileName, Id, RepositoryPath};

use crate::database::Transaction;
use crate::people::{Who, allow, held, keep};
use crate::records::client_keys::{self, PublicKey};
use crate::records::leaves::{self, Act, By, Moment};
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::records::tokens::{self, Spent, Token};
use crate::records::tombstones;
use crate::rules::purge::{Keeping, Tombstones};
use crate::rules::right::Right;
use crate::vault::authentication::PREFIX;
use crate::vault::many::known_token;
use crate::vault::{Vault, ensure_repository, told};
use crate::{Error, Result};

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it may do.
    pub right: Right,
    /// With which repository, or those in which folder.
    pub prefix: RepositoryPath,
    /// For how long, in milliseconds of vault time.
    pub expires_in_ms: Option<i64>,
    /// The most bytes that it may put in a day.
    pub daily_bytes: Option<u64>,
    /// The most objects that it may put and ask to be deleted in a day; [`DAILY_OBJECTS`] where
    /// nothing is said.
    pub daily_objects: Option<u64>,
}

/// How many objects a token may put and ask to be deleted in a day, where nothing is said. Each of
/// these acts is a leaf, and no leaf is ever removed: a log that grows without a bound fills the
/// disk of all.
pub const DAILY_OBJECTS: u64 = 1_000_000;

/// What a token may do in a day; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenDay {
    /// The most bytes that it may put.
    pub daily_bytes: Option<u64>,
    /// The most objects that it may put and ask to be deleted.
    pub daily_objects: Option<u64>,
}

/// For how long something shall be kept; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Longer {
    /// The least time from arrival to purge, in milliseconds.
    pub retention_ms: Option<i64>,
    /// The least time from tombstone to purge, in milliseconds.
    pub grace_ms: Option<i64>,
}

/// A token as it is shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    /// Its name.
    pub name: String,
    /// All of it.
    text: String,
}

impl TokenText {
    /// The token itself, a secret.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// Never shows the secret.
impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({})", self.name)
    }
}

impl Vault {
    /// Makes a token. Its secret is not kept here.
    ///
    /// # Errors
    /// [`Error::NotPermitted`]; [`Error::Malformed`] where a bound is larger than the database holds;
    /// those of the database and of the system's randomness.
    pub fn create_token(&self, who: Who, new: &NewToken) -> Result<TokenText> {
        let (now, new, fresh) = (self.now(), new.clone(), FreshToken::random()?);
        self.shared.commits.commit(move |transaction| {
            let act = Permitted::MakeToken {
                right: new.right,
                prefix: new.prefix.clone(),
                expires_in_ms: new.expires_in_ms,
                in_place_of: None,
            };
            let _permit = allow(transaction, now, who, act)?;
            insert_token(transaction, now, &new, &fresh, None)
        })
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tokens(&self) -> Result<Vec<Token>> {
        self.read(|transaction| tokens::list(transaction))
    }

    /// All tokens, the oldest first, each with the client whose key is bound to it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tokens_with_clients(&self) -> Result<Vec<(Token, Option<Id>)>> {
        self.read(|transaction| {
            let keys: HashMap<i64, PublicKey> =
                client_keys::list(transaction)?.into_iter().collect();
            let all = tokens::list(transaction)?.into_iter();
            let client = |token: &Token| keys.get(&token.id).map(|key| Id::of(key));
            Ok(all.map(|token| (token.clone(), client(&token))).collect())
        })
    }

    /// Ends a token.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn revoke_token(&self, who: Who, name: &str) -> Result<()> {
        let now = self.now();
        let wanted = name.to_owned();
        self.shared.commits.commit(move |transaction| {
            let token = known_token(transaction, &wanted)?;
            let revoke = Permitted::RevokeToken {
                token: wanted.clone(),
            };
            let _permit = allow(transaction, now, who, revoke)?;
            if token.revoked_ms.is_none() {
                tokens::revoke(transaction, token.id, now.vault_ms)?;
                let token = wanted.clone();
                leaves::append(transaction, now, &Act::TokenRevoked { token })?;
            }
            Ok(())
        })?;
        self.forget_token(name);
        Ok(())
    }

    /// Sets what a token may do in a day, also of the day that it has used up; returns what it may
    /// then.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Malformed`] where a number is larger than the database holds, and
    /// of a token that does not count any more, or that only reads; those of the database.
    pub fn set_token_day(&self, who: Who, name: &str, day: TokenDay) -> Result<TokenDay> {
        check_day(day)?;
        let (now, name) = (self.now(), name.to_owned());
        self.shared.commits.commit(move |transaction| {
            let token = known_token(transaction, &name)?;
            if !token.counts_at(now.vault_ms) {
                return Err(no_day(format!(
                    "the token {name} does not count any more, because it has expired or was \
                     revoked; make a new one"
                )));
            }
            if token.right == Right::Read {
                return Err(no_day(format!(
                    "the token {name} only reads, and that has no bound in a day"
                )));
            }
            let daily_bytes = day.daily_bytes.or(token.daily_bytes);
            let daily_objects = day.daily_objects.or(token.daily_objects);
            let set = Permitted::TokenDay {
                token: name.clone(),
                bytes: daily_bytes,
                objects: daily_objects,
            };
            let _permit = allow(transaction, now, who, set)?;
            if (daily_bytes, daily_objects) != (token.daily_bytes, token.daily_objects) {
                tokens::set_day(transaction, token.id, daily_bytes, daily_objects)?;
                let token = name.clone();
                let act = Act::TokenDay {
                    token,
                    daily_bytes,
                    daily_objects,
                };
                leaves::append(transaction, now, &act)?;
            }
            Ok(TokenDay {
                daily_bytes,
                daily_objects,
            })
        })
    }

    /// All repositories, by path.
    ///
    /// # Errors
    /// Those of the database.
    pub fn repositories(&self) -> Result<Vec<Repository>> {
        self.read(|transaction| repositories::list(transaction))
    }

    /// Some repositories, by path, behind one: `most` at most.
    ///
    /// # Errors
    /// Those of the database.
    pub fn repositories_after(&self, path: &str, most: usize) -> Result<Vec<Repository>> {
        self.read(|transaction| repositories::after(transaction, path, most))
    }

    /// Makes a repository.
    ///
    /// # Errors
    /// Those of the database.
    pub fn add_repository(&self, who: Who, path: &RepositoryPath) -> Result<bool> {
        let (now, keeping, path) = (self.now(), self.shared.settings.keeping, path.clone());
        self.shared.commits.commit(move |transaction| {
            let add = Permitted::AddRepository {
                repository: path.clone(),
            };
            let _permit = allow(transaction, now, who, add)?;
            ensure_repository(transaction, now, &path, keeping, None)
        })
    }

    /// Bounds the bytes that a repository may hold, or lets go of the bound.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn set_quota(
        &self,
        who: Who,
        path: &RepositoryPath,
        quota_bytes: Option<u64>,
    ) -> Result<()> {
        let (now, path) = (self.now(), path.clone());
        self.shared.commits.commit(move |transaction| {
            let before = repositories::must(transaction, &path)?;
            let quota = Permitted::Quota {
                repository: path.clone(),
                bytes: quota_bytes,
            };
            let _permit = allow(transaction, now, who, quota)?;
            repositories::set_keeping(transaction, before.id, before.keeping, quota_bytes)?;
            let act = Act::Quota {
                repository: path.clone(),
                bytes: quota_bytes,
            };
            leaves::append(transaction, now, &act)?;
            Ok(())
        })
    }

    /// Raises how long a repository keeps things; returns for how long it does then.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] where anything would be lowered, or raised further than one may;
    /// [`Error::Unknown`]; those of the database.
    pub fn keep_longer(&self, who: Who, path: &RepositoryPath, longer: Longer) -> Result<Keeping> {
        let (now, path) = (self.now(), path.clone());
        self.shared.commits.commit(move |transaction| {
            let held = held(transaction, &path)?.ok_or_else(|| repositories::unknown(&path))?;
            let from = held.keeping;
            let to = Keeping {
                retention_ms: longer.retention_ms.unwrap_or(from.retention_ms),
                grace_ms: longer.grace_ms.unwrap_or(from.grace_ms),
            };
            let act = Permitted::Keep {
                repository: path.clone(),
                from,
                to,
                agreed: held.agreed,
                is_compliant: held.is_compliant,
            };
            let permit = allow(transaction, now, who, act)?;
            keep(transaction, now, &permit, &held)
        })
    }

    /// Refuses to remove a repository, and says why.
    ///
    /// # Errors
    /// [`Error::Unknown`]; else always [`Error::Refused`].
    pub fn remove_repository(&self, path: &RepositoryPath) -> Result<()> {
        self.repository(path)?;
        Err(Error::Refused {
            reason: "removing a repository needs the approval of several people, which this \
                     version cannot ask for"
                .to_owned(),
        })
    }

    /// Refuses to purge before its time what a token has put, and says why.
    ///
    /// # Errors
    /// [`Error::Unknown`]; else always [`Error::Refused`]; those of the database.
    pub fn purge_early(&self, name: &str) -> Result<()> {
        self.read(|transaction| known_token(transaction, name))?;
        Err(Error::Refused {
            reason: format!(
                "purging before its time what the token {name} has put needs the approval of \
                 several people, which this version cannot ask for; revoking the token and hiding \
                 what it has put takes that out of sight at once"
            ),
        })
    }

    /// The keys of a repository that wait to be let in.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn pending_keys(&self, path: &RepositoryPath) -> Result<Vec<FileName>> {
        let repository = self.repository(path)?;
        self.read(|transaction| objects::pending(transaction, repository.id))
    }

    /// Lets a key in; tells whether one waited.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn admit_key(&self, who: Who, path: &RepositoryPath, name: FileName) -> Result<bool> {
        let (now, path) = (self.now(), path.clone());
        self.shared.commits.commit(move |transaction| {
            let repository = repositories::must(transaction, &path)?;
            let admit = Permitted::AdmitKey {
                repository: path.clone(),
                key: name.id().unwrap_or_default(),
            };
            let _permit = allow(transaction, now, who, admit)?;
            let key = Key::new(repository.id, name);
            let leaf = leaves::head(transaction)?.leaves;
            let Some(object) = objects::get(transaction, &key)? else {
                return Ok(false);
            };
            let is_admitted = objects::admit(transaction, &key, leaf)?;
            if is_admitted {
                let file = told(&path, name, object.bytes, None);
                leaves::append(transaction, now, &Act::Admitted(file))?;
            }
            Ok(is_admitted)
        })
    }

    /// Agrees to the tombstones of a repository, so that purging goes on; tells whether it was
    /// held. `agreed` is what somebody has looked at, as [`Vault::overviews`] tells it.
    ///
    /// **Security:** whoever made the hold can delete the rest while an operator looks, or take
    /// back some deletions and ask for others; so a yes is to a number and to the newest leaf of
    /// it, and to nothing else. What the day has seen stays counted: what is asked to be deleted
    /// behind the yes, on a day that was above the bound, holds purging anew.
    ///
    /// # Errors
    /// [`Error::OtherTombstones`] where there are others by now; [`Error::Unknown`]; those of the
    /// database.
    pub fn agree_to_purge(
        &self,
        who: Who,
        path: &RepositoryPath,
        agreed: Tombstones,
    ) -> Result<bool> {
        let (now, path) = (self.now(), path.clone());
        self.shared.commits.commit(move |transaction| {
            repositories::must(transaction, &path)?;
            let agree = Permitted::AgreeToPurge {
                repository: path.clone(),
                tombstones: agreed.count,
                newest: agreed.newest,
            };
            let _permit = allow(transaction, now, who, agree)?;
            agree_to_purge(transaction, now, &path, agreed, None)
        })
    }
}

/// Ends the hold of a repository, where its tombstones are those that were agreed to; `by` is the
/// operation that says so, where it is one.
pub(crate) fn agree_to_purge(
    transaction: &mut dyn Transaction,
    now: Moment,
    path: &RepositoryPath,
    agreed: Tombstones,
    by: Option<By>,
) -> Result<bool> {
    let repository = repositories::must(transaction, path)?;
    if repository.purge_held_ms.is_none() {
        return Ok(false);
    }
    let found = tombstones::look(transaction, repository.id)?;
    if found != agreed {
        return Err(Error::OtherTombstones {
            repository: path.clone(),
            found,
            agreed,
        });
    }
    repositories::end_hold(transaction, repository.id)?;
    let act = Act::PurgeAgreed {
        repository: path.clone(),
        tombstones: found.count,
        newest_tombstone: found.newest,
        by,
    };
    leaves::append(transaction, now, &act)?;
    Ok(true)
}

/// Name and secret of a token that is to be made.
#[derive(Clone)]
pub(crate) struct FreshToken {
    name: String,
    secret: String,
}

impl FreshToken {
    /// Random ones.
    pub(crate) fn random() -> Result<Self> {
        let (mut name, mut secret) = ([0; 6], [0; 32]);
        getrandom::fill(&mut name)
            .and_then(|()| getrandom::fill(&mut secret))
            .map_err(|error| Error::Refused {
                reason: format!("the system gives no randomness: {error}"),
            })?;
        Ok(Self {
            name: HEXLOWER.encode(&name),
            secret: BASE64URL_NOPAD.encode(&secret),
        })
    }
}

/// Never shows the secret.
impl fmt::Debug for FreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FreshToken({})", self.name)
    }
}

/// Makes a token, `by` an operation where it is one. Its secret is not kept.
pub(crate) fn insert_token(
    transaction: &mut dyn Transaction,
    now: Moment,
    new: &NewToken,
    fresh: &FreshToken,
    by: Option<By>,
) -> Result<TokenText> {
    check_day(TokenDay {
        daily_bytes: new.daily_bytes,
        daily_objects: new.daily_objects,
    })?;
    let FreshToken { name, secret } = fresh.clone();
    let token = Token {
        id: 0,
        name: name.clone(),
        secret: Sha256::digest(secret.as_bytes()).into(),
        right: new.right,
        prefix: new.prefix.clone(),
        made_ms: now.vault_ms,
        expires_ms: new
            .expires_in_ms
            .map(|in_ms| now.vault_ms.saturating_add(in_ms)),
        used_ms: None,
        revoked_ms: None,
        daily_bytes: new.daily_bytes,
        daily_objects: Some(new.daily_objects.unwrap_or(DAILY_OBJECTS)),
        spent: Spent::default(),
    };
    tokens::insert(transaction, &token)?;
    let act = Act::TokenMade {
        token: token.name.clone(),
        right: token.right.word(),
        prefix: token.prefix.clone(),
        expires: token.expires_ms.map(leaves::timestamp).transpose()?,
        daily_bytes: token.daily_bytes,
        daily_objects: token.daily_objects,
        by,
    };
    leaves::append(transaction, now, &act)?;
    let text = format!("{PREFIX}{name}-{secret}");
    Ok(TokenText { name, text })
}

/// Fails where the database cannot hold a bound.
fn check_day(day: TokenDay) -> Result<()> {
    let most = i64::MAX.unsigned_abs();
    match day.daily_bytes.max(day.daily_objects) {
        Some(bound) if bound > most => Err(no_day(format!("no bound is larger than {most}"))),
        _ => Ok(()),
    }
}

fn no_day(reason: String) -> Error {
    Error::Malformed {
        what: "day of a token",
        reason,
    }
}
