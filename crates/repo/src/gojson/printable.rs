//! Which characters Go's `strconv.Quote` leaves as they are: Unicode's letters, marks, numbers,
//! punctuation and symbols, and the space.
//!
//! Go has followed Unicode 15.0 since 1.21, so what came later is escaped. A table that is newer
//! or older than this one changes the id of every tree with such a name: the test holds a digest
//! over all characters, made from Unicode 15.0's own data.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// First and last of the characters that became printable after Unicode 15.0, up to 18.0; where
/// two ranges had nothing assigned between them they are one.
#[rustfmt::skip]
const AFTER_UNICODE_15: [(u32, u32); 79] = [
    (0x558, 0x558), (0x58b, 0x58c), (0x5c8, 0x5c9), (0x88f, 0x897), (0xb53, 0xb54), (0xc5c,
    0xc5c), (0xcdc, 0xcdc), (0x1acf, 0x1af0), (0x1b4e, 0x1b4f), (0x1b7f, 0x1b7f), (0x1c89,
    0x1c8a), (0x208f, 0x208f), (0x209d, 0x209f), (0x20c1, 0x20c4), (0x2427, 0x2429), (0x2b96,
    0x2b96), (0x2e60, 0x2e63), (0x2ffc, 0x2fff), (0x31e4, 0x31ef), (0xa7cb, 0xa7cf), (0xa7d2,
    0xa7d2), (0xa7d4, 0xa7d4), (0xa7da, 0xa7f1), (0xab6c, 0xab6d), (0xfbc3, 0xfbd2), (0xfd90,
    0xfd91), (0xfdc8, 0xfdce), (0x105c0, 0x105f3), (0x107bb, 0x107bf), (0x10940, 0x10959),
    (0x10d40, 0x10d8f), (0x10ec2, 0x10efc), (0x11380, 0x113e2), (0x116d0, 0x116e3), (0x11b0a,
    0x11bf9), (0x11db0, 0x11df1), (0x11f5a, 0x11f5a), (0x1246f, 0x1246f), (0x12475, 0x1247f),
    (0x12550, 0x12686), (0x13460, 0x143fa), (0x16100, 0x16139), (0x16d40, 0x16d79), (0x16ea0,
    0x16ed3), (0x16ff2, 0x16ff6), (0x187f8, 0x187ff), (0x18cd6, 0x18cff), (0x18d09, 0x191d2),
    (0x1b123, 0x1b128), (0x1b168, 0x1b168), (0x1cc00, 0x1cefd), (0x1d127, 0x1d128), (0x1d1eb,
    0x1d1ff), (0x1d250, 0x1d281), (0x1d6a6, 0x1d6a6), (0x1db00, 0x1db1c), (0x1df1f, 0x1df24),
    (0x1df2b, 0x1dfff), (0x1e5d0, 0x1e6ff), (0x1f1ae, 0x1f1ae), (0x1f6d8, 0x1f6d9), (0x1f777,
    0x1f77a), (0x1f7da, 0x1f7db), (0x1f7f1, 0x1f7ff), (0x1f8b2, 0x1f8d8), (0x1fa54, 0x1fa57),
    (0x1fa89, 0x1fa8f), (0x1fabe, 0x1fabe), (0x1fac6, 0x1facd), (0x1fadc, 0x1fadf), (0x1fae9,
    0x1faef), (0x1faf9, 0x1fafa), (0x1fbcb, 0x1fbef), (0x1fbfa, 0x1fbfa), (0x2b73a, 0x2b73f),
    (0x2b81e, 0x2b81e), (0x2cea2, 0x2cead), (0x2ebf0, 0x2ee5d), (0x323b0, 0x3fc3f),
];

/// Whether `strconv.Quote` leaves the character as it is.
pub(super) fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    let printable = matches!(
        character.general_category_group(),
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Mark
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol
    );
    printable && !is_after_unicode_15(u32::from(character))
}

fn is_after_unicode_15(number: u32) -> bool {
    let position = AFTER_UNICODE_15.partition_point(|(_, last)| *last < number);
    AFTER_UNICODE_15
        .get(position)
        .is_some_and(|(first, _)| *first <= number)
}

#[cfg(test)]
mod tests {
    use strongroom_model::Id;

    use super::*;

    #[test]
    fn the_printable_characters_are_those_of_unicode_15() {
        let all: Vec<u8> = ('\0'..=char::MAX)
            .map(|one| u8::from(is_printable(one)))
            .collect();
        let digest = "6807be73edc48385d4751b3a6fa6998cfd2d5709b54f67f0740b6f45f18a3f5c";
        assert_eq!(Id::of(&all).to_string(), digest);
    }
}
