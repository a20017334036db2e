//! When the objects of a type came, a page at a time.
//!
//! Told is the recorded time and not vault time: it is held against the times that snapshots claim,
//! and vault time stands still while the vault is off. It is that of the moment which holds from the
//! leaf of the POST on: an undelete begins another life, and changes nothing of it.

use strongroom_model::{FileType, Id};

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{name_of, number_of};
use crate::records::signed;

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What is live, by name, and when it came, in milliseconds since 1970.
    pub arrivals: Vec<(Id, i64)>,
    /// Behind which name the next page begins; none where this is the last.
    pub next: Option<Id>,
}

/// The next page by name, behind the object whose name is `behind`. It reads at most `limit`
/// objects, whether they are live or not.
///
/// # Errors
/// Those of the database.
pub fn page(
    transaction: &mut dyn Transaction,
    repository: i64,
    kind: FileType,
    behind: Option<Id>,
    limit: u64,
) -> Result<Page> {
    let statement = "SELECT o.name, o.state, (SELECT m.recorded_ms FROM moment m \
             WHERE m.first_leaf <= o.put ORDER BY m.first_leaf DESC LIMIT 1) \
         FROM (SELECT name, state, put FROM object \
             WHERE repository = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4) o \
         ORDER BY o.name";
    let behind = behind.as_ref();
    let values = [
        Value::Int(repository),
        Value::Int(number_of(kind)),
        Value::Bytes(behind.map_or(&[][..], |id| id.as_bytes().as_slice())),
        Value::Int(signed(limit)?),
    ];
    let mut page = Page::default();
    let mut read = 0;
    transaction.query(statement, &values, &mut |row| {
        let id = name_of(kind, row, 0)?.id().unwrap_or_default();
        read += 1;
        page.next = Some(id);
        let is_live = row.int(1)? == 0;
        if let Some(arrived_ms) = row.maybe_int(2)?.filter(|_| is_live) {
            page.arrivals.push((id, arrived_ms));
        }
        Ok(())
    })?;
    if read < limit {
        page.next = None;
    }
    Ok(page)
}
