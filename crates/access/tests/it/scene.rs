//! A vault's operators, and what becomes of them.

use strongroom_access::operation::{self, End, State};
use strongroom_access::operator::Event;
use strongroom_access::setup::LASTS_MS;
use strongroom_access::{
    Act, Factors, Held, Keeping, Operation, Operator, OperatorId, Permit, Refusal, Revoked, Right,
    Roles, Rule, Seal, Setup, Shown, Standing, World, permit, seal,
};
use strongroom_model::Id;

pub(crate) const HOUR_MS: i64 = 3_600_000;

pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// How long an operation waits after the yeses.
pub(crate) const DELAY_MS: i64 = 72 * HOUR_MS;

/// Long after set-up.
const BEGINS_MS: i64 = LASTS_MS + 100 * DAY_MS;

/// All that is known, and all that was asked for.
pub(crate) struct Scene {
    pub(crate) operators: Vec<Operator>,
    pub(crate) rule: Rule,
    pub(crate) setup: Setup,
    pub(crate) seal: Seal,
    pub(crate) held: Held,
    pub(crate) revoked: Vec<Revoked>,
    pub(crate) now_ms: i64,
    pub(crate) operations: Vec<Operation>,
    leaves: u64,
}

pub(crate) fn id(number: usize) -> OperatorId {
    OperatorId(i64::try_from(number).unwrap())
}

pub(crate) const fn keeping(days: i64) -> Keeping {
    Keeping {
        retention_ms: days * DAY_MS,
        grace_ms: 30 * DAY_MS,
    }
}

/// Keeps things for another time than several agreed to.
pub(crate) fn keep(from_days: i64, to_days: i64) -> Act {
    Act::Keep {
        repository: "acme/repos".parse().unwrap(),
        from: keeping(from_days),
        to: keeping(to_days),
        agreed: keeping(from_days),
        is_compliant: false,
    }
}

impl Scene {
    /// So many operators, each with all roles, two passkeys and a password; the repository keeps things
    /// for 60 days, and of tokens `abc` is revoked.
    pub(crate) fn with(count: usize) -> Self {
        let operator = |number| Operator {
            id: id(number),
            name: format!("operator-{number}").parse().unwrap(),
            roles: Roles::ALL,
            standing: Standing::Active,
            factors: Factors {
                passkeys: 2,
                has_password: true,
                replaced_ms: None,
            },
        };
        Self {
            operators: (0..count).map(operator).collect(),
            rule: Rule::default(),
            setup: Setup::Established,
            seal: Seal::Open { since_ms: 0 },
            held: Held {
                repository: "acme/repos".parse().unwrap(),
                keeping: keeping(60),
                agreed: keeping(60),
                is_compliant: false,
            },
            revoked: vec![Revoked {
                token: "abc".to_owned(),
                right: Right::Append,
                prefix: "acme".parse().unwrap(),
            }],
            now_ms: BEGINS_MS,
            operations: Vec::new(),
            leaves: 1,
        }
    }

    pub(crate) fn world(&self) -> World<'_> {
        World {
            operators: &self.operators,
            rule: self.rule,
            setup: self.setup,
            seal: self.seal,
            held: std::slice::from_ref(&self.held),
            revoked: &self.revoked,
        }
    }

    pub(crate) fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    /// Asks for an operation; returns its number.
    pub(crate) fn ask(&mut self, who: usize, act: Act) -> Result<usize, Refusal> {
        let is_open = |operation: &&Operation| {
            let state = operation.stands_at(&self.world(), self.now_ms);
            operation.asker == id(who) && matches!(state, State::Asked | State::Waiting { .. })
        };
        let open = self.operations.iter().filter(is_open).count();
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&(self.operations.len() as u64).to_le_bytes());
        let by = (id(who), Shown::Passkey);
        let asked = operation::ask(&self.world(), by, act, &nonce, open, self.now_ms)?;
        self.operations.push(asked);
        Ok(self.operations.len() - 1)
    }

    pub(crate) fn say_yes(&mut self, who: usize, number: usize) -> Result<(), Refusal> {
        let signed = self.operations[number].id;
        self.say_yes_to(who, number, &signed)
    }

    pub(crate) fn say_yes_to(
        &mut self,
        who: usize,
        number: usize,
        signed: &Id,
    ) -> Result<(), Refusal> {
        let mut operation = self.operations[number].clone();
        let by = (id(who), Shown::Passkey);
        let said = operation.say_yes(&self.world(), by, signed, self.now_ms);
        self.operations[number] = operation;
        said
    }

    pub(crate) fn stop(&mut self, who: usize, number: usize) -> Result<(), Refusal> {
        let mut operation = self.operations[number].clone();
        let subject = operation::subject(&operation.act);
        let has_stopped = self.operations.iter().any(|before| {
            before.state == State::Ended(End::Stopped(id(who)))
                && operation::subject(&before.act) == subject
        });
        let by = (id(who), Shown::Passkey);
        operation.stop(&self.world(), by, has_stopped, self.now_ms)?;
        self.operations[number] = operation;
        Ok(())
    }

    /// Does an operation where it is due, and lets happen what it permits.
    pub(crate) fn perform(&mut self, number: usize) -> Result<Act, Refusal> {
        let mut operation = self.operations[number].clone();
        let permitted = operation.perform(&self.world(), self.now_ms);
        self.operations[number] = operation;
        Ok(self.happen(permitted?))
    }

    /// Does an act at once, and lets it happen.
    pub(crate) fn at_once(&mut self, who: usize, act: Act) -> Result<Act, Refusal> {
        let by = (id(who), Shown::Passkey);
        let permitted = permit::at_once(&self.world(), by, act, self.now_ms)?;
        Ok(self.happen(permitted))
    }

    fn happen(&mut self, permit: Permit) -> Act {
        let now_ms = self.now_ms;
        let act = permit.act().clone();
        self.leaves += 1;
        self.held = self.held.after(&permit);
        let mut operations = std::mem::take(&mut self.operations);
        match &act {
            Act::Seal => {
                let world = self.world();
                let closed = seal::close(permit, &world, &mut operations, self.leaves, now_ms);
                self.seal = closed.unwrap();
            }
            Act::Unseal { .. } => {
                let opened = seal::open(permit, &self.world(), &mut operations, now_ms);
                self.seal = opened.unwrap();
            }
            Act::Suspend { operator } => self.befall(*operator, Event::Suspended),
            Act::Reinstate { operator } => self.befall(*operator, Event::Reinstated),
            Act::RemoveOperator { operator } => self.befall(*operator, Event::Removed),
            Act::SetRoles { operator, roles } => {
                if let Some(operator) = self.find(*operator) {
                    operator.roles = *roles;
                }
            }
            Act::MakeToken {
                in_place_of: Some(token),
                ..
            } => self.revoked.retain(|revoked| revoked.token != *token),
            Act::RecoverOperator { operator } => {
                self.befall(*operator, Event::Recovered);
                if let Some(operator) = self.find(*operator) {
                    operator.factors = Factors::default();
                }
            }
            Act::RemoveFactor { operator, .. } => {
                if let Some(operator) = self.find(*operator) {
                    operator.factors.passkeys = operator.factors.passkeys.saturating_sub(1);
                }
            }
            Act::SetRule { rule } => self.rule = *rule,
            _ => {}
        }
        self.operations = operations;
        act
    }

    fn find(&mut self, of: OperatorId) -> Option<&mut Operator> {
        self.operators.iter_mut().find(|operator| operator.id == of)
    }

    fn befall(&mut self, of: OperatorId, event: Event) {
        let now_ms = self.now_ms;
        if let Some(operator) = self.find(of)
            && let Ok(standing) = operator.standing.transition(event, now_ms)
        {
            operator.standing = standing;
        }
    }

    /// The leaf of the seal that holds.
    pub(crate) fn seal_leaf(&self) -> Option<u64> {
        match self.seal {
            Seal::Sealed { leaf, .. } => Some(leaf),
            Seal::Open { .. } => None,
        }
    }

    /// Opens the seal, as 0 asks and 1 and 2 agree.
    pub(crate) fn unseal(&mut self) {
        let leaf = self.seal_leaf().unwrap();
        let asked = self.ask(0, Act::Unseal { leaf }).unwrap();
        self.say_yes(1, asked).unwrap();
        self.say_yes(2, asked).unwrap();
        self.pass(DAY_MS);
        self.perform(asked).unwrap();
    }

    /// Whether an operator has any rights.
    pub(crate) fn counts(&self, who: usize) -> bool {
        self.world().operator(id(who)).is_some()
    }
}
