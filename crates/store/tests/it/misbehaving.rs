//! The REST client against a server that lies, breaks off, crawls or is overloaded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error, RestStore, Store};
use strongroom_testkit::contract::noise;

use crate::server::{Request, Server, Then, reply, reply_with};

const BYTES: &[u8] = b"0123456789";

fn pack() -> FileName {
    FileName::new(FileType::Data, Id::of(BYTES))
}

/// The first and last byte of a Range header.
fn asked_range(request: &Request) -> Option<(usize, usize)> {
    let (first, last) = request
        .header("range")?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    Some((first.parse().unwrap(), last.parse().unwrap()))
}

/// Answers a GET as a good server does.
fn reply_range(stream: &mut TcpStream, request: &Request, bytes: &[u8]) -> Then {
    let Some((first, last)) = asked_range(request) else {
        return reply(stream, request, "200 OK", bytes);
    };
    let last = last.min(bytes.len() - 1);
    let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", bytes.len());
    reply_with(
        stream,
        request,
        "206 Partial Content",
        &range,
        &bytes[first..=last],
    )
}

#[test]
fn every_request_carries_the_credentials_and_the_client_never_shows_them() {
    let server =
        Server::start(|_, request, stream| reply(stream, request, "401 Unauthorized", b""));
    let store = server.store();
    let error = store.read(pack()).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("user and password"));
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "a refused password is not tried again");
    // base64 of user:geheim
    assert_eq!(
        requests[0].header("authorization"),
        Some("Basic dXNlcjpnZWhlaW0=")
    );
    assert_eq!(requests[0].path, format!("/acme/repo/{}", pack()));
    for text in [
        format!("{error} {error:?}"),
        format!("{store:?}"),
        store.location().to_owned(),
    ] {
        assert!(
            !text.contains("geheim") && !text.contains("dXNlcj"),
            "{text}"
        );
    }
}

#[test]
fn an_overloaded_server_is_asked_again() {
    for status in ["500 x", "502 x", "503 x", "504 x", "408 x", "429 x"] {
        let server = Server::start(move |number, request, stream| match number {
            0 | 1 => reply_with(stream, request, status, "Retry-After: 0\r\n", b"later"),
            _ => reply_range(stream, request, BYTES),
        });
        assert_eq!(server.store().read(pack()).unwrap(), BYTES, "{status}");
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn tries_are_bounded_and_the_last_answer_is_told() {
    let server = Server::start(|_, request, stream| reply(stream, request, "503 x", b""));
    let error = server.store().size(pack()).unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("503")),
        "{error}"
    );
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn what_cannot_get_better_is_not_tried_again() {
    type Check = fn(&Error) -> bool;
    let cases: [(&str, Check); 9] = [
        ("401 x", |error| matches!(error, Error::Denied { .. })),
        ("403 x", |error| matches!(error, Error::Denied { .. })),
        ("404 x", |error| matches!(error, Error::NotFound { .. })),
        ("413 x", |error| matches!(error, Error::Full { .. })),
        ("507 x", |error| matches!(error, Error::Full { .. })),
        ("416 x", |error| matches!(error, Error::ShortFile { .. })),
        ("400 x", |error| matches!(error, Error::BadAnswer { .. })),
        ("501 x", |error| matches!(error, Error::BadAnswer { .. })),
        ("418 x", |error| matches!(error, Error::BadAnswer { .. })),
    ];
    for (status, check) in cases {
        let server = Server::start(move |_, request, stream| reply(stream, request, status, b""));
        let error = server.store().read_range(pack(), 0..4).unwrap_err();
        assert!(check(&error), "{status}: {error:?}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_carries_the_password_nowhere() {
    let trap = Server::start(|_, request, stream| reply(stream, request, "200 OK", BYTES));
    let address = trap.options().url.port().unwrap();
    let server = Server::start(move |_, request, stream| {
        let target = format!("Location: http://127.0.0.1:{address}/\r\n");
        reply_with(stream, request, "307 Temporary Redirect", &target, b"")
    });
    let error = server.store().read(pack()).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    assert_eq!(trap.connections(), 0);
}

#[test]
fn a_save_whose_answer_was_lost_is_found_to_have_succeeded() {
    let stored = Arc::new(Mutex::new(None));
    let server = Server::start({
        let stored = stored.clone();
        move |_, request, stream| match request.method.as_str() {
            "POST" => {
                *stored.lock() = Some(request.body.clone());
                Then::Close
            }
            _ => match &*stored.lock() {
                Some(bytes) => reply(stream, request, "200 OK", bytes),
                None => reply(stream, request, "404 Not Found", b""),
            },
        }
    });
    server.store().save(pack(), BYTES).unwrap();
    assert_eq!(stored.lock().as_deref(), Some(BYTES));
    assert_eq!(server.methods(), ["HEAD", "POST", "HEAD", "GET"]);
    let post = &server.requests()[1];
    assert_eq!(post.header("content-length"), Some("10"));
    assert_eq!(post.header("expect"), None);
}

#[test]
fn a_file_that_somebody_else_stored_meanwhile_is_compared() {
    for (other, same) in [(BYTES, true), (b"9876543210", false), (b"012", false)] {
        let posted = AtomicBool::new(false);
        let server = Server::start(move |_, request, stream| {
            match (request.method.as_str(), posted.load(Ordering::SeqCst)) {
                ("POST", _) => {
                    posted.store(true, Ordering::SeqCst);
                    reply(stream, request, "403 Forbidden", b"")
                }
                (_, true) => reply(stream, request, "200 OK", other),
                (_, false) => reply(stream, request, "404 Not Found", b""),
            }
        });
        match server.store().save(pack(), BYTES) {
            Ok(()) => assert!(same),
            Err(error) => assert!(matches!(error, Error::Exists { .. }) && !same, "{error:?}"),
        }
    }
}

#[test]
fn a_refused_save_is_told_as_refused() {
    let server = Server::start(|_, request, stream| match request.method.as_str() {
        "POST" => reply(stream, request, "403 Forbidden", b""),
        _ => reply(stream, request, "404 Not Found", b""),
    });
    let error = server.store().save(pack(), BYTES).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
}

#[test]
fn a_server_that_lets_nothing_be_replaced_or_removed_is_told_as_refusing() {
    let server = Server::start(|_, request, stream| match request.method.as_str() {
        "HEAD" | "GET" => reply(stream, request, "200 OK", b"9876543210"),
        _ => reply(stream, request, "403 Forbidden", b""),
    });
    let store = server.store();
    for result in [store.replace(pack(), BYTES), store.remove(pack())] {
        assert!(matches!(result, Err(Error::Denied { .. })), "{result:?}");
    }
}

#[test]
fn a_full_server_that_hangs_up_in_mid_upload_is_heard_on_the_second_try() {
    let bytes = noise(1, 8 << 20);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    let server = Server::start_deaf(|_, request, stream| match request.method.as_str() {
        "POST" => {
            reply(stream, request, "507 Insufficient Storage", b"");
            Then::Close
        }
        _ => reply(stream, request, "404 Not Found", b""),
    });
    let error = server.store().save(name, &bytes).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
}

#[test]
fn a_body_that_breaks_off_goes_on_where_it_was() {
    let bytes = noise(2, 1 << 20);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    let served = bytes.clone();
    let server = Server::start(move |number, request, stream| {
        if number >= 3 {
            return reply_range(stream, request, &served);
        }
        // The whole is announced, a quarter comes.
        let first = asked_range(request).map_or(0, |(first, _)| first);
        let last = served.len() - 1;
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Range: bytes {first}-{last}/{}\r\nContent-Length: {}\r\n\r\n",
            if number == 0 {
                "200 OK"
            } else {
                "206 Partial Content"
            },
            served.len(),
            served.len() - first,
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&served[first..first + served.len() / 4]);
        Then::Close
    });
    let store = server.store();
    assert!(store.read(name).unwrap() == bytes);
    let asked: Vec<_> = server.requests().iter().map(asked_range).collect();
    let quarter = bytes.len() / 4;
    let last = bytes.len() - 1;
    let rest = |count: usize| Some((count * quarter, last));
    assert_eq!(asked, [None, rest(1), rest(2), rest(3)]);
}

#[test]
fn a_body_that_breaks_off_each_time_ends_in_an_error_even_with_progress() {
    let server = Server::start(|_, request, stream| {
        let first = asked_range(request).map_or(0, |(first, _)| first);
        let head = format!(
            "HTTP/1.1 206 x\r\nContent-Range: bytes {first}-99/100\r\nContent-Length: {}\r\n\r\n?",
            100 - first
        );
        let _ = stream.write_all(head.as_bytes());
        Then::Close
    });
    let store = server.store();
    let error = store.read_range(pack(), 0..100).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 5);
    let error = std::io::read_to_string(store.open(pack(), Some(0..100)).unwrap()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_server_without_ranges_is_read_from_the_front() {
    let server = Server::start(|_, request, stream| reply(stream, request, "200 OK", BYTES));
    let store = server.store();
    assert_eq!(store.read_range(pack(), 3..7).unwrap(), b"3456");
    assert_eq!(store.read_range(pack(), 0..10).unwrap(), BYTES);
    let error = store.read_range(pack(), 3..11).unwrap_err();
    assert!(matches!(error, Error::ShortFile { .. }), "{error:?}");
}

#[test]
fn a_clipped_range_is_a_short_file_and_a_foreign_one_a_wrong_answer() {
    let server = Server::start(|_, request, stream| reply_range(stream, request, BYTES));
    let error = server.store().read_range(pack(), 3..11).unwrap_err();
    assert!(matches!(error, Error::ShortFile { .. }), "{error:?}");
    let server = Server::start(|_, request, stream| {
        let range = "Content-Range: bytes 0-3/10\r\n";
        reply_with(stream, request, "206 Partial Content", range, b"0123")
    });
    let error = server.store().read_range(pack(), 3..7).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
}

#[test]
fn an_endless_listing_is_cut_off() {
    let server = Server::start(|_, request, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let entry = format!(
            "{{\"name\":\"{}\",\"size\":1}},",
            Id::of(request.path.as_bytes())
        );
        let _ = stream.write_all(b"1\r\n[\r\n");
        while write!(stream, "{:x}\r\n{entry}\r\n", entry.len()).is_ok() {}
        Then::Close
    });
    let mut options = server.options();
    options.list_limit = |_| 1000;
    let error = RestStore::new(options)
        .unwrap()
        .list(FileType::Data)
        .unwrap_err();
    assert!(
        matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("more than 1000 files")),
        "{error}"
    );
}

#[test]
fn an_endless_file_is_cut_off_at_its_size() {
    let server = Server::start(|_, request, stream| {
        if request.method == "HEAD" {
            return reply(stream, request, "200 OK", BYTES);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"a\r\n0123456789\r\n").is_ok() {}
        Then::Close
    });
    assert_eq!(server.store().read(pack()).unwrap(), BYTES);
}

#[test]
fn a_listing_that_breaks_off_is_asked_for_again_and_never_taken_as_short() {
    let server = Server::start(|number, request, stream| {
        let entry = format!("{{\"name\":\"{}\",\"size\":10}}", Id::of(BYTES));
        if number == 0 {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n[{entry}");
            return Then::Close;
        }
        reply(stream, request, "200 OK", format!("[{entry}]").as_bytes())
    });
    assert_eq!(server.store().list(FileType::Data).unwrap().len(), 1);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/acme/repo/data/");
    assert_eq!(
        requests[0].header("accept"),
        Some("application/vnd.x.restic.rest.v2")
    );
}

#[test]
fn what_is_no_listing_is_a_wrong_answer() {
    let server = Server::start(|_, request, stream| reply(stream, request, "200 OK", b"<html>"));
    let error = server.store().list(FileType::Data).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    assert!(error.hint().is_some());
}

#[test]
fn the_first_version_of_the_protocol_is_asked_for_each_size() {
    let server = Server::start(|_, request, stream| match request.method.as_str() {
        "HEAD" => reply(stream, request, "200 OK", BYTES),
        _ => {
            let list = format!("[\"{}\",\"x.tmp\"]", Id::of(BYTES));
            reply(stream, request, "200 OK", list.as_bytes())
        }
    });
    let listed = server.store().list(FileType::Data).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id, listed[0].size_bytes), (Id::of(BYTES), 10));
}

/// A listing of the first version.
fn names(count: u32) -> String {
    let ids = (0..count).map(|number| format!("\"{}\"", Id::of(&number.to_le_bytes())));
    format!("[{}]", ids.collect::<Vec<_>>().join(","))
}

#[test]
fn a_listing_of_the_first_version_with_names_without_end_is_refused_before_the_first_size() {
    let server = Server::start(|_, request, stream| {
        reply(stream, request, "200 OK", names(100_000).as_bytes())
    });
    let error = server.store().list(FileType::Keys).unwrap_err();
    assert!(
        matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("version 2")),
        "{error}"
    );
    assert_eq!(server.methods(), ["GET"]);
}

#[test]
fn an_interruption_ends_a_listing_between_two_sizes() {
    let cancelled: Arc<AtomicBool> = Arc::default();
    let server = Server::start({
        let cancelled = cancelled.clone();
        move |number, request, stream| {
            cancelled.store(number == 3, Ordering::Relaxed);
            match request.method.as_str() {
                "HEAD" => reply(stream, request, "200 OK", BYTES),
                _ => reply(stream, request, "200 OK", names(1000).as_bytes()),
            }
        }
    });
    let mut options = server.options();
    options.cancelled = cancelled;
    let error = RestStore::new(options)
        .unwrap()
        .list(FileType::Keys)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    assert_eq!(server.methods(), ["GET", "HEAD", "HEAD", "HEAD"]);
}

#[test]
fn a_nested_listing_without_end_is_refused_at_its_second_bracket() {
    let sent_bytes = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let sent_bytes = sent_bytes.clone();
        move |_, _, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[[");
            while stream.write_all(&[b'0', b','].repeat(1 << 15)).is_ok() {
                sent_bytes.fetch_add(1 << 16, Ordering::Relaxed);
            }
            Then::Close
        }
    });
    let error = server.store().list(FileType::Data).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    assert!(server.requests().len() == 1, "it is not asked again");
    let sent_bytes = sent_bytes.load(Ordering::Relaxed);
    assert!(
        sent_bytes < 16 << 20,
        "no more than fits the sockets: {sent_bytes}"
    );
}

/// Sends one byte within each timeout, until the client hangs up.
fn drip(stream: &mut TcpStream) -> Then {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(5)));
    while stream.write_all(b" ").is_ok() {
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    Then::Close
}

#[test]
fn a_listing_or_a_header_that_drips_is_given_up() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n[", "HTTP/1.1 200 OK\r\nX-Slow: "] {
        let server = Server::start(move |_, _, stream| {
            let _ = stream.write_all(head.as_bytes());
            drip(stream)
        });
        let mut options = server.options();
        options.timeouts.answer = Duration::from_millis(50);
        options.retries.tries = 2;
        let store = RestStore::new(options).unwrap();
        let error = store.list(FileType::Data).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert_eq!(server.requests().len(), 2, "{head}");
    }
}

#[test]
fn an_interruption_ends_the_wait_for_a_body_that_drips() {
    let cancelled: Arc<AtomicBool> = Arc::default();
    let server = Server::start({
        let cancelled = cancelled.clone();
        move |_, _, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            cancelled.store(true, Ordering::Relaxed);
            drip(stream)
        }
    });
    let mut options = server.options();
    options.cancelled = cancelled;
    let error = RestStore::new(options).unwrap().read(pack()).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_interruption_ends_the_wait_for_a_server_that_never_answers() {
    let cancelled: Arc<AtomicBool> = Arc::default();
    let server = Server::start({
        let cancelled = cancelled.clone();
        move |_, _, stream| {
            cancelled.store(true, Ordering::Relaxed);
            let _ = stream.read(&mut [0]);
            Then::Close
        }
    });
    let mut options = server.options();
    options.cancelled = cancelled.clone();
    let store = RestStore::new(options).unwrap();
    let looks: [fn(&RestStore) -> Option<Error>; 3] = [
        |store| store.list(FileType::Data).err(),
        |store| store.size(pack()).err(),
        |store| store.read(pack()).err(),
    ];
    for look in looks {
        cancelled.store(false, Ordering::Relaxed);
        let error = look(&store);
        assert!(matches!(error, Some(Error::Cancelled { .. })), "{error:?}");
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let server = Server::start(|_, _, stream| {
        // Waits until the client hangs up.
        let _ = stream.read(&mut [0]);
        Then::Close
    });
    let mut options = server.options();
    options.timeouts.answer = Duration::from_millis(20);
    let error = RestStore::new(options).unwrap().size(pack()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_body_that_crawls_is_given_up() {
    let server = Server::start(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        drip(stream)
    });
    let mut options = server.options();
    options.timeouts.answer = Duration::from_millis(50);
    options.timeouts.least_bytes_per_second = 1 << 20;
    options.retries.tries = 2;
    let error = RestStore::new(options).unwrap().read(pack()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let server = Server::start(|_, _, _| Then::Close);
    let mut options = server.options();
    // Nothing listens on the port of a socket that was just closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    options
        .url
        .set_port(Some(closed.local_addr().unwrap().port()))
        .unwrap();
    drop(closed);
    let error = RestStore::new(options)
        .unwrap()
        .list(FileType::Data)
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(
        error
            .hint()
            .unwrap()
            .starts_with("See whether it answers at all: curl -I 'http://127")
    );
}

#[test]
fn one_connection_serves_many_requests_also_after_errors() {
    let server = Server::start(|_, request, stream| match request.method.as_str() {
        "GET" if request.path.ends_with("index/") => reply(stream, request, "200 OK", b"[]"),
        "GET" => reply_range(stream, request, BYTES),
        "POST" => reply(stream, request, "200 OK", b"stored"),
        "DELETE" => reply(stream, request, "403 Forbidden", b"append-only"),
        _ => reply(stream, request, "404 Not Found", b"nothing"),
    });
    let store = server.store();
    for _ in 0..5 {
        store.create().unwrap();
        store.save(pack(), BYTES).unwrap();
        assert_eq!(store.read(pack()).unwrap(), BYTES);
        assert_eq!(store.read_range(pack(), 2..5).unwrap(), b"234");
        assert_eq!(store.list(FileType::Index).unwrap(), []);
        assert!(store.size(pack()).is_err());
        assert!(store.remove(pack()).is_err());
    }
    assert_eq!(server.requests().len(), 40);
    assert_eq!(server.connections(), 1);
}

#[test]
fn after_an_interruption_own_files_can_still_be_removed() {
    let server = Server::start(|number, request, stream| match number {
        0 => reply(stream, request, "200 OK", b""),
        _ => reply(stream, request, "503 x", b""),
    });
    let options = server.options();
    options.cancelled.store(true, Ordering::Relaxed);
    let store = RestStore::new(options).unwrap();
    store.remove(pack()).unwrap();
    let error = store.remove(pack()).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 2, "what fails is not tried again");
}

#[test]
fn an_interruption_ends_the_tries() {
    let server = Server::start(|_, request, stream| {
        reply_with(stream, request, "503 x", "Retry-After: 3600\r\n", b"")
    });
    let mut options = server.options();
    options.retries.longest_pause = Duration::from_secs(3600);
    let cancelled = options.cancelled.clone();
    let store = RestStore::new(options).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.size(pack()));
        while server.requests().is_empty() {
            std::thread::yield_now();
        }
        cancelled.store(true, Ordering::Relaxed);
        assert!(matches!(
            waiting.join().unwrap(),
            Err(Error::Cancelled { .. })
        ));
    });
    assert_eq!(server.requests().len(), 1);
}
