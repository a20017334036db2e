//! Floods: too many connections, requests, headers, resets. Whoever works goes on.

use std::time::Duration;

use hyper::StatusCode;
use strongroom_store::raise_file_limit;
use strongroom_vault::http::Limits;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::server::{PATIENCE, Server, event, request, rest, text, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_connections_lock_nobody_out() {
    raise_file_limit();
    let (server, _events) = Server::start(Limits::default()).await;
    let mut working = server.http1().await;
    let mut idle = Vec::new();
    for round in 0..20 {
        for _ in 0..100 {
            idle.push(server.raw().await);
        }
        working.ready().await.unwrap();
        let get = request("GET", "/hello", Vec::new());
        let response = working.send_request(get).await.unwrap();
        assert_eq!(text(response).await, "hello\n", "in round {round}");
        let mut fresh = server.http1().await;
        let get = request("GET", "/hello", Vec::new());
        assert_eq!(
            text(fresh.send_request(get).await.unwrap()).await,
            "hello\n"
        );
    }
    // The oldest had to go.
    assert_eq!(rest(&mut idle[0]).await, "");
    let open = server.metric("strongroom_vault_connections");
    assert!(open <= 256 + 20, "{open} are open");
    assert!(server.refusals("evicted") >= 1700);
}

#[tokio::test]
async fn a_connection_that_works_is_not_sacrificed_and_the_new_one_is_refused() {
    let limits = Limits {
        connections_per_address: 2,
        ..Limits::default()
    };
    let (server, mut events) = Server::start(limits).await;
    let mut first = server.http1().await;
    let mut second = server.http1().await;
    let one = tokio::spawn(first.send_request(request("GET", "/wait", Vec::new())));
    let two = tokio::spawn(second.send_request(request("GET", "/wait", Vec::new())));
    event(&mut events, "waiting").await;
    event(&mut events, "waiting").await;
    assert_eq!(
        server.talk(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await,
        ""
    );
    assert_eq!(server.refusals("connections_per_address"), 1);
    server.hands.gate.notify_waiters();
    for waiting in [one, two] {
        let response = timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
        assert_eq!(text(response).await, "done\n");
    }
}

#[tokio::test]
async fn too_many_requests_under_way_are_refused_with_the_time_to_come_back() {
    let limits = Limits {
        requests: 2,
        ..Limits::default()
    };
    let (server, mut events) = Server::start(limits).await;
    let mut client = server.http2().await;
    let waiting: Vec<_> = (0..2)
        .map(|_| tokio::spawn(client.send_request(request("GET", "/wait", Vec::new()))))
        .collect();
    event(&mut events, "waiting").await;
    event(&mut events, "waiting").await;
    let refused = client
        .send_request(request("GET", "/hello", Vec::new()))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    server.hands.gate.notify_waiters();
    for answer in waiting {
        assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    let response = client
        .send_request(request("GET", "/hello", Vec::new()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_sends_no_body_holds_no_place_whether_he_is_known_or_not() {
    let limits = Limits {
        requests: 4,
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    for (line, end) in [
        ("GET /open", "for everybody\n"),
        ("GET /nothing", "for everybody\n"),
        ("POST /refuse", "no\n"),
        ("GET /hello", "hello\n"),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
        let mut unfinished = Vec::new();
        for _ in 0..4 {
            let mut stream = server.raw().await;
            stream.write_all(head.as_bytes()).await.unwrap();
            until(&mut stream, end).await;
            unfinished.push(stream);
        }
        let hello = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let told = server.talk(hello).await;
        assert!(told.starts_with("HTTP/1.1 200"), "after {line}: {told}");
    }
}

#[tokio::test]
async fn who_is_refused_many_times_at_once_leaves_others_to_hear_why() {
    let (server, _events) = Server::start(Limits::default()).await;
    let head = b"POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    let mut unfinished = Vec::new();
    for (last, count, heard) in [(2, 20, 16), (3, 1, 1)] {
        let mut kept = 0;
        for _ in 0..count {
            let mut stream = server.raw_from(last).await;
            stream.write_all(head).await.unwrap();
            let told = until(&mut stream, "no\n").await;
            kept += usize::from(!told.contains("connection: close"));
            unfinished.push(stream);
        }
        assert_eq!(kept, heard, "of {count} from 127.0.0.{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_that_do_not_take_their_answers_hold_no_place() {
    let limits = Limits {
        requests: 4,
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    let mut clients = Vec::new();
    let mut untaken = Vec::new();
    for _ in 0..3 {
        let mut client = server.http2_that_takes_nothing().await;
        for number in 0..20 {
            let get = request("GET", "/open", Vec::new());
            let response = client.send_request(get).await.unwrap();
            let status = match number < 16 {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            assert_eq!(response.status(), status, "{number}");
            untaken.push(response);
        }
        clients.push(client);
    }
    let hello = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let told = server.talk(hello).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
}

#[tokio::test]
async fn idle_strangers_that_asked_for_a_page_go_before_a_handshake() {
    let limits = Limits {
        connections_per_address: 4,
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    let mut strangers = Vec::new();
    for path in ["/open", "/nothing", "/open"] {
        let mut stream = server.raw().await;
        let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        until(&mut stream, "for everybody\n").await;
        strangers.push(stream);
    }
    // A newcomer that has said nothing yet, and two strangers more.
    let mut newcomer = server.raw().await;
    let others = [server.raw().await, server.raw().await];
    for stranger in &mut strangers[..2] {
        assert_eq!(rest(stranger).await, "");
    }
    let hello = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    newcomer.write_all(hello).await.unwrap();
    let told = rest(&mut newcomer).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    drop(others);
}

#[tokio::test]
async fn one_token_from_many_addresses_leaves_room_for_others() {
    let limits = Limits {
        requests: 16,
        requests_per_token: 6,
        requests_reserved: 4,
        ..Limits::default()
    };
    let (server, mut events) = Server::start(limits).await;
    let begin = |token: &str| {
        format!("POST /token/{token} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
    };
    let whole = |token: &str| {
        format!(
            "POST /token/{token} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\
             connection: close\r\n\r\nhello"
        )
    };
    let mut held = Vec::new();
    for token in ["a", "b"] {
        for last in 1..=6 {
            let mut stream = server.raw_from(last).await;
            stream.write_all(begin(token).as_bytes()).await.unwrap();
            event(&mut events, &format!("begun {token}")).await;
            held.push(stream);
        }
        let mut stream = server.raw_from(7).await;
        stream.write_all(begin(token).as_bytes()).await.unwrap();
        let told = rest(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 429"), "{told}");
        assert!(told.contains("retry-after: 1\r\n"), "{told}");
        assert!(told.contains("connection: close"), "{told}");
    }
    // Only those places are left that are kept for tokens with few requests under way.
    for token in ["c", "d", "c"] {
        let told = server.talk(whole(token).as_bytes()).await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    }
    assert_eq!(server.refusals("requests_per_token"), 2);
    // A place is free again when its client has gone.
    held.truncate(5);
    let again = async {
        while !server
            .talk(whole("a").as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn a_token_that_moves_too_many_bytes_is_asked_to_wait() {
    let limits = Limits {
        bytes_per_second_per_token: 1 << 20,
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    let body = vec![7; 8 << 20];
    let mut client = server.http1().await;
    let response = client
        .send_request(request("POST", "/token/a", body))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    text(response).await;
    for (token, status) in [("a", "429"), ("b", "200")] {
        let told = server
            .talk(
                format!("POST /token/{token} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
    }
    assert_eq!(server.refusals("bytes_per_second_per_token"), 1);
}

#[tokio::test]
async fn an_address_that_moves_too_many_bytes_is_asked_to_wait_whatever_its_token() {
    let limits = Limits {
        bytes_per_second_per_address: 1 << 20,
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    let mut client = server.http1().await;
    let body = vec![7; 8 << 20];
    let response = client
        .send_request(request("POST", "/token/a", body))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    text(response).await;
    drop(client);
    let another = b"POST /token/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // It is counted when the answer has ended, which may be a moment after that was heard.
    let refused = async {
        loop {
            let told = server.talk(another).await;
            if told.starts_with("HTTP/1.1 429") {
                break told;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = timeout(PATIENCE, refused).await.unwrap();
    assert!(
        told.to_ascii_lowercase().contains("retry-after: "),
        "{told}"
    );
    assert_eq!(server.refusals("bytes_per_second_per_address"), 1);
}

#[tokio::test]
async fn too_many_requests_a_second_are_refused_and_hung_up_on() {
    let limits = Limits {
        requests_per_second: 1,
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    let hello = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(server.talk(hello).await.starts_with("HTTP/1.1 200"));
    assert!(server.talk(hello).await.starts_with("HTTP/1.1 200"));
    let mut refused = String::new();
    for _ in 0..10 {
        refused = server.talk(hello).await;
        if refused.starts_with("HTTP/1.1 429") {
            break;
        }
    }
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("connection: close"), "{refused}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_an_endless_one_cut_off() {
    let (server, _events) = Server::start(Limits::default()).await;
    let large = format!(
        "GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let told = server.talk(large.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 431"), "{told}");
    let many = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "a: b\r\n".repeat(200)
    );
    let told = server.talk(many.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 431"), "{told}");
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "x".repeat(1 << 20));
    let told = server.talk(endless.as_bytes()).await;
    assert!(!told.contains("200"), "{told}");
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20));
    let told = server.talk(path.as_bytes()).await;
    assert!(!told.contains("200"), "{told}");
    let mut http2 = server.http2().await;
    let mut get = request("GET", "/", Vec::new());
    let value = "x".repeat(20_000).parse().unwrap();
    get.headers_mut().insert("a", value);
    let refused = http2.send_request(get).await;
    assert!(!refused.is_ok_and(|response| response.status() == StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_resets_ends_its_connection_and_no_other() {
    let (server, mut events) = Server::start(Limits::default()).await;
    let mut kind = server.http2().await;
    let mut unkind = server.http2().await;
    let mut sent = 0;
    while !unkind.is_closed() {
        let waiting = tokio::spawn(unkind.send_request(request("GET", "/wait", Vec::new())));
        let begun = tokio::time::timeout(Duration::from_secs(3), event(&mut events, "waiting"));
        let is_over = begun.await.is_err();
        waiting.abort();
        sent += 1;
        assert!(sent < 1000, "the connection must end");
        if is_over {
            break;
        }
        let get = request("GET", "/hello", Vec::new());
        let response = kind.send_request(get).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert!(sent > 90, "{sent} were too few");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_when_many_send_and_the_server_does_not_read() {
    raise_file_limit();
    let limits = Limits {
        requests: 100,
        requests_per_address: 100,
        ..Limits::default()
    };
    let (server, mut events) = Server::start(limits).await;
    let piece = vec![0_u8; 1 << 20];
    let before = memory_bytes();
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = server.raw().await;
        let head = b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        event(&mut events, "waiting").await;
        // As much as the sockets take.
        while stream.try_write(&piece).is_ok() {}
        streams.push(stream);
    }
    let grown = memory_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "{} MiB for 100 uploads", grown >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_stops_nothing() {
    let limits = Limits {
        header_time: Duration::from_millis(100),
        stall_time: Duration::from_millis(100),
        idle_time: Duration::from_millis(100),
        ..Limits::default()
    };
    let (server, _events) = Server::start(limits).await;
    let sound: [&[u8]; 3] = [
        b"POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /download/300000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x01\x05\x00\x00\x00\x01\x82\x87\x84\x41\x00",
    ];
    // A generator of the simplest kind: the same nonsense in every run.
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for round in 0..30 {
        let mut talks = Vec::new();
        for sound in sound {
            let mut bytes = sound.to_vec();
            for _ in 0..=random(4) {
                let place = random(bytes.len());
                match random(3) {
                    0 => bytes[place] = random(256) as u8,
                    1 => bytes.truncate(place + 1),
                    _ => bytes.insert(place, random(256) as u8),
                }
            }
            talks.push(bytes);
        }
        let (one, two, three) = tokio::join!(
            server.talk(&talks[0]),
            server.talk(&talks[1]),
            server.talk(&talks[2])
        );
        drop((one, two, three));
        let hello = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let told = server.talk(hello).await;
        assert!(
            told.ends_with("hello\n"),
            "after {talks:?} in round {round}"
        );
    }
    assert_eq!(server.metric("strongroom_vault_requests_under_way"), 0);
}

/// The memory that this process has, of which other tests in it have a share.
fn memory_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
