//! Strangers, who show no token or wrong ones: whoever is known does not notice them.

use std::net::SocketAddr;
use std::time::Duration;

use strongroom_vault::http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::server::Server;
use crate::vault::scene::Scene;

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sooner than any limit of time gives a place back.
const SOON: Duration = Duration::from_secs(2);

async fn raw_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// What comes until the connection ends, however it ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    let _ = read.expect("the server must close the connection");
    String::from_utf8_lossy(&all).into_owned()
}

fn under_way(server: &Server) -> usize {
    let text = server.metrics.text().unwrap();
    let line = "strongroom_vault_requests_under_way ";
    let value = text.lines().find_map(|known| known.strip_prefix(line));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_no_checkpoint_holds_no_place() {
    let limits = Limits {
        requests: 4,
        ..Limits::default()
    };
    let server = Server::start_with(Scene::new(), limits).await;
    let head = b"POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    let mut unfinished = Vec::new();
    for last in [2, 2, 3, 3] {
        let mut stream = raw_from(last, server.address).await;
        stream.write_all(head).await.unwrap();
        unfinished.push(stream);
    }
    let begun = async {
        while under_way(&server) < 4 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    let machine = server.as_reader();
    let answer = timeout(SOON, machine.get("/v1/vault")).await.unwrap();
    assert_eq!(answer.status, 200);
    // No address has more than its share, and what does not come is not waited for.
    let mut more = raw_from(2, server.address).await;
    more.write_all(head).await.unwrap();
    let told = timeout(SOON, rest(&mut more)).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("retry-after: 5\r\n"), "{told}");
    for mut stream in unfinished {
        let told = rest(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    }
}
