//! Wrong logins are asked to wait longer and longer; metrics are not for everybody.

use hyper::StatusCode;
use strongroom_vault::http::Limits;

use super::server::{Server, request, text};

#[tokio::test]
async fn who_fails_too_often_is_asked_to_wait_longer_and_longer() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut client = server.http2().await;
    let mut pauses = Vec::new();
    for _ in 0..14 {
        let get = request("GET", "/login", Vec::new());
        let response = client.send_request(get).await.unwrap();
        let pause = response.headers().get("retry-after");
        let pause = pause.map_or(0, |pause| pause.to_str().unwrap().parse().unwrap());
        let is_paused = response.status() == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(is_paused, pause > 0);
        pauses.push(pause);
    }
    assert_eq!(pauses, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8]);
    let response = client
        .send_request(request("GET", "/hello", Vec::new()))
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "who is right is not kept out"
    );
}

#[tokio::test]
async fn metrics_are_told_on_this_machine_and_count_requests() {
    let (server, _events) = Server::start(Limits::default()).await;
    let mut client = server.http1().await;
    for _ in 0..3 {
        let response = client
            .send_request(request("GET", "/hello", Vec::new()))
            .await
            .unwrap();
        text(response).await;
        client.ready().await.unwrap();
    }
    let response = client
        .send_request(request("GET", "/metrics", Vec::new()))
        .await
        .unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let page = text(response).await;
    let line = "strongroom_vault_requests_total{route=\"test\",method=\"GET\",status=\"200\"} 3\n";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("strongroom_vault_connections 1\n"), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    for (token, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer guess"), StatusCode::UNAUTHORIZED),
        (Some("Bearer right"), StatusCode::OK),
    ] {
        let mut get = request("GET", "/metrics/closed", Vec::new());
        if let Some(token) = token {
            let token = token.parse().unwrap();
            get.headers_mut().insert("authorization", token);
        }
        client.ready().await.unwrap();
        let response = client.send_request(get).await.unwrap();
        assert_eq!(response.status(), status, "{token:?}");
        text(response).await;
    }
}

#[tokio::test]
async fn metrics_are_not_told_through_a_proxy_of_this_machine() {
    let (server, _events) = Server::start(Limits::default()).await;
    for header in ["forwarded", "via", "x-forwarded-for", "x-real-ip"] {
        // With a token it does not matter which way the question came.
        for (path, token, status) in [
            ("/metrics", None, "401"),
            ("/metrics/closed", Some("right"), "200"),
        ] {
            let token = token.map_or(String::new(), |token| {
                format!("authorization: Bearer {token}\r\n")
            });
            let told = server
                .talk(
                    format!(
                        "GET {path} HTTP/1.1\r\nhost: x\r\n{header}: 192.0.2.1\r\n{token}\
                         connection: close\r\n\r\n"
                    )
                    .as_bytes(),
                )
                .await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
        }
    }
}
