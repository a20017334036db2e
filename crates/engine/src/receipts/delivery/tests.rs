//! Vaults that take, ask, refuse and go away.

use std::cell::RefCell;
use std::sync::Arc;

use strongroom_model::receipt::Outcome;
use strongroom_store::{LocalStore, Result as StoreResult};

use super::*;
use crate::backup::report::{SnapshotNeeds, SourceReport};
use crate::receipts::ClientKey;
use crate::receipts::statement::Statement;
use crate::state::{RepositoryState, StateFolder};

struct World {
    _folder: tempfile::TempDir,
    state: RepositoryState,
    client: ClientKey,
    copy: CopyStore,
}

/// A vault that keeps receipts as the contract says, and remembers in which order they came.
#[derive(Default)]
struct Vault {
    has: RefCell<Vec<Id>>,
    came: RefCell<Vec<Id>>,
}

impl Vault {
    fn take(&self, signed: &SignedReceipt) -> StoreResult<Sent> {
        let verified = signed.verify(|_, _, _| true).unwrap();
        self.came.borrow_mut().push(verified.id());
        if let Some(parent) = verified.receipt().parent
            && !self.has.borrow().contains(&parent)
        {
            return Ok(Sent::Needs(parent));
        }
        self.has.borrow_mut().push(verified.id());
        Ok(Sent::Taken(ReceiptAnswer {
            receipt: verified.id(),
            snapshot: verified.receipt().snapshot,
            whole: Some(true),
            missing: 0,
        }))
    }

    fn forget_all(&self) {
        self.has.borrow_mut().clear();
        self.came.borrow_mut().clear();
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path());
        Self {
            client: state.client_key().unwrap(),
            state: state.repository(id("repository")),
            copy: CopyStore {
                name: "vault".to_owned(),
                store: Arc::new(LocalStore::new(folder.path().join("vault"))),
                is_local: false,
            },
            _folder: folder,
        }
    }

    fn receipts(&self) -> Receipts<'_> {
        Receipts::new(&self.state, &self.client)
    }

    /// Signs a receipt of a source; returns its id.
    fn issue(&self, source: &str, number: u8) -> Id {
        let report = SourceReport {
            needs: SnapshotNeeds {
                packs: vec![(Id::of(&[number]), 5)],
                index_files: vec![Id::of(&[number, 1])],
            },
            ..SourceReport::default()
        };
        let statement = Statement {
            source: source.parse().unwrap(),
            snapshot: id(&format!("{source} {number}")),
            tree: id("tree"),
            time: jiff::Timestamp::from_second(1_800_000_000 + i64::from(number)).unwrap(),
            report: &report,
            host: "h",
            copies: BTreeMap::from([("vault".parse().unwrap(), Outcome::Whole)]),
            keys: BTreeSet::from([id("key")]),
            config: id("config"),
        };
        self.receipts().sign(&statement).unwrap().id()
    }

    fn deliver(&self, send: impl Fn(&SignedReceipt) -> StoreResult<Sent>) -> Delivery {
        let cancel = Cancel::default();
        self.receipts().deliver(&self.copy, send, &cancel).unwrap()
    }
}

fn id(text: &str) -> Id {
    Id::of(text.as_bytes())
}

fn refusal(status: u16) -> StoreError {
    StoreError::Vault {
        location: "https://vault/".to_owned(),
        action: "take a receipt".to_owned(),
        status,
        reason: "no".to_owned(),
        hint: Some("ask".into()),
    }
}

#[test]
fn a_vault_gets_what_it_lacks_in_the_order_in_which_it_builds_on_one_another() {
    let (world, vault) = (World::new(), Vault::default());
    let chain: Vec<Id> = (0..4).map(|number| world.issue("main", number)).collect();
    let other = world.issue("other", 9);
    assert!(world.receipts().are_to_be_delivered(&world.copy));
    let delivery = world.deliver(|signed| vault.take(signed));
    assert_eq!((delivery.new, delivery.left), (5, 0));
    assert!(delivery.failure.is_none());
    let mut expected = chain.clone();
    expected.push(other);
    let mut has = vault.has.borrow().clone();
    has.sort_unstable();
    expected.sort_unstable();
    assert_eq!(has, expected);
    assert!(!world.receipts().are_to_be_delivered(&world.copy));
    let newest: BTreeSet<_> = delivery
        .newest
        .iter()
        .map(|(source, answer)| (source.to_string(), answer.receipt))
        .collect();
    let last = ("main".to_owned(), chain[3]);
    assert_eq!(newest, [last, ("other".to_owned(), other)].into());

    // The next time, the newest alone are asked about again.
    vault.came.borrow_mut().clear();
    let delivery = world.deliver(|signed| vault.take(signed));
    assert_eq!((delivery.new, delivery.left), (0, 0));
    assert_eq!(delivery.newest.len(), 2);
    assert_eq!(vault.came.borrow().len(), 2);
}

#[test]
fn a_vault_that_was_set_up_anew_gets_the_whole_chain_again() {
    let (world, vault) = (World::new(), Vault::default());
    let chain: Vec<Id> = (0..3).map(|number| world.issue("main", number)).collect();
    world.deliver(|signed| vault.take(signed));
    vault.forget_all();
    let delivery = world.deliver(|signed| vault.take(signed));
    assert_eq!(*vault.has.borrow(), chain);
    assert_eq!(delivery.newest.len(), 1);
}

#[test]
fn what_could_not_be_sent_stays_for_the_next_time() {
    let (world, vault) = (World::new(), Vault::default());
    for number in 0..3 {
        world.issue("main", number);
    }
    let delivery = world.deliver(|_| Err(refusal(403)));
    assert_eq!((delivery.new, delivery.left), (0, 3));
    let failure = delivery.failure.unwrap();
    assert!(failure.reason.contains("refuses to take a receipt: no"));
    assert_eq!(failure.hint.as_deref(), Some("ask"));
    assert!(world.receipts().are_to_be_delivered(&world.copy));
    // It breaks off in the middle.
    let taken = RefCell::new(0);
    let delivery = world.deliver(|signed| {
        if *taken.borrow() == 2 {
            return Err(refusal(503));
        }
        let sent = vault.take(signed)?;
        if let Sent::Taken(_) = sent {
            *taken.borrow_mut() += 1;
        }
        Ok(sent)
    });
    assert_eq!((delivery.new, delivery.left), (2, 1));
    let delivery = world.deliver(|signed| vault.take(signed));
    assert_eq!((delivery.new, delivery.left), (1, 0));
    assert!(delivery.failure.is_none());
}

#[test]
fn a_receipt_that_is_refused_for_good_is_told_once_and_not_sent_again() {
    let world = World::new();
    let receipt = world.issue("main", 1);
    let delivery = world.deliver(|_| Err(refusal(400)));
    assert_eq!(delivery.refused, [(receipt, "no".to_owned())]);
    assert!(delivery.failure.is_none());
    let delivery = world.deliver(|_| panic!("it is sent again"));
    assert_eq!((delivery.refused.len(), delivery.left), (0, 0));
    assert!(!world.receipts().are_to_be_delivered(&world.copy));
}

#[test]
fn a_vault_that_asks_in_circles_or_for_what_is_not_here_ends_nothing_but_itself() {
    let world = World::new();
    let (first, second) = (world.issue("main", 1), world.issue("main", 2));
    let count = RefCell::new(0);
    let delivery = world.deliver(|signed| {
        *count.borrow_mut() += 1;
        let other = if signed.id() == first { second } else { first };
        Ok(Sent::Needs(other))
    });
    assert!(*count.borrow() <= 4, "{count:?}");
    assert_eq!((delivery.new, delivery.left), (0, 2));
    world.deliver(|_| Ok(Sent::Needs(id("unknown"))));
    let delivery = world.deliver(|_| panic!("it is sent again"));
    assert_eq!(delivery.left, 0);
}

#[test]
fn what_another_key_signed_is_not_sent() {
    let world = World::new();
    world.issue("main", 1);
    let stranger = ClientKey::generate().unwrap();
    let receipts = Receipts::new(&world.state, &stranger);
    let send = |_: &SignedReceipt| panic!("it is sent");
    let delivery = receipts.deliver(&world.copy, send, &Cancel::default());
    assert_eq!(delivery.unwrap().newest, []);
}

#[test]
fn an_answer_about_another_receipt_counts_for_nothing() {
    let world = World::new();
    world.issue("main", 1);
    let delivery = world.deliver(|_| {
        Ok(Sent::Taken(ReceiptAnswer {
            receipt: id("other"),
            snapshot: id("other"),
            whole: Some(true),
            missing: 0,
        }))
    });
    assert_eq!((delivery.newest.len(), delivery.left), (0, 1));
}
