//! The one dialect in which the schema is written, turned into what each database understands.
//!
//! What can go wrong is silent: PostgreSQL orders text by language unless told otherwise, and
//! SQLite keeps a text in a column of numbers. So text gets the collation `C` in the one, and the
//! other gets the names of types that its strict tables know.

/// What opens a remark that SQLite alone reads, as in `) /* sqlite: STRICT, WITHOUT ROWID */;`.
const ONLY_SQLITE: &str = "/* sqlite:";

/// The text for SQLite.
pub(super) fn for_sqlite(text: &str) -> String {
    let mut opened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(ONLY_SQLITE) {
        let (inside, after) = marked.split_once("*/").unwrap_or((marked, ""));
        opened.push_str(before);
        opened.push_str(inside);
        rest = after;
    }
    opened.push_str(rest);
    replace_words(&opened, &[("BIGINT", "INTEGER"), ("BYTEA", "BLOB")])
}

/// The text for PostgreSQL.
pub(super) fn for_postgres(text: &str) -> String {
    replace_words(text, &[("TEXT", "TEXT COLLATE \"C\"")])
}

fn replace_words(text: &str, words: &[(&str, &str)]) -> String {
    text.split_inclusive(|c: char| !is_word(c))
        .flat_map(|piece| {
            let end = piece.trim_end_matches(|c| !is_word(c)).len();
            let (word, mark) = piece.split_at(end);
            let known = words.iter().find(|(from, _)| *from == word);
            [known.map_or(word, |(_, to)| to), mark]
        })
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = "CREATE TABLE t (a BIGINT, b BYTEA, c TEXT, TEXTURE TEXT NOT NULL)\
                          /* sqlite: STRICT */; -- BIGINT_\nCREATE INDEX i ON t (a) /* both */;";

    #[test]
    fn sqlite_gets_its_own_types_and_what_is_marked_for_it() {
        assert_eq!(
            for_sqlite(COMMON),
            "CREATE TABLE t (a INTEGER, b BLOB, c TEXT, TEXTURE TEXT NOT NULL) STRICT ; \
             -- BIGINT_\nCREATE INDEX i ON t (a) /* both */;"
        );
    }

    #[test]
    fn postgres_orders_text_by_bytes() {
        assert_eq!(
            for_postgres(COMMON),
            "CREATE TABLE t (a BIGINT, b BYTEA, c TEXT COLLATE \"C\", \
             TEXTURE TEXT COLLATE \"C\" NOT NULL)\
             /* sqlite: STRICT */; -- BIGINT_\nCREATE INDEX i ON t (a) /* both */;"
        );
    }

    #[test]
    fn a_remark_that_is_never_closed_goes_to_the_end() {
        assert_eq!(for_sqlite("a /* sqlite: b"), "a  b");
    }
}
