//! What leads a newcomer to the first backup, and what is told of tokens, the log and alerts.

use strongroom_access::{OperatorId, Shown};
use strongroom_ledger::{Hash, SignedCheckpoint, Verifier, verify_inclusion};
use strongroom_model::FileType;
use strongroom_vault::people::Who;
use strongroom_vault::rules::right::Right;

use crate::console::office::{Office, PATIENCE, Person};
use crate::vault::scene::repository;

fn says(person: &Person, text: &str) {
    person.browser.wait_for_text(text, PATIENCE);
}

/// Set-up is over, and there is one person.
fn settle(office: &Office) -> OperatorId {
    let id = office.people.known().unwrap().operators[0].id;
    office.people.close_setup(id).unwrap();
    id
}

/// The text of an element, though it may be out of sight.
fn content(person: &Person, css: &str) -> String {
    let script = format!("return document.querySelector({css:?}).textContent");
    person.browser.execute(&script).as_str().unwrap().to_owned()
}

#[test]
fn a_newcomer_is_led_from_the_first_link_to_the_first_backup() {
    let office = Office::open();
    let anna = office.first("anna");
    let browser = &anna.browser;
    says(&anna, "To the first protected folder");
    let store = office
        .origin
        .replace("http://", "rest:http://backup:${VAULT_TOKEN}@");
    says(&anna, &format!("store = \"{store}/acme/repos/\""));
    says(&anna, "Nothing has arrived so far");
    browser.assert_sound("guide");
    browser.click_text("Make the token");
    says(&anna, "Shown once");
    browser.assert_sound("guide-token");
    let token = browser.text("pre");
    let machine = office.scene.vault.authenticate(token.trim()).unwrap();
    browser.click_text("I have kept it");
    says(&anna, "A token for the machine done");

    // It is seen without looking again.
    office.scene.init(&machine);
    says(&anna, "The first backup has arrived, in acme/repos");
    assert!(browser.exists(".steps"), "the page was not loaded anew");
    browser.reload();
    says(&anna, "No receipt tells what is needed");
    browser.assert_sound("first-backup");
}

#[test]
fn tokens_are_made_revoked_and_hidden_and_the_log_and_alerts_tell_it() {
    let office = Office::open();
    let scene = &office.scene;
    let append = scene.token(Right::Append);
    scene.init(&append);
    for number in 0..30_u8 {
        scene.put(&append, FileType::Data, &[number; 50]).unwrap();
    }
    let anna = office.first("anna");
    let id = settle(&office);
    let browser = &anna.browser;

    browser.goto(&office.url("/-/tokens"));
    says(&anna, "append in acme");
    browser.assert_sound("tokens");
    let asks = |right: &str, lasts: &str| {
        browser.goto(&office.url("/-/tokens"));
        browser.fill_label("What it may do", right);
        let label = "In which repository, as acme/repos, or folder of repositories";
        browser.fill_label(label, "acme/repos");
        browser.fill_label("For how long, as 90d or 1h; nothing for no end", lasts);
        browser.click_text("Make it");
    };
    asks("read: a machine that restores", "1h");
    says(&anna, "Shown once");
    let token = browser.text("pre");
    let reader = scene.vault.authenticate(token.trim()).unwrap();
    asks("maintain: whoever prunes", "");
    says(&anna, "Make a token: maintain in acme/repos, without end");
    assert_eq!(
        scene.vault.tokens().unwrap().len(),
        2,
        "it was only asked for"
    );

    // What a stolen token has put goes out of sight, and comes back.
    browser.goto(&office.url("/-/tokens"));
    let name = &append.name;
    browser.click(&format!("button[aria-label='Revoke {name}']"));
    says(&anna, "The token counts no more");
    browser.click(&format!("summary[aria-label='What it has put: {name}']"));
    browser.fill(&format!("#since-{name}"), "2027-01-01T00:00:00Z");
    browser.click(&format!("button[aria-label='Hide what {name} has put']"));
    says(&anna, "32 objects are out of sight");
    browser.click(&format!("summary[aria-label='What it has put: {name}']"));
    browser.click(&format!(
        "button[aria-label='Show again what {name} has put']"
    ));
    says(&anna, "32 objects are seen again");
    assert_eq!(
        scene
            .list(
                &reader,
                strongroom_vault::records::objects::View::Now,
                FileType::Data
            )
            .len(),
        30
    );

    // The log.
    browser.goto(&office.url("/-/log"));
    says(&anna, "Nothing is published so far");
    office.publisher.publish().unwrap();
    browser.reload();
    says(&anna, "Unhide");
    browser.assert_sound("log");
    assert_eq!(browser.texts("tbody tr").len(), 25);
    browser.click_text("Older leaves");
    says(&anna, "Arrival, acme/repos, data/");
    browser.goto(&office.url("/-/log/3"));
    says(&anna, "Leaf 3");
    browser.assert_sound("leaf");
    let told: serde_json::Value = serde_json::from_str(&content(&anna, "details pre")).unwrap();
    let entry = data_encoding::BASE64.decode(told["entry"].as_str().unwrap().as_bytes());
    let proof = told["proof"].as_array().unwrap().iter();
    let proof: Vec<Hash> = proof
        .map(|hash| hash.as_str().unwrap().parse().unwrap())
        .collect();
    let key: Verifier = office.publisher.key().parse().unwrap();
    let note = told["checkpoint"].as_str().unwrap();
    let signed = SignedCheckpoint::open(note.as_bytes(), &key).unwrap();
    let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
    verify_inclusion(&Hash::leaf(&entry.unwrap()), 3, size, &proof, &root).unwrap();
    browser.goto(&office.url("/-/log/99999"));
    says(&anna, "That was not done");
    // That this one was refused is no error of the next page.
    assert_eq!(browser.console_errors().len(), 1);

    // Alerts.
    office
        .people
        .seal(Who::Operator(id, Shown::PasskeyBefore))
        .unwrap();
    browser.goto(&office.url("/-/alerts"));
    says(&anna, "No channel is configured");
    says(&anna, "Alerts (1)");
    browser.assert_sound("alerts");
    browser.click_text("I have seen it");
    says(&anna, "Seen by anna");
    assert!(!browser.page_text().contains("Alerts (1)"));
    assert_eq!(scene.vault.unseen_notices().unwrap(), 0);
    let path = repository();
    browser.goto(&office.url("/-/"));
    browser.click_text(path.as_str());
    says(&anna, "Under the seal nothing but undeleting is done here");
}
