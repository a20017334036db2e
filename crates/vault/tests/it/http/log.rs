//! What is in the log, and above all what is not.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use strongroom_vault::http::Limits;
use strongroom_vault::logging;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::server::{Server, pattern, request, text};

const CANARY: &str = "c4n4ry";

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Written {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_of_a_request_gets_into_the_log_not_even_at_its_most_talkative() {
    let written = Written::default();
    let subscriber = logging::subscriber(Level::TRACE, written.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let (mut server, _events) = Server::start(Limits::default()).await;
    let mut http1 = server.http1().await;
    let mut http2 = server.http2().await;
    let path = format!("/upload?token={CANARY}");
    let post = || {
        let mut post = request("POST", &path, pattern(100));
        for name in ["authorization", "cookie", "user-agent", "x-anything"] {
            let value = format!("Basic {CANARY}").parse().unwrap();
            post.headers_mut().insert(name, value);
        }
        post
    };
    text(http1.send_request(post()).await.unwrap()).await;
    text(http2.send_request(post()).await.unwrap()).await;
    let odd = format!("{CANARY} /{CANARY} HTTP/1.1\r\nhost: {CANARY}\r\nconnection: close\r\n\r\n");
    server.talk(odd.as_bytes()).await;
    server
        .talk(format!("GET /{CANARY} NONSENSE\r\n\r\n").as_bytes())
        .await;
    drop((http1, http2));
    server.begin_stop();
    server.ended().await;
    let log = String::from_utf8(written.0.lock().clone()).unwrap();
    assert!(!log.contains(CANARY), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["message"] == "request")
        .collect();
    let line = &lines[0];
    assert_eq!(line["method"], "POST");
    assert_eq!(line["route"], "test");
    assert_eq!(line["repository"], "acme/repos");
    assert_eq!(line["token"], "t1");
    assert_eq!(line["status"], 200);
    assert_eq!(line["received_bytes"], 100);
    assert_eq!(line["peer"], "127.0.0.1");
    assert!(
        line["ms"].is_u64() && line["sent_bytes"].as_u64() > Some(64),
        "{line}"
    );
    assert_eq!(lines[2]["method"], "other");
}
