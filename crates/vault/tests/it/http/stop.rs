//! The end: what is under way is finished, what is idle is closed, and what takes too long is
//! broken off.

use std::time::Duration;

use hyper::StatusCode;
use strongroom_vault::http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::{Server, event, pattern, request, rest, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_under_way_is_finished_and_idle_connections_are_closed() {
    let (mut server, mut events) = Server::start(Limits::default()).await;
    let mut idle = server.raw().await;
    let bytes = pattern(1 << 20);
    let (first, second) = bytes.split_at(600_000);
    let mut upload = server.raw().await;
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(first).await.unwrap();
    event(&mut events, "took").await;
    server.begin_stop();
    assert_eq!(rest(&mut idle).await, "");
    upload.write_all(second).await.unwrap();
    let told = rest(&mut upload).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.trim_end().ends_with(" 1048576"), "{told}");
    let address = server.address;
    server.ended().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_under_way_comes_whole() {
    let (mut server, mut events) = Server::start(Limits::default()).await;
    let mut stream = server.raw().await;
    let get = b"GET /download/20000000 HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(get).await.unwrap();
    stream.readable().await.unwrap();
    server.begin_stop();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let body = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert!(all[body..] == pattern(20_000_000));
    event(&mut events, "reader dropped").await;
    server.ended().await;
}

#[tokio::test]
async fn a_request_by_http2_is_finished_too() {
    let (mut server, mut events) = Server::start(Limits::default()).await;
    let mut client = server.http2().await;
    let waiting = tokio::spawn(client.send_request(request("GET", "/wait", Vec::new())));
    event(&mut events, "waiting").await;
    server.begin_stop();
    tokio::task::yield_now().await;
    server.hands.gate.notify_waiters();
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "done\n");
    server.ended().await;
}

#[tokio::test]
async fn what_takes_too_long_is_broken_off() {
    let limits = Limits {
        stop_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let (mut server, mut events) = Server::start(limits).await;
    let mut client = server.http1().await;
    let waiting = tokio::spawn(client.send_request(request("GET", "/wait", Vec::new())));
    event(&mut events, "waiting").await;
    server.begin_stop();
    server.ended().await;
    assert!(waiting.await.unwrap().is_err());
}
