//! The way of a browser to the vault and back, and what somebody tries on it.

use std::rc::Rc;
use std::sync::Arc;

use strongroom_access::Act;
use strongroom_model::Secret;
use strongroom_testkit::PostgresServer;
use strongroom_vault::database::Postgres;
use url::form_urlencoded;

use crate::forward::gate::{GRAFANA, Gate, MINUTE_MS, WIKI};
use crate::vault::scene::{Pair, local_bodies, within};

#[test]
fn the_way_is_the_same_over_postgresql() {
    let server = PostgresServer::start();
    let url = server.url();
    let pair: Pair = Rc::new(move |folder| {
        let database = Postgres::open(&Secret::new(url.as_str()), None).unwrap();
        (Arc::new(database), local_bodies(folder))
    });
    within(&pair, || {
        a_code_counts_once();
    });
}

#[test]
fn a_code_counts_once() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/d/1?from=now&to=x");
    let code = gate.code(&visit);
    let entered = gate.shows(GRAFANA, &code, &visit.way_cookie());
    assert_eq!(entered.status, 303);
    let target = "https://grafana.internal.example/d/1?from=now&to=x";
    assert_eq!(entered.header("location"), target);
    assert_eq!(entered.header("cache-control"), "no-store");
    let again = gate.shows(GRAFANA, &code, &visit.way_cookie());
    assert_eq!(again.status, 403, "{again:?}");
    // A second one takes the place of the first session.
    let first = entered.cookie("__Host-strongroom-host");
    let first = format!("__Host-strongroom-host={first}");
    assert_eq!(gate.verify(GRAFANA, "/", &first).status, 200);
    let second = gate.enters(&visit, GRAFANA);
    assert_eq!(gate.verify(GRAFANA, "/", &second).status, 200);
    gate.verify(GRAFANA, "/", &first).assert_denied(302);
    gate.office.scene.pass(30 * MINUTE_MS);
    gate.office.people.sweep().unwrap();
    gate.verify(GRAFANA, "/", &second).assert_denied(302);
}

#[test]
fn a_code_for_one_host_is_none_on_another_and_is_used_up_there() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let code = gate.code(&visit);
    let elsewhere = gate.shows(WIKI, &code, &visit.way_cookie());
    assert_eq!(elsewhere.status, 403);
    assert_eq!(gate.shows(GRAFANA, &code, &visit.way_cookie()).status, 403);
}

#[test]
fn a_stolen_code_is_nothing_in_another_browser_nor_is_a_victim_signed_in_by_one() {
    let gate = Gate::open();
    let [anna, bert, _] = gate.office.three();
    let (hers, his) = (
        gate.comes(&anna, GRAFANA, "/"),
        gate.comes(&bert, GRAFANA, "/"),
    );
    // A code that was stolen, in the browser of the thief; and a victim who is sent to the callback
    // with the thief's own.
    for (code, cookie) in [
        (gate.code(&hers), his.way_cookie()),
        (gate.code(&his), hers.way_cookie()),
        (gate.code(&hers), String::new()),
        (
            gate.code(&hers),
            format!("{}; {}", his.way_cookie(), hers.way_cookie()),
        ),
    ] {
        let refused = gate.shows(GRAFANA, &code, &cookie);
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(
            !format!("{refused:?}").contains("set-cookie"),
            "{refused:?}"
        );
    }
}

#[test]
fn a_code_counts_for_a_minute_and_only_while_its_session_does() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let code = gate.code(&visit);
    gate.office.scene.pass(MINUTE_MS);
    assert_eq!(gate.shows(GRAFANA, &code, &visit.way_cookie()).status, 403);
    let code = gate.code(&visit);
    let people = &gate.office.people;
    let session = people.session(&visit.vault).unwrap().unwrap();
    people.sign_out(anna.id, session.session.number).unwrap();
    assert_eq!(gate.shows(GRAFANA, &code, &visit.way_cookie()).status, 403);
}

#[test]
fn the_cookie_of_one_host_is_none_on_another_nor_at_the_vault() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let cookie = gate.enters(&visit, GRAFANA);
    assert_eq!(gate.verify(GRAFANA, "/", &cookie).status, 200);
    gate.verify(WIKI, "/", &cookie).assert_denied(302);
    let (_, secret) = cookie.split_once('=').unwrap();
    assert!(gate.office.people.session(secret).unwrap().is_none());
    let as_vault = format!("__Host-strongroom={secret}");
    let page = gate.ask("GET /-/", &[("cookie", &as_vault)]);
    assert_eq!(page.header("location"), "/-/sign-in");
    // Nor is the vault's one of a host.
    let vault = format!("__Host-strongroom-host={}", visit.vault);
    gate.verify(GRAFANA, "/", &vault).assert_denied(302);
    // Two of them are none: somebody has put one beside it.
    let two = format!("{cookie}; {vault}");
    gate.verify(GRAFANA, "/", &two).assert_denied(302);
}

#[test]
fn a_session_that_was_fixed_beforehand_stays_nothing() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let fixed = "__Host-strongroom-host=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let code = gate.code(&visit);
    let cookies = format!("{fixed}; {}", visit.way_cookie());
    let entered = gate.shows(GRAFANA, &code, &cookies);
    let given = entered.cookie("__Host-strongroom-host");
    assert!(!fixed.contains(&given));
    gate.verify(GRAFANA, "/", fixed).assert_denied(302);
}

#[test]
fn nobody_is_sent_anywhere_but_to_a_protected_host() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let (_, browser) = visit.query.split_once("&browser=").unwrap();
    for to in [
        "https://evil.example/",
        "https://grafana.internal.example.evil.example/",
        "https://grafana.internal.example@evil.example/",
        "https://evil.example\\@grafana.internal.example/x",
        "https://anna:x@grafana.internal.example/",
        "http://grafana.internal.example/",
        "https://grafana.internal.example:8443/",
        "javascript:alert(1)",
        "//grafana.internal.example/",
        "/-/",
        "",
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("to", to)
            .append_pair("browser", browser)
            .finish();
        let cookie = format!("__Host-strongroom={}", visit.vault);
        for page in ["go", "go/on"] {
            let line = format!("GET /-/{page}?{query}");
            let answer = gate.ask(&line, &[("cookie", &cookie)]);
            assert_eq!(answer.status, 403, "{to}: {answer:?}");
        }
    }
    for (to, goes_to) in [
        (
            "//evil.example/",
            "https%3A%2F%2Fgrafana.internal.example%2F%2Fevil.example%2F&",
        ),
        (
            "https://evil.example/",
            "https%3A%2F%2Fgrafana.internal.example%2F&",
        ),
        (
            "@evil.example/",
            "https%3A%2F%2Fgrafana.internal.example%2F&",
        ),
        (
            "/a?b=c&d=e",
            "https%3A%2F%2Fgrafana.internal.example%2Fa%3Fb%3Dc%26d%3De&",
        ),
    ] {
        let headers = [
            ("x-forwarded-host", GRAFANA),
            ("x-forwarded-proto", "https"),
        ];
        let started = gate.ask(&format!("GET /.strongroom/start?to={to}"), &headers);
        assert_eq!(started.status, 302);
        let location = started.header("location");
        assert!(
            location.contains(&format!("?to={goes_to}")),
            "{to}: {location}"
        );
    }
    // What somebody is to see next who signs in is a page of the vault.
    for next in [
        "//evil.example",
        "https://evil.example/",
        "/-/go",
        "/-/operators",
    ] {
        let query = form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
        let page = gate.ask(&format!("GET /-/sign-in?next={query}"), &[]);
        assert!(
            page.body.contains("name=\"next\" value=\"/-/\""),
            "{next}: {page:?}"
        );
    }
}

#[test]
fn the_end_of_the_session_at_the_vault_is_the_end_on_every_host_for_good() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let visit = gate.comes(&anna, GRAFANA, "/");
    let cookie = gate.enters(&visit, GRAFANA);
    let at_wiki = gate.enters(&gate.comes_with(&visit.vault, WIKI, "/"), WIKI);
    assert_eq!(gate.verify(WIKI, "/", &at_wiki).status, 200);
    let people = &gate.office.people;
    let hosts: Vec<_> = people.sessions(anna.id).unwrap();
    let hosts = hosts.into_iter().filter_map(|kept| kept.host);
    assert_eq!(hosts.collect::<Vec<_>>(), [WIKI, GRAFANA]);
    let session = people.session(&visit.vault).unwrap().unwrap();
    people.sign_out(anna.id, session.session.number).unwrap();
    gate.verify(GRAFANA, "/", &cookie).assert_denied(302);
    gate.verify(WIKI, "/", &at_wiki).assert_denied(302);
    // A new one, which may have the same number, brings none back.
    gate.office.cookies(&anna);
    gate.verify(GRAFANA, "/", &cookie).assert_denied(302);
}

#[test]
fn an_operator_who_is_suspended_or_whose_sessions_are_ended_is_out_at_once() {
    let gate = Gate::open();
    let [anna, bert, cleo] = gate.office.three();
    let office = &gate.office;
    let cookie = gate.enters(&gate.comes(&anna, GRAFANA, "/"), GRAFANA);
    assert_eq!(gate.verify(GRAFANA, "/", &cookie).status, 200);
    let by = office.signs_in(&bert);
    office.people.end_sessions(by, anna.id).unwrap();
    gate.verify(GRAFANA, "/", &cookie).assert_denied(302);
    let cookie = gate.enters(&gate.comes(&anna, GRAFANA, "/"), GRAFANA);
    office.people.seal(by).unwrap();
    let suspend = Act::Suspend { operator: anna.id };
    let number = office.people.ask(by, &suspend, "stolen").unwrap();
    assert_eq!(gate.verify(GRAFANA, "/", &cookie).status, 200);
    office.says_yes(&cleo, number).unwrap();
    office.people.perform_due().unwrap();
    gate.verify(GRAFANA, "/", &cookie).assert_denied(302);
}

#[test]
fn a_rule_asks_for_the_passkey_anew_and_sooner_under_the_seal() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let office = &gate.office;
    let visit = gate.comes(&anna, GRAFANA, "/admin/users");
    let cookie = gate.enters(&visit, GRAFANA);
    let admin = |cookie: &str| gate.verify(GRAFANA, "/admin/users", cookie);
    assert_eq!(admin(&cookie).status, 200);
    office.scene.pass(6 * MINUTE_MS);
    assert_eq!(admin(&cookie).status, 200);
    // The session at the vault goes on for as long as it is used.
    assert_eq!(gate.goes_on(&visit).status, 303);
    office.people.seal(office.signs_in(&anna)).unwrap();
    admin(&cookie).assert_denied(302);
    assert_eq!(gate.verify(GRAFANA, "/d/1", &cookie).status, 200);
    let asked = gate.goes_on(&visit);
    assert_eq!(asked.status, 200);
    assert!(asked.body.contains("your passkey again"), "{asked:?}");
    // Somebody else's passkey is none.
    let stranger = &office.people;
    let signed_in = stranger.session(&visit.vault).unwrap().unwrap();
    let (handle, _) = stranger.ask_who().unwrap();
    assert!(
        stranger
            .show_anew(&signed_in, handle.reveal(), "{}")
            .is_err()
    );
    let (handle, options) = stranger.ask_who().unwrap();
    let answer = anna
        .device
        .sign(crate::people::scene::ORIGIN, options)
        .unwrap();
    stranger
        .show_anew(&signed_in, handle.reveal(), &answer)
        .unwrap();
    let anew = gate.enters(&visit, GRAFANA);
    assert_eq!(admin(&anew).status, 200);
    // The one before is replaced.
    admin(&cookie).assert_denied(302);
    gate.verify(GRAFANA, "/d/1", &cookie).assert_denied(302);
}

#[test]
fn a_session_on_a_host_ends_when_it_is_idle() {
    let gate = Gate::open();
    let [anna, _, _] = gate.office.three();
    let cookie = gate.enters(&gate.comes(&anna, GRAFANA, "/"), GRAFANA);
    for _ in 0..4 {
        gate.office.scene.pass(14 * MINUTE_MS);
        assert_eq!(gate.verify(GRAFANA, "/", &cookie).status, 200);
    }
    gate.office.scene.pass(15 * MINUTE_MS);
    gate.verify(GRAFANA, "/", &cookie).assert_denied(302);
}
