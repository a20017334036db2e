//! A vault and its model, to which the same happens.

mod claiming;
mod rotting;

use std::collections::BTreeSet;

use strongroom_ledger::audit;
use strongroom_model::{FileName, FileType};
use strongroom_vault::Result;
use strongroom_vault::people;
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::rules::clock::{Reading, SECOND_MS};
use strongroom_vault::rules::life::State;
use strongroom_vault::vault::{Longer, Principal, Seen};

use crate::vault::model::acts::{Act, REPOSITORIES, Since, Step, Who, file};
use crate::vault::model::check::Check;
use crate::vault::model::expected::{Model, Outcome, Reply, Repository};
use crate::vault::model::world::{KEEPING, ORIGIN, World, path, word};
use crate::vault::scene::START_MS;

/// A vault, its model, and what has come of both.
pub(super) struct Play {
    world: World,
    model: Model,
    check: Check,
    steps: usize,
    /// What stood when an attack began, of each repository: the moment, and the names.
    stood: Option<(u64, Vec<BTreeSet<FileName>>)>,
    /// How many objects receipts kept from being purged, once for each run.
    pub(super) held_back: u64,
}

impl Play {
    pub(super) fn new() -> Self {
        let reading = Reading {
            boot: "0".to_owned(),
            boottime_ms: 0,
            wall_ms: START_MS,
        };
        let mut model = Model::new(KEEPING, reading.clone(), ORIGIN);
        let mut world = World::new(reading);
        model.start();
        for who in Who::ALL {
            if who != Who::Stranger {
                model.add_token(who, world.add_token(who));
            }
        }
        model.authenticate(Who::Read).unwrap();
        let reader = world.authenticate(Who::Read).unwrap();
        let check = Check {
            reader,
            leaves: 0,
            orphans: BTreeSet::new(),
        };
        Self {
            world,
            model,
            check,
            steps: 0,
            stood: None,
            held_back: 0,
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        self.steps += 1;
        let has_died = self.act(step);
        if has_died {
            self.reopen();
        }
        self.model.remember();
        self.check.now(&self.world, &self.model, has_died);
        self.check
            .earlier(&self.world, &self.model, (!has_died).then_some(self.steps));
    }

    /// Does what is asked in both; tells whether the vault has died of it.
    fn act(&mut self, step: &Step) -> bool {
        let asked_by = match step.act {
            Act::Create(who, _)
            | Act::Put(who, ..)
            | Act::Remove(who, ..)
            | Act::Get(who, ..)
            | Act::List(who, ..)
            | Act::Claim(who, ..) => Some(who),
            _ => None,
        };
        let mut principal = None;
        if let Some(who) = asked_by {
            let expected = self.model.authenticate(who);
            let found = self.world.authenticate(who);
            assert_eq!(
                found.as_ref().map(drop).map_err(|is| *is),
                expected,
                "{step:?}"
            );
            let Ok(found) = found else {
                return false;
            };
            principal = Some(found);
        }
        if self.moves_or_opens(&step.act) {
            return false;
        }
        if matches!(step.act, Act::Scrub) {
            self.begin_scrub();
        }
        // Whoever puts what is being purged does two things, and what a death between them leaves
        // is what it leaves in a purge.
        let crash = step.crash.filter(|_| !self.ends_a_purge(&step.act));
        if let Some(crash) = crash {
            self.world.settle();
            self.world.plan(crash);
        }
        match &step.act {
            Act::Purge => return self.purge(),
            Act::Scrub => return self.scrub(),
            Act::Claim(who, repository, claim) => {
                return self.claim(&principal.unwrap(), (*who, *repository), claim);
            }
            _ => {}
        }
        let before = self.model.clone();
        let expected = self.expect(&step.act);
        let found = self.ask(&step.act, principal.as_ref());
        let (has_died, commits) = self.world.settle();
        if !has_died {
            assert_eq!(found, expected, "{step:?}");
        } else if commits == 0 {
            assert!(found.is_err(), "{step:?}: {found:?}");
            self.model = before;
            self.look_at_what_lies(&step.act);
        } else {
            // It was done, and whoever asked does not know.
            assert!(expected.is_ok(), "{step:?}: {expected:?}");
        }
        has_died
    }

    /// What happens to clocks and processes, and not by a request.
    fn moves_or_opens(&mut self, act: &Act) -> bool {
        match act {
            Act::Pass(ms) => self.pass(*ms),
            Act::Jump(ms, is_seen) => {
                self.move_clocks(|reading| reading.wall_ms += ms);
                if *is_seen {
                    self.tick();
                }
            }
            Act::Off(ms) => {
                self.move_clocks(|reading| {
                    let boot: u64 = reading.boot.parse().unwrap();
                    reading.boot = (boot + 1).to_string();
                    reading.boottime_ms = SECOND_MS;
                    reading.wall_ms += ms;
                });
                self.reopen();
            }
            Act::Confirm => {
                self.model.confirm();
                let seen = Seen {
                    wall_ms: Some(self.world.clocks.lock().wall_ms),
                    ..Seen::default()
                };
                self.world
                    .vault()
                    .confirm_clock(people::Who::Folder, seen)
                    .unwrap();
            }
            Act::Reopen => self.reopen(),
            Act::Rot(repository, number, rot) => self.rot(*repository, *number, *rot),
            Act::Renew(Who::Stranger) => {}
            Act::Renew(who) => {
                let name = self.world.add_token(*who);
                self.model.add_token(*who, name);
            }
            Act::Publish => {
                let published = self.world.publisher().publish().unwrap();
                assert_eq!(published, self.model.leaves.len() as u64);
            }
            _ => return false,
        }
        true
    }

    fn expect(&mut self, act: &Act) -> Outcome {
        let model = &mut self.model;
        match *act {
            Act::Create(who, repository) => model.create(who, repository),
            Act::Put(who, repository, number, sent) => model.put(who, repository, number, sent),
            Act::Remove(who, repository, number) => model.remove(who, repository, file(number).0),
            Act::Get(who, repository, number, range) => {
                model.get(who, repository, file(number).0, range)
            }
            Act::List(who, repository, kind) => model.list(who, repository, kind_of(kind)),
            Act::Undelete(repository, by, since, until) => {
                let since = mark(model, since).map_or(0, |(_, leaves)| leaves);
                let until = mark(model, until).map(|(_, leaves)| leaves);
                model.undelete(repository, by, since, until)
            }
            Act::UndeleteOne(repository, number) => model.undelete_one(repository, file(number).0),
            Act::Hide(who, since) => {
                let since = mark(model, since).map_or(0, |(_, leaves)| leaves);
                model.hide(who, since)
            }
            Act::Unhide(who) => model.unhide(who),
            Act::Admit(repository, number) => model.admit(repository, file(number).0),
            Act::Revoke(who) => model.revoke(who),
            Act::Forget(who) => model.forget(who),
            Act::Agree(repository) => model.agree(repository),
            Act::Quota(repository, bytes) => model.quota(repository, bytes),
            Act::Raise(repository) => model.raise(repository),
            Act::DropLocks => model.drop_locks(),
            _ => unreachable!("{act:?} is no request"),
        }
    }

    fn ask(&self, act: &Act, principal: Option<&Principal>) -> Outcome {
        let (world, vault) = (&self.world, self.world.vault());
        let principal = || principal.unwrap();
        let token = |who| match self.model.token(who) {
            Ok(token) => self.model.tokens[token].name.as_str(),
            Err(_) => "nobody",
        };
        let done = |is: Result<()>| is.map(|()| Reply::Done);
        let answered = match *act {
            Act::Put(_, repository, number, sent) => {
                return world.put(principal(), repository, number, sent);
            }
            Act::Get(_, repository, number, range) => {
                return world.get(principal(), repository, View::Now, file(number).0, range);
            }
            Act::List(_, repository, kind) => {
                let listed = world.list(principal(), repository, View::Now, kind_of(kind));
                return listed
                    .map(|of| Reply::Names(of.into_iter().map(|(name, _)| name).collect()));
            }
            Act::Create(_, repository) => done(vault.create(principal(), &path(repository))),
            Act::Remove(_, repository, number) => {
                done(vault.remove(principal(), &path(repository), file(number).0))
            }
            Act::Undelete(repository, by, since, until) => {
                // What was recorded later than the mark, and until the mark.
                let since = mark(&self.model, since).map(|(recorded_ms, _)| recorded_ms + 1);
                let until = mark(&self.model, until).map(|(recorded_ms, _)| recorded_ms);
                let path = path(repository);
                let count = vault.undelete(people::Who::Folder, &path, by.map(token), since, until);
                count.map(Reply::Count)
            }
            Act::UndeleteOne(repository, number) => vault
                .undelete_one(people::Who::Folder, &path(repository), file(number).0)
                .map(Reply::Is),
            Act::Hide(who, since) => {
                let since = mark(&self.model, since).map_or(0, |(recorded_ms, _)| recorded_ms + 1);
                let hiding = vault.hide(people::Who::Folder, token(who), since);
                hiding.map(|hiding| Reply::Count(hiding.objects))
            }
            Act::Unhide(who) => {
                let hiding = vault.unhide(people::Who::Folder, token(who));
                hiding.map(|hiding| Reply::Count(hiding.objects))
            }
            Act::Admit(repository, number) => vault
                .admit_key(people::Who::Folder, &path(repository), file(number).0)
                .map(Reply::Is),
            Act::Revoke(who) => done(vault.revoke_token(people::Who::Folder, token(who))),
            Act::Forget(who) => vault
                .forget_client_key(people::Who::Folder, token(who))
                .map(Reply::Is),
            Act::Agree(repository) => {
                // Whatever there is by now was looked at.
                let path = path(repository);
                let overviews = vault.overviews().unwrap();
                let mut found = overviews.iter().filter(|is| is.repository.path == path);
                let looked_at = found.next().map(|is| is.tombstones).unwrap_or_default();
                done(
                    vault
                        .agree_to_purge(people::Who::Folder, &path, looked_at)
                        .map(drop),
                )
            }
            Act::Quota(repository, bytes) => {
                done(vault.set_quota(people::Who::Folder, &path(repository), bytes))
            }
            Act::Raise(repository) => {
                let keeping = self.model.keeping(repository);
                let longer = Longer {
                    retention_ms: Some(keeping.retention_ms),
                    grace_ms: Some(keeping.grace_ms),
                };
                done(
                    vault
                        .keep_longer(people::Who::Folder, &path(repository), longer)
                        .map(drop),
                )
            }
            Act::DropLocks => vault.drop_old_locks().map(Reply::Count),
            _ => unreachable!("{act:?} is no request"),
        };
        answered.map_err(word)
    }

    /// Purges; where the vault dies meanwhile, some of what is due is gone and nothing else.
    fn purge(&mut self) -> bool {
        let places = 0..REPOSITORIES.len();
        let replacing: Vec<_> = places.map(|place| self.model.replacing(place)).collect();
        let mut replaced = self.model.clone();
        for (place, newer) in replacing.iter().enumerate() {
            replaced.replace(place, newer);
        }
        let places = 0..REPOSITORIES.len();
        let due: Vec<_> = places.map(|place| replaced.due(place)).collect();
        let outcome = self.world.vault().purge().map_err(word);
        let (has_died, commits) = self.world.settle();
        let leaves = self.world.committed_leaves();
        assert_eq!(outcome.is_err(), has_died, "{outcome:?}");
        for (repository, purged) in outcome.iter().flatten() {
            let mut paths = REPOSITORIES.iter();
            let place = paths.position(|path| *path == repository.path.as_str());
            let held_back = due[place.unwrap()].held_back.len() as u64;
            if purged.held.is_none() && !self.model.is_clock_doubted() {
                assert_eq!(purged.held_back, held_back, "{}", repository.path);
            }
            self.held_back += purged.held_back;
        }
        // The first commit takes the lease.
        if !has_died || commits > 1 {
            self.model.note_hour();
        }
        if has_died {
            // The same commands again, without the leaf that tells of the start.
            self.world.open();
        }
        for (repository, due) in due.into_iter().enumerate() {
            // Before anything is begun there, and all at once.
            if leaves > self.model.leaves.len() as u64 {
                self.model.replace(repository, &replacing[repository]);
            }
            let state = |name| self.state(repository, name);
            let begun = due.begun;
            let (begins, waits): (BTreeSet<_>, BTreeSet<_>) = due
                .names
                .into_iter()
                .partition(|name| state(*name) != Some(State::Tombstoned));
            assert!(
                begins.is_empty() || waits.is_empty(),
                "one transaction is done in part"
            );
            assert!(has_died || waits.is_empty(), "{waits:?} were due");
            for name in due.held_back {
                assert_eq!(
                    state(name),
                    Some(State::Tombstoned),
                    "a receipt names {name}"
                );
            }
            let gone: Vec<_> = begins.iter().chain(&begun).copied().collect();
            let gone: Vec<_> = gone
                .into_iter()
                .filter(|name| state(*name).is_none())
                .collect();
            assert!(has_died || gone.len() == begins.len() + begun.len());
            self.model.begin_purge(repository, &begins);
            for name in gone {
                self.model.end_purge(repository, name);
            }
        }
        if has_died {
            self.model.restart();
            self.model.remember();
            self.check.now(&self.world, &self.model, true);
        }
        false
    }

    fn state(&self, repository: usize, name: FileName) -> Option<State> {
        let vault = self.world.vault();
        let there = vault.repositories().unwrap();
        let there = there.iter().find(|is| is.path == path(repository))?;
        let key = Key::new(there.id, name);
        let object = vault
            .database()
            .look(|transaction| objects::get(transaction, &key));
        object.unwrap().map(|object| object.state)
    }

    fn reopen(&mut self) {
        self.world.open();
        self.model.restart();
    }

    fn pass(&mut self, ms: i64) {
        let mut left_ms = ms;
        while left_ms > 0 {
            let step_ms = left_ms.min(50 * SECOND_MS);
            self.move_clocks(|reading| {
                reading.boottime_ms += step_ms;
                reading.wall_ms += step_ms;
            });
            self.tick();
            left_ms -= step_ms;
        }
    }

    fn tick(&mut self) {
        let before_ms = self.model.now().1;
        self.model.tick();
        self.world.vault().tick().unwrap();
        let (recorded_ms, vault_ms) = self.model.now();
        let now = self.world.vault().now();
        assert_eq!((now.recorded_ms, now.vault_ms), (recorded_ms, vault_ms));
        assert!((0..=SECOND_MS * 60).contains(&(vault_ms - before_ms)));
    }

    /// Moves the clocks; where the recorded time goes on by it, the time before is a mark.
    fn move_clocks(&mut self, how: impl FnOnce(&mut Reading)) {
        let (before_ms, _) = self.model.now();
        how(&mut self.model.reading);
        *self.world.clocks.lock() = self.model.reading.clone();
        let leaves = self.model.leaves.len() as u64;
        let is_new = self
            .model
            .marks
            .last()
            .is_none_or(|last| last.0 < before_ms)
            && before_ms >= self.model.recorded_ms;
        if self.model.now().0 > before_ms && is_new {
            self.model.marks.push((before_ms, leaves));
        }
    }

    pub(super) fn remember_what_stands(&mut self) {
        let live = |repository: &Repository| {
            let objects = repository.objects.iter();
            let live = objects.filter(|(_, object)| object.state == State::Live);
            live.map(|(name, _)| *name).collect()
        };
        let leaves = self.model.leaves.len() as u64;
        let names = self.model.repositories.iter().map(live).collect();
        self.stood = Some((leaves, names));
    }

    /// All that stood stands, now and as of then, with its bytes. Those are compared with the
    /// model's in every step.
    pub(super) fn nothing_is_taken_away(&self) {
        let (leaves, stood) = self.stood.as_ref().unwrap();
        let reader = &self.check.reader;
        for (repository, names) in stood.iter().enumerate() {
            for name in names {
                for view in [View::Now, View::AsOf(*leaves)] {
                    let found = self.world.get(reader, repository, view, *name, None);
                    let object = &self.model.repositories[repository].objects[name];
                    let expected = object.stored().map(Reply::Content).ok_or("not found");
                    assert_eq!(found, expected, "{name} in {view:?}");
                }
            }
        }
    }

    /// The whole past is what it was, in the vault and in the files of its log.
    pub(super) fn end(&mut self) {
        self.check.earlier(&self.world, &self.model, None);
        self.world.publisher().publish().unwrap();
        let folder = self.world.folder.path().join("log");
        let key = self.world.publisher().key().parse().unwrap();
        let report = audit(&folder, Some(&key), None);
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.leaves, self.model.leaves.len() as u64);
    }
}

/// A moment that was.
fn mark(model: &Model, since: Since) -> Option<(i64, u64)> {
    match (since, model.marks.len()) {
        (None, _) | (_, 0) => None,
        (Some(since), count) => Some(model.marks[since.index(count)]),
    }
}

fn kind_of(number: u8) -> FileType {
    [
        FileType::Data,
        FileType::Index,
        FileType::Keys,
        FileType::Locks,
        FileType::Snapshots,
    ][usize::from(number) % 5]
}
