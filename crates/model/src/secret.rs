//! Passwords and tokens: overwritten when dropped, never printed.
//!
//! There is no `Display`, no serialisation and no comparison; whoever needs the text has to say
//! [`Secret::expose`], which can be searched for in review.

use std::fmt;

use zeroize::Zeroizing;

/// A text that must not be seen.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret_not_even_its_length() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        assert_eq!(
            format!("{:#?}", Some(Secret::new(""))),
            "Some(\n    ***,\n)"
        );
    }
}
