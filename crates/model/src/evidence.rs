//! What the state folder remembers of each copy: when it was read, what was found, what it held.
//!
//! The scorecard believes evidence and not configuration, so that evidence must neither claim too
//! much nor get lost: a partial verify vouches for its share alone, damage stays until the file was
//! healed or every byte was read again, and fields that a newer version wrote are kept as they are.
//! What was shown of one disk or bucket says nothing of another that takes its place, under whatever
//! name.
//! A bad writer's bytes have their name, so that no reading and no other copy takes away what
//! decoding found in them.

mod by_vault;
mod damage;
mod drill;
mod lock;
mod place;
mod readings;

pub use by_vault::{SaidWhole, VaultWord};
pub use damage::Damage;
pub use drill::RestoreDrill;
pub use lock::ClaimedLock;
pub use place::Rebound;
pub use readings::{Share, Verifier, Verify};

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attack::AttackDrill;
use crate::error::{Error, Result};
use crate::evidence::readings::Rotation;
use crate::id::Id;
use crate::name::Name;

/// The version that this program writes; it rises only where an older program would misread.
const VERSION: u32 = 1;

/// What is known of one copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyEvidence {
    version: u32,
    /// The last verify, whatever share it covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verify: Option<Verify>,
    /// The time since which every byte that the copy held then was read and checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all_read: Option<Timestamp>,
    /// The rotating shares that were read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotation>,
    /// What tells the place that was read from another in its stead; `None` where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Id>,
    /// That the place is told otherwise since its `config` was healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rebound: Option<Rebound>,
    /// The files that were found damaged or lost and are not healed yet, by their name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    damage: BTreeMap<String, Damage>,
    /// What the copy held when it was last listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Listing>,
    /// Of each source the newest snapshot that was whole on this copy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_whole: BTreeMap<Name, SeenSnapshot>,
    /// By address the copies that were shown to be this very place, and when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    one_place: BTreeMap<String, Timestamp>,
    /// Of each source the last restore that was rehearsed from this copy alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    restores: BTreeMap<Name, RestoreDrill>,
    /// What the vault that holds it said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_vault: Option<VaultWord>,
    /// What its place showed of its locks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<ClaimedLock>,
    /// The last drill that tried to destroy it with production's own credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<AttackDrill>,
    /// What a newer version wrote.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// What a copy held when it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// When it was listed.
    pub at: Timestamp,
    /// How many files it held, locks aside.
    pub files: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// A snapshot that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenSnapshot {
    /// The id of its file.
    pub id: Id,
    /// The time that it claims.
    pub time: Timestamp,
}

impl Default for CopyEvidence {
    fn default() -> Self {
        Self {
            version: VERSION,
            last_verify: None,
            all_read: None,
            rotation: None,
            place: None,
            rebound: None,
            damage: BTreeMap::new(),
            listing: None,
            last_whole: BTreeMap::new(),
            one_place: BTreeMap::new(),
            restores: BTreeMap::new(),
            by_vault: None,
            lock: None,
            attack: None,
            unknown: Map::new(),
        }
    }
}

impl CopyEvidence {
    /// Reads what [`CopyEvidence::to_json`] wrote.
    ///
    /// # Errors
    /// Refuses what does not decode and what a newer, incompatible version wrote.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let malformed = |source| Error::Malformed {
            what: "evidence",
            source,
        };
        let evidence: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        match evidence.version {
            1..=VERSION => Ok(evidence),
            version => Err(Error::UnknownVersion {
                what: "evidence",
                version,
                known: VERSION,
            }),
        }
    }

    /// Writes the evidence as JSON.
    ///
    /// # Errors
    /// Fails only where serialisation itself does.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|source| Error::Malformed {
            what: "evidence",
            source,
        })
    }

    /// Remembers a verify that came to its end, and the damage that it found.
    ///
    /// Only a verify of everything clears the damage found before, and what decoding found only where
    /// it decoded as well; a partial one adds to it. What somebody else has found since it began stays:
    /// it may have read the file before.
    pub fn record_verify(
        &mut self,
        verify: Verify,
        damage: impl IntoIterator<Item = (String, String)>,
    ) {
        let found = verify.at;
        let before = self.damage.clone();
        if verify.share == Share::All {
            self.damage.retain(|_, damage| {
                let is_newer = damage.found > found;
                damage.wrong &= is_newer;
                is_newer || damage.decoded && !verify.decoded
            });
        }
        for (file, reason) in damage {
            let before = before.get(&file);
            let damage = Damage {
                found: before.map_or(found, |damage| damage.found),
                reason,
                decoded: before.is_some_and(|damage| damage.decoded),
                wrong: before.is_some_and(|damage| damage.decoded),
            };
            self.damage.insert(file, damage);
        }
        match verify.share {
            Share::All => {
                self.all_read = self.all_read.max(Some(found));
                self.rotation = None;
            }
            Share::Slice { number, of } => self.record_slice(number, of, found),
            Share::Percent(_) => {}
        }
        self.last_verify = Some(verify);
    }

    /// Forgets that anything was read or rehearsed, since what lies there now was written anew.
    /// Says whether anything was read. Damage stays known, and the word of a vault.
    pub fn forget_readings(&mut self) -> bool {
        let was_read = self.was_read();
        self.restores.clear();
        self.last_verify = None;
        self.all_read = None;
        self.rotation = None;
        was_read
    }

    /// Forgets the same, and what was shown of locks and by attacks. Says whether there was any of it.
    pub fn forget_shown(&mut self) -> bool {
        let lock = self.lock.take();
        let attack = self.attack.take();
        self.forget_readings() || lock.is_some() || attack.is_some()
    }

    /// Whether a verify of ours has read anything.
    pub const fn was_read(&self) -> bool {
        self.last_verify.is_some() || self.all_read.is_some() || self.rotation.is_some()
    }

    /// The time such that every byte the copy held then was read at that time or later, and by
    /// whom.
    pub fn every_byte_read(&self) -> Option<(Timestamp, Verifier)> {
        let rotation = self.rotation.as_ref().and_then(Rotation::complete_since);
        let own = self.all_read.max(rotation);
        let by_vault = self.by_vault.as_ref();
        let by_vault = by_vault.and_then(VaultWord::every_byte_read_since);
        match (own, by_vault) {
            (own, Some(read)) if own < Some(read) => Some((read, Verifier::Vault)),
            (own, _) => own.map(|read| (read, Verifier::Us)),
        }
    }

    /// As [`CopyEvidence::every_byte_read`], whoever it was.
    pub fn every_byte_read_since(&self) -> Option<Timestamp> {
        self.every_byte_read().map(|(read, _)| read)
    }

    /// When the copy was last verified, be it in part, and by whom.
    pub fn last_read(&self) -> Option<(Timestamp, Verifier)> {
        let own = self.last_verify.as_ref().map(|last| (last.at, last.by));
        let by_vault = self.by_vault.as_ref();
        let by_vault = by_vault.and_then(VaultWord::every_byte_read_since);
        match (own, by_vault) {
            (Some((own, _)), Some(read)) if own < read => Some((read, Verifier::Vault)),
            (None, read) => read.map(|read| (read, Verifier::Vault)),
            (own, _) => own,
        }
    }

    /// Remembers that the copy at another address is in this very place.
    pub fn record_one_place(&mut self, address: &str, at: Timestamp) {
        self.one_place.insert(address.to_owned(), at);
    }

    /// Remembers that the copy at another address is not in this place.
    pub fn record_apart(&mut self, address: &str) {
        self.one_place.remove(address);
    }

    /// When the copy at another address was shown to be in this very place.
    pub fn one_place(&self, address: &str) -> Option<Timestamp> {
        self.one_place.get(address).copied()
    }
}

#[cfg(test)]
pub(crate) mod tests;
