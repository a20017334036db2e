//! A server of buckets with versions, in memory, that lies as a test wants it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use strongroom_model::attack::{Judged, judge};
use strongroom_store::{Attacked, Remnants, S3Lock, S3Store, Store};

use crate::s3::{BUCKET, options_of_nobody};
use crate::server::{Request, Server, reply_with};

/// What time the server says that it is, in every answer.
const DATE: &str = "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n";

/// The same.
const DATE_S: u64 = 784_887_151;

/// What a server does with what should be refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// Refuses it.
    Refused,
    /// Says yes, and does nothing.
    OnlySaid,
    /// Says no, and does it.
    OnlyDone,
    /// Does it.
    Done,
}

/// What a server does with a verb that takes bytes from elsewhere: a copy, a rename.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// A new version with these bytes.
    Copied,
    /// The same, and the source goes with its versions.
    Moved,
    /// A new version without bytes: it passes over the header that names the source.
    TakenForPut,
    /// Nothing, and says yes.
    OnlySaid,
    /// Nothing, and says this: status and code.
    Answered(&'static str, &'static str),
}

/// How a server lies, and what it lets happen.
#[derive(Clone, Copy)]
pub(super) struct Lies {
    pub(super) of_unlocked: Deletion,
    pub(super) of_locked: Deletion,
    pub(super) in_a_list: Deletion,
    pub(super) obeys_earlier_dates: bool,
    pub(super) of_copies: Taking,
    pub(super) of_renames: Taking,
    /// Whether a PUT and a DELETE without a version do what they say.
    pub(super) writes: bool,
    /// Whether buckets may be made, and whether they, versions and buckets, may be listed.
    pub(super) makes_buckets: bool,
    pub(super) lists: bool,
    pub(super) removes_buckets: bool,
    /// The policy of each bucket, which is told to whoever may make buckets.
    pub(super) policy: Option<&'static str>,
    /// Whether it answers what its encryption and its lifecycle are; with this.
    pub(super) encryption: Option<&'static str>,
    pub(super) lifecycle: Option<&'static str>,
    /// What is told of every version beside its lock.
    pub(super) told: &'static str,
    /// Where it lets anybody in where it is ruled, as a Ceph whose user has caps.
    pub(super) ruled_at: &'static str,
    /// The header of each answer by which a Ceph is known.
    pub(super) shown: &'static str,
}

/// What a bucket in COMPLIANCE does, to an account that may neither make nor list buckets.
pub(super) const HONEST: Lies = Lies {
    of_unlocked: Deletion::Done,
    of_locked: Deletion::Refused,
    in_a_list: Deletion::Refused,
    obeys_earlier_dates: false,
    of_copies: Taking::Copied,
    of_renames: Taking::Answered("501 Not Implemented", "NotImplemented"),
    writes: true,
    makes_buckets: false,
    lists: false,
    removes_buckets: false,
    policy: None,
    encryption: None,
    lifecycle: None,
    told: "",
    ruled_at: "",
    shown: "",
};

/// A version in a bucket, or a marker.
#[derive(Clone)]
struct Version {
    bucket: String,
    key: String,
    id: String,
    bytes: Vec<u8>,
    is_marker: bool,
    /// Mode and date, as they were sent.
    lock: Option<(String, String)>,
}

/// All that is kept; it outlives the server.
#[derive(Default)]
pub(super) struct Kept {
    versions: Vec<Version>,
    probes: Vec<String>,
    made: usize,
}

impl Kept {
    /// The probe buckets that there are.
    pub(super) fn probes(&self) -> Vec<String> {
        self.probes.clone()
    }

    /// How many versions and markers there are.
    pub(super) fn count(&self) -> usize {
        self.versions.len()
    }

    /// Makes a bucket with a file in it, as somebody else does.
    pub(super) fn make_foreign(&mut self, bucket: &str) {
        self.probes.push(bucket.to_owned());
        self.put(bucket, "invoices/1", b"1", None);
    }

    fn put(&mut self, bucket: &str, key: &str, bytes: &[u8], lock: Option<(String, String)>) {
        self.made += 1;
        self.versions.push(Version {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: format!("v{}", self.made),
            bytes: bytes.to_vec(),
            is_marker: false,
            lock,
        });
    }

    fn hide(&mut self, bucket: &str, key: &str) {
        self.put(bucket, key, b"", None);
        let marker = self.versions.last_mut().unwrap();
        marker.is_marker = true;
    }

    fn last_id(&self) -> String {
        let id = &self.versions.last().unwrap().id;
        format!("x-amz-version-id: {id}\r\n")
    }
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

fn saying(headers: String) -> Answer {
    Answer {
        headers,
        ..plain("200 OK")
    }
}

fn wrong(status: &'static str, code: &str) -> Answer {
    Answer {
        body: format!("<Error><Code>{code}</Code></Error>").into_bytes(),
        ..plain(status)
    }
}

fn xml(body: impl Into<String>) -> Answer {
    Answer {
        body: body.into().into_bytes(),
        ..plain("200 OK")
    }
}

fn refusal() -> Answer {
    wrong("403 Forbidden", "AccessDenied")
}

fn missing(code: &str) -> Answer {
    wrong("404 Not Found", code)
}

/// What stands between two tags of a body.
fn within<'b>(body: &'b str, tag: &str) -> &'b str {
    let (_, rest) = body.split_once(&format!("<{tag}>")).unwrap();
    rest.split('<').next().unwrap()
}

/// The value of a parameter.
fn parameter(query: &str, wanted: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(name, _)| *name == wanted);
    found.map(|(_, value)| value.replace("%2F", "/"))
}

/// Whether a request is about this part of a bucket or file.
fn is_about(query: &str, part: &str) -> bool {
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.any(|name| name == part)
}

fn answer(lies: &Lies, kept: &mut Kept, request: &Request) -> Answer {
    let whole = request.path.as_str();
    let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
    let path = path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return match lies.lists {
            true => xml(buckets(kept)),
            false => refusal(),
        };
    }
    let is_making = request.method == "PUT" && key.is_empty() && !query.contains("versioning");
    let is_there = bucket == BUCKET || kept.probes.iter().any(|probe| probe == bucket);
    let is_part = ["policy", "object-lock", "lifecycle"];
    let is_part = is_part.iter().any(|part| is_about(query, part));
    if is_making && !is_part {
        if !lies.makes_buckets {
            return refusal();
        }
        kept.probes.push(bucket.to_owned());
        return plain("200 OK");
    }
    if request.method == "GET" && path == lies.ruled_at {
        if path == "admin/user" {
            let status = "400 Bad Request";
            let asked = br#"{"Code":"InvalidArgument","RequestId":"tx0-0","HostId":"0"}"#;
            return match lies.shown {
                "" => wrong(status, "InvalidArgument"),
                // As a Ceph says it there.
                _ => Answer {
                    body: asked.to_vec(),
                    ..plain(status)
                },
            };
        }
        let list = format!("[\"other\",\"{BUCKET}\"]");
        return Answer {
            body: list.into_bytes(),
            ..saying("Content-Type: application/json\r\n".to_owned())
        };
    }
    if !is_there {
        return match lies.makes_buckets {
            true => missing("NoSuchBucket"),
            false => refusal(),
        };
    }
    match key {
        "" => of_bucket(lies, kept, request, bucket, query),
        key => of_file(lies, kept, request, (bucket, key), query),
    }
}

fn buckets(kept: &Kept) -> String {
    let names = [BUCKET.to_owned()].into_iter().chain(kept.probes());
    let names: String = names
        .map(|name| format!("<Bucket><Name>{name}</Name></Bucket>"))
        .collect();
    format!("<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>")
}

fn of_bucket(lies: &Lies, kept: &mut Kept, request: &Request, bucket: &str, query: &str) -> Answer {
    let about = |part| is_about(query, part);
    match request.method.as_str() {
        "POST" => delete_in_a_list(lies, kept, bucket, &String::from_utf8_lossy(&request.body)),
        "HEAD" => plain("200 OK"),
        "GET" if about("policy") && lies.makes_buckets => match lies.policy {
            Some(told) => xml(told),
            None => missing("NoSuchBucketPolicy"),
        },
        "GET" if about("encryption") => match lies.encryption {
            Some(told) => xml(told),
            None => missing("ServerSideEncryptionConfigurationNotFoundError"),
        },
        "GET" if about("lifecycle") => match lies.lifecycle {
            Some(told) => xml(told),
            None => missing("NoSuchLifecycleConfiguration"),
        },
        "GET" if about("versioning") => {
            xml("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        }
        "GET" if about("versions") && lies.lists => {
            let prefix = parameter(query, "prefix").unwrap_or_default();
            xml(listed(kept, bucket, &prefix))
        }
        "PUT" if about("versioning") => wrong("409 Conflict", "InvalidBucketState"),
        "PUT" => plain("200 OK"),
        "DELETE" if about("policy") => plain("204 No Content"),
        "DELETE" if !lies.removes_buckets => refusal(),
        "DELETE" if kept.versions.iter().any(|one| one.bucket == bucket) => {
            wrong("409 Conflict", "BucketNotEmpty")
        }
        "DELETE" => {
            kept.probes.retain(|probe| probe != bucket);
            plain("204 No Content")
        }
        _ => refusal(),
    }
}

fn listed(kept: &Kept, bucket: &str, prefix: &str) -> String {
    let of_it = |one: &&Version| one.bucket == bucket && one.key.starts_with(prefix);
    let all: String = kept
        .versions
        .iter()
        .filter(of_it)
        .map(|one| {
            let tag = match one.is_marker {
                true => "DeleteMarker",
                false => "Version",
            };
            let (key, id) = (&one.key, &one.id);
            format!("<{tag}><Key>{key}</Key><VersionId>{id}</VersionId></{tag}>")
        })
        .collect();
    format!("<ListVersionsResult>{all}</ListVersionsResult>")
}

fn delete_in_a_list(lies: &Lies, kept: &mut Kept, bucket: &str, body: &str) -> Answer {
    let (id, key) = (within(body, "VersionId"), within(body, "Key"));
    if matches!(lies.in_a_list, Deletion::Done | Deletion::OnlyDone) {
        kept.versions
            .retain(|one| one.bucket != bucket || one.id != id);
    }
    let told = match lies.in_a_list {
        Deletion::Done | Deletion::OnlySaid => format!("<Deleted><Key>{key}</Key></Deleted>"),
        Deletion::Refused | Deletion::OnlyDone => {
            format!("<Error><Key>{key}</Key><Code>AccessDenied</Code></Error>")
        }
    };
    xml(format!("<DeleteResult>{told}</DeleteResult>"))
}

fn of_file(
    lies: &Lies,
    kept: &mut Kept,
    request: &Request,
    (bucket, key): (&str, &str),
    query: &str,
) -> Answer {
    let id = parameter(query, "versionId");
    let of_key = |one: &Version| one.bucket == bucket && one.key == key;
    let found = match &id {
        Some(id) => kept
            .versions
            .iter()
            .position(|one| of_key(one) && one.id == *id),
        None => kept.versions.iter().rposition(of_key),
    };
    let body = String::from_utf8_lossy(&request.body).into_owned();
    match (request.method.as_str(), found) {
        // As a Ceph answers to a lock that is none.
        ("PUT", Some(_)) if is_about(query, "retention") && !body.contains("<Mode>") => {
            wrong("400 Bad Request", "MalformedXML")
        }
        ("PUT", Some(found)) if is_about(query, "retention") => {
            if !lies.obeys_earlier_dates || !body.contains("COMPLIANCE") {
                return refusal();
            }
            let until = within(&body, "RetainUntilDate").to_owned();
            kept.versions[found].lock = Some(("COMPLIANCE".to_owned(), until));
            plain("200 OK")
        }
        ("PUT", _) if is_about(query, "legal-hold") => plain("200 OK"),
        ("PUT", _) => {
            let copied = request.header("x-amz-copy-source");
            let moved = request.header("x-amz-rename-source");
            match (copied, moved) {
                (Some(source), _) => take(lies.of_copies, kept, source, (bucket, key)),
                (None, Some(source)) => take(lies.of_renames, kept, source, (bucket, key)),
                (None, None) => put(lies, kept, request, (bucket, key)),
            }
        }
        ("GET" | "HEAD", Some(found)) if !kept.versions[found].is_marker => {
            let version = &kept.versions[found];
            let lock = version.lock.as_ref().map(|(mode, until)| {
                format!(
                    "x-amz-object-lock-mode: {mode}\r\n\
                     x-amz-object-lock-retain-until-date: {until}\r\n"
                )
            });
            Answer {
                headers: format!(
                    "{}x-amz-version-id: {}\r\n{}",
                    lock.unwrap_or_default(),
                    version.id,
                    lies.told
                ),
                body: version.bytes.clone(),
                ..plain("200 OK")
            }
        }
        ("GET" | "HEAD", _) if id.is_some() => missing("NoSuchVersion"),
        ("GET" | "HEAD", _) => missing("NoSuchKey"),
        ("DELETE", Some(found)) if id.is_some() => {
            let deletion = match kept.versions[found].lock {
                Some(_) => lies.of_locked,
                None => lies.of_unlocked,
            };
            if matches!(deletion, Deletion::Done | Deletion::OnlyDone) {
                kept.versions.remove(found);
            }
            match deletion {
                Deletion::Done | Deletion::OnlySaid => plain("204 No Content"),
                Deletion::Refused | Deletion::OnlyDone => refusal(),
            }
        }
        ("DELETE", Some(_)) if id.is_none() && lies.writes => {
            kept.hide(bucket, key);
            Answer {
                headers: format!("x-amz-delete-marker: true\r\n{}", kept.last_id()),
                ..plain("204 No Content")
            }
        }
        ("DELETE", _) => plain("204 No Content"),
        _ => refusal(),
    }
}

/// What a PUT does: it always takes what is locked, so that there is something to attack.
fn put(lies: &Lies, kept: &mut Kept, request: &Request, (bucket, key): (&str, &str)) -> Answer {
    let header = |name| request.header(name).map(str::to_owned);
    let mode = header("x-amz-object-lock-mode");
    let lock = mode.zip(header("x-amz-object-lock-retain-until-date"));
    let is_new = !kept.versions.iter().any(|one| one.key == key);
    if !lies.writes && !is_new {
        return saying("x-amz-version-id: none\r\n".to_owned());
    }
    kept.put(bucket, key, &request.body, lock);
    saying(kept.last_id())
}

fn take(taking: Taking, kept: &mut Kept, source: &str, (bucket, key): (&str, &str)) -> Answer {
    let source = source.trim_start_matches('/');
    let (source, query) = source.split_once('?').unwrap_or((source, ""));
    let (_, source) = source.split_once('/').unwrap();
    let id = parameter(query, "versionId");
    let is_source = |one: &Version| one.key == source && id.as_ref().is_none_or(|id| one.id == *id);
    let of_source = kept.versions.iter().rev();
    let mut of_source = of_source.filter(|one| is_source(one) && !one.bytes.is_empty());
    let bytes = of_source.next().map(|one| one.bytes.clone());
    let bytes = bytes.unwrap_or_default();
    match taking {
        Taking::Copied => kept.put(bucket, key, &bytes, None),
        Taking::Moved => {
            kept.versions.retain(|one| one.key != source);
            kept.put(bucket, key, &bytes, None);
        }
        Taking::TakenForPut => kept.put(bucket, key, b"", None),
        Taking::OnlySaid => return xml("<CopyObjectResult></CopyObjectResult>"),
        Taking::Answered(status, code) => return wrong(status, code),
    }
    Answer {
        body: b"<CopyObjectResult></CopyObjectResult>".to_vec(),
        ..saying(kept.last_id())
    }
}

/// A server that lies so about what is kept.
pub(super) fn serve(lies: Lies, kept: &Arc<Mutex<Kept>>) -> Server {
    let kept = Arc::clone(kept);
    Server::start(move |_, request, stream| {
        let answer = answer(&lies, &mut kept.lock(), request);
        let headers = format!("{DATE}{}{}", lies.shown, answer.headers);
        reply_with(stream, request, answer.status, &headers, &answer.body)
    })
}

/// A copy in the bucket of a server.
pub(super) fn store(server: &Server, is_locked: bool) -> S3Store {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(DATE_S);
    let lock = is_locked.then(|| S3Lock {
        least: Duration::from_secs(30 * 86_400),
        clock: Arc::new(move || now),
    });
    S3Store::new(options_of_nobody(&server.endpoint()), lock).unwrap()
}

/// Attacks what is kept behind a server that lies so, and judges.
pub(super) fn drill_on(
    kept: &Arc<Mutex<Kept>>,
    lies: Lies,
    remnants: &Remnants,
) -> (Attacked, Judged) {
    let server = serve(lies, kept);
    let store = store(&server, true);
    let attacked = store.attacks().unwrap().attack(&[], remnants).unwrap();
    let until = Some("1994-12-30T08:12:31Z".parse().unwrap());
    let judged = judge(attacked.place, &attacked.tried, until, false);
    (attacked, judged)
}

/// Attacks a bucket that lies so, and judges.
pub(super) fn drill(lies: Lies) -> (Attacked, Judged) {
    drill_on(&Arc::default(), lies, &Remnants::default())
}
