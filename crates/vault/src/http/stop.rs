//! One flag that ends everything, and whoever waits for it.

use tokio::sync::watch;

/// Ends what waits for its [`Stop`]; so does dropping it.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Waits for the end; every task has its own.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A new flag, not yet raised.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Raises the flag.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until the flag is raised, or nobody is left to raise it.
    pub async fn wait(&mut self) {
        // An error means that the stopper is gone.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Waits for something else; `None` where the flag is raised first.
    pub async fn wait_or<T>(&mut self, other: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            () = self.wait() => None,
            came = other => Some(came),
        }
    }
}
