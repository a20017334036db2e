//! What pages tell of repositories, and what is done on them.

use strongroom_access::{OperatorId, Shown};
use strongroom_model::{FileName, FileType};
use strongroom_vault::people::Who;
use strongroom_vault::rules::clock::{DAY_MS, MINUTE_MS};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Principal;

use crate::console::office::{Office, PATIENCE, Person};
use crate::signing::{Client, first, needs};
use crate::vault::scene::{key_file, repository};

/// How many snapshots there are, which is more than a page has.
const SNAPSHOTS: u8 = 30;

/// Who has filled the repository.
struct Machines {
    append: Principal,
    maintain: Principal,
}

/// A repository of two days with snapshots, receipts, a key that waits, and a hold.
fn fill(office: &Office) -> Machines {
    let scene = &office.scene;
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let key = scene.init(&append);
    let packs = scene.put_packs(&append, 40, 400);
    let index = scene.put(&append, FileType::Index, b"an index").unwrap();
    scene.vault.purge().unwrap();
    scene.pass(DAY_MS);
    for number in 0..SNAPSHOTS {
        scene.pass(MINUTE_MS);
        let content = format!("snapshot {number}");
        let snapshot = scene
            .put(&append, FileType::Snapshots, content.as_bytes())
            .unwrap();
        let client = Client::new(1);
        if number + 1 == SNAPSHOTS {
            let files: Vec<FileName> = [key, index, packs[39]].to_vec();
            let needs = first(&needs(&files, b"the config"));
            let receipt = client.receipt(snapshot, None, needs);
            client.send(scene, &append, &receipt).unwrap();
        }
    }
    scene.vault.purge().unwrap();
    scene.put(&append, FileType::Keys, &key_file(2)).unwrap();
    for pack in &packs[..30] {
        scene.pass(1_000);
        scene.vault.remove(&maintain, &repository(), *pack).unwrap();
    }
    Machines { append, maintain }
}

/// Set-up is over, and there is one person.
fn settle(office: &Office) -> OperatorId {
    let id = office.people.known().unwrap().operators[0].id;
    office.people.close_setup(id).unwrap();
    id
}

fn says(person: &Person, text: &str) {
    person.browser.wait_for_text(text, PATIENCE);
}

#[test]
fn a_repository_tells_how_it_stands_and_takes_back_what_was_deleted() {
    let office = Office::open();
    let machines = fill(&office);
    let anna = office.first("anna");
    let id = settle(&office);
    let browser = &anna.browser;
    browser.goto(&office.url("/-/"));
    browser.click_text("acme/repos");
    says(&anna, "How it stands");
    browser.assert_sound("repository");
    for told in [
        "Purging is held",
        "There are 30 tombstones",
        "1 key waits",
        "repos: ",
        "ago, whole",
        "3 h after arrival",
    ] {
        says(&anna, told);
    }
    let drawings = browser.execute("return document.querySelectorAll('svg.chart rect').length");
    assert_eq!(drawings, 30 * 5);
    browser.click("summary");
    says(&anna, "Live at its beginning");

    // Lists go on by their last row.
    let newest = browser.texts("#snapshots ~ .scroll tbody tr");
    assert_eq!(newest.len(), 25);
    browser.click_text("Older snapshots");
    browser.wait_until("the older ones", PATIENCE, || {
        browser.texts("#snapshots ~ .scroll tbody tr").len() == 5
    });
    let older = browser.texts("#snapshots ~ .scroll tbody tr");
    assert!(older.iter().all(|row| !newest.contains(row)), "{older:?}");
    browser.click_text("Older deletions");
    browser.wait_for_url("#tombstones", PATIENCE);

    // As it was.
    browser.fill_label("Time, as 2026-11-20T10:00:00Z", "2027-01-15T08:00:00Z");
    browser.click_text("Show the command");
    let port = office.origin.rsplit(':').next().unwrap();
    let command = format!(
        "restic --cacert tls.crt -r rest:http://any:TOKEN@localhost:{port}\
         /asof/2027-01-15T08:00:00Z/acme/repos/ --no-lock snapshots"
    );
    says(&anna, &command);
    browser.fill_label("Time, as 2026-11-20T10:00:00Z", "yesterday");
    browser.click_text("Show the command");
    says(&anna, "That is no time");

    // What was deleted comes back, one and then all.
    let pack = browser.attribute(
        "tr:nth-child(2) button[aria-label^='Undelete data/']",
        "aria-label",
    );
    let pack = pack.unwrap();
    browser.click(&format!("button[aria-label='{pack}']"));
    says(&anna, "1 deletions were taken back");
    browser.fill_label("Take back all deletions since", "2027-01-01T00:00:00Z");
    browser.click("#since ~ button");
    says(&anna, "29 deletions were taken back");
    browser.click_text("Let it in");
    says(&anna, "The key is let in");
    assert!(
        office
            .scene
            .vault
            .pending_keys(&repository())
            .unwrap()
            .is_empty()
    );

    // One raises alone, and asks to lower.
    browser.fill_label("After arrival, as 90d or 12h", "4h");
    browser.click_text("Keep for so long");
    says(&anna, "It is kept for longer from now on");
    browser.fill_label("After arrival, as 90d or 12h", "1h");
    browser.click_text("Keep for so long");
    says(&anna, "Lower what is kept in acme/repos: 1 h after arrival");
    let held = office.scene.vault.held(&repository()).unwrap();
    assert_eq!(held.keeping.retention_ms, 4 * 60 * MINUTE_MS);

    // A hold is released as it was looked at.
    let packs = office.scene.put_packs(&machines.append, 45, 300);
    for pack in &packs[..44] {
        office
            .scene
            .vault
            .remove(&machines.maintain, &repository(), *pack)
            .unwrap();
    }
    let here = office.url("/-/repositories/acme/repos");
    browser.goto(&here);
    browser.fill_label("Why is that as it should be?", "an old server");
    browser.click_text("Ask to release the hold");
    says(&anna, "Release the hold of acme/repos: 44 deletions");

    // What comes under the seal is marked.
    let who = Who::Operator(id, Shown::PasskeyBefore);
    office.people.seal(who).unwrap();
    office
        .scene
        .put(&machines.append, FileType::Snapshots, b"under the seal")
        .unwrap();
    browser.goto(&here);
    let marked = browser.texts("#snapshots ~ .scroll .tag.is-bad");
    assert_eq!(marked, ["under the seal"]);
    browser.assert_sound("repository-sealed");

    // Nothing of the like of a path is a page.
    browser.goto(&office.url("/-/repositories/acme/none"));
    says(&anna, "That was not done");
    browser.goto(&office.url("/-/repositories/a/b/c"));
    says(&anna, "There is no such page");
}
