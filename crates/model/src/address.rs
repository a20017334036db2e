//! Where a copy lives, as the configuration writes it: a folder, `rest:https://…`, `s3:https://…`.
//!
//! Addresses travel into logs, errors and status tables, while the token in them must not: what
//! [`RestAddress`] shows has neither user nor password, since some people put a token in either.

mod s3;

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use url::{Host, Url};

use crate::error::{Error, Result};
use crate::secret::Secret;

pub use crate::address::s3::S3Address;
pub(crate) use crate::address::s3::is_region;

/// The place of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A folder of this machine, by its absolute path.
    Local(PathBuf),
    /// A server that speaks restic's REST protocol.
    Rest(RestAddress),
    /// A bucket of Amazon's S3, or of what speaks as it does.
    S3(S3Address),
}

/// The address of a REST server: a URL that ends in `/`, and the credentials for it.
#[derive(Clone)]
pub struct RestAddress {
    url: Url,
    credentials: Option<(String, Secret)>,
}

/// Kinds of store that restic knows and this version cannot use.
const NOT_BUILT: [&str; 6] = ["sftp", "b2", "azure", "gs", "swift", "rclone"];

impl RestAddress {
    /// Where to send requests; without user and password.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The user and password for basic authentication.
    pub fn credentials(&self) -> Option<(&str, &Secret)> {
        let (user, password) = self.credentials.as_ref()?;
        Some((user, password))
    }

    /// Whether the address itself says that the server is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Whether a password would cross a network readable by anyone on the way.
    pub fn shows_password(&self) -> bool {
        self.url.scheme() == "http" && self.credentials.is_some() && !self.is_loopback()
    }

    fn parse(text: &str) -> std::result::Result<Self, Refusal> {
        let example = "write \"rest:https://user:${TOKEN}@host.example/folder/\"";
        let refuse = |reason: &str| Refusal {
            reason: reason.to_owned(),
            instead: example.to_owned(),
        };
        let mut url = Url::parse(text).map_err(|error| refuse(&format!("{error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("a REST server is reached by https"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("a REST address has no ? or #"));
        }
        let decoded = |text: &str| {
            percent_decoded(text)
                .ok_or_else(|| refuse("the user or password holds a % that is not an escape"))
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((
                decoded(user)?,
                Secret::new(decoded(password.unwrap_or_default())?),
            )),
        };
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| refuse("it has no host"))?;
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self { url, credentials })
    }
}

impl fmt::Display for RestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rest:{}", self.url)
    }
}

impl fmt::Debug for RestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for RestAddress {
    /// Addresses are equal when they lead to the same place, whoever asks there.
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for RestAddress {}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Rest(address) => address.fmt(f),
            Self::S3(address) => address.fmt(f),
        }
    }
}

impl FromStr for StoreAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).map_err(|refusal| Error::Address {
            text: redacted(text),
            reason: refusal.reason,
            instead: refusal.instead,
        })
    }
}

impl StoreAddress {
    /// Reads an address; what is refused is explained without repeating any of it.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, Refusal> {
        if let Some(url) = text.strip_prefix("rest:") {
            return RestAddress::parse(url).map(Self::Rest);
        }
        if let Some(bucket) = text.strip_prefix("s3:") {
            return S3Address::parse(bucket).map(Self::S3);
        }
        let path = text.strip_prefix("local:").unwrap_or(text);
        if path.starts_with('/') {
            return absolute_path(path).map(Self::Local);
        }
        let kind = text.split_once(':').map(|(kind, _)| kind);
        let refusal = match kind {
            Some("http" | "https") => Refusal {
                reason: "the kind of store is missing".to_owned(),
                instead: "write \"rest:https://…\" for a restic REST server".to_owned(),
            },
            Some(kind) if NOT_BUILT.contains(&kind) => Refusal {
                reason: format!("stores of kind \"{kind}\" are not built yet"),
                instead: "write an absolute path (\"/var/backups/strongroom\"), \
                          \"rest:https://…\" or \"s3:https://…\", or remove this copy"
                    .to_owned(),
            },
            _ => match absolute_path(path) {
                Ok(path) => return Ok(Self::Local(path)),
                Err(refusal) => refusal,
            },
        };
        Err(refusal)
    }

    /// Whether one of two places lies inside the other, as far as their addresses tell.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Local(a), Self::Local(b)) => a.starts_with(b) || b.starts_with(a),
            (Self::S3(a), Self::S3(b)) => a.contains(b) || b.contains(a),
            _ => false,
        }
    }
}

/// Whether a URL says that its server is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Why a text was refused and what to write instead; never repeats the text.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) instead: String,
}

/// Reads a path that means the same in whatever folder the program is started.
///
/// `..` is refused, since whether a copy lies in a source is decided by comparing paths.
pub(crate) fn absolute_path(text: &str) -> std::result::Result<PathBuf, Refusal> {
    let refuse = |reason: &str, instead: &str| {
        Err(Refusal {
            reason: reason.to_owned(),
            instead: instead.to_owned(),
        })
    };
    let path = Path::new(text);
    if text.contains('\0') {
        return refuse("a path holds no NUL", "remove it");
    }
    if text == "~" || text.starts_with("~/") {
        return refuse(
            "~ depends on who runs the backup",
            "write the whole path: \"/home/you/…\", or \"${HOME}/…\"",
        );
    }
    if !path.is_absolute() {
        return refuse(
            "the path is not absolute",
            "write the whole path, from / on: \"/srv/…\"",
        );
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return refuse("the path holds ..", "write the path without ..");
    }
    Ok(path.components().collect())
}

/// The address without anything that could be a user, password or token.
pub(crate) fn redacted(text: &str) -> String {
    match (text.find("//"), text.rfind('@')) {
        (Some(start), Some(end)) if start < end => {
            let head = text.get(..start).unwrap_or_default();
            let tail = text.get(end..).unwrap_or_default();
            format!("{head}//***{tail}")
        }
        (_, Some(end)) => format!("***{}", text.get(end..).unwrap_or_default()),
        _ => text.to_owned(),
    }
}

/// Encodes whatever could end or split the user part of a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes what stands in percent signs; `None` where a `%` is no escape, or it is no text.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rest(text: &str) -> RestAddress {
        match text.parse().unwrap() {
            StoreAddress::Rest(address) => address,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_rest_address_keeps_its_credentials_to_itself() {
        let address = rest("rest:https://backup:s3cr%2Ft@vault.example.net/acme/repos");
        let shown = format!(
            "{address} {address:?} {:?}",
            StoreAddress::Rest(address.clone())
        );
        assert_eq!(
            address.to_string(),
            "rest:https://vault.example.net/acme/repos/"
        );
        assert!(
            !shown.contains("s3cr") && !shown.contains("backup"),
            "{shown}"
        );
        let (user, password) = address.credentials().unwrap();
        assert_eq!((user, password.expose()), ("backup", "s3cr/t"));
    }

    #[test]
    fn an_address_that_is_refused_does_not_show_its_password() {
        for text in [
            "rest:https://u:hunter2@",
            "rest:https://u:hun/ter2@host/",
            "rest:ftp://u:hunter2@host/",
            "https://u:hunter2@host/",
            "rest://u:hunter2@host",
            "sftp:u:hunter2@host:/x",
            "rest:https://u:%zzhunter2@host/",
            "s3:https://u:hunter2@host/bucket",
            "s3:u:hunter2@host/bucket",
            "u:hunter2@host",
        ] {
            if let Err(error) = text.parse::<StoreAddress>() {
                let told = format!("{error} {error:?} {:?}", error.hint());
                assert!(
                    !told.contains("hunter2") && !told.contains("ter2"),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn folders_are_absolute_and_plain() {
        let local = |text: &str| {
            text.parse::<StoreAddress>()
                .map(|address| address.to_string())
        };
        assert_eq!(local("/var//backups/./x/").unwrap(), "/var/backups/x");
        assert_eq!(local("local:/x").unwrap(), "/x");
        for bad in ["", "x", "./x", "~/x", "/a/../b", "C:\\x", "/a\0b"] {
            assert!(local(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn loopback_is_seen_in_the_address() {
        assert!(rest("rest:http://localhost:8000/").is_loopback());
        assert!(rest("rest:http://127.8.0.1/").is_loopback());
        assert!(rest("rest:http://[::1]/").is_loopback());
        assert!(rest("rest:http://[::ffff:127.0.0.1]/").is_loopback());
        assert!(!rest("rest:https://vault.example.net/").is_loopback());
    }

    #[test]
    fn a_password_in_the_clear_is_noticed_only_where_others_can_read_it() {
        assert!(rest("rest:http://u:p@vault.example.net/").shows_password());
        assert!(!rest("rest:http://u:p@127.0.0.1/").shows_password());
        assert!(!rest("rest:https://u:p@vault.example.net/").shows_password());
        assert!(!rest("rest:http://vault.example.net/").shows_password());
    }

    proptest! {
        #[test]
        fn any_text_survives_as_a_password(password in "\\PC{1,40}") {
            let address = rest(&format!("rest:https://u:{}@h/", percent_encoded(&password)));
            prop_assert_eq!(address.credentials().unwrap().1.expose(), password.as_str());
        }

        #[test]
        fn no_address_panics(text in "(rest:|local:|s3:|)(https?://)?\\PC*") {
            let _ = text.parse::<StoreAddress>();
        }
    }
}
