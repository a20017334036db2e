//! What is kept of receipts, on both databases.

use strongroom_model::{FileName, FileType, Id, Name};
use strongroom_vault::Result;
use strongroom_vault::database::{Database, Transaction, Value, migrate};
use strongroom_vault::records::client_keys::{self, Sent};
use strongroom_vault::records::needs::{self, Place};
use strongroom_vault::records::objects::{self, Key};
use strongroom_vault::records::receipts::{self, Cursor, NewReceipt, Receipt};
use strongroom_vault::records::tombstones::{self, Tombstone};
use strongroom_vault::records::under_way::{Deed, UnderWay};
use strongroom_vault::records::{SCHEMA, coming, hiding, purging, repositories, silenced};
use strongroom_vault::rules::life::{Delete, Object, State};
use strongroom_vault::rules::needs::Difference;
use strongroom_vault::rules::purge::Keeping;

use crate::database::{Scene, Telling, both};

both! {
    a_receipt_and_what_it_needs_are_kept_and_looked_up
    an_object_is_sound_in_two_states_alone
    a_receipt_of_many_files_takes_few_statements
    what_is_written_before_its_receipt_stands_is_seen_by_nobody_and_taken_back
    what_is_silenced_between_look_and_commit_takes_no_place
    what_is_needed_and_what_is_gone_is_known_of_each_position
}

fn name(kind: FileType, content: &[u8]) -> FileName {
    FileName::new(kind, Id::of(content))
}

fn object(state: State) -> Object {
    Object {
        generation: 1,
        bytes: 10,
        state,
        token: 1,
        began: 0,
        ended: (state != State::Live).then_some(1),
        arrived_ms: 5,
        tombstoned_ms: (state == State::Tombstoned).then_some(7),
    }
}

/// A database with a repository; its key.
fn open(scene: &Scene) -> (std::sync::Arc<dyn Database>, i64) {
    let database = scene.open_bare();
    migrate(&*database, SCHEMA).unwrap();
    let keeping = Keeping {
        retention_ms: 1,
        grace_ms: 1,
    };
    let mut id = 0;
    database
        .write(&mut |transaction| {
            let path = "acme/repos".parse().unwrap();
            repositories::insert(transaction, &path, keeping)?;
            id = repositories::get(transaction, &path)?.unwrap().id;
            Ok(())
        })
        .unwrap();
    (database, id)
}

/// The first receipt of a source.
fn first_receipt(lineage: i64, snapshot: FileName) -> Receipt {
    Receipt {
        id: Id::of(b"receipt"),
        lineage,
        position: 0,
        snapshot: snapshot.id().unwrap(),
        host: "web1".to_owned(),
        time: "2026-11-23T04:00:00.5Z".parse().unwrap(),
        config: Id::of(b"config"),
        token: 1,
        arrived_ms: 9,
    }
}

fn a_receipt_and_what_it_needs_are_kept_and_looked_up(scene: &Scene) {
    let (database, repository) = open(scene);
    let source: Name = "repos".parse().unwrap();
    let client = Id::of(b"client");
    let (pack, late) = (name(FileType::Data, b"pack"), name(FileType::Data, b"late"));
    let snapshot = name(FileType::Snapshots, b"snapshot");
    let key = |name| Key::new(repository, name);
    let work = |transaction: &mut dyn Transaction| -> Result<()> {
        objects::insert(transaction, &key(pack), &object(State::Live))?;
        receipts::insert_lineage(transaction, repository, client, &source)?;
        let lineage = receipts::lineage_of(transaction, repository, client, &source)?.unwrap();
        assert_eq!(receipts::count_sources(transaction, repository, client)?, 1);
        let place = Place {
            repository,
            lineage: lineage.id,
        };
        let difference = Difference {
            added: vec![pack, late],
            dropped: Vec::new(),
        };
        needs::apply(transaction, place, 0, &difference)?;
        let receipt = first_receipt(lineage.id, snapshot);
        let new = NewReceipt {
            receipt: &receipt,
            parent: None,
            put: 1,
            envelope: b"{}",
        };
        receipts::insert(transaction, repository, &new)?;
        assert_eq!(
            receipts::get(transaction, repository, receipt.id)?.as_ref(),
            Some(&receipt)
        );
        assert_eq!(receipts::room(transaction, repository)?, 2);
        // The snapshot is not here yet: nothing is held.
        assert!(!needs::is_held(transaction, &key(pack))?);
        assert_eq!(needs::count_lacking(transaction, lineage.id, 0)?, 1);
        objects::insert(transaction, &key(snapshot), &object(State::Live))?;
        assert!(needs::is_held(transaction, &key(pack))?);
        let begin = Cursor {
            lineage: lineage.id,
            position: 0,
        };
        let live = receipts::live(transaction, repository, begin, 10)?;
        assert_eq!(live, [(receipt.clone(), true)]);
        objects::insert(transaction, &key(late), &object(State::Live))?;
        assert_eq!(needs::count_lacking(transaction, lineage.id, 0)?, 0);
        let dropped = Difference {
            added: Vec::new(),
            dropped: vec![late],
        };
        assert_eq!(needs::open_among(transaction, place, 0, &[late])?, [late]);
        needs::apply(transaction, place, 1, &dropped)?;
        assert_eq!(needs::open_among(transaction, place, 1, &[late])?, []);
        let mut rows = Vec::new();
        needs::rows(
            transaction,
            lineage.id,
            (Some(0), Some(1)),
            &mut |name, parent, tip| {
                rows.push((name, parent, tip));
                Ok(())
            },
        )?;
        let mut expected = vec![(pack, true, true), (late, true, false)];
        expected.sort();
        assert_eq!(rows, expected);
        // Deleted, hidden, shown again, purged.
        tombstones::make(transaction, &key(late), Delete::Ends, 3, 7, 1)?;
        let mut lacking = Vec::new();
        needs::lacking(
            transaction,
            lineage.id,
            (0, 5),
            &mut |name, began, ended| {
                lacking.push((name, began, ended));
            },
        )?;
        assert_eq!(lacking, [(late, 0, 1)]);
        let due = tombstones::due(transaction, repository, &Tombstone::default(), 7, 7, 10)?;
        assert_eq!(due.len(), 1);
        let behind = Tombstone {
            tombstoned_ms: 7,
            name: Some(late),
        };
        let due = tombstones::due(transaction, repository, &behind, 7, 7, 10)?;
        assert!(due.is_empty());
        let count = tombstones::count(transaction, repository, State::Tombstoned)?;
        assert_eq!(count, 1);
        let act = |deed| UnderWay::of_token(deed, (1, "thief"), 0, 100);
        let hidden = hiding::hide(transaction, &act(Deed::Hide), 8)?;
        assert_eq!(hidden.objects, 2);
        assert_eq!(needs::count_lacking(transaction, lineage.id, 0)?, 2);
        let shown = hiding::unhide(transaction, &act(Deed::Unhide), 9)?;
        assert_eq!(shown.objects, 2);
        assert_eq!(needs::count_lacking(transaction, lineage.id, 0)?, 1);
        tombstones::make(transaction, &key(snapshot), Delete::Ends, 10, 7, 1)?;
        assert!(needs::is_held(transaction, &key(pack))?);
        assert!(purging::begin(transaction, &key(snapshot))?);
        assert!(!needs::is_held(transaction, &key(pack))?);
        let gone = object(State::Purging);
        assert!(purging::end(transaction, &key(snapshot), &gone)?);
        assert_eq!(receipts::room(transaction, repository)?, 0);
        assert_eq!(
            receipts::envelope(transaction, repository, receipt.id)?,
            None
        );
        let snapshot = snapshot.id().unwrap();
        assert!(receipts::was_purged(transaction, repository, snapshot)?);
        assert_eq!(receipts::count_wrongly_held(transaction)?, 0);
        // The key of the client, and what it has sent.
        assert_eq!(client_keys::get(transaction, 1)?, None);
        client_keys::bind(transaction, 1, &[7; 32], 5)?;
        assert_eq!(client_keys::list(transaction)?, [(1, [7; 32])]);
        client_keys::forget(transaction, 1)?;
        assert_eq!(client_keys::get(transaction, 1)?, None);
        let sent = Sent {
            day: 3,
            receipts: 1,
            files: 2,
            bytes: 3,
        };
        for _ in 0..2 {
            client_keys::set_sent(transaction, 1, sent)?;
            assert_eq!(client_keys::sent(transaction, 1)?, sent);
        }
        Ok(())
    };
    database.write(&mut { work }).unwrap();
}

fn an_object_is_sound_in_two_states_alone(scene: &Scene) {
    let (database, repository) = open(scene);
    database
        .write(&mut |transaction| {
            for kind in [FileType::Keys, FileType::Data, FileType::Snapshots] {
                for state in State::ALL {
                    let content = format!("{kind} {state:?}");
                    let key = Key::new(repository, name(kind, content.as_bytes()));
                    assert!(!needs::is_sound_here(transaction, &key)?);
                    objects::insert(transaction, &key, &object(state))?;
                    let expected =
                        state == State::Live || (state == State::Pending && kind == FileType::Keys);
                    let is_sound = needs::is_sound_here(transaction, &key)?;
                    assert_eq!(is_sound, expected, "{content}");
                }
            }
            Ok(())
        })
        .unwrap();
}

fn a_receipt_of_many_files_takes_few_statements(scene: &Scene) {
    let (database, repository) = open(scene);
    let place = Place {
        repository,
        lineage: 1,
    };
    let mut packs: Vec<_> = (0..9_999_u32)
        .map(|number| name(FileType::Data, &number.to_le_bytes()))
        .collect();
    packs.sort();
    let index = name(FileType::Index, b"an index");
    let all: Vec<_> = packs.iter().copied().chain([index]).collect();
    let (here, gone) = (packs[5], packs[9_000]);
    database
        .write(&mut |transaction| {
            objects::insert(
                transaction,
                &Key::new(repository, here),
                &object(State::Live),
            )?;
            let mut statements = 0;
            let mut counting = Telling::new(transaction, |_, _, _| {
                statements += 1;
                Ok(())
            });
            let added = Difference {
                added: all.clone(),
                dropped: Vec::new(),
            };
            needs::apply(&mut counting, place, 0, &added)?;
            assert_eq!(needs::count_lacking(&mut counting, 1, 0)?, 9_999);
            let dropped = Difference {
                added: Vec::new(),
                dropped: vec![gone, index],
            };
            needs::apply(&mut counting, place, 1, &dropped)?;
            let open = needs::open_among(&mut counting, place, 1, &all)?;
            let expected = packs.iter().copied().filter(|name| *name != gone);
            assert!(open.into_iter().eq(expected));
            assert_eq!(needs::count_lacking(&mut counting, 1, 0)?, 9_999);
            assert_eq!(needs::count_lacking(&mut counting, 1, 1)?, 9_997);
            assert!(statements < 100, "{statements}");
            Ok(())
        })
        .unwrap();
}

/// All rows of what receipts need, and how many of them have no end.
fn count_needs(transaction: &mut dyn Transaction) -> Result<(i64, i64)> {
    let statement = "SELECT COUNT(*), COUNT(CASE WHEN ended = $1 THEN 1 END) FROM need";
    let values = [Value::Int(needs::OPEN)];
    let counts = transaction.first(statement, &values, |row| Ok((row.int(0)?, row.int(1)?)))?;
    Ok(counts.unwrap())
}

fn packs(numbers: std::ops::Range<u32>) -> Vec<FileName> {
    let mut packs: Vec<_> = numbers
        .map(|number| name(FileType::Data, &number.to_le_bytes()))
        .collect();
    packs.sort();
    packs
}

fn what_is_written_before_its_receipt_stands_is_seen_by_nobody_and_taken_back(scene: &Scene) {
    let (database, repository) = open(scene);
    let source: Name = "repos".parse().unwrap();
    let client = Id::of(b"client");
    let snapshot = name(FileType::Snapshots, b"snapshot");
    let (old, new) = (packs(0..12_000), packs(20_000..23_000));
    let gone: Vec<_> = old.iter().copied().step_by(4).collect();
    let key = |name| Key::new(repository, name);
    let work = |transaction: &mut dyn Transaction| -> Result<()> {
        objects::insert(transaction, &key(snapshot), &object(State::Live))?;
        receipts::insert_lineage(transaction, repository, client, &source)?;
        let lineage = receipts::lineage_of(transaction, repository, client, &source)?.unwrap();
        let place = Place {
            repository,
            lineage: lineage.id,
        };
        let first = Difference {
            added: old.clone(),
            dropped: Vec::new(),
        };
        needs::apply(transaction, place, 0, &first)?;
        let receipt = first_receipt(lineage.id, snapshot);
        let stands = NewReceipt {
            receipt: &receipt,
            parent: None,
            put: 1,
            envelope: b"{}",
        };
        receipts::insert(transaction, repository, &stands)?;
        assert_eq!(count_needs(transaction)?, (12_000, 12_000));

        let next = Difference {
            added: new.clone(),
            dropped: gone.clone(),
        };
        coming::begin(transaction, lineage.id, 1, "one")?;
        needs::apply(transaction, place, 1, &next.part(0, 2_000))?;
        needs::apply(transaction, place, 1, &next.part(2_000, 4_000))?;
        assert_eq!(count_needs(transaction)?, (15_000, 12_000));
        // To whoever looks at the last receipt, nothing has changed.
        assert_eq!(needs::open_among(transaction, place, 0, &old)?, old);
        assert_eq!(needs::open_among(transaction, place, 0, &new)?, []);
        let mut needed = Vec::new();
        let places = (None, Some(0));
        needs::rows(transaction, lineage.id, places, &mut |name, _, is_last| {
            needed.extend(is_last.then_some(name));
            Ok(())
        })?;
        assert_eq!(needed, old);
        assert_eq!(needs::count_lacking(transaction, lineage.id, 0)?, 12_000);
        assert!(needs::is_held(transaction, &key(gone[7]))?);
        assert!(!needs::is_held(transaction, &key(new[7]))?);

        // While somebody goes on with it, it stays; nobody else is taken for him.
        let found = coming::get(transaction, lineage.id)?.unwrap();
        assert_eq!((found.position, found.is_left), (1, false));
        assert!(coming::goes_on(transaction, lineage.id, "one")?);
        assert!(!coming::goes_on(transaction, lineage.id, "two")?);
        assert!(!coming::end(transaction, lineage.id, "two")?);
        assert!(!coming::take_back(transaction, lineage.id)?);
        coming::leave(transaction, lineage.id, "two")?;
        assert!(coming::left(transaction)?.is_empty());
        assert_eq!(count_needs(transaction)?, (15_000, 12_000));

        coming::leave(transaction, lineage.id, "one")?;
        assert_eq!(coming::left(transaction)?, [lineage.id]);
        assert!(!coming::goes_on(transaction, lineage.id, "one")?);
        let mut parts = 1;
        while coming::take_back(transaction, lineage.id)? {
            parts += 1;
            assert!(needs::is_held(transaction, &key(gone[7]))?);
        }
        assert!((3..=4).contains(&parts), "{parts}");
        assert_eq!(coming::get(transaction, lineage.id)?, None);
        assert_eq!(count_needs(transaction)?, (12_000, 12_000));
        assert_eq!(needs::open_among(transaction, place, 0, &old)?, old);
        let kept = receipts::lineage_of(transaction, repository, client, &source)?;
        assert_eq!(kept.map(|lineage| lineage.receipts), Some(1));

        // A lineage that was made for what was taken back goes with it.
        let other = Id::of(b"another client");
        receipts::insert_lineage(transaction, repository, other, &source)?;
        let lineage = receipts::lineage_of(transaction, repository, other, &source)?.unwrap();
        coming::begin(transaction, lineage.id, 0, "three")?;
        let place = Place {
            repository,
            lineage: lineage.id,
        };
        needs::apply(transaction, place, 0, &next.part(3_000, 1_000))?;
        coming::leave_all(transaction)?;
        while coming::take_back(transaction, lineage.id)? {}
        let gone = receipts::lineage_of(transaction, repository, other, &source)?;
        assert_eq!(gone, None);
        assert_eq!(count_needs(transaction)?, (12_000, 12_000));
        Ok(())
    };
    database.write(&mut { work }).unwrap();
}

fn what_is_silenced_between_look_and_commit_takes_no_place(scene: &Scene) {
    let (database, repository) = open(scene);
    let source: Name = "repos".parse().unwrap();
    let client = Id::of(b"client");
    let snapshot = name(FileType::Snapshots, b"snapshot");
    let work = |transaction: &mut dyn Transaction| -> Result<()> {
        let key = Key::new(repository, snapshot);
        objects::insert(transaction, &key, &object(State::Live))?;
        receipts::insert_lineage(transaction, repository, client, &source)?;
        let lineage = receipts::lineage_of(transaction, repository, client, &source)?.unwrap();
        let older = first_receipt(lineage.id, snapshot);
        let newer = Receipt {
            id: Id::of(b"said anew"),
            position: 1,
            token: 2,
            ..older.clone()
        };
        for (receipt, put) in [(&older, 3), (&newer, 5)] {
            let new = NewReceipt {
                receipt,
                parent: None,
                put,
                envelope: b"{}",
            };
            receipts::insert(transaction, repository, &new)?;
        }
        // It was looked at, and its token is hidden before anything is written.
        let found = receipts::replacing(transaction, repository, 9, None, 10)?;
        assert_eq!(found, std::slice::from_ref(&newer));
        assert_eq!(silenced::add(transaction, 2, (5, 9))?, 1);
        assert_eq!(receipts::replace(transaction, &newer)?, 0);
        assert_eq!(
            receipts::replacing(transaction, repository, 9, None, 10)?,
            []
        );
        assert_eq!(silenced::end(transaction, 2)?, 1);
        assert_eq!(receipts::replace(transaction, &newer)?, 1);
        Ok(())
    };
    database.write(&mut { work }).unwrap();
}

fn what_is_needed_and_what_is_gone_is_known_of_each_position(scene: &Scene) {
    let (database, repository) = open(scene);
    let place = Place {
        repository,
        lineage: 1,
    };
    let pack = |content: &[u8]| name(FileType::Data, content);
    let (here, deleted) = (pack(b"here"), pack(b"deleted"));
    let (never, later) = (pack(b"never put"), pack(b"never put either"));
    let index = name(FileType::Index, b"an index");
    let steps = [
        (vec![here, index], vec![]),
        (vec![never], vec![here]),
        (vec![deleted], vec![never]),
        (vec![], vec![deleted, index]),
        (vec![here], vec![]),
        (vec![later], vec![]),
        (vec![], vec![later]),
    ];
    let work = |transaction: &mut dyn Transaction| -> Result<()> {
        for (name, state) in [
            (here, State::Live),
            (index, State::Live),
            (deleted, State::Tombstoned),
        ] {
            objects::insert(transaction, &Key::new(repository, name), &object(state))?;
        }
        for (position, (added, dropped)) in (0..).zip(steps.clone()) {
            let difference = Difference { added, dropped };
            needs::apply(transaction, place, position, &difference)?;
        }
        let mut found = Vec::new();
        for position in 0..7 {
            found.push((
                needs::is_any_needed(transaction, 1, position, FileType::Data)?,
                needs::is_any_needed(transaction, 1, position, FileType::Index)?,
                needs::is_any_gone(transaction, 1, position)?,
            ));
        }
        let expected = [
            (true, true, false),
            (true, true, true),
            (true, true, false),
            (false, false, false),
            (true, false, false),
            (true, false, true),
            (true, false, false),
        ];
        assert_eq!(found, expected);
        Ok(())
    };
    database.write(&mut { work }).unwrap();
}
