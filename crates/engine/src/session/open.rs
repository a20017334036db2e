//! Opening: list every copy, open the repository once, and leave out copies that hold another one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use strongroom_model::Id;
use strongroom_repo::repository::read_config;
use strongroom_repo::{Error as RepoError, RepoConfig, Repository};

use crate::listing::Listing;
use crate::removals::{Keeper, gather};
use crate::session::hidden::{open_first_hidden, open_hidden_by};
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

/// A copy, and what a first look at it brought.
type CopyLook = (CopyStore, std::result::Result<Look, CopyFailure>);

/// For what the fingerprint of a key is derived from it.
const FINGERPRINT: &str = "strongroom key fingerprint v1";

/// What may open a repository.
#[derive(Clone, Copy)]
enum Reach {
    /// What is in sight.
    InSight,
    /// Where nothing in sight does, what lies hidden on copies that keep versions.
    Hidden,
}

/// A repository that was opened.
struct Opened {
    repository: Repository,
    /// The copy that opened, by its name.
    from: String,
    /// Whether by what lies hidden there.
    is_hidden: bool,
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
    let mut session = open_unread(copies, password, None, looking, Reach::InSight)?;
    gather(&mut session);
    Ok(session)
}

/// The same, where the records of the state folder count too, and new ones are kept there. The key
/// that opened last is tried first, whatever lies beside it. What opens may be another repository than
/// was seen there before: [`Session::predecessors`].
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
    let known_key = known_key(copies, state);
    let session = open_unread(copies, password, known_key, looking, Reach::InSight)?;
    Ok(remembering(session, state, now))
}

/// The same for whoever extends locks: where nothing in sight opens, what lies hidden on a copy that
/// keeps versions does, as [`Session::opened_behind`] tells then. So it does where what is in sight is
/// another repository than was there before, since it is this one's locks that would run out. Nothing
/// may be written by it that needs a key in sight.
///
/// # Errors
/// As [`open`], where nothing that is hidden opens either.
pub fn open_behind(
    copies: &[CopyStore],
    password: &[u8],
    looking: &Looking,
    state: &StateFolder,
    now: Timestamp,
) -> Result<Session> {
    let known_key = known_key(copies, state);
    let session = open_unread(copies, password, known_key, looking, Reach::Hidden)?;
    let session = remembering(session, state, now);
    let Some(opened) = open_predecessor(&session, copies, password, looking, state) else {
        return Ok(session);
    };
    let looks = looking.at_each(copies, look_at);
    let looks = copies.iter().cloned().zip(looks).collect();
    looking.cancel.check()?;
    let mut before = remembering(session_of(opened, looks, looking), state, now);
    before.predecessors = session.predecessors;
    Ok(before)
}

/// Opens what lies hidden of a repository that was there before this one, by the key that opened it
/// last.
fn open_predecessor(
    session: &Session,
    copies: &[CopyStore],
    password: &[u8],
    looking: &Looking,
    state: &StateFolder,
) -> Option<Opened> {
    session.predecessors.iter().find_map(|before| {
        let key_id = state.repository(before.repository).opened_key()?;
        let (repository, from) = open_hidden_by(copies, password, key_id, looking)?;
        let is_it = repository.config().id == before.repository;
        is_it.then(|| Opened {
            repository,
            from,
            is_hidden: true,
            passed_over: BTreeMap::new(),
        })
    })
}

/// The key that opened these copies last.
fn known_key(copies: &[CopyStore], state: &StateFolder) -> Option<Id> {
    let known = state.remembered(copies);
    known.and_then(|known| known.opened_key())
}

/// Looks which repositories were there before, notes which key opened, and reads the records of the
/// copies and of the state folder.
fn remembering(mut session: Session, state: &StateFolder, now: Timestamp) -> Session {
    let copies: Vec<&CopyStore> = session.ready().map(|(copy, _)| copy).collect();
    let master = fingerprint(&session.repository);
    session.predecessors = state.predecessors(session.id(), master, &copies);
    let state = state.repository(session.id());
    if let Err(error) = state.note_opened_key(session.repository.key_id(), master) {
        let reason = chain(&error);
        tracing::info!(reason, "Which key opened is not remembered");
    }
    session.keeper = Some(Keeper { state, now });
    gather(&mut session);
    session
}

/// What tells the key of a repository from any other, and nothing of it; `None` where it cannot be told.
fn fingerprint(repository: &Repository) -> Option<Id> {
    let derived = repository.key().derive::<32>(FINGERPRINT).ok()?;
    Some(Id::of(derived.as_slice()))
}

/// A session whose records are not read yet.
fn open_unread(
    copies: &[CopyStore],
    password: &[u8],
    known_key: Option<Id>,
    looking: &Looking,
    reach: Reach,
) -> Result<Session> {
    let (looks, opened) = std::thread::scope(|scope| {
        let opener = scope.spawn(|| open_first(copies, password, known_key, looking));
        let looks = looking.at_each(copies, look_at);
        (looks, opener.join())
    });
    let looks: Vec<_> = copies.iter().cloned().zip(looks).collect();
    looking.cancel.check()?;
    // Of a thread that died nothing is known.
    let opened = match opened.unwrap_or(Err(None)) {
        Ok(opened) => opened,
        Err(error) => {
            let hidden = match reach {
                Reach::InSight => None,
                Reach::Hidden => open_first_hidden(copies, password, known_key, looking),
            };
            looking.cancel.check()?;
            let Some((repository, from)) = hidden else {
                return Err(cannot_open(looks, error));
            };
            Opened {
                repository,
                from,
                is_hidden: true,
                passed_over: BTreeMap::new(),
            }
        }
    };
    Ok(session_of(opened, looks, looking))
}

/// What was opened, with what was seen of all copies.
fn session_of(opened: Opened, looks: Vec<CopyLook>, looking: &Looking) -> Session {
    let mut session = Session::new(opened.repository, Vec::new(), looking.clone());
    match opened.is_hidden {
        true => session.opened_behind = Some(opened.from),
        false => session.opened_from = Some(opened.from),
    }
    session.passed_over = opened.passed_over;
    for (copy, look) in looks {
        let state = match look {
            Err(failure) => CopyState::Failed(failure),
            Ok(look) => compare_config(&session.repository, look),
        };
        session.copies.push(SessionCopy { copy, state });
    }
    session
}

/// Opens the repository from the first copy that lets itself be opened, local ones first.
///
/// **Security:** whoever has one copy puts a `config` and a key of his own there, sealed with our
/// password, and what opened would be his repository. So no other key of any copy is tried before
/// all that can be reached were asked for the one that is known to have opened ours.
fn open_first(
    copies: &[CopyStore],
    password: &[u8],
    known_key: Option<Id>,
    looking: &Looking,
) -> std::result::Result<Opened, Option<RepoError>> {
    let mut order: Vec<_> = copies.iter().collect();
    order.sort_by_key(|copy| !copy.is_local);
    let mut opener = Opener {
        password,
        looking,
        tried: BTreeSet::new(),
        passed_over: BTreeMap::new(),
        worst: None,
    };
    let known = known_key.and_then(|key_id| opener.by_known_key(&mut order, key_id));
    let opened = match known {
        Some(opened) => {
            opener.look_back(&order);
            Some(opened)
        }
        None => opener.by_any_key(&order),
    };
    match opened {
        Some((repository, from)) => Ok(Opened {
            repository,
            from,
            is_hidden: false,
            passed_over: opener.passed_over,
        }),
        None => Err(opener.worst),
    }
}

/// What tries to open a repository from one copy after the other.
struct Opener<'o> {
    password: &'o [u8],
    looking: &'o Looking,
    /// The keys that are known not to open.
    tried: BTreeSet<Id>,
    /// Those that were tried and did not open, by their names, and why.
    passed_over: BTreeMap<String, String>,
    /// What says most of why none opens.
    worst: Option<RepoError>,
}

impl Opener<'_> {
    /// Opens by the key that is known to have opened it, and returns the name of the copy as well.
    ///
    /// What stays in `order` may be asked for other keys. Who does not answer is out of it, so that
    /// none that is away is waited for twice.
    fn by_known_key(
        &mut self,
        order: &mut Vec<&CopyStore>,
        key_id: Id,
    ) -> Option<(Repository, String)> {
        let mut copies = std::mem::take(order).into_iter();
        for copy in copies.by_ref() {
            let password = Password::new(self.password.to_vec());
            let opened = self.looking.at(copy, move |copy| {
                Ok(Repository::open_by(copy.store.as_ref(), &password, key_id))
            });
            match opened {
                Ok(Ok(repository)) => return Some((repository, copy.name.clone())),
                // It is the same file on every copy.
                Ok(Err(RepoError::WrongPassword { .. })) => {
                    self.tried.insert(key_id);
                    order.push(copy);
                    break;
                }
                // It is not there, or withheld, or damaged; another one may be given.
                Ok(Err(RepoError::Damaged { .. })) => order.push(copy),
                Ok(Err(RepoError::Store(error))) if !error.is_silence() => order.push(copy),
                Ok(Err(error)) => self.pass_over(copy, error),
                // The look at the same copy tells why.
                Err(_) => {}
            }
        }
        order.extend(copies);
        None
    }

    /// Opens by whatever key opens, and returns the name of the copy as well.
    fn by_any_key(&mut self, order: &[&CopyStore]) -> Option<(Repository, String)> {
        for copy in order {
            let mut left = self.looking.longest;
            if let Some(repository) = self.open(&mut left, copy) {
                return Some((repository, copy.name.clone()));
            }
        }
        None
    }

    /// Looks whether the copies that have not the known key, or not whole, open by another one: what
    /// does not is to be told. All of them together have the time of one look.
    fn look_back(&mut self, order: &[&CopyStore]) {
        let mut left = self.looking.longest;
        for copy in order {
            if left.is_zero() {
                return;
            }
            // One that opens as another repository is told of by its `config`.
            self.open(&mut left, copy);
        }
    }

    /// Opens what is on a copy by any of its keys that is not known not to.
    fn open(&mut self, left: &mut Duration, copy: &CopyStore) -> Option<Repository> {
        let password = Password::new(self.password.to_vec());
        let mut so_far = self.tried.clone();
        let opened = self.looking.within(left, copy, move |copy| {
            let opened = Repository::open(copy.store.as_ref(), &password, &mut so_far);
            Ok((opened, so_far))
        });
        // Where it does not answer, the look at the same copy tells why.
        let (opened, so_far) = opened.ok()?;
        self.tried = so_far;
        match opened {
            Ok(repository) => Some(repository),
            Err(error) => {
                self.pass_over(copy, error);
                None
            }
        }
    }

    fn pass_over(&mut self, copy: &CopyStore, error: RepoError) {
        // Of a `config` that is not there, the look at the same copy tells.
        if !matches!(error, RepoError::NoRepository { .. }) {
            self.passed_over.insert(copy.name.clone(), chain(&error));
        }
        let weight = weight_of(&error);
        let worst = self.worst.as_ref().map(weight_of);
        if worst.is_none_or(|most| weight > 0 && weight >= most) {
            self.worst = Some(error);
        }
    }
}

/// How much it says of why none opens: where any copy has a key, a password may be to blame.
const fn weight_of(error: &RepoError) -> u8 {
    match error {
        RepoError::WrongPassword { keys: 0, .. } => 1,
        RepoError::WrongPassword { .. } => 2,
        _ => 0,
    }
}

/// Lists a copy and reads its `config`; fails where there is no repository at all.
pub(crate) fn look_at(copy: &CopyStore) -> std::result::Result<Look, CopyFailure> {
    let config = match read_config(copy.store.as_ref()) {
        Ok(config) => Some(config),
        Err(RepoError::NoRepository { .. }) => None,
        Err(error) => return Err(CopyFailure::of_repo(&error)),
    };
    let listing = Listing::of_copy(copy).map_err(|error| CopyFailure::of_store(&error))?;
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

fn cannot_open(looks: Vec<CopyLook>, error: Option<RepoError>) -> Error {
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
