//! How to reach a REST server, and how patient to be with it.
//!
//! The password of the address is taken out of the URL once, here, and never comes out in a log,
//! an error or a `Debug` text.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use strongroom_model::{FileType, Fingerprint};
use url::Url;
use zeroize::Zeroizing;

use crate::store::list_limit_files;
use crate::{Error, Result};

/// What a [`RestStore`](crate::RestStore) is made from.
pub struct RestOptions {
    /// Where the repository is: `https://user:password@host/path/`.
    pub url: Url,
    /// PEM certificates that the server's must descend from; given these, no other is trusted.
    pub ca_file: Option<PathBuf>,
    /// The one certificate that the server may show; given this, no authority is asked.
    pub fingerprint: Option<Fingerprint>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retries: Retries,
    /// The most files of each type that a listing may name.
    pub list_limit: fn(FileType) -> usize,
    /// Set from outside to end all waiting.
    pub cancelled: Arc<AtomicBool>,
}

impl RestOptions {
    /// The defaults for a URL.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            ca_file: None,
            fingerprint: None,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            list_limit: list_limit_files,
            cancelled: Arc::default(),
        }
    }
}

impl fmt::Debug for RestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestOptions")
            .field("url", &without_userinfo(&self.url).as_str())
            .field("ca_file", &self.ca_file)
            .field("fingerprint", &self.fingerprint)
            .field("timeouts", &self.timeouts)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// How long one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To resolve the name, and again to connect with TLS.
    pub connect: Duration,
    /// To wait for an answer, or for its next bytes.
    pub answer: Duration,
    /// What a body must move on top of that, on the whole.
    pub least_bytes_per_second: u64,
}

impl Timeouts {
    /// The longest that a body of this size may take.
    pub(crate) fn for_body(&self, size_bytes: u64) -> Duration {
        let moving = size_bytes / self.least_bytes_per_second.max(1);
        self.answer.saturating_add(Duration::from_secs(moving))
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            least_bytes_per_second: 16 << 10,
        }
    }
}

/// How often to try what is worth trying again.
///
/// The pause before try *n* is drawn evenly from zero to `first_pause` × 2ⁿ⁻², so that many clients
/// of one server that comes back do not all come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// All tries together; at least one is made.
    pub tries: u32,
    /// The longest pause before the second try.
    pub first_pause: Duration,
    /// No pause is longer, whatever the server asks for.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            tries: 5,
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(20),
        }
    }
}

/// A URL taken apart.
pub(super) struct Address {
    /// The URL without user and password, with a slash at its end.
    pub(super) base: String,
    /// The same as people write it.
    pub(super) location: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of the `Authorization` header.
    pub(super) authorization: Option<Zeroizing<String>>,
}

impl Address {
    /// Checks a URL and takes the secret out of it.
    pub(super) fn parse(url: &Url) -> Result<Self> {
        let mut clean = without_userinfo(url);
        let refuse = |clean: &Url, reason: &str| {
            Err(Error::Address {
                address: format!("rest:{clean}"),
                reason: reason.to_owned(),
            })
        };
        if !matches!(clean.scheme(), "http" | "https") {
            return refuse(&clean, "It must begin with https:// or http://");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse(
                &clean,
                "It must not contain ? or #; write them as %3F and %23",
            );
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return refuse(&clean, "It names no host");
        };
        if !clean.path().ends_with('/') {
            let path = format!("{}/", clean.path());
            clean.set_path(&path);
        }
        Ok(Self {
            location: format!("rest:{clean}"),
            base: clean.to_string(),
            host: host.to_owned(),
            port,
            authorization: authorization(url),
        })
    }

    /// The URL of the server's root, with a slash at its end.
    pub(super) fn root(&self) -> String {
        let end = self.base.match_indices('/').nth(2).map(|(end, _)| end);
        let root = end.and_then(|end| self.base.get(..=end));
        root.unwrap_or(&self.base).to_owned()
    }

    /// The path of the URL, without slashes around it.
    pub(super) fn path(&self) -> &str {
        let path = self.base.splitn(4, '/').nth(3).unwrap_or_default();
        path.trim_end_matches('/')
    }

    /// Whether the host is written as a loopback address or `localhost`.
    pub(super) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

/// The URL as it may be shown: query and fragment could hold secrets too.
pub(crate) fn without_userinfo(url: &Url) -> Url {
    let mut clean = url.clone();
    // Both fail only for URLs that cannot have a user.
    let _ = clean.set_username("");
    let _ = clean.set_password(None);
    clean.set_query(None);
    clean.set_fragment(None);
    clean
}

/// Basic authentication (RFC 7617) from the user and password of a URL.
fn authorization(url: &Url) -> Option<Zeroizing<String>> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = Zeroizing::new(Vec::new());
    pair.extend(percent_decode_str(url.username()));
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let encoded = Zeroizing::new(BASE64.encode(&pair));
    Some(Zeroizing::new(format!("Basic {}", *encoded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address> {
        Address::parse(&Url::parse(text).unwrap())
    }

    #[test]
    fn user_and_password_leave_the_address_and_are_decoded() {
        let address = parse("https://ali%20ce:p%40ss%2Fword@vault.example/acme/repos").unwrap();
        assert_eq!(address.base, "https://vault.example/acme/repos/");
        assert_eq!(address.location, "rest:https://vault.example/acme/repos/");
        assert_eq!(
            (address.host.as_str(), address.port),
            ("vault.example", 443)
        );
        let expected = format!("Basic {}", BASE64.encode(b"ali ce:p@ss/word"));
        assert_eq!(*address.authorization.unwrap(), expected);
    }

    #[test]
    fn root_and_path_of_a_server_are_told_apart() {
        for (text, root, path) in [
            ("https://u:p@h/acme/repos", "https://h/", "acme/repos"),
            ("http://h:8000", "http://h:8000/", ""),
            ("http://[::1]:8000/a/", "http://[::1]:8000/", "a"),
            ("https://h/a/b/c/", "https://h/", "a/b/c"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!((address.root().as_str(), address.path()), (root, path));
        }
    }

    #[test]
    fn an_address_without_user_sends_no_credentials() {
        assert!(
            parse("http://vault.example:8000/")
                .unwrap()
                .authorization
                .is_none()
        );
    }

    #[test]
    fn what_is_not_http_or_has_a_query_is_refused_without_telling_the_secret() {
        for text in [
            "ftp://u:geheim@h/",
            "https://u:geheim@h/?token=geheim",
            "https://u:geheim@h/#geheim",
            "mailto:geheim@h",
        ] {
            let error = parse(text).err().unwrap().to_string();
            assert!(
                text.starts_with("mailto") || !error.contains("geheim"),
                "{error}"
            );
        }
    }

    #[test]
    fn options_do_not_show_the_password() {
        let options = RestOptions::new(Url::parse("https://u:geheim@h/r/").unwrap());
        assert!(!format!("{options:?}").contains("geheim"));
    }

    #[test]
    fn a_large_body_may_take_longer() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.for_body(0), Duration::from_secs(60));
        assert_eq!(timeouts.for_body(16 << 20), Duration::from_secs(60 + 1024));
    }
}
