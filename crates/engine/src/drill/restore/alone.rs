//! One copy, opened without its siblings: what it has lost nobody makes good.

use jiff::Timestamp;
use strongroom_model::Id;

use crate::Result;
use crate::removals::Removals;
use crate::session::{self, Cancel, CopyStore, Looking, Session};
use crate::snapshots::Snapshots;
use crate::state::{Predecessor, RepositoryState, StateFolder};

/// One copy that was opened without any other.
#[derive(Debug)]
pub struct Alone {
    pub(super) session: Session,
    pub(super) copy: CopyStore,
    /// What is known of its snapshots.
    pub(super) memory: Option<RepositoryState>,
}

impl Alone {
    /// Opens a copy by itself. With a state folder its records of removals count too, so that it is
    /// known which of those on the copy this machine wrote; without one all are somebody else's.
    ///
    /// # Errors
    /// As [`session::open`]; also where it opens and cannot be listed.
    pub fn open(
        copy: &CopyStore,
        password: &[u8],
        looking: &Looking,
        state: Option<(&StateFolder, Timestamp)>,
    ) -> Result<Self> {
        let copies = std::slice::from_ref(copy);
        let session = match state {
            Some((state, now)) => session::open_remembering(copies, password, looking, state, now)?,
            None => session::open(copies, password, looking)?,
        };
        if session.ready().next().is_none() {
            return Err(session.no_copy());
        }
        Ok(Self {
            session,
            copy: copy.clone(),
            memory: None,
        })
    }

    /// The id of the repository.
    pub fn id(&self) -> Id {
        self.session.id()
    }

    /// The repositories that were seen on the copy before this one, and were not accepted as given up.
    pub fn predecessors(&self) -> &[Predecessor] {
        &self.session.predecessors
    }

    /// What records say was removed, so that no rehearsal shows it.
    pub fn removals(&self) -> &Removals {
        &self.session.removals
    }

    /// What tells the place that was opened from another in its stead, where anything does.
    pub fn place(&self) -> Option<Id> {
        let (_, ready) = self.session.ready().next()?;
        ready.listing.place
    }

    /// Notes the locks of this run in the state folder, as [`Session::note_locks_in`]; what that
    /// knows of when snapshots came is asked from then on.
    pub fn note_locks_in(&mut self, memory: RepositoryState) {
        self.session.note_locks_in(memory.clone());
        self.memory = Some(memory);
    }

    /// The snapshots that this copy can show.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn snapshots(&self, cancel: &Cancel) -> Result<Snapshots> {
        Snapshots::load(&self.session, cancel)
    }
}
