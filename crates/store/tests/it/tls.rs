//! TLS with an own authority, in front of a real rclone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType};
use strongroom_store::{
    Bodies, Error, RestOptions, RestStore, S3Bodies, S3Options, S3Store, Store,
};
use strongroom_testkit::RcloneServer;
use tempfile::TempDir;

use crate::s3;

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("openssl is needed for this test: apt-get install openssl");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {complaint}"
    );
}

/// Makes `<name>-ca.pem`, and `<name>.pem` with `<name>.key` for the host 127.0.0.1.
pub(crate) fn make_certificates(folder: &Path, name: &str) {
    let (ca, ca_key) = (format!("{name}-ca.pem"), format!("{name}-ca.key"));
    let (key, request, certificate) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.pem"),
    );
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1").unwrap();
    let ec = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=Test authority"];
    openssl(
        folder,
        &[&authority[..], &ec, &["-keyout", &ca_key, "-out", &ca]].concat(),
    );
    let ask = [
        "req",
        "-subj",
        "/CN=Test server",
        "-keyout",
        &key,
        "-out",
        &request,
    ];
    openssl(folder, &[&ask[..], &ec].concat());
    let sign = [
        "x509",
        "-req",
        "-days",
        "2",
        "-extfile",
        "san",
        "-CAcreateserial",
    ];
    let files = [
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-out",
        &certificate,
    ];
    openssl(folder, &[&sign[..], &files].concat());
}

pub(crate) fn options(server: &RcloneServer) -> RestOptions {
    let mut options = RestOptions::new(server.url().parse().unwrap());
    options.retries.first_pause = Duration::from_millis(1);
    options
}

#[test]
fn a_server_is_trusted_through_the_own_authority_and_only_through_it() {
    let folder = TempDir::new().unwrap();
    make_certificates(folder.path(), "own");
    make_certificates(folder.path(), "foreign");
    let served = folder.path().join("served");
    std::fs::create_dir(&served).unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let server = RcloneServer::start(
        &served,
        &["--cert", &file("own.pem"), "--key", &file("own.key")],
    );
    assert!(server.url().starts_with("https://"), "{}", server.url());

    let mut trusting = options(&server);
    trusting.ca_file = Some(folder.path().join("own-ca.pem"));
    let store = RestStore::new(trusting).unwrap();
    store.create().unwrap();
    assert_eq!(store.list(FileType::Data).unwrap(), []);

    let mut misled = options(&server);
    misled.ca_file = Some(folder.path().join("foreign-ca.pem"));
    for options in [misled, options(&server)] {
        let error = RestStore::new(options)
            .unwrap()
            .list(FileType::Data)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { reason, .. } if reason.contains("certificate")),
            "{error}"
        );
    }

    let told = |ca_file: &str| {
        let options = S3Options {
            ca_file: Some(folder.path().join(ca_file)),
            ..s3::options_of_nobody(server.url())
        };
        let store = S3Store::new(options, None).unwrap();
        store.size(FileName::CONFIG).unwrap_err()
    };
    // This server knows no buckets, but it is believed and heard.
    let heard = told("own-ca.pem");
    assert!(!matches!(heard, Error::Unreachable { .. }), "{heard}");
    let misled = told("foreign-ca.pem");
    assert!(
        matches!(&misled, Error::Unreachable { reason, .. } if reason.contains("certificate")),
        "{misled}"
    );

    let bucket = S3Bodies::new(s3::options_of_nobody(server.url())).unwrap();
    let error = bucket.sweep(SystemTime::UNIX_EPOCH).unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("certificate")),
        "{error}"
    );
}

#[test]
fn a_ca_file_that_holds_no_certificate_is_an_error_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("empty.pem");
    for content in [
        None,
        Some(""),
        Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
    ] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let mut options = RestOptions::new("https://u:geheim@127.0.0.1/".parse().unwrap());
        options.ca_file = Some(path.clone());
        let error = RestStore::new(options).unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{error:?}");
        assert!(!error.to_string().contains("geheim"));
        let options = S3Options {
            endpoint: Some("https://127.0.0.1/".parse().unwrap()),
            ca_file: Some(path.clone()),
            ..S3Options::new("bucket")
        };
        let error = S3Store::new(options, None).unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{error:?}");
    }
}
