//! What an audit of approvals complains of, each with one next step.

use std::fmt;

/// Something that is wrong with who agreed to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The leaf, by its place in the log.
    pub leaf: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The leaf is not in its format.
    #[error("It is not as a vault writes its leaves: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Leaves before it are not there.
    #[error("{leaves} leaves before it were not read")]
    Missing {
        /// How many.
        leaves: u64,
    },
    /// The log goes on from another one, which was not read.
    #[error(
        "The log goes on from {origin_before}, which was not read: who came there is not known"
    )]
    Earlier {
        /// What the one before is called.
        origin_before: String,
    },
    /// There is more than is kept in memory.
    #[error("There are more {what} than an audit keeps in mind, {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it keeps.
        most: usize,
    },
    /// Vault time went back.
    #[error("Its vault time is before that of the leaf before it")]
    TimeWentBack,
    /// The id is of other contents, another asker or another nonce.
    #[error(
        "The id of the operation is not what its contents, its asker and its random bytes make"
    )]
    WrongId,
    /// Random bytes that were used.
    #[error("Its random bytes were used before, so that an old yes could be used once more")]
    NonceAgain,
    /// It is about an operation that is not open.
    #[error("No operation {operation} is asked for and open")]
    NotOpen {
        /// Its id, in hexadecimal.
        operation: String,
    },
    /// What was asked for could not be.
    #[error("Operator {asker} could not ask for this: {why}")]
    NotAsked {
        /// Who.
        asker: i64,
        /// Why not.
        why: &'static str,
    },
    /// A yes that is none.
    #[error("The yes of operator {operator} is none: {why}")]
    NoYes {
        /// Whose.
        operator: i64,
        /// Why.
        why: &'static str,
    },
    /// It was done before its delay had passed.
    #[error("The operation was done {} before its delay had passed", seconds(*.early_ms))]
    TooEarly {
        /// By how many milliseconds.
        early_ms: i64,
    },
    /// It was done with too few yeses.
    #[error("The operation was done with {yeses} of the {needed} yeses that it takes")]
    TooFew {
        /// How many count.
        yeses: usize,
        /// How many it takes.
        needed: usize,
    },
    /// It could not be done.
    #[error("The operation could not be done: {why}")]
    NotDone {
        /// Why not.
        why: &'static str,
    },
    /// What was done is not what was agreed to.
    #[error("{what} is not what was agreed to")]
    Otherwise {
        /// What was done.
        what: &'static str,
    },
    /// What was done belongs to an operation that is not told to be done.
    #[error("It is by operation {operation}, which no leaf behind it says was done")]
    Unfinished {
        /// Its id, in hexadecimal.
        operation: String,
    },
    /// It takes others, and says of none.
    #[error("{what} takes the approval of others, and it names no operation")]
    Alone {
        /// What was done.
        what: &'static str,
    },
    /// Nobody may do it, whoever agrees, or not in this way.
    #[error("{what} cannot come about: {why}")]
    Never {
        /// What was done.
        what: &'static str,
        /// Why.
        why: &'static str,
    },
}

impl Problem {
    /// What to do next.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => {
                "read the leaf itself; where a newer vault wrote it, audit with its version of this \
                 program"
            }
            Self::Missing { .. } => "mend the files that are named as missing, and audit again",
            Self::Earlier { .. } => {
                "audit the log before it as well, and compare who its operators are"
            }
            Self::TooMany { .. } => "find out who has filled the log, and when it began",
            Self::TimeWentBack => "ask who runs the vault when its database was set back",
            Self::WrongId
            | Self::NonceAgain
            | Self::NotOpen { .. }
            | Self::NotAsked { .. }
            | Self::NoYes { .. } => {
                "ask the operators whom these leaves name whether they did that, by another way than \
                 the vault"
            }
            Self::TooEarly { .. }
            | Self::TooFew { .. }
            | Self::NotDone { .. }
            | Self::Otherwise { .. }
            | Self::Unfinished { .. } => {
                "take what was done back, have the vault's machine looked at, and seal until then"
            }
            Self::Alone { .. } | Self::Never { .. } => {
                "ask who did it and why; unless somebody can tell, take the vault for taken over and \
                 seal it"
            }
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf {}: {}", self.leaf, self.problem)
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}
