//! A small site on loopback, for as long as a test runs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A page: its path, the status and the further headers of the answer, and its body.
pub(crate) type Page = (&'static str, u16, &'static str, &'static str);

/// A server of a few pages, which goes on until the test ends.
pub(crate) struct Site {
    pub(crate) port: u16,
}

impl Site {
    pub(crate) fn start(pages: &'static [Page]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pages = Arc::new(pages);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = Arc::clone(&pages);
                thread::spawn(move || answer(&pages, &stream));
            }
        });
        Self { port }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }
}

/// Answers one request; what is asked after a question mark is let be.
fn answer(pages: &[Page], mut stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let missing = (
        "",
        404,
        "",
        "<!doctype html><title>Nothing</title>Nothing here",
    );
    let (_, status, headers, body) = pages.iter().find(|page| page.0 == path).unwrap_or(&missing);
    let answer = format!(
        "HTTP/1.1 {status} As told\r\nContent-Type: text/html; charset=utf-8\r\n{headers}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes());
}
