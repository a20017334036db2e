//! A certificate of the vault's own, for where nobody has given it one.
//!
//! No authority vouches for it: clients recognise it by its fingerprint, or trust the file itself.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};

use crate::http::tls::{CertificateFiles, unusable};
use crate::{Error, Result, durable};

/// For how long it is valid; nobody renews it, and clients know it by its fingerprint.
const VALID_FOR: Duration = Duration::from_secs(3650 * 86_400);

/// How far clocks of clients may be behind.
const VALID_BEFORE: Duration = Duration::from_secs(86_400);

/// What the certificate is valid for, besides `localhost` and the addresses of loopback.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Names of the host.
    pub hosts: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The certificate that the vault has made itself, in the folder of its keys; makes it where there
/// is none yet. Returns whether it was made now.
///
/// # Errors
/// [`Error::Certificate`] and [`Error::Local`].
pub fn make_own(keys: &Path, names: &Names, now: Timestamp) -> Result<(CertificateFiles, bool)> {
    let files = CertificateFiles {
        certificate: keys.join("tls.crt"),
        key: keys.join("tls.key"),
    };
    if files.certificate.exists() {
        return Ok((files, false));
    }
    let failed = |error: rcgen::Error| unusable(&files.certificate, error);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params(names, now)
        .and_then(|params| params.self_signed(&key))
        .map_err(failed)?;
    // The certificate comes last: where it is, its key is too.
    write(&files.key, key.serialize_pem().as_bytes())?;
    write(&files.certificate, certificate.pem().as_bytes())?;
    Ok((files, true))
}

fn params(names: &Names, now: Timestamp) -> std::result::Result<CertificateParams, rcgen::Error> {
    let loopback = ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned);
    let addresses = names.addresses.iter().map(ToString::to_string);
    let mut all: Vec<String> = loopback
        .into_iter()
        .chain(names.hosts.iter().cloned())
        .chain(addresses)
        .collect();
    all.sort();
    all.dedup();
    let mut params = CertificateParams::new(all)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Strongroom vault");
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let since_epoch = Duration::try_from(now.as_duration()).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH + since_epoch;
    params.not_before = (now - VALID_BEFORE).into();
    params.not_after = (now + VALID_FOR).into();
    Ok(params)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    durable::replace(path, bytes).map_err(Error::of_vault(format!("write {}", path.display())))
}
