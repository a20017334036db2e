//! What is asked of a vault, and what becomes of the answers of servers that are none.

use std::net::TcpStream;

use serde_json::json;
use strongroom_model::receipt::Signature;
use strongroom_model::vault::VaultInfo;
use strongroom_model::{Id, Receipt, Secret, SignedReceipt};
use strongroom_store::{Error, Hello, RestOptions, RestStore, Sent, VaultAdmin, VaultClient};

use crate::server::{Request, Server, Then, reply_with};

const JSON: &str = "Content-Type: application/json\r\n";

pub(crate) fn hello() -> String {
    json!({
        "version": "0.1.0",
        "origin": "vault.example.net/strongroom",
        "log_key": "vault.example.net/strongroom+00000000+AAAA",
        "runs_in": {"account": "aws:123456789012", "by": "metadata"},
        "time": {
            "wall": "2026-11-20T10:00:00Z", "vault": "2026-11-20T09:00:00Z", "doubted": false,
        },
        "sealed": false,
        "new_log": null,
        "from_a_newer_version": [1, 2],
    })
    .to_string()
}

/// A server that gives the same answer to everything.
fn always(status: &'static str, headers: &'static str, body: String) -> Server {
    Server::start(move |_, request, stream| {
        reply_with(stream, request, status, headers, body.as_bytes())
    })
}

fn client(server: &Server) -> VaultClient {
    server.store().vault().unwrap()
}

#[test]
fn a_vault_is_asked_at_the_root_of_its_server_with_the_credentials_of_the_copy() {
    let server = always("200 OK", JSON, hello());
    let Hello::Vault(info) = client(&server).hello() else {
        panic!("a vault");
    };
    let expected: VaultInfo = serde_json::from_str(&hello()).unwrap();
    assert_eq!(*info, expected);
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("GET", "/v1/vault")
    );
    // user:geheim
    assert_eq!(
        request.header("authorization"),
        Some("Basic dXNlcjpnZWhlaW0=")
    );
    assert_eq!(client(&server).root(), format!("{}/", server.endpoint()));
    assert_eq!(client(&server).repository().as_str(), "acme/repo");
}

#[test]
fn whatever_another_server_answers_it_is_no_vault() {
    for (status, headers, body) in [
        ("404 Not Found", "", "404 page not found\n".to_owned()),
        ("405 Method Not Allowed", "", String::new()),
        ("400 Bad Request", JSON, "{}".to_owned()),
        ("200 OK", "Content-Type: text/html\r\n", hello()),
        ("200 OK", JSON, "{\"version\": 1}".to_owned()),
        ("200 OK", JSON, "[]".to_owned()),
        (
            "301 Moved Permanently",
            "Location: http://127.0.0.1:1/\r\n",
            String::new(),
        ),
    ] {
        let server = always(status, headers, body);
        let said = client(&server).hello();
        assert!(matches!(said, Hello::NoVault), "{status}: {said:?}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn who_may_not_ask_is_told_apart_from_who_gets_no_answer() {
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "429 Too Many Requests",
        "503 Service Unavailable",
    ] {
        let server = always(status, "", String::new());
        let said = client(&server).hello();
        assert!(matches!(said, Hello::Withheld(_)), "{status}: {said:?}");
        assert!(server.requests().len() <= 2, "{status}");
    }
    let endless = always("200 OK", JSON, "1,".repeat(1 << 20));
    assert!(matches!(client(&endless).hello(), Hello::Withheld(_)));
    let hanging_up = Server::start(|_, _, _| Then::Close);
    assert!(matches!(client(&hanging_up).hello(), Hello::Away(_)));
}

#[test]
fn only_addresses_that_a_vault_can_have_are_asked() {
    for (path, is_asked) in [
        ("acme/repo", true),
        ("acme", true),
        ("", false),
        ("a/b/c", false),
        ("acme/r%20o", false),
    ] {
        let url = format!("http://127.0.0.1:1/{path}");
        let store = RestStore::new(RestOptions::new(url.parse().unwrap())).unwrap();
        assert_eq!(store.vault().is_some(), is_asked, "{path}");
    }
}

#[test]
fn a_refusal_tells_what_the_vault_says_and_its_next_step() {
    let body = json!({"error": "this token\u{1b} may not", "hint": "ask for append"}).to_string();
    let server = always("403 Forbidden", JSON, body);
    let error = client(&server).repository_info().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}/ refuses to tell of the repository: this token  may not",
            server.endpoint()
        )
    );
    assert_eq!(error.hint().as_deref(), Some("ask for append"));
    assert!(matches!(error, Error::Vault { status: 403, .. }));
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let server = Server::start(|_, request, stream: &mut TcpStream| {
        let body = vec![b' '; 3 << 20];
        reply_with(stream, request, "200 OK", JSON, &body)
    });
    let error = client(&server).consistency(7).unwrap_err();
    assert!(
        matches!(&error, Error::BadAnswer { reason, .. } if reason.contains("longer than")),
        "{error:?}"
    );
    assert_eq!(server.requests()[0].path, "/v1/log/consistency?old=7");
}

fn receipt() -> SignedReceipt {
    let body = json!({
        "version": 1, "snapshot": Id::of(b"s"), "tree": Id::of(b"t"), "source": "main",
        "host": "h", "client": Id::of(&[7; 32]), "parent": null,
        "time": "2026-11-20T10:00:00Z",
        "needs": {"keys": [], "config": Id::of(b"c")}, "copies": {},
        "work": {"files": 0, "bytes": 0, "bytes_read": 0, "bytes_added": 0, "source_errors": 0},
    });
    let receipt: Receipt = serde_json::from_value(body).unwrap();
    SignedReceipt::new(&receipt, |_| Signature::from_bytes([1; 64])).unwrap()
}

#[test]
fn a_receipt_is_sent_as_it_was_signed_and_its_answer_understood() {
    let receipt = receipt();
    let (id, snapshot) = (receipt.id(), Id::of(b"s"));
    let answer = json!({"receipt": id, "snapshot": snapshot, "whole": false, "missing": 12});
    let server = always("200 OK", JSON, answer.to_string());
    let sent = client(&server).send_receipt(&[7; 32], &receipt).unwrap();
    let Sent::Taken(answer) = sent else {
        panic!("{sent:?}");
    };
    assert_eq!((answer.receipt, answer.snapshot), (id, snapshot));
    assert_eq!((answer.whole, answer.missing), (Some(false), 12));
    let [Request { path, body, .. }] = server.requests().try_into().unwrap();
    assert_eq!(path, "/v1/receipts/acme/repo");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["key"], data_encoding::BASE64.encode(&[7; 32]));
    let envelope: SignedReceipt = serde_json::from_value(body["receipt"].clone()).unwrap();
    assert_eq!(envelope, receipt);

    let parent = Id::of(b"parent");
    let body = json!({"error": "its parent is not known here", "needs": parent});
    let server = always("409 Conflict", JSON, body.to_string());
    let sent = client(&server).send_receipt(&[7; 32], &receipt).unwrap();
    assert_eq!(sent, Sent::Needs(parent));
    // A conflict of another kind is a refusal.
    let server = always("409 Conflict", JSON, json!({"error": "no"}).to_string());
    let error = client(&server)
        .send_receipt(&[7; 32], &receipt)
        .unwrap_err();
    assert!(
        matches!(error, Error::Vault { status: 409, .. }),
        "{error:?}"
    );
}

#[test]
fn whoever_administers_a_vault_shows_his_token_once_and_asks_once() {
    let server = always("503 Service Unavailable", JSON, "{}".to_owned());
    let options = RestOptions::new(server.endpoint().parse().unwrap());
    let admin = VaultAdmin::new(&options, &Secret::new("geheim")).unwrap();
    let error = admin
        .post("v1/clock/confirm", &json!({}), "confirm its clock")
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(request.path, "/v1/clock/confirm");
    assert_eq!(request.header("authorization"), Some("Bearer geheim"));
    assert!(!format!("{admin:?} {error:?}").contains("geheim"));

    let server = always("204 No Content", "", String::new());
    let options = RestOptions::new(server.endpoint().parse().unwrap());
    let admin = VaultAdmin::new(&options, &Secret::new("geheim")).unwrap();
    let done = admin.post("/v1/clock/confirm", &json!({}), "confirm its clock");
    assert_eq!(done.unwrap(), serde_json::Value::Null);
}

#[test]
fn the_token_of_an_administrator_never_crosses_a_network_in_the_clear() {
    let options = RestOptions::new("http://vault.example.net:8000/".parse().unwrap());
    let error = VaultAdmin::new(&options, &Secret::new("geheim")).unwrap_err();
    assert!(matches!(error, Error::Address { .. }), "{error:?}");
}
