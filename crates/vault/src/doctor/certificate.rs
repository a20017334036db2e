//! When a certificate ends and for which names it holds: the two fields of X.509 that are needed
//! here.
//!
//! What can go wrong: the vault makes its own certificate before anybody has said under which name
//! clients know it. Then it holds for nobody but this machine, and whoever goes by names refuses it.
//! The bytes are those of a file that only the vault's owner writes; still nothing here trusts
//! them.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::config::VaultConfig;
use crate::doctor::Line;

/// The tags of DER that are met on the way.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXTENSIONS: u8 = 0xa3;
const OBJECT_ID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
/// RFC 5280, 4.2.1.6: a name of DNS, an address.
const DNS_NAME: u8 = 0x82;
const ADDRESS: u8 = 0x87;

/// The id of the extension with the names, 2.5.29.17 (RFC 5280, 4.2.1.6).
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

/// What is wrong with the names in the certificate that the vault has made itself, where clients
/// cannot use it under the name by which they know the vault; `listen` is what it listens on. `None`
/// also where a certificate is configured, or there is none yet.
pub fn own_certificate(config: &VaultConfig, listen: &[SocketAddr]) -> Option<Line> {
    if config.tls.is_some() {
        return None;
    }
    let pem = fs::read(config.data.join("keys/tls.crt")).ok()?;
    let names = names(&CertificateDer::from_pem_slice(&pem).ok()?)?;
    let anew = "remove keys/tls.crt and keys/tls.key, restart, and give clients the new certificate \
                or its fingerprint";
    if let Some(url) = &config.public_url {
        let host = url.host();
        let holds = |name: &String| name.eq_ignore_ascii_case(&host);
        return (!names.iter().any(holds)).then(|| {
            let found = format!(
                "the vault's own certificate does not hold for {host}, the host of public_url: \
                 clients that trust the file refuse it, and only those that go by its fingerprint \
                 do not"
            );
            Line::warn("certificate", found, anew)
        });
    }
    let far = listen.iter().find(|address| !address.ip().is_loopback())?;
    names.iter().all(|name| is_loopback(name)).then(|| {
        let found = format!(
            "the vault's own certificate holds for localhost alone, and the vault listens on {far}: \
             clients elsewhere that trust the file refuse it, and only those that go by its \
             fingerprint do not"
        );
        let next = format!(
            "write public_url in vault.toml, with the name that clients use; then {anew}"
        );
        Line::warn("certificate", found, next)
    })
}

/// Whether a name in a certificate means the machine itself.
fn is_loopback(name: &str) -> bool {
    let address = name.parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Until when a certificate in DER counts, in seconds since 1970; `None` where it is none.
pub(super) fn ends_s(certificate: &[u8]) -> Option<i64> {
    let mut fields = fields(certificate)?;
    // RFC 5280, 4.1: version (not in the oldest), serial number, signature, issuer, validity.
    let first = fields.next()?;
    if first.0 == VERSION {
        fields.next()?;
    }
    fields.next()?;
    fields.next()?;
    let mut validity = Der(fields.expect(SEQUENCE)?);
    validity.next()?;
    let (kind, text) = validity.next()?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            // RFC 5280, 4.1.2.5.1.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    Some(time.as_second())
}

/// The names and addresses that a certificate in DER holds for, addresses as text; `None` where it
/// is none.
fn names(certificate: &[u8]) -> Option<Vec<String>> {
    let mut fields = fields(certificate)?;
    let mut names = Vec::new();
    // The extensions are the only field with their tag.
    while let Some((tag, content)) = fields.next() {
        if tag != EXTENSIONS {
            continue;
        }
        let mut extensions = Der(Der(content).expect(SEQUENCE)?);
        while let Some((_, extension)) = extensions.next() {
            names.extend(alternative_names(extension)?);
        }
    }
    Some(names)
}

/// The names in an extension; none where it is another one.
fn alternative_names(extension: &[u8]) -> Option<Vec<String>> {
    let mut parts = Der(extension);
    if parts.expect(OBJECT_ID)? != ALTERNATIVE_NAMES {
        return Some(Vec::new());
    }
    // Whether it is critical may stand before the value.
    let value = match parts.next()? {
        (BOOLEAN, _) => parts.next()?.1,
        (_, value) => value,
    };
    let mut all = Der(Der(value).expect(SEQUENCE)?);
    let mut names = Vec::new();
    while let Some((kind, name)) = all.next() {
        names.extend(match kind {
            DNS_NAME => std::str::from_utf8(name).ok().map(ToOwned::to_owned),
            ADDRESS => address(name).map(|address| address.to_string()),
            _ => None,
        });
    }
    Some(names)
}

/// An address, which is four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let short = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    short
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// The fields of what is signed in a certificate.
fn fields(certificate: &[u8]) -> Option<Der<'_>> {
    let mut outer = Der(certificate);
    let mut certificate = Der(outer.expect(SEQUENCE)?);
    certificate.expect(SEQUENCE).map(Der)
}

/// What is left to read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the content of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // The long form: so many bytes of length, most significant first.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
                let length = bytes
                    .iter()
                    .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn ending_at(seconds: u64) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["vault.test".to_owned()]).unwrap();
        params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_found_in_both_forms_of_time() {
        for seconds in [1_800_000_000, 2_524_607_999, 2_524_608_000, 4_000_000_000] {
            let found = ends_s(&ending_at(seconds));
            assert_eq!(found, Some(i64::try_from(seconds).unwrap()));
        }
    }

    #[test]
    fn names_and_addresses_are_found_and_where_there_are_none_none() {
        let certificate = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let params = CertificateParams::new(names).unwrap();
            let key = KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().der().to_vec()
        };
        let all = ["vault.test", "192.0.2.1", "2001:db8::1", "localhost", "::1"];
        assert_eq!(names(&certificate(&all)).unwrap(), all);
        assert_eq!(names(&certificate(&[])).unwrap(), [""; 0]);
        assert_eq!(names(b"no certificate"), None);
        let own: Vec<_> = all.iter().filter(|name| is_loopback(name)).collect();
        assert_eq!(own, [&"localhost", &"::1"]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            ends_s(&bytes);
            names(&bytes);
        }

        #[test]
        fn no_damage_panics(at in 0_usize..300, byte in any::<u8>()) {
            let mut certificate = ending_at(1_800_000_000);
            let at = at % certificate.len();
            certificate[at] = byte;
            ends_s(&certificate);
            names(&certificate);
        }
    }
}
