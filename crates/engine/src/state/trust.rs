//! Whose removals count on this machine as its own, and which.
//!
//! **Security:** it decides who may remove here at once. So it is said here by a person, lies here
//! alone, and nothing that a copy holds adds to it. Where it is missing or cannot be read, nobody is
//! trusted and nobody is ignored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::Id;

use crate::Result;
use crate::state::RepositoryState;

/// What a person has said on this machine of the records of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The machines whose records count as this one's own, by the SHA-256 of their public keys, and
    /// since when.
    #[serde(default)]
    pub machines: BTreeMap<Id, Timestamp>,
    /// The removals that count as this machine's own, by their records, and since when.
    #[serde(default)]
    pub removals: BTreeMap<Id, Timestamp>,
    /// Whether what no trusted machine has signed counts for nothing.
    #[serde(default)]
    pub ignores_strangers: bool,
}

impl RepositoryState {
    /// Whose removals count here; nobody's, where that cannot be read.
    pub fn trust(&self) -> Trust {
        self.read_record(&self.trust_path()).unwrap_or_default()
    }

    /// Changes whose removals count here.
    pub(crate) fn update_trust(&self, change: impl FnOnce(&mut Trust)) -> Result<()> {
        self.update(&self.trust_path(), change)
    }

    fn trust_path(&self) -> PathBuf {
        self.subfolder("trust.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateFolder;

    #[test]
    fn nobody_is_trusted_where_it_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path().join("state")).repository(Id::of(b"repo"));
        assert_eq!(state.trust(), Trust::default());
        let machine = Id::of(b"machine");
        let trusting = |trust: &mut Trust| {
            trust.machines.insert(machine, Timestamp::UNIX_EPOCH);
            trust.ignores_strangers = true;
        };
        state.update_trust(trusting).unwrap();
        assert!(state.trust().machines.contains_key(&machine));
        assert!(state.trust().ignores_strangers);
        for bytes in [&b"junk"[..], br#"{"version":9,"machines":[]}"#] {
            std::fs::write(state.trust_path(), bytes).unwrap();
            assert_eq!(state.trust(), Trust::default());
        }
    }
}
