//! Which files a copy once held.
//!
//! A listing alone cannot tell "was never here" from "was here and is gone". The ids of index files
//! and snapshots, which are few, are remembered so that sync can.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strongroom_model::Id;

/// What was once seen on a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFiles {
    /// Index files.
    #[serde(default)]
    pub index: BTreeSet<Id>,
    /// Snapshots.
    #[serde(default)]
    pub snapshots: BTreeSet<Id>,
}
