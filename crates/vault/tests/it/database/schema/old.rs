//! What older versions of the vault have written: one repository, with something of everything.
//!
//! Each row is written at the step that made its table, in the columns of that step.

use sha2::{Digest, Sha256};
use strongroom_model::Id;
use strongroom_vault::database::Value::{self, Bytes, Int, Null, Text};
use strongroom_vault::database::{Database, Transaction};
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS, SECOND_MS};

use crate::vault::scene::START_MS;

/// The number of the last leaf.
pub(super) const LAST: i64 = 14;

/// The row of the repository.
pub(super) const REPOSITORY: i64 = 1;

/// The size of each of its objects, and of each receipt.
const OBJECT_BYTES: i64 = 10;
const RECEIPT_BYTES: i64 = 100;

pub(super) const TOKENS: [&str; 3] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"];

/// Rows: a table, its columns, and their values.
type Rows<'r> = [(&'static str, &'static str, Vec<Value<'r>>)];

/// When a leaf was recorded: one came each day.
pub(super) const fn at(leaf: i64) -> i64 {
    START_MS - SECOND_MS - (LAST - leaf) * DAY_MS
}

/// What lay in the repository.
pub(super) struct Old {
    /// Put at leaf 2, deleted at 3, taken back at 6, also put by the third token.
    pub(super) again: Id,
    /// The key, put at leaf 4; `config` came at 5.
    pub(super) key: Id,
    /// Put at leaf 7, deleted at 10.
    pub(super) deleted: Id,
    /// A snapshot, put at leaf 8, deleted at 11.
    pub(super) forgotten: Id,
    /// A snapshot, put at leaf 9.
    pub(super) snapshot: Id,
    /// Put by the third token at leaf 12, hidden at 13.
    pub(super) hidden: Id,
    /// Put at leaf 14, and not what it was.
    pub(super) rotten: Id,
    /// Purged long ago; its body was the third of the name.
    pub(super) purged: Id,
}

impl Old {
    pub(super) fn new() -> Self {
        Self {
            again: Id::of(b"again"),
            key: Id::of(b"key"),
            deleted: Id::of(b"deleted"),
            forgotten: Id::of(b"forgotten"),
            snapshot: Id::of(b"snapshot"),
            hidden: Id::of(b"hidden"),
            rotten: Id::of(b"rotten"),
            purged: Id::of(b"purged"),
        }
    }

    /// As the program of the first step wrote it.
    pub(super) fn fill_first(&self, database: &dyn Database) {
        let (config, lock) = (Id::of(b"the config"), Id::of(b"lock"));
        let none = Id::default();
        let secret: [u8; 32] = Sha256::digest(b"secret").into();
        let token = |id: i64, right, daily: [Value<'static>; 2], revoked| {
            let columns = "id, name, secret, access, prefix, made_ms, expires_ms, used_ms, \
                           revoked_ms, daily_bytes, daily_objects, day, day_bytes, day_objects";
            let name = TOKENS[usize::try_from(id).unwrap() - 1];
            let mut values = vec![Int(id), Text(name), Bytes(&secret), Text(right)];
            values.extend([Text("acme"), Int(at(1)), Null, Int(at(2)), revoked]);
            values.extend(daily);
            values.extend([Int(at(7) / DAY_MS), Int(30), Int(3)]);
            ("token", columns, values)
        };
        let repository = "id, path, config, config_bytes, retention_ms, grace_ms, quota_bytes, \
                          objects, bytes, tombstone_day, tombstones";
        let mut rows = vec![
            (
                "clock",
                "one, vault_ms, recorded_ms, wall_ms, boot, boottime_ms, doubted",
                vec![
                    Int(1),
                    Int(at(LAST)),
                    Int(at(LAST)),
                    Int(at(LAST)),
                    Text("old"),
                    Int(7),
                    Int(0),
                ],
            ),
            (
                "repository",
                repository,
                vec![
                    Int(REPOSITORY),
                    Text("acme/repos"),
                    Bytes(config.as_bytes()),
                    Bytes(b"the config"),
                    Int(40 * DAY_MS),
                    Int(50 * DAY_MS),
                    Int(1 << 30),
                    Int(8),
                    Int(8 * OBJECT_BYTES),
                    Int(at(11) / DAY_MS),
                    Int(1),
                ],
            ),
            token(1, "append", [Null, Null], Null),
            token(2, "maintain", [Int(1_000), Int(7)], Null),
            token(3, "append", [Null, Int(9)], Int(at(13))),
            object(0, &none, 0, 1, (5, None)),
            object(1, &self.key, 0, 1, (4, None)),
            object(2, &self.again, 0, 1, (6, None)),
            object(2, &self.deleted, 1, 1, (7, Some(10))),
            object(4, &self.forgotten, 1, 1, (8, Some(11))),
            object(4, &self.snapshot, 0, 1, (9, None)),
            object(2, &self.hidden, 2, 3, (12, Some(13))),
            object(2, &self.rotten, 0, 1, (14, None)),
            (
                "past",
                "repository, kind, name, began, ended",
                named(&self.again, [Int(2), Int(3)]),
            ),
            (
                "putter",
                "repository, kind, name, token",
                named(&self.again, [Int(3)]),
            ),
            (
                "purged",
                "repository, kind, name, generation",
                named(&self.purged, [Int(3)]),
            ),
            (
                "lock",
                "repository, name, token, renewed_ms, content",
                vec![
                    Int(REPOSITORY),
                    Bytes(lock.as_bytes()),
                    Int(1),
                    Int(at(LAST)),
                    Bytes(b"a lock"),
                ],
            ),
            (
                "lease",
                "name, holder, until_ms",
                vec![Text("purge"), Bytes(&[7; 16]), Int(1)],
            ),
        ];
        for leaf in 0..=LAST {
            let entry = vec![Int(leaf), Bytes(b"{}")];
            rows.push(("leaf", "number, entry", entry));
            let moment = vec![Int(leaf), Int(at(leaf))];
            rows.push(("moment", "first_leaf, recorded_ms", moment));
        }
        fill(database, &rows);
        let (head, values) = ("UPDATE log_head SET leaves = $1", [Int(LAST + 1)]);
        let mut set =
            |transaction: &mut dyn Transaction| transaction.execute(head, &values).map(drop);
        database.write(&mut set).unwrap();
    }

    /// Scrubbing and receipts, which came with the third and the fourth step.
    pub(super) fn fill_fourth(&self, database: &dyn Database) {
        let (client, receipt) = (Id::of(b"client"), Id::of(b"receipt"));
        let config = Id::of(b"the config");
        let need = |name, lacking| {
            let columns = "repository, kind, name, lineage, began, ended, lacking";
            let values = [Int(1), Int(0), Int(i64::MAX), Int(lacking)];
            ("need", columns, named(name, values))
        };
        let rows = [
            (
                "scrub",
                "repository, began_ms, began_at_ms, kind, name, objects, bytes, last_began_ms, \
                 last_began_at_ms, last_ended_at_ms, last_objects, last_bytes, rotten",
                vec![
                    Int(REPOSITORY),
                    Int(at(14)),
                    Int(at(14)),
                    Int(2),
                    Bytes(self.again.as_bytes()),
                    Int(3),
                    Int(30),
                    Int(at(1)),
                    Int(at(1)),
                    Int(at(2)),
                    Int(5),
                    Int(50),
                    Int(1),
                ],
            ),
            (
                "rotten",
                "repository, kind, name, why, found_ms",
                named(&self.rotten, [Int(0), Int(at(14))]),
            ),
            (
                "client_key",
                "token, public_key, bound_ms",
                vec![Int(1), Bytes(&[9; 32]), Int(at(9))],
            ),
            (
                "receipt_day",
                "token, day, receipts, files, bytes",
                vec![
                    Int(1),
                    Int(at(9) / DAY_MS),
                    Int(1),
                    Int(2),
                    Int(RECEIPT_BYTES),
                ],
            ),
            (
                "lineage",
                "id, repository, client, source, receipts",
                vec![
                    Int(1),
                    Int(REPOSITORY),
                    Bytes(client.as_bytes()),
                    Text("repos"),
                    Int(1),
                ],
            ),
            (
                "receipt",
                "repository, id, lineage, position, snapshot, parent, host, time, config, token, \
                 arrived_ms, held, bytes, envelope",
                vec![
                    Int(REPOSITORY),
                    Bytes(receipt.as_bytes()),
                    Int(1),
                    Int(0),
                    Bytes(self.snapshot.as_bytes()),
                    Null,
                    Text("web1"),
                    Text("2026-11-23T04:00:00Z"),
                    Bytes(config.as_bytes()),
                    Int(1),
                    Int(at(9)),
                    Int(1),
                    Int(RECEIPT_BYTES),
                    Bytes(b"{}"),
                ],
            ),
            need(&self.again, 0),
            need(&self.deleted, 1),
            (
                "receipt_room",
                "repository, bytes",
                vec![Int(REPOSITORY), Int(RECEIPT_BYTES)],
            ),
        ];
        fill(database, &rows);
    }
}

/// The log and its witnesses, which came with the sixth step.
pub(super) fn fill_sixth(database: &dyn Database) {
    let rows = [
        (
            "log_identity",
            "one, number, origin, base",
            vec![Int(1), Int(1), Text("old.test/log"), Int(0)],
        ),
        (
            "cosigned",
            "size, cosignatures, note, at_ms",
            vec![Int(12), Int(1), Bytes(b"a note"), Int(at(12))],
        ),
        (
            "witness",
            "vkey, size, time_s, trouble, alarm, told_ms",
            vec![
                Text("a witness"),
                Int(12),
                Int(at(12) / 1_000),
                Null,
                Int(0),
                Null,
            ],
        ),
        (
            "look_back",
            "one, next_bundle, began_at_ms, last_began_at_ms, wrong, wrong_bundle, wrong_at_ms",
            vec![
                Int(1),
                Int(3),
                Int(at(13)),
                Int(at(12)),
                Text("tile/0/000 is another"),
                Int(0),
                Int(at(11)),
            ],
        ),
        (
            "witnessed",
            "origin, size, root, cosigned_at_ms",
            vec![Text("other/log"), Int(5), Bytes(&[5; 32]), Int(at(10))],
        ),
        ("witness_key", "one, vkey", vec![Int(1), Text("a key")]),
    ];
    fill(database, &rows);
}

/// What an hour has seen, which came with the seventh step.
pub(super) fn fill_seventh(database: &dyn Database) {
    let columns = "repository, hour, objects, bytes, tombstones, tombstone_bytes";
    let numbers = [REPOSITORY, at(11) / HOUR_MS, 7, 70, 2, 20];
    let row = ("repository_hour", columns, numbers.map(Int).to_vec());
    fill(database, &[row]);
}

fn fill(database: &dyn Database, rows: &Rows<'_>) {
    let written = database.write(&mut |transaction| {
        for (table, columns, values) in rows {
            let places = (1..=values.len()).map(|place| format!("${place}"));
            let places = places.collect::<Vec<_>>().join(", ");
            let statement = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
            transaction.execute(&statement, values)?;
        }
        Ok(())
    });
    written.unwrap();
}

/// The row of an object that a token has put, with the leaves between which it was seen.
fn object<'r>(
    kind: i64,
    name: &'r Id,
    state: i64,
    token: i64,
    (began, ended): (i64, Option<i64>),
) -> (&'static str, &'static str, Vec<Value<'r>>) {
    let columns = "repository, kind, name, generation, bytes, state, token, began, ended, \
                   arrived_ms, tombstoned_ms, ended_by";
    let tombstoned = ended.filter(|_| state == 1);
    let maybe = |number: Option<i64>| number.map_or(Null, Int);
    let values = vec![
        Int(REPOSITORY),
        Int(kind),
        Bytes(name.as_bytes()),
        Int(1),
        Int(OBJECT_BYTES),
        Int(state),
        Int(token),
        Int(began),
        maybe(ended),
        Int(at(began)),
        maybe(tombstoned.map(at)),
        maybe(tombstoned.map(|_| 2)),
    ];
    ("object", columns, values)
}

/// What names a pack in a table, and what more its row has.
fn named<'r, const COUNT: usize>(name: &'r Id, more: [Value<'r>; COUNT]) -> Vec<Value<'r>> {
    let mut values = vec![Int(REPOSITORY), Int(2), Bytes(name.as_bytes())];
    values.extend(more);
    values
}
