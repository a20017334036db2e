//! The table `[plan]`.

use crate::config::reader::Reader;
use crate::config::section::Section;
use crate::plan::Plan;

const KEYS: [&str; 7] = [
    "copies",
    "media",
    "offsite",
    "immutable",
    "max_age",
    "verify_every",
    "drill_every",
];

/// There are four kinds of medium.
const MOST_MEDIA: u32 = 4;

/// More copies than this are a mistake.
const MOST_COPIES: u32 = 16;

/// Reads the plan, or takes the default one where there is none.
pub(super) fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Plan> {
    let default = Plan::default();
    if !top.has("plan") {
        return Some(default);
    }
    let section = top.section(reader, "plan", &KEYS)?;
    let copies = section.number(reader, "copies", 1..=MOST_COPIES);
    let copies = copies.unwrap_or(default.copies);
    // What is not said must not contradict what is: one copy cannot lie on two media.
    let mut count = |key, most: u32, default: u32| {
        let number = section.number(reader, key, 1..=most.max(1));
        if let Some(number) = number
            && number > copies
            && let Some(line) = section.line_of(reader, key)
        {
            reader.problem(
                line,
                format!("{key} = {number} is more than copies = {copies}"),
                format!("write {key} = {copies}, or copies = {number}"),
            );
        }
        number.unwrap_or(default.min(copies))
    };
    let media = count("media", MOST_MEDIA, default.media);
    let offsite = count("offsite", MOST_COPIES, default.offsite);
    let immutable = count("immutable", MOST_COPIES, default.immutable);
    Some(Plan {
        copies,
        media,
        offsite,
        immutable,
        max_age: section.period(reader, "max_age").unwrap_or(default.max_age),
        verify_every: section
            .period(reader, "verify_every")
            .unwrap_or(default.verify_every),
        drill_every: section
            .period(reader, "drill_every")
            .unwrap_or(default.drill_every),
    })
}
