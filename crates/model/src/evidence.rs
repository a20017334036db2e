//! What the state folder remembers of each copy: when it was read, what was found, what it held.
//!
//! The scorecard believes evidence and not configuration, so that evidence must neither claim too
//! much nor get lost: a partial verify vouches for its share alone, damage stays until the file was
//! healed or every byte was read again, and fields that a newer version wrote are kept as they are.
//! What was read of one disk says nothing of another that takes its place, under whatever name.
//! A bad writer's bytes have their name, so that no reading and no other copy takes away what
//! decoding found in them.

mod by_vault;

pub use by_vault::{SaidWhole, VaultWord};

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
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
    /// What the vault that holds it said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_vault: Option<VaultWord>,
    /// What a newer version wrote.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// One verify of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// When it began: bytes that rotted later may have been read before.
    pub at: Timestamp,
    /// Who read the bytes.
    pub by: Verifier,
    /// How much of the copy was read.
    pub share: Share,
    /// Whether index entries, trees and blobs were decoded as well.
    #[serde(default)]
    pub decoded: bool,
}

/// Who read the bytes of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verifier {
    /// This program, over the network where there is one.
    Us,
    /// The vault that holds the copy, on its own disk.
    Vault,
}

/// How much of a copy a verify read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Every stored byte.
    All,
    /// The `number`-th of `of` parts, counted from 1; the parts together are everything.
    Slice {
        /// Which part.
        number: u32,
        /// How many parts there are.
        of: u32,
    },
    /// A random choice of so many percent, which adds up to nothing certain.
    Percent(u8),
}

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// When it was found first.
    pub found: Timestamp,
    /// What is wrong, in one line.
    pub reason: String,
    /// Whether it was found in bytes that have their name, by who decodes them: only decoding shows
    /// that it is gone.
    #[serde(default)]
    pub decoded: bool,
    /// Of what was found by decoding, whether the bytes were found not to have their name since: then
    /// other copies may heal it.
    #[serde(default)]
    pub wrong: bool,
}

impl Damage {
    /// Whether the bytes are those of the name, so that nothing heals them.
    pub const fn is_as_written(&self) -> bool {
        self.decoded && !self.wrong
    }
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

/// A rehearsed restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreDrill {
    /// When it began.
    pub at: Timestamp,
    /// The source of which a snapshot was restored.
    pub source: Name,
    /// How much was restored.
    pub bytes: u64,
    /// How long it took.
    pub seconds: u64,
    /// Whether what was restored is what was backed up.
    pub matched: bool,
}

/// When each of several parts was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rotation {
    of: u32,
    read: BTreeMap<u32, Timestamp>,
}

impl Default for CopyEvidence {
    fn default() -> Self {
        Self {
            version: VERSION,
            last_verify: None,
            all_read: None,
            rotation: None,
            place: None,
            damage: BTreeMap::new(),
            listing: None,
            last_whole: BTreeMap::new(),
            one_place: BTreeMap::new(),
            by_vault: None,
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
    /// it decoded as well; a partial one adds to it.
    pub fn record_verify(
        &mut self,
        verify: Verify,
        damage: impl IntoIterator<Item = (String, String)>,
    ) {
        let found = verify.at;
        let before = self.damage.clone();
        if verify.share == Share::All {
            self.damage.retain(|_, damage| {
                damage.wrong = false;
                damage.decoded && !verify.decoded
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

    /// Binds what was read, and what will be, to the place that is now at the address: what was read
    /// of another place is forgotten. Says whether anything was.
    ///
    /// What was read where no place was noted, as by earlier versions, counts for this one. Where
    /// nothing tells which place is there now nothing changes: [`CopyEvidence::lacks_place`].
    pub fn move_to(&mut self, place: Option<Id>) -> bool {
        let Some(now) = place else {
            return false;
        };
        let is_another = self.place.is_some_and(|known| known != now);
        self.place = Some(now);
        is_another && self.forget_readings()
    }

    /// Binds what was read to this place where it was not noted which one it was.
    pub fn adopt(&mut self, place: Option<Id>) {
        self.place = self.place.or(place);
    }

    /// Whether nothing tells which place is there now, as while `config` is missing, although it is
    /// known which one was read: then that vouches for nothing, and is kept for when it is told.
    pub const fn lacks_place(&self, place: Option<Id>) -> bool {
        self.place.is_some() && place.is_none()
    }

    /// Binds what was read `before` to what tells the same place now that we have written its `config`
    /// anew. What was read elsewhere stays bound to where it was.
    pub fn rebind(&mut self, before: Id, now: Id) {
        if self.place == Some(before) {
            self.place = Some(now);
        }
    }

    /// Forgets that anything was read, since what lies there now was written anew. Says whether
    /// anything was. Damage stays known, and the word of a vault.
    pub fn forget_readings(&mut self) -> bool {
        let was_read = self.was_read();
        self.last_verify = None;
        self.all_read = None;
        self.rotation = None;
        was_read
    }

    /// Whether a verify of ours has read anything.
    pub const fn was_read(&self) -> bool {
        self.last_verify.is_some() || self.all_read.is_some() || self.rotation.is_some()
    }

    /// Remembers damage that was met outside a verify, as by a restore.
    pub fn record_damage(&mut self, at: Timestamp, file: String, reason: String) {
        let damage = Damage {
            found: at,
            reason,
            decoded: false,
            wrong: false,
        };
        self.damage
            .entry(file)
            .and_modify(|damage| damage.wrong = damage.decoded)
            .or_insert(damage);
    }

    /// Notes that recorded damage was found by decoding, in bytes that have their name.
    pub fn record_decoded(&mut self, file: &str) {
        if let Some(damage) = self.damage.get_mut(file) {
            damage.decoded = true;
            damage.wrong = false;
        }
    }

    /// Forgets the damage of a file that was healed or read right. What decoding found stays: there are
    /// no other bytes of that name.
    pub fn record_healed(&mut self, file: &str) {
        if let Some(damage) = self.damage.get_mut(file) {
            damage.wrong = false;
            if !damage.decoded {
                self.damage.remove(file);
            }
        }
    }

    /// Forgets what decoding found in files that are nowhere any more.
    pub fn forget_decoded(&mut self, is_somewhere: impl Fn(&str) -> bool) {
        self.damage
            .retain(|file, damage| !damage.decoded || is_somewhere(file));
    }

    /// The files that are damaged or lost, by name.
    pub const fn damage(&self) -> &BTreeMap<String, Damage> {
        &self.damage
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

    fn record_slice(&mut self, number: u32, of: u32, at: Timestamp) {
        if !(1..=of).contains(&number) {
            return;
        }
        let rotation = match self.rotation.take() {
            Some(rotation) if rotation.of == of => self.rotation.insert(rotation),
            other => {
                // Parts of another division prove nothing together with these.
                let complete = other.as_ref().and_then(Rotation::complete_since);
                self.all_read = self.all_read.max(complete);
                let read = BTreeMap::new();
                self.rotation.insert(Rotation { of, read })
            }
        };
        let read = rotation.read.entry(number).or_insert(at);
        *read = at.max(*read);
    }
}

impl Rotation {
    fn complete_since(&self) -> Option<Timestamp> {
        let complete = u32::try_from(self.read.len()) == Ok(self.of)
            && self
                .read
                .keys()
                .all(|number| (1..=self.of).contains(number));
        self.read.values().min().copied().filter(|_| complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + number * 86_400).unwrap()
    }

    fn verify(at: Timestamp, share: Share) -> Verify {
        Verify {
            at,
            by: Verifier::Us,
            share,
            decoded: false,
        }
    }

    fn broken(file: &str) -> (String, String) {
        (file.to_owned(), "its SHA-256 is another".to_owned())
    }

    #[test]
    fn rotating_shares_vouch_for_everything_once_the_last_was_read() {
        let mut evidence = CopyEvidence::default();
        for number in 1..=3 {
            assert_eq!(evidence.every_byte_read_since(), None);
            evidence.record_verify(
                verify(day(number.into()), Share::Slice { number, of: 3 }),
                [],
            );
        }
        assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
        evidence.record_verify(verify(day(4), Share::Slice { number: 1, of: 3 }), []);
        assert_eq!(evidence.every_byte_read_since(), Some(day(2)));
    }

    #[test]
    fn what_was_read_of_one_place_does_not_vouch_for_another() {
        let place = |text: &str| Some(Id::of(text.as_bytes()));
        let mut evidence = CopyEvidence::default();
        evidence.move_to(place("old disk"));
        evidence.record_verify(verify(day(1), Share::All), [broken("data/a")]);
        evidence.record_verify(verify(day(2), Share::Slice { number: 1, of: 2 }), []);
        assert!(!evidence.move_to(place("old disk")));
        let kept = CopyEvidence::from_json(&evidence.to_json().unwrap()).unwrap();
        assert_eq!(kept, evidence);
        assert_eq!(evidence.every_byte_read_since(), Some(day(1)));

        assert!(evidence.move_to(place("new disk")));
        assert_eq!(evidence.every_byte_read_since(), None);
        assert_eq!(evidence.last_read(), None);
        assert!(evidence.damage().contains_key("data/a"));
        evidence.record_verify(verify(day(3), Share::Slice { number: 2, of: 2 }), []);
        assert_eq!(evidence.every_byte_read_since(), None);
        assert!(evidence.forget_readings());
        assert!(!evidence.forget_readings());
    }

    #[test]
    fn what_was_read_is_kept_where_the_place_was_not_noted_or_is_not_told() {
        let place = |text: &str| Id::of(text.as_bytes());
        let (old, new) = (place("old disk"), place("new disk"));
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(verify(day(1), Share::Slice { number: 1, of: 1 }), []);
        // Of an earlier version, which noted no place.
        let mut adopted = evidence.clone();
        assert!(!adopted.lacks_place(None) && !adopted.lacks_place(Some(old)));
        adopted.adopt(Some(old));
        assert!(!evidence.move_to(Some(old)));
        assert_eq!(adopted, evidence);
        assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
        adopted.adopt(Some(new));
        assert_eq!(adopted, evidence);

        // Its config is missing, and comes back.
        assert!(evidence.lacks_place(None));
        assert!(!evidence.move_to(None));
        assert_eq!(adopted, evidence);

        // It was healed by us, here or in another place.
        evidence.rebind(new, place("a third"));
        assert_eq!(adopted, evidence);
        evidence.rebind(old, new);
        assert!(!evidence.move_to(Some(new)));
        assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
        assert!(evidence.move_to(Some(old)));
        assert_eq!(evidence.every_byte_read_since(), None);
    }

    #[test]
    fn parts_of_different_divisions_do_not_add_up() {
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(verify(day(1), Share::Slice { number: 1, of: 2 }), []);
        evidence.record_verify(verify(day(2), Share::Slice { number: 2, of: 3 }), []);
        assert_eq!(evidence.every_byte_read_since(), None);
        evidence.record_verify(verify(day(3), Share::Slice { number: 9, of: 3 }), []);
        evidence.record_verify(verify(day(3), Share::Slice { number: 0, of: 0 }), []);
        assert_eq!(evidence.every_byte_read_since(), None);
    }

    #[test]
    fn a_complete_rotation_outlives_a_new_division() {
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(verify(day(1), Share::Slice { number: 1, of: 1 }), []);
        evidence.record_verify(verify(day(2), Share::Slice { number: 1, of: 5 }), []);
        assert_eq!(evidence.every_byte_read_since(), Some(day(1)));
    }

    #[test]
    fn a_random_share_proves_nothing_of_the_whole() {
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(verify(day(1), Share::Percent(99)), []);
        assert_eq!(evidence.every_byte_read_since(), None);
    }

    #[test]
    fn damage_stays_until_it_is_healed_or_everything_was_read_again() {
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(
            verify(day(1), Share::All),
            [broken("data/a"), broken("data/b")],
        );
        evidence.record_verify(verify(day(2), Share::Percent(5)), [broken("data/c")]);
        assert_eq!(evidence.damage().len(), 3);
        evidence.record_healed("data/a");
        evidence.record_verify(verify(day(3), Share::All), [broken("data/b")]);
        let left: Vec<_> = evidence.damage().iter().collect();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].0.as_str(), left[0].1.found), ("data/b", day(1)));
    }

    #[test]
    fn what_decoding_found_stays_until_decoding_does_not_find_it_or_the_file_is_nowhere() {
        let full = |number, decoded| Verify {
            decoded,
            ..verify(day(number), Share::All)
        };
        let mut evidence = CopyEvidence::default();
        let found = [broken("data/a"), broken("data/b"), broken("data/c")];
        evidence.record_verify(full(1, true), found);
        evidence.record_decoded("data/a");
        evidence.record_decoded("data/b");
        evidence.record_decoded("data/unknown");
        // A sync has read all of them, and their bytes have their names.
        for file in ["data/a", "data/b", "data/c"] {
            evidence.record_healed(file);
        }
        let names = |evidence: &CopyEvidence| -> Vec<String> {
            evidence.damage().keys().cloned().collect()
        };
        assert_eq!(names(&evidence), ["data/a", "data/b"]);
        let json = evidence.to_json().unwrap();
        evidence = CopyEvidence::from_json(&json).unwrap();
        evidence.record_verify(full(2, false), []);
        evidence.record_verify(
            verify(day(3), Share::Slice { number: 1, of: 2 }),
            [broken("data/a")],
        );
        assert_eq!(names(&evidence), ["data/a", "data/b"]);
        evidence.forget_decoded(|file| file != "data/b");
        // Whatever else is found in between.
        evidence.record_verify(full(4, false), [broken("data/a")]);
        assert!(evidence.damage()["data/a"].decoded);
        assert_eq!(evidence.damage()["data/a"].found, day(1));
        assert_eq!(names(&evidence), ["data/a"]);
        evidence.record_verify(full(5, true), []);
        assert_eq!(names(&evidence), [""; 0]);
    }

    #[test]
    fn a_file_that_decoding_found_and_that_rots_afterwards_is_healed_and_stays_known() {
        let full = |number, decoded| Verify {
            decoded,
            ..verify(day(number), Share::All)
        };
        let is_as_written = |evidence: &CopyEvidence| evidence.damage()["index/a"].is_as_written();
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(full(1, true), [broken("index/a")]);
        evidence.record_decoded("index/a");
        assert!(is_as_written(&evidence));
        evidence.record_verify(full(2, false), [broken("index/a")]);
        assert!(!is_as_written(&evidence));
        evidence.record_healed("index/a");
        assert!(is_as_written(&evidence));
        let (file, reason) = broken("index/a");
        evidence.record_damage(day(3), file, reason);
        assert!(!is_as_written(&evidence));
        // Every byte was read, and was right.
        evidence.record_verify(full(4, false), []);
        assert!(is_as_written(&evidence));
    }

    #[test]
    fn damage_that_an_earlier_version_wrote_was_not_found_by_decoding() {
        let text =
            r#"{"version":1,"damage":{"data/a":{"found":"2026-11-20T00:00:00Z","reason":"x"}}}"#;
        let evidence = CopyEvidence::from_json(text.as_bytes()).unwrap();
        assert!(!evidence.damage()["data/a"].decoded);
    }

    #[test]
    fn a_vault_vouches_for_what_it_has_read_and_clears_no_damage() {
        let mut evidence = CopyEvidence::default();
        evidence.record_verify(verify(day(1), Share::All), [broken("data/a")]);
        let mut word = VaultWord::asked(day(3));
        word.scrub = Some(crate::vault::Scrub {
            all_read: Some(day(2)),
            objects_read: 9,
            rotten: 0,
        });
        evidence.by_vault = Some(word);
        let read = Some((day(2), Verifier::Vault));
        assert_eq!(evidence.every_byte_read(), read);
        assert_eq!(evidence.last_read(), read);
        assert_eq!(evidence.damage().len(), 1);
        let json = evidence.to_json().unwrap();
        assert_eq!(CopyEvidence::from_json(&json).unwrap(), evidence);
        // What is newer counts, whoever read it.
        evidence.record_verify(verify(day(4), Share::Percent(5)), []);
        assert_eq!(evidence.every_byte_read(), read);
        assert_eq!(evidence.last_read(), Some((day(4), Verifier::Us)));
    }

    #[test]
    fn what_a_newer_version_wrote_is_kept() {
        let text = r#"{"version":1,"last_whole":{},"weather":{"sky":"grey"}}"#;
        let mut evidence = CopyEvidence::from_json(text.as_bytes()).unwrap();
        evidence.record_verify(
            verify(day(1), Share::Slice { number: 1, of: 2 }),
            [broken("data/a")],
        );
        let json = evidence.to_json().unwrap();
        assert!(String::from_utf8_lossy(&json).contains("grey"));
        assert_eq!(CopyEvidence::from_json(&json).unwrap(), evidence);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let version = |text: &str| CopyEvidence::from_json(text.as_bytes()).unwrap_err();
        assert!(matches!(
            version(r#"{"version":2}"#),
            Error::UnknownVersion { version: 2, .. }
        ));
        assert!(matches!(
            version(r#"{"version":0}"#),
            Error::UnknownVersion { version: 0, .. }
        ));
        assert!(matches!(version("{}"), Error::Malformed { .. }));
        assert!(matches!(version(""), Error::Malformed { .. }));
    }
}
