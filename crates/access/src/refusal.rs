//! Why something is not permitted.

use crate::role::Role;

/// Why something is not permitted. What a stranger is told is another matter: nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody who counts asks.
    #[error("There is no such operator, or he has no rights now")]
    NoOperator,
    /// What was shown is not enough.
    #[error("What was shown is not enough for this: {hint}")]
    NotShown {
        /// What to do.
        hint: &'static str,
    },
    /// It takes another role.
    #[error("This takes the role {role}")]
    NoRole {
        /// Which one.
        role: Role,
    },
    /// It takes the approval of others.
    #[error("This takes the approval of others: ask for it")]
    NeedsApproval,
    /// One may do it alone, so there is nothing to approve.
    #[error("This takes nobody's approval: do it")]
    NeedsNoApproval,
    /// Nobody could approve it.
    #[error("Nobody is left who could approve this: there must be another security operator")]
    NobodyApproves,
    /// Too few would be left who approve.
    #[error("Too few security operators would be left: the rule takes {least}")]
    TooFewLeft {
        /// So many have to be.
        least: usize,
    },
    /// Nobody approves, or stops, what he has asked for, or what is about himself.
    #[error("Nobody {verb} what {reason}")]
    Himself {
        /// What he wanted to do with it.
        verb: &'static str,
        /// Why he must not.
        reason: &'static str,
    },
    /// Somebody stopped the same before, and others approved it again.
    #[error("You have stopped the same before, and others have approved it again")]
    StoppedBefore,
    /// It is sealed.
    #[error("The vault is sealed: nothing is destroyed, loosened or newly trusted")]
    Sealed,
    /// It cannot be in set-up.
    #[error("Nothing can be lowered while the vault is set up")]
    InSetUp,
    /// It is for the first operator alone.
    #[error("While the vault is set up only its first operator does this")]
    NotFirst,
    /// It can never be done.
    #[error("This can never be done: {why}")]
    Never {
        /// Why.
        why: &'static str,
    },
    /// The delay goes on.
    #[error("This is approved, and its delay goes on")]
    Waits {
        /// Until when, by vault time.
        due_ms: i64,
    },
    /// What it is about is not what it was.
    #[error("What this is about has changed since it was asked for: ask for it anew")]
    Changed,
    /// It does not stand where this could happen.
    #[error("This cannot happen to {what} as it stands")]
    NotNow {
        /// To what.
        what: &'static str,
    },
    /// Too much is asked for already.
    #[error("You have {most} operations open, which is as many as one has")]
    TooManyAsked {
        /// So many.
        most: usize,
    },
}
