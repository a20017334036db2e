//! Strangers, who show no token or wrong ones: whoever is known does not notice them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use strongroom_vault::Result;
use strongroom_vault::database::{Database, Sqlite, Work};
use strongroom_vault::http::Limits;
use strongroom_vault::rules::right::Right;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::server::Server;
use crate::vault::scene::{Scene, over_sqlite, within};

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sooner than any limit of time gives a place back.
const SOON: Duration = Duration::from_secs(2);

/// A database that is as slow as one over a network, when it is told to be, and counts who reads.
#[derive(Debug)]
struct Slow {
    inner: Sqlite,
    is_slow: AtomicBool,
    readers: AtomicUsize,
    most: AtomicUsize,
}

impl Database for Slow {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.write(work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        let readers = self.readers.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(readers, Ordering::SeqCst);
        let done = self.inner.read(&mut |transaction| {
            if self.is_slow.load(Ordering::SeqCst) {
                let (_answers, answer) = channel::<()>();
                let _ = answer.recv_timeout(Duration::from_millis(5));
            }
            work(transaction)
        });
        self.readers.fetch_sub(1, Ordering::SeqCst);
        done
    }
}

async fn raw_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// What comes until the connection ends, however it ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    let _ = read.expect("the server must close the connection");
    String::from_utf8_lossy(&all).into_owned()
}

fn under_way(server: &Server) -> usize {
    let text = server.metrics.text().unwrap();
    let line = "strongroom_vault_requests_under_way ";
    let value = text.lines().find_map(|known| known.strip_prefix(line));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_no_checkpoint_holds_no_place() {
    let limits = Limits {
        requests: 4,
        ..Limits::default()
    };
    let server = Server::start_with(Scene::new(), limits).await;
    let head = b"POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    let mut unfinished = Vec::new();
    for last in [2, 2, 3, 3] {
        let mut stream = raw_from(last, server.address).await;
        stream.write_all(head).await.unwrap();
        unfinished.push(stream);
    }
    let begun = async {
        while under_way(&server) < 4 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    let machine = server.as_reader();
    let answer = timeout(SOON, machine.get("/v1/vault")).await.unwrap();
    assert_eq!(answer.status, 200);
    // No address has more than its share, and what does not come is not waited for.
    let mut more = raw_from(2, server.address).await;
    more.write_all(head).await.unwrap();
    let told = timeout(SOON, rest(&mut more)).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("retry-after: 5\r\n"), "{told}");
    for mut stream in unfinished {
        let told = rest(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_hold_neither_places_nor_the_readers_of_the_database() {
    let kept: Arc<parking_lot::Mutex<Option<Arc<Slow>>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let pair = over_sqlite(move |inner| {
        let slow = Arc::new(Slow {
            inner,
            is_slow: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        *keep.lock() = Some(Arc::clone(&slow));
        slow
    });
    let scene = within(&pair, Scene::new);
    drop(pair);
    let slow = kept.lock().take().unwrap();
    let limits = Limits {
        requests: 16,
        ..Limits::default()
    };
    let server = Server::start_with(scene, limits).await;
    let machine = server.as_machine(Right::Append);
    let path = "/v1/repositories/acme/repos";
    let who = server.scene.token(Right::Append);
    server.scene.init(&who);
    for _ in 0..2 {
        assert_eq!(machine.ask_freely("GET", path, None).await.status, 200);
    }
    slow.most.store(0, Ordering::SeqCst);
    slow.is_slow.store(true, Ordering::SeqCst);
    let is_over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let mut strangers = Vec::new();
    for number in 0..64_u8 {
        let (address, is_over, asked) = (server.address, Arc::clone(&is_over), Arc::clone(&asked));
        strangers.push(tokio::spawn(async move {
            let wrong = format!("x:srt-guess{number}-secret");
            let basic = data_encoding::BASE64.encode(wrong.as_bytes());
            let (page, authorization) = match number % 2 {
                0 => ("/log/checkpoint", String::new()),
                _ => ("/a/b/config", format!("authorization: Basic {basic}\r\n")),
            };
            let head = format!(
                "GET {page} HTTP/1.1\r\nhost: x\r\n{authorization}connection: close\r\n\r\n"
            );
            while !is_over.load(Ordering::SeqCst) {
                let mut stream = raw_from(2 + number % 4, address).await;
                // Whoever is refused at the door may be hung up on before he has asked.
                let _ = stream.write_all(head.as_bytes()).await;
                rest(&mut stream).await;
                asked.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    let flooded = async {
        while asked.load(Ordering::SeqCst) < 128 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, flooded).await.unwrap();
    assert!(slow.most.load(Ordering::SeqCst) <= 2);
    for number in 0..20 {
        // So long after its last use that it has to be looked up again.
        {
            let mut clocks = server.scene.clocks.lock();
            clocks.boottime_ms += 2_000;
            clocks.wall_ms += 2_000;
        }
        let answer = machine.ask_freely("GET", path, None).await;
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
    }
    is_over.store(true, Ordering::SeqCst);
    for stranger in strangers {
        stranger.await.unwrap();
    }
}
