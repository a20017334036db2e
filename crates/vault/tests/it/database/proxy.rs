//! A way to a PostgreSQL server that can swallow an answer, keep a commit for itself, break, and
//! stand still with all its connections open.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};
use strongroom_testkit::PostgresServer;

/// Forwards connections to a server; lives as long as the test's process.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many commits lose their answer.
    swallowed: usize,
    /// How many commits are not passed on.
    kept: usize,
    /// Clients whose commit was not passed on, and who wait for its answer.
    waiting: Vec<TcpStream>,
    is_standing_still: bool,
    /// After how many bytes of answers a connection is lost, once.
    cut_after: Option<usize>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It goes on.
    Open,
    /// Its next answer is its end.
    Doomed,
    /// Nothing comes of it any more, and its client is not told.
    Kept,
}

impl Proxy {
    pub(crate) fn start(server: &PostgresServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let socket = server.socket();
        let of_all = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                forward(client.unwrap(), &socket, &of_all);
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres:hunter2@127.0.0.1:{}/postgres",
            self.port
        )
    }

    /// The next so many commits are done, but their answers are lost with their connections.
    pub(crate) fn swallow_answers_to_commits(&self, count: usize) {
        self.shared.state.lock().swallowed = count;
    }

    /// The next commit does not come to the server, and its client goes on waiting.
    pub(crate) fn keep_next_commit(&self) {
        self.shared.state.lock().kept = 1;
    }

    /// Waits until a commit was kept.
    pub(crate) fn wait_for_kept_commit(&self) {
        let mut state = self.shared.state.lock();
        self.shared
            .changed
            .wait_while(&mut state, |state| state.waiting.is_empty());
    }

    /// Breaks the connections of clients whose commits were kept.
    pub(crate) fn break_kept(&self) {
        for client in self.shared.state.lock().waiting.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Passes nothing on any more, in either direction, or goes on with what came meanwhile.
    /// Connections stay open, and new ones are accepted.
    pub(crate) fn stand_still(&self, is_standing_still: bool) {
        self.shared.state.lock().is_standing_still = is_standing_still;
        self.shared.changed.notify_all();
    }

    /// The connection that brings so many bytes more is lost, once.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.shared.state.lock().cut_after = Some(bytes);
    }

    /// Whether one was lost.
    pub(crate) fn has_cut(&self) -> bool {
        self.shared.state.lock().cut_after.is_none()
    }
}

impl Shared {
    /// Whether the connection that brings so many bytes of answers is lost.
    fn is_cut_by(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        let Some(left) = state.cut_after else {
            return false;
        };
        state.cut_after = left.checked_sub(bytes);
        state.cut_after.is_none()
    }

    fn wait_while_it_stands_still(&self) {
        let mut state = self.state.lock();
        self.changed
            .wait_while(&mut state, |state| state.is_standing_still);
    }

    /// What becomes of a connection that commits.
    fn judge(&self, client: &TcpStream) -> Fate {
        let mut state = self.state.lock();
        if state.kept > 0 {
            state.kept -= 1;
            state.waiting.push(client.try_clone().unwrap());
            self.changed.notify_all();
            return Fate::Kept;
        }
        match state.swallowed.checked_sub(1) {
            None => Fate::Open,
            Some(left) => {
                state.swallowed = left;
                Fate::Doomed
            }
        }
    }
}

fn forward(mut client: TcpStream, socket: &Path, shared: &Arc<Shared>) {
    let Ok(mut server) = UnixStream::connect(socket) else {
        return;
    };
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let fate = Arc::new(Mutex::new(Fate::Open));
    let (of_answers, of_all) = (Arc::clone(&fate), Arc::clone(shared));
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            of_all.wait_while_it_stands_still();
            if *of_answers.lock() != Fate::Open {
                break;
            }
            if of_all.is_cut_by(count) {
                break;
            }
            if to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if *of_answers.lock() != Fate::Kept {
            let _ = to_client.shutdown(Shutdown::Both);
        }
        let _ = from_server.shutdown(Shutdown::Both);
    });
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            shared.wait_while_it_stands_still();
            let sent = &buffer[..count];
            if sent.windows(7).any(|window| window == b"COMMIT\0") {
                let mut fate = fate.lock();
                *fate = shared.judge(&client);
                if *fate == Fate::Kept {
                    // The server hears no more of it, and the client goes on waiting.
                    return;
                }
            }
            if server.write_all(sent).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
}
