//! The table `[limits]`: what clients may take of the server.

use std::time::Duration;

use strongroom_model::ByteSize;
use strongroom_model::config::reader::Reader;
use strongroom_model::config::section::Section;

use crate::http::Limits;

/// With less a client could not send one pack in a minute.
const LEAST_BYTES_PER_SECOND: ByteSize = ByteSize::mib(1);

pub(super) const KEYS: [&str; 12] = [
    "connections",
    "connections_per_address",
    "requests",
    "requests_per_address",
    "requests_per_second",
    "bytes_per_second_per_address",
    "requests_per_token",
    "requests_reserved",
    "requests_per_second_per_token",
    "bytes_per_second_per_token",
    "failed_logins",
    "stop_time",
];

/// Reads the limits, or takes the default ones where there are none.
pub(super) fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Limits> {
    let mut limits = Limits::default();
    if !top.has("limits") {
        return Some(limits);
    }
    let section = top.section(reader, "limits", &KEYS)?;
    let mut count = |key: &str, most: u32, into: &mut usize| {
        let number = section.number(reader, key, 1..=most);
        if let Some(number) = number.and_then(|number| usize::try_from(number).ok()) {
            *into = number;
        }
    };
    count("connections", 1_000_000, &mut limits.connections);
    let most = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    // What is not said must not contradict what is.
    limits.connections_per_address = limits.connections_per_address.min(limits.connections);
    count(
        "connections_per_address",
        most,
        &mut limits.connections_per_address,
    );
    count("requests", 100_000, &mut limits.requests);
    let most = u32::try_from(limits.requests).unwrap_or(u32::MAX);
    limits.requests_per_address = limits.requests_per_address.min(limits.requests);
    count(
        "requests_per_address",
        most,
        &mut limits.requests_per_address,
    );
    // As large a share as that of the default ones, where the whole is smaller.
    limits.requests_per_token = limits.requests_per_token.min(limits.requests);
    limits.requests_reserved = limits.requests_reserved.min(limits.requests / 4);
    count("requests_per_token", most, &mut limits.requests_per_token);
    let reserved = section.number(reader, "requests_reserved", 0..=most);
    if let Some(reserved) = reserved.and_then(|number| usize::try_from(number).ok()) {
        limits.requests_reserved = reserved;
    }
    let rate = section.number(reader, "requests_per_second", 1..=10_000_000);
    limits.requests_per_second = rate.unwrap_or(limits.requests_per_second);
    let rate = section.number(reader, "requests_per_second_per_token", 1..=10_000_000);
    limits.requests_per_second_per_token = rate.unwrap_or(limits.requests_per_second_per_token);
    for (key, into) in [
        (
            "bytes_per_second_per_address",
            &mut limits.bytes_per_second_per_address,
        ),
        (
            "bytes_per_second_per_token",
            &mut limits.bytes_per_second_per_token,
        ),
    ] {
        *into = bytes_per_second(reader, &section, key).unwrap_or(*into);
    }
    let failed = section.number(reader, "failed_logins", 1..=100_000);
    limits.failed_logins = failed.unwrap_or(limits.failed_logins);
    if let Some(period) = section.period(reader, "stop_time") {
        limits.stop_time = Duration::from_secs(period.seconds());
    }
    Some(limits)
}

fn bytes_per_second(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<u64> {
    let (line, size) = section.size(reader, key)?;
    if size < LEAST_BYTES_PER_SECOND {
        reader.problem(
            line,
            format!("{key} = \"{size}\" is out of bounds"),
            format!("write a size from \"{LEAST_BYTES_PER_SECOND}\" on"),
        );
        return None;
    }
    Some(size.bytes())
}
