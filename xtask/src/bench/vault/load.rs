//! A client as light as can be: it costs the servers' cores little, and both servers the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::bench::vault::server::Server;

/// The size of a small object.
const OBJECT_BYTES: usize = 4 << 10;

/// Objects that differ in their first bytes; their names are made before anything is measured.
pub(super) struct Objects(Vec<String>);

impl Objects {
    pub(super) fn new(count: u64) -> Self {
        let name = |number| HEXLOWER.encode(&Sha256::digest(content(number)));
        Self((0..count).map(name).collect())
    }
}

fn content(number: u64) -> [u8; OBJECT_BYTES] {
    let mut content = [0x5a; OBJECT_BYTES];
    if let Some(first) = content.first_chunk_mut() {
        *first = number.to_le_bytes();
    }
    content
}

/// Where requests go.
pub(super) struct Load {
    address: SocketAddr,
    authorization: Option<String>,
    repository: &'static str,
}

/// One connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
}

struct Answer {
    status: u16,
    length_bytes: Option<u64>,
    is_chunked: bool,
}

impl Load {
    pub(super) fn new(server: &Server, repository: &'static str) -> Self {
        Self {
            address: server.address(),
            authorization: server.authorization(),
            repository,
        }
    }

    /// Makes the repository.
    pub(super) fn create(&self) -> Result<()> {
        let mut connection = self.connect()?;
        let path = format!("/{}/?create=true", self.repository);
        connection.send("POST", &path, "Content-Length: 0\r\n", &[])?;
        connection.drain(200)
    }

    /// Puts all objects over so many connections.
    pub(super) fn put(&self, objects: &Objects, connections: usize) -> Result<Duration> {
        let length = format!("Content-Length: {OBJECT_BYTES}\r\n");
        self.each(objects, connections, |connection, number, path| {
            connection.send("POST", path, &length, &content(number))?;
            connection.drain(200)
        })
    }

    /// Gets all objects as restic does, with a range.
    pub(super) fn get(&self, objects: &Objects, connections: usize) -> Result<Duration> {
        self.each(objects, connections, |connection, _, path| {
            connection.send("GET", path, "Range: bytes=0-\r\n", &[])?;
            connection.drain(206)
        })
    }

    /// Lists a type; tells how long that took and how many there were.
    pub(super) fn list(&self, kind: &str) -> Result<(Duration, u64)> {
        let mut connection = self.connect()?;
        let started = Instant::now();
        let path = format!("/{}/{kind}/", self.repository);
        let accept = "Accept: application/vnd.x.restic.rest.v2\r\n";
        connection.send("GET", &path, accept, &[])?;
        let answer = connection.answer()?;
        ensure!(
            answer.status == 200,
            "A list was answered {}",
            answer.status
        );
        let mut body = connection.body(&answer);
        let mut step = vec![0; 256 << 10];
        let mut names = 0;
        loop {
            match body.read(&mut step)? {
                0 => break,
                count => {
                    let read = step.get(..count).unwrap_or_default();
                    names += read.iter().filter(|byte| **byte == b'{').count() as u64;
                }
            }
        }
        Ok((started.elapsed(), names))
    }

    fn each(
        &self,
        objects: &Objects,
        connections: usize,
        request: impl Fn(&mut Connection, u64, &str) -> Result<()> + Sync,
    ) -> Result<Duration> {
        let next = AtomicU64::new(0);
        let opened: Result<Vec<_>> = (0..connections).map(|_| self.connect()).collect();
        let work = |mut connection: Connection| -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = usize::try_from(number)
                    .ok()
                    .and_then(|at| objects.0.get(at))
                else {
                    return Ok(());
                };
                let path = format!("/{}/data/{name}", self.repository);
                request(&mut connection, number, &path)?;
            }
        };
        let opened = opened?;
        let started = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = opened
                .into_iter()
                .map(|connection| scope.spawn(|| work(connection)))
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow!("A client panicked"))?)
        })?;
        Ok(started.elapsed())
    }

    fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let mut head = format!("Host: {}\r\n", self.address);
        if let Some(authorization) = &self.authorization {
            head += &format!("Authorization: {authorization}\r\n");
        }
        Ok(Connection {
            stream: BufReader::new(stream),
            head,
        })
    }
}

impl Connection {
    fn send(&mut self, method: &str, path: &str, more: &str, body: &[u8]) -> Result<()> {
        let head = &self.head;
        let mut request = format!("{method} {path} HTTP/1.1\r\n{head}{more}\r\n").into_bytes();
        request.extend_from_slice(body);
        Ok(self.stream.get_mut().write_all(&request)?)
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut answer = Answer {
            status: status.with_context(|| format!("An answer began with {line:?}"))?,
            length_bytes: None,
            is_chunked: false,
        };
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(answer);
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => answer.length_bytes = value.trim().parse().ok(),
                "transfer-encoding" => answer.is_chunked = true,
                _ => {}
            }
        }
    }

    /// Reads an answer to its end.
    fn drain(&mut self, status: u16) -> Result<()> {
        let answer = self.answer()?;
        if answer.status != status {
            bail!("A request was answered {}", answer.status);
        }
        std::io::copy(&mut self.body(&answer), &mut std::io::sink())?;
        Ok(())
    }

    fn body(&mut self, answer: &Answer) -> Box<dyn Read + '_> {
        match answer.is_chunked {
            true => Box::new(Chunked {
                stream: &mut self.stream,
                left: 0,
                is_over: false,
            }),
            false => Box::new((&mut self.stream).take(answer.length_bytes.unwrap_or_default())),
        }
    }
}

/// A body that comes in chunks.
struct Chunked<'a> {
    stream: &'a mut BufReader<TcpStream>,
    left: u64,
    is_over: bool,
}

impl Read for Chunked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.is_over {
            return Ok(0);
        }
        if self.left == 0 {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim_end(), 16);
            self.left = size.map_err(|_| std::io::ErrorKind::InvalidData)?;
            if self.left == 0 {
                self.is_over = true;
                self.stream.read_line(&mut line)?;
                return Ok(0);
            }
        }
        let count = self.stream.by_ref().take(self.left).read(buffer)?;
        self.left -= count as u64;
        if self.left == 0 {
            self.stream.read_line(&mut String::new())?;
        }
        Ok(count)
    }
}
