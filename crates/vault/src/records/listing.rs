//! What is seen of a repository, a page at a time.
//!
//! A list as of a number of leaves stays the same however much is done meanwhile: so its pages can
//! be read one after the other, each for itself, and still be one list.
//!
//! What can go wrong: of much that is stored little is seen, as of a moment long ago or after a
//! flood that was hidden, and a list that shows next to nothing reads it all while others wait. So
//! it is bounded what a page reads, and not only what it shows. And a purge between two pages takes away what would have been in the second; it
//! was asked to be deleted long before.

use strongroom_model::{FileEntry, FileType, Id};

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{name_of, number_of};
use crate::records::{signed, unsigned};

/// Whether an earlier life of the object `o` was seen when there were `$3` leaves. Lives do not
/// overlap: the first one that ended no earlier is the only one that can have been, so that one look
/// is enough, however many there are.
const HAD_LIFE: &str = "(SELECT p.began FROM past p WHERE p.repository = o.repository \
     AND p.kind = o.kind AND p.name = o.name AND p.ended >= $3 ORDER BY p.ended LIMIT 1) < $3";

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

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What is seen, by name.
    pub entries: Vec<FileEntry>,
    /// Behind which name the next page begins; none where this is the last.
    pub next: Option<Id>,
}

/// The next page of a list by name, behind the object whose name is `behind`. It reads at most
/// `limit` objects, whether they are seen or not: so a page costs what a page costs, however
/// little there is to be seen, and may show nothing though it is not the last.
///
/// # Errors
/// Those of the database.
pub fn page(
    transaction: &mut dyn Transaction,
    list: List,
    behind: Option<Id>,
    limit: u64,
) -> Result<Page> {
    // Every name has 32 bytes, and so stands behind none.
    let statement = format!(
        "SELECT o.name, o.bytes, CAST(CASE WHEN o.state <> 4 AND ( \
             (o.state <> 3 AND o.began < $3 AND (o.ended IS NULL OR o.ended >= $3)) \
             OR {HAD_LIFE}) THEN 1 ELSE 0 END AS BIGINT) \
         FROM (SELECT repository, kind, name, bytes, state, began, ended FROM object \
             WHERE repository = $1 AND kind = $2 AND name > $4 ORDER BY name LIMIT $5) o \
         ORDER BY o.name"
    );
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
    let mut page = Page::default();
    let mut read = 0;
    transaction.query(&statement, &values, &mut |row| {
        let id = name_of(list.kind, row, 0)?.id().unwrap_or_default();
        read += 1;
        page.next = Some(id);
        if row.int(2)? == 1 {
            page.entries.push(FileEntry {
                id,
                size_bytes: unsigned(row.int(1)?)?,
            });
        }
        Ok(())
    })?;
    if read < limit {
        page.next = None;
    }
    Ok(page)
}
