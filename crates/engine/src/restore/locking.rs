//! Locks for a restore: taken where that is possible, so that no prune removes what is read.
//!
//! A copy that cannot be written, such as a disk that is mounted read-only after a disaster, is
//! read without a lock. One that somebody else holds exclusively is not read.

use crate::Result;
use crate::session::{CopyFailureKind, CopyState, Environment, Locks, Session};

/// The locks that are held, and what has to be said of the others.
#[derive(Debug)]
pub(crate) struct Locking {
    locks: Option<Locks>,
    pub(crate) notes: Vec<String>,
}

pub(crate) fn acquire(session: &mut Session, environment: &Environment) -> Result<Locking> {
    let before = session.copies.clone();
    let locks = Locks::acquire(session, environment, false);
    let mut notes = Vec::new();
    for (copy, before) in session.copies.iter_mut().zip(before) {
        let CopyState::Failed(failure) = &copy.state else {
            continue;
        };
        let was_ready = matches!(before.state, CopyState::Ready(_));
        if was_ready && failure.kind != CopyFailureKind::Locked {
            let (name, reason) = (&copy.copy.name, &failure.reason);
            notes.push(format!("{name} is read without a lock: {reason}"));
            copy.state = before.state;
        }
    }
    let locks = match locks {
        Ok(locks) => Some(locks),
        Err(_) if session.ready().next().is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(Locking { locks, notes })
}

impl Locking {
    pub(crate) fn release(&mut self) {
        if let Some(locks) = &mut self.locks {
            locks.release();
        }
    }
}
