//! The REST client against a server that never ends: its listings, its bodies, its silence.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use strongroom_model::{FileType, Id};
use strongroom_store::{Error, RestStore, Store};

use crate::misbehaving::{BYTES, pack};
use crate::server::{Server, Then, reply};

/// A listing of the first version.
fn names(count: u32) -> String {
    let ids = (0..count).map(|number| format!("\"{}\"", Id::of(&number.to_le_bytes())));
    format!("[{}]", ids.collect::<Vec<_>>().join(","))
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
fn of_a_listing_beyond_the_limit_the_first_ones_are_given_to_who_removes_them_all() {
    let server = Server::start(|_, request, stream| {
        reply(stream, request, "200 OK", names(2000).as_bytes())
    });
    let mut options = server.options();
    options.list_limit = |_| 1000;
    let store = RestStore::new(options).unwrap();
    let first = store.first_ids(FileType::Locks).unwrap();
    let expected: Vec<Id> = (0..1000_u32).map(|n| Id::of(&n.to_le_bytes())).collect();
    assert_eq!(first, expected);
    assert_eq!(server.methods(), ["GET"], "no size is asked for");
    assert!(store.list(FileType::Locks).is_err());
}

#[test]
fn a_server_tells_what_time_it_is_with_every_answer() {
    let server = Server::start(|_, _, stream| {
        let date = "Date: Tue, 15 Nov 1994 08:12:31 GMT";
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\n{date}\r\nContent-Length: 2\r\n\r\n[]"
        );
        Then::Close
    });
    let store = server.store();
    assert_eq!(store.time(), None, "it was not asked yet");
    store.list(FileType::Data).unwrap();
    let told = SystemTime::UNIX_EPOCH + Duration::from_secs(784_887_151);
    let since = store.time().unwrap().duration_since(told).unwrap();
    assert!(since < Duration::from_secs(60), "{since:?}");
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
