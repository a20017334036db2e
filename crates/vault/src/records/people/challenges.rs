//! What operators were asked to sign, and what somebody has signed in by.

use strongroom_access::OperatorId;
use strongroom_model::Id;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::damaged;
use crate::records::people::digest;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To enrol a passkey.
    Enrol,
    /// To show that one is there, for an act that takes it.
    Show,
    /// To say yes to an operation.
    Yes,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What for.
    pub purpose: Purpose,
    /// Of whom.
    pub operator: OperatorId,
    /// The operation that is agreed to, or the SHA-256 of the act that a passkey is shown for.
    pub subject: Option<Id>,
    /// Random bytes in the challenge.
    pub nonce: Option<[u8; 32]>,
    /// What the answer is compared with.
    pub state: String,
    /// When, by vault time.
    pub made_ms: i64,
}

/// The most that are open of one operator; the oldest goes where another one comes.
const MOST_OF_ONE: i64 = 32;

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Show => "show",
            Self::Yes => "yes",
        }
    }

    fn of_word(word: &str) -> Result<Self> {
        [Self::Enrol, Self::Show, Self::Yes]
            .into_iter()
            .find(|purpose| purpose.word() == word)
            .ok_or_else(|| damaged("a challenge is for nothing"))
    }
}

/// Keeps a challenge, by the SHA-256 of what its answer names it by.
///
/// # Errors
/// Those of the database.
pub fn insert(
    transaction: &mut dyn Transaction,
    handle: &[u8; 32],
    challenge: &Challenge,
) -> Result<()> {
    let oldest = "DELETE FROM challenge WHERE digest IN (SELECT digest FROM challenge \
                  WHERE operator = $1 ORDER BY made_ms DESC LIMIT 1000 OFFSET $2)";
    let values = [
        Value::Int(challenge.operator.0),
        Value::Int(MOST_OF_ONE - 1),
    ];
    transaction.execute(oldest, &values)?;
    let statement = "INSERT INTO challenge (digest, purpose, operator, operation, nonce, state, \
                     made_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let subject = challenge.subject.as_ref().map(Id::as_bytes);
    let values = [
        Value::Bytes(handle),
        Value::Text(challenge.purpose.word()),
        Value::Int(challenge.operator.0),
        subject.map_or(Value::Null, |id| Value::Bytes(id)),
        match &challenge.nonce {
            Some(nonce) => Value::Bytes(nonce),
            None => Value::Null,
        },
        Value::Text(&challenge.state),
        Value::Int(challenge.made_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes that somebody has signed in by an answer; tells whether he is the first.
///
/// # Errors
/// Those of the database.
pub fn note_used(
    transaction: &mut dyn Transaction,
    handle: &[u8; 32],
    used_ms: i64,
) -> Result<bool> {
    let statement = "INSERT INTO challenge (digest, purpose, state, made_ms) \
                     VALUES ($1, 'used', '', $2) ON CONFLICT (digest) DO NOTHING";
    let values = [Value::Bytes(handle), Value::Int(used_ms)];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Takes a challenge away and returns it: nobody answers it twice.
///
/// # Errors
/// Those of the database.
pub fn take(transaction: &mut dyn Transaction, handle: &[u8; 32]) -> Result<Option<Challenge>> {
    let statement = "DELETE FROM challenge WHERE digest = $1 AND purpose <> 'used' \
                     RETURNING purpose, operator, operation, nonce, state, made_ms";
    transaction.first(statement, &[Value::Bytes(handle)], |row| {
        let has = |column: usize| -> Result<bool> { Ok(row.maybe_bytes(column)?.is_some()) };
        Ok(Challenge {
            purpose: Purpose::of_word(&row.text(0)?)?,
            operator: OperatorId(row.int(1)?),
            subject: match has(2)? {
                true => Some(Id::from_bytes(digest(row, 2)?)),
                false => None,
            },
            nonce: match has(3)? {
                true => Some(digest(row, 3)?),
                false => None,
            },
            state: row.text(4)?,
            made_ms: row.int(5)?,
        })
    })
}

/// Removes those that were made before a moment of vault time.
///
/// # Errors
/// Those of the database.
pub fn sweep(transaction: &mut dyn Transaction, before_ms: i64) -> Result<u64> {
    let statement = "DELETE FROM challenge WHERE made_ms < $1";
    transaction.execute(statement, &[Value::Int(before_ms)])
}
