//! A storage that hangs: what needs it waits, and takes nothing from what needs none.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use strongroom_model::{FileType, Id};
use strongroom_testkit::{Fault, Gate, Op, Rule};
use strongroom_vault::Result;
use strongroom_vault::http::Limits;
use strongroom_vault::publication::{LogFiles, LogFolder};
use strongroom_vault::rules::right::Right;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::server::Server;
use crate::vault::scene::{Scene, faulty};

/// More than the server has places for works.
const MANY: u8 = 20;

/// What needs no storage is answered within this time, on a busy machine too.
const SOON: Duration = Duration::from_secs(30);

/// How many requests one token has under way in these tests, at most.
const OF_TOKEN: u8 = 4;

/// A request; an upload is looked at before its bytes are asked for.
fn request(method: &str, path: &str, token: &str, content: Vec<u8>) -> Request<Full<Bytes>> {
    let basic = data_encoding::BASE64.encode(format!("any:{token}").as_bytes());
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://vault.test{path}"))
        .header("host", "vault.test")
        .header("authorization", format!("Basic {basic}"));
    if method == "POST" {
        request = request.header("expect", "100-continue");
    }
    request.body(Full::new(Bytes::from(content))).unwrap()
}

fn pack(number: u8) -> (String, Vec<u8>) {
    let content = vec![number; 1_000];
    (format!("/acme/repos/data/{}", Id::of(&content)), content)
}

/// How many requests are under way.
fn under_way(server: &Server) -> usize {
    let text = server.metrics.text().unwrap();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix("strongroom_vault_requests_under_way "));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

async fn until_under_way(server: &Server, count: usize) {
    let reached = async {
        while under_way(server) != count {
            yield_now().await;
        }
    };
    timeout(SOON, reached).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_hang_leave_places_for_deletions_locks_and_lists() {
    let (scene, bodies) = faulty();
    let who = scene.token(Right::Append);
    scene.init(&who);
    let old = scene.put(&who, FileType::Data, b"a pack").unwrap();
    let server = Server::start_with(scene, Limits::default()).await;
    let gate = Gate::closed();
    let stage = Rule::on(&[Op::Stage], Fault::Wait(gate.clone()));
    bodies.rules().add(stage);
    let mut clients = JoinSet::new();
    for number in 0..MANY {
        let token = server.token(Right::Append, "acme");
        let address = server.address;
        clients.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let (path, content) = pack(number);
            let mut upload = request("POST", &path, &token, content);
            if number % 2 == 0 {
                // In one turn.
                upload.headers_mut().remove("expect");
            }
            sender.send_request(upload).await.unwrap().status()
        });
    }
    until_under_way(&server, usize::from(MANY)).await;
    gate.wait_for_waiting(12);
    let maintain = server.as_machine(Right::Maintain);
    let path = format!("/acme/repos/{old}");
    let lock = vec![7; 100];
    let lock_path = format!("/acme/repos/locks/{}", Id::of(&lock));
    for (method, path, body) in [
        ("DELETE", path.as_str(), None),
        ("POST", lock_path.as_str(), Some(lock.clone())),
        ("GET", lock_path.as_str(), None),
        ("DELETE", lock_path.as_str(), None),
        ("GET", "/acme/repos/config", None),
        ("GET", "/acme/repos/data/", None),
        ("HEAD", "/acme/repos/data/", None),
    ] {
        let asked = timeout(SOON, maintain.ask_freely(method, path, body)).await;
        let answer = asked.unwrap_or_else(|_| panic!("{method} {path} waits for the storage"));
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
    }
    gate.open();
    while let Some(status) = clients.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_while_the_storage_hangs_keeps_the_places_of_its_token() {
    for (method, op) in [("POST", Op::Stage), ("GET", Op::Open)] {
        let (scene, bodies) = faulty();
        let who = scene.token(Right::Append);
        scene.init(&who);
        for number in 0..OF_TOKEN {
            scene.put(&who, FileType::Data, &pack(number).1).unwrap();
        }
        let limits = Limits {
            requests_per_token: usize::from(OF_TOKEN),
            ..Limits::default()
        };
        let server = Server::start_with(scene, limits).await;
        let gate = Gate::closed();
        bodies
            .rules()
            .add(Rule::on(&[op], Fault::Wait(gate.clone())));
        let ask = |number: u8, token: &str| {
            let (path, content) = match method {
                "POST" => pack(100 + number),
                _ => (pack(number).0, Vec::new()),
            };
            request(method, &path, token, content)
        };
        places_are_kept(&server, &gate, OF_TOKEN, ask).await;
    }
}

/// Asks as often as a token may, goes when all that stands before a gate, and sees that its places are
/// kept until that is open.
async fn places_are_kept(
    server: &Server,
    gate: &Gate,
    of_token: u8,
    ask: impl Fn(u8, &str) -> Request<Full<Bytes>>,
) {
    let token = server.token(Right::Append, "acme");
    let stream = TcpStream::connect(server.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    for number in 0..of_token {
        let asked = ask(number, &token);
        let path = asked.uri().to_string();
        let asking = tokio::spawn(sender.send_request(asked));
        gate.wait_for_waiting(usize::from(number) + 1);
        asking.abort();
        assert!(asking.await.is_err(), "{path} cannot be answered");
    }
    until_under_way(server, 0).await;
    let mut list = async || {
        let head = request("HEAD", "/acme/repos/data/", &token, Vec::new());
        let asked = timeout(SOON, sender.send_request(head)).await;
        let response = asked.unwrap().unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        status
    };
    assert_eq!(list().await, 429);
    // When the storage answers, the places are given back.
    gate.open();
    let freed = async {
        while list().await == 429 {
            yield_now().await;
        }
    };
    timeout(SOON, freed).await.unwrap();
}

/// The gate before something; none where it is free to pass.
type Before = Arc<Mutex<Option<Gate>>>;

/// The files of a log, which are read and written behind gates where there are some.
#[derive(Debug)]
struct GatedLog {
    files: LogFolder,
    reads: Before,
    writes: Before,
}

fn pass(before: &Before) {
    let gate = before.lock().clone();
    if let Some(gate) = gate {
        gate.pass();
    }
}

impl LogFiles for GatedLog {
    fn location(&self) -> &str {
        self.files.location()
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        pass(&self.reads);
        self.files.read(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        pass(&self.writes);
        self.files.write(name, bytes)
    }

    fn remove_partial(&self, name: &str) {
        self.files.remove_partial(name);
    }
}

/// A server with a gated log, of which a token has so many places.
async fn with_gated_log(of_token: u8) -> (Server, Before, Before) {
    let scene = Scene::new();
    let who = scene.token(Right::Append);
    scene.init(&who);
    let limits = Limits {
        requests_per_token: usize::from(of_token),
        ..Limits::default()
    };
    let (reads, writes) = (Before::default(), Before::default());
    let log = GatedLog {
        files: LogFolder::open(scene.folder.path().join("log")).unwrap(),
        reads: Arc::clone(&reads),
        writes: Arc::clone(&writes),
    };
    let server = Server::start_on(scene, limits, Arc::new(log)).await;
    (server, reads, writes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_proofs_and_goes_keeps_the_places_of_its_token_as_well() {
    for question in ["consistency?old=1", "inclusion?leaf=0"] {
        let (server, reads, _) = with_gated_log(OF_TOKEN).await;
        let gate = Gate::closed();
        *reads.lock() = Some(gate.clone());
        let path = format!("/v1/log/{question}");
        let ask = |_: u8, token: &str| request("GET", &path, token, Vec::new());
        places_are_kept(&server, &gate, OF_TOKEN, ask).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_log_published_and_goes_keeps_the_place_of_its_token_too() {
    for question in ["consistency?old=1", "inclusion?leaf=0"] {
        // One at a time has it published; that its token was made is a leaf that waits for it.
        let (server, _, writes) = with_gated_log(1).await;
        let gate = Gate::closed();
        *writes.lock() = Some(gate.clone());
        let path = format!("/v1/log/{question}");
        let ask = |_: u8, token: &str| request("GET", &path, token, Vec::new());
        places_are_kept(&server, &gate, 1, ask).await;
    }
}
