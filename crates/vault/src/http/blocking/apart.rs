//! What blocks when it ends.
//!
//! What can go wrong: an upload whose client is gone is dropped where it is, on a thread of the
//! runtime. It removes its file, and in a storage that hangs that thread hangs with it; a few of them,
//! and nobody is answered any more.

use tokio::runtime::Handle;

/// Keeps something that ends on a thread for work that blocks, wherever it is dropped.
#[derive(Debug)]
pub(crate) struct Apart<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Apart<T> {
    pub(crate) const fn new(kept: T) -> Self {
        Self(Some(kept))
    }

    /// What is kept.
    pub(crate) const fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }

    /// What was kept, by whoever may block.
    pub(crate) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Send + 'static> Drop for Apart<T> {
    fn drop(&mut self) {
        let Some(kept) = self.0.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(kept))),
            Err(_) => drop(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, ThreadId};

    use super::*;

    /// Tells on which thread it has ended.
    struct Ends(Sender<ThreadId>);

    impl Drop for Ends {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[tokio::test]
    async fn no_thread_of_the_runtime_waits_for_its_end() {
        let (ends, ended) = channel();
        drop(Apart::new(Ends(ends.clone())));
        assert_ne!(ended.recv().unwrap(), thread::current().id());
        drop(Apart::new(Ends(ends)).into_inner());
        assert_eq!(ended.recv().unwrap(), thread::current().id());
    }
}
