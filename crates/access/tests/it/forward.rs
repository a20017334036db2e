//! Whom a proxy lets in: rules, paths that dodge them, hosts, and how long ago somebody was asked.

use proptest::prelude::*;
use strongroom_access::forward::{Host, Prefix, Rule, Verdict, Visitor, decide, path_of};
use strongroom_access::session::{Place, Session};
use strongroom_access::{Operator, Role, Roles, Shown, Standing};

use crate::scene::{HOUR_MS, Scene, id};

const MINUTE_MS: i64 = 60_000;

const HOST: &str = "grafana.internal.example";

fn rule(prefix: &str, role: Role, step_up_ms: Option<i64>) -> Rule {
    Rule {
        host: HOST.parse().unwrap(),
        prefix: prefix.parse().unwrap(),
        roles: Roles::NONE.with(role),
        operators: [].into(),
        step_up_ms,
    }
}

/// All viewers everywhere, keepers below `/admin`, and security below `/admin/keys`, asked anew.
fn rules() -> Vec<Rule> {
    vec![
        rule("/", Role::Viewer, None),
        rule("/admin/keys", Role::Security, Some(30 * MINUTE_MS)),
        rule("/admin", Role::Keeper, None),
    ]
}

fn operator(role: Role) -> Operator {
    let mut operator = Scene::with(1).operators.remove(0);
    operator.roles = Roles::NONE.with(role);
    operator
}

fn session(shown: Shown, shown_ms: i64) -> Session {
    Session {
        operator: id(0),
        place: Place::Host,
        shown,
        shown_ms,
        began_ms: 0,
        used_ms: shown_ms,
    }
}

fn asks(role: Role, uri: &str) -> Verdict {
    let (operator, session) = (operator(role), session(Shown::Passkey, 0));
    let visitor = Visitor {
        operator: &operator,
        session: &session,
    };
    decide(&rules(), (HOST, uri), Some(visitor), false, MINUTE_MS)
}

#[test]
fn the_longest_prefix_decides_in_whatever_order_the_rules_stand() {
    assert_eq!(asks(Role::Viewer, "/d/1?from=now"), Verdict::Allow);
    assert_eq!(asks(Role::Viewer, "/admin"), Verdict::Forbidden);
    assert_eq!(asks(Role::Viewer, "/admin/x"), Verdict::Forbidden);
    assert_eq!(asks(Role::Viewer, "/administrator"), Verdict::Allow);
    assert_eq!(asks(Role::Keeper, "/admin/x"), Verdict::Allow);
    assert_eq!(asks(Role::Keeper, "/admin/keys/1"), Verdict::Forbidden);
    assert_eq!(asks(Role::Security, "/admin/keys/1"), Verdict::Allow);
    assert_eq!(asks(Role::Keeper, "/"), Verdict::Forbidden);
}

#[test]
fn what_no_rule_speaks_of_is_refused_whoever_asks() {
    let only = [rule("/public", Role::Viewer, None)];
    assert_eq!(
        decide(&only, (HOST, "/"), None, false, 0),
        Verdict::Forbidden
    );
    for other in [
        "",
        "other.example",
        "grafana.internal.example.",
        "a b",
        HOST_AND_PORT,
    ] {
        let verdict = decide(&only, (other, "/public"), None, false, 0);
        assert_eq!(verdict, Verdict::UnknownHost, "{other:?}");
    }
    for same in [
        HOST,
        "GRAFANA.internal.example",
        "grafana.internal.example:443",
    ] {
        let verdict = decide(&only, (same, "/public"), None, false, 0);
        assert_eq!(verdict, Verdict::SignIn, "{same:?}");
    }
}

const HOST_AND_PORT: &str = "grafana.internal.example:8443";

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    for dodging in [
        "//admin",
        "/x//admin",
        "/./admin",
        "/x/../admin",
        "/x/..",
        "/%2e%2e/admin",
        "/x/%2E%2E/admin",
        "/x%2fadmin",
        "/x%2Fadmin",
        "/%5cadmin",
        "/\\admin",
        "/%61dmin",
        "/%252e%252e/admin",
        "/admin;x/keys",
        "/..;/admin",
        "/admin%3bx",
        "/admin%00",
        "/admin%0a",
        "/admin%20",
        "/admin.",
        "/admin%",
        "/admin%2",
        "/admin%zz",
        "/ADMIN",
        "/Admin/keys",
        "/\u{212a}eys",
        "/admin#x",
        "/%ff",
        "admin",
        "",
        "?x",
        "http://other/admin",
        "/.strongroom/callback",
        "/.Strongroom/callback",
    ] {
        let verdict = asks(Role::Viewer, dodging);
        let is_refused = matches!(verdict, Verdict::Ambiguous(_));
        assert!(is_refused, "{dodging:?}: {verdict:?}");
    }
    let kelvin = [
        rule("/keys", Role::Keeper, None),
        rule("/", Role::Viewer, None),
    ];
    let verdict = decide(&kelvin, (HOST, "/%E2%84%AAeys"), None, false, 0);
    assert!(matches!(verdict, Verdict::Ambiguous(_)), "{verdict:?}");
    for plain in [
        "/",
        "/a/",
        "/a%20b/c",
        "/caf%C3%A9",
        "/a?x=//../%2e&y;z",
        "/a:b@c,d+e",
    ] {
        assert_eq!(asks(Role::Viewer, plain), Verdict::Allow, "{plain:?}");
    }
}

#[test]
fn a_passkey_is_shown_anew_where_a_rule_asks_for_it_and_sooner_while_the_level_is_raised() {
    let keeper = operator(Role::Security);
    let at = |shown, after_ms, is_raised| {
        let session = Session {
            used_ms: after_ms,
            ..session(shown, 0)
        };
        let visitor = Visitor {
            operator: &keeper,
            session: &session,
        };
        let asked = (HOST, "/admin/keys");
        decide(&rules(), asked, Some(visitor), is_raised, after_ms)
    };
    assert_eq!(
        at(Shown::Passkey, 30 * MINUTE_MS - 1, false),
        Verdict::Allow
    );
    assert_eq!(at(Shown::Passkey, 30 * MINUTE_MS, false), Verdict::StepUp);
    assert_eq!(at(Shown::Passkey, 5 * MINUTE_MS - 1, true), Verdict::Allow);
    assert_eq!(at(Shown::Passkey, 5 * MINUTE_MS, true), Verdict::StepUp);
    assert_eq!(at(Shown::PasswordAndTotp, 0, false), Verdict::StepUp);
    let short = rule("/", Role::Viewer, Some(4 * MINUTE_MS));
    assert_eq!(short.step_up_within(true), Some(2 * MINUTE_MS));
}

#[test]
fn whoever_is_suspended_or_whose_session_is_over_is_asked_to_sign_in() {
    let mut viewer = operator(Role::Viewer);
    let session = session(Shown::Passkey, 0);
    let at = |operator: &Operator, now_ms| {
        let visitor = Visitor {
            operator,
            session: &session,
        };
        decide(&rules(), (HOST, "/"), Some(visitor), false, now_ms)
    };
    assert_eq!(at(&viewer, 15 * MINUTE_MS - 1), Verdict::Allow);
    assert_eq!(at(&viewer, 15 * MINUTE_MS), Verdict::SignIn);
    assert_eq!(at(&viewer, 13 * HOUR_MS), Verdict::SignIn);
    viewer.standing = Standing::Suspended;
    assert_eq!(at(&viewer, 0), Verdict::SignIn);
}

#[test]
fn somebody_is_let_in_by_his_name_as_well() {
    let viewer = operator(Role::Viewer);
    let mut named = rule("/", Role::Keeper, None);
    assert!(!named.admits(&viewer));
    named.operators = [viewer.name.clone()].into();
    assert!(named.admits(&viewer));
}

#[test]
fn plain_http_is_for_the_machine_itself() {
    let host = |text: &str| text.parse::<Host>().unwrap();
    let local = host("app.localhost:8080");
    let origin = local.origin("http");
    assert_eq!(origin.as_deref(), Some("http://app.localhost:8080"));
    assert_eq!(host(HOST).origin("http"), None);
    assert_eq!(host("localhost.evil.example").origin("http"), None);
    assert_eq!(host("notlocalhost").origin("http"), None);
    assert_eq!(host(HOST).origin("javascript"), None);
    assert!(host(HOST).origin("https").is_some());
    for bad in [
        "", "a..b", "a:0", "a:99999", "a:1:2", "-a", "a/b", "a@b", "a:8 ", "[::1]",
    ] {
        assert!(bad.parse::<Host>().is_err(), "{bad:?}");
    }
    for bad in ["", "a", "//", "/a%20", "/a/../b", "/.strongroom"] {
        assert!(bad.parse::<Prefix>().is_err(), "{bad:?}");
    }
}

/// What a lenient application makes of a path: decoded until nothing changes, parameters of parts cut
/// off, dots followed, slashes joined, in small letters.
fn as_lenient(path: &str) -> String {
    let mut bytes = path.as_bytes().to_vec();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut next = Vec::new();
        let mut rest = bytes.as_slice();
        while let [first, tail @ ..] = rest {
            let pair = tail
                .get(..2)
                .and_then(|pair| std::str::from_utf8(pair).ok());
            let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            match (first, byte) {
                (b'%', Some(byte)) => {
                    next.push(byte);
                    rest = &tail[2..];
                }
                _ => {
                    next.push(*first);
                    rest = tail;
                }
            }
        }
        if next == bytes {
            let mut parts: Vec<&str> = Vec::new();
            let slashed = text.replace('\\', "/").to_lowercase();
            for part in slashed.split('/') {
                let part = part.split(';').next().unwrap_or_default();
                match part.trim_end_matches([' ', '\0']) {
                    "" | "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part.trim_end_matches('.')),
                }
            }
            return format!("/{}", parts.join("/"));
        }
        bytes = next;
    }
}

proptest! {
    #[test]
    fn no_path_that_a_viewer_may_have_is_one_of_the_keepers_to_any_application(
        path in "(/|//|a|admin|ADMIN|%61dmin|%2f|%5c|%2e|%252e|\\.|\\.\\.|;|x|%20|%00|\\\\){0,9}"
    ) {
        let path = format!("/{path}");
        if asks(Role::Viewer, &path) == Verdict::Allow {
            let read = as_lenient(&path);
            let is_admin = read == "/admin" || read.starts_with("/admin/");
            prop_assert!(!is_admin, "{path} is {read}");
        }
    }

    #[test]
    fn nobody_without_a_role_gets_in_and_nothing_panics(
        host in ".{0,20}", path in ".{0,40}", now_ms in 0..100 * HOUR_MS, is_raised: bool
    ) {
        let mut nobody = operator(Role::Viewer);
        nobody.roles = Roles::NONE;
        let session = session(Shown::Passkey, 0);
        let visitor = Visitor { operator: &nobody, session: &session };
        for host in [host.as_str(), HOST] {
            for uri in [path.clone(), format!("/{path}")] {
                let _ = path_of(&uri);
                let asked = (host, uri.as_str());
                let verdict = decide(&rules(), asked, Some(visitor), is_raised, now_ms);
                prop_assert_ne!(verdict, Verdict::Allow);
            }
        }
    }
}
