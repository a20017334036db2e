//! Sessions: who is signed in, and where.

use strongroom_access::session::{Place, Session};
use strongroom_access::{OperatorId, Shown};

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged};

/// A session, and what is shown of it to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: i64,
    /// What is decided on.
    pub session: Session,
    /// Where it was begun: an address.
    pub address: String,
    /// By which program, as that says.
    pub program: String,
    /// On the pages of which other host.
    pub host: Option<String>,
}

/// The other host that a session is for.
#[derive(Clone, Copy, Debug)]
pub struct AtHost<'a> {
    /// The host.
    pub host: &'a str,
    /// The digest of the session on the vault's own pages that it ends with.
    pub parent: &'a [u8; 32],
}

/// The most sessions that an operator has at one kind of place; the oldest one goes where he begins another.
const MOST: i64 = 50;

const COLUMNS: &str = "number, operator, place, shown, shown_ms, began_ms, used_ms, address, program, COALESCE(host, '')";

fn read(row: &dyn Row) -> Result<Kept> {
    let session = Session {
        operator: OperatorId(row.int(1)?),
        place: match row.text(2)?.as_str() {
            "console" => Place::Console,
            "host" => Place::Host,
            "command-line" => Place::CommandLine,
            _ => return Err(damaged("a session is nowhere")),
        },
        shown: match row.text(3)?.as_str() {
            "passkey" => Shown::Passkey,
            "password" => Shown::PasswordAndTotp,
            "elsewhere" => Shown::Elsewhere,
            _ => return Err(damaged("a session was begun by nothing")),
        },
        shown_ms: row.int(4)?,
        began_ms: row.int(5)?,
        used_ms: row.int(6)?,
    };
    Ok(Kept {
        number: row.int(0)?,
        session,
        address: row.text(7)?,
        program: row.text(8)?,
        host: Some(row.text(9)?).filter(|host| !host.is_empty()),
    })
}

const fn place(place: Place) -> &'static str {
    match place {
        Place::Console => "console",
        Place::Host => "host",
        Place::CommandLine => "command-line",
    }
}

fn shown(shown: Shown) -> Result<&'static str> {
    match shown {
        Shown::Passkey | Shown::PasskeyBefore => Ok("passkey"),
        Shown::PasswordAndTotp => Ok("password"),
        Shown::Elsewhere => Ok("elsewhere"),
        Shown::RecoveryCode => Err(damaged("a recovery code begins no session")),
    }
}

/// Begins a session, of which the cookie has a SHA-256.
///
/// # Errors
/// Those of the database.
pub fn insert(
    transaction: &mut dyn Transaction,
    digest: &[u8; 32],
    session: &Session,
    (address, program): (&str, &str),
    at_host: Option<AtHost<'_>>,
) -> Result<()> {
    let statement = "DELETE FROM session WHERE operator = $1 AND place = $3 AND number NOT IN \
        (SELECT number FROM session WHERE operator = $1 AND place = $3 \
         ORDER BY number DESC LIMIT $2)";
    let operator = Value::Int(session.operator.0);
    let place = Value::Text(place(session.place));
    transaction.execute(statement, &[operator, Value::Int(MOST - 1), place])?;
    let statement = "INSERT INTO session (number, digest, operator, place, shown, shown_ms, \
         began_ms, used_ms, address, program) \
         SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM session";
    let values = [
        Value::Bytes(digest),
        operator,
        place,
        Value::Text(shown(session.shown)?),
        Value::Int(session.shown_ms),
        Value::Int(session.began_ms),
        Value::Int(session.used_ms),
        Value::Text(address),
        Value::Text(program),
    ];
    transaction.execute(statement, &values)?;
    if let Some(at) = at_host {
        let statement = "UPDATE session SET host = $1, parent = $2 WHERE digest = $3";
        let values = [
            Value::Text(at.host),
            Value::Bytes(at.parent),
            Value::Bytes(digest),
        ];
        transaction.execute(statement, &values)?;
    }
    Ok(())
}

/// The session of a cookie.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, digest: &[u8; 32]) -> Result<Option<Kept>> {
    let statement = format!("SELECT {COLUMNS} FROM session WHERE digest = $1");
    transaction.first(&statement, &[Value::Bytes(digest)], read)
}

/// The session of a cookie on the pages of another host, as long as the one that it was begun from is
/// there.
///
/// # Errors
/// Those of the database.
pub fn get_at_host(
    transaction: &mut dyn Transaction,
    digest: &[u8; 32],
    host: &str,
) -> Result<Option<Kept>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM session WHERE digest = $1 AND place = 'host' AND host = $2 \
         AND EXISTS (SELECT 1 FROM session AS begun WHERE begun.digest = session.parent \
                     AND begun.operator = session.operator)"
    );
    let values = [Value::Bytes(digest), Value::Text(host)];
    transaction.first(&statement, &values, read)
}

/// Ends the session on the pages of a host that was begun from another session.
///
/// # Errors
/// Those of the database.
pub fn end_at_host(transaction: &mut dyn Transaction, at: AtHost<'_>) -> Result<()> {
    let statement = "DELETE FROM session WHERE parent = $1 AND host = $2";
    let values = [Value::Bytes(at.parent), Value::Text(at.host)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes that in a session a passkey was shown anew.
///
/// # Errors
/// Those of the database.
pub fn note_shown(transaction: &mut dyn Transaction, number: i64, shown_ms: i64) -> Result<()> {
    let statement = "UPDATE session SET shown = 'passkey', shown_ms = $1, used_ms = $1 \
                     WHERE number = $2 AND used_ms <= $1";
    transaction.execute(statement, &[Value::Int(shown_ms), Value::Int(number)])?;
    Ok(())
}

/// The sessions of an operator, the newest first.
///
/// # Errors
/// Those of the database.
pub fn of(transaction: &mut dyn Transaction, operator: OperatorId) -> Result<Vec<Kept>> {
    let statement =
        format!("SELECT {COLUMNS} FROM session WHERE operator = $1 ORDER BY number DESC");
    all(transaction, &statement, &[Value::Int(operator.0)], read)
}

/// Notes that a session was used.
///
/// # Errors
/// Those of the database.
pub fn note_use(transaction: &mut dyn Transaction, number: i64, used_ms: i64) -> Result<()> {
    let statement = "UPDATE session SET used_ms = $1 WHERE number = $2 AND used_ms < $1";
    transaction.execute(statement, &[Value::Int(used_ms), Value::Int(number)])?;
    Ok(())
}

/// Ends one session of an operator, and those on other hosts that were begun from it; tells whether
/// it was there.
///
/// # Errors
/// Those of the database.
pub fn end(transaction: &mut dyn Transaction, operator: OperatorId, number: i64) -> Result<bool> {
    let values = [Value::Int(operator.0), Value::Int(number)];
    let statement = "DELETE FROM session WHERE operator = $1 AND parent IN \
                     (SELECT digest FROM session WHERE operator = $1 AND number = $2)";
    transaction.execute(statement, &values)?;
    let statement = "DELETE FROM session WHERE operator = $1 AND number = $2";
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Ends all sessions of an operator; returns how many there were.
///
/// # Errors
/// Those of the database.
pub fn end_all(transaction: &mut dyn Transaction, operator: OperatorId) -> Result<u64> {
    let statement = "DELETE FROM session WHERE operator = $1";
    transaction.execute(statement, &[Value::Int(operator.0)])
}

/// Removes what began before a moment of vault time, and counts no more whatever its place.
///
/// # Errors
/// Those of the database.
pub fn sweep(transaction: &mut dyn Transaction, before_ms: i64) -> Result<u64> {
    let statement = "DELETE FROM session WHERE began_ms < $1";
    transaction.execute(statement, &[Value::Int(before_ms)])
}
