//! What must come of bytes that rot: they are read as they lie, until the vault has read them they
//! count as sound, then they are told of, and sound bytes that are put again heal them.

use serde_json::json;
use strongroom_model::FileName;
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::scrub::Why;
use strongroom_vault::vault::Scrubbed;

use crate::vault::model::acts::{REPOSITORIES, Rot};
use crate::vault::model::expected::{Model, Object, Repository};
use crate::vault::model::world::READ_WITHIN_MS;

/// How far a repository is read.
#[derive(Clone, Debug)]
pub(in crate::vault::model) struct Round {
    began_ms: i64,
    /// What was read last.
    place: Option<FileName>,
    objects: u64,
    bytes: u64,
}

/// What reading a repository commits next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    /// It is read to the end, or nothing of it is due.
    Nothing,
    /// One thing, and perhaps another after it.
    More,
    /// That it is read to the end.
    Last,
}

impl Rot {
    /// What lies there in place of sound bytes.
    pub(in crate::vault::model) fn of(self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Changed => {
                let mut changed = content.to_vec();
                changed[0] ^= 1;
                Some(changed)
            }
            Self::Short => Some(content[..content.len() / 2].to_vec()),
            Self::Missing => None,
        }
    }

    const fn why(self) -> Why {
        match self {
            Self::Changed | Self::Short => Why::Changed,
            Self::Missing => Why::Missing,
        }
    }
}

impl Object {
    /// What lies in storage.
    pub(in crate::vault::model) fn stored(&self) -> Option<Vec<u8>> {
        match self.rot {
            None => Some(self.content.clone()),
            Some(rot) => rot.of(&self.content),
        }
    }
}

impl Repository {
    /// What whoever reads a live object gets; `None` where he is told that there is none.
    pub(super) fn read(&self, name: &FileName) -> Option<Vec<u8>> {
        let object = self.objects.get(name);
        object
            .filter(|object| object.state == State::Live)?
            .stored()
    }

    pub(in crate::vault::model) fn is_being_purged(&self, name: FileName) -> bool {
        let object = self.objects.get(&name);
        object.is_some_and(|object| object.state == State::Purging)
    }

    /// What the vault has told to be rotten, and why.
    pub(in crate::vault::model) fn marks(&self) -> Vec<(FileName, Why)> {
        let marks = self.objects.iter();
        marks
            .filter_map(|(name, object)| object.mark.map(|why| (*name, why)))
            .collect()
    }
}

impl Model {
    /// Sound bytes were put again.
    pub(super) fn heal(&mut self, repository: usize, name: FileName, token: usize) {
        let found = &mut self.repositories[repository];
        let object = found.objects.get_mut(&name).unwrap();
        let (rot, mark) = (object.rot.take(), object.mark.take());
        if rot.is_some() || mark.is_some() {
            self.tell_of("healed", repository, name, Some(token));
        }
    }

    /// All that is due is read, or as much of it as so many commits tell.
    pub(in crate::vault::model) fn scrub(&mut self, commits: Option<u64>) -> Scrubbed {
        let mut left = commits.unwrap_or(u64::MAX);
        let mut total = Scrubbed::default();
        for repository in 0..self.repositories.len() {
            while left > 0 {
                let commit = self.scrub_on(repository, &mut total);
                if commit != Commit::Nothing {
                    left -= 1;
                }
                if commit != Commit::More {
                    break;
                }
            }
        }
        total
    }

    fn scrub_on(&mut self, repository: usize, total: &mut Scrubbed) -> Commit {
        let now_ms = self.now().1;
        let round_ms = READ_WITHIN_MS / 5 * 4;
        let found = &mut self.repositories[repository];
        if !found.is_there || found.objects.is_empty() {
            return Commit::Nothing;
        }
        let Some(round) = &mut found.round else {
            let last_ms = found.last_round_ms;
            if last_ms.is_some_and(|last_ms| now_ms - last_ms < round_ms) {
                return Commit::Nothing;
            }
            found.round = Some(Round {
                began_ms: now_ms,
                place: None,
                objects: 0,
                bytes: 0,
            });
            return Commit::More;
        };
        if now_ms - round.began_ms < round_ms {
            assert_eq!(now_ms, round.began_ms, "a part of a round is due");
            return Commit::Nothing;
        }
        let place = round.place;
        let is_next = |name: &FileName| place.is_none_or(|place| *name > place);
        let (mut rotten, mut sound) = (Vec::new(), Vec::new());
        for (name, object) in &mut found.objects {
            if object.state == State::Purging || !is_next(name) {
                continue;
            }
            round.place = Some(*name);
            round.objects += 1;
            round.bytes += object.bytes();
            total.read.objects += 1;
            total.read.bytes += object.bytes();
            match (object.rot, object.mark) {
                (Some(rot), None) => {
                    object.mark = Some(rot.why());
                    rotten.push((*name, rot.why()));
                }
                (None, Some(_)) => {
                    object.mark = None;
                    sound.push(*name);
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        if round.place == place {
            self.end_round(repository);
            total.rounds += 1;
            return Commit::Last;
        }
        total.rotten += rotten.len() as u64;
        for (name, why) in rotten {
            let leaf = json!({
                "act": "rotten", "repository": REPOSITORIES[repository],
                "file": name.to_string(), "why": why.word(),
            });
            self.tell(leaf);
        }
        for name in sound {
            self.tell_of("healed", repository, name, None);
        }
        Commit::More
    }

    fn end_round(&mut self, repository: usize) {
        let found = &mut self.repositories[repository];
        let round = found.round.take().unwrap();
        found.last_round_ms = Some(round.began_ms);
        let rotten = found.marks().len();
        let leaf = json!({
            "act": "scrubbed", "repository": REPOSITORIES[repository],
            "objects": round.objects, "bytes": round.bytes, "rotten": rotten,
        });
        self.tell(leaf);
    }
}
