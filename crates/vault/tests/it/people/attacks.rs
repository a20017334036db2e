//! What somebody tries who has stolen something, each by its name.

use strongroom_access::{Act, Refusal, Role, Roles};
use strongroom_model::Secret;
use strongroom_vault::Error;
use strongroom_vault::people::{Browser, Done, Enrolling, NewFactor, Performed, Who};
use strongroom_vault::rules::clock::DAY_MS;

use crate::people::device::Device;
use crate::people::scene::{ORIGIN, Office, PASSWORD};

fn suspends(office: &Office, whom: &crate::people::scene::Person) -> Act {
    assert!(office.people.known().unwrap().operator(whom.id).is_some());
    Act::Suspend { operator: whom.id }
}

#[test]
pub(crate) fn a_challenge_is_answered_once_and_only_for_what_it_was_made_for() {
    let office = Office::new();
    let [anna, bert, cleo] = office.three();
    let asks = |act: &Act| office.people.ask(office.signs_in(&anna), act, "").unwrap();
    let first = asks(&suspends(&office, &cleo));
    let second = asks(&Act::SetRoles {
        operator: cleo.id,
        roles: Roles::NONE.with(Role::Viewer),
    });
    // A yes to one operation is none to another.
    let (handle, options) = office.people.ask_for_yes(bert.id, first).unwrap();
    let answer = bert.device.sign(ORIGIN, options).unwrap();
    let refused = office
        .people
        .say_yes(bert.id, second, handle.reveal(), &answer)
        .unwrap_err();
    assert!(
        matches!(refused, Error::NotPermitted(Refusal::Changed)),
        "{refused}"
    );
    // It was used up by that.
    let used = office
        .people
        .say_yes(bert.id, first, handle.reveal(), &answer);
    assert!(matches!(used, Err(Error::NotSigned)));
    // A signature for one challenge answers no other.
    let (other, _) = office.people.ask_for_yes(bert.id, first).unwrap();
    let mixed = office
        .people
        .say_yes(bert.id, first, other.reveal(), &answer);
    assert!(matches!(mixed, Err(Error::NotSigned)));
    // Nor does a sign-in say yes.
    let (handle, options) = office.people.ask_who().unwrap();
    let answer = bert.device.sign(ORIGIN, options).unwrap();
    let signed_in = office
        .people
        .say_yes(bert.id, first, handle.reveal(), &answer);
    assert!(matches!(signed_in, Err(Error::NotSigned)));
    // And somebody else's yes is not his.
    let (handle, options) = office.people.ask_for_yes(cleo.id, first).unwrap();
    let answer = cleo.device.sign(ORIGIN, options).unwrap();
    let stolen = office
        .people
        .say_yes(bert.id, first, handle.reveal(), &answer);
    assert!(matches!(stolen, Err(Error::NotSigned)));
    assert_eq!(office.people.operation(first).unwrap().yeses, 0);
    office.says_yes(&bert, first).unwrap();
    assert_eq!(office.people.operation(first).unwrap().yeses, 1);
}

#[test]
pub(crate) fn a_signature_from_another_page_or_by_whoever_was_not_verified_counts_nowhere() {
    let office = Office::new();
    let mut anna = office.first("anna");
    let (handle, options) = office.people.ask_who().unwrap();
    let elsewhere = anna.device.sign("http://localhost:9000", options).unwrap();
    let browser = Browser::default();
    let refused = office.people.sign_in(handle.reveal(), &elsewhere, &browser);
    assert!(matches!(refused, Err(Error::NotSignedIn)));
    anna.device.is_verified = false;
    let (handle, mut options) = office.people.ask_who().unwrap();
    // A page that was tampered with asks for less.
    options["publicKey"]["userVerification"] = "discouraged".into();
    let unverified = anna.device.sign(ORIGIN, options).unwrap();
    let refused = office
        .people
        .sign_in(handle.reveal(), &unverified, &browser);
    assert!(matches!(refused, Err(Error::NotSignedIn)));
}

#[test]
pub(crate) fn an_answer_comes_within_five_minutes_or_not_at_all() {
    let office = Office::new();
    let anna = office.first("anna");
    let (handle, options) = office.people.ask_who().unwrap();
    let answer = anna.device.sign(ORIGIN, options).unwrap();
    office.scene.pass(5 * 60_000);
    let late = office
        .people
        .sign_in(handle.reveal(), &answer, &Browser::default());
    assert!(matches!(late, Err(Error::NotSignedIn)));
}

#[test]
pub(crate) fn who_has_one_factor_has_no_rights_and_his_passkey_signs_nobody_in() {
    let office = Office::new();
    let anna = office.first("anna");
    let act = Act::AddOperator {
        name: "bert".parse().unwrap(),
        roles: Roles::ALL,
    };
    let who = office.shows(&anna, &act);
    let strongroom_vault::people::Done::Link(link) = office.people.act(who, &act).unwrap() else {
        panic!("no link");
    };
    let (device, by_link) = (Device::new(), Enrolling::Link(link.reveal()));
    let (handle, options) = office.people.ask_for_passkey(by_link).unwrap();
    let answer = device.enrol(ORIGIN, options);
    let new = NewFactor::Passkey(&answer);
    office
        .people
        .enrol(by_link, handle.reveal(), &new, "a key")
        .unwrap();
    let (handle, options) = office.people.ask_who().unwrap();
    let answer = device.sign(ORIGIN, options).unwrap();
    let refused = office
        .people
        .sign_in(handle.reveal(), &answer, &Browser::default());
    assert!(matches!(refused, Err(Error::NotSignedIn)));
    // The link lapses, and lets nobody in any more.
    office.scene.pass(3 * DAY_MS);
    assert!(office.people.joining(link.reveal()).is_err());
    assert!(office.people.ask_for_passkey(by_link).is_err());
}

#[test]
pub(crate) fn wrong_guesses_pause_strangers_and_never_the_browser_that_was_signed_in() {
    let office = Office::new();
    let anna = office.first("anna");
    let password = Secret::new(PASSWORD);
    let at_home = Browser::default();
    let code = office.new_code(&anna);
    let cookies = office
        .people
        .sign_in_by_password("anna", &password, &code, &at_home)
        .unwrap();
    let at_home = Browser {
        cookie: Some(cookies.browser.reveal().to_owned()),
        ..Browser::default()
    };
    let guess = |name: &str, browser: &Browser| {
        let wrong = Secret::new("a wrong password");
        office
            .people
            .sign_in_by_password(name, &wrong, "000000", browser)
            .unwrap_err()
    };
    // Somebody with a cookie that he made up is a stranger.
    let stranger = Browser {
        cookie: Some("made up".to_owned()),
        ..Browser::default()
    };
    let mut answers = [Vec::new(), Vec::new()];
    for _ in 0..12 {
        for (name, answers) in ["anna", "nobody"].iter().zip(&mut answers) {
            answers.push(guess(name, &stranger).to_string());
        }
    }
    assert_eq!(answers[0], answers[1], "a name is told by its answers");
    assert!(matches!(guess("anna", &stranger), Error::Guessed { .. }));
    let code = office.new_code(&anna);
    office
        .people
        .sign_in_by_password("anna", &password, &code, &at_home)
        .unwrap();
    // Her passkey has no bucket at all.
    office.signs_in(&anna);
}

#[test]
pub(crate) fn a_stolen_session_approves_nothing_enrols_nothing_and_invites_nobody() {
    let office = Office::new();
    let [anna, bert, cleo] = office.three();
    let stolen = office.signs_in(&bert);
    let Who::Operator(_, shown) = stolen else {
        panic!("the folder");
    };
    assert!(!shown.is_enough_for(strongroom_access::factor::Want::Approve));
    assert!(
        office
            .people
            .ask_for_passkey(Enrolling::Operator(stolen))
            .is_err()
    );
    let add = Act::AddOperator {
        name: "mallory".parse().unwrap(),
        roles: Roles::ALL,
    };
    assert!(office.people.act(stolen, &add).is_err());
    // What was shown for one act is not shown for another.
    let (handle, options) = office
        .people
        .ask_to_show(bert.id, &suspends(&office, &cleo))
        .unwrap();
    let answer = bert.device.sign(ORIGIN, options).unwrap();
    let other = suspends(&office, &anna);
    let refused = office
        .people
        .shown(bert.id, &other, handle.reveal(), &answer);
    assert!(matches!(refused, Err(Error::NotSigned)));
}

#[test]
pub(crate) fn what_is_shown_once_is_shown_to_whoever_asked_and_shows_a_passkey() {
    let office = Office::new();
    let [anna, bert, cleo] = office.three();
    let add = Act::AddOperator {
        name: "dora".parse().unwrap(),
        roles: Roles::ALL,
    };
    let number = office.people.ask(office.signs_in(&anna), &add, "").unwrap();
    office.says_yes(&bert, number).unwrap();
    office.says_yes(&cleo, number).unwrap();
    office.scene.pass(3 * DAY_MS);
    assert_eq!(office.people.perform_due().unwrap(), 0);
    for stolen in [
        None,
        Some(office.signs_in(&anna)),
        Some(office.shows(&bert, &add)),
    ] {
        let performed = office.people.perform(number, stolen).unwrap();
        assert!(
            matches!(performed, Performed::Not(Refusal::NotShown { .. })),
            "{performed:?}"
        );
    }
    let who = office.shows(&anna, &add);
    let Performed::Done(Done::Link(link)) = office.people.perform(number, Some(who)).unwrap()
    else {
        panic!("no link");
    };
    office.join("dora", link.reveal());
    assert!(matches!(office.performs(number), Performed::Not(_)));
}

#[test]
pub(crate) fn a_flood_of_strangers_takes_no_challenge_from_an_operator() {
    let office = Office::new();
    let [anna, bert, cleo] = office.three();
    let asked = office
        .people
        .ask(office.signs_in(&anna), &suspends(&office, &cleo), "")
        .unwrap();
    let (handle, options) = office.people.ask_for_yes(bert.id, asked).unwrap();
    let (of_victim, victims) = office.people.ask_who().unwrap();
    for _ in 0..100 {
        office.people.ask_who().unwrap();
    }
    let count = "SELECT COUNT(*) FROM challenge";
    let database = office.scene.vault.database();
    let count = database.look(|transaction| transaction.first(count, &[], |row| row.int(0)));
    let of_sign_ins = 4;
    assert!(
        count.unwrap() <= Some(of_sign_ins),
        "something is kept of strangers"
    );
    let answer = bert.device.sign(ORIGIN, options).unwrap();
    let yes = office
        .people
        .say_yes(bert.id, asked, handle.reveal(), &answer);
    assert!(yes.is_ok());
    let answer = anna.device.sign(ORIGIN, victims).unwrap();
    let signed_in = office
        .people
        .sign_in(of_victim.reveal(), &answer, &Browser::default());
    assert!(signed_in.is_ok());
    // An answer counts once, and only with what this vault has made.
    let again = office
        .people
        .sign_in(of_victim.reveal(), &answer, &Browser::default());
    assert!(matches!(again, Err(Error::NotSignedIn)));
    let (handle, options) = office.people.ask_who().unwrap();
    let answer = anna.device.sign(ORIGIN, options).unwrap();
    let (text, code) = handle.reveal().split_once('.').unwrap();
    let later = data_encoding::BASE64URL_NOPAD
        .decode(text.as_bytes())
        .unwrap();
    let later = String::from_utf8(later)
        .unwrap()
        .replace("\"made_ms\":1", "\"made_ms\":2");
    let forged = data_encoding::BASE64URL_NOPAD.encode(later.as_bytes());
    for handle in [
        format!("{forged}.{code}"),
        format!("{text}.{text}"),
        text.to_owned(),
        String::new(),
    ] {
        let refused = office.people.sign_in(&handle, &answer, &Browser::default());
        assert!(matches!(refused, Err(Error::NotSignedIn)));
    }
}
