//! What must come of it all, said as plainly as it can be: the model.
//!
//! It keeps what each repository showed after every leaf, so that the as-of view is compared with
//! what was seen then, and not with intervals that the vault and the model could both get wrong.

mod claims;
mod puts;
mod removals;
mod rotting;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_model::{FileName, FileType, Id};
use strongroom_vault::rules::clock::{Drift, MINUTE_MS, Reading, VaultClock};
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::purge::Keeping;
use strongroom_vault::rules::right;
use strongroom_vault::rules::scrub::Why;

use crate::vault::model::acts::{REPOSITORIES, Rot, Who};
use crate::vault::model::expected::claims::Taken;
use crate::vault::model::expected::rotting::Round;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Done,
    Count(u64),
    Is(bool),
    Content(Vec<u8>),
    Names(Vec<FileName>),
}

/// What is answered, or in a word why not.
pub(super) type Outcome = Result<Reply, &'static str>;

/// What a repository shows: names and bytes.
pub(super) type Seen = BTreeMap<FileName, Vec<u8>>;

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) state: State,
    pub(super) content: Vec<u8>,
    pub(super) generation: u32,
    token: usize,
    /// The leaf of the POST that brought it.
    put: u64,
    /// Who has put it as well, and how many leaves there were then.
    claims: BTreeMap<usize, u64>,
    arrived_ms: i64,
    tombstoned_ms: i64,
    ended: u64,
    /// The leaf of its deletion.
    tombstone: u64,
    ended_by: usize,
    /// Since which leaf it waits for an operator.
    waits_since: u64,
    /// Of a key that waits though it was seen before: whose deletion ended that, and its leaf.
    life_ended: Option<(usize, u64)>,
    /// Whether it waited for an operator when its deletion was asked for.
    has_waited: bool,
    /// Whether it is a tombstone whose token was hidden.
    is_out_of_sight: bool,
    /// What has become of its stored bytes, and what the vault has told of that.
    pub(super) rot: Option<Rot>,
    mark: Option<Why>,
}

/// What an hour has seen: what was live when it was noted, and what was asked to be deleted; and
/// the same of each type alone.
#[derive(Clone, Debug, Default)]
struct Hour {
    live: Option<(u64, u64)>,
    deleted: (u64, u64),
    live_of: BTreeMap<FileType, u64>,
    deleted_of: BTreeMap<FileType, u64>,
    /// In which hours the snapshots had arrived that were deleted, and whether that is a measure of
    /// what comes and goes: not once a deletion was taken back.
    arrivals: Vec<(i64, bool)>,
}

#[derive(Clone, Debug)]
struct Lock {
    token: usize,
    content: Vec<u8>,
    renewed_ms: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Repository {
    pub(super) is_there: bool,
    pub(super) objects: BTreeMap<FileName, Object>,
    pub(super) tombstones: (i64, u64),
    pub(super) is_held: bool,
    hours: BTreeMap<i64, Hour>,
    config: Option<Vec<u8>>,
    /// How often each name was purged.
    purged: BTreeMap<FileName, u32>,
    locks: BTreeMap<Id, Lock>,
    quota: Option<u64>,
    keeping: Keeping,
    /// The receipts of each client, in the order in which the clients and the receipts came.
    lineages: Vec<(u8, Vec<Taken>)>,
    /// How far it is read, and when that began the last time that it was read to the end.
    round: Option<Round>,
    last_round_ms: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) name: String,
    who: Who,
    expires_ms: Option<i64>,
    is_revoked: bool,
    is_used: bool,
    /// The day, bytes and objects.
    pub(super) spent: (i64, u64, u64),
    /// The client whose key it is bound to.
    client: Option<u8>,
}

/// What all repositories showed when there were so many leaves.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) leaves: u64,
    pub(super) seen: Vec<Seen>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) repositories: Vec<Repository>,
    pub(super) tokens: Vec<Token>,
    /// The token that each has now.
    pub(super) of: BTreeMap<usize, usize>,
    pub(super) leaves: Vec<Value>,
    pub(super) moments: Vec<Moment>,
    /// Recorded times behind which nothing was recorded any more, and how many leaves there were.
    pub(super) marks: Vec<(i64, u64)>,
    pub(super) clock: VaultClock,
    /// What this process has seen of the clocks.
    drift: Drift,
    pub(super) reading: Reading,
    /// How many processes there were before this one; to the vault's clock each is a boot.
    runs: u64,
    /// The latest time that any leaf has.
    pub(super) recorded_ms: i64,
}

impl Object {
    fn bytes(&self) -> u64 {
        self.content.len() as u64
    }
}

impl Repository {
    /// Of its objects, and of the receipts that are kept.
    pub(super) fn bytes(&self) -> u64 {
        let objects = self.objects.values().map(Object::bytes);
        objects.chain(self.receipts().map(Taken::kept_bytes)).sum()
    }

    fn live(&self) -> (u64, u64) {
        let live = self.objects.values();
        let live = live.filter(|object| object.state == State::Live);
        live.fold((0, 0), |(objects, bytes), object| {
            (objects + 1, bytes + object.bytes())
        })
    }

    fn live_of(&self, kind: FileType) -> u64 {
        let of_kind = self.objects.iter().filter(|(name, _)| name.kind() == kind);
        let live = of_kind.filter(|(_, object)| object.state == State::Live);
        live.count() as u64
    }

    fn seen(&self) -> Seen {
        let live = self
            .objects
            .iter()
            .filter(|(_, is)| is.state == State::Live);
        live.map(|(name, is)| (*name, is.content.clone())).collect()
    }
}

impl Model {
    pub(super) fn new(keeping: Keeping, reading: Reading, origin: &str) -> Self {
        let repository = Repository {
            is_there: false,
            objects: BTreeMap::new(),
            tombstones: (0, 0),
            is_held: false,
            hours: BTreeMap::new(),
            config: None,
            purged: BTreeMap::new(),
            locks: BTreeMap::new(),
            quota: None,
            keeping,
            lineages: Vec::new(),
            round: None,
            last_round_ms: None,
        };
        let mut model = Self {
            repositories: vec![repository; REPOSITORIES.len()],
            tokens: Vec::new(),
            of: BTreeMap::new(),
            leaves: Vec::new(),
            moments: Vec::new(),
            marks: Vec::new(),
            clock: VaultClock::begin(of_run(&reading, 0)),
            drift: Drift::new(of_run(&reading, 0)),
            recorded_ms: reading.wall_ms,
            reading,
            runs: 0,
        };
        model.tell(json!({"act": "made", "origin": origin}));
        model
    }

    pub(super) fn now(&self) -> (i64, i64) {
        let (clock, _) = self.clock.step(of_run(&self.reading, self.runs));
        (clock.recorded_ms, clock.vault_ms)
    }

    /// Whether a jump of the clocks was seen that nobody has confirmed.
    pub(super) fn is_clock_doubted(&self) -> bool {
        let (clock, _) = self.clock.step(self.reading.clone());
        clock.is_doubted
    }

    fn vault_ms(&self) -> i64 {
        self.now().1
    }

    fn day(&self) -> i64 {
        self.vault_ms().div_euclid(86_400_000)
    }

    fn hour(&self) -> i64 {
        self.vault_ms().div_euclid(3_600_000)
    }

    fn locks_since_ms(&self) -> i64 {
        self.vault_ms() - 30 * MINUTE_MS
    }

    fn tell(&mut self, leaf: Value) -> u64 {
        self.recorded_ms = self.recorded_ms.max(self.now().0);
        self.leaves.push(leaf);
        self.leaves.len() as u64 - 1
    }

    fn tell_of(
        &mut self,
        act: &str,
        repository: usize,
        name: FileName,
        token: Option<usize>,
    ) -> u64 {
        let mut leaf = json!({
            "act": act, "repository": REPOSITORIES[repository], "file": name.to_string(),
        });
        if let Some(token) = token {
            leaf["token"] = self.tokens[token].name.clone().into();
        }
        self.tell(leaf)
    }

    /// Keeps what is seen now.
    pub(super) fn remember(&mut self) {
        let leaves = self.leaves.len() as u64;
        if self.moments.last().is_none_or(|last| last.leaves < leaves) {
            let seen = self.repositories.iter().map(Repository::seen).collect();
            self.moments.push(Moment { leaves, seen });
        }
    }

    /// The vault looks at the clocks.
    pub(super) fn tick(&mut self) {
        let reading = of_run(&self.reading, self.runs);
        let (clock, jump) = self.drift.step(&self.clock, reading.clone());
        let is_news = jump.is_some() && !self.clock.is_doubted;
        self.clock = clock;
        self.drift.look(&self.clock, &reading, true);
        if is_news {
            self.tell(json!({"act": "clock-jump"}));
        }
    }

    pub(super) fn confirm(&mut self) {
        self.tick();
        if self.clock.is_doubted {
            self.clock = self.clock.confirm();
            self.drift
                .look(&self.clock, &of_run(&self.reading, self.runs), true);
            self.tell(json!({"act": "clock-confirmed"}));
        }
    }

    /// Another process begins.
    pub(super) fn restart(&mut self) {
        self.runs += 1;
        self.drift = Drift::new(of_run(&self.reading, self.runs));
        self.start();
    }

    pub(super) fn start(&mut self) {
        self.tick();
        self.tell(json!({"act": "start"}));
    }

    pub(super) fn add_token(&mut self, who: Who, name: String) {
        let expires_ms = who.expires_in_ms().map(|in_ms| self.vault_ms() + in_ms);
        self.tell(json!({"act": "token-made", "token": name, "right": who.right().word()}));
        self.of.insert(who as usize, self.tokens.len());
        self.tokens.push(Token {
            name,
            who,
            expires_ms,
            is_revoked: false,
            is_used: false,
            spent: (0, 0, 0),
            client: None,
        });
    }

    pub(super) fn revoke(&mut self, who: Who) -> Outcome {
        let token = self.token(who)?;
        if !self.tokens[token].is_revoked {
            self.tokens[token].is_revoked = true;
            let name = self.tokens[token].name.clone();
            self.tell(json!({"act": "token-revoked", "token": name}));
        }
        Ok(Reply::Done)
    }

    pub(super) fn token(&self, who: Who) -> Result<usize, &'static str> {
        self.of.get(&(who as usize)).copied().ok_or("unknown")
    }

    /// Somebody comes with his token.
    pub(super) fn authenticate(&mut self, who: Who) -> Result<(), &'static str> {
        let token = self.token(who).map_err(|_| "unauthorized")?;
        let vault_ms = self.vault_ms();
        let is = &mut self.tokens[token];
        if is.is_revoked
            || is
                .expires_ms
                .is_some_and(|expires_ms| vault_ms >= expires_ms)
        {
            return Err("unauthorized");
        }
        if !is.is_used {
            is.is_used = true;
            let name = is.name.clone();
            self.tell(json!({"act": "token-used", "token": name}));
        }
        Ok(())
    }

    /// The token of somebody who may do something in a repository.
    fn authorise(
        &self,
        who: Who,
        repository: usize,
        act: right::Act,
    ) -> Result<usize, &'static str> {
        let token = self.token(who)?;
        let path = REPOSITORIES[repository].parse().unwrap();
        let is_allowed = |by: Who| by.right().allows(act) && self.is_within(&path, by);
        match is_allowed(self.tokens[token].who) {
            true => Ok(token),
            false => Err("forbidden"),
        }
    }

    fn is_within(&self, path: &strongroom_model::RepositoryPath, who: Who) -> bool {
        path.is_within(&who.prefix())
    }

    fn there(&mut self, repository: usize) -> Result<&mut Repository, &'static str> {
        let found = &mut self.repositories[repository];
        found.is_there.then_some(found).ok_or("unknown")
    }

    pub(super) fn create(&mut self, who: Who, repository: usize) -> Outcome {
        let act = right::Act::Put(FileType::Config);
        let token = self.authorise(who, repository, act)?;
        if !self.repositories[repository].is_there {
            self.spend(token, 0)?;
            self.repositories[repository].is_there = true;
            let path = REPOSITORIES[repository];
            self.tell(json!({"act": "repository", "repository": path}));
        }
        Ok(Reply::Done)
    }

    pub(super) fn get(
        &mut self,
        who: Who,
        repository: usize,
        name: FileName,
        range: Option<(u64, u64)>,
    ) -> Outcome {
        self.authorise(who, repository, right::Act::Read)?;
        let found = match name.kind() {
            FileType::Locks => self.locks(repository).remove(&name),
            _ => self.repositories[repository].read(&name),
        };
        let content = found.ok_or("not found")?;
        let (first, length) = range.unwrap_or((0, u64::MAX));
        let part = content.iter().skip(first as usize).take(length as usize);
        Ok(Reply::Content(part.copied().collect()))
    }

    pub(super) fn list(&mut self, who: Who, repository: usize, kind: FileType) -> Outcome {
        self.authorise(who, repository, right::Act::Read)?;
        self.there(repository)?;
        let seen = match kind {
            FileType::Locks => self.locks(repository),
            _ => self.repositories[repository].seen(),
        };
        let names = seen.into_keys().filter(|name| name.kind() == kind);
        Ok(Reply::Names(names.collect()))
    }

    /// The locks that stand.
    pub(super) fn locks(&self, repository: usize) -> Seen {
        let since_ms = self.locks_since_ms();
        let locks = self.repositories[repository].locks.iter();
        let standing = locks.filter(|(_, lock)| lock.renewed_ms > since_ms);
        standing
            .map(|(id, lock)| (FileName::new(FileType::Locks, *id), lock.content.clone()))
            .collect()
    }
}

fn of_run(reading: &Reading, run: u64) -> Reading {
    Reading {
        boot: format!("{} {run}", reading.boot),
        ..reading.clone()
    }
}
