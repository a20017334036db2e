//! The limits of a token must not be met by an honest client, however many connections it has.

use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use strongroom_model::{FileType, Id};
use strongroom_vault::rules::right::Right;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::server::Server;

/// As many as people give to restic by `-o rest.connections`.
const CONNECTIONS: u64 = 64;

/// Files that each of them puts, and gets back.
const FILES: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_with_sixty_four_connections_is_never_asked_to_wait() {
    let server = Server::start().await;
    let append = server.scene.token(Right::Append);
    server.scene.init(&append);
    let token = server.token(Right::Append, "acme/repos");
    let basic = data_encoding::BASE64.encode(format!("any:{token}").as_bytes());
    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        let (address, basic) = (server.address, basic.clone());
        clients.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            for file in 0..FILES {
                let content = (client * 1_000 + file).to_be_bytes().repeat(512);
                let name = format!(
                    "/acme/repos/{}/{}",
                    FileType::Data.folder(),
                    Id::of(&content)
                );
                for (method, body) in [("POST", content.clone()), ("GET", Vec::new())] {
                    sender.ready().await.unwrap();
                    let request = hyper::Request::builder()
                        .method(method)
                        .uri(&name)
                        .header("host", "vault.test")
                        .header("authorization", format!("Basic {basic}"))
                        .body(Full::new(Bytes::from(body)));
                    let response = sender.send_request(request.unwrap()).await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    let body = response.into_body().collect().await.unwrap().to_bytes();
                    assert!(method == "POST" || body == content);
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}
