//! What is done to very many objects at once: hidden, shown again, deletions taken back.
//!
//! Each is done a part at a time, with other people's commits between, and every part is an act of
//! its own with its own leaf: what a leaf tells of was done in its transaction. What can go wrong: a
//! process dies between two parts. The rest is known to the database, and whoever serves goes on
//! with it a minute later, or at once where the process has stopped as it should and has given the
//! rest back; an act that cannot be gone on with keeps no other from being done. Or the contrary is
//! asked for between two parts: then the rest is taken back, and whoever waits for the act hears
//! that, and never the number of another one.

use strongroom_access::Act as Permitted;
use strongroom_model::RepositoryPath;

use crate::database::Transaction;
use crate::people::{Who, allow};
use crate::records::leaves::{self, Act, Moment};
use crate::records::under_way::{self, Deed, UnderWay};
use crate::records::{hiding, locks, repositories, silenced, tokens, undeleting};
use crate::vault::{Vault, no_answer, unknown_repository};
use crate::{Error, Result};

/// What came of hiding what a token has put, or of showing it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hiding {
    /// How many objects went out of sight, or are seen again.
    pub objects: u64,
    /// What else was changed: locks that were dropped, objects for which the token stands no more and
    /// others do, tombstones that no undelete brings back, or that one brings back again, receipts
    /// that take no place of others, or may again, and acts that were taken back. What another process
    /// did, because this one slept, is not among them.
    pub others: u64,
    /// Whether there was anything to act on. Where there was none nothing was done, and nothing that
    /// the token has put since then was hidden before.
    pub found: bool,
}

/// What an act has done, from its first part to its last.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// How many objects it was.
    objects: u64,
    /// What else the parts of this process have changed.
    others: u64,
    /// Whether another process has done the last part.
    is_by_another: bool,
}

/// How far an act is.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// How many objects it was so far.
    objects: u64,
    /// What else the part that was just done has changed.
    others: u64,
    /// The key of the row that has what is left; none where nothing is.
    left: Option<i64>,
}

/// Who does a part of an act.
#[derive(Clone, Copy, Debug)]
enum By {
    /// Whoever has begun it, and knows how many objects it was when it has come to its end.
    Beginner,
    /// Somebody else, who leaves that number to him.
    Another,
}

/// What came of the next part of an act.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// It was done.
    Done(Progress),
    /// There was none: another process has done the last one, after which it was so many objects,
    /// where that is known still.
    Ended { objects: Option<u64> },
    /// There was none: the contrary was asked for after so many objects.
    TakenBack { deed: Deed, objects: u64 },
}

impl Done {
    /// What is told of it; `is_hidden` says whether it had been done before, and is asked only where
    /// nothing was changed.
    fn told(self, is_hidden: impl FnOnce() -> Result<bool>) -> Result<Hiding> {
        let found = self.objects > 0 || self.others > 0 || self.is_by_another || is_hidden()?;
        Ok(Hiding {
            objects: self.objects,
            others: self.others,
            found,
        })
    }
}

impl Vault {
    /// Takes back deletions; returns how many. What a token put that was hidden stays deleted. `by`
    /// is the token that asked for them; keys that wait because of it are let in again. `since_ms`
    /// and `until_ms` are recorded times.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Stopping`] and those of the database, after which the rest is
    /// done later where a part was done.
    pub fn undelete(
        &self,
        who: Who,
        path: &RepositoryPath,
        by: Option<&str>,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> Result<u64> {
        let (now, path, by) = (self.now(), path.clone(), by.map(str::to_owned));
        let done = self.begin(move |transaction| {
            let repository =
                repositories::get(transaction, &path)?.ok_or_else(|| unknown_repository(&path))?;
            let undelete = Permitted::Undelete {
                repository: path.clone(),
            };
            let _permit = allow(transaction, now, who, undelete)?;
            let token = match &by {
                Some(name) => (known_token(transaction, name)?.id, name.as_str()),
                None => (0, ""),
            };
            let since = match since_ms {
                Some(since_ms) => first_leaf(transaction, since_ms)?,
                None => 0,
            };
            // What is asked to be deleted meanwhile is not meant.
            let before = match until_ms {
                Some(until_ms) => leaves::count_until(transaction, until_ms)?,
                None => leaves::head(transaction)?.leaves,
            };
            let act = UnderWay::of_token(Deed::Undelete, token, since, before);
            Ok(act.within(repository.id, &path))
        })?;
        Ok(done.objects)
    }

    /// Takes out of sight all that a token alone has put since a recorded time, drops its locks, and
    /// has what it said anew since then take no place of older receipts; tells how many objects it
    /// was, and what else was changed.
    ///
    /// # Errors
    /// As [`Vault::undelete`]; [`Error::TakenBack`] where the contrary was asked for meanwhile.
    pub fn hide(&self, who: Who, token: &str, since_ms: i64) -> Result<Hiding> {
        let (now, name) = (self.now(), token.to_owned());
        let done = self.begin(move |transaction| {
            let token = known_token(transaction, &name)?;
            let hide = Permitted::Hide {
                token: name.clone(),
                since_ms,
            };
            let _permit = allow(transaction, now, who, hide)?;
            let since = first_leaf(transaction, since_ms)?;
            let dropped = locks::remove_of(transaction, token.id)?;
            let taken_back = under_way::take_back(transaction, Deed::Unhide, token.id)?;
            let before = all_until_now(transaction)?;
            let said = silenced::add(transaction, token.id, (since, before))?;
            let token = (token.id, name.as_str());
            Ok(UnderWay {
                others: dropped + taken_back + said,
                ..UnderWay::of_token(Deed::Hide, token, since, before)
            })
        })?;
        done.told(|| {
            self.read(|transaction| {
                let since = first_leaf(transaction, since_ms)?;
                let token = known_token(transaction, token)?.id;
                Ok(hiding::is_any_hidden(transaction, token, since)?
                    || silenced::is_any(transaction, token, since)?)
            })
        })
    }

    /// Shows again all of a token that was hidden; tells how many objects it was, and what else was
    /// changed.
    ///
    /// # Errors
    /// As [`Vault::hide`].
    pub fn unhide(&self, who: Who, token: &str) -> Result<Hiding> {
        let (now, name) = (self.now(), token.to_owned());
        let done = self.begin(move |transaction| {
            let token = known_token(transaction, &name)?;
            let unhide = Permitted::Unhide {
                token: name.clone(),
            };
            let _permit = allow(transaction, now, who, unhide)?;
            let taken_back = under_way::take_back(transaction, Deed::Hide, token.id)?;
            let before = all_until_now(transaction)?;
            let said = silenced::end(transaction, token.id)?;
            let token = (token.id, name.as_str());
            Ok(UnderWay {
                others: taken_back + said,
                ..UnderWay::of_token(Deed::Unhide, token, 0, before)
            })
        })?;
        done.told(|| Ok(false))
    }

    /// Goes on with what processes have left that are gone; returns how many acts it was. To be
    /// called every few seconds: what was given back is gone on with at once, what was not a minute
    /// after its last part. An act that cannot be gone on with rests for a minute.
    ///
    /// # Errors
    /// The first one of an act, after all others were gone on with; the rest is done the next time.
    pub fn go_on(&self) -> Result<u64> {
        let (mut acts, mut first_error) = (0, None);
        // Most often there is none: to see that nothing needs to be written.
        for id in self.read(under_way::abandoned)? {
            if self.is_ending() {
                break;
            }
            match self.go_on_with(id) {
                Ok(true) => acts += 1,
                Ok(false) => {}
                Err(error) => {
                    first_error = first_error.or(Some(error));
                    let rests = self
                        .shared
                        .commits
                        .commit(move |transaction| under_way::let_rest(transaction, id));
                    // A database that is away is so for all acts.
                    if rests.is_err() {
                        break;
                    }
                }
            }
        }
        first_error.map_or(Ok(acts), Err)
    }

    /// Goes on with one act until it has come to its end, or the process stops; tells whether there
    /// was anything to do.
    fn go_on_with(&self, id: i64) -> Result<bool> {
        let now = self.now();
        let first = self.shared.commits.commit(move |transaction| {
            // Another process may have taken it up since.
            if !under_way::abandoned(transaction)?.contains(&id) {
                return Ok(Next::Ended { objects: None });
            }
            let next = do_next_part(transaction, now, id, By::Another)?;
            if !matches!(next, Next::Done(_)) {
                // It has stayed for as long as it had to.
                under_way::end(transaction, id)?;
            }
            Ok(next)
        })?;
        let Next::Done(mut progress) = first else {
            return Ok(false);
        };
        while let Some(id) = progress.left {
            if self.is_ending() {
                self.give_back(id);
                break;
            }
            match self.next_part(id, By::Another)? {
                Next::Done(after) => progress = after,
                Next::Ended { .. } | Next::TakenBack { .. } => break,
            }
        }
        Ok(true)
    }

    /// Leaves an act to others, who then go on with it at once.
    fn give_back(&self, id: i64) {
        let given = self
            .shared
            .commits
            .commit(move |transaction| under_way::give_back(transaction, id));
        if let Err(error) = given {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "An act under way is gone on with in a minute");
        }
    }

    /// Does the first part of an act, and then the others; tells how many objects it was. Where
    /// another process did the last part more than an hour ago, it is only those of one's own parts.
    fn begin(
        &self,
        mut begin: impl FnMut(&mut dyn Transaction) -> Result<UnderWay> + Send + 'static,
    ) -> Result<Done> {
        let now = self.now();
        let progress = self.shared.commits.commit(move |transaction| {
            let act = begin(transaction)?;
            do_part(transaction, now, act, By::Beginner)
        });
        let mut progress = progress?;
        let mut others = progress.others;
        while let Some(id) = progress.left {
            if self.is_ending() {
                self.give_back(id);
                let objects = progress.objects;
                return Err(Error::Stopping { objects });
            }
            match self.next_part(id, By::Beginner)? {
                Next::Done(after) => {
                    others = others.saturating_add(after.others);
                    progress = after;
                }
                Next::Ended { objects } => {
                    return Ok(Done {
                        objects: objects.unwrap_or(progress.objects),
                        others,
                        is_by_another: true,
                    });
                }
                Next::TakenBack { deed, objects } => {
                    let deed = deed.word();
                    return Err(Error::TakenBack { deed, objects });
                }
            }
        }
        Ok(Done {
            objects: progress.objects,
            others,
            is_by_another: false,
        })
    }

    /// Does the next part of an act that has a row.
    fn next_part(&self, id: i64, by: By) -> Result<Next> {
        let now = self.now();
        self.shared
            .commits
            .commit(move |transaction| do_next_part(transaction, now, id, by))
    }
}

/// The first leaf that was recorded at a time or later.
fn first_leaf(transaction: &mut dyn Transaction, since_ms: i64) -> Result<u64> {
    leaves::count_until(transaction, since_ms.saturating_sub(1))
}

/// All leaves that there are, and the one of the act that begins.
fn all_until_now(transaction: &mut dyn Transaction) -> Result<u64> {
    Ok(leaves::head(transaction)?.leaves.saturating_add(1))
}

/// Does the next part of an act that has a row, where there is one; one that was taken back or has
/// come to its end has none, and its row goes when whoever has begun it has seen that.
fn do_next_part(transaction: &mut dyn Transaction, now: Moment, id: i64, by: By) -> Result<Next> {
    let Some(act) = under_way::get(transaction, id)? else {
        return Ok(Next::Ended { objects: None });
    };
    let is_over = act.is_ended() || act.is_taken_back();
    if is_over && matches!(by, By::Beginner) {
        under_way::end(transaction, id)?;
    }
    if act.is_ended() {
        let objects = Some(act.objects);
        return Ok(Next::Ended { objects });
    }
    if act.is_taken_back() {
        let (deed, objects) = (act.deed, act.objects);
        return Ok(Next::TakenBack { deed, objects });
    }
    do_part(transaction, now, act, by).map(Next::Done)
}

/// Does the next part of an act. Its leaf tells how many objects it was; its number ends or begins
/// their lives, and is known before.
fn do_part(
    transaction: &mut dyn Transaction,
    now: Moment,
    mut act: UnderWay,
    by: By,
) -> Result<Progress> {
    let leaf = leaves::head(transaction)?.leaves;
    let part = match act.deed {
        Deed::Hide => hiding::hide(transaction, &act, leaf)?,
        Deed::Unhide => hiding::unhide(transaction, &act, leaf)?,
        Deed::Undelete => undeleting::undelete(transaction, &act, leaf)?,
    };
    // That somebody wanted to hide is told whatever came of it; and an act of several parts is known
    // by the leaf of its first one.
    let is_first = act.id == 0;
    let is_told =
        part.objects > 0 || (is_first && (act.deed != Deed::Undelete || part.next.is_some()));
    if is_told {
        leaves::append(transaction, now, &told(&act, part.objects)?)?;
    }
    act.objects = act.objects.saturating_add(part.objects);
    let left = match part.next {
        Some(next) => {
            act.at = next;
            Some(under_way::keep(transaction, &act, leaf)?)
        }
        None => {
            match by {
                By::Beginner => under_way::end(transaction, act.id)?,
                By::Another => under_way::remember(transaction, act.id, act.objects)?,
            }
            None
        }
    };
    Ok(Progress {
        objects: act.objects,
        others: act.others.saturating_add(part.others),
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
