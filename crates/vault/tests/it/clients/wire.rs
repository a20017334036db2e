//! HTTP as bytes on a socket: what a library would not send, and answers as they come.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use data_encoding::BASE64;
use strongroom_model::{FileName, FileType, Id};

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection, used for one request after the other.
pub(super) struct Wire {
    stream: BufReader<TcpStream>,
    address: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in small letters.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// A body, and how it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sends<'b> {
    Nothing,
    /// With its length told.
    Whole(&'b [u8]),
    /// In chunks, the length not told.
    Chunks(&'b [u8]),
}

impl Wire {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    /// Asks, and hears the whole answer.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        sends: Sends<'_>,
    ) -> io::Result<Answer> {
        self.begin(method, path, token, headers, sends)?;
        match sends {
            Sends::Nothing => {}
            Sends::Whole(body) => self.send(body)?,
            Sends::Chunks(body) => {
                // Of sizes that fit nowhere.
                for chunk in body.chunks(70_001) {
                    self.send(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                    self.send(chunk)?;
                    self.send(b"\r\n")?;
                }
                self.send(b"0\r\n\r\n")?;
            }
        }
        self.hear(method == "HEAD")
    }

    /// Sends the head of a request.
    pub(super) fn begin(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        sends: Sends<'_>,
    ) -> io::Result<()> {
        let login = BASE64.encode(format!("any:{token}").as_bytes());
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if !token.is_empty() {
            head.push_str(&format!("authorization: Basic {login}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match sends {
            Sends::Nothing => {}
            Sends::Whole(body) => head.push_str(&format!("content-length: {}\r\n", body.len())),
            Sends::Chunks(_) => head.push_str("transfer-encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Hears the answer to what was sent.
    pub(super) fn hear(&mut self, is_head: bool) -> io::Result<Answer> {
        let nonsense = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let first = self.line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(nonsense(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status: status.ok_or(nonsense(&first))?,
            headers,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        match (is_head, length) {
            (true, _) => {}
            (false, Some(length)) => {
                answer.body.resize(length, 0);
                self.stream.read_exact(&mut answer.body)?;
            }
            (false, None) if answer.header("transfer-encoding") == Some("chunked") => loop {
                let line = self.line()?;
                let length = usize::from_str_radix(&line, 16).map_err(|_| nonsense(&line))?;
                let before = answer.body.len();
                answer.body.resize(before + length, 0);
                self.stream.read_exact(&mut answer.body[before..])?;
                self.line()?;
                if length == 0 {
                    break;
                }
            },
            (false, None) => drop(self.stream.read_to_end(&mut answer.body)?),
        }
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    pub(super) fn get(&mut self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, &[], Sends::Nothing).unwrap()
    }

    pub(super) fn post(&mut self, path: &str, token: &str, body: &[u8]) -> Answer {
        self.ask("POST", path, token, &[], Sends::Whole(body))
            .unwrap()
    }

    pub(super) fn delete(&mut self, path: &str, token: &str) -> Answer {
        self.ask("DELETE", path, token, &[], Sends::Nothing)
            .unwrap()
    }

    /// All of a type: names and sizes.
    pub(super) fn list(
        &mut self,
        folder: &str,
        token: &str,
        kind: FileType,
    ) -> Vec<(FileName, u64)> {
        let path = format!("{folder}{}/", kind.folder());
        let v2 = [("accept", "application/vnd.x.restic.rest.v2")];
        let answer = self.ask("GET", &path, token, &v2, Sends::Nothing).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some(v2[0].1));
        let listed: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
        let entry = |entry: &serde_json::Value| {
            let id: Id = entry["name"].as_str().unwrap().parse().unwrap();
            (FileName::new(kind, id), entry["size"].as_u64().unwrap())
        };
        listed.iter().map(entry).collect()
    }

    /// Puts bytes under their name.
    pub(super) fn put(
        &mut self,
        folder: &str,
        token: &str,
        kind: FileType,
        body: &[u8],
    ) -> (FileName, u16) {
        let name = FileName::new(kind, Id::of(body));
        let answer = self.post(&format!("{folder}{name}"), token, body);
        (name, answer.status)
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
