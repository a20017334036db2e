//! What drills make, and what of it stays behind.
//!
//! A drill cleans up as far as it may. What it may not take away is remembered by this machine, so
//! that the next drill tries again and a person can.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that a drill has made, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remnant {
    /// What it is.
    pub kind: RemnantKind,
    /// Its name at the place; that of a canary in a bucket is that of the bucket and its key.
    pub name: String,
    /// Which version of it, where the place keeps any and has told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What kind of thing a drill makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemnantKind {
    /// A bucket beside the real one.
    ProbeBucket,
    /// A repository beside the real one of a vault.
    ProbeRepository,
    /// A token of a vault, which should have been refused.
    Token,
    /// A file to be attacked, or what an attack has made of one.
    Canary,
}

/// Something that a drill has left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedRemnant {
    /// What it is.
    #[serde(flatten)]
    pub remnant: Remnant,
    /// When the drill began that made it.
    pub since: Timestamp,
}

impl Remnant {
    /// Something of which there is one version only.
    pub fn new(kind: RemnantKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            version: None,
        }
    }

    /// The same, in a version.
    pub fn in_version(self, version: Option<String>) -> Self {
        Self { version, ..self }
    }
}
