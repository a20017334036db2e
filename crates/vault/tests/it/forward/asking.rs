//! What a proxy is answered, and what somebody tries who is none.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

use crate::forward::gate::{GRAFANA, Gate, PROXY, STRANGER, WIKI, relayed};

/// The claims of an assertion whose signature is right.
fn claims(gate: &Gate, assertion: &str) -> Value {
    let keys = gate.ask("GET /auth/keys", &[]);
    assert_eq!(keys.header("content-type"), "application/jwk-set+json");
    let keys: Value = serde_json::from_str(&keys.body).unwrap();
    let key = keys["keys"][0]["x"].as_str().unwrap();
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).unwrap();
    let key = VerifyingKey::from_bytes(&key.try_into().unwrap()).unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let signature = Signature::from_slice(&signature).unwrap();
    key.verify_strict(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    };
    assert_eq!(read(header)["alg"], "EdDSA");
    assert_eq!(read(header)["kid"], keys["keys"][0]["kid"]);
    read(claims)
}

#[test]
fn without_a_session_nobody_is_let_in_and_each_proxy_hears_it_in_its_own_way() {
    let gate = Gate::open();
    let away = gate.verify(GRAFANA, "/d/1?from=now", "");
    away.assert_denied(302);
    let location = away.header("location");
    assert!(
        location.starts_with("http://localhost:8000/-/go?to=https%3A%2F%2Fgrafana"),
        "{location}"
    );
    let nginx = gate.verify_for_nginx("https://grafana.internal.example/d/1", "");
    nginx.assert_denied(401);
    let headers = relayed("POST", "https", GRAFANA, "/d/1");
    gate.ask("GET /auth/verify", &headers).assert_denied(401);
}

#[test]
fn whoever_has_a_session_is_let_in_with_every_header_and_a_signed_assertion() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/d/1?from=now");
    let cookie = gate.enters(&visit, GRAFANA);
    for answer in [
        gate.verify(GRAFANA, "/d/1", &cookie),
        gate.verify_for_nginx("https://grafana.internal.example/d/1?x=//", &cookie),
    ] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("remote-user"), "anna");
        let groups = answer.header("remote-groups");
        assert_eq!(groups, "viewer,restorer,keeper,security");
        assert_eq!(answer.header("remote-name"), "anna");
        assert_eq!(answer.header("remote-email"), "");
        assert_eq!(answer.header("cache-control"), "no-store");
        let claims = claims(&gate, &answer.header("strongroom-assertion"));
        assert_eq!(claims["user"], "anna");
        assert_eq!(claims["host"], GRAFANA);
        assert_eq!(claims["groups"][2], "keeper");
        let lasts_s = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!((1..=60).contains(&lasts_s), "{claims}");
    }
}

#[test]
fn somebody_without_the_role_is_refused_and_not_sent_around() {
    let gate = Gate::open();
    let [_, _, cleo] = gate.office.three();
    let visit = gate.comes(&cleo, GRAFANA, "/");
    let refused = gate.goes_on(&visit);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("No rule lets cleo in"), "{refused:?}");
}

#[test]
fn forged_forwarded_headers_of_whoever_reaches_the_vault_directly_are_refused() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let cookie = gate.enters(&visit, GRAFANA);
    let code = gate.code(&visit);
    let forged = relayed("GET", "https", GRAFANA, "/");
    let others = [
        ("cookie", cookie.as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
    ];
    let headers = [&forged[..], &others[..]].concat();
    let refused = gate.ask_from(STRANGER, "GET /auth/verify", &headers);
    refused.assert_denied(403);
    assert!(refused.body.contains("trusted_proxies"), "{refused:?}");
    for path in [
        format!("/.strongroom/callback?code={code}"),
        "/.strongroom/start?to=/".to_owned(),
    ] {
        let line = format!("GET {path}");
        let way = visit.way_cookie();
        let headers = [&forged[..], &[("cookie", way.as_str())]].concat();
        assert_eq!(gate.ask_from(STRANGER, &line, &headers).status, 403);
    }
    // The same from the proxy is let in.
    assert_eq!(
        gate.ask_from(PROXY, "GET /auth/verify", &headers).status,
        200
    );
    assert_eq!(gate.ask_from(STRANGER, "GET /auth/keys", &[]).status, 200);
}

#[test]
fn a_proxy_that_forwards_only_some_headers_or_one_twice_or_both_kinds_lets_nobody_in() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let cookie = gate.enters(&visit, GRAFANA);
    let session = [("cookie", cookie.as_str())];
    let all = relayed("GET", "https", GRAFANA, "/");
    let nginx = [
        ("x-original-url", "https://grafana.internal.example/"),
        ("x-original-method", "GET"),
    ];
    let ask = |headers: &[(&str, &str)]| {
        let headers = [headers, &session[..]].concat();
        gate.ask("GET /auth/verify", &headers)
    };
    for left_out in 0..all.len() {
        let mut some = all.to_vec();
        let (name, value) = some.remove(left_out);
        ask(&some).assert_denied(403);
        some.push((name, ""));
        ask(&some).assert_denied(403);
        some.extend([(name, value), (name, value)]);
        some.remove(3);
        ask(&some).assert_denied(403);
    }
    for one in nginx {
        ask(&[one]).assert_denied(403);
        ask(&[&all[..], &[one]].concat()).assert_denied(403);
        ask(&[&nginx[..], &[one]].concat()).assert_denied(403);
    }
    ask(&[]).assert_denied(403);
    assert_eq!(ask(&all).status, 200);
    assert_eq!(ask(&nginx).status, 200);
}

#[test]
fn plain_http_and_hosts_that_are_not_configured_are_refused() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let cookie = gate.enters(&visit, GRAFANA);
    let session = [("cookie", cookie.as_str())];
    for (scheme, host) in [
        ("http", GRAFANA),
        ("ftp", GRAFANA),
        ("https", "other.internal.example"),
        ("https", "grafana.internal.example:8443"),
        ("https", "grafana.internal.example.evil.example"),
        ("https", "grafana.internal.example@evil.example"),
        ("https", "grafana.internal.example, evil.example"),
        ("https", "evil.example/grafana.internal.example"),
    ] {
        let headers = [&relayed("GET", scheme, host, "/")[..], &session].concat();
        let refused = gate.ask("GET /auth/verify", &headers);
        refused.assert_denied(403);
    }
    let plain = gate.verify_for_nginx("http://grafana.internal.example/", &cookie);
    plain.assert_denied(403);
    for path in ["start?to=/", "callback?code=x"] {
        let headers = [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
        ];
        let refused = gate.ask(&format!("GET /.strongroom/{path}"), &headers);
        assert_eq!(refused.status, 403, "{refused:?}");
    }
}

#[test]
fn a_path_that_dodges_a_rule_is_refused_whoever_asks() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let cookie = gate.enters(&visit, GRAFANA);
    for path in [
        "//admin",
        "/x/../admin",
        "/%2e%2e/admin",
        "/x%2fadmin",
        "/%61dmin",
        "/ADMIN",
        "/admin;x",
        "/admin%00",
        "/\\admin",
        "/.strongroom/verify",
    ] {
        gate.verify(GRAFANA, path, &cookie).assert_denied(403);
        let url = format!("https://{GRAFANA}{path}");
        gate.verify_for_nginx(&url, &cookie).assert_denied(403);
    }
}

#[test]
fn what_is_posted_is_no_question() {
    let gate = Gate::open();
    let headers = relayed("GET", "https", WIKI, "/");
    let posted = gate.ask("POST /auth/verify", &headers);
    posted.assert_denied(405);
}
