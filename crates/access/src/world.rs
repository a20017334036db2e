//! What is known when something is decided: read in the transaction that writes what is decided.

use strongroom_model::RepositoryPath;

use crate::keeping::Held;
use crate::operator::{Operator, OperatorId};
use crate::right::Right;
use crate::role::Role;
use crate::rule::Rule;
use crate::seal::Seal;
use crate::setup::Setup;

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// All operators, those who were removed included or not.
    pub operators: &'a [Operator],
    /// How many have to agree.
    pub rule: Rule,
    /// Where set-up stands.
    pub setup: Setup,
    /// Whether it is sealed.
    pub seal: Seal,
    /// What repositories keep. Of the one that an act is about it has to be there: otherwise the act is
    /// refused.
    pub held: &'a [Held],
    /// Tokens that were revoked, and in whose place there is none yet: likewise.
    pub revoked: &'a [Revoked],
}

/// A token that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its name.
    pub token: String,
    /// What it could do.
    pub right: Right,
    /// With which repository, or those in which folder.
    pub prefix: RepositoryPath,
}

impl World<'_> {
    /// An operator who counts.
    pub fn operator(&self, id: OperatorId) -> Option<&Operator> {
        self.operators
            .iter()
            .find(|operator| operator.id == id && operator.counts())
    }

    /// How many security operators count.
    pub fn security(&self) -> usize {
        let is_security = |operator: &&Operator| operator.is(Role::Security);
        self.operators.iter().filter(is_security).count()
    }

    /// What a repository keeps.
    pub(crate) fn held_in(&self, repository: &RepositoryPath) -> Option<&Held> {
        self.held.iter().find(|held| held.repository == *repository)
    }

    /// Whether one person is alone, which `status` says.
    pub fn is_one_person(&self) -> bool {
        self.security() == 1
    }
}
