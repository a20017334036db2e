//! What an operator is there for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the things that an operator may be there for. Everybody may look, seal, and end his own
/// sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Gets what was backed up: tokens to read, for an hour.
    Restorer,
    /// Brings back what was deleted, raises, makes and ends tokens.
    Keeper,
    /// Approves.
    Security,
}

/// A set of roles. As text and in JSON the words, in the order of [`Role::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Role>", into = "Vec<Role>")]
pub struct Roles(u8);

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Restorer, Self::Keeper, Self::Security];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Restorer => "restorer",
            Self::Keeper => "keeper",
            Self::Security => "security",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Roles {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All of them, as the first operator has.
    pub const ALL: Self = Self(0b1111);

    /// Whether a role is among them.
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Each of them once.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<Vec<Role>> for Roles {
    fn from(roles: Vec<Role>) -> Self {
        roles.into_iter().collect()
    }
}

impl From<Roles> for Vec<Role> {
    fn from(roles: Roles) -> Self {
        roles.iter().collect()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| {
                format!("{text:?} is no role; there are viewer, restorer, keeper, security")
            })
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Role::word).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it_once_and_in_order() {
        let roles: Roles = [Role::Security, Role::Viewer, Role::Security]
            .into_iter()
            .collect();
        assert!(roles.has(Role::Security) && !roles.has(Role::Keeper));
        assert_eq!(roles.to_string(), "viewer, security");
        let json = serde_json::to_string(&roles).unwrap();
        assert_eq!(json, r#"["viewer","security"]"#);
        assert_eq!(serde_json::from_str::<Roles>(&json).unwrap(), roles);
        assert_eq!(Role::ALL.into_iter().collect::<Roles>(), Roles::ALL);
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
        }
    }
}
