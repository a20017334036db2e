//! Entry bundles: the leaves themselves, up to 256 in a file.
//!
//! An entry is its length in two bytes, most significant first, and its bytes. A bundle does not
//! tell how many entries it has, and may end anywhere when it is torn: so it is read for a number
//! of entries, and must end with the last one.

use crate::tile::TILE_WIDTH;
use crate::{Error, Result};

/// The longest entry.
pub const ENTRY_LIMIT_BYTES: usize = u16::MAX as usize;

/// The longest bundle: 256 of the longest entries.
pub const BUNDLE_LIMIT_BYTES: usize = TILE_WIDTH as usize * (2 + ENTRY_LIMIT_BYTES);

/// What is wrong with a bundle, and at which of its entries it was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The entry, counted from 0.
    pub entry: u16,
    /// What is wrong.
    pub reason: &'static str,
}

/// Adds an entry to a bundle.
///
/// # Errors
/// Fails where the entry is too long.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<()> {
    let bytes = entry.len();
    let length = u16::try_from(bytes).map_err(|_| Error::LongEntry { bytes })?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(entry);
    Ok(())
}

/// The entries of a bundle that must hold exactly `width` of them.
///
/// # Errors
/// Tells where it ends too early, or that it goes on.
pub fn entries(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, Torn> {
    let mut entries = Vec::with_capacity(usize::from(width.min(TILE_WIDTH)));
    let mut rest = bundle;
    for entry in 0..width {
        let torn = |reason| Torn { entry, reason };
        let (length, behind) = rest
            .split_first_chunk()
            .ok_or(torn("it ends before the entry"))?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (bytes, behind) = behind
            .split_at_checked(length)
            .ok_or(torn("it ends within the entry"))?;
        entries.push(bytes);
        rest = behind;
    }
    match rest {
        [] => Ok(entries),
        _ => Err(Torn {
            entry: width.saturating_sub(1),
            reason: "it goes on behind the last entry",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_has_at_most_65_535_bytes() {
        let mut bundle = Vec::new();
        push(&mut bundle, &[7; ENTRY_LIMIT_BYTES]).unwrap();
        let whole = bundle.clone();
        assert!(push(&mut bundle, &[7; ENTRY_LIMIT_BYTES + 1]).is_err());
        assert_eq!(bundle, whole);
        assert_eq!(entries(&bundle, 1).unwrap()[0].len(), ENTRY_LIMIT_BYTES);
    }

    proptest! {
        #[test]
        fn any_entries_come_back_and_no_other_number_of_them(
            list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bundle = Vec::new();
            for entry in &list {
                push(&mut bundle, entry).unwrap();
            }
            let width = list.len() as u16;
            prop_assert_eq!(entries(&bundle, width).unwrap(), list);
            prop_assert!(entries(&bundle, width + 1).is_err());
            prop_assert!(entries(&bundle, width - 1).is_err());
            prop_assert!(entries(&bundle[..cut.index(bundle.len())], width).is_err());
        }
    }
}
