//! Bodies in both directions come whole, in few turns, and no larger than allowed.

use data_encoding::HEXLOWER;
use hyper::StatusCode;
use sha2::{Digest, Sha256};
use strongroom_vault::http::Limits;
use strongroom_vault::http::body::BATCH_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{MOST_BYTES, PATIENCE, Server, event, pattern, request, rest, text};

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_comes_whole_and_a_short_one_in_one_turn() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut http1 = server.http1().await;
    let mut http2 = server.http2().await;
    for length in [
        0,
        1,
        4096,
        BATCH_BYTES - 1,
        BATCH_BYTES,
        BATCH_BYTES + 1,
        5 << 20,
    ] {
        let bytes = pattern(length);
        let expected = hash(&bytes);
        for version in 1..=2 {
            let post = request("POST", "/upload", bytes.clone());
            let response = match version {
                1 => {
                    http1.ready().await.unwrap();
                    http1.send_request(post).await.unwrap()
                }
                _ => http2.send_request(post).await.unwrap(),
            };
            assert_eq!(response.status(), StatusCode::OK);
            let told = text(response).await;
            let told: Vec<&str> = told.split_whitespace().collect();
            assert_eq!(told[0], expected, "{length} bytes by HTTP/{version}");
            assert_eq!(told[2], length.to_string());
            let turns: usize = told[1].parse().unwrap();
            assert!(
                turns <= 1 + length / BATCH_BYTES,
                "{turns} turns for {length}"
            );
        }
    }
}

#[tokio::test]
async fn an_upload_in_the_smallest_chunks_comes_whole() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut stream = server.raw().await;
    let head = "POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let bytes = pattern(3000);
    for byte in &bytes {
        stream
            .write_all(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n'])
            .await
            .unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let told = rest(&mut stream).await;
    assert!(told.contains(&format!("{} 1 3000", hash(&bytes))), "{told}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_and_is_no_success() {
    let (server, mut events) = Server::start(Limits::default()).await;
    let mut stream = server.raw().await;
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        1 << 20
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&pattern(BATCH_BYTES * 2)).await.unwrap();
    event(&mut events, "took").await;
    drop(stream);
    event(&mut events, "intake dropped").await;
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_before_it_is_read_where_it_says_so() {
    let (server, mut events) = Server::start(Limits::default()).await;
    let mut stream = server.raw().await;
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        MOST_BYTES + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 12];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 413");
    assert_eq!(event(&mut events, "").await, "intake dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_unknown_length_is_refused_when_it_becomes_too_large() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut stream = server.raw().await;
    let head = "POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..=(MOST_BYTES >> 20) {
        let piece = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
        // The server may hang up before it has everything.
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    drop(stream);
    let counted = tokio::time::timeout(PATIENCE, async {
        let line = "strongroom_vault_requests_total{route=\"test\",method=\"POST\",status=\"413\"}";
        while server.metric(line) == 0 {
            tokio::task::yield_now().await;
        }
    });
    counted.await.expect("it must be refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_client_hears_why_its_upload_is_refused_and_goes_on() {
    let (server, _events) = Server::start(Limits::default()).await;
    let bytes = pattern(8 << 20);
    let sized = format!("content-length: {}\r\n\r\n", bytes.len());
    let chunked = "transfer-encoding: chunked\r\n\r\n800000\r\n".to_owned();
    // A client that listens only when it has sent everything, as most do.
    let mut stream = server.raw().await;
    for _ in 0..20 {
        for (head, end) in [(&sized, ""), (&chunked, "\r\n0\r\n\r\n")] {
            let head = format!("POST /refuse HTTP/1.1\r\nhost: x\r\n{head}");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.write_all(end.as_bytes()).await.unwrap();
            let mut told = String::new();
            while !told.ends_with("no\n") {
                let mut piece = [0; 1000];
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read > 0, "{told}");
                told.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            assert!(told.starts_with("HTTP/1.1 403"), "{told}");
        }
    }
    assert_eq!(
        server.metric("strongroom_vault_connections_accepted_total"),
        1
    );
}

#[tokio::test]
async fn an_unknown_client_is_refused_before_its_upload_is_read_and_hung_up_on() {
    let (server, _events) = Server::start(Limits::default()).await;
    let told = server
        .talk(b"POST /unknown HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    assert!(told.contains("connection: close"), "{told}");
}

#[tokio::test]
async fn a_stranger_with_a_body_is_hung_up_on_whatever_the_answer_is() {
    let (server, _events) = Server::start(Limits::default()).await;
    for (path, status) in [("/open", 200), ("/nothing", 404)] {
        for method in ["GET", "POST"] {
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
            let told = server.talk(head.as_bytes()).await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
            assert!(told.contains("connection: close"), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_comes_whole_with_its_length() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut http1 = server.http1().await;
    let mut http2 = server.http2().await;
    for length in [0, 1, BATCH_BYTES, BATCH_BYTES + 1, 5 << 20] {
        for version in 1..=2 {
            let get = request("GET", &format!("/download/{length}"), Vec::new());
            let response = match version {
                1 => {
                    http1.ready().await.unwrap();
                    http1.send_request(get).await.unwrap()
                }
                _ => http2.send_request(get).await.unwrap(),
            };
            assert_eq!(response.headers()["content-length"], length.to_string());
            let body = http_body_util::BodyExt::collect(response.into_body()).await;
            assert!(
                body.unwrap().to_bytes() == pattern(length),
                "{length} bytes"
            );
        }
    }
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut http1 = server.http1().await;
    let mut http2 = server.http2().await;
    for path in ["/download/1000000", "/hello"] {
        let one = http1
            .send_request(request("HEAD", path, Vec::new()))
            .await
            .unwrap();
        let two = http2
            .send_request(request("HEAD", path, Vec::new()))
            .await
            .unwrap();
        for response in [one, two] {
            let length = if path == "/hello" { "6" } else { "1000000" };
            assert_eq!(response.headers()["content-length"], length);
            assert_eq!(text(response).await, "");
        }
        http1.ready().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_comes_whole_and_a_short_one_with_its_length() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut client = server.http1().await;
    let get = request("GET", "/list/100", Vec::new());
    let response = client.send_request(get).await.unwrap();
    assert_eq!(response.headers()["content-length"], "6400");
    assert_eq!(text(response).await.lines().count(), 100);
    client.ready().await.unwrap();
    let get = request("GET", "/list/100000", Vec::new());
    let response = client.send_request(get).await.unwrap();
    let listed = text(response).await;
    assert!(
        listed
            .lines()
            .enumerate()
            .all(|(n, line)| line == format!("{n:063}"))
    );
    assert_eq!(listed.lines().count(), 100_000);
}

#[tokio::test]
async fn who_asks_before_he_sends_is_answered_before_he_sends() {
    let (server, _events) = Server::start(Limits::default()).await;
    let head = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\
             expect: 100-continue\r\nconnection: close\r\n\r\n"
        )
    };
    let told = server.talk(head("/refuse").as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 403"), "{told}");
    let mut stream = server.raw().await;
    stream.write_all(head("/upload").as_bytes()).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}
