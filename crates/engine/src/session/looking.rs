//! A look at a copy that ends in time, whatever the copy does.
//!
//! A run begins by asking every copy what it holds, and waits for the answers. One copy that is
//! hostile or very slow would hold up all the others: it names a hundred thousand files and takes
//! five seconds for each, and no single request is beyond its own limit. So the whole look has
//! one. It runs on a thread that is left behind when the time is over or the user interrupts, and
//! which ends with its next error or with the process.
//!
//! **Architecture invariant:** what runs here only reads, or removes what is dead. Whatever a copy
//! does with a look that nobody waits for any more, nothing of ours is written late.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use strongroom_store::patient::in_words;

use crate::session::{Cancel, CopyFailure, CopyStore};

/// How long one look at a copy may take: its `config`, all that it lists, its locks.
///
/// A million packs, 16 TB, are 92 MB of a server's listing: 0.6 Mbit/s bring them in that time; a
/// disk that looks at 800 files a second does as well. Who is slower is left out of a run, which
/// loses nothing but this copy's share of it.
const LOOK_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How soon an interruption is noticed, and how finely time is counted: a process that was stopped
/// and goes on does not take its own sleep for the copy's.
const SLICE: Duration = Duration::from_millis(50);

/// How long is waited for what a copy was asked beside a look, once that is over: by then it has had
/// the time of the look as well.
const ASIDE_LIMIT: Duration = Duration::from_secs(10);

/// What a copy is asked for in a look, as a verb phrase.
const LISTING: &str = "list what it holds";

/// What a copy is asked beside a look at it, and what need not be known.
pub(crate) struct Aside<T>(Option<Receiver<Result<T, CopyFailure>>>);

/// Looks that have begun, one at each of some copies.
pub(crate) struct Begun<T>(Vec<Result<Receiver<Result<T, CopyFailure>>, CopyFailure>>);

/// How long a look at a copy may take, and who may end it before.
#[derive(Debug, Clone)]
pub struct Looking {
    /// The longest that one may take.
    pub longest: Duration,
    /// Set when the user interrupts.
    pub cancel: Cancel,
}

impl Looking {
    /// As long as a sound copy may need, unless `cancel` is set.
    pub fn until(cancel: &Cancel) -> Self {
        Self {
            longest: LOOK_LIMIT,
            cancel: cancel.clone(),
        }
    }

    /// What `look` finds on a copy, or that this took too long.
    pub(crate) fn at<T: Send + 'static>(
        &self,
        copy: &CopyStore,
        look: impl FnOnce(&CopyStore) -> Result<T, CopyFailure> + Send + 'static,
    ) -> Result<T, CopyFailure> {
        self.asking(copy, LISTING, look)
    }

    /// The same, where the copy is asked to do something else, as a verb phrase.
    pub(crate) fn asking<T: Send + 'static>(
        &self,
        copy: &CopyStore,
        action: &str,
        look: impl FnOnce(&CopyStore) -> Result<T, CopyFailure> + Send + 'static,
    ) -> Result<T, CopyFailure> {
        let mut left = self.longest;
        self.wait(&mut left, copy, action, &begin(copy, look)?)
    }

    /// What `look` finds on each of some copies, looked at all at once.
    pub(crate) fn at_each<T: Send + 'static>(
        &self,
        copies: &[CopyStore],
        look: fn(&CopyStore) -> Result<T, CopyFailure>,
    ) -> Vec<Result<T, CopyFailure>> {
        self.found(copies, begin_each(copies, look))
    }

    /// What was found on each of some copies by looks that have begun.
    pub(crate) fn found<T>(
        &self,
        copies: &[CopyStore],
        Begun(begun): Begun<T>,
    ) -> Vec<Result<T, CopyFailure>> {
        // All have begun by now, so that waiting for one is waiting for the others as well.
        let mut left = self.longest;
        copies
            .iter()
            .zip(begun)
            .map(|(copy, begun)| self.wait(&mut left, copy, LISTING, &begun?))
            .collect()
    }

    /// As [`Looking::at`], for one of several looks that share the limit: what it takes is taken
    /// from what is left.
    pub(crate) fn within<T: Send + 'static>(
        &self,
        left: &mut Duration,
        copy: &CopyStore,
        look: impl FnOnce(&CopyStore) -> Result<T, CopyFailure> + Send + 'static,
    ) -> Result<T, CopyFailure> {
        self.wait(left, copy, LISTING, &begin(copy, look)?)
    }

    /// Asks a copy something while the look at it goes on.
    pub(crate) fn aside<T: Send + 'static>(
        copy: &CopyStore,
        ask: impl FnOnce(&CopyStore) -> T + Send + 'static,
    ) -> Aside<T> {
        Aside(begin(copy, |copy| Ok(ask(copy))).ok())
    }

    /// What a copy has answered to what it was asked beside a look that is over by now; `None` where
    /// that takes it longer still than a few seconds.
    pub(crate) fn answer<T>(&self, copy: &CopyStore, aside: Aside<T>) -> Option<T> {
        let mut left = self.longest.min(ASIDE_LIMIT);
        self.wait(&mut left, copy, LISTING, &aside.0?).ok()
    }

    fn wait<T>(
        &self,
        left: &mut Duration,
        copy: &CopyStore,
        action: &str,
        answer: &Receiver<Result<T, CopyFailure>>,
    ) -> Result<T, CopyFailure> {
        loop {
            let slice = SLICE.min(*left);
            match answer.recv_timeout(slice) {
                Ok(found) => return found,
                Err(RecvTimeoutError::Disconnected) => {
                    let reason = "the thread that looked at it died".to_owned();
                    return Err(CopyFailure::other(reason));
                }
                Err(RecvTimeoutError::Timeout) => *left = left.saturating_sub(slice),
            }
            if self.cancel.is_cancelled() {
                let location = copy.store.location().to_owned();
                let error = strongroom_store::Error::Cancelled { location };
                return Err(CopyFailure::of_store(&error));
            }
            if left.is_zero() {
                return Err(self.too_long(copy, action));
            }
        }
    }

    fn too_long(&self, copy: &CopyStore, action: &str) -> CopyFailure {
        let location = copy.store.location();
        let limit = in_words(self.longest);
        CopyFailure {
            hint: Some(
                "see what makes it so slow; if it cannot be trusted, take it out of \
                 strongroom.toml"
                    .to_owned(),
            ),
            ..CopyFailure::other(format!("{location} took longer than {limit} to {action}"))
        }
    }
}

impl Default for Looking {
    fn default() -> Self {
        Self::until(&Cancel::default())
    }
}

/// Begins to look at some copies, at all of them at once.
pub(crate) fn begin_each<T: Send + 'static>(
    copies: &[CopyStore],
    look: fn(&CopyStore) -> Result<T, CopyFailure>,
) -> Begun<T> {
    Begun(copies.iter().map(|copy| begin(copy, look)).collect())
}

/// Looks at a copy on a thread that may be left behind.
fn begin<T: Send + 'static>(
    copy: &CopyStore,
    look: impl FnOnce(&CopyStore) -> Result<T, CopyFailure> + Send + 'static,
) -> Result<Receiver<Result<T, CopyFailure>>, CopyFailure> {
    let (reply, answer) = sync_channel(1);
    let looked_at = copy.clone();
    let thread = std::thread::Builder::new().spawn(move || {
        // Where nobody waits any more, nobody wants to know.
        let _ = reply.send(look(&looked_at));
    });
    match thread {
        Ok(_) => Ok(answer),
        Err(error) => Err(CopyFailure::other(format!(
            "cannot start a thread: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use strongroom_testkit::MemoryStore;

    use super::*;

    #[test]
    fn looks_that_share_a_limit_have_it_together() {
        let copy = CopyStore {
            name: "one".to_owned(),
            store: Arc::new(MemoryStore::new("memory")),
            is_local: true,
        };
        let looking = Looking {
            longest: Duration::from_millis(400),
            cancel: Cancel::default(),
        };
        let mut left = looking.longest;
        // It takes its time, and ends.
        let (_open, never) = channel::<()>();
        let slow = move |_: &CopyStore| {
            let _ = never.recv_timeout(Duration::from_millis(220));
            Ok(7)
        };
        assert_eq!(looking.within(&mut left, &copy, slow).unwrap(), 7);
        assert!(left <= Duration::from_millis(200), "{left:?}");
        let (_open, never) = channel::<()>();
        let endless = move |_: &CopyStore| Ok(never.recv().is_ok());
        let failure = looking.within(&mut left, &copy, endless).unwrap_err();
        assert!(failure.reason.contains("longer than 400 ms"), "{failure:?}");
        assert!(left.is_zero());
    }

    #[test]
    fn what_is_asked_beside_a_look_is_had_where_it_comes_in_time() {
        let copy = CopyStore {
            name: "one".to_owned(),
            store: Arc::new(MemoryStore::new("memory")),
            is_local: true,
        };
        let looking = Looking {
            longest: Duration::from_secs(60),
            cancel: Cancel::default(),
        };
        let asked = Looking::aside(&copy, |copy| copy.name.clone());
        assert_eq!(looking.answer(&copy, asked).as_deref(), Some("one"));
        let (_open, never) = channel::<()>();
        let asked = Looking::aside(&copy, move |_| never.recv().is_ok());
        let looking = Looking {
            longest: Duration::from_millis(100),
            ..looking
        };
        assert_eq!(looking.answer(&copy, asked), None);
    }
}
