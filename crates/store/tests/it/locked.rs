//! A locked copy against servers that answer as none should: what is not shown is not believed.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{BucketFlaw, Error, S3Lock, S3Options, S3Store, Store};

use crate::s3;
use crate::server::{Request, Server, Then, reply, reply_with};

const BYTES: &[u8] = b"bytes";

/// Their MD5, as a tag.
const TAG: &str = "4b3a6218bb3e3a7303e8a171a60fcf92";

/// What time the servers say that it is, in every answer.
const DATE: &str = "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n";

/// The same.
const DATE_S: u64 = 784_887_151;

/// What a lock of 30 days is asked for, a little more than 45 days later.
const LOCKED: &str = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                      x-amz-object-lock-retain-until-date: 1994-12-31T00:00:00Z\r\n";

fn pack() -> FileName {
    FileName::new(FileType::Data, Id::of(BYTES))
}

fn options(server: &Server) -> S3Options {
    s3::options_of_nobody(&server.endpoint())
}

/// A store with a lock of 30 days, on a machine whose clock says so many seconds more than the
/// server's.
fn locked_ahead(server: &Server, ahead_s: u64) -> S3Store {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(DATE_S + ahead_s);
    let lock = S3Lock {
        least: Duration::from_secs(30 * 86_400),
        clock: Arc::new(move || now),
    };
    S3Store::new(options(server), Some(lock)).unwrap()
}

fn locked(server: &Server) -> S3Store {
    locked_ahead(server, 0)
}

/// How a server answers that takes a file and is asked for it.
#[derive(Clone)]
struct Answers {
    /// The headers of the answer to PUT.
    put: String,
    /// What HEAD of the version tells, before and after a lock was set on it.
    shown: [&'static str; 2],
    /// How many bytes it tells.
    size: usize,
    /// The status of the answer to a lock that is set on a version.
    retention: &'static str,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            put: format!("x-amz-version-id: v1\r\nETag: \"{TAG}\"\r\n"),
            shown: [LOCKED, LOCKED],
            size: BYTES.len(),
            retention: "200 OK",
        }
    }
}

/// A server that has nothing until it is put.
fn serve(answers: Answers) -> Server {
    let is_set = AtomicBool::new(false);
    Server::start(move |_, request, stream| {
        let is_version = request.path.contains("versionId=");
        match request.method.as_str() {
            "HEAD" if is_version => {
                let shown = answers.shown[usize::from(is_set.load(Ordering::SeqCst))];
                let headers = format!("{DATE}ETag: \"{TAG}\"\r\n{shown}");
                reply_with(stream, request, "200 OK", &headers, &vec![0; answers.size])
            }
            "HEAD" => reply_with(stream, request, "404 Not Found", DATE, b""),
            "PUT" if request.path.contains("retention") => {
                is_set.store(true, Ordering::SeqCst);
                reply_with(stream, request, answers.retention, DATE, b"")
            }
            "PUT" => {
                let headers = format!("{DATE}{}", answers.put);
                reply_with(stream, request, "200 OK", &headers, b"")
            }
            _ => reply(stream, request, "400 Bad Request", b""),
        }
    })
}

fn put_of(server: &Server) -> Request {
    let requests = server.requests().into_iter();
    let mut puts = requests.filter(|request| request.method == "PUT");
    puts.next().unwrap()
}

#[test]
fn a_file_is_put_with_its_sum_and_its_lock_and_the_very_version_is_looked_at() {
    let server = serve(Answers::default());
    locked(&server).save(pack(), BYTES).unwrap();
    assert_eq!(server.methods(), ["HEAD", "PUT", "HEAD"]);
    let put = put_of(&server);
    let id = pack().id().unwrap().to_string();
    let path = put.path.split('?').next().unwrap();
    assert_eq!(path, format!("/bucket/data/{}/{id}", &id[..2]));
    assert_eq!(put.body, BYTES);
    assert_eq!(put.header("content-md5"), Some("SzpiGLs+OnMD6KFxpg/Pkg=="));
    assert_eq!(put.header("x-amz-object-lock-mode"), Some("COMPLIANCE"));
    // 45 days behind the date of the answers, and the second in which that was told.
    let until = put.header("x-amz-object-lock-retain-until-date").unwrap();
    assert!(until.starts_with("1994-12-30T08:1"), "{until}");
    let looked = &server.requests()[2];
    assert!(looked.path.contains("versionId=v1"), "{}", looked.path);
}

#[test]
fn a_clock_of_ours_that_was_set_ahead_or_back_is_not_believed() {
    for (ahead_s, day) in [(0, "1994-12-30T"), (86_400, "1994-12-31T")] {
        let server = serve(Answers::default());
        locked_ahead(&server, ahead_s).save(pack(), BYTES).ok();
        let put = put_of(&server);
        let until = put.header("x-amz-object-lock-retain-until-date").unwrap();
        assert!(until.starts_with(day), "{until}");
    }
    // A century ahead: no more than twice the lock.
    let server = serve(Answers::default());
    locked_ahead(&server, 100 * 365 * 86_400)
        .save(pack(), BYTES)
        .ok();
    let put = put_of(&server);
    let until = put.header("x-amz-object-lock-retain-until-date").unwrap();
    assert!(until.starts_with("1995-01-14T"), "{until}");
}

#[test]
fn a_file_that_comes_and_goes_is_not_locked_and_neither_is_any_where_no_lock_is_asked_for() {
    let server = serve(Answers::default());
    let lock = FileName::new(FileType::Locks, Id::of(BYTES));
    locked(&server).save(lock, BYTES).unwrap();
    S3Store::new(options(&server), None)
        .unwrap()
        .save(pack(), BYTES)
        .unwrap();
    assert_eq!(server.methods(), ["HEAD", "PUT", "HEAD", "PUT"]);
    for request in server.requests() {
        assert_eq!(request.header("x-amz-object-lock-mode"), None);
    }
}

#[test]
fn a_lock_that_a_server_forgot_is_set_on_the_version_and_looked_at_again() {
    let server = serve(Answers {
        shown: ["", LOCKED],
        ..Answers::default()
    });
    locked(&server).save(pack(), BYTES).unwrap();
    assert_eq!(server.methods(), ["HEAD", "PUT", "HEAD", "PUT", "HEAD"]);
    let set = &server.requests()[3];
    assert!(set.path.contains("versionId=v1"), "{}", set.path);
    let body = String::from_utf8_lossy(&set.body).into_owned();
    assert!(body.contains("<Mode>COMPLIANCE</Mode>"), "{body}");
}

#[test]
fn a_version_that_does_not_show_its_lock_is_a_failure_that_says_what_was_asked_and_seen() {
    const GOVERNED: &str = "x-amz-object-lock-mode: GOVERNANCE\r\n\
                            x-amz-object-lock-retain-until-date: 1994-12-31T00:00:00Z\r\n";
    const SHORT: &str = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                         x-amz-object-lock-retain-until-date: 1994-12-15T00:00:00Z\r\n";
    for (shown, seen) in [
        ("", "it shows no lock"),
        (GOVERNED, "it shows GOVERNANCE until 1994-12-31"),
        (SHORT, "it shows COMPLIANCE until 1994-12-15"),
    ] {
        for retention in ["200 OK", "403 Forbidden"] {
            let server = serve(Answers {
                shown: [shown, shown],
                retention,
                ..Answers::default()
            });
            let error = locked(&server).save(pack(), BYTES).unwrap_err();
            let Error::NotLocked { name, reason, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*name, pack());
            let asked = "asked for COMPLIANCE until 1994-12-30";
            assert!(reason.contains(asked) && reason.contains(seen), "{reason}");
            assert_eq!(reason.contains("refuses"), retention != "200 OK");
            assert!(error.hint().unwrap().contains("s3:GetObjectRetention"));
        }
    }
}

#[test]
fn a_bucket_that_names_no_version_keeps_no_lock() {
    for version in ["", "x-amz-version-id: null\r\n"] {
        let server = serve(Answers {
            put: format!("{version}ETag: \"{TAG}\"\r\n"),
            ..Answers::default()
        });
        let error = locked(&server).save(pack(), BYTES).unwrap_err();
        assert!(matches!(error, Error::NotLocked { .. }), "{error:?}");
    }
}

#[test]
fn a_server_that_stored_something_else_is_found_out_by_its_tag_or_its_size() {
    let other = "0".repeat(32);
    for (put, size) in [
        (format!("x-amz-version-id: v1\r\nETag: \"{other}\"\r\n"), 5),
        (Answers::default().put, 4),
    ] {
        let answers = Answers {
            put,
            size,
            ..Answers::default()
        };
        let error = locked(&serve(answers)).save(pack(), BYTES).unwrap_err();
        assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
    }
    // A tag that is no sum says nothing, nor does that of what a key of the account encrypts.
    for put in [
        "x-amz-version-id: v1\r\nETag: \"tag\"\r\n".to_owned(),
        format!(
            "x-amz-version-id: v1\r\nETag: \"{other}\"\r\n\
             x-amz-server-side-encryption: aws:kms\r\n"
        ),
    ] {
        let server = serve(Answers {
            put,
            ..Answers::default()
        });
        locked(&server).save(pack(), BYTES).unwrap();
    }
}

#[test]
fn a_server_whose_answers_have_no_date_locks_nothing() {
    let server = Server::start(|_, request, stream| match request.method.as_str() {
        "HEAD" => reply(stream, request, "404 Not Found", b""),
        _ => reply(stream, request, "200 OK", b""),
    });
    let error = locked(&server).save(pack(), BYTES).unwrap_err();
    assert!(
        matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("no date")),
        "{error:?}"
    );
    assert!(!server.methods().contains(&"PUT".to_owned()));
}

/// A server that has the file already, in a version that shows this.
fn holding(tag: &'static str, body: &'static [u8], shown: &'static str) -> Server {
    Server::start(move |_, request, stream| {
        let headers = format!("{DATE}ETag: \"{tag}\"\r\nx-amz-version-id: v0\r\n{shown}");
        reply_with(stream, request, "200 OK", &headers, body)
    })
}

#[test]
fn what_is_there_already_is_known_by_its_tag_and_else_by_its_bytes() {
    let server = holding(TAG, BYTES, LOCKED);
    locked(&server).save(pack(), BYTES).unwrap();
    assert_eq!(server.methods(), ["HEAD"]);
    // Who sent it in parts of another size.
    let server = holding("0123-2", BYTES, LOCKED);
    locked(&server).save(pack(), BYTES).unwrap();
    assert_eq!(server.methods(), ["HEAD", "GET"]);
    assert!(server.requests()[1].path.contains("versionId=v0"));
    let server = holding("0123-2", b"other", LOCKED);
    let error = locked(&server).save(pack(), BYTES).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error:?}");
    let server = holding(TAG, b"longer than it", LOCKED);
    let error = locked(&server).save(pack(), BYTES).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error:?}");
    assert_eq!(server.methods(), ["HEAD"]);
}

#[test]
fn what_is_there_already_and_has_too_little_left_is_locked_anew() {
    // Thirty days must be left: until the 15th.
    const LITTLE: &str = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                          x-amz-object-lock-retain-until-date: 1994-12-14T00:00:00Z\r\n";
    const ENOUGH: &str = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                          x-amz-object-lock-retain-until-date: 1994-12-16T00:00:00Z\r\n";
    let server = holding(TAG, BYTES, ENOUGH);
    locked(&server).save(pack(), BYTES).unwrap();
    assert_eq!(server.methods(), ["HEAD"]);
    let server = holding(TAG, BYTES, LITTLE);
    let error = locked(&server).save(pack(), BYTES).unwrap_err();
    assert!(matches!(error, Error::NotLocked { .. }), "{error:?}");
    assert_eq!(server.methods(), ["HEAD", "PUT", "HEAD"]);
    assert!(server.requests()[1].path.contains("versionId=v0"));
}

#[test]
fn what_a_key_of_the_account_encrypts_or_an_archive_holds_does_not_count_as_locked() {
    const BY_KEY: &str = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                          x-amz-object-lock-retain-until-date: 1994-12-31T00:00:00Z\r\n\
                          x-amz-server-side-encryption: aws:kms\r\n";
    const ARCHIVED: &str = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                            x-amz-object-lock-retain-until-date: 1994-12-31T00:00:00Z\r\n\
                            x-amz-storage-class: GLACIER\r\n";
    for (shown, told) in [
        (BY_KEY, "key of an account"),
        (ARCHIVED, "archive (GLACIER)"),
    ] {
        // As the bucket was changed to do, and as somebody else has put the same bytes: these are
        // put anew.
        let changed = serve(Answers {
            shown: [shown, shown],
            ..Answers::default()
        });
        for server in [changed, holding(TAG, BYTES, shown)] {
            let error = locked(&server).save(pack(), BYTES).unwrap_err();
            assert!(
                matches!(&error, Error::NotLocked { reason, .. } if reason.contains(told)),
                "{error:?}"
            );
            assert_eq!(server.methods(), ["HEAD", "PUT", "HEAD"]);
            assert!(!put_of(&server).path.contains("retention"));
        }
    }
}

#[test]
fn an_answer_about_another_version_is_none() {
    let server = serve(Answers {
        shown: ["x-amz-version-id: v2\r\n", ""],
        ..Answers::default()
    });
    let error = locked(&server).save(pack(), BYTES).unwrap_err();
    assert!(
        matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("another version")),
        "{error:?}"
    );
}

#[test]
fn a_version_of_a_run_s_lock_that_somebody_locked_does_not_come_into_sight_again() {
    let lock = FileName::new(FileType::Locks, Id::of(BYTES));
    for (seen, count) in [("200 OK", 5), ("404 Not Found", 4)] {
        let server = Server::start(move |_, request, stream| {
            let is_version = request.path.contains("versionId=");
            match request.method.as_str() {
                "DELETE" if is_version => {
                    let denied = b"<Error><Code>AccessDenied</Code></Error>";
                    reply(stream, request, "403 Forbidden", denied)
                }
                "DELETE" => {
                    let headers = "x-amz-version-id: mark\r\nx-amz-delete-marker: true\r\n";
                    reply_with(stream, request, "204 No Content", headers, b"")
                }
                "HEAD" => reply(stream, request, seen, b""),
                _ => {
                    let listing = format!(
                        "<ListVersionsResult><Version><Key>{lock}</Key><VersionId>v1</VersionId>\
                         </Version></ListVersionsResult>"
                    );
                    reply(stream, request, "200 OK", listing.as_bytes())
                }
            }
        });
        locked(&server).remove(lock).unwrap();
        let expected = ["DELETE", "GET", "DELETE", "HEAD", "DELETE"];
        assert_eq!(server.methods(), expected[..count]);
    }
}

#[test]
fn a_name_that_no_xml_can_hold_hides_no_file() {
    let id = pack().id().unwrap().to_string();
    let page = format!(
        "<ListBucketResult><EncodingType>url</EncodingType>\
         <Contents><Key>data/%01+%EF%BF%BE</Key><Size>1</Size></Contents>\
         <Contents><Key>data%2F{}%2F{id}</Key><Size>5</Size></Contents></ListBucketResult>",
        &id[..2]
    );
    let server =
        Server::start(move |_, request, stream| reply(stream, request, "200 OK", page.as_bytes()));
    let listed = locked(&server).list(FileType::Data).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, Id::of(BYTES));
    let asked = &server.requests()[0];
    assert!(asked.path.contains("encoding-type=url"), "{}", asked.path);
}

#[test]
fn a_listing_whose_second_page_fails_or_leads_nowhere_is_none() {
    let id = pack().id().unwrap().to_string();
    let page = format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated>\
         <NextContinuationToken>next</NextContinuationToken>\
         <Contents><Key>data/{}/{id}</Key><Size>5</Size></Contents></ListBucketResult>",
        &id[..2]
    );
    let broken = Server::start({
        let page = page.clone();
        move |number, request, stream| match number {
            0 => reply(stream, request, "200 OK", page.as_bytes()),
            _ => reply(stream, request, "403 Forbidden", b""),
        }
    });
    let error = locked(&broken).list(FileType::Data).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert!(
        broken.requests()[1]
            .path
            .contains("continuation-token=next")
    );
    let nowhere = page.replace("<NextContinuationToken>next</NextContinuationToken>", "");
    let nowhere = Server::start(move |_, request, stream| {
        reply(stream, request, "200 OK", nowhere.as_bytes())
    });
    let error = locked(&nowhere).list(FileType::Data).unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
}

#[test]
fn a_stream_that_breaks_off_for_good_says_of_what_it_was() {
    let server = Server::start(|_, request, stream| {
        use std::io::Write;
        if request.method == "HEAD" {
            return reply(stream, request, "404 Not Found", b"");
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
        Then::Close
    });
    let store = locked(&server);
    let error = store.read(pack()).unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("data/")),
        "{error:?}"
    );
    let mut stream = store.open(pack(), None).unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    let error = Error::of_stream(store.location(), pack(), error);
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

/// Waits until the client hangs up.
fn say_nothing(stream: &mut TcpStream) -> Then {
    let _ = stream.read(&mut [0]);
    Then::Close
}

#[test]
fn an_interruption_ends_the_wait_for_a_bucket_that_never_answers() {
    let cancelled: Arc<AtomicBool> = Arc::default();
    let server = Server::start({
        let cancelled = Arc::clone(&cancelled);
        move |_, _, stream| {
            cancelled.store(true, Ordering::Relaxed);
            say_nothing(stream)
        }
    });
    let options = S3Options {
        cancelled: Arc::clone(&cancelled),
        ..options(&server)
    };
    let store = S3Store::new(options, None).unwrap();
    let looks: [fn(&S3Store) -> Option<Error>; 4] = [
        |store| store.list(FileType::Data).err(),
        |store| store.size(pack()).err(),
        |store| store.read(pack()).err(),
        |store| store.save(pack(), BYTES).err(),
    ];
    for look in looks {
        cancelled.store(false, Ordering::Relaxed);
        let error = look(&store);
        assert!(matches!(error, Some(Error::Cancelled { .. })), "{error:?}");
    }
}

#[test]
fn a_bucket_that_encrypts_by_a_key_of_the_account_or_shows_nothing_is_not_right() {
    let server = Server::start(|_, request, stream| {
        let path = request.path.as_str();
        let answer = if path.contains("object-lock") {
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
             </ObjectLockConfiguration>"
        } else if path.contains("encryption") {
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
             <SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>arn:key/1</KMSMasterKeyID>\
             </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        } else {
            let denied = b"<Error><Code>AccessDenied</Code></Error>";
            return reply(stream, request, "403 Forbidden", denied);
        };
        reply(stream, request, "200 OK", answer.as_bytes())
    });
    let store = locked(&server);
    let check = store.locks().unwrap().check().unwrap();
    let key = Some("arn:key/1".to_owned());
    assert_eq!(
        check.flaws,
        [
            BucketFlaw::NotShown {
                what: "versioning",
                right: "s3:GetBucketVersioning",
            },
            BucketFlaw::KeyOfAccount { key },
        ]
    );
    assert!(check.commands[0].contains("put-bucket-encryption"));
    let told: Vec<_> = check.flaws.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("s3:GetBucketVersioning"), "{told:?}");
    assert!(told[1].contains("arn:key/1"), "{told:?}");
}

#[test]
fn a_server_that_knows_no_default_encryption_has_none() {
    let server = Server::start(|_, request, stream| {
        let path = request.path.as_str();
        let answer = if path.contains("object-lock") {
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
             </ObjectLockConfiguration>"
        } else if path.contains("versioning") {
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        } else {
            let unknown = b"<Error><Code>MethodNotAllowed</Code></Error>";
            return reply(stream, request, "405 Method Not Allowed", unknown);
        };
        reply(stream, request, "200 OK", answer.as_bytes())
    });
    let store = locked(&server);
    assert_eq!(store.locks().unwrap().check().unwrap().flaws, []);
}
