//! Init: one repository for all copies, made at most once.
//!
//! Two things must never happen: that a second repository is made because the copy that holds the
//! first did not answer, and that a copy is left with a `config` and without a key. So nothing is
//! made anew unless every copy was seen to be empty, and keys go to every copy before `config`
//! goes to any. A run that was killed in between leaves keys alone: the next one goes on with
//! them, since a second master key under the same password would make the repository unreadable.
//!
//! | a copy holds | no copy holds a repository | another copy holds one |
//! |---|---|---|
//! | nothing | gets the new one | gets its keys and `config` |
//! | keys alone | they are used for the new one | gets what it lacks |
//! | files without `config` | refused: something is lost here | refused, `sync` mends it |
//! | the same repository | | left alone |
//! | another repository | | the whole init is refused |

mod look;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::key::{KeyFile, ScryptCost};
use strongroom_repo::repository::Maker;
use strongroom_repo::{Key, RepoConfig, Repository};

use crate::session::{CopyFailure, CopyFailureKind, CopyStore, Environment, Looking};
use crate::{Error, Result};
use look::{Look, look_at_all};

/// What came of an init.
#[derive(Debug, Clone)]
pub struct InitReport {
    /// The repository.
    pub repository: Id,
    /// Whether it was made now.
    pub is_new: bool,
    /// For each copy, in the order of the configuration.
    pub copies: Vec<InitCopy>,
}

/// What came of one copy.
#[derive(Debug, Clone)]
pub struct InitCopy {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// What was done.
    pub outcome: InitOutcome,
}

/// What was done with a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitOutcome {
    /// It holds the repository now, and did not before.
    Made,
    /// It held the repository already.
    Kept,
    /// It could not be used.
    Failed(CopyFailure),
}

/// A repository that is about to be given to a copy which was found not to hold it.
#[derive(Debug, Clone, Copy)]
pub struct Giving<'a> {
    /// The repository.
    pub repository: Id,
    /// Whether it is made now, so that no copy holds it yet.
    pub is_new: bool,
    /// The copy.
    pub copy: &'a CopyStore,
}

/// Key files by their names.
type KeyFiles = BTreeMap<Id, Vec<u8>>;

/// What every copy is to hold.
struct Plan {
    repository: Id,
    config: Vec<u8>,
    keys: KeyFiles,
    is_new: bool,
}

impl InitReport {
    /// Whether every copy holds the repository.
    pub fn is_complete(&self) -> bool {
        let failed = |copy: &InitCopy| matches!(copy.outcome, InitOutcome::Failed(_));
        !self.copies.iter().any(failed)
    }
}

/// Makes the repository on all copies, or gives that of some copies to the others.
///
/// Doing it again changes nothing.
///
/// # Errors
/// [`Error::DifferentRepositories`]; a wrong password for what is there already;
/// [`Error::UnseenCopies`] where a new repository would be made and a copy cannot be seen;
/// [`Error::NoCopy`] where no copy could be written.
pub fn init(
    copies: &[CopyStore],
    password: &[u8],
    cost: ScryptCost,
    environment: &Environment,
) -> Result<InitReport> {
    init_telling(copies, password, cost, environment, &mut |_| {})
}

/// As [`init`], and calls `give` for each copy that was found not to hold the repository, before
/// anything is given to it: whatever comes of that, what was known of the copy is over. No copy gets
/// `config` before it was called for all of them.
///
/// # Errors
/// As [`init`].
pub fn init_telling(
    copies: &[CopyStore],
    password: &[u8],
    cost: ScryptCost,
    environment: &Environment,
    give: &mut dyn FnMut(Giving<'_>),
) -> Result<InitReport> {
    let looks = look_at_all(copies, &Looking::until(&environment.cancel));
    environment.cancel.check()?;
    let plan = match existing(&looks, password)? {
        Some(plan) => plan,
        None => fresh(&looks, password, cost, environment)?,
    };
    let mut outcomes: Vec<_> = looks
        .into_iter()
        .map(|look| {
            let outcome = look.found.map(|found| (found.is_whole(), found.keys));
            (look.copy, outcome)
        })
        .collect();
    for (copy, outcome) in &mut outcomes {
        environment.cancel.check()?;
        if let Ok((false, keys)) = outcome {
            give(Giving {
                repository: plan.repository,
                is_new: plan.is_new,
                copy,
            });
            if let Err(failure) = give_keys(copy, &plan, keys) {
                *outcome = Err(failure);
            }
        }
    }
    let mut report = InitReport {
        repository: plan.repository,
        is_new: plan.is_new,
        copies: Vec::new(),
    };
    for (copy, outcome) in outcomes {
        let outcome = match outcome {
            Err(failure) => InitOutcome::Failed(failure),
            Ok((true, _)) => InitOutcome::Kept,
            Ok((false, _)) => match copy.store.save(FileName::CONFIG, &plan.config) {
                Ok(()) => InitOutcome::Made,
                Err(error) => InitOutcome::Failed(CopyFailure::of_store(&error)),
            },
        };
        report.copies.push(InitCopy {
            name: copy.name,
            location: copy.store.location().to_owned(),
            outcome,
        });
    }
    all_failed(&report)?;
    Ok(report)
}

/// The repository that some copy holds already, and that all others must not contradict.
fn existing(looks: &[Look], password: &[u8]) -> Result<Option<Plan>> {
    let whole = |look: &&Look| look.found.as_ref().is_ok_and(look::Found::is_whole);
    let Some(first) = looks.iter().find(whole) else {
        let bare = looks.iter().find(|look| look.config().is_some());
        return match bare {
            // A config without any key: all keys are lost, or the wrong folder is meant.
            Some(look) => Err(Error::Repo(strongroom_repo::Error::WrongPassword {
                location: look.copy.store.location().to_owned(),
                keys: 0,
            })),
            None => Ok(None),
        };
    };
    let mut tried = BTreeSet::new();
    let repository = Repository::open(first.copy.store.as_ref(), password, &mut tried)?;
    let id = repository.config().id;
    for look in looks {
        let Some(bytes) = look.config() else { continue };
        let same = bytes == repository.config_bytes()
            || RepoConfig::open(bytes, repository.key(), look.copy.store.location())
                .is_ok_and(|config| config.id == id);
        if !same {
            return Err(Error::DifferentRepositories {
                first: first.copy.name.clone(),
                second: look.copy.name.clone(),
            });
        }
    }
    Ok(Some(Plan {
        repository: id,
        config: repository.config_bytes().to_vec(),
        keys: first
            .found
            .as_ref()
            .map(|found| found.keys.clone())
            .unwrap_or_default(),
        is_new: false,
    }))
}

/// A new repository, under the keys that an unfinished init has left, where there are any.
fn fresh(
    looks: &[Look],
    password: &[u8],
    cost: ScryptCost,
    environment: &Environment,
) -> Result<Plan> {
    let unseen: Vec<_> = looks
        .iter()
        .filter_map(|look| {
            let failure = look.found.as_ref().err()?;
            Some(format!("{}: {}", look.copy.name, failure.reason))
        })
        .collect();
    if !unseen.is_empty() {
        return Err(Error::UnseenCopies { reasons: unseen });
    }
    if let Some((master, keys)) = left_keys(looks, password)? {
        let config = RepoConfig::generate()?;
        return Ok(Plan {
            repository: config.id,
            config: config.seal(&master)?,
            keys,
            is_new: true,
        });
    }
    let maker = Maker {
        now: (environment.clock)(),
        username: &environment.username,
        hostname: &environment.hostname,
    };
    let new = Repository::generate(password, cost, &maker)?;
    Ok(Plan {
        repository: new.repository.config().id,
        config: new.repository.config_bytes().to_vec(),
        keys: [(new.repository.key_id(), new.key_file)].into(),
        is_new: true,
    })
}

/// The keys that lie on copies without a repository: all must be of one master key.
fn left_keys(looks: &[Look], password: &[u8]) -> Result<Option<(Key, KeyFiles)>> {
    let mut master: Option<(Key, &Look)> = None;
    let mut keys = KeyFiles::new();
    for look in looks {
        let Ok(found) = &look.found else { continue };
        for (id, bytes) in &found.keys {
            if keys.contains_key(id) {
                continue;
            }
            let opened = KeyFile::parse(bytes)
                .ok()
                .and_then(|key| key.open(password));
            let Some(key) = opened else {
                return Err(Error::Repo(strongroom_repo::Error::WrongPassword {
                    location: look.copy.store.location().to_owned(),
                    keys: found.keys.len(),
                }));
            };
            match &master {
                Some((first, at)) if !are_same(first, &key)? => {
                    return Err(Error::DifferentRepositories {
                        first: at.copy.name.clone(),
                        second: look.copy.name.clone(),
                    });
                }
                Some(_) => {}
                None => master = Some((key, look)),
            }
            keys.insert(*id, bytes.clone());
        }
    }
    Ok(master.map(|(key, _)| (key, keys)))
}

/// Whether two master keys are one: what the first seals the second opens.
fn are_same(first: &Key, second: &Key) -> Result<bool> {
    Ok(second.open(&first.seal(&[])?).is_some())
}

fn give_keys(
    copy: &CopyStore,
    plan: &Plan,
    held: &KeyFiles,
) -> std::result::Result<(), CopyFailure> {
    let store = copy.store.as_ref();
    if held.keys().any(|id| !plan.keys.contains_key(id)) {
        return Err(CopyFailure {
            reason: "it holds keys of another repository, without its config".to_owned(),
            hint: Some(format!("look what lies in {}", store.location())),
            kind: CopyFailureKind::Other,
        });
    }
    let given = store.create().and_then(|()| {
        plan.keys
            .iter()
            .try_for_each(|(id, bytes)| store.save(FileName::new(FileType::Keys, *id), bytes))
    });
    given.map_err(|error| CopyFailure::of_store(&error))
}

fn all_failed(report: &InitReport) -> Result<()> {
    let reasons: Vec<_> = report
        .copies
        .iter()
        .filter_map(|copy| match &copy.outcome {
            InitOutcome::Failed(failure) => Some(format!("{}: {}", copy.name, failure.reason)),
            InitOutcome::Made | InitOutcome::Kept => None,
        })
        .collect();
    if reasons.len() == report.copies.len() {
        return Err(Error::NoCopy { reasons });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
