//! Real nginx and real Caddy in front of a small page, with the files of docs/examples.

use std::sync::Arc;

use data_encoding::BASE64;
use strongroom_access::Role;
use strongroom_testkit::Proxy;

use crate::forward::gate::{Answer, PROXY, Served, publisher, rule, serves};
use crate::forward::street::{Which, ask, glass, host, protected};
use crate::people::scene::{Office, Person};

/// What somebody says of himself who is not asked.
const FORGED: [(&str, &str); 12] = [
    ("Remote-User", "root"),
    ("Remote-Groups", "root"),
    ("Remote-Name", "root"),
    ("Remote-Email", "root@evil.example"),
    ("Strongroom-Assertion", "root"),
    ("remote_user", "root"),
    ("Remote_Groups", "root"),
    ("Strongroom_Assertion", "root"),
    ("X-Forwarded-Host", "root.example"),
    ("X-Forwarded-Proto", "root"),
    ("X-Forwarded-Method", "ROOT"),
    ("X-Forwarded-Uri", "/root"),
];

/// A vault, a proxy, and a page behind it.
struct Street {
    office: Office,
    proxy: Proxy,
    served: Option<Served>,
    which: Which,
}

impl Street {
    /// Security operators see all, and keepers what is below `/admin`.
    fn open(which: Which) -> Self {
        let mut made = None;
        let served = serves(|port| {
            let proxy = protected(which, port);
            let host = host(&proxy);
            let rules = vec![
                rule(&host, "/", Role::Security, None),
                rule(&host, "/admin", Role::Keeper, None),
            ];
            let office = Office::protecting(rules.clone());
            let people = Arc::clone(&office.people);
            let publisher = publisher(&office.scene);
            made = Some((office, proxy));
            (people, publisher, rules)
        });
        let (office, proxy) = made.unwrap();
        Self {
            office,
            proxy,
            served: Some(served),
            which,
        }
    }

    fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.proxy, line, headers)
    }

    /// The way to the vault begins; returns the address there, and the cookie of the browser.
    fn goes(&self, uri: &str) -> (String, String) {
        let mut away = self.ask(&format!("GET {uri}"), &FORGED);
        assert_eq!(away.status, 302, "{away:?}");
        if self.which == Which::Nginx {
            let location = away.header("location");
            assert_eq!(location, format!("/.strongroom/start?to={uri}"));
            away = self.ask(&format!("GET {location}"), &FORGED);
            assert_eq!(away.status, 302, "{away:?}");
        }
        let way = away.cookie("__Host-strongroom-way");
        (
            away.header("location"),
            format!("__Host-strongroom-way={way}"),
        )
    }

    /// Somebody goes the whole way; returns the cookie of his session on the host.
    fn enters(&self, person: &Person, uri: &str) -> String {
        let (location, way) = self.goes(uri);
        let (_, query) = location.split_once("/-/go?").unwrap();
        let session = self.office.cookies(person).session;
        let cookie = format!("__Host-strongroom={}", session.reveal());
        let line = format!("GET /-/go/on?{query}");
        let served = self.served.as_ref().unwrap();
        let sent = served.ask_from(PROXY, &line, &[("cookie", &cookie)]);
        let back = sent.header("location");
        let origin = format!("http://{}", host(&self.proxy));
        let path = back.strip_prefix(&origin).unwrap();
        let entered = self.ask(&format!("GET {path}"), &[("cookie", &way)]);
        assert_eq!(entered.status, 303, "{entered:?}");
        assert_eq!(entered.header("location"), format!("{origin}{uri}"));
        let cookie = entered.cookie("__Host-strongroom-host");
        let again = self.ask(&format!("GET {path}"), &[("cookie", &way)]);
        assert_eq!(again.status, 403, "{again:?}");
        format!("__Host-strongroom-host={cookie}")
    }
}

/// Whether anything is left of what a client has said of himself.
fn is_forged(answer: &Answer) -> bool {
    let lines = answer.body.lines().map(str::to_lowercase);
    let mut others = lines.filter(|line| !line.starts_with("strongroom-assertion: ey"));
    others.any(|line| {
        let name = line.split(':').next().unwrap_or_default();
        line.contains("root") || name.contains('_')
    })
}

/// Lines of what the page was asked that tell of an identity, in small letters.
fn identity(answer: &Answer) -> Vec<String> {
    let lines = answer.body.lines().map(str::to_lowercase);
    let mut told: Vec<_> = lines
        .filter(|line| line.starts_with("remote") || line.starts_with("strongroom"))
        .collect();
    told.sort();
    told
}

fn lets_in_whom_the_vault_lets_in(which: Which) {
    let street = Street::open(which);
    let [anna, _, cleo] = street.office.three();
    // Nobody, whatever he says of himself.
    let (location, _) = street.goes("/d/1?from=now&to=then");
    assert!(location.starts_with("http://localhost:8000/-/go?to="));
    let posted = street.ask("POST /d/1", &FORGED);
    assert!([302, 401].contains(&posted.status), "{posted:?}");
    // Somebody, who says that he is another one.
    let cookie = street.enters(&cleo, "/d/1?from=now&to=then");
    let headers = [&FORGED[..], &[("cookie", cookie.as_str())]].concat();
    for headers in [&headers[..], &[("cookie", cookie.as_str())]] {
        let answer = street.ask("GET /d/1?x=y", headers);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer.body.starts_with("GET /d/1?x=y HTTP/1."),
            "{answer:?}"
        );
        let told = identity(&answer);
        for known in [
            "remote-user: cleo",
            "remote-groups: security",
            "remote-name: cleo",
        ] {
            let found = told.iter().filter(|line| *line == known).count();
            assert_eq!(found, 1, "{known}: {told:?}");
        }
        assert!(!is_forged(&answer), "{answer:?}");
        let signed = told
            .iter()
            .filter(|line| line.starts_with("strongroom-assertion: ey"));
        assert_eq!(signed.count(), 1, "{told:?}");
    }
    // What is for others, however it is written.
    for path in [
        "/admin",
        "/admin/x",
        "//admin",
        "/x/../admin",
        "/%61dmin",
        "/ADMIN",
        "/a%2f..%2fadmin",
    ] {
        let refused = street.ask(&format!("GET {path}"), &headers);
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
    }
    let admin = street.enters(&anna, "/admin/x");
    let answer = street.ask("GET /admin/x", &[("cookie", &admin)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    // Whoever's sessions are ended is out at once.
    let by = street.office.signs_in(&anna);
    street.office.people.end_sessions(by, cleo.id).unwrap();
    assert_eq!(street.ask("GET /d/1", &headers).status, 302);
}

fn lets_nobody_in_while_the_vault_is_down(which: Which) {
    let mut street = Street::open(which);
    let [anna, _, _] = street.office.three();
    let cookie = street.enters(&anna, "/");
    assert_eq!(street.ask("GET /", &[("cookie", &cookie)]).status, 200);
    street.served = None;
    let refused = street.ask("GET /", &[("cookie", &cookie)]);
    assert!(refused.status >= 500, "{refused:?}");
}

fn opens_the_second_door_by_its_password_alone(which: Which) {
    let proxy = glass(which);
    assert_eq!(ask(&proxy, "GET /", &FORGED).status, 401);
    let shown = |password: &str| {
        let pair = BASE64.encode(format!("break-glass:{password}").as_bytes());
        format!("Basic {pair}")
    };
    let (wrong, right) = (shown("for this day"), shown("for that day"));
    assert_eq!(
        ask(&proxy, "GET /", &[("authorization", &wrong)]).status,
        401
    );
    let headers = [&FORGED[..], &[("authorization", right.as_str())]].concat();
    let answer = ask(&proxy, "GET /", &headers);
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = identity(&answer);
    assert_eq!(told, ["remote-user: break-glass"]);
    assert!(!is_forged(&answer), "{answer:?}");
    assert!(
        !answer.body.to_lowercase().contains("authorization"),
        "{answer:?}"
    );
}

#[test]
fn nginx_lets_in_whom_the_vault_lets_in_and_forged_headers_are_gone() {
    lets_in_whom_the_vault_lets_in(Which::Nginx);
}

#[test]
fn caddy_lets_in_whom_the_vault_lets_in_and_forged_headers_are_gone() {
    lets_in_whom_the_vault_lets_in(Which::Caddy);
}

#[test]
fn nginx_lets_nobody_in_while_the_vault_is_down() {
    lets_nobody_in_while_the_vault_is_down(Which::Nginx);
}

#[test]
fn caddy_lets_nobody_in_while_the_vault_is_down() {
    lets_nobody_in_while_the_vault_is_down(Which::Caddy);
}

#[test]
fn nginx_opens_the_second_door_by_its_password_alone() {
    opens_the_second_door_by_its_password_alone(Which::Nginx);
}

#[test]
fn caddy_opens_the_second_door_by_its_password_alone() {
    opens_the_second_door_by_its_password_alone(Which::Caddy);
}
