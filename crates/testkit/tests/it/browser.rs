//! Browsers: what they do with a page, and what they see that is wrong with one.

pub(crate) mod pages;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use strongroom_testkit::{Authenticator, Browser, Cookie, Passkeys, Scheme};

use crate::browser::pages::PAGES;
use crate::site::Site;

const SOON: Duration = Duration::from_secs(10);

/// What a failing test says.
fn failure(act: impl FnOnce()) -> String {
    let failed = catch_unwind(AssertUnwindSafe(act)).unwrap_err();
    *failed.downcast::<String>().unwrap()
}

fn open(path: &str) -> (Site, Browser) {
    let site = Site::start(PAGES);
    let browser = Browser::start();
    browser.goto(&site.url(path));
    (site, browser)
}

/// Enrols a passkey and signs in with it; what the page says in the end.
fn sign_in(browser: &Browser) -> String {
    browser.click_text("Sign in");
    browser.wait_for("#said:not(:empty)", SOON);
    browser.text("#said")
}

fn enrol(browser: &Browser, name: &str) {
    browser.fill_label("Name", name);
    browser.click_text("Enrol");
    browser.wait_for_text(&format!("Enrolled {name}"), SOON);
}

#[test]
fn a_passkey_is_enrolled_used_copied_and_refused_without_its_holder() {
    let (site, browser) = open("/passkeys");
    let authenticator = Authenticator::add(&browser);
    enrol(&browser, "Ada");
    let [credential] = &authenticator.credentials()[..] else {
        panic!("one passkey");
    };
    assert_eq!(credential.relying_party, "localhost");
    assert!(credential.is_resident);
    assert_eq!(credential.user_handle, "QWRh");

    browser.goto(&site.url("/passkeys"));
    assert_eq!(sign_in(&browser), "Signed in as Ada");
    assert!(authenticator.credentials()[0].signatures > credential.signatures);

    authenticator.set_user_verified(false);
    browser.goto(&site.url("/passkeys"));
    assert_eq!(sign_in(&browser), "Refused: NotAllowedError");
    authenticator.set_user_verified(true);

    // Another person's browser has it only once it was copied there.
    let other = Browser::start();
    let stranger = Authenticator::add_with(
        &other,
        Passkeys {
            is_internal: false,
            ..Passkeys::default()
        },
    );
    other.goto(&site.url("/passkeys"));
    assert_eq!(stranger.credentials(), []);
    stranger.add_credential(credential);
    assert_eq!(sign_in(&other), "Signed in as Ada");
    stranger.remove_credential(&credential.id);
    assert_eq!(stranger.credentials(), []);

    authenticator.remove();
    let again = Authenticator::add(&browser);
    assert_eq!(again.credentials(), []);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_form_is_filled_in_and_sent_and_what_cannot_be_is_told_with_its_page() {
    let (site, browser) = open("/form");
    browser.fill_label("Name", "Ada");
    browser.fill_label("Name", "Grace");
    browser.fill_label("Role", "Operator");
    browser.fill("#until", "2026-01-31");
    browser.click_label("Understood");
    browser.submit("#until");
    browser.wait_for_url("until=2026-01-31&ok=on", SOON);
    let sent = browser.url();
    assert!(sent.contains("name=Grace&role=o&"), "{sent}");
    assert_eq!(browser.title(), "A form");
    assert_eq!(
        browser.texts("label"),
        ["Name", "Role", "Until", "Understood"]
    );
    assert_eq!(browser.attribute("#until", "type").as_deref(), Some("date"));
    assert_eq!(browser.attribute("#until", "placeholder"), None);

    browser.goto(&site.url("/form"));
    browser.click("[name=name]");
    browser.press("Alan\u{E007}");
    browser.wait_for_url("name=Alan&role=r&until=", SOON);
    browser.click_text("Elsewhere");
    assert_eq!((browser.url(), browser.status()), (site.url("/sound"), 200));
    browser.goto(&site.url("/form"));
    // What comes a little later is waited for.
    let late = "document.body.insertAdjacentHTML('beforeend', '<a id=late href=/sound>Late</a>')";
    browser.execute(&format!("setTimeout(() => {late}, 200)"));
    browser.click("#late");
    assert_eq!(browser.url(), site.url("/sound"));

    browser.goto(&site.url("/form"));
    browser.set_patience(Duration::ZERO);
    let page = format!("on {}", site.url("/form"));
    for (said, reasons) in [
        (
            failure(|| browser.click("#none")),
            ["`#none`", "there is none"],
        ),
        (
            failure(|| browser.click("label")),
            ["`label`", "there are 4"],
        ),
        (
            failure(|| browser.click_text("Hidden")),
            ["\"Hidden\"", "there is none"],
        ),
        (
            failure(|| browser.fill_label("Nmae", "Ada")),
            ["\"Nmae\"", "the fields here are [\"Name\", \"Role\""],
        ),
        (
            failure(|| browser.fill_label("Role", "King")),
            ["\"Role\"", "no option \"King\" but these: Reader, Operator"],
        ),
        (
            failure(|| browser.fill("#until", "soon")),
            ["`#until`", "takes no \"soon\""],
        ),
        (
            failure(|| browser.submit("a")),
            ["`a`", "belongs to no form"],
        ),
        (
            failure(|| browser.wait_for_text("Thanks", Duration::ZERO)),
            ["\"Thanks\"", "not there within"],
        ),
        (
            failure(|| drop(browser.execute("return nothing.at.all"))),
            ["nothing.at.all", "nothing is not defined"],
        ),
    ] {
        for part in [&page, "Please fill this in"].iter().chain(&reasons) {
            assert!(said.contains(*part), "{part} is not in: {said}");
        }
    }
}

#[test]
fn what_goes_wrong_in_a_page_is_seen_once() {
    let (site, browser) = open("/sound");
    assert_eq!(browser.console_errors(), [""; 0]);

    browser.goto(&site.url("/throws"));
    browser.wait_for_text("thrown", SOON);
    let errors = browser.console_errors().join("\n");
    for part in [
        "thrown on purpose",
        "never caught",
        "told on purpose",
        "/missing.css",
    ] {
        assert!(errors.contains(part), "{part} is not in: {errors}");
    }
    assert_eq!(browser.console_errors(), [""; 0]);

    browser.goto(&site.url("/strict"));
    let errors = browser.console_errors();
    for part in ["style-src", "img-src", "report-only"] {
        let is_it = |error: &String| error.starts_with("security: ") && error.contains(part);
        assert!(errors.iter().any(is_it), "{part} is not in {errors:?}");
    }

    // Scripts of tests run all the same, axe-core too, and are no violations.
    assert_eq!(browser.execute("return 6 * 7"), 42);
    browser.axe();
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_sound_page_passes_and_each_fault_of_another_is_named() {
    let (site, browser) = open("/sound");
    browser.assert_sound("testkit-sound");
    // A refusal is a page like others.
    browser.goto(&site.url("/refused"));
    assert_eq!(browser.status(), 403);
    browser.assert_sound("testkit-refused");

    browser.goto(&site.url("/unlabelled"));
    let found = browser.axe();
    let label = found.iter().find(|found| found.id == "label").unwrap();
    assert!(label.is_serious(), "{label:?}");
    assert!(label.nodes[0].starts_with("#unlabelled: "), "{label:?}");

    let everywhere = "1280 px light, 1280 px dark, 390 px light, 390 px dark: ";
    let phone = "390 px light, 390 px dark: it is ";
    let dark = "  1280 px dark, 390 px dark: ";
    for (path, place, fault) in [
        ("/unlabelled", everywhere, "label (critical): "),
        ("/throws", "javascript: ", "thrown on purpose"),
        ("/wide", phone, "has to be scrolled"),
        ("/no-phone", phone, "shown as if the screen had 980 px"),
        ("/pale", dark, "color-contrast (serious): "),
    ] {
        browser.goto(&site.url(path));
        let said = failure(|| browser.assert_sound("testkit-fault"));
        let has_both = |line: &str| line.contains(place) && line.contains(fault);
        assert!(said.lines().any(has_both), "{path}: {said}");
    }
}

/// The width and height that a PNG says it has.
fn size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[1..4], b"PNG");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn pages_are_shot_as_wide_as_screens_are_and_see_the_scheme() {
    let (_site, browser) = open("/sound");
    let scheme = || {
        browser.execute(
            "return [matchMedia('(prefers-color-scheme: dark)').matches,
                     getComputedStyle(document.body).backgroundColor]",
        )
    };
    assert_eq!(scheme(), serde_json::json!([false, "rgb(255, 255, 255)"]));
    browser.color_scheme(Scheme::Dark);
    assert_eq!(scheme(), serde_json::json!([true, "rgb(0, 0, 0)"]));
    browser.resize(700, 500);
    browser.reload();
    assert_eq!(scheme(), serde_json::json!([true, "rgb(0, 0, 0)"]));

    let paths = browser.shoot_all("testkit-shot");
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(
        names,
        [
            "testkit-shot-1280-light.png",
            "testkit-shot-1280-dark.png",
            "testkit-shot-390-light.png",
            "testkit-shot-390-dark.png",
        ]
    );
    let sizes: Vec<_> = paths.iter().map(|path| size(path)).collect();
    // The whole page, which is 2,000 pixels high, and not only what fits on the screen.
    assert_eq!(
        sizes,
        [(1280, 2000), (1280, 2000), (390, 2000), (390, 2000)]
    );
    assert_ne!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    // As it was before.
    assert_eq!(
        browser.execute("return [innerWidth, innerHeight]"),
        serde_json::json!([700, 500])
    );
    assert_eq!(scheme(), serde_json::json!([true, "rgb(0, 0, 0)"]));
}

#[test]
fn each_browser_has_cookies_of_its_own_and_leaves_no_process_behind() {
    let (site, browser) = open("/cookie");
    let other = Browser::start();
    other.goto(&site.url("/sound"));
    let [cookie] = &browser.cookies()[..] else {
        panic!("one cookie");
    };
    assert_eq!((&*cookie.name, &*cookie.value), ("session", "ours"));
    assert!(cookie.is_http_only && !cookie.is_secure && cookie.same_site == "Strict");
    assert_eq!(other.cookies(), []);
    other.set_cookie(&Cookie::new("session", "stolen"));
    assert_eq!(other.execute("return document.cookie"), "session=stolen");
    other.remove_cookie("session");
    assert_eq!(other.execute("return document.cookie"), "");

    let (of_one, of_other) = (browser.processes(), other.processes());
    assert!(
        of_one.len() > 3,
        "chromedriver, and several of chromium: {of_one:?}"
    );
    assert!(of_one.iter().all(|number| !of_other.contains(number)));
    let authenticator = Authenticator::add(&browser);
    drop(browser);
    assert_eq!(running(&of_one), [0; 0]);
    assert_eq!(running(&of_other), of_other, "the other goes on");
    drop(authenticator);
    // Where its driver is killed, as with a test that is, it ends by itself.
    let name = |number: &i32| fs::read_to_string(format!("/proc/{number}/comm")).unwrap();
    let driver = of_other
        .iter()
        .find(|number| name(number) == "chromedriver\n");
    let driver = Pid::from_raw(*driver.unwrap()).unwrap();
    kill_process(driver, Signal::KILL).unwrap();
    let started = Instant::now();
    while !running(&of_other).is_empty() {
        assert!(started.elapsed() < SOON, "{:?}", running(&of_other));
        thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_browser_outlives_the_thread_that_started_it_and_waits_no_longer_than_it_is_told() {
    let browser = thread::spawn(Browser::start).join().unwrap();
    browser.goto("about:blank");
    browser.set_patience(Duration::from_millis(100));
    let started = Instant::now();
    let said = failure(|| browser.click("a"));
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(said.contains("on about:blank: no such element"), "{said}");
    let said = failure(|| browser.goto("http://other.example/"));
    assert!(said.contains("ERR_NAME_NOT_RESOLVED"), "{said}");
}

/// Those of these processes that have not ended.
fn running(numbers: &[i32]) -> Vec<i32> {
    let runs = |number: &i32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_some_and(|state| !state.starts_with(['Z', 'X']))
    };
    numbers.iter().copied().filter(runs).collect()
}
