//! Listings of the REST protocol, read while they come in.
//!
//! Version 2 is `[{"name":"…","size":5}]`, version 1 is `["…"]`, and some servers say `null` for an
//! empty folder. Names that are not ids are passed over: temporary files of the server's.
//!
//! The text may be an attack on memory: nested lists, a name of a gigabyte, ids without end. So an
//! item is a name or an entry and nothing else, of at most [`ITEM_LIMIT_BYTES`], and there are at
//! most as many as the caller allows. Nothing is kept but sizes and ids.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use strongroom_model::{FileEntry, Id};

/// The most text between one item's end and the next one's; an entry takes about 92 bytes.
const ITEM_LIMIT_BYTES: usize = 4 << 10;

/// The most names without sizes. Each costs a request of its own, which a slow server can make
/// last: a listing of so many takes minutes where an answer takes 100 ms.
pub const NAMES_LIMIT: usize = 10_000;

/// What a server listed.
#[derive(Debug, PartialEq, Eq)]
pub enum Listed {
    /// Names with sizes.
    Entries(Vec<FileEntry>),
    /// Names alone.
    Names(Vec<Id>),
}

/// Reads a listing of at most `files_limit` items to its end.
///
/// # Errors
/// Fails where the text is no listing, breaks off or is beyond a limit, and where reading does.
pub fn parse(text: impl Read, files_limit: usize) -> Result<Listed, serde_json::Error> {
    read(text, files_limit, None)
}

/// The same, but that of one with more files the first ones are taken, and the rest is not read. Names
/// that are no ids are passed over, however many: whoever puts them hides no file behind them.
///
/// # Errors
/// As [`parse`].
pub fn parse_first(text: impl Read, files_limit: usize) -> Result<Listed, serde_json::Error> {
    let first = Cell::new(None);
    let parsed = read(text, files_limit, Some(&first));
    first.take().map_or(parsed, Ok)
}

/// Reads a listing; what was read up to the limit is put into `first`, where that is wanted.
fn read(
    text: impl Read,
    files_limit: usize,
    first: Option<&Cell<Option<Listed>>>,
) -> Result<Listed, serde_json::Error> {
    let left_bytes = Cell::new(ITEM_LIMIT_BYTES);
    let mut parser = serde_json::Deserializer::from_reader(ByItem {
        inner: text,
        left_bytes: &left_bytes,
    });
    let listed = Items {
        files_limit,
        left_bytes: &left_bytes,
        first,
    }
    .deserialize(&mut parser)?;
    parser.end()?;
    Ok(listed)
}

/// Whether an error is about the connection, so that it may not come again.
pub(super) fn is_broken_off(error: &serde_json::Error) -> bool {
    error.is_eof() || error.is_io() && error.io_error_kind() != Some(io::ErrorKind::InvalidData)
}

/// Text that ends in an error where one item is too long. The parser takes byte by byte.
struct ByItem<'a, R> {
    inner: R,
    left_bytes: &'a Cell<usize>,
}

impl<R: Read> Read for ByItem<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left_bytes = self.left_bytes.get();
        if left_bytes == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("one entry is longer than {ITEM_LIMIT_BYTES} bytes"),
            ));
        }
        let count = (&mut self.inner).take(left_bytes as u64).read(buffer)?;
        self.left_bytes.set(left_bytes.saturating_sub(count));
        Ok(count)
    }
}

struct Items<'a> {
    files_limit: usize,
    left_bytes: &'a Cell<usize>,
    /// Where to put what was read, when there is more.
    first: Option<&'a Cell<Option<Listed>>>,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Listed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Listed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
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
        let mut count = 0;
        while let Some(item) = items.next_element::<Item>()? {
            self.left_bytes.set(ITEM_LIMIT_BYTES);
            // Of the first ones none may be left out because of names that are no ids.
            if self.first.is_none() || item.has_id() {
                count += 1;
            }
            if count > self.files_limit {
                if let Some(first) = self.first {
                    first.set(Some(listed::<A::Error>(entries, names)?));
                }
                let limit = self.files_limit;
                return Err(A::Error::custom(format!(
                    "it names more than {limit} files"
                )));
            }
            match item {
                Item::Entry(entry) => entries.extend(entry),
                Item::Name(id) => names.extend(id),
            }
            if self.first.is_none() && names.len() > NAMES_LIMIT {
                return Err(A::Error::custom(format!(
                    "it names more than {NAMES_LIMIT} files without their sizes; the server must \
                     speak version 2 of the listing"
                )));
            }
        }
        listed(entries, names)
    }
}

/// What was listed: all with their sizes, or none.
fn listed<E: serde::de::Error>(entries: Vec<FileEntry>, names: Vec<Id>) -> Result<Listed, E> {
    match (entries.is_empty(), names.is_empty()) {
        (_, true) => Ok(Listed::Entries(entries)),
        (true, false) => Ok(Listed::Names(names)),
        (false, false) => Err(E::custom("some entries have no size")),
    }
}

/// One item; nothing where its name is no id.
enum Item {
    Entry(Option<FileEntry>),
    Name(Option<Id>),
}

impl Item {
    const fn has_id(&self) -> bool {
        matches!(self, Self::Entry(Some(_)) | Self::Name(Some(_)))
    }
}

/// An entry as it is written; other fields are passed over.
#[derive(Deserialize)]
struct WireEntry {
    name: String,
    size: u64,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneItem;
        impl<'de> Visitor<'de> for OneItem {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file name, or an entry with name and size")
            }

            fn visit_str<E>(self, name: &str) -> Result<Item, E> {
                Ok(Item::Name(name.parse().ok()))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Item, A::Error> {
                let WireEntry { name, size } =
                    WireEntry::deserialize(MapAccessDeserializer::new(fields))?;
                let id = name.parse().ok();
                Ok(Item::Entry(id.map(|id| FileEntry {
                    id,
                    size_bytes: size,
                })))
            }
        }
        deserializer.deserialize_any(OneItem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: impl Read) -> Result<Listed, serde_json::Error> {
        super::parse(text, 20_000)
    }

    /// `first`, then `again` for ever; counts what was read.
    struct Endless<'a> {
        text: io::Chain<&'a [u8], io::Repeat>,
        count_bytes: &'a Cell<usize>,
    }

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.text.read(buffer)?;
            self.count_bytes.set(self.count_bytes.get() + count);
            Ok(count)
        }
    }

    #[test]
    fn both_versions_of_the_protocol_are_read() {
        let id = NAME.parse().unwrap();
        let second = format!(
            r#"[{{"name":"{NAME}","size":7,"more":[{{}},[1]]}},{{"name":"x.tmp","size":1}}]"#
        );
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
            "[null]",
            "[[]]",
            r#"[{"name":"x"}]"#,
            r#"[{"name":"x","size":-1}]"#,
            "[] []",
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(!is_broken_off(&error), "{text}: {error}");
        }
    }

    #[test]
    fn a_listing_that_breaks_off_is_told_from_one_that_is_wrong() {
        for text in ["", "[", "[\"ab", "[{\"name\":"] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.is_eof() && is_broken_off(&error), "{text}");
        }
    }

    #[test]
    fn what_is_no_item_or_a_long_one_ends_the_reading_at_once() {
        let endless: [(&str, u8); 7] = [
            ("[[", b'0'),
            ("[", b'['),
            (r#"[""#, b'x'),
            (r#"[{"name":""#, b'x'),
            (r#"[{"more":"#, b'['),
            ("[", b' '),
            (r#"[{"size":"#, b'1'),
        ];
        for (first, again) in endless {
            let count_bytes = Cell::new(0);
            let text = first.as_bytes().chain(io::repeat(again));
            let error = parse(Endless {
                text,
                count_bytes: &count_bytes,
            })
            .unwrap_err();
            assert!(!is_broken_off(&error), "{first}: {error}");
            let read_bytes = count_bytes.get();
            assert!(read_bytes <= ITEM_LIMIT_BYTES, "{first}: {read_bytes}");
        }
    }

    #[test]
    fn the_number_of_files_is_bounded_and_that_of_names_without_sizes_more_so() {
        let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
        let entry = format!(r#"{{"name":"{NAME}","size":1}}"#);
        let name = format!(r#""{NAME}""#);
        let fits = |text: &str| super::parse(text.as_bytes(), 10_001);
        assert!(fits(&list(&entry, 10_001)).is_ok());
        assert!(fits(&list(&name, 10_000)).is_ok());
        let error = fits(&list(&name, 10_001)).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        for item in [entry.as_str(), r#""x.tmp""#] {
            let error = fits(&list(item, 10_002)).unwrap_err().to_string();
            assert!(error.contains("more than 10001 files"), "{error}");
        }
        // Whoever wants the first ones is given these, sizes or not.
        let first = |text: &str| parse_first(text.as_bytes(), 10_001).unwrap();
        let Listed::Entries(entries) = first(&list(&entry, 10_002)) else {
            panic!("they have sizes");
        };
        assert_eq!(entries.len(), 10_001);
        let Listed::Names(names) = first(&list(&name, 10_002)) else {
            panic!("they have no sizes");
        };
        assert_eq!(names.len(), 10_001);
        assert!(parse_first(&b"[7]"[..], 10_001).is_err());
        // What stands behind names that are no ids is among them.
        for junk in [r#""x.tmp""#, r#"{"name":"x.tmp","size":1}"#] {
            let text = format!("[{},{entry}]", vec![junk; 10_002].join(","));
            let Listed::Entries(entries) = first(&text) else {
                panic!("it has a size");
            };
            assert_eq!(entries.len(), 1, "{junk}");
        }
    }
}
