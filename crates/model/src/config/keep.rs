//! The table `keep` of a source: which of its snapshots stay.
//!
//! A slip in it shows when a snapshot is gone, so an empty one is refused: it would let go of
//! everything, where no `keep` at all keeps everything.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::config::reader::{Reader, quoted};
use crate::config::section::Section;
use crate::keep::Keep;

pub(super) const KEYS: [&str; 8] = [
    "last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "tags",
];

/// One as it is written.
const EXAMPLE: &str = "{ daily = 30, monthly = 12 }";

/// More places than this are a mistake: who wants to keep everything writes no `keep`.
const MOST: u32 = 10_000;

/// Reads what stays; `None` where nothing is said of it, and everything stays.
pub(super) fn read(reader: &mut Reader<'_>, source: &Section<'_>) -> Option<Keep> {
    let section = source.inline(reader, "keep", &KEYS, EXAMPLE)?;
    if section.is_empty() {
        reader.problem(
            section.line(),
            "keep is empty",
            format!("write keep = {EXAMPLE}, or remove it: without keep everything stays"),
        );
    }
    let mut count = |key: &str| {
        let number = section.number(reader, key, 1..=MOST);
        number.and_then(NonZeroU32::new)
    };
    Some(Keep {
        last: count("last"),
        hourly: count("hourly"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
        within: section.period(reader, "within"),
        tags: tags(reader, &section),
    })
}

fn tags(reader: &mut Reader<'_>, section: &Section<'_>) -> BTreeSet<String> {
    let Some(texts) = section.texts(reader, "tags") else {
        return BTreeSet::new();
    };
    if texts.is_empty() {
        let instead = "write tags = [\"release\"], or remove it";
        section.refuse(reader, "tags", "tags is empty", instead);
    }
    let mut tags = BTreeSet::new();
    for text in texts {
        let tag = text.value.as_str();
        if tag.trim().is_empty() || tag.contains(',') {
            reader.problem(
                text.line,
                format!("{} is not a tag", quoted(text.written)),
                "a tag is not empty and has no comma, at which restic would split it; write each \
                 as a text of its own",
            );
        }
        tags.insert(tag.to_owned());
    }
    tags
}
