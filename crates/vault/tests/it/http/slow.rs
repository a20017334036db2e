//! Clients that are slow on purpose: each ends, and none holds what others need.

use std::time::Duration;

use hyper::StatusCode;
use strongroom_vault::http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::server::{PATIENCE, Server, event, pattern, request, rest};

fn hasty() -> Limits {
    Limits {
        header_time: Duration::from_millis(200),
        stall_time: Duration::from_millis(200),
        idle_time: Duration::from_millis(400),
        handshake_time: Duration::from_millis(200),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_ends_the_connection() {
    let (server, _events) = Server::start(hasty()).await;
    for begun in [
        "G",
        "GET / HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ] {
        assert_eq!(server.talk(begun.as_bytes()).await, "", "{begun:?}");
    }
    assert_eq!(server.refusals("header_time"), 3);
}

#[tokio::test]
async fn a_second_head_has_the_same_time_as_the_first() {
    let (server, _events) = Server::start(hasty()).await;
    let whole = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = server.raw().await;
    stream.write_all(whole.as_bytes()).await.unwrap();
    let mut heard = [0; 12];
    stream.read_exact(&mut heard).await.unwrap();
    stream.write_all(b"GET /hel").await.unwrap();
    rest(&mut stream).await;
    assert_eq!(server.refusals("header_time"), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let (server, _events) = Server::start(hasty()).await;
    assert_eq!(server.talk(b"").await, "");
    assert_eq!(server.refusals("idle_time"), 1);
    let told = server.talk(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(told.ends_with("hello\n"), "{told}");
    assert_eq!(server.refusals("idle_time"), 2);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_ended_and_leaves_nothing() {
    let (server, mut events) = Server::start(hasty()).await;
    let told = server
        .talk(b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nten bytes.")
        .await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    event(&mut events, "intake dropped").await;
}

#[tokio::test]
async fn an_upload_that_trickles_is_ended() {
    let limits = Limits {
        stall_time: Duration::from_secs(1),
        least_bytes_per_second: 1 << 30,
        ..hasty()
    };
    let (server, _events) = Server::start(limits).await;
    let mut stream = server.raw().await;
    let (mut read, mut write) = stream.split();
    let trickle = async {
        write
            .write_all(b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n")
            .await
            .unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if write.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut heard = [0; 12];
    tokio::select! {
        () = trickle => unreachable!(),
        read = timeout(PATIENCE, read.read_exact(&mut heard)) => { read.unwrap().unwrap(); }
    }
    assert_eq!(&heard, b"HTTP/1.1 408");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_uploads_hold_no_thread() {
    let (server, mut events) = Server::start_with(Limits::default(), None, 1).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = server.raw().await;
        let head = b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        stream.write_all(&pattern(300_000)).await.unwrap();
        event(&mut events, "took").await;
        slow.push(stream);
    }
    let mut client = server.http1().await;
    let post = request("POST", "/upload", pattern(1 << 20));
    let answer = timeout(PATIENCE, client.send_request(post)).await;
    assert_eq!(answer.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let (server, mut events) = Server::start(hasty()).await;
    let get = b"GET /download/10000000000 HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut one = server.raw().await;
    one.write_all(get).await.unwrap();
    event(&mut events, "reader dropped").await;
    assert_eq!(server.refusals("stall_time"), 1);

    let mut two = server.http2().await;
    let get = request("GET", "/download/10000000000", Vec::new());
    let untaken = two.send_request(get).await.unwrap();
    event(&mut events, "reader dropped").await;
    assert_eq!(server.refusals("stall_time"), 2);
    drop(untaken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_is_not_taken_ends_and_frees_its_thread() {
    let (server, mut events) = Server::start(hasty()).await;
    let mut stream = server.raw().await;
    stream
        .write_all(b"GET /list/100000000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let told = event(&mut events, "listed").await;
    let is_given_up = told.contains("TimedOut") || told.contains("BrokenPipe");
    assert!(is_given_up, "{told}");
}
