//! Why a tree cannot be read or written.

/// An error of the tree codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The bytes are not text.
    #[error("The tree is not UTF-8 at byte {offset}")]
    NotText {
        /// The first bad byte.
        offset: usize,
    },
    /// The text is not a tree.
    #[error("The tree is damaged at byte {offset}, in {field}: expected {wanted}")]
    Syntax {
        /// Where, counted in bytes from the start of the blob.
        offset: usize,
        /// The field of the node that was being read, or "the tree".
        field: &'static str,
        /// What should stand there.
        wanted: &'static str,
    },
    /// A name that is not one path component, so that a restore would leave its target.
    #[error("The tree holds the unsafe name \"{name}\"")]
    UnsafeName {
        /// The name, what is not printable escaped.
        name: String,
    },
    /// Two nodes of one name.
    #[error("The tree holds the name \"{name}\" twice")]
    DuplicateName {
        /// The name, what is not printable escaped.
        name: String,
    },
    /// Names that do not rise, which readers of the format rely on.
    #[error("The name \"{name}\" does not come after \"{previous}\"")]
    Unordered {
        /// The name, what is not printable escaped.
        name: String,
        /// The name before it.
        previous: String,
    },
    /// The tree had nodes that were refused, so writing it again would lose them.
    #[error("The tree holds {count} nodes that cannot be written again")]
    Refused {
        /// How many.
        count: usize,
    },
}

/// A name for a message.
pub(super) fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
