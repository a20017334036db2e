//! What can be wrong with a repository, told so that the program can pick its exit status and a
//! person the next step.

use strongroom_model::FileName;

use crate::key::MAX_KEYS_TRIED;

/// The result of an operation on a repository.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the repository format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] strongroom_store::Error),
    /// There is no `config`: nothing was made here yet, or the wrong place is meant.
    #[error("There is no repository in {location}")]
    NoRepository {
        /// The store.
        location: String,
    },
    /// No key file opens with the password.
    #[error("{} in {location}", opens_none(*.keys))]
    WrongPassword {
        /// The store.
        location: String,
        /// How many key files were tried.
        keys: usize,
    },
    /// A file or blob is not what it should be.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The file or blob, with its place where that is known.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository is of a kind that this program does not know.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// The file.
        what: String,
        /// What it asks for.
        reason: String,
    },
    /// A blob that no index names.
    #[error("No index names the {kind} blob {id}")]
    UnknownBlob {
        /// "data" or "tree".
        kind: &'static str,
        /// The blob.
        id: strongroom_model::Id,
    },
    /// The system has no randomness to give, so no key or nonce can be made.
    #[error("The system gives no random bytes")]
    NoRandomness,
    /// An unsafe value that was asked for when making a repository or key.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// A damaged file.
    pub fn damaged_file(name: FileName, location: &str, reason: impl ToString) -> Self {
        Self::Damaged {
            what: format!("{name} in {location}"),
            reason: reason.to_string(),
        }
    }

    /// The next command to type, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::NoRepository { .. } => Some("make one with: strongroom init".to_owned()),
            Self::WrongPassword { keys, .. } if *keys >= MAX_KEYS_TRIED => Some(
                "there may be more key files than are tried: move those that you did not make out \
                 of keys/; of a bucket, `strongroom recover` tells which one the password opens. A \
                 machine whose state folder is whole tries the one that opened there last first"
                    .to_owned(),
            ),
            Self::WrongPassword { keys: 0, .. } => Some(
                "no password is to blame: somebody has taken the keys away. A copy that is out of \
                 reach may have one; of a bucket that keeps versions: strongroom recover --copy NAME \
                 --in-place"
                    .to_owned(),
            ),
            Self::WrongPassword { .. } => Some(
                "check password_file, password_command or STRONGROOM_PASSWORD; of a file or a \
                 command the first line counts, without its line break"
                    .to_owned(),
            ),
            Self::Damaged { .. } => Some(
                "see what is wrong with `strongroom verify`, mend it from another copy with \
                 `strongroom sync`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

fn opens_none(keys: usize) -> String {
    match keys {
        0 => "There is no key that a password could open".to_owned(),
        1 => "The password does not open the only key".to_owned(),
        keys => format!("The password opens none of the {keys} keys"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_password_is_told_in_good_grammar_for_any_number_of_keys() {
        let text = |keys| {
            let location = "/backup".to_owned();
            Error::WrongPassword { location, keys }.to_string()
        };
        assert_eq!(
            [0, 1, 2].map(text),
            [
                "There is no key that a password could open in /backup",
                "The password does not open the only key in /backup",
                "The password opens none of the 2 keys in /backup",
            ]
        );
    }

    #[test]
    fn where_there_is_no_key_no_password_is_to_blame() {
        let hint = |keys| {
            let location = "/backup".to_owned();
            Error::WrongPassword { location, keys }.hint().unwrap()
        };
        assert!(hint(0).contains("strongroom recover"), "{}", hint(0));
        assert!(!hint(0).contains("password_file"), "{}", hint(0));
        assert!(hint(1).contains("password_file"), "{}", hint(1));
    }
}
