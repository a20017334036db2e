//! What must come of deletions, of what takes them back, and of hiding.

use std::collections::BTreeSet;

use serde_json::json;
use strongroom_model::{FileName, FileType};
use strongroom_vault::rules::clock::MINUTE_MS;
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::purge::Keeping;
use strongroom_vault::rules::right;

use crate::vault::model::acts::{REPOSITORIES, Who};
use crate::vault::model::expected::claims::Replacing;
use crate::vault::model::expected::{Model, Object, Outcome, Reply, Repository};

/// What a purge finds in a repository.
#[derive(Clone, Debug, Default)]
pub(in crate::vault::model) struct Due {
    /// What may go.
    pub(in crate::vault::model) names: BTreeSet<FileName>,
    /// What was begun before.
    pub(in crate::vault::model) begun: BTreeSet<FileName>,
    /// What stays though its time has come, because a receipt names it.
    pub(in crate::vault::model) held_back: BTreeSet<FileName>,
}

impl Object {
    /// Its deletion is taken back, or it is shown again.
    fn restore(&mut self, leaf: u64) {
        self.waits_since = leaf;
        self.state = match std::mem::take(&mut self.has_waited) {
            true => State::Pending,
            false => State::Live,
        };
    }
}

impl Repository {
    /// Whether more than a twentieth, of objects or of bytes, was asked to be deleted within 24
    /// hours, of what is there now or was before.
    fn is_mass_deletion(&self, hour: i64) -> bool {
        let of_day = self.hours.range(hour - 23..).map(|(_, is)| is.deleted);
        let deleted = of_day.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let live = self.live();
        let now = (live.0 + deleted.0, live.1 + deleted.1);
        let mut earlier = self.hours.range(..hour - 23).rev();
        let before = earlier.find_map(|(_, is)| is.live).unwrap_or(now);
        deleted.0 * 20 > now.0.min(before.0) || deleted.1 * 20 > now.1.min(before.1)
    }
}

/// What nothing opens without.
const VITAL: [FileType; 3] = [FileType::Keys, FileType::Index, FileType::Snapshots];

impl Repository {
    /// Whether the deletions of 24 hours left nothing of a vital type; of keys less than half of
    /// it; of snapshots less than half of those that were there before, or of what the day before
    /// left of those that were there before that.
    fn is_robbed_of(&self, kind: FileType, hour: i64) -> bool {
        if !VITAL.contains(&kind) {
            return false;
        }
        let of_day = self.hours.range(hour - 23..);
        let deleted: u64 = of_day.filter_map(|(_, is)| is.deleted_of.get(&kind)).sum();
        let live = self.live_of(kind);
        let there = live + deleted;
        let noted = self.noted(kind, hour).map(|(_, noted)| noted);
        let before = noted.unwrap_or(there).min(there);
        let is_half_gone = match (kind, noted) {
            (FileType::Index, _) => false,
            (FileType::Snapshots, Some(_)) => {
                let gone = self.arrivals(hour);
                let gone = gone.filter(|(arrived, _)| *arrived <= hour - 24).count();
                let left = before.saturating_sub(gone as u64);
                before > 1
                    && left * 2 < self.left_the_day_before(hour).unwrap_or(before).min(before)
            }
            _ => live * 2 < before,
        };
        live == 0 || is_half_gone
    }

    /// How many of a type were live before the day that ends with an hour, where any were; and in
    /// which hour that was noted.
    fn noted(&self, kind: FileType, hour: i64) -> Option<(i64, u64)> {
        let mut earlier = self.hours.range(..hour - 23).rev();
        let (hour, noted) = earlier.find(|(_, is)| is.live.is_some())?;
        let noted = noted.live_of.get(&kind).copied();
        noted.filter(|noted| *noted > 0).map(|noted| (*hour, noted))
    }

    /// When the snapshots had arrived that were deleted in the day that ends with an hour.
    fn arrivals(&self, hour: i64) -> impl Iterator<Item = &(i64, bool)> {
        let of_day = self.hours.range(hour - 23..=hour);
        of_day.flat_map(|(_, is)| &is.arrivals)
    }

    /// How many snapshots the day before has left of those that were noted before it.
    fn left_the_day_before(&self, hour: i64) -> Option<u64> {
        let (noted, before) = self.noted(FileType::Snapshots, hour - 24)?;
        let gone = self.arrivals(hour - 24);
        let gone = gone.filter(|(arrived, is_usual)| *is_usual && *arrived < noted);
        Some(before.saturating_sub(gone.count() as u64))
    }

    /// Deletions were taken back: what was deleted is no measure any more.
    fn forget_what_is_usual(&mut self) {
        for of_hour in self.hours.values_mut() {
            for (_, is_usual) in &mut of_hour.arrivals {
                *is_usual = false;
            }
        }
    }
}

impl Model {
    pub(in crate::vault::model) fn drop_locks(&mut self) -> Outcome {
        let since_ms = self.locks_since_ms();
        let mut count = 0;
        for repository in &mut self.repositories {
            let before = repository.locks.len();
            repository
                .locks
                .retain(|_, lock| lock.renewed_ms > since_ms);
            count += before - repository.locks.len();
        }
        Ok(Reply::Count(count as u64))
    }

    pub(in crate::vault::model) fn remove(
        &mut self,
        who: Who,
        repository: usize,
        name: FileName,
    ) -> Outcome {
        let token = self.authorise(who, repository, right::Act::Remove(name.kind()))?;
        let is_maintainer = who.right() == right::Right::Maintain;
        let found = self.there(repository)?;
        if let (FileType::Locks, Some(id)) = (name.kind(), name.id()) {
            let is_others = found.locks.get(&id).is_some_and(|lock| lock.token != token);
            if is_others && !is_maintainer {
                return Err("forbidden");
            }
            found.locks.remove(&id);
            return Ok(Reply::Done);
        }
        if name.kind() == FileType::Config {
            return Err("forbidden");
        }
        let (day, vault_ms) = (self.day(), self.vault_ms());
        let found = self.repositories[repository].objects.get(&name);
        let before = match found.map(|object| object.state) {
            Some(state @ (State::Live | State::Pending | State::Hidden)) => state,
            _ => return Ok(Reply::Done),
        };
        self.spend(token, 0)?;
        let leaf = self.tell_of("tombstone", repository, name, Some(token));
        let hour = self.hour();
        let found = &mut self.repositories[repository];
        let object = found.objects.get_mut(&name).unwrap();
        object.state = State::Tombstoned;
        object.tombstoned_ms = vault_ms;
        object.tombstone = leaf;
        object.ended_by = token;
        match before {
            // What was never seen ends where it began.
            State::Pending => (object.has_waited, object.ended) = (true, object.waits_since),
            // What was hidden ended when it was, and stays out of sight.
            State::Hidden => object.is_out_of_sight = true,
            _ => (object.has_waited, object.ended) = (false, leaf),
        }
        let bytes = object.bytes();
        let arrived = object.arrived_ms.div_euclid(3_600_000);
        found.tombstones = match found.tombstones {
            (of, count) if of == day => (day, count + 1),
            _ => (day, 1),
        };
        let of_hour = found.hours.entry(hour).or_default();
        of_hour.deleted = (of_hour.deleted.0 + 1, of_hour.deleted.1 + bytes);
        // A key that waits is none of those without which nothing opens.
        let is_counted = before != State::Pending;
        if is_counted {
            *of_hour.deleted_of.entry(name.kind()).or_default() += 1;
            if name.kind() == FileType::Snapshots {
                of_hour.arrivals.push((arrived, true));
            }
        }
        let is_robbed = is_counted && found.is_robbed_of(name.kind(), hour);
        let is_much = found.is_mass_deletion(hour) || is_robbed;
        if is_much && !found.is_held {
            found.is_held = true;
            let path = REPOSITORIES[repository];
            self.tell(json!({"act": "purge-held", "repository": path}));
        }
        Ok(Reply::Done)
    }

    /// The vault notes what is live, once an hour.
    pub(in crate::vault::model) fn note_hour(&mut self) {
        let hour = self.hour();
        for found in self.repositories.iter_mut().filter(|found| found.is_there) {
            let live = found.live();
            let live_of = VITAL.map(|kind| (kind, found.live_of(kind)));
            let of_hour = found.hours.entry(hour).or_default();
            if of_hour.live.is_none() {
                of_hour.live = Some(live);
                of_hour.live_of = live_of.into();
            }
        }
    }

    pub(in crate::vault::model) fn undelete(
        &mut self,
        repository: usize,
        by: Option<Who>,
        since: u64,
        until: Option<u64>,
    ) -> Outcome {
        self.there(repository)?;
        let by = by.map(|who| self.token(who)).transpose()?;
        let leaf = self.leaves.len() as u64;
        let found = self.there(repository)?;
        let (mut count, mut is_taken_back) = (0, false);
        for (name, object) in &mut found.objects {
            let is_chosen = object.state == State::Tombstoned
                && object.tombstone >= since
                && until.is_none_or(|until| object.tombstone < until)
                && by.is_none_or(|by| object.ended_by == by)
                && !object.is_out_of_sight;
            if is_chosen {
                object.restore(leaf);
                is_taken_back = true;
            }
            // A key that waits is let in where the chosen token had it deleted when it was seen.
            let is_let_in = object.state == State::Pending
                && name.kind() == FileType::Keys
                && object.life_ended.is_some_and(|(ended_by, ended)| {
                    by == Some(ended_by)
                        && ended >= since
                        && until.is_none_or(|until| ended < until)
                });
            if is_let_in {
                object.state = State::Live;
                object.life_ended = None;
            }
            count += u64::from(is_chosen || is_let_in);
        }
        if is_taken_back {
            found.forget_what_is_usual();
        }
        if count > 0 {
            let path = REPOSITORIES[repository];
            self.tell(json!({"act": "undelete", "repository": path, "objects": count}));
        }
        Ok(Reply::Count(count))
    }

    pub(in crate::vault::model) fn undelete_one(
        &mut self,
        repository: usize,
        name: FileName,
    ) -> Outcome {
        let leaf = self.leaves.len() as u64;
        let found = self.there(repository)?;
        let object = found.objects.get_mut(&name);
        let Some(object) = object.filter(|is| is.state == State::Tombstoned) else {
            return Ok(Reply::Is(false));
        };
        if object.is_out_of_sight {
            return Err("hidden");
        }
        object.restore(leaf);
        found.forget_what_is_usual();
        let path = REPOSITORIES[repository];
        self.tell(json!({"act": "undelete", "repository": path, "objects": 1}));
        Ok(Reply::Is(true))
    }

    pub(in crate::vault::model) fn hide(&mut self, who: Who, since: u64) -> Outcome {
        let token = self.token(who)?;
        let name = self.tokens[token].name.clone();
        let leaf = self.leaves.len() as u64;
        let mut count = 0;
        for repository in &mut self.repositories {
            repository.silence(&name, since);
            repository.locks.retain(|_, lock| lock.token != token);
            for object in repository.objects.values_mut() {
                object.claims.retain(|of, put| *of != token || *put < since);
                let is_there = matches!(
                    object.state,
                    State::Live | State::Pending | State::Tombstoned
                );
                if !is_there || object.token != token || object.put < since {
                    continue;
                }
                // Whoever has put it as well stands for it from now on.
                let other = object.claims.iter().min_by_key(|(of, put)| (**put, **of));
                match other.map(|(of, put)| (*of, *put)) {
                    Some((of, put)) => {
                        object.claims.remove(&of);
                        (object.token, object.put) = (of, put);
                    }
                    None if object.state == State::Tombstoned => object.is_out_of_sight = true,
                    None => {
                        object.has_waited = object.state == State::Pending;
                        object.ended = match object.has_waited {
                            true => object.waits_since,
                            false => leaf,
                        };
                        object.state = State::Hidden;
                        count += 1;
                    }
                }
            }
        }
        self.tell(json!({"act": "hide", "of_token": name, "objects": count}));
        Ok(Reply::Count(count))
    }

    pub(in crate::vault::model) fn unhide(&mut self, who: Who) -> Outcome {
        let token = self.token(who)?;
        let name = self.tokens[token].name.clone();
        let leaf = self.leaves.len() as u64;
        let mut count = 0;
        for repository in &mut self.repositories {
            repository.let_speak(&name);
            for object in repository.objects.values_mut() {
                if object.state == State::Tombstoned && object.token == token {
                    object.is_out_of_sight = false;
                }
                if object.state == State::Hidden && object.token == token {
                    object.restore(leaf);
                    count += 1;
                }
            }
        }
        self.tell(json!({"act": "unhide", "of_token": name, "objects": count}));
        Ok(Reply::Count(count))
    }

    pub(in crate::vault::model) fn admit(&mut self, repository: usize, name: FileName) -> Outcome {
        let found = self.there(repository)?;
        let object = found.objects.get_mut(&name);
        let Some(object) = object.filter(|is| is.state == State::Pending) else {
            return Ok(Reply::Is(false));
        };
        object.state = State::Live;
        object.life_ended = None;
        self.tell_of("admitted", repository, name, None);
        Ok(Reply::Is(true))
    }

    pub(in crate::vault::model) fn agree(&mut self, repository: usize) -> Outcome {
        let found = self.there(repository)?;
        if found.is_held {
            found.is_held = false;
            let path = REPOSITORIES[repository];
            self.tell(json!({"act": "purge-agreed", "repository": path}));
        }
        Ok(Reply::Done)
    }

    pub(in crate::vault::model) fn quota(
        &mut self,
        repository: usize,
        bytes: Option<u64>,
    ) -> Outcome {
        self.there(repository)?.quota = bytes;
        let path = REPOSITORIES[repository];
        self.tell(json!({"act": "quota", "repository": path, "bytes": bytes}));
        Ok(Reply::Done)
    }

    pub(in crate::vault::model) fn raise(&mut self, repository: usize) -> Outcome {
        let found = self.there(repository)?;
        found.keeping.grace_ms += MINUTE_MS;
        let path = REPOSITORIES[repository];
        self.tell(json!({"act": "retention", "repository": path}));
        Ok(Reply::Done)
    }

    pub(in crate::vault::model) fn keeping(&self, repository: usize) -> Keeping {
        self.repositories[repository].keeping
    }

    /// The receipts that take the places of older ones in a purge.
    pub(in crate::vault::model) fn replacing(&self, repository: usize) -> Vec<Replacing> {
        let found = &self.repositories[repository];
        let (clock, _) = self.clock.step(self.reading.clone());
        if clock.is_doubted || found.is_held {
            return Vec::new();
        }
        let keeping = found.keeping;
        let wait_ms = keeping.retention_ms.max(keeping.grace_ms);
        found.replacing(clock.vault_ms - wait_ms)
    }

    /// What may be purged of a repository now, and what was begun before.
    pub(in crate::vault::model) fn due(&self, repository: usize) -> Due {
        let found = &self.repositories[repository];
        let of = |wanted: &dyn Fn(&Object) -> bool| -> BTreeSet<FileName> {
            let chosen = found.objects.iter().filter(|(_, object)| wanted(object));
            chosen.map(|(name, _)| *name).collect()
        };
        let mut due = Due {
            begun: of(&|object| object.state == State::Purging),
            ..Due::default()
        };
        let (clock, _) = self.clock.step(self.reading.clone());
        if clock.is_doubted || found.is_held {
            return due;
        }
        let in_time = of(&|object| {
            object.state == State::Tombstoned
                && object.arrived_ms + found.keeping.retention_ms <= clock.vault_ms
                && object.tombstoned_ms + found.keeping.grace_ms <= clock.vault_ms
        });
        let named = found.named();
        (due.held_back, due.names) = in_time.into_iter().partition(|name| named.contains(name));
        due
    }

    /// The purge of objects has begun: no view shows them any more.
    pub(in crate::vault::model) fn begin_purge(
        &mut self,
        repository: usize,
        names: &BTreeSet<FileName>,
    ) {
        for name in names {
            self.tell_of("purge", repository, *name, None);
            let object = self.repositories[repository].objects.get_mut(name);
            object.unwrap().state = State::Purging;
            for moment in &mut self.moments {
                moment.seen[repository].remove(name);
            }
        }
    }

    /// An object is gone.
    pub(in crate::vault::model) fn end_purge(&mut self, repository: usize, name: FileName) {
        let found = &mut self.repositories[repository];
        let object = found.objects.remove(&name).unwrap();
        found.purged.insert(name, object.generation);
        found.let_receipts_go(name);
    }
}
