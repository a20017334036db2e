//! Who agreed to what, by the leaves of a vault alone.

use data_encoding::BASE64URL_NOPAD;
use strongroom_access::{Act, Keeping, Role, Roles, Rule, Seal};
use strongroom_ledger::approvals::Problem;
use strongroom_ledger::{Approvals, Approved};
use strongroom_model::{Id, RepositoryPath};
use strongroom_vault::people::{Done, Performed, Who};
use strongroom_vault::records::leaves::{self, Configured};
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{Longer, NewToken};

use crate::people::scene::{ORIGIN, Office, Person};

fn path() -> RepositoryPath {
    "acme".parse().unwrap()
}

/// A vault that was started under the address at which its people's devices sign.
fn office() -> Office {
    let office = Office::new();
    let configured = Configured {
        retention_s: 0,
        grace_s: 0,
        verify_every_s: 0,
        reserve_bytes: 0,
        public_url: Some(ORIGIN.to_owned()),
        runs_in: None,
        storage: "folder",
        database: "sqlite",
        config: Id::of(b""),
    };
    let vault = &office.scene.vault;
    vault.tell_start(Some(&configured)).unwrap();
    vault.add_repository(Who::Folder, &path()).unwrap();
    office
}

/// Lowers what a repository keeps.
fn lowers(to_ms: i64) -> Act {
    let to = Keeping {
        retention_ms: to_ms,
        grace_ms: to_ms,
    };
    Act::Keep {
        repository: path(),
        from: to,
        to,
        agreed: to,
        is_compliant: false,
    }
}

/// All leaves of a vault.
fn told(office: &Office) -> Vec<Vec<u8>> {
    let read = office.scene.vault.database().look(|transaction| {
        let mut told = Vec::new();
        leaves::entries(transaction, 0, 1 << 40, &mut |_, entry| {
            told.push(entry);
            Ok(())
        })?;
        Ok(told)
    });
    read.unwrap()
}

fn audited(told: &[Vec<u8>]) -> Approved {
    let mut approvals = Approvals::default();
    for (place, entry) in (0..).zip(told) {
        approvals.read(entry, place);
    }
    approvals.found()
}

/// Somebody asks for an act, and others say yes.
fn agrees(office: &Office, asker: &Person, act: &Act, others: &[&Person]) -> u64 {
    let who = office.shows(asker, act);
    let number = office.people.ask(who, act, "").unwrap();
    for other in others {
        office.says_yes(other, number).unwrap();
    }
    number
}

/// Does what was agreed to once its delay has passed.
fn waits_for(office: &Office, asker: &Person, number: u64) -> Done {
    office.scene.pass(3 * DAY_MS);
    does(office, asker, number)
}

/// Does what is due, for its asker.
fn does(office: &Office, asker: &Person, number: u64) -> Done {
    let act = office.people.operation(number).unwrap().kept.operation.act;
    let who = office.shows(asker, &act);
    match office.people.perform(number, Some(who)).unwrap() {
        Performed::Done(done) => done,
        Performed::Not(refusal) => panic!("{refusal}"),
    }
}

#[test]
fn what_people_did_by_the_rules_is_found_to_be_so_by_the_leaves_alone() {
    let office = office();
    let vault = &office.scene.vault;
    let append = NewToken {
        right: Right::Append,
        prefix: path(),
        expires_in_ms: None,
        daily_bytes: None,
        daily_objects: None,
    };
    vault.create_token(Who::Folder, &append).unwrap();
    let [anna, bert, cleo] = office.three();
    let doubles = Longer {
        retention_ms: Some(6 * HOUR_MS),
        grace_ms: None,
    };
    vault
        .keep_longer(office.signs_in(&anna), &path(), doubles)
        .unwrap();
    let lower = agrees(&office, &anna, &lowers(HOUR_MS), &[&bert, &cleo]);
    // Once more by the same: it counts once.
    office.says_yes(&bert, lower).unwrap();
    let maintain = Act::MakeToken {
        right: Right::Maintain,
        prefix: path(),
        expires_in_ms: Some(DAY_MS),
        in_place_of: None,
    };
    let maintain = agrees(&office, &bert, &maintain, &[&anna, &cleo]);
    let dora = Act::AddOperator {
        name: "dora".parse().unwrap(),
        roles: Roles::NONE.with(Role::Security),
    };
    let invite = agrees(&office, &anna, &dora, &[&bert, &cleo]);
    waits_for(&office, &anna, lower);
    does(&office, &bert, maintain);
    let Done::Link(link) = does(&office, &anna, invite) else {
        panic!("an invitation without a link");
    };
    let dora = office.join("dora", link.reveal());
    let half = agrees(&office, &anna, &lowers(HOUR_MS / 2), &[&bert, &cleo]);
    office.people.stop(office.signs_in(&cleo), half).unwrap();
    let comply = Act::Comply { repository: path() };
    let number = agrees(&office, &anna, &comply, &[&bert, &dora, &cleo]);
    waits_for(&office, &anna, number);
    office.people.seal(office.signs_in(&cleo)).unwrap();
    let Seal::Sealed { leaf, .. } = office.scene.vault.seal().unwrap() else {
        panic!("it is open");
    };
    // Under the seal without a delay, by those who are there.
    let suspend = Act::Suspend { operator: cleo.id };
    let number = agrees(&office, &anna, &suspend, &[&bert, &dora]);
    assert!(matches!(office.performs(number), Performed::Done(_)));
    let unseal = Act::Unseal { leaf };
    let number = agrees(&office, &anna, &unseal, &[&bert, &dora]);
    office.scene.pass(DAY_MS);
    assert!(matches!(office.performs(number), Performed::Done(_)));
    let reinstate = Act::Reinstate { operator: cleo.id };
    let number = agrees(&office, &dora, &reinstate, &[&bert, &anna]);
    waits_for(&office, &dora, number);
    let recover = Act::RecoverOperator { operator: cleo.id };
    let number = agrees(&office, &dora, &recover, &[&bert, &anna]);
    let Done::Link(link) = waits_for(&office, &dora, number) else {
        panic!("a recovery without a link");
    };
    let cleo = office.join("cleo", link.reveal());
    office.scene.pass(3 * DAY_MS);
    let roles = Roles::NONE.with(Role::Keeper);
    let keeper = Act::SetRoles {
        operator: dora.id,
        roles,
    };
    agrees(&office, &anna, &keeper, &[&cleo]);
    let rule = Rule::new(3).unwrap();
    let number = agrees(&office, &anna, &Act::SetRule { rule }, &[&bert, &cleo]);
    waits_for(&office, &anna, number);
    let found = audited(&told(&office));
    assert_eq!(found.complaints, []);
    assert_eq!((found.asked, found.done, found.ended), (11, 9, 1));
    assert_eq!((found.approved, found.open), (10, 1));
    assert!(found.yeses >= 20, "{}", found.yeses);
}

#[test]
fn a_signature_of_which_one_byte_was_changed_is_no_yes_and_what_rests_on_it_was_not_agreed_to() {
    let office = office();
    let [anna, bert, cleo] = office.three();
    let number = agrees(&office, &anna, &lowers(HOUR_MS), &[&bert, &cleo]);
    waits_for(&office, &anna, number);
    let mut told = told(&office);
    assert_eq!(audited(&told).complaints, []);
    let is_yes = |entry: &&mut Vec<u8>| {
        let leaf: serde_json::Value = serde_json::from_slice(entry).unwrap();
        leaf["act"] == "operation-approved"
    };
    let entry = told.iter_mut().find(is_yes).unwrap();
    let leaf: serde_json::Value = serde_json::from_slice(entry).unwrap();
    let text = leaf["signature"].as_str().unwrap();
    let mut signature = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    *signature.last_mut().unwrap() ^= 1;
    let changed = BASE64URL_NOPAD.encode(&signature);
    *entry = String::from_utf8(entry.clone())
        .unwrap()
        .replace(text, &changed)
        .into_bytes();
    let found = audited(&told);
    assert_eq!((found.yeses, found.done), (1, 1));
    let problems: Vec<_> = found.complaints.iter().map(|it| &it.problem).collect();
    let [
        Problem::NoYes { operator, why },
        Problem::TooFew {
            yeses: 1,
            needed: 2,
        },
        ..,
    ] = problems.as_slice()
    else {
        panic!("{problems:?}");
    };
    assert_eq!(
        (*operator, *why),
        (bert.id.0, "its signature is not by that key")
    );
}
