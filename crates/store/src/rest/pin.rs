//! TLS to a server that is known by its certificate alone, as a vault that has made its own.
//!
//! No authority is asked and no name or date is looked at: the certificate is the one that was
//! pinned, byte for byte, or it is refused. That it is the server's own, and not a copy of it in
//! somebody else's hands, is shown by the signature of the handshake, which is verified as always.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DEFAULT_VERSIONS, DigitallySignedStruct,
    OtherError, SignatureScheme, StreamOwned,
};
use strongroom_model::Fingerprint;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::place;

/// Wraps connections in TLS to the one server that holds the pinned certificate.
pub(super) struct PinnedTls {
    config: Arc<ClientConfig>,
}

/// A connection in TLS.
pub(super) struct PinnedTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

/// A server showed another certificate than the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherCertificate {
    pub(super) pinned: Fingerprint,
    pub(super) shown: Fingerprint,
}

/// Takes the pinned certificate and no other.
#[derive(Debug)]
struct Pin {
    pinned: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedTls {
    /// Pins a certificate.
    ///
    /// # Errors
    /// In words, where the versions of TLS and the cryptography do not fit together.
    pub(super) fn new(pinned: Fingerprint) -> Result<Self, String> {
        let provider = Arc::new(default_provider());
        let pin = Pin {
            pinned,
            algorithms: provider.signature_verification_algorithms,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pin))
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// The pinned certificate, in PEM, from the server that shows it; each step may take as long as
    /// `limit`.
    pub(super) fn fetch(&self, host: &str, port: u16, limit: Duration) -> io::Result<String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        let mut connection = connection.map_err(io::Error::other)?;
        let mut stream = Err(io::Error::other("its name leads nowhere"));
        for address in place::addresses(host, port)? {
            stream = TcpStream::connect_timeout(&address, limit);
            if stream.is_ok() {
                break;
            }
        }
        let mut stream = stream?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        connection.complete_io(&mut stream)?;
        let shown = connection.peer_certificates().and_then(|all| all.first());
        let shown = shown.ok_or_else(|| io::Error::other("it shows no certificate"))?;
        Ok(pem(shown))
    }
}

/// A certificate as text.
fn pem(certificate: &[u8]) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    // 48 bytes are 64 letters.
    for line in certificate.chunks(48) {
        text.push_str(&BASE64.encode(line));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

impl OtherCertificate {
    /// Finds it in what ended a connection.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
                other.downcast_ref().copied()
            }
            _ => None,
        }
    }
}

impl fmt::Display for OtherCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate {} is not {}", self.shown, self.pinned)
    }
}

impl StdError for OtherCertificate {}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        let other = OtherCertificate {
            pinned: self.pinned,
            shown,
        };
        let error = CertificateError::Other(OtherError(Arc::new(other)));
        Err(rustls::Error::InvalidCertificate(error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl<In: Transport> Connector<In> for PinnedTls {
    type Out = Either<In, PinnedTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        // Plain HTTP is spoken to a proxy alone; what goes through it to the server is wrapped.
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(invalid)?;
        let boxed: Box<dyn Transport> = Box::new(transport);
        let mut stream = StreamOwned {
            conn: connection,
            sock: TransportAdapter::new(boxed, Arc::clone(&details.current_time)),
        };
        stream.sock.set_timeout(details.timeout);
        stream.conn.complete_io(&mut stream.sock)?;
        let config = details.config;
        Ok(Some(Either::B(PinnedTransport {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            stream,
        })))
    }
}

impl Transport for PinnedTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for PinnedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for PinnedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedTransport").finish_non_exhaustive()
    }
}

fn invalid(error: impl StdError + Send + Sync + 'static) -> ureq::Error {
    ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, error))
}
