//! Listings of the REST protocol, read while they come in.
//!
//! Version 2 is `[{"name":"…","size":5}]`, version 1 is `["…"]`, and some servers say `null` for an
//! empty folder. Names that are not ids are passed over: temporary files of the server's.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use strongroom_model::{FileEntry, Id};

/// What a server listed.
#[derive(Debug, PartialEq, Eq)]
pub enum Listed {
    /// Names with sizes.
    Entries(Vec<FileEntry>),
    /// Names alone.
    Names(Vec<Id>),
}

/// Reads a listing to its end; what was read of a stream that has no end is kept in memory, so
/// `text` has to be limited.
///
/// # Errors
/// Fails where the text is no listing or breaks off, and where reading does.
pub fn parse(text: impl Read) -> Result<Listed, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_reader(text);
    let listed = Listed::deserialize(&mut parser)?;
    parser.end()?;
    Ok(listed)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Entry { name: String, size: u64 },
    Name(String),
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of file names")
            }

            fn visit_unit<E>(self) -> Result<Listed, E> {
                Ok(Listed::Entries(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Listed, A::Error> {
                let mut entries = Vec::new();
                let mut names = Vec::new();
                while let Some(item) = items.next_element()? {
                    match item {
                        Item::Entry { name, size } => {
                            entries.extend(name.parse().ok().map(|id| FileEntry {
                                id,
                                size_bytes: size,
                            }));
                        }
                        Item::Name(name) => names.extend(name.parse::<Id>().ok()),
                    }
                }
                match (entries.is_empty(), names.is_empty()) {
                    (_, true) => Ok(Listed::Entries(entries)),
                    (true, false) => Ok(Listed::Names(names)),
                    (false, false) => Err(A::Error::custom("some entries have no size")),
                }
            }
        }
        deserializer.deserialize_any(Items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn both_versions_of_the_protocol_are_read() {
        let id = NAME.parse().unwrap();
        let second = format!(r#"[{{"name":"{NAME}","size":7}},{{"name":"x.tmp","size":1}}]"#);
        let entry = FileEntry { id, size_bytes: 7 };
        assert_eq!(
            parse(second.as_bytes()).unwrap(),
            Listed::Entries(vec![entry])
        );
        let first = format!(r#"["{NAME}","x.tmp"]"#);
        assert_eq!(parse(first.as_bytes()).unwrap(), Listed::Names(vec![id]));
    }

    #[test]
    fn an_empty_folder_may_be_an_empty_list_or_null() {
        for text in ["[]", "null", " [ ] \n"] {
            assert_eq!(parse(text.as_bytes()).unwrap(), Listed::Entries(vec![]));
        }
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        for text in [
            "{}",
            "7",
            "<html>",
            "[7]",
            r#"[{"name":"x"}]"#,
            r#"[{"name":"x","size":-1}]"#,
            "[] []",
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(!error.is_io() && !error.is_eof(), "{text}: {error}");
        }
    }

    #[test]
    fn a_listing_that_breaks_off_is_told_from_one_that_is_wrong() {
        for text in ["", "[", "[\"ab", "[{\"name\":"] {
            assert!(parse(text.as_bytes()).unwrap_err().is_eof(), "{text}");
        }
    }
}
