//! What somebody shows to be let in, and what he may do who has shown it.

use crate::HOUR_MS;

/// So many factors make an operator: one can be lost, and he is still himself.
pub const FEWEST: u32 = 2;

/// For so long nobody approves anything who has replaced a factor by a recovery code: time for the
/// owner to hear of it.
pub const APPROVES_AFTER_MS: i64 = 72 * HOUR_MS;

/// How many recovery codes somebody is given.
pub const RECOVERY_CODES: usize = 10;

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A passkey, with the person verified by it, for what is decided here and for nothing before it.
    Passkey,
    /// A session in a browser that a passkey began.
    PasskeyBefore,
    /// A password and a code of TOTP, both right.
    PasswordAndTotp,
    /// A recovery code in place of a lost factor, beside one that is left, or the password alone.
    RecoveryCode,
    /// A session somewhere else: of the command line, which was let in by one in a browser or by
    /// password and code.
    Elsewhere,
}

/// What somebody wants who has shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// To look.
    Look,
    /// To seal, to end sessions, to revoke tokens: whatever only takes access away.
    TakeAway,
    /// A token to restore with.
    Restore,
    /// To do at once what one may do at once.
    Change,
    /// To ask for an operation, or to stop one.
    Ask,
    /// To approve an operation.
    Approve,
    /// To enrol a factor of his own.
    Enrol,
}

impl Want {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Look,
        Self::TakeAway,
        Self::Restore,
        Self::Change,
        Self::Ask,
        Self::Approve,
        Self::Enrol,
    ];
}

/// Which factors an operator has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// How many passkeys.
    pub passkeys: u32,
    /// Whether a password and TOTP, which are one factor together.
    pub has_password: bool,
    /// When one was last replaced by a recovery code, or by a link that others let him have, by
    /// vault time.
    pub replaced_ms: Option<i64>,
}

impl Shown {
    /// Whether this is enough for what somebody wants. To approve and to enrol a passkey has to be
    /// shown anew: whoever holds a session holds no passkey.
    pub const fn is_enough_for(self, want: Want) -> bool {
        match (self, want) {
            (Self::Passkey, _) | (Self::RecoveryCode, Want::Enrol) => true,
            (
                Self::PasskeyBefore | Self::PasswordAndTotp | Self::Elsewhere,
                Want::Approve | Want::Enrol,
            )
            | (Self::RecoveryCode, _) => false,
            (Self::PasskeyBefore | Self::PasswordAndTotp | Self::Elsewhere, _) => true,
        }
    }

    /// What to do where it is not enough.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Passkey => "",
            Self::PasskeyBefore => "show your passkey once more",
            Self::PasswordAndTotp => "show a passkey",
            Self::RecoveryCode => {
                "a recovery code only replaces a lost factor; then sign in by that"
            }
            Self::Elsewhere => "open the vault's pages in a browser and show a passkey there",
        }
    }
}

impl Factors {
    /// How many they are.
    pub const fn count(self) -> u32 {
        self.passkeys.saturating_add(self.has_password as u32)
    }

    /// Whether they make an operator.
    pub const fn are_enough(self) -> bool {
        self.count() >= FEWEST
    }

    /// Whether whoever has them may approve at a moment: with a passkey, and where none was replaced
    /// a moment ago.
    pub fn approve_at(self, now_ms: i64) -> bool {
        let is_old = |at_ms: i64| now_ms.saturating_sub(at_ms) >= APPROVES_AFTER_MS;
        self.are_enough() && self.passkeys > 0 && self.replaced_ms.is_none_or(is_old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_passkey_approves_and_a_recovery_code_does_nothing_but_enrol() {
        for want in Want::ALL {
            assert!(Shown::Passkey.is_enough_for(want));
            let code = Shown::RecoveryCode.is_enough_for(want);
            assert_eq!(code, want == Want::Enrol, "{want:?}");
            for shown in [
                Shown::PasskeyBefore,
                Shown::PasswordAndTotp,
                Shown::Elsewhere,
            ] {
                let is_enough = !matches!(want, Want::Approve | Want::Enrol);
                assert_eq!(shown.is_enough_for(want), is_enough, "{shown:?} {want:?}");
            }
        }
    }

    #[test]
    fn two_factors_make_an_operator_and_one_that_was_replaced_approves_nothing_for_three_days() {
        let mut factors = Factors {
            passkeys: 1,
            ..Factors::default()
        };
        assert!(!factors.are_enough());
        factors.has_password = true;
        assert!(factors.are_enough() && factors.approve_at(0));
        factors.replaced_ms = Some(1_000);
        assert!(!factors.approve_at(1_000 + APPROVES_AFTER_MS - 1));
        assert!(factors.approve_at(1_000 + APPROVES_AFTER_MS));
        let without_passkey = Factors {
            passkeys: 0,
            ..factors
        };
        assert!(!without_passkey.approve_at(i64::MAX));
    }
}
