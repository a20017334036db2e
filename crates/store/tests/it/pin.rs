//! A server that is known by its certificate alone.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use strongroom_model::{FileName, FileType, Fingerprint, Id};
use strongroom_store::rest::pinned_certificate;
use strongroom_store::{Error, RestOptions, RestStore, Store};
use strongroom_testkit::RcloneServer;
use tempfile::TempDir;

use crate::tls::{make_certificates, options};

/// The fingerprint as openssl prints it, for people to compare.
fn printed(folder: &Path, certificate: &str) -> Fingerprint {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(folder.join(certificate))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, fingerprint) = text.trim().split_once('=').unwrap();
    fingerprint.parse().unwrap()
}

fn serve(folder: &Path, name: &str) -> RcloneServer {
    let served = folder.join("served");
    std::fs::create_dir_all(&served).unwrap();
    let file = |end: &str| folder.join(format!("{name}{end}")).display().to_string();
    RcloneServer::start(&served, &["--cert", &file(".pem"), "--key", &file(".key")])
}

fn pinned(server: &RcloneServer, fingerprint: Fingerprint) -> RestOptions {
    let mut options = options(server);
    options.fingerprint = Some(fingerprint);
    options
}

#[test]
fn the_pinned_certificate_is_enough_whatever_name_the_server_is_called_by() {
    let folder = TempDir::new().unwrap();
    make_certificates(folder.path(), "own");
    let server = serve(folder.path(), "own");
    let fingerprint = printed(folder.path(), "own.pem");
    let mut by_name = pinned(&server, fingerprint);
    by_name.url.set_host(Some("localhost")).unwrap();
    for options in [pinned(&server, fingerprint), by_name] {
        let store = RestStore::new(options).unwrap();
        store.create().unwrap();
        let name = FileName::new(FileType::Index, Id::of(b"content"));
        store.save(name, b"content").unwrap();
        assert_eq!(store.read(name).unwrap(), b"content");
    }
}

#[test]
fn the_pinned_certificate_is_had_for_programs_that_know_no_pins_and_no_other_is() {
    let folder = TempDir::new().unwrap();
    make_certificates(folder.path(), "own");
    let server = serve(folder.path(), "own");
    let (url, limit) = (options(&server).url, Duration::from_secs(60));
    let fingerprint = printed(folder.path(), "own.pem");
    let pem = pinned_certificate(&url, fingerprint, limit).unwrap();
    let shown = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    assert_eq!(Fingerprint::of(&shown), fingerprint);
    make_certificates(folder.path(), "new");
    let other = printed(folder.path(), "new.pem");
    let refused = pinned_certificate(&url, other, limit);
    assert!(matches!(refused, Err(Error::Unreachable { .. })));
}

#[test]
fn another_certificate_is_refused_with_both_fingerprints_and_the_next_step() {
    let folder = TempDir::new().unwrap();
    make_certificates(folder.path(), "own");
    make_certificates(folder.path(), "new");
    let server = serve(folder.path(), "new");
    let (own, new) = (
        printed(folder.path(), "own.pem"),
        printed(folder.path(), "new.pem"),
    );
    // The authority that signed what is shown is not the server: its certificate does not do.
    for wrong in [own, printed(folder.path(), "new-ca.pem")] {
        let store = RestStore::new(pinned(&server, wrong)).unwrap();
        let error = store.list(FileType::Data).unwrap_err();
        assert!(
            matches!(error, Error::OtherCertificate { pinned, shown, .. }
                if pinned == wrong && shown == new),
            "{error:?}"
        );
        let told = format!("{error}; {}", error.hint().unwrap());
        for part in [wrong.to_string(), format!("fingerprint = \"{new}\"")] {
            assert!(told.contains(&part), "{part}: {told}");
        }
        assert!(matches!(
            store.create().unwrap_err(),
            Error::OtherCertificate { .. }
        ));
    }
}

#[test]
fn a_fingerprint_of_a_server_without_certificate_is_an_error_at_once() {
    let mut options = RestOptions::new("http://u:geheim@127.0.0.1:1/".parse().unwrap());
    options.fingerprint = Some(Fingerprint::of(b""));
    let error = RestStore::new(options).unwrap_err();
    assert!(matches!(error, Error::Address { .. }), "{error:?}");
}

/// Shows one certificate and signs with the key of another.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Serves handshakes until the test ends; returns its port.
fn impostor(folder: &Path, version: &'static SupportedProtocolVersion) -> u16 {
    let certificate = CertificateDer::from_pem_file(folder.join("own.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("other.key")).unwrap();
    let shown = CertifiedKey::new(vec![certificate], any_supported_type(&key).unwrap());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Impostor(Arc::new(shown))));
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client hangs up in the middle of it.
            let _ = connection.complete_io(&mut stream);
        }
    });
    port
}

#[test]
fn who_has_the_certificate_and_not_its_key_is_refused() {
    let folder = TempDir::new().unwrap();
    make_certificates(folder.path(), "own");
    make_certificates(folder.path(), "other");
    for version in [&TLS12, &TLS13] {
        let port = impostor(folder.path(), version);
        let url = format!("https://u:p@127.0.0.1:{port}/acme/repo");
        let mut options = RestOptions::new(url.parse().unwrap());
        options.fingerprint = Some(printed(folder.path(), "own.pem"));
        options.retries.tries = 1;
        let error = RestStore::new(options)
            .unwrap()
            .list(FileType::Data)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { reason, .. } if reason.contains("ignature")),
            "{version:?}: {error:?}"
        );
    }
}
