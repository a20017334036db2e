//! Operators.

use strongroom_access::{Factors, Operator, OperatorId, Roles, Standing};

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, maybe};

/// What a vault knows of an operator, beside what is decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who it is.
    pub operator: Operator,
    /// What his passkeys know him by.
    pub handle: [u8; 16],
    /// When others last ended all his sessions, by vault time.
    pub ended_ms: Option<i64>,
}

const STATEMENT: &str = "SELECT id, name, roles, standing, until_ms, replaced_ms, \
    (SELECT COUNT(*) FROM factor WHERE operator = operator.id AND kind = 'passkey' AND removed_ms IS NULL), \
    (SELECT COUNT(*) FROM factor WHERE operator = operator.id AND kind = 'password' AND removed_ms IS NULL), \
    handle, ended_ms FROM operator";

fn read(row: &dyn Row) -> Result<Known> {
    let (word, until_ms) = (row.text(3)?, row.maybe_int(4)?);
    let standing = match (word.as_str(), until_ms) {
        ("invited", Some(until_ms)) => Standing::Invited { until_ms },
        ("active", _) => Standing::Active,
        ("suspended", _) => Standing::Suspended,
        ("removed", _) => Standing::Removed,
        _ => return Err(damaged("an operator stands nowhere")),
    };
    let name = row.text(1)?.parse();
    let handle = row.bytes(8)?.try_into();
    let operator = Operator {
        id: OperatorId(row.int(0)?),
        name: name.map_err(|_| damaged("an operator has an impossible name"))?,
        roles: roles(&row.text(2)?)?,
        standing,
        factors: Factors {
            passkeys: u32::try_from(row.int(6)?).unwrap_or(u32::MAX),
            has_password: row.int(7)? > 0,
            replaced_ms: row.maybe_int(5)?,
        },
    };
    Ok(Known {
        operator,
        handle: handle.map_err(|_| damaged("an operator's handle has another length"))?,
        ended_ms: row.maybe_int(9)?,
    })
}

fn roles(words: &str) -> Result<Roles> {
    words
        .split_whitespace()
        .map(|word| {
            let role = word.parse();
            role.map_err(|_| damaged("an operator has an unknown role"))
        })
        .collect()
}

fn words(roles: Roles) -> String {
    let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
    words.join(" ")
}

const fn standing(standing: Standing) -> (&'static str, Option<i64>) {
    match standing {
        Standing::Invited { until_ms } => ("invited", Some(until_ms)),
        Standing::Active => ("active", None),
        Standing::Suspended => ("suspended", None),
        Standing::Removed => ("removed", None),
    }
}

/// All operators, those who were removed included, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<Known>> {
    all(transaction, &format!("{STATEMENT} ORDER BY id"), &[], read)
}

/// One of them.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, id: OperatorId) -> Result<Option<Known>> {
    let statement = format!("{STATEMENT} WHERE id = $1");
    transaction.first(&statement, &[Value::Int(id.0)], read)
}

/// The operator of a name.
///
/// # Errors
/// Those of the database.
pub fn by_name(transaction: &mut dyn Transaction, name: &str) -> Result<Option<Known>> {
    let statement = format!("{STATEMENT} WHERE name = $1");
    transaction.first(&statement, &[Value::Text(name)], read)
}

/// Adds an operator who has no factors yet; returns his number.
///
/// # Errors
/// Those of the database; also where somebody has the name, or had it.
pub fn insert(
    transaction: &mut dyn Transaction,
    name: &str,
    of: Roles,
    stands: Standing,
    handle: &[u8; 16],
) -> Result<OperatorId> {
    let statement = "INSERT INTO operator (id, name, handle, roles, standing, until_ms) \
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5 FROM operator RETURNING id";
    let roles = words(of);
    let (word, until_ms) = standing(stands);
    let values = [
        Value::Text(name),
        Value::Bytes(handle),
        Value::Text(&roles),
        Value::Text(word),
        maybe(until_ms),
    ];
    let id = transaction.first(statement, &values, |row| row.int(0))?;
    id.map(OperatorId)
        .ok_or_else(|| damaged("an operator has no number"))
}

/// Notes where somebody stands.
///
/// # Errors
/// Those of the database.
pub fn set_standing(
    transaction: &mut dyn Transaction,
    id: OperatorId,
    stands: Standing,
) -> Result<()> {
    let statement = "UPDATE operator SET standing = $1, until_ms = $2 WHERE id = $3";
    let (word, until_ms) = standing(stands);
    let values = [Value::Text(word), maybe(until_ms), Value::Int(id.0)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Gives somebody roles in place of those that he has.
///
/// # Errors
/// Those of the database.
pub fn set_roles(transaction: &mut dyn Transaction, id: OperatorId, of: Roles) -> Result<()> {
    let roles = words(of);
    let values = [Value::Text(&roles), Value::Int(id.0)];
    transaction.execute("UPDATE operator SET roles = $1 WHERE id = $2", &values)?;
    Ok(())
}

/// Notes that one of his factors was replaced.
///
/// # Errors
/// Those of the database.
pub fn note_replaced(transaction: &mut dyn Transaction, id: OperatorId, at_ms: i64) -> Result<()> {
    let statement = "UPDATE operator SET replaced_ms = $1 WHERE id = $2";
    transaction.execute(statement, &[Value::Int(at_ms), Value::Int(id.0)])?;
    Ok(())
}

/// Notes that others have ended his sessions.
///
/// # Errors
/// Those of the database.
pub fn note_ended(transaction: &mut dyn Transaction, id: OperatorId, at_ms: i64) -> Result<()> {
    let statement = "UPDATE operator SET ended_ms = $1 WHERE id = $2";
    transaction.execute(statement, &[Value::Int(at_ms), Value::Int(id.0)])?;
    Ok(())
}
