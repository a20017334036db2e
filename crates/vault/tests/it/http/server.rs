//! A listener for tests with a handler that does what the path says, and clients for it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::{Digest, Sha256};
use strongroom_model::Secret;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::{
    Answering, Blocking, Body, Certificates, Handler, HttpMetrics, Intake, Limits, Note, Peer,
    Request, Response, Serving, Stop, Stopper, Upload, bind, health, later, serve, simple,
};
use strongroom_vault::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing in these tests takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What the handler takes as upload.
pub(super) const MOST_BYTES: u64 = 64 << 20;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) hands: Arc<Hands>,
    stopper: Option<Stopper>,
    serving: JoinHandle<Result<()>>,
}

/// The handler.
pub(super) struct Hands {
    pub(super) metrics: Metrics,
    pub(super) blocking: Blocking,
    pub(super) limits: Limits,
    /// Lets one `/wait` after the other go on.
    pub(super) gate: Notify,
    /// How many requests wait at the gate, or have.
    pub(super) waiting: AtomicUsize,
    /// Told what happens while it happens.
    pub(super) events: mpsc::UnboundedSender<String>,
}

impl Server {
    /// Starts on a free port of loopback; what happens is told to the receiver.
    pub(super) async fn start(limits: Limits) -> (Self, mpsc::UnboundedReceiver<String>) {
        Self::start_with(limits, None, 8).await
    }

    pub(super) async fn start_with(
        limits: Limits,
        certificates: Option<Arc<Certificates>>,
        threads: usize,
    ) -> (Self, mpsc::UnboundedReceiver<String>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let metrics = Metrics::new();
        let serving = Serving {
            limits: limits.clone(),
            certificates,
            metrics: Arc::new(HttpMetrics::new(&metrics)),
        };
        let hands = Arc::new(Hands {
            metrics,
            blocking: Blocking::new(threads),
            limits,
            gate: Notify::new(),
            waiting: AtomicUsize::new(0),
            events,
        });
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stopper, stop): (Stopper, Stop) = Stopper::new();
        let handler = Arc::clone(&hands) as Arc<dyn Handler>;
        let server = Self {
            address,
            hands,
            stopper: Some(stopper),
            serving: tokio::spawn(serve(serving, vec![listener], handler, stop)),
        };
        (server, receiver)
    }

    pub(super) fn begin_stop(&mut self) {
        self.stopper.take().unwrap().stop();
    }

    /// Waits until the server has ended.
    pub(super) async fn ended(self) {
        let ended = timeout(PATIENCE, self.serving).await;
        ended.expect("the server must end").unwrap().unwrap();
    }

    pub(super) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection from another address of this machine.
    pub(super) async fn raw_from(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    pub(super) async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.raw().await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// By HTTP/2 without TLS, as a client does that knows the server.
    pub(super) async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.raw().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// The same, by a client that takes the heads of answers and no body.
    pub(super) async fn http2_that_takes_nothing(&self) -> http2::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.raw().await);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(0);
        let (sender, connection) = builder.handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends raw bytes on a new connection and returns all that comes until its end.
    pub(super) async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.raw().await;
        // The server may close before it has everything.
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }

    /// The value of a metric, by the beginning of its line.
    pub(super) fn metric(&self, line: &str) -> u64 {
        let text = self.hands.metrics.text().unwrap();
        let found = text.lines().find_map(|known| known.strip_prefix(line));
        found.map_or(0, |value| value.trim().parse().unwrap())
    }

    pub(super) fn refusals(&self, reason: &str) -> u64 {
        self.metric(&format!(
            "strongroom_vault_refusals_total{{reason=\"{reason}\"}}"
        ))
    }
}

/// What comes until the connection ends, however it ends.
pub(super) async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    // A connection that was reset has ended as well.
    let _ = read.expect("the server must close the connection");
    String::from_utf8_lossy(&all).into_owned()
}

pub(super) fn request(method: &str, path: &str, body: Vec<u8>) -> hyper::Request<Full<Bytes>> {
    hyper::Request::builder()
        .method(method)
        .uri(format!("http://vault.test{path}"))
        .header("host", "vault.test")
        .body(Full::new(body.into()))
        .unwrap()
}

pub(super) async fn text(response: hyper::Response<Incoming>) -> String {
    let body = timeout(PATIENCE, response.into_body().collect()).await;
    let bytes = body.unwrap().unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes until it ends so.
pub(super) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut told = String::new();
    let read = async {
        while !told.ends_with(end) {
            let mut piece = [0; 1000];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "{told}");
            told.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    told
}

/// Waits for an event that begins so, and forgets those before.
pub(super) async fn event(events: &mut mpsc::UnboundedReceiver<String>, begins: &str) -> String {
    let find = async {
        loop {
            let event = events.recv().await.unwrap();
            if event.starts_with(begins) {
                return event;
            }
        }
    };
    let found = timeout(PATIENCE, find).await;
    found.unwrap_or_else(|_| panic!("no {begins:?} has happened"))
}

/// Bytes that can be told apart.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 % 251) as u8).collect()
}

impl Handler for Hands {
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static> {
        Box::pin(async move {
            let note = Note {
                route: "test",
                repository: Some("acme/repos".to_owned()),
                token: Some("t1".to_owned()),
            };
            let mut response = self
                .answer(request, peer)
                .await
                .unwrap_or_else(|error| simple(status(&error), &error.to_string()));
            if response.extensions().get::<Note>().is_none() {
                response.extensions_mut().insert(note);
            }
            response
        })
    }
}

impl Hands {
    async fn answer(&self, request: Request, peer: Peer) -> Result<Response> {
        let path = request.uri().path().to_owned();
        let (name, number) = path.rsplit_once('/').unwrap();
        let number: u64 = number.parse().unwrap_or_default();
        let is_upload = request.method() == Method::POST;
        if let Some(token) = path.strip_prefix("/token/") {
            return self.serve_token(token, request, &peer).await;
        }
        match (is_upload, name, path.as_str()) {
            (true, _, "/upload") => self.upload(request.into_body()).await,
            (true, _, "/refuse") => Ok(simple(StatusCode::FORBIDDEN, "no")),
            (true, _, "/unknown") => Ok(simple(StatusCode::UNAUTHORIZED, "who?")),
            (_, _, "/wait") => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let _ = self.events.send("waiting".to_owned());
                self.gate.notified().await;
                Ok(simple(StatusCode::OK, "done"))
            }
            (_, _, "/open" | "/nothing") => {
                let status = match path == "/open" {
                    true => StatusCode::OK,
                    false => StatusCode::NOT_FOUND,
                };
                let mut response = simple(status, "for everybody");
                response.extensions_mut().insert(Note {
                    route: "open",
                    ..Note::default()
                });
                Ok(response)
            }
            (_, _, "/login") => Ok(match peer.login_failed() {
                None => simple(StatusCode::UNAUTHORIZED, "wrong"),
                Some(pause) => later(StatusCode::TOO_MANY_REQUESTS, "wait", pause),
            }),
            (false, "/download", _) => {
                let reader = Endless {
                    place: 0,
                    events: self.events.clone(),
                };
                let blocking = self.blocking.clone();
                let body = self
                    .blocking
                    .run(move || Body::begin(reader, number, &blocking));
                Ok(Response::new(body.await?))
            }
            (false, "/list", _) => self.list(number).await,
            (false, _, "/metrics" | "/metrics/closed") => {
                let token = Secret::new("right");
                let token = (name == "/metrics").then_some(&token);
                Ok(health::metrics(
                    request.headers(),
                    &peer,
                    token,
                    &self.metrics,
                ))
            }
            _ => Ok(simple(StatusCode::OK, "hello")),
        }
    }

    /// Takes an upload of a token; tells "begun" when it has its place.
    async fn serve_token(&self, token: &str, request: Request, peer: &Peer) -> Result<Response> {
        let mut response = match peer.begin(token, &request) {
            Err(Error::Throttled { pause, .. }) => {
                later(StatusCode::TOO_MANY_REQUESTS, "too much", pause)
            }
            Err(error) => return Err(error),
            Ok(place) => {
                let _ = self.events.send(format!("begun {token}"));
                let mut response = self.upload(request.into_body()).await?;
                place.keep(&mut response);
                response
            }
        };
        response.extensions_mut().insert(Note {
            route: "token",
            repository: None,
            token: Some(token.to_owned()),
        });
        Ok(response)
    }

    async fn upload(&self, upload: Upload) -> Result<Response> {
        let intake = Hashing {
            hash: Sha256::new(),
            turns: 0,
            bytes: 0,
            events: self.events.clone(),
        };
        let told = upload.pass_to(intake, MOST_BYTES, &self.blocking).await?;
        Ok(simple(StatusCode::OK, &told))
    }

    async fn list(&self, lines: u64) -> Result<Response> {
        let events = self.events.clone();
        let work = move |out: &mut strongroom_vault::http::body::Listing| {
            let written = (0..lines).try_for_each(|line| writeln!(out, "{line:063}"));
            let told = format!("listed {:?}", written.as_ref().map_err(|e| e.kind()));
            let _ = events.send(told);
            written.map_err(Error::local("list"))
        };
        let body = Body::listing(&self.blocking, &self.limits, work).await?;
        Ok(Response::new(body))
    }
}

/// The status that an error of an upload means.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::UploadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UploadStalled => StatusCode::REQUEST_TIMEOUT,
        Error::UploadBroken { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Hashes an upload; tells "hash turns bytes".
struct Hashing {
    hash: Sha256,
    turns: usize,
    bytes: usize,
    events: mpsc::UnboundedSender<String>,
}

impl Intake for Hashing {
    type Output = String;

    fn take(&mut self, chunks: &[Bytes]) -> Result<()> {
        self.turns += 1;
        for chunk in chunks {
            self.hash.update(chunk);
            self.bytes += chunk.len();
        }
        let _ = self.events.send(format!("took {}", self.bytes));
        Ok(())
    }

    fn finish(mut self) -> Result<String> {
        let hash = data_encoding::HEXLOWER.encode(&std::mem::take(&mut self.hash).finalize());
        Ok(format!("{hash} {} {}", self.turns, self.bytes))
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        let _ = self.events.send("intake dropped".to_owned());
    }
}

/// The [`pattern`] without an end; tells when it is let go.
struct Endless {
    place: usize,
    events: mpsc::UnboundedSender<String>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = (self.place * 31 % 251) as u8;
            self.place += 1;
        }
        Ok(buffer.len())
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self
            .events
            .send(format!("reader dropped at {}", self.place));
    }
}
