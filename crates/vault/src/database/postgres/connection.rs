//! One connection, whose every answer is waited for with patience and not for ever.
//!
//! It is driven while somebody waits for an answer, by a runtime of its own, so that whoever uses
//! it needs none. Never call it where an async runtime runs its tasks, nor drop it there.
//!
//! What can go wrong: an answer that was given up comes later, in place of the next one. So a
//! connection that was given up once is never asked again.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Error};

use crate::database::guarded::Fault;
use crate::database::postgres::bare::{Prepared, fault};
use crate::database::postgres::server::{Role, Server};

/// How long a server gets to hear that a connection ends.
const FAREWELL: Duration = Duration::from_millis(200);

/// A connection.
pub(super) struct Connection {
    runtime: Runtime,
    /// `None` only while it is dropped.
    client: Option<Client>,
    /// What moves bytes between the client and the socket.
    driver: Option<JoinHandle<()>>,
    server: Arc<Server>,
    role: Role,
    is_given_up: Cell<bool>,
    /// Whether an answer has a time limit, beyond that the server must be heard of.
    is_hurried: Cell<bool>,
}

/// A connection and what it has prepared.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) prepared: Prepared,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Passing ones, whatever they are.
    pub(super) fn open(server: &Arc<Server>, role: Role) -> Result<Self, Fault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Fault {
            reason: error.to_string(),
            is_passing: true,
        })?;
        let (client, driver) = runtime.block_on(server.greet(role.settings()))?;
        Ok(Self {
            runtime,
            client: Some(client),
            driver: Some(driver),
            server: Arc::clone(server),
            role,
            is_given_up: Cell::new(false),
            is_hurried: Cell::new(true),
        })
    }

    /// Asks something, and waits for the answer.
    ///
    /// # Errors
    /// What the server says; a passing fault where it has been silent for too long.
    pub(super) fn ask<'c, T, F>(
        &'c self,
        question: impl FnOnce(&'c Client) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Error>> + 'c,
    {
        let silent = || Fault {
            reason: self.server.silence(),
            is_passing: true,
        };
        let client = self.client.as_ref().filter(|_| !self.is_given_up.get());
        let question = question(client.ok_or_else(silent)?);
        let limit = match self.is_hurried.get() {
            true => self.role.limit(),
            false => Duration::MAX,
        };
        let answer = self.runtime.block_on(self.server.wait(limit, question));
        match answer {
            Some(answer) => answer.map_err(|error| fault(&error)),
            None => {
                self.is_given_up.set(true);
                Err(silent())
            }
        }
    }

    /// Says whether answers have a time limit from now on.
    pub(super) fn set_hurried(&self, is_hurried: bool) {
        self.is_hurried.set(is_hurried);
    }

    /// Runs statements without values, and without an answer.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub(super) fn run(&self, statements: &str) -> Result<(), Fault> {
        self.ask(|client| client.batch_execute(statements))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.client.take());
        if let Some(driver) = self.driver.take()
            && !self.is_given_up.get()
        {
            // Whether the server hears of it or not, it is over.
            let _ = self
                .runtime
                .block_on(async { timeout(FAREWELL, driver).await });
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
