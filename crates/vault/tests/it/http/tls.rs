//! TLS: both versions of HTTP, certificates of the vault's own and given ones, and their change.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use strongroom_vault::Error;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::tls::{Names, make_own};
use strongroom_vault::http::{
    CertificateFiles, Certificates, HttpMetrics, Limits, Serving, Stopper, bind, serve,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::server::{PATIENCE, Server, request, rest, text};

fn own(folder: &Path) -> CertificateFiles {
    let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    let names = Names {
        hosts: vec!["vault.test".to_owned()],
        addresses: vec!["192.0.2.1".parse().unwrap()],
    };
    make_own(folder, &names, now).unwrap().0
}

/// A client that trusts one certificate and nothing else.
async fn connect(
    address: SocketAddr,
    trusted: &Path,
    name: &str,
    alpn: &[&str],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(trusted).unwrap();
    roots.add(certificate).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    Sha256::digest(&certificates[0]).to_vec()
}

#[tokio::test]
async fn both_versions_of_http_over_both_versions_of_tls() {
    let folder = TempDir::new().unwrap();
    let files = own(folder.path());
    let certificates = Certificates::open(files.clone()).unwrap();
    let (server, _events) = Server::start_with(Limits::default(), Some(certificates), 8).await;
    let trusted = &files.certificate;
    for version in [&TLS12, &TLS13] {
        for name in ["localhost", "vault.test", "127.0.0.1", "192.0.2.1", "::1"] {
            let stream = connect(server.address, trusted, name, &["h2"], version)
                .await
                .unwrap();
            let io = TokioIo::new(stream);
            let (mut client, connection) =
                http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io)
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let hello = client
                .send_request(request("GET", "/hello", Vec::new()))
                .await
                .unwrap();
            assert_eq!(text(hello).await, "hello\n");

            let stream = connect(server.address, trusted, name, &["http/1.1"], version)
                .await
                .unwrap();
            let (mut client, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            let hello = client
                .send_request(request("GET", "/hello", Vec::new()))
                .await
                .unwrap();
            assert_eq!(text(hello).await, "hello\n");
        }
    }
    let other = connect(server.address, trusted, "other.test", &["h2"], &TLS13).await;
    other.unwrap_err();
}

#[tokio::test]
async fn its_own_certificate_is_made_once_and_its_key_is_for_the_owner_alone() {
    let folder = TempDir::new().unwrap();
    let files = own(folder.path());
    let mode = fs::metadata(&files.key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(&files.certificate).unwrap();
    assert_eq!(own(folder.path()), files);
    assert_eq!(fs::read(&files.certificate).unwrap(), before);

    let output = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-dates", "-in"])
        .arg(&files.certificate)
        .output()
        .expect("openssl is needed for this test: apt-get install openssl");
    let told = String::from_utf8(output.stdout).unwrap();
    let fingerprint = Certificates::open(files).unwrap().fingerprint().to_string();
    assert!(told.contains(&fingerprint), "{told} {fingerprint}");
    assert!(told.contains("notAfter=Nov 21 00:00:00 2036 GMT"), "{told}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let folder = TempDir::new().unwrap();
    let files = own(folder.path());
    let certificates = Certificates::open(files.clone()).unwrap();
    let first = certificates.fingerprint();
    let (server, _events) =
        Server::start_with(Limits::default(), Some(Arc::clone(&certificates)), 8).await;
    assert!(!certificates.refresh().unwrap(), "nothing has changed");
    let stream = connect(
        server.address,
        &files.certificate,
        "localhost",
        &["h2"],
        &TLS13,
    )
    .await;
    let before = shown(&stream.unwrap());
    let old = folder.path().join("old.crt");
    fs::copy(&files.certificate, &old).unwrap();

    let other = TempDir::new().unwrap();
    let new = own(other.path());
    // The certificate is there, its key not yet.
    fs::copy(&new.certificate, &files.certificate).unwrap();
    certificates.refresh().unwrap_err();
    let stream = connect(server.address, &old, "localhost", &["h2"], &TLS13).await;
    assert_eq!(shown(&stream.unwrap()), before);
    fs::write(&files.key, "no key").unwrap();
    certificates.refresh().unwrap_err();
    fs::remove_file(&files.key).unwrap();
    certificates.refresh().unwrap_err();
    assert_eq!(certificates.fingerprint(), first);

    fs::copy(&new.key, &files.key).unwrap();
    assert!(certificates.refresh().unwrap());
    let stream = connect(
        server.address,
        &files.certificate,
        "localhost",
        &["h2"],
        &TLS13,
    )
    .await;
    assert_ne!(shown(&stream.unwrap()), before);
    assert_ne!(certificates.fingerprint(), first);
}

#[tokio::test]
async fn what_cannot_be_used_is_named_and_shows_nothing_of_the_key() {
    let folder = TempDir::new().unwrap();
    let files = own(folder.path());
    let key = fs::read_to_string(&files.key).unwrap();
    fs::write(&files.certificate, &key).unwrap();
    let error = Certificates::open(files.clone()).unwrap_err();
    let secret = key.lines().nth(1).unwrap();
    let told = format!("{error} {error:?} {:?}", error.hint());
    assert!(told.contains("tls.crt") && !told.contains(secret), "{told}");
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_ends_the_connection() {
    let folder = TempDir::new().unwrap();
    let certificates = Certificates::open(own(folder.path())).unwrap();
    let limits = Limits {
        handshake_time: Duration::from_millis(100),
        ..Limits::default()
    };
    let (server, _events) = Server::start_with(limits, Some(certificates), 8).await;
    assert_eq!(server.talk(b"\x16\x03\x01").await, "");
    assert_eq!(server.refusals("handshake_time"), 1);
    let told = server.talk(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!told.contains("200"), "{told}");
    assert_eq!(server.refusals("handshake"), 1);
}

#[tokio::test]
async fn a_connection_in_its_handshake_makes_room_for_others() {
    let folder = TempDir::new().unwrap();
    let files = own(folder.path());
    let certificates = Certificates::open(files.clone()).unwrap();
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let (server, _events) = Server::start_with(limits, Some(certificates), 8).await;
    let mut silent = server.raw().await;
    let mut stream = connect(
        server.address,
        &files.certificate,
        "localhost",
        &["http/1.1"],
        &TLS13,
    )
    .await
    .unwrap();
    assert_eq!(rest(&mut silent).await, "");
    let hello = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(hello).await.unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    assert!(told.ends_with("hello\n"), "{told}");
}

#[tokio::test]
async fn plain_http_is_refused_where_others_could_listen() {
    let (_stopper, stop) = Stopper::new();
    let metrics = Metrics::new();
    let serving = Serving {
        limits: Limits::default(),
        certificates: None,
        metrics: Arc::new(HttpMetrics::new(&metrics)),
    };
    let (other, _events) = Server::start(Limits::default()).await;
    let handler = Arc::clone(&other.hands) as Arc<dyn strongroom_vault::http::Handler>;
    let listener = bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let refused = serve(serving, vec![listener], handler, stop)
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::PlainHttp { .. }), "{refused}");
    assert!(refused.hint().unwrap().contains("--no-tls"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_runs_finds_its_new_certificate_by_itself() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let files = own(folder.path());
    let certificates = Certificates::open(files.clone()).unwrap();
    let before = certificates.fingerprint();
    let (stopper, stop) = Stopper::new();
    let every = Duration::from_millis(5);
    let looking = tokio::spawn(Arc::clone(&certificates).keep_fresh(every, stop));
    let new = own(other.path());
    fs::copy(&new.key, &files.key).unwrap();
    fs::copy(&new.certificate, &files.certificate).unwrap();
    let changed = async {
        let mut tick = tokio::time::interval(every);
        while certificates.fingerprint() == before {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
    stopper.stop();
    looking.await.unwrap();
}
