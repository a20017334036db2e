//! A way to a PostgreSQL server that can swallow an answer and break.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use strongroom_testkit::PostgresServer;

/// Forwards connections to a server; lives as long as the test's process.
pub(crate) struct Proxy {
    port: u16,
    swallow: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
}

/// Nothing is cut.
const NEVER: usize = usize::MAX;

impl Proxy {
    pub(crate) fn start(server: &PostgresServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallow = Arc::new(AtomicUsize::new(0));
        let socket = server.socket();
        let counter = Arc::clone(&swallow);
        let cut = Arc::new(AtomicUsize::new(NEVER));
        let left = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming() {
                forward(client.unwrap(), &socket, &counter, &left);
            }
        });
        Self { port, swallow, cut }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres:hunter2@127.0.0.1:{}/postgres",
            self.port
        )
    }

    /// The next so many commits are done, but their answers are lost with their connections.
    pub(crate) fn swallow_answers_to_commits(&self, count: usize) {
        self.swallow.store(count, Ordering::SeqCst);
    }

    /// The connection that brings so many bytes more is lost, once.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.cut.store(bytes, Ordering::SeqCst);
    }

    /// Whether one was lost.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == NEVER
    }
}

fn forward(
    mut client: TcpStream,
    socket: &PathBuf,
    swallow: &Arc<AtomicUsize>,
    cut: &Arc<AtomicUsize>,
) {
    let Ok(mut server) = UnixStream::connect(socket) else {
        return;
    };
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let doomed = Arc::new(AtomicUsize::new(0));
    let is_doomed = Arc::clone(&doomed);
    let cut = Arc::clone(cut);
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            if is_doomed.load(Ordering::SeqCst) == 1 {
                break;
            }
            let left = cut.load(Ordering::SeqCst);
            if left != NEVER {
                cut.store(left.checked_sub(count).unwrap_or(NEVER), Ordering::SeqCst);
                if left < count {
                    break;
                }
            }
            if to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    let swallow = Arc::clone(swallow);
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let sent = &buffer[..count];
            let is_commit = sent.windows(7).any(|window| window == b"COMMIT\0");
            if is_commit
                && swallow
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok()
            {
                doomed.store(1, Ordering::SeqCst);
            }
            if server.write_all(sent).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
}
