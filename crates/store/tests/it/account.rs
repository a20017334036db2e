//! Instance metadata, as its providers answer and as others do.

use serde_json::json;
use strongroom_store::place::account::Metadata;

use crate::server::{Server, Then, reply, reply_with};

fn only(aws: Option<&Server>, gcp: Option<&Server>, azure: Option<&Server>) -> Option<String> {
    let base = |server: &Server| server.endpoint();
    let metadata = Metadata {
        aws: aws.map(base),
        gcp: gcp.map(base),
        azure: azure.map(base),
    };
    metadata.account().map(|account| account.to_string())
}

#[test]
fn each_provider_names_its_account() {
    let aws = Server::start(|_, request, stream| match request.path.as_str() {
        "/latest/api/token" => {
            assert_eq!(request.method, "PUT");
            assert!(
                request
                    .header("x-aws-ec2-metadata-token-ttl-seconds")
                    .is_some()
            );
            reply(stream, request, "200 OK", b"token")
        }
        _ => {
            assert_eq!(request.header("x-aws-ec2-metadata-token"), Some("token"));
            let document = json!({"accountId": "123456789012", "region": "eu-central-1"});
            reply(stream, request, "200 OK", document.to_string().as_bytes())
        }
    });
    assert_eq!(
        only(Some(&aws), None, None).as_deref(),
        Some("aws:123456789012")
    );
    let gcp = Server::start(|_, request, stream| {
        assert_eq!(request.header("metadata-flavor"), Some("Google"));
        let headers = "Metadata-Flavor: Google\r\n";
        reply_with(stream, request, "200 OK", headers, b"acme-prod\n")
    });
    assert_eq!(
        only(None, Some(&gcp), None).as_deref(),
        Some("gcp:acme-prod")
    );
    let azure = Server::start(|_, request, stream| {
        assert_eq!(request.header("metadata"), Some("true"));
        let id = b"8d10da13-8125-4ba9-a717-bf7490507b3d";
        reply(stream, request, "200 OK", id)
    });
    assert_eq!(
        only(None, None, Some(&azure)).as_deref(),
        Some("azure:8d10da13-8125-4ba9-a717-bf7490507b3d")
    );
}

#[test]
fn no_answer_is_followed_elsewhere_and_nothing_odd_is_believed() {
    let elsewhere = Server::start(|_, request, stream| reply(stream, request, "200 OK", b"token"));
    let location = format!("Location: {}/latest/api/token\r\n", elsewhere.endpoint());
    let moved = Server::start(move |_, request, stream| {
        reply_with(stream, request, "307 Moved", &location, b"")
    });
    assert_eq!(only(Some(&moved), Some(&moved), Some(&moved)), None);
    assert_eq!(elsewhere.requests().len(), 0);
    for document in [
        json!({"accountId": "\u{1b}[2J"}),
        json!({"accountId": "12345678901"}),
        json!({"accountId": "12345678901x"}),
        json!([]),
    ] {
        let document = document.to_string();
        let odd = Server::start(move |_, request, stream| match request.method.as_str() {
            "PUT" => reply(stream, request, "200 OK", b"token"),
            _ => reply_with(
                stream,
                request,
                "200 OK",
                "Metadata-Flavor: Google\r\n",
                document.as_bytes(),
            ),
        });
        assert_eq!(only(Some(&odd), Some(&odd), Some(&odd)), None);
    }
    let long = "t".repeat(2000);
    let long = Server::start(move |_, request, stream| {
        assert_eq!(request.method, "PUT");
        reply(stream, request, "200 OK", long.as_bytes())
    });
    assert_eq!(only(Some(&long), None, None), None);
}

#[test]
fn who_is_no_provider_names_none() {
    let page = || Server::start(|_, request, stream| reply(stream, request, "200 OK", b"<html>"));
    let refusing =
        || Server::start(|_, request, stream| reply(stream, request, "404 Not Found", b""));
    let gone = || Server::start(|_, _, _| Then::Close);
    for server in [page(), refusing(), gone()] {
        assert_eq!(only(Some(&server), Some(&server), Some(&server)), None);
    }
    assert_eq!(only(None, None, None), None);
}
