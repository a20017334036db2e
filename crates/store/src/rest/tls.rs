//! Which certificates a REST server may show.
//!
//! An own CA file replaces the public authorities instead of joining them: none of those can then
//! vouch for somebody who stands in between. A fingerprint replaces all authorities.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use strongroom_model::Fingerprint;
use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};

use crate::rest::options::Address;
use crate::rest::pin::PinnedTls;
use crate::{Error, Result};

/// No sound file of certificates is larger.
const CA_FILE_LIMIT_BYTES: u64 = 8 << 20;

/// An agent that believes the certificates of its configuration, or the pinned one and no other.
pub(super) fn agent(
    config: Config,
    address: &Address,
    fingerprint: Option<Fingerprint>,
) -> Result<Agent> {
    let Some(fingerprint) = fingerprint else {
        return Ok(config.new_agent());
    };
    let unusable = |reason: String| Error::Address {
        address: address.location.clone(),
        reason,
    };
    if !address.base.starts_with("https:") {
        let reason = "plain HTTP shows no certificate, so it has no fingerprint".to_owned();
        return Err(unusable(reason));
    }
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(PinnedTls::new(fingerprint).map_err(unusable)?);
    Ok(Agent::with_parts(
        config,
        connector,
        DefaultResolver::default(),
    ))
}

/// The certificates to trust: the file's alone where one is given, else the public ones.
pub(super) fn tls_config(address: &Address, ca_file: Option<&Path>) -> Result<TlsConfig> {
    let roots = match ca_file {
        None => RootCerts::WebPki,
        Some(path) => {
            let unusable = |reason: String| Error::Address {
                address: address.location.clone(),
                reason: format!("the CA file {}: {reason}", path.display()),
            };
            let pem = read_ca_file(path).map_err(|error| unusable(error.to_string()))?;
            let mut certificates = Vec::new();
            for item in parse_pem(&pem) {
                if let PemItem::Certificate(certificate) =
                    item.map_err(|error| unusable(error.to_string()))?
                {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(unusable("it holds no PEM certificate".to_owned()));
            }
            RootCerts::new_with_certs(&certificates)
        }
    };
    Ok(TlsConfig::builder().root_certs(roots).build())
}

/// Reads a file of certificates, as much of it as any sound one has.
pub(crate) fn read_ca_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    File::open(path)?
        .take(CA_FILE_LIMIT_BYTES)
        .read_to_end(&mut pem)?;
    Ok(pem)
}
