//! Bytes that rot behind the vault's back, and the vault that reads all it has.

use std::fs;

use strongroom_model::FileType;
use strongroom_vault::rules::clock::SECOND_MS;
use strongroom_vault::rules::life::State;

use crate::vault::model::acts::{Act, Rot, Sent, file};
use crate::vault::model::check::place_of;
use crate::vault::model::play::Play;

impl Play {
    /// Spoils the stored bytes of a file, where there are any; those of `config` the vault heals by
    /// itself, which is tested beside.
    pub(super) fn rot(&mut self, repository: usize, number: u8, rot: Rot) {
        let (name, _) = file(number);
        let Some(object) = self.model.repositories[repository].objects.get_mut(&name) else {
            return;
        };
        if object.state == State::Purging || name.kind() == FileType::Config {
            return;
        }
        object.rot = Some(rot);
        let place = place_of(&self.world, repository, name, object);
        // A disk asks for no permission.
        if place.exists() {
            fs::remove_file(&place).unwrap();
        }
        if let Some(bytes) = object.stored() {
            fs::write(&place, bytes).unwrap();
        }
    }

    /// Begins to read all that is stored, and lets the time pass in which that is done.
    pub(super) fn begin_scrub(&mut self) {
        self.scrub_once();
        self.pass(SECOND_MS);
    }

    fn scrub_once(&mut self) {
        let expected = self.model.scrub(None);
        assert_eq!(self.world.scrub().unwrap(), expected);
    }

    /// Reads all that is stored; tells whether the vault has died of it. What was committed until
    /// then holds, and the next time goes on behind it.
    pub(super) fn scrub(&mut self) -> bool {
        let mut whole = self.model.clone();
        let expected = whole.scrub(None);
        let found = self.world.scrub();
        let (has_died, commits) = self.world.settle();
        if !has_died {
            assert_eq!(found.unwrap(), expected);
            self.model = whole;
        } else {
            assert!(found.is_err(), "{found:?}");
            // The first commit takes the lease.
            self.model.scrub(Some(commits.saturating_sub(1)));
        }
        has_died
    }

    /// Whoever dies while he puts sound bytes in place of rotten ones leaves the ones or the others,
    /// and nothing else.
    pub(super) fn look_at_what_lies(&mut self, act: &Act) {
        let Act::Put(_, repository, number, Sent::Whole) = *act else {
            return;
        };
        let (name, content) = file(number);
        let found = self.model.repositories[repository].objects.get_mut(&name);
        if let Some(object) = found.filter(|object| object.rot.is_some()) {
            let place = place_of(&self.world, repository, name, object);
            if fs::read(place).is_ok_and(|lies| lies == content) {
                object.rot = None;
            }
        }
    }

    /// Whether it puts what a process that died was about to remove.
    pub(super) fn ends_a_purge(&self, act: &Act) -> bool {
        let Act::Put(_, repository, number, _) = *act else {
            return false;
        };
        self.model.repositories[repository].is_being_purged(file(number).0)
    }

    /// How many objects of all repositories are known to be rotten.
    pub(in crate::vault::model) fn rotten(&self) -> usize {
        let repositories = self.model.repositories.iter();
        repositories
            .map(|repository| repository.marks().len())
            .sum()
    }

    /// Whether a file is stored, seen or not.
    pub(in crate::vault::model) fn has(&self, repository: usize, number: u8) -> bool {
        let objects = &self.model.repositories[repository].objects;
        objects.contains_key(&file(number).0)
    }

    /// How many leaves tell of an act.
    pub(in crate::vault::model) fn told(&self, act: &str) -> usize {
        let leaves = self.model.leaves.iter();
        leaves.filter(|leaf| leaf["act"] == act).count()
    }
}
