//! The steps of the vault's own schema, over a database that older versions have filled.
//!
//! The tables of the last steps begin with what these make of older ones.

mod old;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Bodies;
use strongroom_vault::database::{Database, Transaction, migrate};
use strongroom_vault::people::Who;
use strongroom_vault::records::cosigned::{self, Cosigned, WitnessState};
use strongroom_vault::records::look_back::{self, LookBack, Wrong};
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::records::receipts::{self, Receipt};
use strongroom_vault::records::repositories::{self, Repository};
use strongroom_vault::records::scrub::{self, Ended, Round, Scrub};
use strongroom_vault::records::tally::Tally;
use strongroom_vault::records::witnessed::{self, Witnessed};
use strongroom_vault::records::{
    SCHEMA, client_keys, hours, leaves, locks, log, needs, tombstones, vital,
};
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS};
use strongroom_vault::rules::purge::{Keeping, Tombstones};
use strongroom_vault::rules::right::Right;
use strongroom_vault::rules::scrub::{Progress, Why, Work};
use strongroom_vault::{Result, Vault};

use self::old::{LAST, Old, REPOSITORY, TOKENS, at, fill_seventh, fill_sixth};
use crate::database::{Scene, both};
use crate::vault::scene::{self, Pair, local_bodies, repository, within};

both! {
    what_older_versions_wrote_says_the_same_after_all_steps
}

/// Of these rows no step may lose one.
const TABLES: [&str; 24] = [
    "clock",
    "leaf",
    "moment",
    "repository",
    "token",
    "object",
    "past",
    "putter",
    "purged",
    "lock",
    "lease",
    "scrub",
    "rotten",
    "client_key",
    "receipt_day",
    "lineage",
    "receipt",
    "need",
    "receipt_room",
    "cosigned",
    "witness",
    "witnessed",
    "witness_key",
    "repository_hour",
];

/// The tables say what they said, in the words of the newest version.
fn expect_records(old: &Old, transaction: &mut dyn Transaction) -> Result<()> {
    let path = repository();
    let expected = Repository {
        id: REPOSITORY,
        path: path.clone(),
        config: Some(Id::of(b"the config")),
        keeping: Keeping {
            retention_ms: 40 * DAY_MS,
            grace_ms: 50 * DAY_MS,
        },
        quota_bytes: Some(1 << 30),
        objects: 8,
        // Receipts count as well, from the seventh step on.
        bytes: 8 * 10 + 100,
        tombstones: (at(11) / DAY_MS, 1),
        tombstone_day_began: 0,
        purge_held_ms: None,
        arrived_at_ms: Some(at(14)),
        // That of an earlier life.
        began: 2,
    };
    assert_eq!(repositories::get(transaction, &path)?, Some(expected));
    // Nobody has agreed to anything else than what it was made with.
    let agreed = repositories::agreed(transaction, REPOSITORY)?;
    let keeping = Keeping {
        retention_ms: 40 * DAY_MS,
        grace_ms: 50 * DAY_MS,
    };
    assert_eq!(agreed, (keeping, false));
    let content = repositories::config_bytes(transaction, REPOSITORY)?;
    assert_eq!(content.as_deref(), Some(&b"the config"[..]));
    let expected = Tombstones {
        count: 2,
        newest: Some(11),
    };
    assert_eq!(tombstones::look(transaction, REPOSITORY)?, expected);
    let hour = at(11) / HOUR_MS;
    let deleted = Tally {
        objects: 2,
        bytes: 20,
    };
    assert_eq!(hours::tombstones(transaction, REPOSITORY, hour)?, deleted);
    assert_eq!(vital::old_snapshots(transaction, REPOSITORY, hour)?, 1);
    let lock = locks::get(transaction, REPOSITORY, Id::of(b"lock"), at(13))?;
    assert_eq!(lock.unwrap().content, b"a lock");

    let expected = Scrub {
        round: Some(Round {
            progress: Progress {
                began_ms: at(14),
                done: Work {
                    objects: 3,
                    bytes: 30,
                },
            },
            began_at_ms: at(14),
            place: (2, old.again.as_bytes().to_vec()),
        }),
        last: Some(Ended {
            began_ms: at(1),
            began_at_ms: at(1),
            ended_at_ms: at(2),
            read: Work {
                objects: 5,
                bytes: 50,
            },
        }),
        rotten: 1,
    };
    assert_eq!(scrub::get(transaction, REPOSITORY)?, expected);
    assert_eq!(client_keys::list(transaction)?, [(1, [9; 32])]);
    let id = Id::of(b"receipt");
    let expected = Receipt {
        id,
        lineage: 1,
        position: 0,
        snapshot: old.snapshot,
        host: "web1".to_owned(),
        time: "2026-11-23T04:00:00Z".parse().unwrap(),
        config: Id::of(b"the config"),
        token: 1,
        arrived_ms: at(9),
    };
    let found = receipts::get(transaction, REPOSITORY, id)?;
    assert_eq!(found, Some(expected));
    assert_eq!(needs::count_lacking(transaction, 1, 0)?, 1);
    // What is lacking is held as well.
    for (id, is_needed) in [(old.again, true), (old.deleted, true), (old.rotten, false)] {
        assert_eq!(needs::is_held(transaction, &pack(id))?, is_needed);
    }
    expect_log(transaction)
}

/// The row of a pack.
fn pack(id: Id) -> Key {
    Key::new(REPOSITORY, FileName::new(FileType::Data, id))
}

/// The names of the old files that are given, in order.
fn files(kind: FileType, ids: &[Id]) -> Vec<FileName> {
    let mut names: Vec<_> = ids.iter().map(|id| FileName::new(kind, *id)).collect();
    names.sort();
    names
}

fn expect_log(transaction: &mut dyn Transaction) -> Result<()> {
    assert_eq!(leaves::head(transaction)?.leaves, 15);
    assert_eq!(log::get(transaction)?.unwrap().origin, "old.test/log");
    let expected = Cosigned {
        size: 12,
        cosignatures: 1,
        note: b"a note".to_vec(),
        at_ms: at(12),
    };
    assert_eq!(cosigned::get(transaction, 12)?, Some(expected));
    let expected = WitnessState {
        vkey: "a witness".to_owned(),
        size: Some(12),
        time_s: Some(at(12) / 1_000),
        ..WitnessState::default()
    };
    assert_eq!(cosigned::witnesses(transaction)?, [expected]);
    let expected = LookBack {
        next_bundle: 3,
        began_at_ms: Some(at(13)),
        last_began_at_ms: Some(at(12)),
        wrong: vec![Wrong {
            what: "tile/0/000 is another".to_owned(),
            bundle: Some(0),
            found_at_ms: at(11),
        }],
    };
    assert_eq!(look_back::get(transaction)?, expected);
    let expected = Witnessed {
        origin: "other/log".to_owned(),
        size: 5,
        root: [5; 32],
        cosigned_at_ms: at(10),
        alarm_ms: None,
    };
    assert_eq!(witnessed::list(transaction)?, [expected]);
    Ok(())
}

fn counts(database: &dyn Database) -> Vec<(&'static str, i64)> {
    let read = database.look(|transaction| {
        let mut found = Vec::new();
        for table in TABLES {
            let statement = format!("SELECT COUNT(*) FROM {table}");
            let count = transaction.first(&statement, &[], |row| row.int(0))?;
            found.push((table, count.unwrap()));
        }
        Ok(found)
    });
    read.unwrap()
}

fn expect_tokens(vault: &Vault) {
    let tokens = vault.tokens().unwrap();
    let told: Vec<_> = tokens
        .iter()
        .map(|token| {
            let bounds = (token.daily_bytes, token.daily_objects);
            (token.name.as_str(), token.right, bounds, token.revoked_ms)
        })
        .collect();
    let [append, maintain, revoked] = TOKENS;
    let expected = [
        // Every token has a bound of objects, from the eleventh step on.
        (append, Right::Append, (None, Some(1_000_000)), None),
        (maintain, Right::Maintain, (Some(1_000), Some(7)), None),
        (revoked, Right::Append, (None, Some(9)), Some(at(13))),
    ];
    assert_eq!(told, expected);
    assert!(tokens.iter().all(|token| token.used_ms == Some(at(2))));
}

fn what_older_versions_wrote_says_the_same_after_all_steps(scene: &Scene) {
    let (old, database) = (Old::new(), scene.open_bare());
    migrate(&*database, &SCHEMA[..1]).unwrap();
    old.fill_first(&*database);
    migrate(&*database, &SCHEMA[..4]).unwrap();
    old.fill_fourth(&*database);
    migrate(&*database, &SCHEMA[..6]).unwrap();
    fill_sixth(&*database);
    migrate(&*database, &SCHEMA[..7]).unwrap();
    fill_seventh(&*database);
    let before = counts(&*database);
    assert!(before.iter().all(|(_, count)| *count > 0), "{before:?}");
    migrate(&*database, SCHEMA).unwrap();
    assert_eq!(counts(&*database), before);
    let read = database.read(&mut |transaction| expect_records(&old, transaction));
    read.unwrap();

    // A vault goes on with it.
    let opened = Arc::clone(&database);
    let pair: Pair = Rc::new(
        move |folder: &Path| -> (Arc<dyn Database>, Arc<dyn Bodies>) {
            (Arc::clone(&opened), local_bodies(folder))
        },
    );
    let scene = within(&pair, scene::Scene::new);
    // Before a start counts anything anew.
    assert!(scene.vault.tallies_agree().unwrap());
    scene.vault.tell_start(None).unwrap();
    assert!(!scene.vault.is_clock_doubted());
    expect_tokens(&scene.vault);
    let rotten = scene.vault.rotten(&repository(), None, 10).unwrap();
    let expected = FileName::new(FileType::Data, old.rotten);
    assert_eq!(rotten, [(expected, Why::Changed)]);
    let text = format!("srt-{}-secret", TOKENS[0]);
    let append = scene.vault.authenticate(&text).unwrap();
    let listed = |view, kind| scene.list(&append, view, kind);
    let views: [(i64, &[Id]); 8] = [
        (1, &[]),
        (2, &[old.again]),
        (3, &[]),
        (7, &[old.again, old.deleted]),
        (10, &[old.again]),
        (12, &[old.again, old.hidden]),
        (13, &[old.again]),
        (14, &[old.again, old.rotten]),
    ];
    for (leaf, packs) in views {
        let view = scene.vault.as_of(at(leaf)).unwrap();
        let expected = files(FileType::Data, packs);
        assert_eq!(listed(view, FileType::Data), expected, "at leaf {leaf}");
    }
    let snapshots = files(FileType::Snapshots, &[old.snapshot]);
    assert_eq!(listed(View::Now, FileType::Snapshots), snapshots);
    let keys = files(FileType::Keys, &[old.key]);
    assert_eq!(listed(View::Now, FileType::Keys), keys);

    let deleted = FileName::new(FileType::Data, old.deleted);
    assert!(
        scene
            .vault
            .undelete_one(Who::Folder, &repository(), deleted)
            .unwrap()
    );
    // What was put before the time stays, though it was taken back since.
    let hidden = scene.vault.hide(Who::Folder, TOKENS[0], at(LAST)).unwrap();
    assert_eq!(hidden.objects, 1);
    let left = files(FileType::Data, &[old.again, old.deleted]);
    assert_eq!(listed(View::Now, FileType::Data), left);
    scene.put(&append, FileType::Data, b"purged").unwrap();
    let looked = database.read(&mut |transaction| {
        assert_eq!(needs::count_lacking(transaction, 1, 0)?, 0);
        let again = objects::get(transaction, &pack(old.purged))?;
        assert_eq!(again.unwrap().generation, 4);
        Ok(())
    });
    looked.unwrap();
    assert!(scene.vault.tallies_agree().unwrap());
}
