//! Opening: list every copy, open the repository once, and leave out copies that hold another one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_model::Id;
use strongroom_repo::repository::read_config;
use strongroom_repo::{Error as RepoError, RepoConfig, Repository};
use strongroom_store::Store;

use crate::listing::Listing;
use crate::removals::{Keeper, gather};
use crate::session::keys::is_silence;
use crate::session::{
    CopyFailure, CopyFailureKind, CopyState, CopyStore, Looking, Password, ReadyCopy, Session,
    SessionCopy, chain, no_copy,
};
use crate::state::StateFolder;
use crate::{Error, Result};

/// What a first look at a copy brought.
pub(crate) struct Look {
    pub(crate) copy: CopyStore,
    pub(crate) listing: Listing,
    pub(crate) config: Option<Vec<u8>>,
}

/// A repository that was opened.
struct Opened {
    repository: Repository,
    /// The copy that opened, by its name.
    from: String,
    /// Those that were tried before and did not open, by their names, and why.
    passed_over: BTreeMap<String, String>,
}

/// Lists all copies at once and opens the repository with the password; a copy that takes too long
/// is left out.
///
/// The key is opened from the first copy where that succeeds; a copy whose `config` is damaged or
/// missing beside other files is used and marked, since `sync` can mend it.
///
/// What the records of the copies name is not in any listing. Of none it is known that this machine
/// wrote it.
///
/// # Errors
/// Where no copy can be used: [`Error::Repo`] with the wrong password or no repository,
/// [`Error::NoCopy`] else; [`Error::Interrupted`].
pub fn open(copies: &[CopyStore], password: &[u8], looking: &Looking) -> Result<Session> {
    let mut session = open_unread(copies, password, None, looking)?;
    gather(&mut session);
    Ok(session)
}

/// The same, where the records of the state folder count too, and new ones are kept there. The key
/// that opened last is tried first, whatever lies beside it.
///
/// # Errors
/// As [`open`].
pub fn open_remembering(
    copies: &[CopyStore],
    password: &[u8],
    looking: &Looking,
    state: &StateFolder,
    now: Timestamp,
) -> Result<Session> {
    let known = state.remembered(copies);
    let known_key = known.and_then(|known| known.opened_key());
    let mut session = open_unread(copies, password, known_key, looking)?;
    let state = state.repository(session.id());
    if let Err(error) = state.note_opened_key(session.repository.key_id()) {
        let reason = chain(&error);
        tracing::info!(reason, "Which key opened is not remembered");
    }
    session.keeper = Some(Keeper { state, now });
    gather(&mut session);
    Ok(session)
}

/// A session whose records are not read yet.
fn open_unread(
    copies: &[CopyStore],
    password: &[u8],
    known_key: Option<Id>,
    looking: &Looking,
) -> Result<Session> {
    let (looks, opened) = std::thread::scope(|scope| {
        let opener = scope.spawn(|| open_first(copies, password, known_key, looking));
        let looks = looking.at_each(copies, look_at);
        (looks, opener.join())
    });
    let looks: Vec<_> = copies.iter().cloned().zip(looks).collect();
    looking.cancel.check()?;
    let opened = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return Err(cannot_open(looks, error)),
        Err(_) => return Err(cannot_open(looks, None)),
    };
    let mut session = Session::new(opened.repository, Vec::new(), looking.clone());
    session.opened_from = Some(opened.from);
    session.passed_over = opened.passed_over;
    for (copy, look) in looks {
        let state = match look {
            Err(failure) => CopyState::Failed(failure),
            Ok(look) => compare_config(&session.repository, look),
        };
        session.copies.push(SessionCopy { copy, state });
    }
    Ok(session)
}

/// Opens the repository from the first copy that lets itself be opened, local ones first.
fn open_first(
    copies: &[CopyStore],
    password: &[u8],
    known_key: Option<Id>,
    looking: &Looking,
) -> std::result::Result<Opened, Option<RepoError>> {
    let mut order: Vec<_> = copies.iter().collect();
    order.sort_by_key(|copy| !copy.is_local);
    let mut worst = None;
    let mut tried = BTreeSet::new();
    let mut passed_over = BTreeMap::new();
    for copy in order {
        let password = Password::new(password.to_vec());
        let mut so_far = tried.clone();
        let opened = looking.at(copy, move |copy| {
            let opened = open_one(copy.store.as_ref(), &password, known_key, &mut so_far);
            Ok((opened, so_far))
        });
        match opened {
            Ok((Ok(repository), _)) => {
                return Ok(Opened {
                    repository,
                    from: copy.name.clone(),
                    passed_over,
                });
            }
            // The look at the same copy tells why.
            Err(_) => {}
            Ok((Err(error), so_far)) => {
                tried = so_far;
                // Of a `config` that is not there, the look at the same copy tells.
                if !matches!(error, RepoError::NoRepository { .. }) {
                    passed_over.insert(copy.name.clone(), chain(&error));
                }
                let says_more = matches!(error, RepoError::WrongPassword { .. });
                if worst.is_none() || says_more {
                    worst = Some(error);
                }
            }
        }
    }
    Err(worst)
}

/// Opens the repository by the key that is known to have opened it, and by the others where that one
/// is not there, or does not open any more.
fn open_one(
    store: &dyn Store,
    password: &[u8],
    known_key: Option<Id>,
    tried: &mut BTreeSet<Id>,
) -> strongroom_repo::Result<Repository> {
    if let Some(key_id) = known_key.filter(|key_id| !tried.contains(key_id)) {
        match Repository::open_by(store, password, key_id) {
            Err(RepoError::WrongPassword { .. }) => {
                tried.insert(key_id);
            }
            Err(RepoError::Damaged { .. }) => {}
            // It is not there, or withheld; another one may be given.
            Err(RepoError::Store(error)) if !is_silence(&error) => {}
            opened => return opened,
        }
    }
    Repository::open(store, password, tried)
}

/// Lists a copy and reads its `config`; fails where there is no repository at all.
pub(crate) fn look_at(copy: &CopyStore) -> std::result::Result<Look, CopyFailure> {
    let config = match read_config(copy.store.as_ref()) {
        Ok(config) => Some(config),
        Err(RepoError::NoRepository { .. }) => None,
        Err(error) => return Err(CopyFailure::of_repo(&error)),
    };
    let listing =
        Listing::read(copy.store.as_ref()).map_err(|error| CopyFailure::of_store(&error))?;
    if config.is_none() && listing.is_empty() {
        // An unmounted disk looks just like this: never start a new repository unasked.
        return Err(CopyFailure {
            reason: format!("There is no repository in {}", copy.store.location()),
            hint: Some(
                "is the disk mounted? If it is new: strongroom init, then strongroom sync"
                    .to_owned(),
            ),
            kind: CopyFailureKind::NoRepository,
        });
    }
    Ok(Look {
        copy: copy.clone(),
        listing,
        config,
    })
}

fn compare_config(repository: &Repository, look: Look) -> CopyState {
    let config_is_right = look.config.as_deref() == Some(repository.config_bytes());
    if !config_is_right && let Some(bytes) = &look.config {
        // One that decrypts is another repository's, or another encryption of ours: no damage.
        let other = RepoConfig::open(bytes, repository.key(), look.copy.store.location());
        let foreign_keys = match &other {
            Ok(config) => config.id != repository.config().id,
            Err(_) => {
                !look.listing.keys.is_empty() && !look.listing.keys.contains(repository.key_id())
            }
        };
        if foreign_keys {
            let location = look.copy.store.location();
            let mend = match look.copy.store.versions() {
                // What was replaced there lies below it.
                Some(_) => format!("strongroom recover --copy {} --in-place", look.copy.name),
                None => "move that away, then strongroom init and strongroom sync".to_owned(),
            };
            return CopyState::Failed(CopyFailure {
                reason: format!("{location} holds another repository"),
                hint: Some(format!(
                    "check its address in strongroom.toml; if somebody replaced what was there, {mend}"
                )),
                kind: CopyFailureKind::Other,
            });
        }
    }
    CopyState::Ready(Box::new(ReadyCopy {
        listing: look.listing,
        removed: Vec::new(),
        config_is_right,
        doubts: BTreeSet::new(),
    }))
}

fn cannot_open(
    looks: Vec<(CopyStore, std::result::Result<Look, CopyFailure>)>,
    error: Option<RepoError>,
) -> Error {
    // A store that cannot be reached is told with the others; anything else is the reason.
    if let Some(error) = error
        && !matches!(error, RepoError::Store(_))
        && !matches!(error, RepoError::NoRepository { .. })
    {
        return Error::Repo(error);
    }
    let copies: Vec<_> = looks
        .into_iter()
        .map(|(copy, look)| {
            let failure = match look {
                Err(failure) => failure,
                Ok(look) => CopyFailure::other(match look.config {
                    None => "its config is missing".to_owned(),
                    Some(_) => "it cannot be opened".to_owned(),
                }),
            };
            SessionCopy {
                copy,
                state: CopyState::Failed(failure),
            }
        })
        .collect();
    no_copy(&copies)
}
