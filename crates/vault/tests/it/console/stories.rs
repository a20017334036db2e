//! From the first link to the opened seal, as people click it.

use strongroom_access::{Act, Keeping};
use strongroom_model::RepositoryPath;
use strongroom_vault::people::Who;
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS};

use crate::console::office::{Office, PATIENCE, Person};

/// The first operator invites somebody, who comes.
fn invites(office: &Office, first: &Person, name: &str, role: &str) -> Person {
    let browser = &first.browser;
    browser.goto(&office.url("/-/operators"));
    browser.fill_label("Name", name);
    browser.click(&format!("input[value={role}]"));
    browser.click_text("Invite");
    browser.wait_for_text("Shown once", PATIENCE);
    let link = browser.text("pre");
    let person = office.person();
    office.joins(&person, link.trim());
    person
}

#[test]
fn people_set_a_vault_up_agree_stop_seal_and_open_the_seal() {
    let office = Office::open();
    let path: RepositoryPath = "acme".parse().unwrap();
    office
        .scene
        .vault
        .add_repository(Who::Folder, &path)
        .unwrap();
    let link = office.people.first_link().unwrap();
    let link = office.url(&format!("/-/join/{}", link.reveal()));
    let anna = office.person();
    anna.browser.goto(&link);
    anna.browser.assert_sound("join-name");
    anna.browser
        .fill_label("How do you want to be called?", "anna");
    anna.browser.click_text("Go on");
    anna.browser.wait_for_text("You need two factors", PATIENCE);
    anna.browser.assert_sound("join-factors");
    office.joins(&anna, &link);
    anna.browser.assert_sound("overview");
    let bert = invites(&office, &anna, "bert", "security");
    let cleo = invites(&office, &anna, "cleo", "security");
    anna.browser.goto(&office.url("/-/operators"));
    anna.browser.assert_sound("operators");
    anna.browser.click_text("End set-up now");
    anna.browser.wait_for_text("The rule", PATIENCE);

    // The link was used up.
    anna.browser.goto(&link);
    anna.browser.wait_for_text("No such link", PATIENCE);
    anna.browser.assert_sound("join-gone");

    // She asks to lower what is kept, and the others agree.
    let hour = Keeping {
        retention_ms: HOUR_MS,
        grace_ms: HOUR_MS,
    };
    let lowers = Act::Keep {
        repository: path.clone(),
        from: hour,
        to: hour,
        agreed: hour,
        is_compliant: false,
    };
    let known = office.people.known().unwrap();
    let id = known.operators[0].id;
    let shown = strongroom_access::Shown::PasskeyBefore;
    let number = office
        .people
        .ask(Who::Operator(id, shown), &lowers, "the disk is full")
        .unwrap();
    let page = office.url(&format!("/-/operations/{number}"));
    anna.browser.goto(&page);
    anna.browser
        .wait_for_text("nobody approves his own", PATIENCE);
    anna.browser.assert_sound("operation-asked");
    for person in [&bert, &cleo] {
        person.browser.goto(&page);
        person.browser.click_text("Approve");
        person.browser.wait_until("the yes counts", PATIENCE, || {
            !person.browser.page_text().contains("Your passkey signs")
        });
    }
    bert.browser.wait_for_text("needs approval", PATIENCE);
    cleo.browser.wait_for_text("approved, waits", PATIENCE);
    cleo.browser.assert_sound("operation-waits");
    cleo.browser.click_text("Stop it");
    cleo.browser.wait_for_text("Stopped by", PATIENCE);
    cleo.browser.assert_sound("operation-stopped");

    // Anybody seals, and everything is refused.
    bert.browser.goto(&office.url("/-/seal"));
    bert.browser.assert_sound("seal");
    bert.browser.click_text("Seal the vault now");
    bert.browser.wait_for_text("The vault is sealed", PATIENCE);
    bert.browser.assert_sound("sealed");
    let refused = office
        .people
        .ask(Who::Operator(id, shown), &lowers, "")
        .unwrap_err();
    assert!(refused.to_string().contains("sealed"), "{refused}");

    // Others open it, after a day.
    anna.browser.goto(&office.url("/-/seal"));
    anna.browser.fill_label("Why?", "it is over");
    anna.browser.click_text("Ask to open the seal");
    anna.browser.wait_for_text("Open the seal", PATIENCE);
    let page = anna.browser.url();
    for person in [&bert, &cleo] {
        person.browser.goto(&page);
        person.browser.click_text("Approve");
        person.browser.wait_until("the yes counts", PATIENCE, || {
            !person.browser.page_text().contains("Your passkey signs")
        });
    }
    office.scene.pass(DAY_MS);
    assert_eq!(office.people.perform_due().unwrap(), 1);
    office.signs_in(&anna);
    assert!(!anna.browser.page_text().contains("is sealed"));
    anna.browser.goto(&office.url("/-/operations"));
    anna.browser.assert_sound("operations");
    anna.browser.goto(&office.url("/-/you"));
    anna.browser.assert_sound("you");
    anna.browser.click_text("Sign out");
    anna.browser.wait_for_text("With a passkey", PATIENCE);
    anna.browser.assert_sound("sign-in");
    anna.browser.goto(&office.url("/-/operators"));
    anna.browser.wait_for_text("With a passkey", PATIENCE);
}
