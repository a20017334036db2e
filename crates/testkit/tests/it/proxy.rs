//! Proxies before a small site.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use strongroom_testkit::{Authenticator, Browser, Proxy};

use crate::browser::pages::PASSKEYS;
use crate::site::{Page, Site};

const PAGES: &[Page] = &[
    ("/page", 200, "", "A small page"),
    ("/passkeys", 200, "", PASSKEYS),
];

/// What is answered to a request for a path.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether the site answers through a proxy, which has said so itself, and nobody does afterwards.
fn passes_on(proxy: Proxy, name: &str) {
    let answer = get(proxy.port(), "/page");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(&format!("Server: {name}")), "{answer}");
    assert!(answer.ends_with("A small page"), "{answer}");
    assert!(get(proxy.port(), "/other").starts_with("HTTP/1.1 404 "));
    let (port, folder) = (proxy.port(), proxy.folder().to_owned());
    drop(proxy);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!folder.exists());
}

#[test]
fn nginx_passes_on_what_it_is_asked_until_it_is_dropped() {
    let site = Site::start(PAGES);
    let proxy = Proxy::nginx(&format!(
        "server {{
            listen 127.0.0.1:PORT;
            location / {{ proxy_pass http://127.0.0.1:{}; }}
        }}",
        site.port
    ));
    passes_on(proxy, "nginx");
}

#[test]
fn caddy_passes_on_what_it_is_asked_until_it_is_dropped() {
    let site = Site::start(PAGES);
    let proxy = Proxy::caddy(&format!(
        "http://127.0.0.1:PORT {{
            reverse_proxy 127.0.0.1:{}
        }}",
        site.port
    ));
    passes_on(proxy, "Caddy");
}

/// Makes a certificate of its own for `vault.test`, and its key.
fn certify(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-subj", "/CN=vault.test", "-keyout", "key.pem"])
        .args([
            "-addext",
            "subjectAltName=DNS:vault.test",
            "-out",
            "certificate.pem",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn passkeys_are_for_the_name_by_which_a_proxy_is_reached_over_tls() {
    let site = Site::start(PAGES);
    let configuration = format!(
        "server {{
            listen 127.0.0.1:PORT ssl;
            ssl_certificate FOLDER/certificate.pem;
            ssl_certificate_key FOLDER/key.pem;
            location / {{ proxy_pass http://127.0.0.1:{}; }}
        }}",
        site.port
    );
    let proxy = Proxy::nginx_with(&configuration, certify);
    let url = format!("https://vault.test:{}/passkeys", proxy.port());
    let browser = Browser::start_trusting(&proxy.folder().join("certificate.pem"));
    let authenticator = Authenticator::add(&browser);
    browser.goto(&url);
    browser.fill_label("Name", "Ada");
    browser.click_text("Enrol");
    browser.wait_for_text("Enrolled Ada", Duration::from_secs(10));
    assert_eq!(authenticator.credentials()[0].relying_party, "vault.test");
    assert_eq!(browser.console_errors(), [""; 0]);
    drop(browser);

    let stranger = Browser::start();
    let failed = catch_unwind(AssertUnwindSafe(|| stranger.goto(&url)));
    let said = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("ERR_CERT_AUTHORITY_INVALID"), "{said}");
}

#[test]
fn a_proxy_that_does_not_understand_its_configuration_says_why() {
    for (start, fault) in [
        (Proxy::nginx as fn(&str) -> Proxy, "unknown directive"),
        (Proxy::caddy, "unrecognized directive: lissen"),
    ] {
        let failed = catch_unwind(|| start("http://127.0.0.1:PORT {\n lissen 1;\n}\n"));
        let said = *failed.unwrap_err().downcast::<String>().unwrap();
        assert!(said.contains(fault), "{said}");
    }
}
