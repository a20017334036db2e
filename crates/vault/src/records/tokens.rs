//! Tokens. Of a token's secret only the SHA-256 is kept.

use strongroom_model::RepositoryPath;

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, maybe, signed, unsigned};
use crate::rules::right::Right;

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The key of its row.
    pub id: i64,
    /// What people call it by.
    pub name: String,
    /// The SHA-256 of its secret part.
    pub secret: [u8; 32],
    /// What it may do.
    pub right: Right,
    /// With which repositories.
    pub prefix: RepositoryPath,
    /// When it was made, by vault time.
    pub made_ms: i64,
    /// Until when it counts, by vault time.
    pub expires_ms: Option<i64>,
    /// When it was last used, by vault time; to the minute.
    pub used_ms: Option<i64>,
    /// Since when it does not count any more.
    pub revoked_ms: Option<i64>,
    /// The most bytes that it may put in a day.
    pub daily_bytes: Option<u64>,
    /// The most objects that it may put and ask to be deleted in a day.
    pub daily_objects: Option<u64>,
    /// What it has put on its last day.
    pub spent: Spent,
}

/// What a token has put on one day of vault time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The day.
    pub day: i64,
    /// How many bytes.
    pub bytes: u64,
    /// How many objects it has put or asked to be deleted.
    pub objects: u64,
}

/// What of a token decides whether something more may be put with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Until when it counts, by vault time.
    pub expires_ms: Option<i64>,
    /// Since when it does not count any more.
    pub revoked_ms: Option<i64>,
    /// The most bytes that it may put in a day.
    pub daily_bytes: Option<u64>,
    /// The most objects that it may put in a day.
    pub daily_objects: Option<u64>,
    /// What it has put on its last day.
    pub spent: Spent,
}

impl Token {
    /// Whether it counts at a moment of vault time.
    pub fn counts_at(&self, vault_ms: i64) -> bool {
        counts_at(self.revoked_ms, self.expires_ms, vault_ms)
    }
}

impl Allowance {
    /// Whether the token counts at a moment of vault time.
    pub fn counts_at(&self, vault_ms: i64) -> bool {
        counts_at(self.revoked_ms, self.expires_ms, vault_ms)
    }

    /// What is spent on a day when so many bytes and objects more are put; `None` where that is
    /// more than may be.
    pub fn after(&self, day: i64, bytes: u64, objects: u64) -> Option<Spent> {
        // Of two processes one may be a moment behind: no day begins twice.
        let day = day.max(self.spent.day);
        let before = match self.spent.day == day {
            true => self.spent,
            false => Spent::default(),
        };
        let after = Spent {
            day,
            bytes: before.bytes.saturating_add(bytes),
            objects: before.objects.saturating_add(objects),
        };
        let is_within = self.daily_bytes.is_none_or(|most| after.bytes <= most)
            && self.daily_objects.is_none_or(|most| after.objects <= most);
        is_within.then_some(after)
    }
}

fn counts_at(revoked_ms: Option<i64>, expires_ms: Option<i64>, vault_ms: i64) -> bool {
    revoked_ms.is_none() && expires_ms.is_none_or(|expires_ms| vault_ms < expires_ms)
}

/// Never shows the digest of the secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({} {} {})", self.name, self.right, self.prefix)
    }
}

const COLUMNS: &str = "id, name, secret, access, prefix, made_ms, expires_ms, used_ms, \
                       revoked_ms, daily_bytes, daily_objects, day, day_bytes, day_objects";

fn read(row: &dyn Row) -> Result<Token> {
    let secret = row.bytes(2)?.try_into();
    Ok(Token {
        id: row.int(0)?,
        name: row.text(1)?,
        secret: secret.map_err(|_| damaged("a token has no digest"))?,
        right: row
            .text(3)?
            .parse()
            .map_err(|_| damaged("a token has an unknown right"))?,
        prefix: RepositoryPath::of_record(&row.text(4)?)
            .map_err(|_| damaged("a token has an impossible prefix"))?,
        made_ms: row.int(5)?,
        expires_ms: row.maybe_int(6)?,
        used_ms: row.maybe_int(7)?,
        revoked_ms: row.maybe_int(8)?,
        daily_bytes: row.maybe_int(9)?.map(unsigned).transpose()?,
        daily_objects: row.maybe_int(10)?.map(unsigned).transpose()?,
        spent: Spent {
            day: row.int(11)?,
            bytes: unsigned(row.int(12)?)?,
            objects: unsigned(row.int(13)?)?,
        },
    })
}

/// The token of a name.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, name: &str) -> Result<Option<Token>> {
    let statement = format!("SELECT {COLUMNS} FROM token WHERE name = $1");
    transaction.first(&statement, &[Value::Text(name)], read)
}

/// All tokens, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<Token>> {
    let statement = format!("SELECT {COLUMNS} FROM token ORDER BY id");
    all(transaction, &statement, &[], read)
}

/// A page of all, the newest first: those below a key, `most` at most.
///
/// # Errors
/// Those of the database.
pub fn page(transaction: &mut dyn Transaction, below: i64, most: u64) -> Result<Vec<Token>> {
    let statement = format!("SELECT {COLUMNS} FROM token WHERE id < $1 ORDER BY id DESC LIMIT $2");
    let values = [Value::Int(below), Value::Int(signed(most)?)];
    all(transaction, &statement, &values, read)
}

/// Whether tokens count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They do.
    Counts,
    /// Their time is over.
    Expired,
    /// They were revoked.
    Revoked,
}

/// How many tokens there are, by right and standing at a moment of vault time.
///
/// # Errors
/// Those of the database.
pub fn count(
    transaction: &mut dyn Transaction,
    vault_ms: i64,
) -> Result<Vec<(Right, Standing, u64)>> {
    let statement = "SELECT access, CAST(CASE WHEN revoked_ms IS NOT NULL THEN 2 \
         WHEN expires_ms <= $1 THEN 1 ELSE 0 END AS BIGINT), COUNT(*) FROM token GROUP BY 1, 2";
    all(transaction, statement, &[Value::Int(vault_ms)], |row| {
        let right = row.text(0)?.parse();
        let standing = match row.int(1)? {
            0 => Standing::Counts,
            1 => Standing::Expired,
            _ => Standing::Revoked,
        };
        Ok((
            right.map_err(|_| damaged("a token has an unknown right"))?,
            standing,
            unsigned(row.int(2)?)?,
        ))
    })
}

/// Adds a token; its id is given here.
///
/// # Errors
/// Those of the database.
pub fn insert(transaction: &mut dyn Transaction, token: &Token) -> Result<()> {
    let statement = "INSERT INTO token (id, name, secret, access, prefix, made_ms, expires_ms, \
         daily_bytes, daily_objects, day, day_bytes, day_objects) \
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0 FROM token";
    let values = [
        Value::Text(&token.name),
        Value::Bytes(&token.secret),
        Value::Text(token.right.word()),
        Value::Text(token.prefix.as_str()),
        Value::Int(token.made_ms),
        maybe(token.expires_ms),
        maybe(token.daily_bytes.map(signed).transpose()?),
        maybe(token.daily_objects.map(signed).transpose()?),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes that a token was used.
///
/// # Errors
/// Those of the database.
pub fn note_use(transaction: &mut dyn Transaction, token: i64, used_ms: i64) -> Result<()> {
    let statement = "UPDATE token SET used_ms = $1 WHERE id = $2";
    transaction.execute(statement, &[Value::Int(used_ms), Value::Int(token)])?;
    Ok(())
}

/// Ends a token; one that was ended before stays so.
///
/// # Errors
/// Those of the database.
pub fn revoke(transaction: &mut dyn Transaction, token: i64, revoked_ms: i64) -> Result<()> {
    let statement = "UPDATE token SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL";
    transaction.execute(statement, &[Value::Int(revoked_ms), Value::Int(token)])?;
    Ok(())
}

/// Whether another token was made in place of a revoked one.
///
/// # Errors
/// Those of the database.
pub fn is_replaced(transaction: &mut dyn Transaction, token: i64) -> Result<bool> {
    let statement = "SELECT id FROM token WHERE id = $1 AND replaced_by IS NOT NULL";
    let found = transaction.first(statement, &[Value::Int(token)], |row| row.int(0))?;
    Ok(found.is_some())
}

/// Notes which token was made in place of a revoked one.
///
/// # Errors
/// Those of the database.
pub fn replace(transaction: &mut dyn Transaction, token: &str, by: &str) -> Result<()> {
    let statement = "UPDATE token SET replaced_by = $1 WHERE name = $2";
    transaction.execute(statement, &[Value::Text(by), Value::Text(token)])?;
    Ok(())
}

/// Bounds what a token may put and ask to be deleted in a day.
///
/// # Errors
/// Those of the database.
pub fn set_day(
    transaction: &mut dyn Transaction,
    token: i64,
    daily_bytes: Option<u64>,
    daily_objects: Option<u64>,
) -> Result<()> {
    let statement = "UPDATE token SET daily_bytes = $1, daily_objects = $2 WHERE id = $3";
    let values = [
        maybe(daily_bytes.map(signed).transpose()?),
        maybe(daily_objects.map(signed).transpose()?),
        Value::Int(token),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Whether a token counts, and what it may put in a day and has.
///
/// # Errors
/// Those of the database.
pub fn allowance(transaction: &mut dyn Transaction, token: i64) -> Result<Option<Allowance>> {
    let statement = format!("SELECT {ALLOWANCE} FROM token WHERE id = $1");
    transaction.first(&statement, &[Value::Int(token)], |row| {
        read_allowance(row, 0)
    })
}

/// The columns of an [`Allowance`].
pub(super) const ALLOWANCE: &str =
    "expires_ms, revoked_ms, daily_bytes, daily_objects, day, day_bytes, day_objects";

/// How many these are.
pub(super) const ALLOWANCE_WIDTH: usize = 7;

/// Which of them is the day.
pub(super) const ALLOWANCE_DAY: usize = 4;

/// Reads an allowance whose columns begin at `first`.
pub(super) fn read_allowance(row: &dyn Row, first: usize) -> Result<Allowance> {
    Ok(Allowance {
        expires_ms: row.maybe_int(first)?,
        revoked_ms: row.maybe_int(first + 1)?,
        daily_bytes: row.maybe_int(first + 2)?.map(unsigned).transpose()?,
        daily_objects: row.maybe_int(first + 3)?.map(unsigned).transpose()?,
        spent: Spent {
            day: row.int(first + ALLOWANCE_DAY)?,
            bytes: unsigned(row.int(first + 5)?)?,
            objects: unsigned(row.int(first + 6)?)?,
        },
    })
}

/// Notes what a token has put.
///
/// # Errors
/// Those of the database.
pub fn set_spent(transaction: &mut dyn Transaction, token: i64, spent: Spent) -> Result<()> {
    let statement = "UPDATE token SET day = $1, day_bytes = $2, day_objects = $3 WHERE id = $4";
    let values = [
        Value::Int(spent.day),
        Value::Int(signed(spent.bytes)?),
        Value::Int(signed(spent.objects)?),
        Value::Int(token),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Counts a repository that a token has made; tells whether it may have so many.
///
/// # Errors
/// Those of the database.
pub fn count_repository(transaction: &mut dyn Transaction, token: i64, most: u64) -> Result<bool> {
    let statement =
        "UPDATE token SET repositories = repositories + 1 WHERE id = $1 AND repositories < $2";
    let values = [Value::Int(token), Value::Int(signed(most)?)];
    Ok(transaction.execute(statement, &values)? > 0)
}
