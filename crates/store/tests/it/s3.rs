//! Bodies in a bucket: the contract on a real Ceph, and servers that answer as none should.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use strongroom_model::{FileType, Secret};
use strongroom_store::{Bodies, BodyKey, Error, S3Bodies, S3Credentials, S3Options};
use strongroom_testkit::bodies::{get, key, put};
use strongroom_testkit::contract::noise;
use strongroom_testkit::{Ceph, CephAccount, bodies_contract};

use crate::server::{Request, Server, Then, reply, reply_with};

/// Above what is kept in memory.
const LARGE_BYTES: usize = (8 << 20) + 1;

fn pack() -> BodyKey {
    key("acme/repos", FileType::Data, b"bytes")
}

/// Options with patience for milliseconds, where nothing is slow but on purpose.
pub(crate) fn options(endpoint: &str, bucket: &str, account: &CephAccount) -> S3Options {
    let mut options = S3Options {
        endpoint: Some(endpoint.parse().unwrap()),
        path_style: true,
        credentials: Some(S3Credentials {
            access_key: account.access_key.clone(),
            secret_key: Secret::new(account.secret_key.as_str()),
        }),
        ..S3Options::new(bucket)
    };
    options.retries.first_pause = Duration::from_millis(1);
    options.retries.longest_pause = Duration::from_millis(2);
    options
}

/// The bucket of a server that asks nobody who he is.
pub(crate) const BUCKET: &str = "bucket";

/// Options for that bucket.
pub(crate) fn options_of_nobody(endpoint: &str) -> S3Options {
    let account = CephAccount {
        access_key: "name".to_owned(),
        secret_key: "geheim".to_owned(),
    };
    options(endpoint, BUCKET, &account)
}

mod ceph {
    use super::*;

    /// One cluster for all: it takes seconds to start.
    #[test]
    fn a_real_server_keeps_the_contract_and_tells_what_is_wrong() {
        let ceph = Ceph::start();
        let owner = ceph.new_account("owner");
        let at = |bucket: &str, account| options(ceph.endpoint(), bucket, account);

        let bodies = S3Bodies::new(S3Options {
            prefix: "vaults/one".to_owned(),
            ..at("bucket", &owner)
        })
        .unwrap();
        before_there_is_a_bucket(&bodies);
        bodies.create().unwrap();
        bodies.create().unwrap();
        bodies.probe().unwrap();
        let year_2100 = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800);
        assert_eq!(bodies.sweep(year_2100).unwrap(), 0, "it leaves nothing");
        bodies_contract(&bodies);
        a_large_body_is_never_in_memory(&bodies);

        let whole = S3Bodies::new(at("bucket", &owner)).unwrap();
        prefixes_share_a_bucket(&bodies, &whole);

        let stranger = ceph.new_account("stranger");
        others_are_refused(&S3Bodies::new(at("bucket", &stranger)).unwrap());
        let mut liar = owner.clone();
        liar.secret_key = "geheim".to_owned();
        others_are_refused(&S3Bodies::new(at("bucket", &liar)).unwrap());

        let poor = S3Bodies::new(at("poor", &stranger)).unwrap();
        poor.create().unwrap();
        ceph.set_quota("stranger", 4096);
        a_full_quota_is_told_as_full(&poor);

        drop(ceph);
        a_server_that_is_gone_is_unreachable(&bodies);
    }

    fn before_there_is_a_bucket(bodies: &S3Bodies) {
        let staged = bodies.stage(&pack()).unwrap();
        for error in [
            staged.publish().unwrap_err(),
            bodies.open(&pack(), None).err().unwrap(),
            bodies.open(&pack(), Some(0..1)).err().unwrap(),
            bodies.open(&pack(), Some(0..0)).err().unwrap(),
            bodies.size_bytes(&pack()).unwrap_err(),
            bodies.remove(&pack()).unwrap_err(),
            bodies.sweep(SystemTime::UNIX_EPOCH).unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("NoSuchBucket")),
                "{error:?}"
            );
            assert!(error.hint().unwrap().contains("bucket"));
        }
    }

    fn a_large_body_is_never_in_memory(bodies: &S3Bodies) {
        let megabyte = noise(1, 1 << 20);
        let before = most_memory_bytes();
        let body = key("large", FileType::Data, b"name");
        let mut staged = bodies.stage(&body).unwrap();
        for _ in 0..100 {
            staged.write(&megabyte).unwrap();
        }
        staged.publish().unwrap();
        let (size, mut stream) = bodies.open(&body, None).unwrap();
        assert_eq!(size, 100 << 20);
        let mut read = vec![0; 1 << 20];
        for _ in 0..100 {
            stream.read_exact(&mut read).unwrap();
            assert!(read == megabyte);
        }
        assert_eq!(stream.read(&mut read).unwrap(), 0);
        let grown = most_memory_bytes().saturating_sub(before);
        assert!(grown < 60 << 20, "{grown} bytes more");
    }

    /// The most memory that this process ever had.
    fn most_memory_bytes() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() << 10
    }

    fn prefixes_share_a_bucket(within: &S3Bodies, whole: &S3Bodies) {
        put(within, &pack(), b"within");
        assert!(matches!(
            whole.open(&pack(), None).err(),
            Some(Error::NotFound { .. })
        ));
        let mut staged = within.stage(&pack()).unwrap();
        staged.write(&vec![0; LARGE_BYTES]).unwrap();
        let in_a_century = SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000);
        assert_eq!(whole.sweep(in_a_century).unwrap(), 0, "it is not theirs");
        staged.publish().unwrap();
        assert_eq!(
            get(within, &pack(), Some(0..1)).unwrap().0,
            LARGE_BYTES as u64
        );
    }

    fn others_are_refused(bodies: &S3Bodies) {
        let staged = bodies.stage(&pack()).unwrap();
        for error in [
            staged.publish().unwrap_err(),
            bodies.open(&pack(), None).err().unwrap(),
            bodies.remove(&pack()).unwrap_err(),
            bodies.create().unwrap_err(),
            bodies.probe().unwrap_err(),
        ] {
            assert!(matches!(error, Error::Denied { .. }), "{error:?}");
            assert!(error.hint().unwrap().contains("credentials"));
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("geheim"), "{shown}");
        }
    }

    fn a_full_quota_is_told_as_full(bodies: &S3Bodies) {
        for length in [1 << 20, LARGE_BYTES] {
            let mut staged = bodies.stage(&pack()).unwrap();
            let error = staged
                .write(&vec![0; length])
                .and_then(|()| staged.publish())
                .unwrap_err();
            assert!(matches!(error, Error::Full { .. }), "{error:?}");
        }
    }

    fn a_server_that_is_gone_is_unreachable(bodies: &S3Bodies) {
        let error = bodies.open(&pack(), None).err().unwrap();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.hint().unwrap().starts_with("See whether it answers"));
    }
}

fn served(server: &Server) -> S3Bodies {
    at(&server.endpoint())
}

fn at(endpoint: &str) -> S3Bodies {
    S3Bodies::new(options_of_nobody(endpoint)).unwrap()
}

fn answering(status: &'static str, headers: &'static str, body: &'static str) -> Server {
    Server::start(move |_, request, stream| {
        reply_with(stream, request, status, headers, body.as_bytes())
    })
}

#[test]
fn what_may_pass_is_tried_again_and_not_for_ever() {
    let server = answering("503 Slow Down", "", "<Error><Code>SlowDown</Code></Error>");
    let bodies = served(&server);
    let error = bodies.open(&pack(), None).err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("503 SlowDown"), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_fault_that_passes_is_not_seen() {
    let server = Server::start(|number, request, stream| match number {
        0 => Then::Close,
        1 => reply(stream, request, "500 Oops", b""),
        _ => reply(stream, request, "200 OK", b"bytes"),
    });
    assert_eq!(get(&served(&server), &pack(), None).unwrap().1, b"bytes");
}

#[test]
fn what_may_pass_is_tried_again_over_another_connection() {
    let server = answering("503 Service Unavailable", "", "");
    let error = served(&server).open(&pack(), None).err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!((server.requests().len(), server.connections()), (4, 4));
}

#[test]
fn what_speaks_no_http_is_asked_once() {
    use std::io::Write;
    let server = Server::start(|_, _, stream| {
        let _ = stream.write_all(b"220 mail.example.net ESMTP\r\n");
        Then::Close
    });
    let error = served(&server).open(&pack(), None).err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_refusal_is_not_tried_again() {
    let server = answering(
        "403 Forbidden",
        "",
        "<Error><Code>AccessDenied</Code><Message>evil\nline</Message></Error>",
    );
    let error = served(&server).remove(&pack()).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert!(!error.to_string().contains("evil"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn only_a_missing_key_is_not_found() {
    let code = "<Error><Code>NoSuchKey</Code></Error>";
    let server = answering("404 Not Found", "", code);
    let error = served(&server).open(&pack(), None).err().unwrap();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    for other in ["", "<Error><Code>NoSuchBucket</Code></Error>", "<html>"] {
        let server = answering("404 Not Found", "", other);
        let error = served(&server).open(&pack(), None).err().unwrap();
        assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    }
}

#[test]
fn other_bytes_than_were_asked_for_are_refused() {
    for (status, headers) in [
        ("200 OK", ""),
        ("206 Partial Content", ""),
        ("206 Partial Content", "Content-Range: bytes 0-4/9\r\n"),
        ("206 Partial Content", "Content-Range: bytes 2-5/9\r\n"),
        ("206 Partial Content", "Content-Range: bytes 2-7/9\r\n"),
        ("206 Partial Content", "Content-Range: nonsense\r\n"),
    ] {
        let server = answering(status, headers, "bytes");
        let error = served(&server).open(&pack(), Some(2..7)).err().unwrap();
        assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    }
}

/// Promises all of `body`, and breaks off after some of it.
fn break_off(stream: &mut TcpStream, headers: &str, body: &[u8], after: usize) -> Then {
    use std::io::Write;
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nETag: \"tag\"\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..after]).unwrap();
    Then::Close
}

#[test]
fn a_stream_that_breaks_goes_on_where_it_broke() {
    let server = Server::start(|number, request, stream| match number {
        0 => break_off(stream, "", b"0123456789", 4),
        _ => {
            assert_eq!(request.header("range"), Some("bytes=4-9"));
            assert_eq!(request.header("if-match"), Some("\"tag\""));
            let range = "Content-Range: bytes 4-9/10\r\n";
            reply_with(stream, request, "206 Partial Content", range, b"456789")
        }
    });
    let read = get(&served(&server), &pack(), None).unwrap();
    assert_eq!(read, (10, b"0123456789".to_vec()));
}

#[test]
fn a_stream_that_always_breaks_ends_as_one_that_is_too_short() {
    let server = Server::start(|number, _, stream| {
        let range = format!("Content-Range: bytes {number}-9/10\r\n");
        break_off(stream, &range, &b"0123456789"[number..], 1)
    });
    let (_, mut stream) = served(&server).open(&pack(), None).unwrap();
    let mut read = Vec::new();
    let error = stream.read_to_end(&mut read).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(server.requests().len(), 4);
}

/// A server that takes uploads, and tells of each request.
fn uploads(
    complete: impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static,
) -> (Server, mpsc::Receiver<String>) {
    let (send, asked) = mpsc::channel();
    let send = parking_lot::Mutex::new(send);
    let server = Server::start(move |_, request, stream| {
        let line = format!("{} {}", request.method, request.path);
        let _ = send.lock().send(line);
        match request.method.as_str() {
            "POST" if request.path.contains("?uploads") => {
                let answer = b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>";
                reply(stream, request, "200 OK", answer)
            }
            "PUT" => reply_with(stream, request, "200 OK", "ETag: \"tag\"\r\n", b""),
            "DELETE" => reply(stream, request, "204 No Content", b""),
            _ => complete(request, stream),
        }
    });
    (server, asked)
}

#[test]
fn what_fits_into_memory_is_one_request_and_what_does_not_is_an_upload() {
    let (server, _) = uploads(|request, stream| {
        reply(
            stream,
            request,
            "200 OK",
            b"<CompleteMultipartUploadResult><ETag>tag</ETag></CompleteMultipartUploadResult>",
        )
    });
    let bodies = served(&server);
    put(&bodies, &pack(), &vec![0; LARGE_BYTES - 1]);
    assert_eq!(server.methods(), ["PUT"]);
    put(&bodies, &pack(), &vec![0; LARGE_BYTES]);
    assert_eq!(server.methods()[1..], ["POST", "PUT", "PUT", "POST"]);
    let id = pack().name.id().unwrap();
    for request in server.requests() {
        let expected = format!("/bucket/acme/repos/data/{id}/1?");
        assert!(request.path.starts_with(&expected), "{}", request.path);
    }
}

#[test]
fn dropping_what_was_begun_ends_the_upload() {
    let (server, asked) = uploads(|_, _| Then::Close);
    let bodies = served(&server);
    let mut staged = bodies.stage(&pack()).unwrap();
    staged.write(&vec![0; LARGE_BYTES]).unwrap();
    drop(staged);
    let patience = Duration::from_secs(60);
    let ended = std::iter::from_fn(|| asked.recv_timeout(patience).ok())
        .find(|line| line.starts_with("DELETE"));
    assert!(ended.unwrap().contains("uploadId=one"));
}

#[test]
fn an_upload_that_is_not_known_any_more_has_failed_whatever_lies_under_its_name() {
    for length in [LARGE_BYTES, LARGE_BYTES - 1] {
        let gone = "<Error><Code>NoSuchUpload</Code></Error>";
        let (server, _) = uploads(move |request, stream| match request.method.as_str() {
            "HEAD" => reply(stream, request, "200 OK", &vec![0; length]),
            _ => reply(stream, request, "404 Not Found", gone.as_bytes()),
        });
        let bodies = served(&server);
        let mut staged = bodies.stage(&pack()).unwrap();
        staged.write(&vec![0; LARGE_BYTES]).unwrap();
        let error = staged.publish().unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    }
}

#[test]
fn whether_a_bucket_takes_bytes_is_tried_without_leaving_any() {
    let (server, _) = uploads(|_, _| Then::Close);
    served(&server).probe().unwrap();
    assert_eq!(server.methods(), ["POST", "PUT", "DELETE"]);
    let denied = answering(
        "403 Forbidden",
        "",
        "<Error><Code>AccessDenied</Code></Error>",
    );
    let error = served(&denied).probe().unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    // One that lets an upload begin and takes nothing of it.
    let full = Server::start(|_, request, stream| match request.method.as_str() {
        "POST" => {
            let begun = "<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>";
            reply(stream, request, "200 OK", begun.as_bytes())
        }
        "PUT" => {
            let full = "<Error><Code>QuotaExceeded</Code></Error>";
            reply(stream, request, "403 Forbidden", full.as_bytes())
        }
        _ => reply(stream, request, "204 No Content", b""),
    });
    let error = served(&full).probe().unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(full.methods(), ["POST", "PUT", "DELETE"]);
}

#[test]
fn a_bucket_whose_uploads_cannot_be_ended_takes_bytes_all_the_same() {
    let server = Server::start(|_, request, stream| match request.method.as_str() {
        "POST" => {
            let begun = "<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>";
            reply(stream, request, "200 OK", begun.as_bytes())
        }
        "PUT" => reply_with(stream, request, "200 OK", "ETag: \"tag\"\r\n", b""),
        _ => {
            let denied = "<Error><Code>AccessDenied</Code></Error>";
            reply(stream, request, "403 Forbidden", denied.as_bytes())
        }
    });
    served(&server).probe().unwrap();
    assert_eq!(server.methods(), ["POST", "PUT", "DELETE"]);
}

#[test]
fn whether_a_bucket_takes_bytes_is_tried_once_and_not_waited_for() {
    let busy = answering("503 Slow Down", "", "<Error><Code>SlowDown</Code></Error>");
    let error = served(&busy).probe().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(busy.methods(), ["POST"]);
    // The kernel takes connections, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bodies = at(&format!("http://{}", silent.local_addr().unwrap()));
    let began = Instant::now();
    let error = bodies.probe().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_bucket_that_says_nothing_is_not_waited_for_when_a_vault_begins() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bodies = at(&format!("http://{}", silent.local_addr().unwrap()));
    let began = Instant::now();
    let swept = bodies.sweep(SystemTime::UNIX_EPOCH).map(drop);
    for said in [swept, bodies.create()] {
        let error = said.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn old_versions_are_removed_too() {
    let id = pack().name.id().unwrap();
    let server = Server::start(move |number, request, stream| {
        let listing = format!(
            "<ListVersionsResult>\
             <Version><Key>acme/repos/data/{id}/1</Key><VersionId>old</VersionId></Version>\
             <Version><Key>acme/repos/data/{id}/10</Key><VersionId>other</VersionId></Version>\
             <DeleteMarker><Key>acme/repos/data/{id}/1</Key><VersionId>mark</VersionId></DeleteMarker>\
             </ListVersionsResult>"
        );
        match (request.method.as_str(), number) {
            ("DELETE", 0) => {
                let headers = "x-amz-version-id: mark\r\nx-amz-delete-marker: true\r\n";
                reply_with(stream, request, "204 No Content", headers, b"")
            }
            ("DELETE", _) => reply(stream, request, "204 No Content", b""),
            (_, 1) => reply(stream, request, "200 OK", listing.as_bytes()),
            _ => reply(stream, request, "200 OK", b"<ListVersionsResult/>"),
        }
    });
    served(&server).remove(&pack()).unwrap();
    let removed: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|request| request.path.contains("versionId="))
        .map(|request| request.path.rsplit_once("versionId=").unwrap().1.to_owned())
        .collect();
    assert_eq!(removed, ["old", "mark"]);
}

#[test]
fn many_threads_may_ask_at_once() {
    let server = answering("200 OK", "", "bytes");
    let bodies = Arc::new(served(&server));
    let threads = (0..32).map(|_| {
        let bodies = Arc::clone(&bodies);
        std::thread::spawn(move || get(&*bodies, &pack(), None).unwrap().1)
    });
    for thread in threads.collect::<Vec<_>>() {
        assert_eq!(thread.join().unwrap(), b"bytes");
    }
}
