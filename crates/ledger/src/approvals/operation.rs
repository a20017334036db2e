//! The life of one operation, as the leaves tell it and as the rules allow it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::approvals::act::{Act, UnderSeal};
use crate::approvals::complaint::Problem;
use crate::approvals::world::{Needs, Operator, Seal, Setup, World};
use crate::approvals::{DATED_WITHIN_MS, DAY_MS};

/// The most operations that are kept in mind: one operator has twenty open.
pub(super) const MOST_OPEN: usize = 1_000;

/// The longest contents of an operation, in bytes.
pub(super) const LONGEST_CONTENTS_BYTES: usize = 16 << 10;

/// For so long an operation may be asked for, and for so long after its delay it may be done.
const LAPSES_MS: i64 = 7 * DAY_MS;

/// An operation that is neither done nor ended.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) act: Act,
    pub(super) asker: i64,
    /// Since when it is asked for, by vault time.
    asked_ms: i64,
    /// Who has said yes, and when.
    yeses: BTreeMap<i64, i64>,
    /// Since when it has enough yeses, where it has.
    waits_since_ms: Option<i64>,
    /// Whether it ever had.
    pub(super) was_approved: bool,
    /// Whether it is being done: its yeses and its delay were judged at the first leaf of that.
    pub(super) is_begun: bool,
    /// Whether a leaf has told what came of it.
    pub(super) has_effect: bool,
}

/// What a yes is to: SHA-256(SHA-256(contents) ‖ asker ‖ nonce), the number of the asker as eight bytes,
/// the least first.
pub(super) fn id(contents: &[u8], asker: i64, nonce: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(Sha256::digest(contents))
        .chain_update(asker.to_le_bytes())
        .chain_update(nonce)
        .finalize()
        .into()
}

/// Why nothing like that may be asked for, agreed to or done in a vault as it stands.
fn hindrance(world: &World, act: &Act, now_ms: i64) -> Option<&'static str> {
    if !act.is_known() {
        return None;
    }
    if world.setup_at(now_ms) != Setup::Established {
        return Some("the vault is still set up");
    }
    if world.is_sealed() && act.under_seal() == UnderSeal::Refused {
        return Some("the vault is sealed");
    }
    match (act, world.seal) {
        (Act::Unseal { leaf }, Seal::Sealed { leaf: of, .. }) if *leaf == of => None,
        (Act::Unseal { .. }, _) => Some("it is for another seal than the one that holds"),
        _ => None,
    }
}

impl Operation {
    /// One that is asked for; and why it could not be, where that is so.
    pub(super) fn asked(
        world: &World,
        act: Act,
        asker: i64,
        now_ms: i64,
    ) -> (Self, Option<&'static str>) {
        let needs = world.needs(&act, asker);
        let why = match world.counting(asker) {
            None => Some("there is no such operator, or he has no rights then"),
            Some(_) => hindrance(world, &act, now_ms)
                .or(needs.is_none().then_some("nobody could approve it")),
        };
        let is_alone = needs.is_some_and(|needs| needs.yeses == 0);
        let operation = Self {
            act,
            asker,
            asked_ms: now_ms,
            yeses: BTreeMap::new(),
            waits_since_ms: is_alone.then_some(now_ms),
            was_approved: is_alone,
            is_begun: false,
            has_effect: false,
        };
        (operation, why)
    }

    /// Takes the yes of an operator who may approve, and whose signature was verified.
    ///
    /// # Errors
    /// Why it is too late, or could not be.
    pub(super) fn say_yes(
        &mut self,
        world: &World,
        who: i64,
        now_ms: i64,
    ) -> Result<(), &'static str> {
        if self.has_lapsed(world, now_ms) {
            return Err("the operation had lapsed");
        }
        if let Some(why) = hindrance(world, &self.act, now_ms) {
            return Err(why);
        }
        let needs = world.needs(&self.act, self.asker);
        let Needs { yeses, .. } = needs.ok_or("nobody could approve it")?;
        if self.waits_since_ms.is_some() && self.valid(world) < yeses {
            self.waits_since_ms = None;
            self.asked_ms = now_ms;
        }
        match self.yeses.get(&who) {
            Some(said_ms) if self.counts(world, who, *said_ms) => {}
            _ => {
                self.yeses.insert(who, now_ms);
            }
        }
        if self.waits_since_ms.is_none() && self.valid(world) >= yeses {
            self.waits_since_ms = Some(now_ms);
            self.was_approved = true;
        }
        Ok(())
    }

    /// What speaks against its being done at a moment.
    pub(super) fn fault(&self, world: &World, now_ms: i64) -> Option<Problem> {
        if !self.act.is_known() {
            return None;
        }
        let not = |why| Some(Problem::NotDone { why });
        if let Some(why) = hindrance(world, &self.act, now_ms) {
            return not(why);
        }
        if world.counting(self.asker).is_none() {
            return not("whoever asked for it has no rights any more");
        }
        let Some(Needs { yeses, .. }) = world.needs(&self.act, self.asker) else {
            return not("nobody could approve it");
        };
        let valid = self.valid(world);
        let due_ms = self.due_ms(world).filter(|_| valid >= yeses);
        let Some(due_ms) = due_ms else {
            return Some(Problem::TooFew {
                yeses: valid,
                needed: yeses,
            });
        };
        let early_ms = due_ms.saturating_sub(now_ms);
        if early_ms >= DATED_WITHIN_MS {
            return Some(Problem::TooEarly { early_ms });
        }
        match self.has_lapsed(world, now_ms) {
            true => not("it had lapsed"),
            false => None,
        }
    }

    /// Whether somebody has said yes that counted when he said it.
    pub(super) fn has_yes_of(&self, who: i64) -> bool {
        self.yeses.contains_key(&who)
    }

    fn has_lapsed(&self, world: &World, now_ms: i64) -> bool {
        let is_over = |since_ms: i64| now_ms.saturating_sub(since_ms) >= LAPSES_MS;
        match self.waits_since_ms {
            None => is_over(self.asked_ms),
            Some(_) => self.due_ms(world).is_some_and(is_over),
        }
    }

    /// Until when it waits; `None` where it does not, or that stands still. What waited under the seal
    /// waits anew from its end, and what takes no delay under it is due no earlier than it holds.
    fn due_ms(&self, world: &World) -> Option<i64> {
        let since_ms = self.waits_since_ms?;
        let changed_ms = match world.seal {
            Seal::Sealed { .. } if self.act.under_seal() == UnderSeal::Refused => return None,
            Seal::Open { since_ms } | Seal::Sealed { since_ms, .. } => since_ms,
        };
        let needs = world.needs(&self.act, self.asker)?;
        Some(since_ms.max(changed_ms).saturating_add(needs.delay_ms))
    }

    /// How many yeses count.
    fn valid(&self, world: &World) -> usize {
        let counts = |(who, said_ms): &(&i64, &i64)| self.counts(world, **who, **said_ms);
        self.yeses.iter().filter(counts).count()
    }

    /// Whether a yes counts still: where a factor was replaced since, whoever has the lost one may have
    /// said it.
    fn counts(&self, world: &World, who: i64, said_ms: i64) -> bool {
        let is_his = |known: &Operator| {
            known.approves() && known.replaced_ms.is_none_or(|at_ms| at_ms < said_ms)
        };
        let is_other = who != self.asker && Some(who) != self.act.about();
        is_other && world.operators.get(&who).is_some_and(is_his)
    }
}
