//! The address under which browsers reach the vault.
//!
//! Passkeys are bound to it, and browsers offer them on few kinds of address only. Whoever chose
//! another one must hear so before the day on which he needs one.

use std::fmt;
use std::str::FromStr;

use strongroom_model::config::reader::Reader;
use strongroom_model::config::section::Section;
use url::{Host, Url};

use crate::config::storage::is_plain_address;

/// The address under which browsers reach the vault: a scheme, a host, perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// The host, as in certificates: a name, or an address without brackets.
    pub fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => self.0.host_str().unwrap_or_default().to_owned(),
        }
    }

    /// The address as browsers compare it, without a slash at its end.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Why passkeys cannot work under this address and what to do, where they cannot.
    /// `is_own_certificate`: the vault has made its certificate itself, so that no browser trusts
    /// it.
    pub fn passkey_problem(&self, is_own_certificate: bool) -> Option<String> {
        let is_encrypted = self.0.scheme() == "https";
        let name = match self.0.host() {
            Some(Host::Domain(name)) => name,
            _ => {
                return Some(format!(
                    "Browsers offer no passkeys on {}, because its host is a bare address: give \
                     the vault a name in DNS and write public_url = \"https://vault.example.net\"",
                    self.origin()
                ));
            }
        };
        let is_local = name == "localhost" || name.ends_with(".localhost");
        if !is_encrypted && !is_local {
            return Some(format!(
                "Browsers offer no passkeys on {}, because it is not encrypted: write public_url \
                 = \"https://{name}\", and give the vault a certificate in [tls]",
                self.origin()
            ));
        }
        (is_encrypted && is_own_certificate).then(|| {
            format!(
                "Browsers offer no passkeys on {}, because nobody they trust vouches for the \
                 certificate that the vault has made itself: get one for {name} (certbot \
                 certonly) and name it in [tls]",
                self.origin()
            )
        })
    }

    /// The same where no address is configured.
    pub fn missing() -> String {
        "Passkeys are bound to an address, and none is configured: write public_url = \
         \"https://vault.example.net\", the address that browsers use"
            .to_owned()
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).ok().filter(is_plain_address);
        url.map(Self)
            .ok_or_else(|| format!("{text:?} is no address for browsers"))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

pub(super) fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<PublicUrl> {
    top.parsed(
        reader,
        "public_url",
        |text| text.parse().ok(),
        "no address for browsers",
        "write a scheme and a host, and nothing behind: public_url = \
         \"https://vault.example.net\"",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str, is_own_certificate: bool) -> String {
        let url = PublicUrl(Url::parse(url).unwrap());
        let problem = url.passkey_problem(is_own_certificate);
        problem.unwrap_or_default()
    }

    #[test]
    fn passkeys_work_under_a_trusted_name_and_on_localhost() {
        assert_eq!(problem("https://vault.example.net", false), "");
        assert_eq!(problem("https://vault.example.net:8443", false), "");
        assert_eq!(problem("http://localhost:8000", false), "");
        assert_eq!(problem("http://vault.localhost:8000", true), "");
    }

    #[test]
    fn where_they_cannot_it_is_said_what_to_do() {
        for bare in [
            "https://192.0.2.1",
            "https://[2001:db8::1]:8000",
            "http://127.0.0.1",
        ] {
            assert!(problem(bare, false).contains("a name in DNS"), "{bare}");
        }
        let plain = problem("http://vault.example.net:8000", false);
        assert!(plain.contains("\"https://vault.example.net\""), "{plain}");
        let own = problem("https://vault.example.net", true);
        assert!(own.contains("get one for vault.example.net"), "{own}");
        assert!(problem("https://localhost", true).contains("[tls]"));
    }
}
