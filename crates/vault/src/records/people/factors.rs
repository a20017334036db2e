//! What operators can show: passkeys, passwords with TOTP, recovery codes.

use strongroom_access::OperatorId;

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, maybe, signed, unsigned};

/// A factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Its number, never used again while the operator is there.
    pub id: i64,
    /// Whose it is.
    pub operator: OperatorId,
    /// What he calls it.
    pub label: String,
    /// When it was enrolled, by vault time.
    pub added_ms: i64,
    /// When it was last shown, by vault time.
    pub used_ms: Option<i64>,
    /// What it is.
    pub kind: Kind,
}

/// What a factor is.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// A passkey.
    Passkey {
        /// The id that it has.
        credential: Vec<u8>,
        /// As the library keeps it.
        passkey: String,
        /// Its public key: a point of P-256, uncompressed.
        public_key: Vec<u8>,
        /// What vouches for the device, as JSON.
        attestation: String,
    },
    /// A password and TOTP together.
    Password {
        /// The password by argon2id.
        password: String,
        /// What the secret of TOTP is derived from.
        salt: Vec<u8>,
        /// The last step of 30 s that was accepted.
        step: Option<u64>,
    },
}

impl Kind {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passkey { .. } => "passkey",
            Self::Password { .. } => "password",
        }
    }
}

/// Never shows what is kept of a password.
impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

const COLUMNS: &str = "id, operator, kind, label, added_ms, used_ms, credential, passkey, \
                       public_key, attestation, password, salt, step";

fn read(row: &dyn Row) -> Result<Factor> {
    let kind = match row.text(2)?.as_str() {
        "passkey" => Kind::Passkey {
            credential: row.bytes(6)?,
            passkey: row.text(7)?,
            public_key: row.bytes(8)?,
            attestation: row.text(9)?,
        },
        "password" => Kind::Password {
            password: row.text(10)?,
            salt: row.bytes(11)?,
            step: row.maybe_int(12)?.map(unsigned).transpose()?,
        },
        _ => return Err(damaged("a factor is of an unknown kind")),
    };
    Ok(Factor {
        id: row.int(0)?,
        operator: OperatorId(row.int(1)?),
        label: row.text(3)?,
        added_ms: row.int(4)?,
        used_ms: row.maybe_int(5)?,
        kind,
    })
}

/// The factors of an operator, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn of(transaction: &mut dyn Transaction, operator: OperatorId) -> Result<Vec<Factor>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM factor WHERE operator = $1 AND removed_ms IS NULL ORDER BY id"
    );
    all(transaction, &statement, &[Value::Int(operator.0)], read)
}

/// The passkey of an id.
///
/// # Errors
/// Those of the database.
pub fn by_credential(transaction: &mut dyn Transaction, id: &[u8]) -> Result<Option<Factor>> {
    let statement =
        format!("SELECT {COLUMNS} FROM factor WHERE credential = $1 AND removed_ms IS NULL");
    transaction.first(&statement, &[Value::Bytes(id)], read)
}

/// Adds a factor, whose number is given here and returned.
///
/// # Errors
/// Those of the database; also where the passkey is enrolled already.
pub fn insert(
    transaction: &mut dyn Transaction,
    operator: OperatorId,
    label: &str,
    added_ms: i64,
    kind: &Kind,
) -> Result<i64> {
    let statement = "INSERT INTO factor (id, operator, kind, label, added_ms, credential, passkey, \
         public_key, attestation, password, salt) \
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM factor \
         RETURNING id";
    let mut values = [
        Value::Int(operator.0),
        Value::Text(kind.word()),
        Value::Text(label),
        Value::Int(added_ms),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
    ];
    let (of_passkey, of_password) = values[4..].split_at_mut(4);
    match kind {
        Kind::Passkey {
            credential,
            passkey,
            public_key,
            attestation,
        } => of_passkey.copy_from_slice(&[
            Value::Bytes(credential),
            Value::Text(passkey),
            Value::Bytes(public_key),
            Value::Text(attestation),
        ]),
        Kind::Password { password, salt, .. } => {
            of_password.copy_from_slice(&[Value::Text(password), Value::Bytes(salt)]);
        }
    }
    let id = transaction.first(statement, &values, |row| row.int(0))?;
    id.ok_or_else(|| damaged("a factor has no number"))
}

/// Removes a factor, of which nothing stays but its number; tells whether it was there.
///
/// # Errors
/// Those of the database.
pub fn remove(
    transaction: &mut dyn Transaction,
    operator: OperatorId,
    id: i64,
    removed_ms: i64,
) -> Result<bool> {
    let statement = "UPDATE factor SET removed_ms = $1, credential = NULL, passkey = NULL, \
                     public_key = NULL, attestation = NULL, password = NULL, salt = NULL \
                     WHERE operator = $2 AND id = $3 AND removed_ms IS NULL";
    let values = [
        Value::Int(removed_ms),
        Value::Int(operator.0),
        Value::Int(id),
    ];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Notes that a passkey was shown, and how it is kept from now on.
///
/// # Errors
/// Those of the database.
pub fn note_shown(
    transaction: &mut dyn Transaction,
    id: i64,
    used_ms: i64,
    passkey: Option<&str>,
) -> Result<()> {
    let statement = "UPDATE factor SET used_ms = $1, passkey = COALESCE($2, passkey) WHERE id = $3";
    let passkey = passkey.map_or(Value::Null, Value::Text);
    transaction.execute(statement, &[Value::Int(used_ms), passkey, Value::Int(id)])?;
    Ok(())
}

/// Accepts a step of TOTP, once and none before it: tells whether it counts.
///
/// # Errors
/// Those of the database.
pub fn take_step(
    transaction: &mut dyn Transaction,
    id: i64,
    step: u64,
    used_ms: i64,
) -> Result<bool> {
    let statement = "UPDATE factor SET step = $1, used_ms = $2 \
                     WHERE id = $3 AND removed_ms IS NULL AND (step IS NULL OR step < $1)";
    let values = [
        Value::Int(signed(step)?),
        Value::Int(used_ms),
        Value::Int(id),
    ];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Gives an operator recovery codes in place of those that he had.
///
/// # Errors
/// Those of the database.
pub fn set_codes(
    transaction: &mut dyn Transaction,
    operator: OperatorId,
    digests: &[[u8; 32]],
) -> Result<()> {
    let statement = "DELETE FROM recovery_code WHERE operator = $1";
    transaction.execute(statement, &[Value::Int(operator.0)])?;
    for digest in digests {
        let statement = "INSERT INTO recovery_code (operator, digest) VALUES ($1, $2)";
        let values = [Value::Int(operator.0), Value::Bytes(digest)];
        transaction.execute(statement, &values)?;
    }
    Ok(())
}

/// Uses a recovery code up; tells whether it counted.
///
/// # Errors
/// Those of the database.
pub fn use_code(
    transaction: &mut dyn Transaction,
    operator: OperatorId,
    digest: &[u8; 32],
    used_ms: i64,
) -> Result<bool> {
    let statement = "UPDATE recovery_code SET used_ms = $1 \
                     WHERE operator = $2 AND digest = $3 AND used_ms IS NULL";
    let values = [
        maybe(Some(used_ms)),
        Value::Int(operator.0),
        Value::Bytes(digest),
    ];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// How many recovery codes of an operator are left.
///
/// # Errors
/// Those of the database.
pub fn codes_left(transaction: &mut dyn Transaction, operator: OperatorId) -> Result<u64> {
    let statement = "SELECT COUNT(*) FROM recovery_code WHERE operator = $1 AND used_ms IS NULL";
    let left = transaction.first(statement, &[Value::Int(operator.0)], |row| row.int(0))?;
    unsigned(left.unwrap_or_default())
}
