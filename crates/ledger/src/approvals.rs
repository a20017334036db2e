//! Auditing who agreed to what, by the leaves of a log alone.
//!
//! What lowers the protection of a vault, or trusts somebody newly, is an operation: others have agreed
//! to its exact contents with their passkeys, and then it has waited. The page docs/people.md tells the
//! rules. [`Approvals`] is fed all leaves in order, keeps who was there at each, and complains of each
//! yes that is none, of each operation that was done against the rules, and of each act that would have
//! taken one and names none.
//!
//! What it cannot see: that the person who enrolled a passkey is the one whom the name says, and what a
//! vault did and told in no leaf.
//!
//! It never fails: what cannot be read is a complaint, and the rest is read. Leaves of acts that are not
//! known here, as of newer vaults, are passed over.
//!
//! Memory is bounded: by operators, open operations and repositories, of each at most so many, and by
//! sixteen bytes for each operation and each yes that there ever was, without which an old one could be
//! used once more.

mod act;
mod complaint;
mod effect;
mod keeping;
mod leaf;
mod operation;
mod people;
mod time;
mod world;

use std::collections::{BTreeMap, BTreeSet};

pub use complaint::{Complaint, Problem};

use crate::Page;
use effect::Effect;
use keeping::Repository;
use leaf::{By, Head, Id, parse};
use operation::Operation;
use world::{Setup, World};

const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Where several processes write, a leaf may be dated so much later than what it tells was decided.
const DATED_WITHIN_MS: i64 = 1_000;

/// So many complaints are listed; the others are counted.
pub const COMPLAINTS_LIMIT: usize = 100;

/// The most random bytes that are kept in mind, of operations and yeses together.
const MOST_NONCES: usize = 1 << 20;

/// What an operation did is told by so many leaves at most, the one that says that it was done among
/// them.
const MOST_EFFECTS: u64 = 16;

/// So often a leaf is carried from one log into the next.
const MOST_CARRIED: usize = 16;

/// What was found in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approved {
    /// How many operations were asked for.
    pub asked: u64,
    /// How many of them had enough yeses at some time.
    pub approved: u64,
    /// How many were done.
    pub done: u64,
    /// How many ended without having been done.
    pub ended: u64,
    /// How many are open.
    pub open: u64,
    /// How many yeses were verified.
    pub yeses: u64,
    /// What is wrong, in the order of the leaves; up to [`COMPLAINTS_LIMIT`].
    pub complaints: Vec<Complaint>,
    /// How much is wrong.
    pub complaint_count: u64,
}

impl Approved {
    /// Whether nothing is wrong.
    pub const fn is_sound(&self) -> bool {
        self.complaint_count == 0
    }
}

/// Reads the leaves of a log, and judges what they tell.
#[derive(Debug, Default)]
pub struct Approvals {
    world: World,
    place: Option<Place>,
    operations: BTreeMap<Id, Operation>,
    repositories: BTreeMap<String, Repository>,
    /// The first halves of random bytes that were used.
    nonces: BTreeSet<[u8; 16]>,
    /// The operation that is being done, and the first leaf of that.
    doing: Option<(Id, u64)>,
    /// The place of the next leaf in the files, and how many leaves of the vault went before the first.
    next: u64,
    base: Option<u64>,
    /// The number behind the last leaf of the logs before, as the vault counts.
    known: u64,
    /// Whether the log goes on from one that was not read, so that nothing can be judged.
    is_blind: bool,
    /// The leaf that is read, its number as the vault counts, and its vault time.
    leaf: u64,
    number: u64,
    now_ms: i64,
    found: Approved,
}

/// Where browsers reach the vault.
#[derive(Debug)]
struct Place {
    host: String,
    origin: String,
}

impl Place {
    /// That of an address without a path, as `https://vault.example.net:8000`.
    fn of(url: &str) -> Option<Self> {
        let origin = url.strip_suffix('/').unwrap_or(url);
        let rest = origin.strip_prefix("https://");
        let rest = rest.or_else(|| origin.strip_prefix("http://"))?;
        let host = match rest.strip_prefix('[') {
            Some(address) => address.split(']').next()?,
            None => rest.split(':').next()?,
        };
        let is_plain = !rest.contains(['/', '?', '#', '@']) && !host.is_empty();
        is_plain.then(|| Self {
            host: host.to_owned(),
            origin: origin.to_owned(),
        })
    }

    fn page(&self) -> Page<'_> {
        Page {
            host: &self.host,
            origin: &self.origin,
        }
    }
}

impl Approvals {
    /// Reads a leaf: its bytes, and its place in the files of the log. Leaves come in order; where one
    /// is missing, what comes behind it may be misjudged, and that is a complaint. Of a vault that has
    /// begun new logs, the earlier ones come first, and each begins at place 0.
    pub fn read(&mut self, entry: &[u8], place: u64) {
        self.leaf = place;
        let read = match Head::parse(entry) {
            Ok(head) => self.read_behind(&head, entry),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = read {
            self.complain(Problem::Malformed { reason });
        }
        self.next = place.saturating_add(1);
        if let Some((id, begun)) = self.doing
            && place.saturating_sub(begun) >= MOST_EFFECTS
        {
            self.doing = None;
            self.complain_of_unfinished(id, begun);
        }
    }

    /// What was found up to here.
    pub fn found(&self) -> Approved {
        Approved {
            open: self.operations.len() as u64,
            ..self.found.clone()
        }
    }

    fn read_behind(&mut self, head: &Head<'_>, entry: &[u8]) -> Result<(), &'static str> {
        let is_new = head.act == "new-log" && self.leaf == 0;
        if is_new {
            self.begin_log(entry)?;
        }
        self.check_number(head, is_new);
        if head.vault_ms < self.now_ms && !is_new {
            self.complain(Problem::TimeWentBack);
        }
        self.now_ms = head.vault_ms;
        match &*head.act {
            "carried" => self.carried(entry),
            act => self.take(act, head.number, entry),
        }
    }

    /// A new log begins, which goes on from the one that was read so far.
    fn begin_log(&mut self, entry: &[u8]) -> Result<(), &'static str> {
        let leaf::NewLog { origin_before } = parse(entry)?;
        if self.base.is_none() {
            self.is_blind = true;
            self.complain(Problem::Earlier { origin_before });
        }
        self.known = self.base.map_or(0, |base| base.saturating_add(self.next));
        self.next = 0;
        Ok(())
    }

    /// The vault counts its leaves on through all of its logs, and one by one.
    fn check_number(&mut self, head: &Head<'_>, is_new: bool) {
        if self.leaf > self.next {
            let leaves = self.leaf - self.next;
            self.complain(Problem::Missing { leaves });
        } else if self.leaf < self.next {
            self.malformed("it stands behind a later one");
        }
        let base = head.number.checked_sub(self.leaf);
        let is_right = match self.base {
            Some(known) if !is_new => base == Some(known),
            Some(_) => base.is_some_and(|base| base >= self.known),
            None => base.is_some(),
        };
        if !is_right {
            self.malformed("its number is not that of its place");
        }
        if self.base.is_none() || is_new {
            self.base = base;
        }
    }

    /// A leaf that the files of an earlier log may not have; where they have, it was read.
    fn carried(&mut self, entry: &[u8]) -> Result<(), &'static str> {
        let mut text = parse::<leaf::Carried>(entry)?.entry;
        for _ in 0..MOST_CARRIED {
            let head = Head::parse(text.as_bytes())?;
            if head.number < self.known {
                return Ok(());
            }
            if head.act != "carried" {
                self.known = head.number.saturating_add(1);
                self.now_ms = head.vault_ms;
                return self.take(&head.act, head.number, text.as_bytes());
            }
            let inner = parse::<leaf::Carried>(text.as_bytes())?.entry;
            text = inner;
        }
        Err("it was carried too often")
    }

    /// Takes what a leaf tells.
    ///
    /// # Errors
    /// What is wrong with the leaf itself; that alone is not told yet.
    fn take(&mut self, act: &str, number: u64, entry: &[u8]) -> Result<(), &'static str> {
        if self.is_blind {
            return Ok(());
        }
        self.number = number;
        match act {
            "start" => self.start(&parse(entry)?),
            "repository" => self.repository(parse(entry)?),
            "retention" => self.retention(&parse(entry)?),
            "compliant" => self.compliant(&parse(entry)?),
            "token-made" => self.token_made(&parse(entry)?)?,
            "purge-agreed" => self.purge_agreed(&parse(entry)?),
            "clock-confirmed" => self.clock_confirmed(&parse(entry)?),
            "clock-caught-up" => self.clock_caught_up(&parse(entry)?)?,
            "setup-claimed" => self.setup_claimed(&parse(entry)?),
            "setup-closed" => self.setup_closed(&parse(entry)?),
            "recovery-announced" => self.recovery_announced(),
            "recovery-stopped" => self.recovery_stopped(&parse(entry)?),
            "recovery-used" => self.recovery_used(),
            "operator-invited" => self.invited(&parse(entry)?),
            "operator-stands" => self.stands(&parse(entry)?)?,
            "operator-roles" => self.roles(&parse(entry)?),
            "factor-enrolled" => self.enrolled(parse(entry)?)?,
            "factor-removed" => self.factor_removed(&parse(entry)?),
            "sessions-ended" => self.sessions_ended(&parse(entry)?),
            "operation-asked" => self.asked(&parse(entry)?)?,
            "operation-approved" => self.approved(&parse(entry)?)?,
            "operation-ended" => self.ended(&parse(entry)?),
            "operation-done" => self.done(&parse(entry)?),
            "sealed" => self.sealed(),
            "unsealed" => self.unsealed(&parse(entry)?),
            "rule" => self.rule(&parse(entry)?),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, leaf: &leaf::Start) {
        self.place = leaf.public_url.as_deref().and_then(Place::of);
    }

    fn asked(&mut self, leaf: &leaf::Asked<'_>) -> Result<(), &'static str> {
        self.found.asked += 1;
        let contents = leaf.contents.get().as_bytes();
        let nonce = thirty_two(&leaf.nonce)?;
        if contents.len() > operation::LONGEST_CONTENTS_BYTES {
            return Err("the contents of its operation are too long");
        }
        if operation::id(contents, leaf.asker, &nonce) != leaf.operation.0 {
            self.complain(Problem::WrongId);
            return Ok(());
        }
        if !self.is_new(&nonce) {
            self.complain(Problem::NonceAgain);
            return Ok(());
        }
        self.remember(&nonce);
        let act = parse(contents).map_err(|_| "the contents of its operation are no act")?;
        let (asked, why) = Operation::asked(&self.world, act, leaf.asker, self.now_ms);
        if let Some(why) = why {
            let asker = leaf.asker;
            self.complain(Problem::NotAsked { asker, why });
        }
        if self.operations.len() >= operation::MOST_OPEN {
            self.too_many("open operations", operation::MOST_OPEN);
            return Ok(());
        }
        self.found.approved += u64::from(asked.was_approved);
        self.operations.insert(leaf.operation, asked);
        Ok(())
    }

    fn approved(&mut self, leaf: &leaf::Approved) -> Result<(), &'static str> {
        let nonce = thirty_two(&leaf.nonce)?;
        match self.check_yes(leaf, &nonce) {
            Ok(()) => self.found.yeses += 1,
            Err(problem) => self.complain(problem),
        }
        Ok(())
    }

    fn check_yes(&mut self, leaf: &leaf::Approved, nonce: &[u8; 32]) -> Result<(), Problem> {
        let operator = leaf.operator;
        let no = |why| Problem::NoYes { operator, why };
        let is_new = self.is_new(nonce);
        let operation = self.operations.get_mut(&leaf.operation);
        let operation = operation.ok_or_else(|| not_open(leaf.operation))?;
        let known = self.world.counting(operator);
        let known = known.ok_or(no("there is no such operator, or he has no rights then"))?;
        let why = if !known.is_security {
            Some("he has not the role security")
        } else if operation.asker == operator {
            Some("he has asked for it himself")
        } else if operation.act.about() == Some(operator) {
            Some("it is about himself")
        } else if !known.has_key(&leaf.public_key.0) {
            Some("its passkey is none that he has enrolled, and that was not removed")
        } else if known.was_replaced_at(self.now_ms) {
            Some("a factor of his was replaced within three days, which approves nothing yet")
        } else {
            None
        };
        if let Some(why) = why {
            return Err(no(why));
        }
        if !is_new {
            return Err(Problem::NonceAgain);
        }
        let place = self.place.as_ref().ok_or(no(
            "no leaf before it says under which address browsers reach the vault",
        ))?;
        let yes = crate::Approval {
            operation: &leaf.operation.0,
            operator,
            nonce,
            authenticator_data: &leaf.authenticator_data.0,
            client_data: &leaf.client_data.0,
            signature: &leaf.signature.0,
            public_key: &leaf.public_key.0,
        };
        yes.verify(&place.page()).map_err(|error| match error {
            crate::Error::NotApproved { reason } => no(reason),
            _ => no("it cannot be verified"),
        })?;
        let was_approved = operation.was_approved;
        let said = operation.say_yes(&self.world, operator, self.now_ms);
        self.found.approved += u64::from(operation.was_approved && !was_approved);
        self.remember(nonce);
        said.map_err(no)
    }

    fn ended(&mut self, leaf: &leaf::Ended) {
        match self.operations.remove(&leaf.operation) {
            Some(operation) if operation.is_begun => {
                let why = "it was ended while it was done";
                self.complain(Problem::NotDone { why });
            }
            Some(_) => {}
            None => self.complain(not_open(leaf.operation)),
        }
        self.found.ended += 1;
    }

    fn done(&mut self, leaf: &leaf::Done) {
        self.found.done += 1;
        if self.doing.is_some_and(|(id, _)| id == leaf.operation) {
            self.doing = None;
        }
        let Some(operation) = self.operations.remove(&leaf.operation) else {
            self.complain(not_open(leaf.operation));
            return;
        };
        if !operation.is_begun
            && let Some(problem) = operation.fault(&self.world, self.now_ms)
        {
            self.complain(problem);
        }
        let unheard = leaf.yeses.iter().find(|who| !operation.has_yes_of(**who));
        if let Some(operator) = unheard.copied() {
            let why = "no leaf has it, or it was none";
            self.complain(Problem::NoYes { operator, why });
        }
        self.keep_agreed(&operation.act);
    }

    /// Judges what was done: by an operation, or by what `may` says that somebody may alone.
    fn judge(&mut self, by: Option<&By>, effect: &Effect<'_>, may: bool) {
        match By::operation(by) {
            Some(id) => self.begin(id, effect),
            None if may => {}
            None => {
                let what = effect.what();
                self.complain(Problem::Alone { what });
            }
        }
    }

    /// Judges what an operation did: with its first leaf also its yeses and its delay, as who is there
    /// may be changed by it.
    fn begin(&mut self, id: Id, effect: &Effect<'_>) {
        if let Some((other, begun)) = self.doing.filter(|(other, _)| *other != id) {
            self.doing = None;
            self.complain_of_unfinished(other, begun);
        }
        let Some(operation) = self.operations.get_mut(&id) else {
            self.complain(not_open(id));
            return;
        };
        let mut problems = Vec::new();
        if !operation.is_begun {
            operation.is_begun = true;
            self.doing = Some((id, self.leaf));
            problems.extend(operation.fault(&self.world, self.now_ms));
        }
        let is_again = effect.comes_once() && operation.has_effect;
        operation.has_effect |= effect.comes_once();
        if is_again || !operation.act.is_done_by(effect) {
            let what = effect.what();
            problems.push(Problem::Otherwise { what });
        }
        for problem in problems {
            self.complain(problem);
        }
    }

    /// Whether whoever has the vault's folder may do what he may do alone: nobody else is there.
    const fn is_folder_alone(&self) -> bool {
        matches!(self.world.setup, Setup::Unclaimed) && !self.world.is_sealed()
    }

    fn is_new(&self, nonce: &[u8; 32]) -> bool {
        !half(nonce).is_some_and(|half| self.nonces.contains(half))
    }

    fn remember(&mut self, nonce: &[u8; 32]) {
        if self.nonces.len() >= MOST_NONCES {
            self.too_many("operations and yeses", MOST_NONCES);
        } else if let Some(half) = half(nonce) {
            self.nonces.insert(*half);
        }
    }

    fn malformed(&mut self, reason: &'static str) {
        self.complain(Problem::Malformed { reason });
    }

    fn never(&mut self, what: &'static str, why: &'static str) {
        self.complain(Problem::Never { what, why });
    }

    /// Complains once that there is too much of something.
    fn too_many(&mut self, what: &'static str, most: usize) {
        let problem = Problem::TooMany { what, most };
        if self
            .found
            .complaints
            .iter()
            .all(|known| known.problem != problem)
        {
            self.complain(problem);
        }
    }

    fn complain_of_unfinished(&mut self, id: Id, leaf: u64) {
        let operation = id.text();
        self.complain_of(leaf, Problem::Unfinished { operation });
    }

    fn complain(&mut self, problem: Problem) {
        self.complain_of(self.leaf, problem);
    }

    fn complain_of(&mut self, leaf: u64, problem: Problem) {
        self.found.complaint_count = self.found.complaint_count.saturating_add(1);
        if self.found.complaints.len() < COMPLAINTS_LIMIT {
            self.found.complaints.push(Complaint { leaf, problem });
        }
    }
}

fn not_open(id: Id) -> Problem {
    let operation = id.text();
    Problem::NotOpen { operation }
}

fn half(nonce: &[u8; 32]) -> Option<&[u8; 16]> {
    nonce.first_chunk()
}

fn thirty_two(bytes: &leaf::Bytes) -> Result<[u8; 32], &'static str> {
    let bytes = bytes.0.as_slice().try_into();
    bytes.map_err(|_| "its random bytes are not 32")
}

#[cfg(test)]
mod tests;
