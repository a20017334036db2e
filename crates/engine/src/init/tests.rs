//! Init on copies in every state that another init, or an accident, may have left them in.

use std::sync::Arc;

use strongroom_store::Store;
use strongroom_testkit::{Fault, FaultyStore, MemoryStore, Op, Rule};

use super::*;
use crate::session::{Cancel, Looking, open};

/// Somebody on a host whose clock stands still.
pub(crate) fn environment() -> Environment {
    Environment {
        clock: Arc::new(|| "2026-11-23T12:00:00Z".parse().unwrap()),
        hostname: "host".to_owned(),
        username: "user".to_owned(),
        cancel: Cancel::default(),
    }
}

pub(crate) fn stores() -> Vec<Arc<FaultyStore<MemoryStore>>> {
    ["a", "b", "c"]
        .map(|name| Arc::new(FaultyStore::new(MemoryStore::new(name))))
        .to_vec()
}

/// Copies that are called as their stores are.
pub(crate) fn copies<S: Store + 'static>(stores: &[Arc<S>]) -> Vec<CopyStore> {
    stores
        .iter()
        .map(|store| CopyStore {
            name: store.location().trim_start_matches("memory:").to_owned(),
            store: store.clone(),
            is_local: true,
        })
        .collect()
}

fn run(stores: &[Arc<FaultyStore<MemoryStore>>], password: &str) -> Result<InitReport> {
    init(
        &copies(stores),
        password.as_bytes(),
        ScryptCost::LEAST,
        &environment(),
    )
}

fn outcomes(report: &InitReport) -> Vec<&'static str> {
    let word = |copy: &InitCopy| match copy.outcome {
        InitOutcome::Made => "made",
        InitOutcome::Kept => "kept",
        InitOutcome::Failed(_) => "failed",
    };
    report.copies.iter().map(word).collect()
}

fn config(store: &FaultyStore<MemoryStore>) -> Vec<u8> {
    store.inner().get(FileName::CONFIG).unwrap().to_vec()
}

#[test]
fn all_copies_get_the_same_repository_and_a_second_init_changes_nothing() {
    let stores = stores();
    let report = run(&stores, "secret").unwrap();
    assert!(report.is_new && report.is_complete());
    assert_eq!(outcomes(&report), ["made"; 3]);
    let before: Vec<_> = stores.iter().map(|store| store.inner().names()).collect();
    assert!(
        before
            .iter()
            .all(|names| *names == before[0] && names.len() == 2)
    );
    let again = run(&stores, "secret").unwrap();
    assert!(!again.is_new);
    assert_eq!(outcomes(&again), ["kept"; 3]);
    assert_eq!(again.repository, report.repository);
    assert_eq!(config(&stores[0]), config(&stores[2]));
    let session = open(&copies(&stores), b"secret", &Looking::default()).unwrap();
    assert_eq!(session.id(), report.repository);
    assert_eq!(session.ready().count(), 3);
}

#[test]
fn a_copy_that_is_new_gets_the_repository_of_the_others() {
    let stores = stores();
    let first = run(&stores[..2], "secret").unwrap();
    let report = run(&stores, "secret").unwrap();
    assert_eq!(outcomes(&report), ["kept", "kept", "made"]);
    assert_eq!(report.repository, first.repository);
    assert_eq!(stores[0].inner().names(), stores[2].inner().names());
}

#[test]
fn each_copy_that_lacks_the_repository_is_told_of_before_it_is_given_anything() {
    let stores = stores();
    let first = run(&stores[..1], "secret").unwrap();
    // It arrives, and the answer is lost.
    stores[1].add(Rule::on(&[Op::Save], Fault::AnswerLost).of(FileType::Config));
    let mut told = Vec::new();
    let mut give = |giving: Giving<'_>| {
        assert_eq!(giving.repository, first.repository);
        assert!(!giving.is_new);
        let store = &giving.copy.store;
        assert!(store.list(FileType::Keys).unwrap().is_empty());
        told.push(giving.copy.name.clone());
    };
    let telling = |give: &mut dyn FnMut(Giving<'_>)| {
        let copies = copies(&stores);
        init_telling(&copies, b"secret", ScryptCost::LEAST, &environment(), give).unwrap()
    };
    let report = telling(&mut give);
    assert_eq!(outcomes(&report), ["kept", "failed", "made"]);
    assert_eq!(told, ["b", "c"]);
    assert_eq!(config(&stores[1]), config(&stores[0]));
    // By now it is whole, and nothing more is told.
    stores[1].heal();
    let mut count = 0;
    let mut give = |_: Giving<'_>| count += 1;
    let report = telling(&mut give);
    assert_eq!((outcomes(&report), count), (vec!["kept"; 3], 0));
}

#[test]
fn two_repositories_are_refused_and_nothing_is_written() {
    let stores = stores();
    run(&stores[..1], "secret").unwrap();
    run(&stores[1..2], "secret").unwrap();
    let error = run(&stores, "secret").unwrap_err();
    assert!(
        matches!(error, Error::DifferentRepositories { .. }),
        "{error}"
    );
    assert!(stores[2].inner().names().is_empty());
}

#[test]
fn the_password_of_what_is_there_must_fit() {
    let stores = stores();
    run(&stores[..1], "secret").unwrap();
    let error = run(&stores, "other").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Repo(strongroom_repo::Error::WrongPassword { .. })
        ),
        "{error}"
    );
    assert!(stores[1].inner().names().is_empty());
}

#[test]
fn no_repository_is_made_while_a_copy_cannot_be_seen() {
    let stores = stores();
    stores[1].set_unreachable(true);
    let error = run(&stores, "secret").unwrap_err();
    assert!(matches!(error, Error::UnseenCopies { .. }), "{error}");
    assert!(stores[0].inner().names().is_empty());
    // Where there is one already, a copy that is away stops nobody.
    stores[1].set_unreachable(false);
    run(&stores[..1], "secret").unwrap();
    stores[1].set_unreachable(true);
    let report = run(&stores, "secret").unwrap();
    assert_eq!(outcomes(&report), ["kept", "failed", "made"]);
}

#[test]
fn an_init_that_was_cut_off_is_completed_with_its_own_key() {
    for saves in 1..6 {
        let stores = stores();
        // One store after the other dies when the budget of saves is spent.
        let mut left = saves;
        for store in &stores {
            let rule = Rule::on(&[Op::Save], Fault::Unreachable);
            store.add(rule.after(left.min(1)));
            left = left.saturating_sub(1);
        }
        let _ = run(&stores, "secret");
        stores.iter().for_each(|store| store.heal());
        let report = run(&stores, "secret").unwrap();
        assert!(report.is_complete());
        assert_eq!(stores[0].inner().names(), stores[1].inner().names());
        assert_eq!(stores[0].inner().names(), stores[2].inner().names());
        let session = open(&copies(&stores), b"secret", &Looking::default()).unwrap();
        assert_eq!(session.id(), report.repository);
    }
}

#[test]
fn a_left_key_under_another_password_stops_the_init() {
    let stores = stores();
    stores[0].add(Rule::on(&[Op::Save], Fault::Full).after(1));
    let _ = run(&stores[..1], "secret");
    stores[0].heal();
    assert_eq!(stores[0].inner().names().len(), 1);
    let error = run(&stores, "other").unwrap_err();
    assert!(matches!(
        error,
        Error::Repo(strongroom_repo::Error::WrongPassword { .. })
    ));
    assert!(run(&stores, "secret").unwrap().is_complete());
}

#[test]
fn a_copy_that_has_lost_its_config_is_not_taken_for_a_new_one() {
    let stores = stores();
    run(&stores, "secret").unwrap();
    let pack = FileName::new(FileType::Data, Id::of(b"pack"));
    stores[0].inner().put(pack, b"pack");
    stores[0].remove(FileName::CONFIG).unwrap();
    assert_eq!(
        outcomes(&run(&stores, "secret").unwrap()),
        ["failed", "kept", "kept"]
    );
    let error = run(&stores[..1], "secret").unwrap_err();
    assert!(matches!(error, Error::UnseenCopies { .. }), "{error}");
}

#[test]
fn a_full_copy_does_not_keep_the_others_from_being_made() {
    let stores = stores();
    stores[1].set_room(Some(0));
    let report = run(&stores, "secret").unwrap();
    assert_eq!(outcomes(&report), ["made", "failed", "made"]);
    stores[1].heal();
    assert_eq!(
        outcomes(&run(&stores, "secret").unwrap()),
        ["kept", "made", "kept"]
    );
}
