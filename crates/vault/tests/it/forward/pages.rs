//! The whole way in a real browser, through real proxies.

use strongroom_access::Role;

use crate::console::office::{Office, PATIENCE};
use crate::forward::gate::{MINUTE_MS, rule};
use crate::forward::street::{Which, host, protected};

fn goes_there_and_back(which: Which) {
    let mut made = None;
    let office = Office::protecting(|port| {
        let proxy = protected(which, port);
        let host = host(&proxy);
        let rules = vec![
            rule(&host, "/", Role::Viewer, None),
            rule(&host, "/admin", Role::Keeper, Some(10 * MINUTE_MS)),
        ];
        made = Some(proxy);
        rules
    });
    let proxy = made.unwrap();
    let page = |path: &str| format!("http://{}{path}", host(&proxy));
    let link = office.people.first_link().unwrap();
    let link = office.url(&format!("/-/join/{}", link.reveal()));
    let anna = office.person();
    let browser = &anna.browser;
    browser.goto(&link);
    browser.fill_label("How do you want to be called?", "anna");
    browser.click_text("Go on");
    browser.wait_for_text("You need two factors", PATIENCE);
    office.joins(&anna, &link);
    // Whoever is signed in at the vault sees the page and nothing else.
    browser.goto(&page("/d/1?from=now&to=then"));
    browser.wait_until("the page is there", PATIENCE, || {
        browser
            .page_text()
            .to_lowercase()
            .contains("remote-user: anna")
    });
    assert_eq!(browser.url(), page("/d/1?from=now&to=then"));
    // Who is not is asked, and comes back.
    browser.goto(&office.url("/-/you"));
    browser.click_text("Sign out");
    browser.wait_for_text("With a passkey", PATIENCE);
    browser.goto(&page("/d/2"));
    browser.wait_for_text("With a passkey", PATIENCE);
    browser.assert_sound("forward-sign-in");
    browser.click_text("Sign in with a passkey");
    browser.wait_until("the page is there", PATIENCE, || {
        browser.url() == page("/d/2")
    });
    assert!(
        browser
            .page_text()
            .to_lowercase()
            .contains("remote-user: anna")
    );
    // A rule asks for the passkey anew.
    browser.goto(&page("/admin"));
    assert_eq!(browser.url(), page("/admin"));
    office.scene.pass(11 * MINUTE_MS);
    browser.goto(&page("/admin"));
    browser.wait_for_text("your passkey again", PATIENCE);
    browser.assert_sound("forward-step-up");
    browser.click_text("Show your passkey");
    browser.wait_until("the page is there", PATIENCE, || {
        browser.url() == page("/admin")
    });
    assert!(
        browser
            .page_text()
            .to_lowercase()
            .contains("remote-user: anna")
    );
}

#[test]
fn somebody_goes_to_the_vault_and_back_through_caddy() {
    goes_there_and_back(Which::Caddy);
}

#[test]
fn somebody_goes_to_the_vault_and_back_through_nginx() {
    goes_there_and_back(Which::Nginx);
}
