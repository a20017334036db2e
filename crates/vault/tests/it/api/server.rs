//! A vault with its API on a free port of loopback, and clients that check every answer, and what
//! they send, against the description.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use strongroom_ledger::{KeyKind, Signer};
use strongroom_vault::http::api::{Api, Parts};
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::{
    Answering, Blocking, Handler, HttpMetrics, Limits, Peer, Request, Rest, Serving, Stopper,
    WitnessPage, bind, serve, simple, witness,
};
use strongroom_vault::people::Who;
use strongroom_vault::publication::{LogFiles, LogFolder, Publisher};
use strongroom_vault::rules::clock::DAY_MS;
use strongroom_vault::rules::right::Right;
use strongroom_vault::runs_in::Whereabouts;
use strongroom_vault::vault::{Channels, NewToken};
use strongroom_vault::{Vault, admin_token};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::description::Description;
use crate::vault::scene::Scene;

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Server {
    pub(super) scene: Scene,
    pub(super) address: SocketAddr,
    pub(super) admin_token: String,
    pub(super) description: Description,
    pub(super) metrics: Metrics,
    _stopper: Stopper,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Value,
}

/// Somebody who asks.
pub(super) struct Caller<'s> {
    server: &'s Server,
    authorization: Option<String>,
    headers: Vec<(&'static str, String)>,
}

struct Pages {
    api: Api,
    rest: Rest,
    witness: WitnessPage,
}

impl Handler for Pages {
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static> {
        Box::pin(async move {
            if request.uri().path() == witness::PATH {
                return self.witness.answer(request, &peer).await;
            }
            let request = match self.api.answer(request, &peer).await {
                Ok(response) => return response,
                Err(request) => *request,
            };
            let answer = self.rest.answer(request, &peer).await;
            answer.unwrap_or_else(|| simple(StatusCode::NOT_FOUND, "nothing"))
        })
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(Scene::new(), Limits::default()).await
    }

    /// The same, for a vault that is there, and with other limits.
    pub(super) async fn start_with(scene: Scene, limits: Limits) -> Self {
        let log = LogFolder::open(scene.folder.path().join("log")).unwrap();
        Self::start_on(scene, limits, Arc::new(log)).await
    }

    /// The same, with the files of its log elsewhere.
    pub(super) async fn start_on(scene: Scene, limits: Limits, log: Arc<dyn LogFiles>) -> Self {
        let folder = scene.folder.path().to_owned();
        let admin_token = admin_token::open(&folder.join("keys")).unwrap();
        let token = admin_token.expose().to_owned();
        let vault = scene.vault.clone();
        let publisher = Publisher::open(vault.clone(), log, &folder.join("keys"));
        let publisher = publisher.unwrap();
        publisher.publish().unwrap();
        let blocking = Blocking::new(16);
        let signer = Signer::from_seed(KeyKind::Witness, "witness.test", &[5; 32]).unwrap();
        let witness = WitnessPage::new(
            vault.clone(),
            blocking.clone(),
            Arc::new(signer),
            Vec::new(),
        );
        let rest = Rest::new(
            vault.clone(),
            publisher.published(),
            blocking.clone(),
            limits.clone(),
        );
        let runs_in = Whereabouts::declared(Some("123456789012".parse().unwrap()));
        runs_in.told_of_objects(vec!["aws-owner:aa".parse().unwrap()]);
        let api = Api::new(Parts {
            vault,
            rest: rest.clone(),
            publisher: Arc::new(publisher),
            blocking,
            limits: limits.clone(),
            spool: folder,
            runs_in,
            verify_every_ms: 30 * DAY_MS,
            channels: Channels {
                count: 1,
                outside_production: 1,
            },
            admin_token,
        });
        let metrics = Metrics::new();
        let serving = Serving {
            limits,
            certificates: None,
            metrics: Arc::new(HttpMetrics::new(&metrics)),
        };
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stopper, stop) = Stopper::new();
        let pages = Arc::new(Pages { api, rest, witness });
        tokio::spawn(serve(serving, vec![listener], pages, stop));
        Self {
            scene,
            address,
            admin_token: token,
            description: Description::new(),
            metrics,
            _stopper: stopper,
        }
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.scene.vault
    }

    fn caller(&self, authorization: Option<String>) -> Caller<'_> {
        Caller {
            server: self,
            authorization,
            headers: Vec::new(),
        }
    }

    pub(super) fn as_nobody(&self) -> Caller<'_> {
        self.caller(None)
    }

    pub(super) fn as_administrator(&self) -> Caller<'_> {
        self.caller(Some(format!("Bearer {}", self.admin_token)))
    }

    /// A machine with a new token of this right, by basic authentication as restic has it.
    pub(super) fn as_machine(&self, right: Right) -> Caller<'_> {
        let token = self.token(right, "acme");
        let basic = data_encoding::BASE64.encode(format!("any:{token}").as_bytes());
        self.caller(Some(format!("Basic {basic}")))
    }

    pub(super) fn as_appender(&self) -> Caller<'_> {
        self.as_machine(Right::Append)
    }

    pub(super) fn as_reader(&self) -> Caller<'_> {
        self.as_machine(Right::Read)
    }

    pub(super) fn as_reporter(&self) -> Caller<'_> {
        self.as_machine(Right::Report)
    }

    pub(super) fn as_bearer(&self, token: &str) -> Caller<'_> {
        self.caller(Some(format!("Bearer {token}")))
    }

    pub(super) fn token(&self, right: Right, prefix: &str) -> String {
        let new = NewToken {
            right,
            prefix: prefix.parse().unwrap(),
            expires_in_ms: None,
            daily_bytes: None,
            daily_objects: None,
        };
        let text = self.vault().create_token(Who::Folder, &new).unwrap();
        text.reveal().to_owned()
    }
}

impl Caller<'_> {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        let body = serde_json::to_vec(&body).unwrap();
        self.ask("POST", path, Some(body)).await
    }

    /// Asks, and holds request and answer to the description.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Answer {
        let answer = self.ask_freely(method, path, body.clone()).await;
        let description = &self.server.description;
        description.check(method, path, body.as_deref(), answer.status, &answer.body);
        answer
    }

    /// Asks for what is not in the description.
    pub(super) async fn ask_freely(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Answer {
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "vault.test");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let asked = sender.send_request(request.body(body).unwrap());
        let response = timeout(PATIENCE, asked).await.unwrap().unwrap();
        let (head, body) = response.into_parts();
        let bytes = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        let text = String::from_utf8(bytes.to_bytes().to_vec()).unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }
}
