//! TLS: the certificate, where it comes from, and how it is changed while the server runs.
//!
//! What can go wrong: a new certificate is written before its key, or is broken. Then the old pair
//! goes on until both fit.

mod own;

pub use own::{Names, make_own};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use strongroom_model::Fingerprint;
use tokio::time::interval;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};

use crate::http::stop::Stop;
use crate::{Error, Result};

/// No sound file of a certificate or key is larger.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// Where a certificate and its key lie, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The certificate that the server shows now.
pub struct Certificates {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// The digest of what the files held when they were looked at last.
    seen: Mutex<[u8; 32]>,
}

impl Certificates {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn open(files: CertificateFiles) -> Result<Arc<Self>> {
        let provider = Arc::new(default_provider());
        let (certificate, key) = read(&files)?;
        let current = parse(&files, &certificate, &key, &provider)?;
        Ok(Arc::new(Self {
            files,
            provider,
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(digest(&certificate, &key)),
        }))
    }

    /// The fingerprint of the certificate that is shown now.
    pub fn fingerprint(&self) -> Fingerprint {
        let current = self.current.read();
        let certificate = current.cert.first().map_or(&[][..], AsRef::as_ref);
        Fingerprint::of(certificate)
    }

    /// Looks whether the files have changed; returns whether another pair is shown from now on.
    ///
    /// # Errors
    /// [`Error::Certificate`] where the files have changed and are broken, or cannot be read; the
    /// old pair goes on.
    pub fn refresh(&self) -> Result<bool> {
        let (certificate, key) = read(&self.files)?;
        let digest = digest(&certificate, &key);
        if std::mem::replace(&mut *self.seen.lock(), digest) == digest {
            return Ok(false);
        }
        let new = parse(&self.files, &certificate, &key, &self.provider)?;
        *self.current.write() = Arc::new(new);
        Ok(true)
    }

    /// Looks every so often whether the files have changed, until the end.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration, mut stop: Stop) {
        let mut tick = interval(every);
        let mut complaint = String::new();
        while stop.wait_or(tick.tick()).await.is_some() {
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.refresh()).await {
                Ok(Ok(true)) => {
                    complaint.clear();
                    let fingerprint = self.fingerprint();
                    tracing::info!(%fingerprint, "A new certificate is shown");
                }
                Ok(Err(error)) if error.to_string() != complaint => {
                    complaint = error.to_string();
                    tracing::error!(%error, "The certificate was not changed");
                }
                _ => {}
            }
        }
    }

    /// How to speak TLS 1.2 and 1.3, and within it HTTP/2 or HTTP/1.1.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(|error| unusable(&self.files.certificate, error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn read(files: &CertificateFiles) -> Result<(Vec<u8>, Vec<u8>)> {
    let read = |path: &Path| {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_FILE_BYTES).read_to_end(&mut bytes))
            .map_err(|error| unusable(path, error))?;
        Ok::<_, Error>(bytes)
    };
    Ok((read(&files.certificate)?, read(&files.key)?))
}

fn parse(
    files: &CertificateFiles,
    certificate: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|_| unusable(&files.certificate, "it is no PEM"))?;
    if chain.is_empty() {
        return Err(unusable(&files.certificate, "it holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| unusable(&files.key, "it holds no private key in PEM"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let reason = format!("it and its key do not fit: {error}");
        unusable(&files.certificate, reason)
    })
}

fn digest(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let lengths = (certificate.len() as u64).to_be_bytes();
    Sha256::new()
        .chain_update(lengths)
        .chain_update(certificate)
        .chain_update(key)
        .finalize()
        .into()
}

fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
