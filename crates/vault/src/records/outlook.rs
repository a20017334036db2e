//! What a POST meets: all that decides about it, found by one statement.
//!
//! An upload asks for this twice, and half of what it costs the database is asking.

use std::sync::LazyLock;

use strongroom_model::{FileName, RepositoryPath};

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{self, Key};
use crate::records::repositories::{self, Repository};
use crate::records::tokens::{self, Allowance};
use crate::rules::life::Object;

/// What a POST meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The repository.
    pub repository: Repository,
    /// What is stored under the name.
    pub found: Option<Object>,
    /// The generation that the next body of the name has.
    pub next_generation: u32,
    /// What the token may put, where there is such a token.
    pub allowance: Option<Allowance>,
    /// Whether a receipt names the file.
    pub is_needed: bool,
}

/// Columns of the repository, the object, the token, and then two of their own.
static STATEMENT: LazyLock<String> = LazyLock::new(|| {
    let of = |table: &str, columns: &str| {
        let columns = columns
            .split(", ")
            .map(|column| format!("{table}.{column}"));
        columns.collect::<Vec<_>>().join(", ")
    };
    format!(
        "SELECT {}, {}, {}, \
         (SELECT p.generation FROM purged p \
             WHERE p.repository = r.id AND p.kind = $2 AND p.name = $3), \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM need n \
             WHERE n.repository = r.id AND n.kind = $2 AND n.name = $3) THEN 1 ELSE 0 END AS BIGINT) \
         FROM repository r \
         LEFT JOIN object o ON o.repository = r.id AND o.kind = $2 AND o.name = $3 \
         LEFT JOIN token t ON t.id = $4 \
         WHERE r.path = $1",
        of("r", repositories::COLUMNS),
        of("o", objects::LIFE),
        of("t", tokens::ALLOWANCE),
    )
});

/// Looks at what a POST of a file by a token meets; `None` where there is no such repository.
///
/// # Errors
/// Those of the database.
pub fn look(
    transaction: &mut dyn Transaction,
    path: &RepositoryPath,
    name: FileName,
    token: i64,
) -> Result<Option<Outlook>> {
    const OBJECT: usize = repositories::WIDTH;
    const TOKEN: usize = OBJECT + objects::WIDTH;
    const OWN: usize = TOKEN + tokens::ALLOWANCE_WIDTH;
    let key = Key::new(0, name);
    let [_, kind, id] = key.values();
    let values = [Value::Text(path.as_str()), kind, id, Value::Int(token)];
    transaction.first(&STATEMENT, &values, |row| {
        let found = match row.maybe_int(OBJECT)? {
            Some(_) => Some(objects::read_from(row, OBJECT)?),
            None => None,
        };
        // Only a token's day is never null.
        let allowance = match row.maybe_int(TOKEN + tokens::ALLOWANCE_DAY)? {
            Some(_) => Some(tokens::read_allowance(row, TOKEN)?),
            None => None,
        };
        Ok(Outlook {
            repository: repositories::read(row)?,
            found,
            next_generation: objects::generation_after(row.maybe_int(OWN)?)?,
            allowance,
            is_needed: row.int(OWN + 1)? != 0,
        })
    })
}
