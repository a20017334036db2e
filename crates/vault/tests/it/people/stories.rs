//! What people do at a vault, from the first link to the opened seal.

use strongroom_access::{Act, Keeping, Refusal, Seal, Setup};
use strongroom_model::{FileType, RepositoryPath, Secret};
use strongroom_vault::people::{Browser, Performed, Recovering, Who};
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS};
use strongroom_vault::rules::purge::Hold;
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::Longer;
use strongroom_vault::{Error, Vault};

use crate::people::scene::{Office, PASSWORD};
use crate::vault::scene::repository;

fn path() -> RepositoryPath {
    "acme".parse().unwrap()
}

/// Lowers what a repository keeps to an hour.
fn lowers() -> Act {
    let hour = Keeping {
        retention_ms: HOUR_MS,
        grace_ms: HOUR_MS,
    };
    Act::Keep {
        repository: path(),
        from: hour,
        to: hour,
        agreed: hour,
        is_compliant: false,
    }
}

fn keeps(vault: &Vault) -> i64 {
    let all = vault.repositories().unwrap();
    all[0].keeping.retention_ms
}

#[test]
pub(crate) fn three_agree_to_lower_what_is_kept_and_it_is_lowered_after_three_days() {
    let office = Office::new();
    let vault = &office.scene.vault;
    vault.add_repository(Who::Folder, &path()).unwrap();
    let before_ms = keeps(vault);
    let [anna, bert, cleo] = office.three();
    let who = office.signs_in(&anna);
    let number = office
        .people
        .ask(who, &lowers(), "the disk is full")
        .unwrap();
    let refused = office.says_yes(&anna, number).unwrap_err();
    assert!(
        matches!(refused, Error::NotPermitted(Refusal::Himself { .. })),
        "{refused}"
    );
    office.says_yes(&bert, number).unwrap();
    assert_eq!(office.people.operation(number).unwrap().due_ms, None);
    office.says_yes(&cleo, number).unwrap();
    office.scene.pass(3 * DAY_MS - HOUR_MS);
    assert!(matches!(
        office.performs(number),
        Performed::Not(Refusal::Waits { .. })
    ));
    assert_eq!(office.people.perform_due().unwrap(), 0);
    assert_eq!(keeps(vault), before_ms);
    office.scene.pass(HOUR_MS);
    assert_eq!(office.people.perform_due().unwrap(), 1);
    assert_eq!(keeps(vault), HOUR_MS);
    assert_eq!(office.people.open_operations().unwrap().len(), 0);
    assert_eq!(office.people.perform_due().unwrap(), 0);
}

#[test]
pub(crate) fn what_one_has_stopped_is_not_done() {
    let office = Office::new();
    let vault = &office.scene.vault;
    vault.add_repository(Who::Folder, &path()).unwrap();
    let before_ms = keeps(vault);
    let [anna, bert, cleo] = office.three();
    let asks = || office.signs_in(&anna);
    let number = office.people.ask(asks(), &lowers(), "").unwrap();
    office.says_yes(&bert, number).unwrap();
    office.says_yes(&cleo, number).unwrap();
    office.people.stop(office.signs_in(&cleo), number).unwrap();
    office.scene.pass(4 * DAY_MS);
    assert_eq!(office.people.perform_due().unwrap(), 0);
    assert_eq!(keeps(vault), before_ms);
    // Approved again by others, it is not stopped again by the same.
    let again = office.people.ask(asks(), &lowers(), "").unwrap();
    office.says_yes(&bert, again).unwrap();
    office.says_yes(&cleo, again).unwrap();
    let refused = office
        .people
        .stop(office.signs_in(&cleo), again)
        .unwrap_err();
    assert!(
        matches!(refused, Error::NotPermitted(Refusal::StoppedBefore)),
        "{refused}"
    );
}

#[test]
pub(crate) fn whoever_has_the_folder_does_nothing_any_more_once_somebody_came() {
    let office = Office::new();
    let vault = &office.scene.vault;
    vault.add_repository(Who::Folder, &path()).unwrap();
    let anna = office.first("anna");
    let other: RepositoryPath = "other".parse().unwrap();
    let refused = vault.add_repository(Who::Folder, &other).unwrap_err();
    assert!(
        matches!(refused, Error::NotPermitted(Refusal::NoOperator)),
        "{refused}"
    );
    let who = office.signs_in(&anna);
    assert!(vault.add_repository(who, &other).unwrap());
    // She doubles what is kept, and no more than that.
    let longer = |hours: i64| Longer {
        retention_ms: Some(hours * HOUR_MS),
        grace_ms: None,
    };
    assert!(vault.keep_longer(who, &path(), longer(7)).is_err());
    vault.keep_longer(who, &path(), longer(6)).unwrap();
    assert!(vault.keep_longer(who, &path(), longer(12)).is_err());
    assert!(vault.keep_longer(who, &path(), longer(5)).is_err());
}

#[test]
pub(crate) fn a_password_with_a_code_signs_in_and_the_code_counts_once() {
    let office = Office::new();
    let anna = office.first("anna");
    let browser = Browser::default();
    let signs_in = |password: &str, code: &str| {
        let password = Secret::new(password);
        office
            .people
            .sign_in_by_password("anna", &password, code, &browser)
    };
    let code = office.new_code(&anna);
    assert!(signs_in("wrong horse battery", &code).is_err());
    let cookies = signs_in(PASSWORD, &code).unwrap();
    let session = office.people.session(cookies.session.reveal()).unwrap();
    assert_eq!(session.unwrap().operator.name.as_str(), "anna");
    assert!(matches!(signs_in(PASSWORD, &code), Err(Error::NotSignedIn)));
    office.scene.pass(15 * 60_000);
    let session = office.people.session(cookies.session.reveal()).unwrap();
    assert!(session.is_none(), "an idle session counts");
}

#[test]
pub(crate) fn under_the_seal_nothing_is_lowered_or_trusted_and_others_open_it_after_a_day() {
    let office = Office::new();
    let vault = &office.scene.vault;
    vault.add_repository(Who::Folder, &path()).unwrap();
    let [anna, bert, cleo] = office.three();
    let code = office
        .people
        .give_seal_code(office.signs_in(&anna), &"watch".parse().unwrap())
        .unwrap();
    let waiting = office
        .people
        .ask(office.signs_in(&anna), &lowers(), "")
        .unwrap();
    office.says_yes(&bert, waiting).unwrap();
    office.says_yes(&cleo, waiting).unwrap();
    let spoken = code.reveal().to_uppercase().replace('-', " ");
    office.people.seal_by_code(&spoken).unwrap();
    assert!(matches!(
        office.people.seal_by_code(&spoken),
        Err(Error::NotSignedIn)
    ));
    let Seal::Sealed { leaf, .. } = office.scene.vault.seal().unwrap() else {
        panic!("it is open");
    };
    let who = office.signs_in(&anna);
    for refused in [
        vault.add_repository(who, &"new".parse().unwrap()).map(drop),
        office.people.ask(who, &lowers(), "").map(drop),
        office.people.seal(who),
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                Error::NotPermitted(Refusal::Sealed | Refusal::NotNow { .. })
            ),
            "{refused}"
        );
    }
    office.scene.pass(4 * DAY_MS);
    assert_eq!(office.people.perform_due().unwrap(), 0);
    let unseal = Act::Unseal { leaf };
    let who = office.shows(&anna, &unseal);
    let number = office.people.ask(who, &unseal, "it is over").unwrap();
    office.says_yes(&bert, number).unwrap();
    office.says_yes(&cleo, number).unwrap();
    office.scene.pass(DAY_MS);
    assert_eq!(office.people.perform_due().unwrap(), 1);
    assert!(matches!(
        office.scene.vault.seal().unwrap(),
        Seal::Open { .. }
    ));
    // What waited under it waits anew.
    assert_eq!(office.people.perform_due().unwrap(), 0);
    office.scene.pass(3 * DAY_MS);
    assert_eq!(office.people.perform_due().unwrap(), 1);
}

#[test]
pub(crate) fn set_up_ends_and_a_seal_survives_a_restart() {
    let office = Office::new();
    let anna = office.first("anna");
    assert!(anna.joined.paper.is_some());
    assert_eq!(anna.joined.codes.len(), 10);
    office.people.seal(office.signs_in(&anna)).unwrap();
    let known = office.people.known().unwrap();
    assert!(matches!(known.regime.setup, Setup::UnderWay { .. }));
    let Office { scene, people } = office;
    drop(people);
    let scene = scene.reopened();
    let key = Secret::new("a key");
    let people = strongroom_vault::people::People::new(scene.vault.clone(), None, key);
    assert!(people.vault().seal().unwrap().is_closed());
}

#[test]
pub(crate) fn under_the_seal_nothing_is_purged_or_asked_to_be_deleted_and_uploads_go_on() {
    let office = Office::new();
    let scene = &office.scene;
    let maintain = scene.token(Right::Maintain);
    scene.init(&maintain);
    let gone = scene
        .put(
            &maintain,
            FileType::Data,
            b"what was asked to be deleted before",
        )
        .unwrap();
    let stays = scene
        .put(&maintain, FileType::Data, b"what is there")
        .unwrap();
    scene.vault.remove(&maintain, &repository(), gone).unwrap();
    let anna = office.first("anna");
    office.people.seal(office.signs_in(&anna)).unwrap();
    let refused = scene
        .vault
        .remove(&maintain, &repository(), stays)
        .unwrap_err();
    assert!(
        matches!(refused, Error::NotPermitted(Refusal::Sealed)),
        "{refused}"
    );
    scene
        .put(&maintain, FileType::Data, b"what comes under the seal")
        .unwrap();
    scene.pass(10 * DAY_MS);
    let outcomes = scene.vault.purge().unwrap();
    assert_eq!(outcomes[0].1.held, Some(Hold::Sealed));
    assert_eq!(outcomes[0].1.objects, 0);
}

#[test]
pub(crate) fn all_operators_are_recovered_by_the_code_on_paper_after_a_week_unless_one_stops_it() {
    let office = Office::new();
    let [anna, bert, _] = office.three();
    let paper = anna.joined.paper.as_ref().unwrap();
    let paper = Secret::new(paper.reveal().to_uppercase());
    assert!(bert.joined.paper.is_none());
    let recovers = || office.people.recover(&paper).unwrap();
    let wrong = office.people.recover(&Secret::new("aaaa-bbbb-cccc-dddd"));
    assert!(matches!(wrong, Err(Error::NotSignedIn)));
    assert!(matches!(recovers(), Recovering::Waits { .. }));
    office.people.stop_recovery(bert.id).unwrap();
    office.scene.pass(8 * DAY_MS);
    // It begins anew.
    assert!(matches!(recovers(), Recovering::Waits { .. }));
    office.people.seal(office.signs_in(&anna)).unwrap();
    office.scene.pass(7 * DAY_MS - HOUR_MS);
    assert!(matches!(recovers(), Recovering::Waits { .. }));
    office.scene.pass(HOUR_MS);
    let Recovering::Link(link) = recovers() else {
        panic!("it still waits");
    };
    // He has lost it, and gets another one; the first is worth nothing any more.
    let Recovering::Link(again) = recovers() else {
        panic!("it waits once more");
    };
    assert!(office.people.joining(link.reveal()).is_err());
    let link = again;
    office
        .people
        .claim(link.reveal(), &"dora".parse().unwrap())
        .unwrap();
    let dora = office.join("dora", link.reveal());
    // She comes under the seal, which stays, and the old code is worth nothing any more.
    assert!(office.scene.vault.seal().unwrap().is_closed());
    assert!(office.people.recover(&paper).is_err());
    assert!(dora.joined.paper.is_some());
    let known = office.people.known().unwrap();
    let counting: Vec<_> = known.operators.iter().filter(|one| one.counts()).collect();
    assert_eq!(counting.len(), 1);
    assert_eq!(counting[0].id, dora.id);
    assert_eq!(known.regime.setup.at(i64::MAX), Setup::Established);
}
