//! A small HTTP server whose every answer a test writes by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_store::{RestOptions, RestStore};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    Close,
}

/// A running server; it serves each connection in a thread of its own until the test ends.
pub(crate) struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with `answer`, which is told how many requests came before.
    pub(crate) fn start(
        answer: impl Fn(usize, &Request, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Self {
        Self::start_reading(true, answer)
    }

    /// As [`Server::start`], but leaves bodies unread.
    pub(crate) fn start_deaf(
        answer: impl Fn(usize, &Request, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Self {
        Self::start_reading(false, answer)
    }

    fn start_reading(
        reads_bodies: bool,
        answer: impl Fn(usize, &Request, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (server.connections.clone(), server.requests.clone());
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (requests.clone(), answer.clone());
                thread::spawn(move || serve(stream, reads_bodies, &requests, &*answer));
            }
        });
        server
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// The methods of all requests so far, in order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .map(|request| request.method)
            .collect()
    }

    /// The address of its root.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Options with patience for milliseconds instead of minutes.
    pub(crate) fn options(&self) -> RestOptions {
        let url = format!("http://user:geheim@127.0.0.1:{}/acme/repo", self.port);
        let mut options = RestOptions::new(url.parse().unwrap());
        options.retries.first_pause = Duration::from_millis(1);
        options.retries.longest_pause = Duration::from_millis(2);
        options
    }

    pub(crate) fn store(&self) -> RestStore {
        RestStore::new(self.options()).unwrap()
    }
}

fn serve(
    mut stream: TcpStream,
    reads_bodies: bool,
    requests: &Mutex<Vec<Request>>,
    answer: &dyn Fn(usize, &Request, &mut TcpStream) -> Then,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(mut request) = read_head(&mut reader) {
        let length = request
            .header("content-length")
            .map_or(0, |text| text.parse().unwrap());
        if reads_bodies {
            if request.header("expect").is_some() {
                let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            request.body.resize(length, 0);
            if reader.read_exact(&mut request.body).is_err() {
                return;
            }
        }
        let number = {
            let mut requests = requests.lock();
            requests.push(request.clone());
            requests.len() - 1
        };
        if answer(number, &request, &mut stream) == Then::Close {
            return;
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|count| *count > 0)?;
        match line.trim_end().split_once(": ") {
            Some((key, value)) => headers.push((key.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    Some(Request {
        method,
        path,
        headers,
        body: Vec::new(),
    })
}

/// Sends an answer with a length; for HEAD, without the body.
pub(crate) fn reply(stream: &mut TcpStream, request: &Request, status: &str, body: &[u8]) -> Then {
    reply_with(stream, request, status, "", body)
}

/// As [`reply`], with more headers, each ending in CRLF.
pub(crate) fn reply_with(
    stream: &mut TcpStream,
    request: &Request,
    status: &str,
    headers: &str,
    body: &[u8],
) -> Then {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let body = if request.method == "HEAD" { &[] } else { body };
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
    match sent {
        Ok(()) => Then::KeepOpen,
        Err(_) => Then::Close,
    }
}
