//! What is known when something is decided: read in the transaction that writes what is decided.

use crate::operator::{Operator, OperatorId};
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

    /// Whether one person is alone, which `status` says.
    pub fn is_one_person(&self) -> bool {
        self.security() == 1
    }
}
