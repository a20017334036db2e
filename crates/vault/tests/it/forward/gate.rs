//! A vault that proxies ask, on a free port of loopback, and clients that say whatever they like.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use hyper::StatusCode;
use strongroom_access::forward::Rule;
use strongroom_access::{Role, Roles};
use strongroom_model::Secret;
use strongroom_vault::config::ProtectConfig;
use strongroom_vault::http::console::Parts;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::{
    Answering, Blocking, Console, Forward, Handler, HttpMetrics, Limits, Peer, Request, Serving,
    Stopper, bind, serve, simple,
};
use strongroom_vault::people::People;
use strongroom_vault::publication::{LogFolder, Publisher};
use strongroom_vault::rules::clock::DAY_MS;
use strongroom_vault::vault::Channels;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use url::{Url, form_urlencoded};

use crate::people::scene::{Office, Person};
use crate::vault::scene::Scene;

pub(super) const GRAFANA: &str = "grafana.internal.example";

pub(super) const WIKI: &str = "wiki.internal.example";

pub(super) const MINUTE_MS: i64 = 60_000;

/// Where proxies ask from, and where somebody else does.
pub(super) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub(super) const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

pub(super) const IDENTITY: [&str; 5] = [
    "remote-user",
    "remote-groups",
    "remote-name",
    "remote-email",
    "strongroom-assertion",
];

/// A secret of a folder of keys.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

struct Pages {
    forward: Forward,
    console: Console,
}

impl Handler for Pages {
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static> {
        Box::pin(async move {
            let request = match self.forward.answer(request, &peer).await {
                Ok(response) => return response,
                Err(request) => *request,
            };
            let answer = self.console.answer(request, &peer).await;
            answer.unwrap_or_else(|_| simple(StatusCode::NOT_FOUND, "nothing"))
        })
    }
}

/// A served vault, for as long as this is held.
pub(crate) struct Served {
    pub(crate) port: u16,
    runtime: Runtime,
    _stopper: Stopper,
}

/// Publishes the log of a scene into its folder.
pub(crate) fn publisher(scene: &Scene) -> Arc<Publisher> {
    let files = LogFolder::open(scene.folder.path().join("log")).unwrap();
    let keys = scene.folder.path().join("keys");
    Arc::new(Publisher::open(scene.vault.clone(), Arc::new(files), &keys).unwrap())
}

/// Serves the pages of people, who are protected as `rules` say, on a port.
pub(crate) fn serves(make: impl FnOnce(u16) -> (Arc<People>, Arc<Publisher>, Vec<Rule>)) -> Served {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (people, publisher, rules) = make(port);
    let config = ProtectConfig {
        proxies: vec!["127.0.0.1".parse().unwrap()],
        rules,
    };
    let blocking = Blocking::new(8);
    let key = Secret::new(KEY);
    let forward = Forward::new(Arc::clone(&people), config, &key, blocking.clone()).unwrap();
    let pages = Arc::new(Pages {
        forward,
        console: Console::new(Parts {
            people,
            publisher,
            blocking,
            verify_every_ms: 7 * DAY_MS,
            channels: Channels::of(&[]),
        }),
    });
    let serving = Serving {
        limits: Limits::default(),
        certificates: None,
        metrics: Arc::new(HttpMetrics::new(&Metrics::new())),
    };
    let (stopper, stop) = Stopper::new();
    drop(entered);
    runtime.spawn(async move { serve(serving, vec![listener], pages, stop).await });
    Served {
        port,
        runtime,
        _stopper: stopper,
    }
}

impl Served {
    /// Asks the vault itself, from an address.
    pub(super) fn ask_from(&self, from: Ipv4Addr, line: &str, headers: &[(&str, &str)]) -> Answer {
        let connected = async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((from, 0))).unwrap();
            let to = SocketAddr::from((PROXY, self.port));
            socket.connect(to).await.unwrap().into_std().unwrap()
        };
        let stream = self.runtime.block_on(connected);
        stream.set_nonblocking(false).unwrap();
        ask_over(stream, line, "vault", headers)
    }
}

/// Asks a host over a connection.
pub(super) fn ask_over(
    mut stream: TcpStream,
    line: &str,
    host: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    Answer::read(stream)
}

/// A vault with operators, that protects two hosts.
pub(super) struct Gate {
    pub(super) office: Office,
    served: Served,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// A browser of somebody who is signed in at the vault.
pub(super) struct Visit {
    /// The cookie of the vault.
    pub(super) vault: String,
    /// The cookie by which the browser is known again on a protected host.
    pub(super) way: String,
    /// The query with which it goes to the vault.
    pub(super) query: String,
}

pub(super) fn rule(host: &str, path: &str, role: Role, step_up_ms: Option<i64>) -> Rule {
    Rule {
        host: host.parse().unwrap(),
        prefix: path.parse().unwrap(),
        roles: Roles::NONE.with(role),
        operators: [].into(),
        step_up_ms,
    }
}

impl Gate {
    pub(super) fn open() -> Self {
        let rules = vec![
            rule(GRAFANA, "/", Role::Viewer, None),
            rule(GRAFANA, "/admin", Role::Keeper, Some(10 * MINUTE_MS)),
            rule(WIKI, "/", Role::Viewer, None),
        ];
        let office = Office::protecting(rules.clone());
        let people = Arc::clone(&office.people);
        let publisher = publisher(&office.scene);
        let served = serves(|_| (people, publisher, rules));
        Self { office, served }
    }

    /// Asks from an address; `line` is a method and a path.
    pub(super) fn ask_from(&self, from: Ipv4Addr, line: &str, headers: &[(&str, &str)]) -> Answer {
        self.served.ask_from(from, line, headers)
    }

    pub(super) fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask_from(PROXY, line, headers)
    }

    /// Asks as Caddy and Traefik do.
    pub(super) fn verify(&self, host: &str, uri: &str, cookie: &str) -> Answer {
        let headers = relayed("GET", "https", host, uri);
        self.ask(
            "GET /auth/verify",
            &[&headers[..], &[("cookie", cookie)]].concat(),
        )
    }

    /// Asks as nginx does.
    pub(super) fn verify_for_nginx(&self, url: &str, cookie: &str) -> Answer {
        let headers = [
            ("x-original-url", url),
            ("x-original-method", "GET"),
            ("cookie", cookie),
        ];
        self.ask("GET /auth/verify", &headers)
    }

    /// Somebody signs in at the vault, and comes from a page of a protected host.
    pub(super) fn comes(&self, person: &Person, host: &str, uri: &str) -> Visit {
        let cookies = self.office.cookies(person);
        self.comes_with(cookies.session.reveal(), host, uri)
    }

    /// Whoever has a cookie of the vault comes from a page of a protected host.
    pub(super) fn comes_with(&self, vault: &str, host: &str, uri: &str) -> Visit {
        let away = self.verify(host, uri, "");
        assert_eq!(away.status, 302, "{away:?}");
        let location = away.header("location");
        let (page, query) = location.split_once('?').unwrap();
        assert!(page.ends_with("/-/go"), "{location}");
        Visit {
            vault: vault.to_owned(),
            way: away.cookie("__Host-strongroom-way"),
            query: query.to_owned(),
        }
    }

    /// What the vault answers to whoever is on his way.
    pub(super) fn goes_on(&self, visit: &Visit) -> Answer {
        let cookie = format!("__Host-strongroom={}", visit.vault);
        let line = format!("GET /-/go/on?{}", visit.query);
        self.ask(&line, &[("cookie", &cookie)])
    }

    /// The code that the vault gives him.
    pub(super) fn code(&self, visit: &Visit) -> String {
        let sent = self.goes_on(visit);
        assert_eq!(sent.status, 303, "{sent:?}");
        let url = Url::parse(&sent.header("location")).unwrap();
        assert_eq!(url.path(), "/.strongroom/callback", "{url}");
        let pair = form_urlencoded::parse(url.query().unwrap().as_bytes()).next();
        let (name, code) = pair.unwrap();
        assert_eq!(name, "code");
        code.into_owned()
    }

    /// A code is shown on a host, by a browser with a cookie.
    pub(super) fn shows(&self, host: &str, code: &str, cookie: &str) -> Answer {
        let line = format!("GET /.strongroom/callback?code={code}");
        let headers = [
            ("x-forwarded-host", host),
            ("x-forwarded-proto", "https"),
            ("cookie", cookie),
        ];
        self.ask(&line, &headers)
    }

    /// The whole way: the cookie of a session on a host.
    pub(super) fn enters(&self, visit: &Visit, host: &str) -> String {
        let code = self.code(visit);
        let entered = self.shows(host, &code, &visit.way_cookie());
        assert_eq!(entered.status, 303, "{entered:?}");
        let cookie = entered.cookie("__Host-strongroom-host");
        format!("__Host-strongroom-host={cookie}")
    }
}

impl Visit {
    pub(super) fn way_cookie(&self) -> String {
        format!("__Host-strongroom-way={}", self.way)
    }
}

impl Answer {
    fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        let status = status.split(' ').nth(1).unwrap_or_default();
        let pairs = lines.filter_map(|line| line.split_once(':'));
        Self {
            status: status.parse().unwrap_or_else(|_| panic!("{text:?}")),
            headers: pairs
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    /// A header that is there once.
    pub(super) fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(known, _)| known == name);
        let values: Vec<_> = values.map(|(_, value)| value.clone()).collect();
        assert_eq!(values.len(), 1, "{name}: {self:?}");
        values[0].clone()
    }

    /// A cookie that is set, by its name.
    pub(super) fn cookie(&self, name: &str) -> String {
        let set = self.header("set-cookie");
        for word in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(set.contains(word), "{set}");
        }
        assert!(!set.contains("Domain"), "{set}");
        let (known, rest) = set.split_once('=').unwrap();
        assert_eq!(known, name);
        rest.split(';').next().unwrap().to_owned()
    }

    /// Nobody is let in, and no header of a client's own is left standing.
    pub(super) fn assert_denied(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        for name in IDENTITY {
            assert_eq!(self.header(name), "", "{name}");
        }
        assert_eq!(self.header("cache-control"), "no-store");
    }
}

/// What Caddy and Traefik say of a request.
pub(super) fn relayed<'a>(
    method: &'a str,
    scheme: &'a str,
    host: &'a str,
    uri: &'a str,
) -> [(&'a str, &'a str); 4] {
    [
        ("x-forwarded-method", method),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", host),
        ("x-forwarded-uri", uri),
    ]
}
