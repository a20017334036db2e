//! Names that mean harm: whatever is asked for, nothing but plain names ever reaches the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use strongroom_model::Id;

use crate::clients::REPOSITORY;
use crate::clients::server::Server;
use crate::clients::wire::Sends;

#[test]
fn tricks_with_paths_reach_nothing() {
    let server = Server::start();
    let token = server.token_for("acme", "maintain", &[]);
    let mut wire = server.wire();
    let created = wire.post(&format!("{REPOSITORY}?create=true"), &token, b"");
    assert_eq!(created.status, 200);
    let body = b"what is sent to them all";
    let id = Id::of(body).to_string();
    let place = format!("{REPOSITORY}data/{id}");
    assert_eq!(wire.post(&place, &token, body).status, 200);
    let before = everything(&server);
    let long = "a".repeat(5_000);
    let tricks = [
        // Out of the folder, plainly and in disguise.
        format!("/acme/../../etc/data/{id}"),
        format!("/../acme/repos/data/{id}"),
        format!("{REPOSITORY}data/../../../{id}"),
        format!("{REPOSITORY}data/..%2f..%2f{id}"),
        format!("/acme%2frepos/data/{id}"),
        format!("/acme%2Frepos%2Fdata%2F{id}"),
        format!("/acme/%2e%2e/data/{id}"),
        format!("/acme/..%00/data/{id}"),
        format!("/acme\\repos/data/{id}"),
        format!("/acme/./repos/data/{id}"),
        format!("//acme/repos/data/{id}"),
        format!("/acme//repos/data/{id}"),
        format!("{REPOSITORY}data//{id}"),
        format!("{REPOSITORY}data/%2e%2e%2fconfig"),
        // What means something else.
        format!("/data/{id}"),
        "/config".to_owned(),
        format!("/acme/data/data/{id}"),
        format!("/acme/keys/index/{id}"),
        format!("/acme/Locks/data/{id}"),
        format!("/acme/config/data/{id}"),
        format!("/asof/data/{id}"),
        format!("/log/data/{id}"),
        // Too deep, too long, empty, strange.
        format!("/acme/repos/deep/data/{id}"),
        format!("/acme/{long}/data/{id}"),
        format!("{REPOSITORY}data/{id}{id}"),
        format!("{REPOSITORY}data/{id}a"),
        format!("{REPOSITORY}data/{}", &id[1..]),
        format!("{REPOSITORY}data/{}", id.to_uppercase()),
        format!("{REPOSITORY}data/{id}.2"),
        format!("{REPOSITORY}data/{}/{id}", &id[..2]),
        format!("{REPOSITORY}data/.tmp-{}", &id[..32]),
        format!("/acme/-rf/data/{id}"),
        format!("/acme/.hidden/data/{id}"),
        format!("/acme/re%20pos/data/{id}"),
        format!("/acme/r\u{e9}pos/data/{id}"),
        format!("/acme/r\u{202e}pos/data/{id}"),
        format!("/acme/repos%0d%0a/data/{id}"),
        format!("/acme/repos;x/data/{id}"),
        format!("/acme/repos'--/data/{id}"),
        format!("/acme/CON:/data/{id}"),
        format!("/acme/repos%c0%af/data/{id}"),
        "/acme/repos/deep/?create=true".to_owned(),
        "/acme/data/?create=true".to_owned(),
        "/../?create=true".to_owned(),
        "/acme/%2e%2e/?create=true".to_owned(),
    ];
    for trick in &tricks {
        for method in ["POST", "GET", "HEAD", "DELETE", "PUT", "PATCH"] {
            let sends = match method {
                "POST" | "PUT" | "PATCH" => Sends::Whole(body),
                _ => Sends::Nothing,
            };
            // Some of these are no HTTP, and the connection ends.
            let answer = server.wire().ask(method, trick, &token, &[], sends);
            let is_refused = answer
                .as_ref()
                .map_or(true, |is| (400..500).contains(&is.status));
            assert!(is_refused, "{method} {trick}: {answer:?}");
        }
    }
    // The root is for people, and leads them to the console.
    let root = server.wire().get("/", &token);
    assert_eq!((root.status, root.header("location")), (303, Some("/-/")));
    for method in ["POST", "DELETE", "PUT"] {
        let answer = server.wire().ask(method, "/", &token, &[], Sends::Nothing);
        assert!((400..500).contains(&answer.unwrap().status), "{method} /");
    }
    for raw in [
        &b"POST /acme/repos\0/data HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"POST /acme/\xff\xfe/config HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        b"GET * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT acme:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET ../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut wire = server.wire();
        wire.send(raw).unwrap();
        let answer = wire.hear(false);
        let is_refused = answer
            .as_ref()
            .map_or(true, |is| (400..500).contains(&is.status));
        assert!(is_refused, "{raw:?}: {answer:?}");
    }
    assert_eq!(everything(&server), before);
    assert_eq!(wire.get(&place, &token).body, body);
}

#[test]
fn a_moment_that_is_none_is_no_fault_of_the_vault() {
    let server = Server::start();
    let token = server.token("append");
    let mut wire = server.wire();
    wire.post(&format!("{REPOSITORY}?create=true"), &token, b"");
    for (moment, status) in [
        ("@0", 200),
        ("@1", 200),
        ("@9223372036854775807", 200),
        ("@9223372036854775808", 404),
        ("@18446744073709551616", 404),
        ("@-1", 404),
        ("@", 404),
        ("9999-12-30T22:00:00Z", 200),
        ("-009999-01-02T01:59:59Z", 200),
        ("10000-01-01T00:00:00Z", 404),
        ("2026-11-20T10%3A00%3A00Z", 200),
        ("yesterday", 404),
        ("..", 404),
    ] {
        let path = format!("/asof/{moment}{REPOSITORY}data/");
        let answer = wire.get(&path, &token);
        assert_eq!(answer.status, status, "{moment}: {}", answer.text());
    }
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

#[test]
fn what_is_seen_as_of_a_moment_can_be_read_and_nothing_else() {
    let server = Server::start();
    let token = server.token("maintain");
    let mut wire = server.wire();
    wire.post(&format!("{REPOSITORY}?create=true"), &token, b"");
    let body = b"a pack";
    let place = format!("{REPOSITORY}data/{}", Id::of(body));
    assert_eq!(wire.post(&place, &token, body).status, 200);
    for moment in [server.moment(), "@99".to_owned()] {
        let view = format!("/asof/{moment}");
        assert_eq!(wire.get(&format!("{view}{place}"), &token).body, body);
        let targets = [
            place.clone(),
            format!("{REPOSITORY}config"),
            format!("{REPOSITORY}locks/{}", Id::of(b"a lock")),
            format!("{REPOSITORY}?create=true"),
            "/acme/other/?create=true".to_owned(),
            format!("{REPOSITORY}data/"),
        ];
        for target in targets {
            for (method, sends) in [
                ("POST", Sends::Whole(&body[..])),
                ("DELETE", Sends::Nothing),
            ] {
                let path = format!("{view}{target}");
                let answer = server
                    .wire()
                    .ask(method, &path, &token, &[], sends)
                    .unwrap();
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
    assert_eq!(wire.get(&place, &token).body, body);
}

/// All that lies in the folder of the test, but for what every request may change.
fn everything(server: &Server) -> BTreeSet<PathBuf> {
    fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            }
            found.insert(path);
        }
    }
    let mut found = BTreeSet::new();
    collect(&server.data().join("repositories"), &mut found);
    found
}
