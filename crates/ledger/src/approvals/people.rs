//! Who comes, goes, and stands how.

use crate::approvals::effect::Effect;
use crate::approvals::leaf::{self, By};
use crate::approvals::world::{
    FEWEST_YESES, MOST_FACTORS, MOST_OPERATORS, Operator, Recovery, Seal, Setup, Standing,
    is_security,
};
use crate::approvals::{Approvals, Problem};

/// The bytes of a public key: an uncompressed point of P-256.
const PUBLIC_KEY_BYTES: usize = 65;

const NOBODY: &str = "no leaf tells of such an operator";

impl Approvals {
    pub(super) fn setup_claimed(&mut self, leaf: &leaf::OfOperator) {
        match self.world.setup {
            Setup::Unclaimed => {
                self.world.setup = Setup::UnderWay {
                    since_ms: self.now_ms,
                    first: leaf.operator,
                };
            }
            Setup::UnderWay { .. } | Setup::Established => {
                self.never("To begin set-up", "it was begun before, and comes once");
            }
        }
    }

    pub(super) fn setup_closed(&mut self, leaf: &leaf::OfOperator) {
        match self.world.setup_at(self.now_ms) {
            Setup::UnderWay { first, .. } if first == leaf.operator => {}
            _ => self.never(
                "To end set-up",
                "it is not under way, or he is not the first",
            ),
        }
        self.world.setup = Setup::Established;
    }

    /// Whoever has the vault's own host and the code on paper asks for a link, of which all hear.
    pub(super) fn recovery_announced(&mut self) {
        if let Recovery::Announced { .. } = self.world.recovery {
            self.never("To announce a recovery", "one was announced, and goes on");
            return;
        }
        let at_ms = self.now_ms;
        self.world.recovery = Recovery::Announced { at_ms };
    }

    pub(super) fn recovery_stopped(&mut self, leaf: &leaf::OfOperator) {
        if self.world.counting(leaf.operator).is_none() {
            self.never("To stop a recovery", NOBODY);
        }
        self.world.recovery = Recovery::None;
    }

    /// It gives its link, once it has waited and all who had rights are suspended.
    pub(super) fn recovery_used(&mut self) {
        let what = "To recover the operators";
        if !self.world.is_recovery_due(self.now_ms) {
            self.never(what, "it was not announced a week before, or was stopped");
        } else if !self.world.is_empty() {
            self.never(what, "not all who had rights were suspended by it");
        }
        self.world.recovery = Recovery::Used { first: None };
    }

    pub(super) fn invited(&mut self, leaf: &leaf::Invited) {
        let setup = self.world.setup_at(self.now_ms);
        let is_recovery = matches!(self.world.recovery, Recovery::Used { .. })
            && self.world.is_empty()
            && leaf.by == By::FirstLink;
        if is_recovery {
            let first = Some(leaf.operator);
            self.world.recovery = Recovery::Used { first };
        }
        let may = match (&leaf.by, setup) {
            (By::FirstLink, _) if is_recovery => true,
            (By::FirstLink, Setup::UnderWay { first, .. }) => first == leaf.operator,
            (By::Operator(who), Setup::UnderWay { first, .. }) => {
                let known = self.world.operators.get(who);
                let approves = known.is_some_and(Operator::approves);
                *who == first && approves && !self.world.is_sealed()
            }
            _ => false,
        };
        let effect = Effect::Invited {
            name: &leaf.name,
            roles: &leaf.roles,
        };
        self.judge(Some(&leaf.by), &effect, may);
        if self.world.operators.contains_key(&leaf.operator) {
            self.never(effect.what(), "an operator of that number was there before");
        } else if self.world.operators.len() >= MOST_OPERATORS {
            self.too_many("operators", MOST_OPERATORS);
        } else {
            let invited = Operator::invited(&leaf.roles);
            self.world.operators.insert(leaf.operator, invited);
        }
    }

    pub(super) fn stands(&mut self, leaf: &leaf::Stands) -> Result<(), &'static str> {
        let (operator, standing) = (leaf.operator, leaf.standing.as_str());
        let stands = Standing::of(standing).ok_or("nobody stands in that way")?;
        let effect = Effect::Stands { operator, standing };
        let Some(known) = self.world.operators.get(&operator) else {
            self.never(effect.what(), NOBODY);
            return Ok(());
        };
        let is_joining = Operator {
            standing: Standing::Active,
            factors: known.factors.clone(),
            ..*known
        };
        let may = match leaf.by {
            By::FirstLink | By::Invitation => {
                (known.standing, stands) == (Standing::Invited, Standing::Active)
                    && is_joining.counts()
            }
            // All at once, before a recovery gives its link.
            By::Folder => stands == Standing::Suspended && self.world.is_recovery_due(self.now_ms),
            _ => false,
        };
        let was_removed = known.standing == Standing::Removed;
        self.judge(Some(&leaf.by), &effect, may);
        if was_removed {
            self.never(effect.what(), "he was removed, which is for ever");
        }
        let now_ms = self.now_ms;
        if let Some(known) = self.world.operators.get_mut(&operator) {
            known.standing = stands;
            if stands == Standing::Invited {
                // Whoever is recovered has lost what he had.
                known.factors.clear();
                known.replaced_ms = Some(now_ms);
            }
        }
        Ok(())
    }

    pub(super) fn roles(&mut self, leaf: &leaf::HasRoles) {
        let effect = Effect::Roles {
            operator: leaf.operator,
            roles: &leaf.roles,
        };
        self.judge(Some(&leaf.by), &effect, false);
        match self.world.operators.get_mut(&leaf.operator) {
            Some(known) => known.is_security = is_security(&leaf.roles),
            None => self.never(effect.what(), NOBODY),
        }
    }

    pub(super) fn enrolled(&mut self, leaf: leaf::Enrolled) -> Result<(), &'static str> {
        let what = "To enrol a factor";
        let key = match (leaf.kind.as_str(), leaf.public_key) {
            ("passkey", Some(key)) if key.0.len() == PUBLIC_KEY_BYTES => Some(key.0),
            ("passkey", _) => return Err("the public key of its passkey is none"),
            _ => None,
        };
        let is_sealed = self.world.is_sealed();
        let comes_first = self.world.comes_first(leaf.operator);
        let now_ms = self.now_ms;
        let Some(known) = self.world.operators.get_mut(&leaf.operator) else {
            self.never(what, NOBODY);
            return Ok(());
        };
        let may = match leaf.by {
            By::FirstLink => known.standing == Standing::Invited && comes_first,
            By::Invitation => known.standing == Standing::Invited && !is_sealed,
            By::Operator(who) => who == leaf.operator && known.counts() && !is_sealed,
            By::Operation(_) | By::Folder | By::SealCode(_) => false,
        };
        if let Some(replaced) = leaf.in_place_of {
            known.factors.remove(&replaced);
            known.replaced_ms = Some(now_ms);
        }
        let is_full = known.factors.len() >= MOST_FACTORS;
        if !is_full {
            known.factors.insert(leaf.factor, key);
        }
        if is_full {
            self.too_many("factors of an operator", MOST_FACTORS);
        }
        if !may {
            self.never(what, "nobody may in that way, as he and the vault stand");
        }
        Ok(())
    }

    pub(super) fn factor_removed(&mut self, leaf: &leaf::FactorRemoved) {
        let (operator, factor) = (leaf.operator, leaf.factor);
        let effect = Effect::FactorRemoved { operator, factor };
        self.judge(Some(&leaf.by), &effect, false);
        let known = self.world.operators.get_mut(&operator);
        if known
            .and_then(|known| known.factors.remove(&factor))
            .is_none()
        {
            self.never(effect.what(), "no leaf tells of such a factor");
        }
    }

    pub(super) fn sessions_ended(&mut self, leaf: &leaf::OfOperator) {
        let operator = leaf.operator;
        self.judge(leaf.by.as_ref(), &Effect::SessionsEnded { operator }, true);
    }

    pub(super) fn sealed(&mut self) {
        if !self.world.is_sealed() {
            self.world.seal = Seal::Sealed {
                since_ms: self.now_ms,
                leaf: self.number,
            };
        }
    }

    pub(super) fn unsealed(&mut self, leaf: &leaf::Unsealed) {
        let effect = Effect::Unsealed { seal: leaf.seal };
        self.judge(Some(&leaf.by), &effect, false);
        self.world.seal = Seal::Open {
            since_ms: self.now_ms,
        };
    }

    pub(super) fn rule(&mut self, leaf: &leaf::Rule) {
        let effect = Effect::Rule { yeses: leaf.yeses };
        self.judge(Some(&leaf.by), &effect, false);
        if leaf.yeses < FEWEST_YESES {
            let (what, why) = (effect.what(), "two have to agree at least");
            self.complain(Problem::Never { what, why });
        }
        self.world.rule = leaf.yeses.max(FEWEST_YESES);
    }
}
