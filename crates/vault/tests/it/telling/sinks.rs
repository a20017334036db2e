//! Servers that take what the vault sends, on loopback, each request by a thread.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use strongroom_vault::http::CertificateFiles;

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server of HTTP got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        &found.unwrap_or_else(|| panic!("no {name}: {self:?}")).1
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a server does with what it is sent.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Answers with a status, and where else to ask.
    Status(u16, Option<String>),
    /// Says nothing, and keeps the connection.
    Nothing,
}

/// A server of HTTP.
pub(crate) struct HttpSink {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
}

impl HttpSink {
    pub(crate) fn new(answer: Answer) -> Self {
        Self::with(answer, None)
    }

    /// One with a certificate of its own.
    pub(crate) fn with(answer: Answer, files: Option<&CertificateFiles>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let tls = files.map(server_config);
        let (asked, answer) = (Arc::clone(&sink.asked), Arc::clone(&sink.answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => take(stream, &asked, &answer),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        take(StreamOwned::new(connection, stream), &asked, &answer)
                    }
                });
            }
        });
        sink
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn now_answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// All that it got, when it is so much.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Asked> {
        wait_until(|| self.asked.lock().len() >= count);
        self.asked()
    }
}

fn take(
    stream: impl Read + Write,
    asked: &Mutex<Vec<Asked>>,
    answer: &Mutex<Answer>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut got = Asked {
        path,
        headers,
        body: String::new(),
    };
    let mut body = vec![0; got.header("content-length").parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    got.body = String::from_utf8(body).unwrap();
    let answer = answer.lock().clone();
    asked.lock().push(got);
    let Answer::Status(status, location) = answer else {
        // Until whoever asks goes away.
        let _ = reader.read(&mut [0]);
        return None;
    };
    let location = location.map_or_else(String::new, |to| format!("location: {to}\r\n"));
    let text =
        format!("HTTP/1.1 {status} X\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(text.as_bytes()).ok()
}

fn server_config(files: &CertificateFiles) -> Arc<ServerConfig> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .unwrap()
        .map(|certificate| certificate.unwrap())
        .collect();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    Arc::new(config)
}

/// A server of mail.
pub(crate) struct MailSink {
    pub(crate) port: u16,
    /// All that clients said, a conversation each.
    said: Arc<Mutex<Vec<String>>>,
}

impl MailSink {
    /// One that answers each step in its own time.
    pub(crate) fn new(pause: Duration) -> Self {
        Self::with(pause, None)
    }

    /// One that speaks TLS from the beginning.
    pub(crate) fn with(pause: Duration, files: Option<&CertificateFiles>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let tls = files.map(server_config);
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (said, tls) = (Arc::clone(&heard), tls.clone());
                thread::spawn(move || match tls {
                    None => converse(stream, pause, &said),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        converse(StreamOwned::new(connection, stream), pause, &said)
                    }
                });
            }
        });
        Self { port, said }
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().clone()
    }

    pub(crate) fn wait_for(&self, count: usize) -> Vec<String> {
        wait_until(|| self.said.lock().len() >= count);
        self.said()
    }
}

fn converse(stream: impl Read + Write, pause: Duration, said: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut conversation = String::new();
    let mut is_mail = false;
    let mut answer = "220 sink.test".to_owned();
    loop {
        pause_for(pause);
        if !answer.is_empty() {
            let stream = reader.get_mut();
            let written = stream.write_all(format!("{answer}\r\n").as_bytes());
            if written.and_then(|()| stream.flush()).is_err() {
                break;
            }
        }
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        conversation.push_str(&line);
        answer = match line.split([' ', '\r']).next().unwrap() {
            "." if is_mail => {
                is_mail = false;
                "250 taken".to_owned()
            }
            _ if is_mail => String::new(),
            "EHLO" => "250-sink.test\r\n250-8BITMIME\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" => "235 welcome".to_owned(),
            "DATA" => {
                is_mail = true;
                "354 go on".to_owned()
            }
            "QUIT" => break,
            _ => "250 fine".to_owned(),
        };
    }
    said.lock().push(conversation);
    Some(())
}

/// An address of this machine where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Does nothing for so long.
fn pause_for(pause: Duration) {
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(pause);
}

/// Waits until something is so.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never happens");
        pause_for(Duration::from_millis(5));
    }
}
