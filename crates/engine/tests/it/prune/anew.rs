//! Receipts say anew what snapshots need, once a prune has moved it.

use std::collections::BTreeSet;

use strongroom_engine::Error;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::prune::{PruneOptions, prune};
use strongroom_engine::receipts::{ClientKey, Receipts, Renewal};
use strongroom_engine::retain;
use strongroom_engine::session::Session;
use strongroom_engine::state::RepositoryState;
use strongroom_engine::status::needs::needs_of_snapshots;
use strongroom_model::receipt::Outcome;
use strongroom_model::{FileName, FileType, Id, Receipt};
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, Rule};

use crate::fixture::Fixture;
use crate::prune::{ALL, forget, open, prune_session, remove_files, state, try_prune, write_files};

/// A fixture, the key that signs its receipts, and what it remembers.
struct Signing {
    fixture: Fixture,
    client: ClientKey,
    memory: RepositoryState,
}

impl Signing {
    fn new() -> Self {
        let fixture = Fixture::new();
        let memory = state(&fixture).repository(open(&fixture).id());
        Self {
            client: state(&fixture).client_key().unwrap(),
            fixture,
            memory,
        }
    }

    fn receipts(&self) -> Receipts<'_> {
        Receipts::new(&self.memory, &self.client)
    }

    /// Backs up, and signs what came of it.
    fn backup(&self) -> BackupReport {
        let report = self.fixture.backup();
        let host = &self.fixture.environment.hostname;
        let session = open(&self.fixture);
        self.receipts().issue(&session, &report, host).unwrap();
        report
    }

    fn forget(&self, snapshot: Id) {
        let mut session = open(&self.fixture);
        let (environment, progress) = (&self.fixture.environment, &self.fixture.progress);
        let going = BTreeSet::from([snapshot]);
        retain::forget(&mut session, &self.memory, &going, environment, progress).unwrap();
    }

    /// Prunes without waste; what was signed anew, and the session as it is then.
    fn prune(&self) -> (Renewal, Session) {
        let mut session = open(&self.fixture);
        let report = prune_session(&self.fixture, &mut session, &without_waste()).unwrap();
        assert!(report.is_complete(), "{report:?}");
        (report.renewal, session)
    }

    /// The same on a machine that has not signed these receipts.
    fn prune_elsewhere(&self) {
        let mut session = open(&self.fixture);
        let (environment, progress) = (&self.fixture.environment, &self.fixture.progress);
        let (memory, options) = (&self.memory, without_waste());
        let pruned = prune(&mut session, memory, None, &options, environment, progress);
        assert!(pruned.unwrap().is_complete());
    }

    /// The one receipt of a snapshot.
    fn of(&self, snapshot: Id) -> Receipt {
        let found = self.receipts().of(&BTreeSet::from([snapshot]));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].receipt().clone()
    }
}

fn without_waste() -> PruneOptions {
    PruneOptions {
        max_unused_percent: 0.0,
        ..PruneOptions::default()
    }
}

#[test]
fn after_a_prune_receipts_name_what_snapshots_need_where_it_is() {
    let signing = Signing::new();
    let fixture = &signing.fixture;
    write_files(fixture, 0..12);
    let gone = signing.backup().sources[0].snapshot.unwrap();
    remove_files(fixture, 0..6);
    let older = signing.backup();
    write_files(fixture, 20..21);
    let kept = [older, signing.backup()];
    signing.forget(gone);
    let (renewal, session) = signing.prune();
    let expected = Renewal {
        issued: 2,
        unknown: BTreeSet::new(),
    };
    assert_eq!(renewal, expected);

    let is_on_all = |name: &FileName| {
        let mut ready = session.ready();
        ready.all(|(_, ready)| ready.listing.holds(*name))
    };
    for report in &kept {
        let source = &report.sources[0];
        let receipt = signing.of(source.snapshot.unwrap());
        let told = signing.receipts().known_needs(receipt.snapshot).unwrap();
        let cancel = &fixture.environment.cancel;
        let trees = [source.tree.unwrap()];
        let walked = needs_of_snapshots(&session, &trees, None, cancel).unwrap();
        let walked = walked.unwrap();
        assert!(walked.gap.is_none(), "{walked:?}");
        let walked = walked.needs;
        for (pack, _) in &walked.packs {
            assert!(told.packs.contains(pack), "{pack} is needed and not named");
        }
        let named: Vec<_> = told.files().filter(|name| name.id().is_some()).collect();
        assert!(named.len() > 3 && named.iter().all(is_on_all), "{named:?}");
        assert_eq!(receipt.copies.len(), 3);
        assert!(receipt.copies.values().all(|of| *of == Outcome::Whole));
    }
    // That of the snapshot that was removed is gone with the chain that it began.
    assert!(!signing.receipts().snapshots().contains(&gone));
    // Where nothing has moved nothing is signed.
    let (again, _) = signing.prune();
    assert_eq!(again.issued, 0, "{again:?}");
    // The next backup goes on behind the newest.
    let next = signing.backup().sources[0].snapshot.unwrap();
    let newest = kept[1].sources[0].snapshot.unwrap();
    let found = signing.receipts().of(&BTreeSet::from([newest]));
    assert_eq!(signing.of(next).parent, Some(found[0].id()));
}

#[test]
fn receipts_are_new_before_anything_is_on_record() {
    let mut signing = Signing::new();
    write_files(&signing.fixture, 0..12);
    let gone = signing.backup().sources[0].snapshot.unwrap();
    remove_files(&signing.fixture, 0..6);
    let kept = signing.backup().sources[0].snapshot.unwrap();
    signing.forget(gone);
    let before = signing.of(kept);
    let gate = Gate::closed();
    let waits = Rule::on(&[Op::Save], Fault::Wait(gate.clone())).of(FileType::Records);
    signing.fixture.wrap("three", |store| {
        FaultyStore::new(store).with(waits.times(1))
    });
    let found = std::thread::scope(|scope| {
        let pruning = scope.spawn(|| try_prune(&signing.fixture));
        gate.wait_for_waiting(1);
        // As a run that is killed here leaves it.
        let found = signing.receipts().of(&BTreeSet::from([kept]));
        gate.open();
        assert!(pruning.join().unwrap().unwrap().is_complete());
        found
    });
    let [now] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_ne!(now.receipt().needs, before.needs);
    assert_eq!(signing.of(kept), *now.receipt());
}

#[test]
fn what_an_earlier_prune_has_moved_unseen_is_said_to_be_unknown() {
    let signing = Signing::new();
    let fixture = &signing.fixture;
    write_files(fixture, 0..12);
    let gone = signing.backup().sources[0].snapshot.unwrap();
    remove_files(fixture, 0..6);
    let kept = signing.backup().sources[0].snapshot.unwrap();
    let before = signing.of(kept);
    signing.forget(gone);
    signing.prune_elsewhere();
    write_files(fixture, 30..36);
    let other = signing.backup().sources[0].snapshot.unwrap();
    remove_files(fixture, 30..36);
    signing.backup();
    signing.forget(other);
    let (renewal, _) = signing.prune();
    assert_eq!(renewal.unknown, BTreeSet::from([kept]), "{renewal:?}");
    assert_eq!(signing.of(kept), before);
}

#[test]
fn a_snapshot_that_a_receipt_alone_names_and_that_no_copy_shows_ends_it() {
    let signing = Signing::new();
    let fixture = &signing.fixture;
    write_files(fixture, 0..3);
    let gone = signing.backup().sources[0].snapshot.unwrap();
    remove_files(fixture, 0..3);
    signing.backup();
    forget(fixture, gone);
    let held = || ALL.map(|copy| fixture.ids(copy, FileType::Data));
    let before = held();
    let error = try_prune(fixture).unwrap_err();
    let Error::NotPruned { reasons, hint } = &error else {
        panic!("{error}");
    };
    assert!(reasons[0].contains(&gone.short()), "{error}");
    assert!(hint.contains("sync --accept-removed"), "{hint}");
    assert_eq!(held(), before);
    let name = FileName::new(FileType::Snapshots, gone);
    let accepted = signing
        .memory
        .update_gone(|gone| gone.accept(&[name].into()));
    accepted.unwrap();
    assert!(try_prune(fixture).unwrap().is_complete());
    assert_ne!(held(), before);
}
