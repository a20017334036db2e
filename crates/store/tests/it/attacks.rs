//! Attacks on servers that answer as none should: what is said counts for less than what is left.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use strongroom_model::attack::{
    Attempt, Judged, Left, Mark, PlaceKind, Said, Tried, Verdict, judge,
};
use strongroom_store::{Attacked, S3Lock, S3Store, Store};
use strongroom_testkit::CephAccount;

use crate::s3;
use crate::server::{Request, Server, reply_with};

/// What time the server says that it is, in every answer.
const DATE: &str = "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n";

/// The same.
const DATE_S: u64 = 784_887_151;

/// What a server does with what should be refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deletion {
    /// Refuses it.
    Refused,
    /// Says yes, and does nothing.
    OnlySaid,
    /// Says no, and does it.
    OnlyDone,
    /// Does it.
    Done,
}

/// How a bucket lies.
#[derive(Clone, Copy)]
struct Lies {
    of_unlocked: Deletion,
    of_locked: Deletion,
    in_a_list: Deletion,
    obeys_earlier_dates: bool,
    /// What it answers to a copy, where it makes none: status and code.
    of_copies: Option<(&'static str, &'static str)>,
}

/// What a bucket in COMPLIANCE does.
const HONEST: Lies = Lies {
    of_unlocked: Deletion::Done,
    of_locked: Deletion::Refused,
    in_a_list: Deletion::Refused,
    obeys_earlier_dates: false,
    of_copies: None,
};

/// A version in it.
#[derive(Clone)]
struct Version {
    id: String,
    bytes: Vec<u8>,
    /// Mode and date, as they were sent.
    lock: Option<(String, String)>,
}

/// A bucket with versions in memory.
fn serve(lies: Lies) -> Server {
    let versions: Mutex<Vec<Version>> = Mutex::default();
    Server::start(move |number, request, stream| {
        let answer = answer(&lies, &mut versions.lock(), number, request);
        let headers = format!("{DATE}{}", answer.headers);
        reply_with(stream, request, answer.status, &headers, &answer.body)
    })
}

struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

fn plain(status: &'static str) -> Answer {
    Answer {
        status,
        headers: String::new(),
        body: Vec::new(),
    }
}

fn wrong(status: &'static str, code: &str) -> Answer {
    Answer {
        body: format!("<Error><Code>{code}</Code></Error>").into_bytes(),
        ..plain(status)
    }
}

fn refusal() -> Answer {
    wrong("403 Forbidden", "AccessDenied")
}

/// What stands between two tags of a body.
fn within<'b>(body: &'b str, tag: &str) -> &'b str {
    let (_, rest) = body.split_once(&format!("<{tag}>")).unwrap();
    rest.split('<').next().unwrap()
}

fn answer(lies: &Lies, all: &mut Vec<Version>, number: usize, request: &Request) -> Answer {
    let whole = request.path.as_str();
    let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let id = pairs.find(|(name, _)| *name == "versionId");
    let id = id.map(|(_, id)| id.to_owned());
    if path != "/bucket" && !path.starts_with("/bucket/") {
        // Neither are buckets listed nor may any be made.
        return refusal();
    }
    let found = all.iter().position(|one| Some(&one.id) == id.as_ref());
    let is_copy = request.header("x-amz-copy-source").is_some();
    let is_refused_copy = is_copy && lies.of_copies.is_some();
    let body = String::from_utf8_lossy(&request.body).into_owned();
    match (request.method.as_str(), found) {
        ("POST", _) => {
            let id = within(&body, "VersionId");
            let key = within(&body, "Key");
            if matches!(lies.in_a_list, Deletion::Done | Deletion::OnlyDone) {
                all.retain(|one| one.id != id);
            }
            let told = match lies.in_a_list {
                Deletion::Done | Deletion::OnlySaid => {
                    format!("<Deleted><Key>{key}</Key></Deleted>")
                }
                Deletion::Refused | Deletion::OnlyDone => {
                    format!("<Error><Key>{key}</Key><Code>AccessDenied</Code></Error>")
                }
            };
            Answer {
                body: format!("<DeleteResult>{told}</DeleteResult>").into_bytes(),
                ..plain("200 OK")
            }
        }
        // As a Ceph answers to a lock that is none.
        ("PUT", Some(_)) if query.contains("retention") && !body.contains("<Mode>") => {
            wrong("400 Bad Request", "MalformedXML")
        }
        ("PUT", Some(found)) if query.contains("retention") => {
            if !lies.obeys_earlier_dates || !body.contains("COMPLIANCE") {
                return refusal();
            }
            let until = within(&body, "RetainUntilDate").to_owned();
            all[found].lock = Some(("COMPLIANCE".to_owned(), until));
            plain("200 OK")
        }
        ("PUT", _) if query.contains("legal-hold") => plain("200 OK"),
        ("PUT", _) if is_refused_copy => {
            let (status, code) = lies.of_copies.unwrap_or_default();
            wrong(status, code)
        }
        ("PUT", _) => {
            let header = |name| request.header(name).map(str::to_owned);
            let mode = header("x-amz-object-lock-mode");
            let until = header("x-amz-object-lock-retain-until-date");
            let id = format!("v{number}");
            all.push(Version {
                id: id.clone(),
                bytes: request.body.clone(),
                lock: mode.zip(until),
            });
            Answer {
                headers: format!("x-amz-version-id: {id}\r\n"),
                body: b"<CopyObjectResult></CopyObjectResult>".to_vec(),
                ..plain("200 OK")
            }
        }
        ("GET" | "HEAD", Some(found)) => {
            let version = &all[found];
            let lock = version.lock.as_ref().map(|(mode, until)| {
                format!(
                    "x-amz-object-lock-mode: {mode}\r\n\
                     x-amz-object-lock-retain-until-date: {until}\r\n"
                )
            });
            Answer {
                headers: lock.unwrap_or_default(),
                body: version.bytes.clone(),
                ..plain("200 OK")
            }
        }
        ("GET" | "HEAD", None) if id.is_some() => Answer {
            body: b"<Error><Code>NoSuchVersion</Code></Error>".to_vec(),
            ..plain("404 Not Found")
        },
        ("DELETE", Some(found)) => {
            let deletion = match all[found].lock {
                Some(_) => lies.of_locked,
                None => lies.of_unlocked,
            };
            if matches!(deletion, Deletion::Done | Deletion::OnlyDone) {
                all.remove(found);
            }
            match deletion {
                Deletion::Done | Deletion::OnlySaid => plain("204 No Content"),
                Deletion::Refused | Deletion::OnlyDone => refusal(),
            }
        }
        ("DELETE", None) => plain("204 No Content"),
        // Lists, lifecycles.
        _ => refusal(),
    }
}

/// Attacks a bucket that lies so, and judges.
fn drill(lies: Lies) -> (Attacked, Judged) {
    let server = serve(lies);
    let account = CephAccount {
        access_key: "name".to_owned(),
        secret_key: "geheim".to_owned(),
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(DATE_S);
    let lock = S3Lock {
        least: Duration::from_secs(30 * 86_400),
        clock: Arc::new(move || now),
    };
    let options = s3::options(&server.endpoint(), "bucket", &account);
    let store = S3Store::new(options, Some(lock)).unwrap();
    let attacked = store.attacks().unwrap().attack(&[]).unwrap();
    let until = Some("1994-12-30T08:12:31Z".parse().unwrap());
    let judged = judge(attacked.place, &attacked.tried, until, false);
    (attacked, judged)
}

fn of(attacked: &Attacked, attempt: Attempt) -> &Tried {
    let mut tried = attacked.tried.iter();
    tried.find(|one| one.attempt == attempt).unwrap()
}

#[test]
fn a_bucket_that_keeps_its_locks_is_proven_and_a_refusal_in_a_body_is_read() {
    let (attacked, judged) = drill(HONEST);
    assert!(judged.verdict.is_proven(), "{judged:?} {attacked:?}");
    assert_eq!(attacked.place, PlaceKind::Bucket);
    let multi = of(&attacked, Attempt::MultiDelete);
    let said = Said::Refused("200, and AccessDenied in it".to_owned());
    assert_eq!((&multi.said, &multi.left), (&said, &Left::Whole));
    // What it does not understand harms nothing where it is known what was asked.
    let removed = of(&attacked, Attempt::RemoveLock);
    let said = Said::Unclear("400 MalformedXML".to_owned());
    assert_eq!((&removed.said, &removed.left), (&said, &Left::Whole));
    assert_eq!(removed.mark(), Mark::Withstood);
    // No bucket may be made beside it.
    let probe = of(&attacked, Attempt::SuspendVersioning);
    assert!(matches!(probe.said, Said::NotTried(_)), "{probe:?}");
}

#[test]
fn a_multi_delete_that_tells_errors_and_deletes_all_the_same_is_seen() {
    for in_a_list in [Deletion::OnlyDone, Deletion::Done] {
        let (attacked, judged) = drill(Lies {
            in_a_list,
            ..HONEST
        });
        assert_eq!(judged.verdict, Verdict::Destroyable);
        assert_eq!(of(&attacked, Attempt::MultiDelete).left, Left::Lost);
        // What came later was tried on other canaries.
        assert_eq!(of(&attacked, Attempt::Overwrite).left, Left::Whole);
    }
}

#[test]
fn a_yes_that_does_nothing_shows_no_right_and_no_lock() {
    let (attacked, judged) = drill(Lies {
        of_unlocked: Deletion::OnlySaid,
        of_locked: Deletion::OnlySaid,
        in_a_list: Deletion::OnlySaid,
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::NotProven, "{attacked:?}");
    let control = of(&attacked, Attempt::DeleteUnlocked);
    assert_eq!((&control.said, &control.left), (&Said::Done, &Left::Whole));
}

#[test]
fn a_copy_that_a_server_does_not_understand_has_not_withstood_anything() {
    for (status, code, mark, is_certain) in [
        ("403 Forbidden", "AccessDenied", Mark::Withstood, true),
        (
            "501 Not Implemented",
            "NotImplemented",
            Mark::NotTried,
            true,
        ),
        (
            "405 Method Not Allowed",
            "MethodNotAllowed",
            Mark::NotTried,
            true,
        ),
        ("400 Bad Request", "InvalidArgument", Mark::Open, false),
        ("404 Not Found", "NoSuchKey", Mark::Open, false),
    ] {
        let (attacked, judged) = drill(Lies {
            of_copies: Some((status, code)),
            ..HONEST
        });
        assert_eq!(of(&attacked, Attempt::CopyOverSelf).mark(), mark, "{code}");
        let is_proven = mark == Mark::Withstood;
        assert_eq!(judged.verdict.is_proven(), is_proven, "{code}: {judged:?}");
        assert_eq!(judged.is_certain, is_certain, "{code}: {judged:?}");
    }
}

#[test]
fn a_lock_that_is_shown_and_does_not_hold_is_none() {
    for of_locked in [Deletion::Done, Deletion::OnlyDone] {
        let (attacked, judged) = drill(Lies {
            of_locked,
            ..HONEST
        });
        assert_eq!(of(&attacked, Attempt::Put).said, Said::Done);
        assert_eq!(judged.verdict, Verdict::Destroyable);
    }
}

#[test]
fn a_lock_that_takes_an_earlier_date_is_none() {
    let (attacked, judged) = drill(Lies {
        obeys_earlier_dates: true,
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::NotProven);
    let shortened = of(&attacked, Attempt::Shorten);
    assert!(matches!(shortened.left, Left::Weaker(_)), "{shortened:?}");
}

#[test]
fn who_may_not_delete_what_is_not_locked_proves_no_lock() {
    let (_, judged) = drill(Lies {
        of_unlocked: Deletion::Refused,
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::DeniedNotProven);
}

#[test]
fn a_drill_asks_a_bounded_number_of_times_whatever_is_answered() {
    for lies in [
        HONEST,
        Lies {
            of_locked: Deletion::OnlyDone,
            in_a_list: Deletion::OnlyDone,
            obeys_earlier_dates: true,
            ..HONEST
        },
    ] {
        let server = serve(lies);
        let account = CephAccount {
            access_key: "name".to_owned(),
            secret_key: "geheim".to_owned(),
        };
        let options = s3::options(&server.endpoint(), "bucket", &account);
        let store = S3Store::new(options, None).unwrap();
        store.attacks().unwrap().attack(&[]).unwrap();
        let requests = server.requests().len();
        assert!(requests < 150, "{requests}");
        let puts = server.requests().into_iter();
        let puts = puts.filter(|request| request.method == "PUT" && request.body.len() > 128);
        assert_eq!(puts.count(), 0);
    }
}

/// A REST server that keeps what it is given, and says no to a DELETE that it carries out.
fn two_faced() -> Server {
    let files: Mutex<Vec<(String, Vec<u8>)>> =
        Mutex::new(vec![("/acme/repo/config".to_owned(), b"config".to_vec())]);
    Server::start(move |_, request, stream| {
        let mut files = files.lock();
        let found = files.iter().position(|(path, _)| *path == request.path);
        match (request.method.as_str(), found) {
            ("GET" | "HEAD", Some(found)) => {
                let body = files[found].1.clone();
                reply_with(stream, request, "200 OK", "", &body)
            }
            ("POST", None) if request.path.starts_with("/acme/repo/") => {
                files.push((request.path.clone(), request.body.clone()));
                reply_with(stream, request, "200 OK", "", b"")
            }
            ("DELETE", Some(found)) => {
                files.remove(found);
                reply_with(stream, request, "403 Forbidden", "", b"")
            }
            ("GET" | "HEAD", None) => reply_with(stream, request, "404 Not Found", "", b""),
            _ => reply_with(stream, request, "403 Forbidden", "", b""),
        }
    })
}

#[test]
fn a_server_that_says_no_and_does_it_is_destroyable_and_its_config_is_left_alone() {
    let server = two_faced();
    let store = server.store();
    let attacked = store.attacks().unwrap().attack(&[]).unwrap();
    assert_eq!(attacked.place, PlaceKind::Server);
    assert_eq!(attacked.principal.as_deref(), Some("user user"));
    let delete = of(&attacked, Attempt::Delete);
    assert_eq!(delete.said, Said::Refused("403".to_owned()));
    assert_eq!(delete.left, Left::Lost);
    let overwrite = of(&attacked, Attempt::Overwrite);
    assert_eq!(overwrite.left, Left::Whole);
    let judged = judge(attacked.place, &attacked.tried, None, false);
    assert_eq!(judged.verdict, Verdict::Destroyable);
    for request in server.requests() {
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
        assert!(is_read || !request.path.contains("config"), "{request:?}");
    }
}
