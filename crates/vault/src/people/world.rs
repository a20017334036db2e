//! What is known when something is decided, read in the transaction that writes what comes of it.

use serde_json::value::RawValue;
use strongroom_access::{
    Act, Held, Operator, OperatorId, Permit, Revoked, Seal, Way, World, permit,
};
use strongroom_model::RepositoryPath;

use crate::database::Transaction;
use crate::people::Who;
use crate::people::joining::tell;
use crate::records::leaves::{self, Moment};
use crate::records::people::operators;
use crate::records::people::regime::{self, Regime};
use crate::records::people::seals;
use crate::records::{repositories, tokens};
use crate::{Error, Result};

/// What is known.
#[derive(Clone, Debug)]
pub struct Known {
    /// All operators.
    pub operators: Vec<Operator>,
    /// Set-up, the rule, the way back in.
    pub regime: Regime,
    /// The seal.
    pub seal: Seal,
    held: Vec<Held>,
    revoked: Vec<Revoked>,
}

impl Known {
    /// Reads it, with whatever these acts are about.
    pub(super) fn read<'a>(
        transaction: &mut dyn Transaction,
        acts: impl IntoIterator<Item = &'a Act>,
    ) -> Result<Self> {
        let operators = operators::list(transaction)?;
        let mut known = Self {
            operators: operators.into_iter().map(|known| known.operator).collect(),
            regime: regime::get(transaction)?,
            seal: seals::get(transaction)?,
            held: Vec::new(),
            revoked: Vec::new(),
        };
        for act in acts {
            known.add(transaction, act)?;
        }
        Ok(known)
    }

    /// Adds what an act is about.
    fn add(&mut self, transaction: &mut dyn Transaction, act: &Act) -> Result<()> {
        match act {
            Act::Keep { repository, .. } | Act::Comply { repository } => {
                self.held.extend(held(transaction, repository)?);
            }
            Act::MakeToken {
                in_place_of: Some(token),
                ..
            } => {
                let token = tokens::get(transaction, token)?;
                let token = token.filter(|token| token.revoked_ms.is_some());
                if let Some(token) = token
                    && !tokens::is_replaced(transaction, token.id)?
                {
                    self.revoked.push(Revoked {
                        token: token.name,
                        right: token.right,
                        prefix: token.prefix,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// As the deciders are told it.
    pub fn world(&self) -> World<'_> {
        World {
            operators: &self.operators,
            rule: self.regime.rule,
            setup: self.regime.setup,
            seal: self.seal,
            held: &self.held,
            revoked: &self.revoked,
        }
    }

    /// An operator, whether he counts or not.
    pub fn operator(&self, id: OperatorId) -> Option<&Operator> {
        self.operators.iter().find(|operator| operator.id == id)
    }

    /// What a repository keeps that an act is about.
    pub(super) fn held_in(&self, repository: &RepositoryPath) -> Option<&Held> {
        self.held.iter().find(|held| held.repository == *repository)
    }
}

/// What a repository keeps, where there is one.
pub(crate) fn held(
    transaction: &mut dyn Transaction,
    path: &RepositoryPath,
) -> Result<Option<Held>> {
    let Some(found) = repositories::get(transaction, path)? else {
        return Ok(None);
    };
    let (agreed, is_compliant) = repositories::agreed(transaction, found.id)?;
    Ok(Some(Held {
        repository: path.clone(),
        keeping: found.keeping,
        agreed,
        is_compliant,
    }))
}

/// Whether somebody may do an act at once, on what the transaction reads.
pub(super) fn permitted(
    transaction: &mut dyn Transaction,
    now: Moment,
    who: Who,
    act: Act,
) -> Result<Permit> {
    let known = Known::read(transaction, [&act])?;
    let world = known.world();
    Ok(match who {
        Who::Folder => permit::by_folder(&world, act, now.vault_ms)?,
        Who::Operator(who, shown) => permit::at_once(&world, (who, shown), act, now.vault_ms)?,
    })
}

/// The same for an act of which no leaf says who did it: that is told first.
pub(crate) fn allow(
    transaction: &mut dyn Transaction,
    now: Moment,
    who: Who,
    act: Act,
) -> Result<Permit> {
    let permit = permitted(transaction, now, who, act)?;
    if let Way::Operator(operator) = permit.way() {
        let contents = serde_json::to_string(permit.act())
            .ok()
            .and_then(|text| RawValue::from_string(text).ok());
        let told = leaves::People::Acted {
            operator: *operator,
            contents: contents.ok_or(Error::Unfinished)?,
        };
        tell(transaction, now, told)?;
    }
    Ok(permit)
}
