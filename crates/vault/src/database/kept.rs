//! A row that nearly every work of a group changes, and that is written once for all of them.
//!
//! What can go wrong: somebody looks at the row, or changes it, while it is behind. So the
//! transaction writes it before every statement that names its table, before every savepoint and
//! before its commit, and keeps it no longer than until then. Where it goes back it forgets it, and
//! whoever wants the row asks the database again.

/// A row of numbers, as a transaction keeps it instead of writing each change.
///
/// **Whoever keeps a row has changed it in the same transaction**, so that it is locked until the
/// end, and nobody else can have changed it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The table, as every statement spells it that names it.
    pub table: &'static str,
    /// What writes the row: its values are the numbers, and it must change one row.
    pub statement: &'static str,
    /// The numbers.
    pub numbers: [i64; 3],
    /// Whether the row is like that in the database already.
    pub is_written: bool,
}
