//! A client that knows to the byte what was acknowledged to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use data_encoding::BASE64;
use strongroom_model::Id;

/// How long an answer may take; a process that was stopped gives none.
const PATIENCE: Duration = Duration::from_secs(60);

/// The repository of all these tests.
pub(super) const REPOSITORY: &str = "acme/repos";

/// Status and body of an answer; `None` where there was none.
pub(super) fn ask(
    address: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &[u8],
) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let login = token.map_or_else(String::new, |token| {
        let login = BASE64.encode(format!("any:{token}").as_bytes());
        format!("Authorization: Basic {login}\r\n")
    });
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{login}\
         Accept: application/vnd.x.restic.rest.v2\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    // A server that refuses early does not read the body.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &answer[end + 4..];
    let is_whole = match header(&head, "content-length") {
        Some(length) => length.parse() == Ok(body.len()) || method == "HEAD",
        None => true,
    };
    let body = match header(&head, "transfer-encoding") {
        Some(_) => unchunk(body)?,
        None => body.to_vec(),
    };
    is_whole.then_some((status, body))
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = head.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim())
}

/// The content of a chunked body that came to its end.
fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        body = body.get(end + 2..)?;
        if size == 0 {
            return Some(content);
        }
        content.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}

/// Puts a pack; its id where that was acknowledged.
pub(super) fn put(address: &str, token: &str, content: &[u8]) -> Option<Id> {
    let id = Id::of(content);
    let path = format!("/{REPOSITORY}/data/{id}");
    let (status, _) = ask(address, "POST", &path, Some(token), content)?;
    (status == 200).then_some(id)
}

/// The bytes of a pack, where it is there.
pub(super) fn get(address: &str, token: &str, id: Id) -> Option<Vec<u8>> {
    let path = format!("/{REPOSITORY}/data/{id}");
    let (status, body) = ask(address, "GET", &path, Some(token), b"")?;
    (status == 200).then_some(body)
}

/// Asks for a pack to be deleted; whether that was acknowledged.
pub(super) fn delete(address: &str, token: &str, id: Id) -> bool {
    let path = format!("/{REPOSITORY}/data/{id}");
    ask(address, "DELETE", &path, Some(token), b"").is_some_and(|(status, _)| status == 200)
}

/// All packs that are listed.
pub(super) fn list(address: &str, token: &str) -> Option<Vec<Id>> {
    let path = format!("/{REPOSITORY}/data/");
    let (status, body) = ask(address, "GET", &path, Some(token), b"")?;
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&body).ok()?;
    let ids = entries
        .iter()
        .map(|entry| entry["name"].as_str()?.parse().ok());
    (status == 200).then(|| ids.collect())?
}

/// Content that belongs to a number alone.
pub(super) fn content(number: u64, bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes + 32);
    for part in 0_u64.. {
        if content.len() >= bytes {
            break;
        }
        content.extend_from_slice(Id::of(format!("{number} {part}").as_bytes()).as_bytes());
    }
    content.truncate(bytes);
    content
}
