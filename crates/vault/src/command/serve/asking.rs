//! Asks the provider in whose account the vault runs, and its bucket in whose its objects lie.
//!
//! What can go wrong: nobody answers at the start, as before the network is up, and the vault does not
//! know its account for a day. So it is asked again soon; and less and less often, since most machines
//! have no provider that would ever answer, and some buckets never tell.

use std::sync::Arc;
use std::time::Duration;

use strongroom_model::Account;
use strongroom_model::vault::KnownBy;
use strongroom_store::place::account::Metadata;
use strongroom_vault::http::standings::Standings;
use strongroom_vault::http::{Blocking, Stop};
use strongroom_vault::runs_in::Whereabouts;
use tokio::time::sleep;

/// How often it is asked who has answered, and others at the least.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// After how long it is asked again when nobody has answered for the first time.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Asks a storage in whose accounts it is, and blocks.
pub(super) type AskStorage = Arc<dyn Fn() -> Vec<Account> + Send + Sync>;

/// What is asked, and where it is told.
pub(super) struct Asking {
    pub(super) runs_in: Whereabouts,
    pub(super) standings: Standings,
    pub(super) blocking: Blocking,
    pub(super) metadata: Metadata,
    /// `None` where the objects lie in a folder, which has no account.
    pub(super) storage: Option<AskStorage>,
}

impl Asking {
    /// Asks at once and again and again, until `stop`.
    pub(super) async fn go_on(self, stop: Stop) {
        self.go_on_after(AGAIN_AFTER, stop).await;
    }

    async fn go_on_after(self, again_after: Duration, mut stop: Stop) {
        let mut asked = 0_u32;
        loop {
            self.ask().await;
            let pause = pause(again_after, asked, self.have_answered());
            asked = asked.saturating_add(1);
            if stop.wait_or(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Whether all that is asked has answered.
    fn have_answered(&self) -> bool {
        let known = self.runs_in.known();
        known.is_some_and(|it| it.by == KnownBy::Metadata)
            && (self.storage.is_none() || !self.runs_in.objects_in().is_empty())
    }

    async fn ask(&self) {
        let (runs_in, standings) = (self.runs_in.clone(), self.standings.clone());
        let metadata = self.metadata.clone();
        let asked = self.blocking.run(move || {
            runs_in.ask(&metadata);
            standings.set_place(runs_in.known());
            Ok(())
        });
        if let Err(error) = asked.await {
            tracing::warn!(%error, "It is not known where the vault runs");
        }
        if let Some(storage) = &self.storage {
            self.ask_storage(Arc::clone(storage)).await;
        }
    }

    async fn ask_storage(&self, storage: AskStorage) {
        let runs_in = self.runs_in.clone();
        let blocking = self.blocking.for_storage();
        let asked = blocking.run(move || {
            runs_in.told_of_objects(storage());
            Ok(())
        });
        if let Err(error) = asked.await {
            tracing::warn!(%error, "It is not known in whose account the objects lie");
        }
    }
}

/// After how long it is asked again that was asked so often before: twice as long each time while
/// nobody has answered.
fn pause(again_after: Duration, asked: u32, has_answered: bool) -> Duration {
    match has_answered {
        true => EVERY,
        false => again_after
            .saturating_mul(2_u32.saturating_pow(asked))
            .min(EVERY),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use strongroom_vault::http::Stopper;
    use strongroom_vault::http::metrics::Metrics;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Answers as Google's metadata server does, but for whoever asks first; returns its address.
    fn answers_later() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            drop(listener.accept().unwrap());
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 4096];
                let answer = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nconnection: close\r\n\
                              content-length: 10\r\n\r\nmy-project";
                // Whoever has gone meanwhile asks again.
                let _read = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        base
    }

    fn bucket_owner() -> Account {
        "aws-owner:aa".parse().unwrap()
    }

    /// Tells nothing to whoever asks first.
    fn bucket_that_tells_later() -> AskStorage {
        let was_asked = AtomicBool::new(false);
        Arc::new(move || match was_asked.swap(true, Ordering::Relaxed) {
            true => vec![bucket_owner()],
            false => Vec::new(),
        })
    }

    #[tokio::test]
    async fn who_does_not_answer_at_the_start_is_asked_again() {
        let runs_in = Whereabouts::declared(None);
        let asking = Asking {
            runs_in: runs_in.clone(),
            standings: Standings::new(&Metrics::new()),
            blocking: Blocking::new(16),
            metadata: Metadata {
                aws: None,
                gcp: Some(answers_later()),
                azure: None,
            },
            storage: Some(bucket_that_tells_later()),
        };
        let (stopper, stop) = Stopper::new();
        let asking = tokio::spawn(asking.go_on_after(Duration::ZERO, stop));
        let known = async {
            while runs_in.known().is_none() || runs_in.objects_in().is_empty() {
                yield_now().await;
            }
        };
        timeout(PATIENCE, known).await.unwrap();
        let known = runs_in.known().unwrap();
        assert_eq!(known.account.to_string(), "gcp:my-project");
        assert_eq!(runs_in.objects_in(), [bucket_owner()]);
        stopper.stop();
        timeout(PATIENCE, asking).await.unwrap().unwrap();
    }

    #[test]
    fn it_is_asked_less_and_less_often_and_each_day_at_the_least() {
        let after = |asked, has_answered| pause(AGAIN_AFTER, asked, has_answered).as_secs();
        assert_eq!((after(0, false), after(1, false)), (60, 120));
        assert_eq!(after(10, false), 60 * 1024);
        assert_eq!(after(11, false), 24 * 60 * 60);
        assert_eq!(after(u32::MAX, false), 24 * 60 * 60);
        assert_eq!(after(0, true), 24 * 60 * 60);
    }
}
