//! Clients that ask for long lists and do not take them: nobody else notices.

use std::time::Duration;

use strongroom_model::{FileType, Id};
use strongroom_vault::rules::right::Right;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::Server;

/// More than the buffers of a connection on loopback hold: 26 MB.
const OBJECTS: u64 = 300_000;

/// As many of them as the database has connections to read by, and one more.
const SLOW: usize = 5;

/// More of them than there are lists at a time.
const MANY: usize = 80;

const SOON: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_lists_hold_nothing_that_others_need() {
    let server = Server::start().await;
    let who = server.scene.token(Right::Append);
    server.scene.init(&who);
    let pack = server.scene.put(&who, FileType::Data, b"a pack").unwrap();
    let filled = server.vault().database().write(&mut |transaction| {
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OBJECTS}) \
             INSERT INTO object (repository, kind, name, generation, bytes, state, token, put, \
             began, arrived_ms) \
             SELECT r.id, 2, randomblob(32), 1, 1, 0, 1, 0, 0, 0 FROM repository r, n"
        );
        transaction.execute(&fill, &[]).map(drop)
    });
    filled.unwrap();
    let token = server.token(Right::Append, "acme");
    let basic = data_encoding::BASE64.encode(format!("any:{token}").as_bytes());
    let mut slow = Vec::new();
    for number in 0..MANY {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET /acme/repos/data/ HTTP/1.1\r\nhost: x\r\nauthorization: Basic {basic}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        if number < SLOW {
            // It has begun; no more is taken.
            stream.read_exact(&mut [0; 12]).await.unwrap();
        }
        slow.push(stream);
    }
    let machine = server.as_appender();
    let path = format!("/acme/repos/{pack}");
    let get = machine.ask_freely("GET", &path, None);
    assert_eq!(timeout(SOON, get).await.unwrap().status, 200);
    let content = b"another pack".to_vec();
    let path = format!("/acme/repos/data/{}", Id::of(&content));
    let put = machine.ask_freely("POST", &path, Some(content));
    assert_eq!(timeout(SOON, put).await.unwrap().status, 200);
    // Nor are the others kept from their lists.
    let list = machine.ask_freely("GET", "/acme/repos/keys/", None);
    assert_eq!(timeout(SOON, list).await.unwrap().status, 200);
    // And who only asks whether there is a list makes nobody read it.
    let head = machine.ask_freely("HEAD", "/acme/repos/data/", None);
    let answer = timeout(SOON, head).await.unwrap();
    assert_eq!(answer.status, 200);
    let kind = answer.headers.get("content-type").unwrap();
    assert_eq!(kind, "application/vnd.x.restic.rest.v1");
    let head = machine.ask_freely("HEAD", "/acme/nothing/data/", None);
    assert_eq!(timeout(SOON, head).await.unwrap().status, 404);
}
