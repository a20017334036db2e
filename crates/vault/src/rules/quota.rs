//! What a quota counts.
//!
//! An object takes more than its bytes: a block of the disk, a row of the database, a leaf that
//! stays. Counted by bytes alone, a quota of a gigabyte would let in a billion objects of one byte.

/// What each object counts beside its bytes: the block of a file system.
pub const OBJECT_BYTES: u64 = 4096;

/// What so many objects with so many bytes count.
pub const fn counted_bytes(objects: u64, bytes: u64) -> u64 {
    bytes.saturating_add(objects.saturating_mul(OBJECT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_object_counts_what_it_takes() {
        assert_eq!(counted_bytes(0, 0), 0);
        assert_eq!(counted_bytes(1, 1), 4097);
        assert_eq!(counted_bytes(u64::MAX, 1), u64::MAX);
    }
}
