//! What committed text never says: it speaks of the product, not of the place where it was made,
//! so that it stays true wherever it is read.

use std::path::Path;

use super::Complaint;

/// In two pieces each, so that this file does not complain of itself.
const FORBIDDEN: &[&str] = &[
    concat!("../", "shared"),
    concat!("/work", "/"),
    concat!("/root", "/"),
    concat!("this ses", "sion"),
    concat!("XX", "X:"),
    concat!("FIX", "ME"),
];

/// Checks one text file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Complaint> {
    (1..)
        .zip(text.lines())
        .flat_map(|(number, line)| {
            FORBIDDEN
                .iter()
                .filter(|word| line.contains(**word))
                .map(move |word| format!("{}:{number}: remove `{word}`", path.display()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_word_is_named_with_its_line() {
        let text = format!("good\nsee {}\n", FORBIDDEN[0]);
        assert_eq!(
            check(Path::new("a.md"), &text),
            [format!("a.md:2: remove `{}`", FORBIDDEN[0])]
        );
        assert!(check(Path::new("a.md"), "a strongroom agent, a console session").is_empty());
    }
}
