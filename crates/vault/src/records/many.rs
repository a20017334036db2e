//! Statements that are about many files at once.
//!
//! What can go wrong: a statement for each file. A receipt names a million of them, and on a
//! server each statement is a way there and back, in which nobody else writes.

use strongroom_model::{FileName, Id};

use crate::Result;
use crate::database::Value;
use crate::records::objects::number_of;

/// How many files a statement is about; few sizes, so that each is prepared once.
const SIZES: [usize; 4] = [1_000, 100, 10, 1];

/// Does `each` for files of one type at a time, at most 1,000: the type's number, and the ids, in
/// their order.
///
/// # Errors
/// Those of `each`.
pub(super) fn by_type(
    names: &[FileName],
    each: &mut dyn FnMut(i64, &[Id]) -> Result<()>,
) -> Result<()> {
    for same in names.chunk_by(|one, next| one.kind() == next.kind()) {
        for piece in pieces(same) {
            let ids: Vec<Id> = piece.iter().filter_map(|name| name.id()).collect();
            if let Some(first) = piece.first() {
                each(number_of(first.kind()), &ids)?;
            }
        }
    }
    Ok(())
}

/// The places of values in a statement, `count` of them from `$first` on, each in `open` and
/// `close`.
pub(super) fn places(first: usize, count: usize, (open, close): (&str, &str)) -> String {
    let places = (first..first + count).map(|place| format!("{open}${place}{close}"));
    places.collect::<Vec<_>>().join(", ")
}

/// The values of a statement: some, then ids.
pub(super) fn values<'v>(first: &[Value<'v>], ids: &'v [Id]) -> Vec<Value<'v>> {
    let ids = ids.iter().map(|id| Value::Bytes(id.as_bytes()));
    first.iter().copied().chain(ids).collect()
}

/// All of a list in pieces of few sizes, at most 1,000 each.
pub(super) fn pieces<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= all.len())?;
        let (piece, rest) = all.split_at(size);
        all = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_there_in_order_and_in_pieces_of_few_sizes() {
        let all: Vec<usize> = (0..2_345).collect();
        let sizes: Vec<_> = pieces(&all).map(<[usize]>::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 2_345);
        assert!(sizes.iter().all(|size| SIZES.contains(size)));
        assert!(sizes.len() < 20, "{sizes:?}");
        assert_eq!(pieces(&all).flatten().copied().collect::<Vec<_>>(), all);
        assert_eq!(pieces::<u8>(&[]).count(), 0);
    }

    #[test]
    fn places_are_numbered() {
        assert_eq!(places(5, 3, ("(", ")")), "($5), ($6), ($7)");
        assert_eq!(places(1, 2, ("", "")), "$1, $2");
    }
}
