//! Acts on very many objects, done a part at a time, each part in a transaction of its own.
//!
//! A flood that is hidden, or a mass deletion that is taken back, is millions of rows. In one
//! statement nobody else writes for minutes, and a server that ends long statements ends this one
//! every time. So what is left to do stands in a row that is written with the first part and goes
//! with the last one: whoever dies between two leaves it to another process.
//!
//! What can go wrong: a part is done twice, where two processes go on with the same act. Each reads
//! the row in the transaction of its part, so that it does the next one. Or an act is taken for
//! another one that came later: a row is known by the leaf of its first part, which is never given
//! twice, and one that was taken back stays until whoever has begun it has seen that. Or who waits for
//! an act is told too small a number, because another process did the last part while he slept: a row
//! whose act another process has brought to its end has the number. Either row stays for an hour.

use strongroom_model::RepositoryPath;

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, signed, unsigned};

/// How many objects a part looks at.
pub const PART: u64 = 5_000;

/// An act whose last part was done so long ago has lost its process, in milliseconds.
pub(super) const ABANDONED_MS: i64 = 60_000;

/// For how long the row of an act stays that was taken back, or that another process than the first has
/// brought to its end, in milliseconds.
const REMEMBERED_MS: i64 = 60 * 60_000;

/// When the last part of an act was done that its process has given back: before any time of a clock
/// of leases at which it would not count as abandoned.
const GIVEN_BACK_MS: i64 = -2 * ABANDONED_MS;

/// Before which leaf an act ends that was taken back. No other act with a row ends there: nothing
/// comes before the first leaf.
const TAKEN_BACK: u64 = 0;

/// Before which leaf an act ends of which nothing is left, and whose row stays for whoever has begun
/// it. No other act with a row ends there: the first leaf of a vault is no POST and no deletion. Of acts
/// that end behind it something is left to do, of those that end no later nothing.
const ENDED: u64 = 1;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// What a token has put is taken out of sight.
    Hide,
    /// It is shown again.
    Unhide,
    /// Deletions are taken back.
    Undelete,
}

/// Behind which object a part begins: by the leaf of its POST or of its deletion, then by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) leaf: u64,
    pub(super) repository: i64,
    pub(super) kind: i64,
    pub(super) name: Vec<u8>,
}

/// An act under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The key of its row, the leaf of its first part; 0 while it has none.
    pub id: i64,
    /// What is done.
    pub deed: Deed,
    /// Of which token; 0 where of all.
    pub token: i64,
    /// The name of that token; empty where of all.
    pub token_name: String,
    /// In which repository; 0 where in all.
    pub repository: i64,
    /// Its path.
    pub path: Option<RepositoryPath>,
    /// From which leaf on.
    pub since: u64,
    /// Before which leaf.
    pub before: u64,
    /// Behind which object the next part begins.
    pub at: Place,
    /// How many objects it was so far.
    pub objects: u64,
    /// What else was changed when it began; no row has that.
    pub others: u64,
}

/// What came of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many objects it was.
    pub objects: u64,
    /// What else was changed, by which nothing is seen or out of sight that was not before.
    pub others: u64,
    /// Where the next part begins; none where this was the last.
    pub next: Option<Place>,
}

impl Deed {
    const ALL: [Self; 3] = [Self::Hide, Self::Unhide, Self::Undelete];

    const fn number(self) -> i64 {
        match self {
            Self::Hide => 1,
            Self::Unhide => 2,
            Self::Undelete => 3,
        }
    }

    /// What it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hide => "hide",
            Self::Unhide => "unhide",
            Self::Undelete => "undelete",
        }
    }
}

impl Place {
    /// Before all objects of a leaf.
    pub const fn before(leaf: u64) -> Self {
        Self {
            leaf,
            repository: -1,
            kind: -1,
            name: Vec::new(),
        }
    }
}

impl UnderWay {
    /// An act on what a token has put between two leaves.
    pub fn of_token(deed: Deed, (token, name): (i64, &str), since: u64, before: u64) -> Self {
        Self {
            id: 0,
            deed,
            token,
            token_name: name.to_owned(),
            repository: 0,
            path: None,
            since,
            before,
            at: Place::before(since),
            objects: 0,
            others: 0,
        }
    }

    /// The same, in one repository.
    pub fn within(self, repository: i64, path: &RepositoryPath) -> Self {
        Self {
            repository,
            path: Some(path.clone()),
            ..self
        }
    }

    /// Whether the contrary was asked for meanwhile, so that nothing of it is left to do.
    pub const fn is_taken_back(&self) -> bool {
        self.before == TAKEN_BACK
    }

    /// Whether another process has brought it to its end.
    pub const fn is_ended(&self) -> bool {
        self.before == ENDED
    }
}

const COLUMNS: &str = "id, deed, token, token_name, repository, path, since, before, at_leaf, \
                       at_repository, at_kind, at_name, objects";

fn read(row: &dyn Row) -> Result<UnderWay> {
    let number = row.int(1)?;
    let deed = Deed::ALL.into_iter().find(|deed| deed.number() == number);
    let path = row.text(5)?;
    let path = match path.is_empty() {
        true => None,
        false => Some(
            RepositoryPath::of_record(&path)
                .map_err(|_| damaged("an act under way has an impossible path"))?,
        ),
    };
    Ok(UnderWay {
        id: row.int(0)?,
        deed: deed.ok_or_else(|| damaged("an act under way is of an unknown kind"))?,
        token: row.int(2)?,
        token_name: row.text(3)?,
        repository: row.int(4)?,
        path,
        since: unsigned(row.int(6)?)?,
        before: unsigned(row.int(7)?)?,
        at: Place {
            leaf: unsigned(row.int(8)?)?,
            repository: row.int(9)?,
            kind: row.int(10)?,
            name: row.bytes(11)?,
        },
        objects: unsigned(row.int(12)?)?,
        others: 0,
    })
}

/// An act under way, one that was taken back, or one that another process has brought to its end;
/// none where it is known no more.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, id: i64) -> Result<Option<UnderWay>> {
    let statement = format!("SELECT {COLUMNS} FROM under_way WHERE id = $1");
    transaction.first(&statement, &[Value::Int(id)], read)
}

/// The keys of the acts whose processes do not go on with them, the oldest first; and of those of which
/// nothing is left to do, and whose rows need to stay no longer. The rows are not read: one that
/// makes no sense must not hide the others.
///
/// # Errors
/// Those of the database.
pub fn abandoned(transaction: &mut dyn Transaction) -> Result<Vec<i64>> {
    let now_ms = transaction.lease_ms()?;
    let statement = "SELECT id FROM under_way \
                     WHERE (at_ms < $1 AND before > $3) OR at_ms < $4 OR at_ms > $2 ORDER BY id";
    // The clock of leases may have been set back since.
    let values = [
        Value::Int(now_ms.saturating_sub(ABANDONED_MS)),
        Value::Int(now_ms.saturating_add(ABANDONED_MS)),
        Value::Int(signed(ENDED)?),
        Value::Int(now_ms.saturating_sub(REMEMBERED_MS)),
    ];
    all(transaction, statement, &values, |row| row.int(0))
}

/// Gives an act back that this process does not go on with, so that another one does so at once.
///
/// # Errors
/// Those of the database; another process then waits until the act counts as abandoned.
pub fn give_back(transaction: &mut dyn Transaction, id: i64) -> Result<()> {
    let statement = "UPDATE under_way SET at_ms = $1 WHERE id = $2 AND before > $3";
    let values = [
        Value::Int(GIVEN_BACK_MS),
        Value::Int(id),
        Value::Int(signed(ENDED)?),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes that an act has come to its end by another process than the one that has begun it, after so
/// many objects. The row stays for that one, which may only be asleep, and for an hour at most.
///
/// # Errors
/// Those of the database.
pub fn remember(transaction: &mut dyn Transaction, id: i64, objects: u64) -> Result<()> {
    let at_ms = transaction.lease_ms()?;
    let statement = "UPDATE under_way SET before = $1, objects = $2, at_ms = $3 WHERE id = $4";
    let values = [
        Value::Int(signed(ENDED)?),
        Value::Int(signed(objects)?),
        Value::Int(at_ms),
        Value::Int(id),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Lets an act rest that cannot be gone on with, as long as one whose process was just there.
///
/// # Errors
/// Those of the database.
pub fn let_rest(transaction: &mut dyn Transaction, id: i64) -> Result<()> {
    let at_ms = transaction.lease_ms()?;
    let statement = "UPDATE under_way SET at_ms = $1 WHERE id = $2";
    transaction.execute(statement, &[Value::Int(at_ms), Value::Int(id)])?;
    Ok(())
}

/// Keeps what is left of an act, whose part that was just done has a leaf; returns the key of its
/// row.
///
/// # Errors
/// Those of the database; a first part needs a leaf that no other act has.
pub fn keep(transaction: &mut dyn Transaction, act: &UnderWay, leaf: u64) -> Result<i64> {
    let at_ms = Value::Int(transaction.lease_ms()?);
    let at = &act.at;
    let progress = [
        Value::Int(signed(at.leaf)?),
        Value::Int(at.repository),
        Value::Int(at.kind),
        Value::Bytes(&at.name),
        Value::Int(signed(act.objects)?),
        at_ms,
    ];
    if act.id != 0 {
        let statement = "UPDATE under_way SET at_leaf = $1, at_repository = $2, at_kind = $3, \
                         at_name = $4, objects = $5, at_ms = $6 WHERE id = $7";
        let values: Vec<_> = progress.into_iter().chain([Value::Int(act.id)]).collect();
        transaction.execute(statement, &values)?;
        return Ok(act.id);
    }
    let statement = "INSERT INTO under_way (id, deed, token, token_name, repository, path, since, \
             before, at_leaf, at_repository, at_kind, at_name, objects, at_ms) \
         VALUES ($7, $8, $9, $10, $11, $12, $13, $14, $1, $2, $3, $4, $5, $6)";
    let id = signed(leaf)?;
    let path = act.path.as_ref().map(ToString::to_string);
    let what = [
        Value::Int(id),
        Value::Int(act.deed.number()),
        Value::Int(act.token),
        Value::Text(&act.token_name),
        Value::Int(act.repository),
        Value::Text(path.as_deref().unwrap_or_default()),
        Value::Int(signed(act.since)?),
        Value::Int(signed(act.before)?),
    ];
    let values: Vec<_> = progress.into_iter().chain(what).collect();
    transaction.execute(statement, &values)?;
    Ok(id)
}

/// Lets go of an act that has come to its end.
///
/// # Errors
/// Those of the database.
pub fn end(transaction: &mut dyn Transaction, id: i64) -> Result<()> {
    let statement = "DELETE FROM under_way WHERE id = $1";
    transaction.execute(statement, &[Value::Int(id)])?;
    Ok(())
}

/// Takes back what is left of acts on a token, because the contrary was asked for; returns how many it
/// were. The row stays for whoever has begun the act, until he has seen it, and for an hour at most. Of
/// one that has come to its end nothing is left.
///
/// # Errors
/// Those of the database.
pub fn take_back(transaction: &mut dyn Transaction, deed: Deed, token: i64) -> Result<u64> {
    let at_ms = transaction.lease_ms()?;
    let statement = "UPDATE under_way SET before = $1, at_ms = $5 \
                     WHERE deed = $2 AND token = $3 AND before > $4";
    let values = [
        Value::Int(signed(TAKEN_BACK)?),
        Value::Int(deed.number()),
        Value::Int(token),
        Value::Int(signed(ENDED)?),
        Value::Int(at_ms),
    ];
    transaction.execute(statement, &values)
}
