//! What a server answers.

use std::io::{self, Read};

use strongroom_store::rest::listing::{Listed, parse};

/// The least text that names a file.
const ENTRY_BYTES: usize = 64;

/// As many as the inputs of a fuzzer can reach.
const FILES_LIMIT: usize = 100;

pub(crate) fn rest_listing(data: &[u8]) -> bool {
    let listed = parse(data, FILES_LIMIT);
    let piecewise = parse(Trickle(data), FILES_LIMIT);
    assert_eq!(piecewise.as_ref().ok(), listed.as_ref().ok());
    let count = match &listed {
        Ok(Listed::Entries(entries)) => entries.len(),
        Ok(Listed::Names(names)) => names.len(),
        Err(_) => return false,
    };
    assert!(count <= FILES_LIMIT, "more files than allowed");
    assert!(count * ENTRY_BYTES <= data.len(), "files out of nothing");
    true
}

/// A connection that brings one byte at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (one, _) = buffer.split_at_mut(buffer.len().min(1));
        self.0.read(one)
    }
}
