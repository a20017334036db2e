//! What must come of a POST.

use std::collections::BTreeMap;

use strongroom_model::{FileName, FileType};
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::quota::counted_bytes;
use strongroom_vault::rules::right;

use crate::vault::model::acts::{Sent, Who, file};
use crate::vault::model::expected::{Lock, Model, Object, Outcome, Reply};

impl Model {
    pub(in crate::vault::model) fn put(
        &mut self,
        who: Who,
        repository: usize,
        number: u8,
        sent: Sent,
    ) -> Outcome {
        let (name, content) = file(number);
        let token = self.authorise(who, repository, right::Act::Put(name.kind()))?;
        self.there(repository)?;
        let is_stored_at_once = matches!(
            name.kind(),
            FileType::Data | FileType::Index | FileType::Snapshots
        );
        if is_stored_at_once {
            self.await_purge(repository, name);
            self.clone()
                .object(token, repository, name, content.clone())?;
        }
        match sent {
            Sent::Half => return Err("gone"),
            Sent::Wrong => return Err("bad bytes"),
            Sent::Whole => {}
        }
        match name.kind() {
            FileType::Config => self.config(token, repository, content),
            FileType::Locks => self.lock(token, repository, name, content),
            FileType::Keys if content == b"junk" => Err("bad bytes"),
            _ => {
                self.await_purge(repository, name);
                self.object(token, repository, name, content)
            }
        }
    }

    /// Whoever puts what a process that died was about to remove ends that first.
    fn await_purge(&mut self, repository: usize, name: FileName) {
        if self.repositories[repository].is_being_purged(name) {
            self.end_purge(repository, name);
        }
    }

    fn config(&mut self, token: usize, repository: usize, content: Vec<u8>) -> Outcome {
        match &self.repositories[repository].config {
            Some(there) if *there != content => Err("config is there"),
            Some(_) => self.object(token, repository, FileName::CONFIG, content),
            None => {
                self.arrive(token, repository, FileName::CONFIG, content.clone())?;
                self.repositories[repository].config = Some(content);
                Ok(Reply::Done)
            }
        }
    }

    fn lock(
        &mut self,
        token: usize,
        repository: usize,
        name: FileName,
        content: Vec<u8>,
    ) -> Outcome {
        if content.len() < 33 {
            return Err("bad bytes");
        }
        let (renewed_ms, since_ms) = (self.vault_ms(), self.locks_since_ms());
        let locks = &mut self.repositories[repository].locks;
        let id = name.id().unwrap();
        let there = locks.get(&id).filter(|lock| lock.renewed_ms > since_ms);
        // Nobody keeps the lock of somebody else alive.
        if there.is_none_or(|lock| lock.token == token) {
            let lock = Lock {
                token,
                content,
                renewed_ms,
            };
            locks.insert(id, lock);
        }
        Ok(Reply::Done)
    }

    fn object(
        &mut self,
        token: usize,
        repository: usize,
        name: FileName,
        content: Vec<u8>,
    ) -> Outcome {
        let found = self.repositories[repository].objects.get(&name);
        match found.map(|object| (object.state, object.token)) {
            None => self.arrive(token, repository, name, content),
            Some((State::Purging, _)) => unreachable!("its purge was awaited"),
            Some((State::Live | State::Pending, of)) => {
                let leaves = self.leaves.len() as u64;
                let found = &mut self.repositories[repository];
                if of != token {
                    let claims = &mut found.objects.get_mut(&name).unwrap().claims;
                    claims.entry(token).or_insert(leaves);
                }
                self.heal(repository, name, token);
                Ok(Reply::Done)
            }
            Some((State::Hidden, of)) if of == token || name.kind() == FileType::Keys => {
                Err("hidden")
            }
            Some((State::Hidden | State::Tombstoned, _)) => {
                self.spend(token, content.len() as u64)?;
                let arrived_ms = self.vault_ms();
                let waits =
                    name.kind() == FileType::Keys && self.repositories[repository].config.is_some();
                let (act, state) = match waits {
                    true => ("pending", State::Pending),
                    false => ("arrival", State::Live),
                };
                let put = self.tell_of(act, repository, name, Some(token));
                let found = &mut self.repositories[repository];
                let object = found.objects.get_mut(&name).unwrap();
                object.life_ended = match (state, object.state) {
                    (State::Live, _) => None,
                    _ if object.is_out_of_sight => None,
                    (_, State::Tombstoned) if !object.has_waited => {
                        Some((object.ended_by, object.ended))
                    }
                    _ => object.life_ended,
                };
                match object.state {
                    // Whoever stood for it does so still, unless he was hidden.
                    State::Tombstoned => {
                        if !object.is_out_of_sight {
                            object.claims.insert(object.token, object.put);
                        }
                        object.claims.remove(&token);
                    }
                    _ => object.claims.clear(),
                }
                object.state = state;
                (object.token, object.put, object.arrived_ms) = (token, put, arrived_ms);
                object.waits_since = put;
                (object.has_waited, object.is_out_of_sight) = (false, false);
                self.heal(repository, name, token);
                Ok(Reply::Done)
            }
        }
    }

    fn arrive(
        &mut self,
        token: usize,
        repository: usize,
        name: FileName,
        content: Vec<u8>,
    ) -> Outcome {
        let found = &self.repositories[repository];
        let objects = found.objects.len() as u64 + 1;
        let after = counted_bytes(objects, found.bytes() + content.len() as u64);
        if found.quota.is_some_and(|quota| after > quota) {
            return Err("full");
        }
        let waits = name.kind() == FileType::Keys && found.config.is_some();
        let generation = found.purged.get(&name).copied().unwrap_or_default() + 1;
        self.spend(token, content.len() as u64)?;
        let arrived_ms = self.vault_ms();
        let (act, state) = match waits {
            true => ("pending", State::Pending),
            false => ("arrival", State::Live),
        };
        let put = self.tell_of(act, repository, name, Some(token));
        let object = Object {
            state,
            content,
            generation,
            token,
            put,
            claims: BTreeMap::new(),
            arrived_ms,
            tombstoned_ms: 0,
            ended: 0,
            tombstone: 0,
            ended_by: 0,
            waits_since: put,
            life_ended: None,
            has_waited: false,
            is_out_of_sight: false,
            rot: None,
            mark: None,
        };
        self.repositories[repository].objects.insert(name, object);
        Ok(Reply::Done)
    }

    pub(in crate::vault::model) fn spend(
        &mut self,
        token: usize,
        bytes: u64,
    ) -> Result<(), &'static str> {
        let day = self.day();
        let is = &mut self.tokens[token];
        let (_, spent_bytes, objects) = match is.spent {
            spent if spent.0 == day => spent,
            _ => (day, 0, 0),
        };
        let after = (day, spent_bytes + bytes, objects + 1);
        let (most_bytes, most_objects) = is.who.daily();
        if most_bytes.is_some_and(|most| after.1 > most)
            || most_objects.is_some_and(|most| after.2 > most)
        {
            return Err("full");
        }
        is.spent = after;
        Ok(())
    }
}
