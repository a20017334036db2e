//! What is answered, to the header: clients are written against the words of the protocol, and not
//! against what one library makes of them.

use strongroom_model::FileType;
use strongroom_testkit::contract::noise;

use crate::clients::REPOSITORY;
use crate::clients::server::Server;
use crate::clients::wire::Sends;

const SIZE: usize = 100_000;
const V1: &str = "application/vnd.x.restic.rest.v1";
const V2: &str = "application/vnd.x.restic.rest.v2";

/// What is asked, and what must be answered.
struct Case<'c> {
    method: &'c str,
    path: &'c str,
    asks: &'c [(&'c str, &'c str)],
    status: u16,
    headers: &'c [(&'c str, &'c str)],
    /// Not looked at where it is for people alone.
    body: Option<&'c [u8]>,
}

type Pairs<'c> = &'c [(&'c str, &'c str)];

fn case<'c>(
    (method, path, asks): (&'c str, &'c str, Pairs<'c>),
    (status, headers, body): (u16, Pairs<'c>, Option<&'c [u8]>),
) -> Case<'c> {
    Case {
        method,
        path,
        asks,
        status,
        headers,
        body,
    }
}

#[test]
fn every_answer_is_as_the_protocol_has_it() {
    let server = Server::start();
    let token = server.token("maintain");
    let mut wire = server.wire();
    wire.post(&format!("{REPOSITORY}?create=true"), &token, b"");
    let config = format!("{REPOSITORY}config");
    assert_eq!(wire.post(&config, &token, b"the config").status, 200);
    let bytes = noise(1, SIZE);
    let (name, status) = wire.put(REPOSITORY, &token, FileType::Data, &bytes);
    assert_eq!(status, 200);
    let id = name.id().unwrap();

    let pack = &format!("{REPOSITORY}{name}");
    let missing = &format!("{REPOSITORY}index/{id}");
    let [data, index] = &["data/", "index/"].map(|folder| format!("{REPOSITORY}{folder}"));
    let before = &format!("/asof/{}{REPOSITORY}{name}", server.moment());
    let v1 = &format!("[\"{id}\"]");
    let v2 = &format!("[{{\"name\":\"{id}\",\"size\":{SIZE}}}]");
    let (v1, v2) = (Some(v1.as_bytes()), Some(v2.as_bytes()));
    let (nothing, empty): (Option<&[u8]>, Option<&[u8]>) = (Some(b""), Some(b"[]"));
    let binary = ("content-type", "application/octet-stream");
    let is_binary = &[binary];
    let is_text = &[("content-type", "text/plain; charset=utf-8")];
    let ranges = ("accept-ranges", "bytes");
    let whole = &[binary, ranges, ("content-length", "100000")];
    let is_range = &[
        binary,
        ("content-range", "bytes 10-19/100000"),
        ("content-length", "10"),
    ];
    let asks_v2 = &[("accept", V2)];
    let is_v1 = &[("content-type", V1)];
    let is_v2 = &[("content-type", V2)];
    let cases = [
        case(("GET", data, &[]), (200, is_v1, v1)),
        case(("GET", data, asks_v2), (200, is_v2, v2)),
        case(("GET", index, &[]), (200, is_v1, empty)),
        case(("GET", index, asks_v2), (200, is_v2, empty)),
        case(("HEAD", data, &[]), (200, is_v1, nothing)),
        case(("HEAD", data, asks_v2), (200, is_v2, nothing)),
        case(("GET", pack, &[]), (200, whole, Some(&bytes))),
        case(("HEAD", pack, &[]), (200, whole, nothing)),
        case(
            ("HEAD", &config, &[]),
            (200, &[("content-length", "10")], nothing),
        ),
        case(("GET", &config, &[]), (200, is_binary, Some(b"the config"))),
        case(
            ("GET", pack, &[("range", "bytes=10-19")]),
            (206, is_range, Some(&bytes[10..20])),
        ),
        case(
            ("HEAD", pack, &[("range", "bytes=10-19")]),
            (
                206,
                &[
                    ("content-range", "bytes 10-19/100000"),
                    ("content-length", "10"),
                ],
                nothing,
            ),
        ),
        // From somewhere on, more than there is, and the end alone.
        case(
            ("GET", pack, &[("range", "bytes=99990-")]),
            (
                206,
                &[("content-range", "bytes 99990-99999/100000")],
                Some(&bytes[99_990..]),
            ),
        ),
        case(
            ("GET", pack, &[("range", "bytes=99990-200000")]),
            (
                206,
                &[("content-range", "bytes 99990-99999/100000")],
                Some(&bytes[99_990..]),
            ),
        ),
        case(
            ("GET", pack, &[("range", "bytes=-5")]),
            (
                206,
                &[("content-range", "bytes 99995-99999/100000")],
                Some(&bytes[99_995..]),
            ),
        ),
        case(
            ("GET", pack, &[("range", "bytes=100000-")]),
            (416, &[("content-range", "bytes */100000")], None),
        ),
        // Several at once, and what is none, may be passed over.
        case(
            ("GET", pack, &[("range", "bytes=0-1,5-6")]),
            (200, whole, Some(&bytes)),
        ),
        case(
            ("GET", pack, &[("range", "bytes=5-4")]),
            (200, whole, Some(&bytes)),
        ),
        case(("GET", missing, &[]), (404, &[], None)),
        case(("HEAD", missing, &[]), (404, &[], nothing)),
        // What is not there is gone already.
        case(
            ("DELETE", missing, &[]),
            (200, &[("content-length", "0")], nothing),
        ),
        // The past is only read.
        case(("GET", before, &[]), (200, whole, Some(&bytes))),
        case(
            ("POST", before, &[]),
            (405, &[("allow", "GET, HEAD")], None),
        ),
        case(
            ("DELETE", before, &[]),
            (405, &[("allow", "GET, HEAD")], None),
        ),
        case(("POST", data, &[]), (405, &[("allow", "GET, HEAD")], None)),
        case(
            ("PUT", pack, &[]),
            (405, &[("allow", "GET, HEAD, POST, DELETE")], None),
        ),
        // Of the log notes are text and all else is not.
        case(("GET", "/log/checkpoint", &[]), (200, is_text, None)),
        case(("GET", "/log/key", &[]), (200, is_text, None)),
        case(("HEAD", "/log/checkpoint", &[]), (200, is_text, nothing)),
        case(
            ("POST", "/log/checkpoint", &[]),
            (405, &[("allow", "GET, HEAD")], None),
        ),
        case(("GET", REPOSITORY, &[]), (405, &[("allow", "POST")], None)),
        case(
            ("DELETE", REPOSITORY, &[]),
            (405, &[("allow", "POST")], None),
        ),
    ];
    for case in cases {
        let (method, path) = (case.method, case.path);
        let told = format!("{method} {path} {:?}", case.asks);
        let answer = server
            .wire()
            .ask(method, path, &token, case.asks, Sends::Nothing)
            .unwrap();
        assert_eq!(answer.status, case.status, "{told}: {}", answer.text());
        for (name, value) in case.headers {
            assert_eq!(answer.header(name), Some(*value), "{told}: {name}");
        }
        if let Some(body) = case.body {
            assert!(answer.body == body, "{told}: {} bytes", answer.body.len());
        }
    }
    // Nothing was done by what was not allowed.
    let listed = wire.list(REPOSITORY, &token, FileType::Data);
    assert_eq!(listed, [(name, SIZE as u64)]);
}
