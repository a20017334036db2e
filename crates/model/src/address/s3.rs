//! The address of a bucket, as restic writes it: `s3:https://host/bucket/prefix`.
//!
//! What can go wrong: a host and a bucket look alike. So a word that may be either is refused, and
//! a host of one's own is written with its scheme. An address holds no secret: by what right
//! somebody asks there is said beside it.

use std::fmt;

use url::Url;

use crate::address::{Refusal, is_loopback};

/// What to write instead of an address that means nothing.
const EXAMPLE: &str = "write \"s3:https://s3.REGION.amazonaws.com/BUCKET/folder\", or \
                       \"s3:https://host.example/BUCKET/folder\" for a server of your own";

/// A bucket, and what all names in it begin with.
#[derive(Clone, Debug)]
pub struct S3Address {
    /// The root of the server, without user, path and query.
    service: Url,
    is_amazon: bool,
    region: Option<String>,
    bucket: String,
    prefix: String,
}

/// What a host says of itself.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    /// It is Amazon's S3, in a region where one is named.
    Amazon { region: Option<String> },
    /// It is Amazon's, with a bucket in front.
    AmazonWithBucket,
    /// It is somebody else's.
    Other,
}

impl S3Address {
    /// The server, where it is not Amazon's own.
    pub fn endpoint(&self) -> Option<&Url> {
        (!self.is_amazon).then_some(&self.service)
    }

    /// The root of the server; that of Amazon's where no other is named.
    pub fn service(&self) -> &Url {
        &self.service
    }

    /// The region that the host names, at Amazon.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What all names begin with, without slashes around it; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the address itself says that the server is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.service)
    }

    /// Whether a text can name a bucket, or a folder in one: nothing in it means something else in an
    /// address.
    pub fn is_plain_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        name.len() <= 255
            && name.bytes().all(is_plain)
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
    }

    /// Whether another place lies inside this one, or is it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let inner = other.prefix.strip_prefix(&self.prefix);
        let is_below =
            |rest: &str| self.prefix.is_empty() || rest.is_empty() || rest.starts_with('/');
        self.is_same_bucket(other) && inner.is_some_and(is_below)
    }

    /// Names of buckets are the same in all regions of Amazon.
    fn is_same_bucket(&self, other: &Self) -> bool {
        self.endpoint() == other.endpoint() && self.bucket == other.bucket
    }

    /// Reads what stands behind `s3:`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        match text.split_once("://") {
            Some((scheme, rest)) if !scheme.is_empty() => Self::with_host(text, rest),
            _ => Self::of_amazon(text),
        }
    }

    /// Reads a whole URL, of which `rest` is what stands behind the scheme.
    fn with_host(text: &str, rest: &str) -> Result<Self, Refusal> {
        let mut service = Url::parse(text).map_err(|error| refuse(&format!("{error}")))?;
        if !matches!(service.scheme(), "http" | "https") {
            return Err(refuse("a bucket is reached by https"));
        }
        if !service.username().is_empty() || service.password().is_some() {
            return Err(Refusal {
                reason: "the address of a bucket has no user and no password".to_owned(),
                instead: "write access_key and secret_key_file beside it".to_owned(),
            });
        }
        if service.query().is_some() || service.fragment().is_some() {
            return Err(refuse("the address of a bucket has no ? or #"));
        }
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        if service.path().trim_start_matches('/') != path {
            return Err(refuse(NAMES));
        }
        let (bucket, prefix) = names(path)?;
        service.set_path("/");
        let is_plain = service.scheme() == "https" && service.port().is_none();
        let host = Host::of(service.host_str().unwrap_or_default());
        let (is_amazon, region) = match host {
            Host::Amazon { region } if is_plain => (true, region),
            Host::AmazonWithBucket => {
                return Err(refuse(
                    "the bucket stands in the path, not in front of the host",
                ));
            }
            Host::Amazon { .. } | Host::Other => (false, None),
        };
        Ok(Self {
            service,
            is_amazon,
            region,
            bucket,
            prefix,
        })
    }

    /// Reads an address without a scheme: a bucket of Amazon's, with or without Amazon's host.
    fn of_amazon(text: &str) -> Result<Self, Refusal> {
        let (first, rest) = text.split_once('/').unwrap_or((text, ""));
        if first.is_empty() {
            return Err(refuse("it names no bucket"));
        }
        if first.contains([':', '@']) {
            return Err(refuse(
                "a host of your own is written with https:// before it",
            ));
        }
        let (region, path) = match Host::of(first) {
            Host::Amazon { region } => (region, rest),
            Host::AmazonWithBucket => {
                return Err(refuse(
                    "the bucket stands in the path, not in front of the host",
                ));
            }
            Host::Other if first.contains('.') => {
                return Err(refuse("its first word may be a host or a bucket"));
            }
            Host::Other => (None, text),
        };
        let (bucket, prefix) = names(path)?;
        let service = match &region {
            Some(region) => format!("https://s3.{region}.{}/", domain(region)),
            None => "https://s3.amazonaws.com/".to_owned(),
        };
        Ok(Self {
            service: Url::parse(&service).map_err(|error| refuse(&format!("{error}")))?,
            is_amazon: true,
            region,
            bucket,
            prefix,
        })
    }
}

impl Host {
    fn of(host: &str) -> Self {
        let front = host
            .strip_suffix(".amazonaws.com")
            .or_else(|| host.strip_suffix(".amazonaws.com.cn"));
        let Some(front) = front else {
            return Self::Other;
        };
        if front == "s3" {
            return Self::Amazon { region: None };
        }
        let region = front
            .strip_prefix("s3.")
            .or_else(|| front.strip_prefix("s3-"))
            .map(|region| region.strip_prefix("dualstack.").unwrap_or(region));
        match region {
            Some(region) if is_region(region) => Self::Amazon {
                region: Some(region.to_owned()),
            },
            // An endpoint of a network of one's own, which is reached like any other server.
            _ if front.ends_with(".vpce") => Self::Other,
            None if front.ends_with(".s3") || front.contains(".s3.") || front.contains(".s3-") => {
                Self::AmazonWithBucket
            }
            _ => Self::Other,
        }
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            bucket,
            prefix,
            ..
        } = self;
        let slash = if prefix.is_empty() { "" } else { "/" };
        write!(f, "s3:{service}{bucket}/{prefix}{slash}")
    }
}

impl PartialEq for S3Address {
    /// Addresses are equal when they lead to the same place, whoever asks there.
    fn eq(&self, other: &Self) -> bool {
        self.is_same_bucket(other) && self.prefix == other.prefix
    }
}

impl Eq for S3Address {}

/// What a bucket and folders in it may be called.
const NAMES: &str = "a bucket and the folders in it have letters, digits, '-', '_' and '.', and \
                     begin with a letter or digit";

/// Whether a text can be the name of a region, as `eu-central-1`.
pub(crate) fn is_region(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_letter)
}

/// Takes a path apart into a bucket and a prefix.
fn names(path: &str) -> Result<(String, String), Refusal> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Err(refuse("it names no bucket"));
    }
    if !path.split('/').all(S3Address::is_plain_name) {
        return Err(refuse(NAMES));
    }
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    Ok((bucket.to_owned(), prefix.to_owned()))
}

/// Where Amazon serves a region.
fn domain(region: &str) -> &'static str {
    match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    }
}

fn refuse(reason: &str) -> Refusal {
    Refusal {
        reason: reason.to_owned(),
        instead: EXAMPLE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> S3Address {
        S3Address::parse(text).unwrap()
    }

    #[test]
    fn a_server_of_ones_own_is_known_by_its_url() {
        for (text, service, prefix) in [
            (
                "https://s3.example:7480/acme/repos",
                "https://s3.example:7480/",
                "repos",
            ),
            ("https://s3.example/acme/a/b/", "https://s3.example/", "a/b"),
            ("http://127.0.0.1:9000/acme", "http://127.0.0.1:9000/", ""),
            ("http://[::1]:9000/acme/", "http://[::1]:9000/", ""),
            (
                "https://s3.eu-central-1.amazonaws.com:8443/acme",
                "https://s3.eu-central-1.amazonaws.com:8443/",
                "",
            ),
        ] {
            let address = parse(text);
            assert_eq!(address.endpoint().unwrap().as_str(), service);
            assert_eq!((address.bucket(), address.prefix()), ("acme", prefix));
            assert_eq!(address.region(), None);
        }
        assert!(parse("http://127.0.0.1:9000/acme").is_loopback());
        assert!(parse("http://[::1]:9000/acme").is_loopback());
        assert!(!parse("https://s3.example/acme").is_loopback());
    }

    #[test]
    fn amazon_is_known_in_all_ways_that_restic_writes_it() {
        for (text, region) in [
            ("acme/repos", None),
            ("s3.amazonaws.com/acme/repos", None),
            ("https://s3.amazonaws.com/acme/repos", None),
            (
                "s3.eu-central-1.amazonaws.com/acme/repos",
                Some("eu-central-1"),
            ),
            (
                "https://s3.eu-central-1.amazonaws.com/acme/repos/",
                Some("eu-central-1"),
            ),
            (
                "https://s3-eu-west-1.amazonaws.com/acme/repos",
                Some("eu-west-1"),
            ),
            (
                "https://s3.dualstack.us-east-2.amazonaws.com/acme/repos",
                Some("us-east-2"),
            ),
            (
                "s3.cn-north-1.amazonaws.com.cn/acme/repos",
                Some("cn-north-1"),
            ),
        ] {
            let address = parse(text);
            assert_eq!(address.endpoint(), None, "{text}");
            assert_eq!(address.region(), region, "{text}");
            assert_eq!((address.bucket(), address.prefix()), ("acme", "repos"));
            // One place, however it is written.
            assert_eq!(address, parse("acme/repos"));
        }
        let own = "https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com/acme";
        assert!(parse(own).endpoint().is_some());
    }

    #[test]
    fn it_is_shown_as_restic_reads_it() {
        for (text, shown) in [
            ("acme", "s3:https://s3.amazonaws.com/acme/"),
            ("acme/a/b", "s3:https://s3.amazonaws.com/acme/a/b/"),
            (
                "s3.eu-central-1.amazonaws.com/acme",
                "s3:https://s3.eu-central-1.amazonaws.com/acme/",
            ),
            (
                "s3.cn-north-1.amazonaws.com.cn/acme",
                "s3:https://s3.cn-north-1.amazonaws.com.cn/acme/",
            ),
            ("http://h:1/acme/x", "s3:http://h:1/acme/x/"),
        ] {
            let address = parse(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(parse(shown.strip_prefix("s3:").unwrap()), address);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (text, reason) in [
            ("", "it names no bucket"),
            ("/acme", "it names no bucket"),
            ("//acme/x", "it names no bucket"),
            ("https://s3.example/", "it names no bucket"),
            ("https://s3.example", "it names no bucket"),
            ("s3.amazonaws.com", "it names no bucket"),
            ("minio.lan/acme", "its first word may be a host or a bucket"),
            (
                "minio:9000/acme",
                "a host of your own is written with https:// before it",
            ),
            (
                "u:p@minio/acme",
                "a host of your own is written with https:// before it",
            ),
            (
                "https://acme.s3.eu-central-1.amazonaws.com/x",
                "the bucket stands in the path, not in front of the host",
            ),
            (
                "acme.s3.amazonaws.com/x",
                "the bucket stands in the path, not in front of the host",
            ),
            ("ftp://h/acme", "a bucket is reached by https"),
            (
                "https://u:p@h/acme",
                "the address of a bucket has no user and no password",
            ),
            ("https://h/acme?x", "the address of a bucket has no ? or #"),
            ("https://h/acme#x", "the address of a bucket has no ? or #"),
            ("https://h/acme/../other", NAMES),
            ("https://h/acme//x", NAMES),
            ("https://h//acme", NAMES),
            ("https://h/acme/%2e%2e", NAMES),
            ("https://h\\x/acme", NAMES),
            ("acme/..", NAMES),
            ("acme/-x", NAMES),
            ("äcme", NAMES),
        ] {
            assert_eq!(S3Address::parse(text).unwrap_err().reason, reason, "{text}");
        }
    }

    #[test]
    fn places_in_one_bucket_are_told_apart_by_whole_folders() {
        let contains = |outer: &str, inner: &str| parse(outer).contains(&parse(inner));
        assert!(contains("acme", "acme/a"));
        assert!(contains("acme/a", "acme/a/b"));
        assert!(contains("acme/a", "s3.eu-central-1.amazonaws.com/acme/a"));
        assert!(!contains("acme/a/b", "acme/a"));
        assert!(!contains("acme/a", "acme/ab"));
        assert!(!contains("acme/a", "other/a/b"));
        assert!(!contains("http://h:1/acme", "http://h:2/acme/a"));
        assert!(!contains("http://h:1/acme", "acme/a"));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_shown_so_that_it_can_be_read_again(
            text in "(https?://)?(s3\\.|[a-z]{1,8}\\.)?[a-z0-9.:-]{0,9}(/[a-zA-Z0-9._-]{0,8}){0,4}",
        ) {
            if let Ok(address) = S3Address::parse(&text) {
                let shown = address.to_string();
                let again = S3Address::parse(shown.strip_prefix("s3:").unwrap());
                prop_assert_eq!(again.unwrap(), address);
            }
        }
    }
}
