//! What is wrong with files of a copy, until it is healed or shown to be gone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::CopyEvidence;

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// When it was found; where others than a verify met it again, when that was last.
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

impl CopyEvidence {
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
            .and_modify(|damage| {
                damage.wrong = damage.decoded;
                damage.found = damage.found.max(at);
            })
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
}
