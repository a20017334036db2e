//! As much of HTTP/1.1 as a test needs of a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// A request.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    /// Of 0 nothing is sent, and the connection is closed.
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// A server on a free port; it serves each connection in a thread of its own until the test ends.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self { address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The range that is asked for, of these bytes, or all of them.
    pub(crate) fn part_of(&self, bytes: &[u8]) -> Answer {
        let range = self.header("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let mut answer = Answer::text(200, "");
        answer.body = bytes.to_vec();
        if let Some((first, last)) = range {
            let Some(part) = bytes.get(first..bytes.len().min(last + 1)) else {
                return Answer::text(416, "outside");
            };
            answer.status = 206;
            let last = first + part.len() - 1;
            let range = format!("bytes {first}-{last}/{}", bytes.len());
            answer.headers.push(("Content-Range", range));
            answer.body = part.to_vec();
        }
        answer
    }
}

impl Answer {
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            headers: Vec::new(),
            body: text.as_bytes().to_vec(),
        }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self {
            content_type: "application/json",
            ..Self::text(status, &value.to_string())
        }
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(mut asked) = read_head(&mut reader) {
        if asked.header("expect").is_some() {
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let length = asked
            .header("content-length")
            .map_or(0, |text| text.parse().unwrap());
        asked.body.resize(length, 0);
        if reader.read_exact(&mut asked.body).is_err() {
            return;
        }
        let told = answer(&asked);
        if told.status == 0 {
            return;
        }
        let mut head = format!(
            "HTTP/1.1 {} Status\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            told.status,
            told.content_type,
            told.body.len()
        );
        for (name, value) in &told.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let body: &[u8] = if asked.method == "HEAD" {
            &[]
        } else {
            &told.body
        };
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        if sent.is_err() {
            return;
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<Asked> {
    let first = read_line(reader)?;
    let mut words = first.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    while let Some((key, value)) = read_line(reader)?.split_once(": ") {
        headers.push((key.to_lowercase(), value.to_owned()));
    }
    Some(Asked {
        method,
        path,
        headers,
        body: Vec::new(),
    })
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let count = reader.read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}
