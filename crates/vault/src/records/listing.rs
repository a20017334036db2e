//! What is seen of a repository, a page at a time.
//!
//! A list as of a number of leaves stays the same however much is done meanwhile: so its pages can
//! be read one after the other, each for itself, and still be one list.
//!
//! What can go wrong: a purge between two pages takes away what would have been in the second; it
//! was asked to be deleted long before.

use strongroom_model::{FileEntry, FileType, Id};

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{name_of, number_of};
use crate::records::{all, signed, unsigned};

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// The key of the repository's row.
    pub repository: i64,
    /// Of which type.
    pub kind: FileType,
    /// What was seen when there were so many leaves. With all that there are it is what is live.
    pub leaves: u64,
}

/// The next objects of a list by name, behind the one whose name is `behind`, at most `limit`.
///
/// # Errors
/// Those of the database.
pub fn page(
    transaction: &mut dyn Transaction,
    list: List,
    behind: Option<Id>,
    limit: u64,
) -> Result<Vec<FileEntry>> {
    // Every name has 32 bytes, and so stands behind none.
    let statement = "SELECT name, bytes FROM object o \
         WHERE repository = $1 AND kind = $2 AND name > $4 AND state <> 4 \
         AND ((state <> 3 AND began < $3 AND (ended IS NULL OR ended >= $3)) OR EXISTS ( \
             SELECT 1 FROM past p WHERE p.repository = o.repository \
             AND p.kind = o.kind AND p.name = o.name \
             AND p.began < $3 AND p.ended >= $3)) ORDER BY name LIMIT $5";
    let values = [
        Value::Int(list.repository),
        Value::Int(number_of(list.kind)),
        Value::Int(signed(list.leaves)?),
        Value::Bytes(
            behind
                .as_ref()
                .map_or(&[][..], |id| id.as_bytes().as_slice()),
        ),
        Value::Int(signed(limit)?),
    ];
    all(transaction, statement, &values, |row| {
        let name = name_of(list.kind, row, 0)?;
        Ok(FileEntry {
            id: name.id().unwrap_or_default(),
            size_bytes: unsigned(row.int(1)?)?,
        })
    })
}
