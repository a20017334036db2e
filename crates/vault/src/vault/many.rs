//! What is done to very many objects at once: hidden, shown again, deletions taken back.
//!
//! Each is done a part at a time, with other people's commits between, and every part is an act of
//! its own with its own leaf: what a leaf tells of was done in its transaction. What can go wrong: a
//! process dies between two parts. The rest is known to the database, and whoever serves goes on
//! with it a minute later.

use strongroom_model::RepositoryPath;

use crate::database::Transaction;
use crate::records::leaves::{self, Act, Moment};
use crate::records::under_way::{self, Deed, UnderWay};
use crate::records::{hiding, locks, repositories, tokens, undeleting};
use crate::vault::{Vault, no_answer, unknown_repository};
use crate::{Error, Result};

/// How far an act is.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// How many objects it was so far.
    objects: u64,
    /// The key of the row that has what is left; none where nothing is.
    left: Option<i64>,
}

impl Vault {
    /// Takes back deletions; returns how many. What a token put that was hidden stays deleted. `by`
    /// is the token that asked for them; keys that wait because of it are let in again. `since_ms`
    /// and `until_ms` are recorded times.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database, after which the rest is done later where a part
    /// was done.
    pub fn undelete(
        &self,
        path: &RepositoryPath,
        by: Option<&str>,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> Result<u64> {
        let (path, by) = (path.clone(), by.map(str::to_owned));
        self.begin(move |transaction| {
            let repository =
                repositories::get(transaction, &path)?.ok_or_else(|| unknown_repository(&path))?;
            let token = match &by {
                Some(name) => (known_token(transaction, name)?.id, name.as_str()),
                None => (0, ""),
            };
            let since = match since_ms {
                Some(since_ms) => leaves::count_until(transaction, since_ms.saturating_sub(1))?,
                None => 0,
            };
            // What is asked to be deleted meanwhile is not meant.
            let before = match until_ms {
                Some(until_ms) => leaves::count_until(transaction, until_ms)?,
                None => leaves::head(transaction)?.leaves,
            };
            let act = UnderWay::of_token(Deed::Undelete, token, since, before);
            Ok(act.within(repository.id, &path))
        })
    }

    /// Takes out of sight all that a token alone has put since a recorded time, and drops its
    /// locks; returns how many objects it was.
    ///
    /// # Errors
    /// As [`Vault::undelete`].
    pub fn hide(&self, token: &str, since_ms: i64) -> Result<u64> {
        let name = token.to_owned();
        self.begin(move |transaction| {
            let token = known_token(transaction, &name)?;
            let since = leaves::count_until(transaction, since_ms.saturating_sub(1))?;
            locks::remove_of(transaction, token.id)?;
            under_way::take_back(transaction, Deed::Unhide, token.id)?;
            let before = all_until_now(transaction)?;
            Ok(UnderWay::of_token(
                Deed::Hide,
                (token.id, name.as_str()),
                since,
                before,
            ))
        })
    }

    /// Shows again all of a token that was hidden; returns how many objects it was.
    ///
    /// # Errors
    /// As [`Vault::undelete`].
    pub fn unhide(&self, token: &str) -> Result<u64> {
        let name = token.to_owned();
        self.begin(move |transaction| {
            let token = known_token(transaction, &name)?;
            under_way::take_back(transaction, Deed::Hide, token.id)?;
            let before = all_until_now(transaction)?;
            Ok(UnderWay::of_token(
                Deed::Unhide,
                (token.id, name.as_str()),
                0,
                before,
            ))
        })
    }

    /// Goes on with what processes have left that are gone; returns how many acts it was. To be
    /// called once a minute.
    ///
    /// # Errors
    /// Those of the database; the rest is done the next time.
    pub fn go_on(&self) -> Result<u64> {
        let mut acts = 0;
        // Most often there is none: to see that nothing needs to be written.
        while self.read(under_way::abandoned)?.is_some() {
            let now = self.now();
            let progress = self.shared.commits.commit(move |transaction| {
                let act = under_way::abandoned(transaction)?;
                act.map(|act| do_part(transaction, now, act)).transpose()
            })?;
            let Some(mut progress) = progress else {
                continue;
            };
            acts += 1;
            while progress.left.is_some() {
                if self.is_ending() {
                    return Ok(acts);
                }
                progress = self.next_part(progress)?;
            }
        }
        Ok(acts)
    }

    /// Does the first part of an act, and then the others; returns how many objects it was.
    fn begin(
        &self,
        mut begin: impl FnMut(&mut dyn Transaction) -> Result<UnderWay> + Send + 'static,
    ) -> Result<u64> {
        let now = self.now();
        let progress = self.shared.commits.commit(move |transaction| {
            let act = begin(transaction)?;
            do_part(transaction, now, act)
        });
        let mut progress = progress?;
        while progress.left.is_some() {
            progress = self.next_part(progress)?;
        }
        Ok(progress.objects)
    }

    /// Does the next part of an act. Where its row is gone the contrary was asked for meanwhile, and
    /// nothing is left to do.
    fn next_part(&self, progress: Progress) -> Result<Progress> {
        let ended = Progress {
            left: None,
            ..progress
        };
        let Some(id) = progress.left else {
            return Ok(ended);
        };
        let now = self.now();
        let next = self.shared.commits.commit(move |transaction| {
            let act = under_way::get(transaction, id)?;
            act.map(|act| do_part(transaction, now, act)).transpose()
        })?;
        Ok(next.unwrap_or(ended))
    }
}

/// All leaves that there are, and the one of the act that begins.
fn all_until_now(transaction: &mut dyn Transaction) -> Result<u64> {
    Ok(leaves::head(transaction)?.leaves.saturating_add(1))
}

/// Does the next part of an act. Its leaf tells how many objects it was; its number ends or begins
/// their lives, and is known before.
fn do_part(transaction: &mut dyn Transaction, now: Moment, mut act: UnderWay) -> Result<Progress> {
    let leaf = leaves::head(transaction)?.leaves;
    let part = match act.deed {
        Deed::Hide => hiding::hide(transaction, &act, leaf)?,
        Deed::Unhide => hiding::unhide(transaction, &act, leaf)?,
        Deed::Undelete => undeleting::undelete(transaction, &act, leaf)?,
    };
    // That somebody wanted to hide is told whatever came of it.
    let is_told = part.objects > 0 || (act.id == 0 && act.deed != Deed::Undelete);
    if is_told {
        leaves::append(transaction, now, &told(&act, part.objects)?)?;
    }
    act.objects = act.objects.saturating_add(part.objects);
    let left = match part.next {
        Some(next) => {
            act.at = next;
            Some(under_way::keep(transaction, &act)?)
        }
        None => {
            under_way::end(transaction, act.id)?;
            None
        }
    };
    Ok(Progress {
        objects: act.objects,
        left,
    })
}

/// What the leaf of a part tells.
fn told(act: &UnderWay, objects: u64) -> Result<Act> {
    let of_token = act.token_name.clone();
    Ok(match act.deed {
        Deed::Hide => Act::Hide {
            of_token,
            since: act.since,
            objects,
        },
        Deed::Unhide => Act::Unhide { of_token, objects },
        Deed::Undelete => Act::Undelete {
            repository: act.path.clone().ok_or_else(no_answer)?,
            what: match act.token {
                0 => "deletions".to_owned(),
                _ => format!("what {of_token} asked to be deleted"),
            },
            objects,
        },
    })
}

/// The token of a name.
///
/// # Errors
/// [`Error::Unknown`]; those of the database.
pub(super) fn known_token(transaction: &mut dyn Transaction, name: &str) -> Result<tokens::Token> {
    tokens::get(transaction, name)?.ok_or_else(|| Error::Unknown {
        what: "token",
        name: name.to_owned(),
    })
}
