//! The commands: each with its arguments, its manual and what it does.

pub(crate) mod backup;
pub(crate) mod blast_radius;
pub(crate) mod completions;
pub(crate) mod drill;
pub(crate) mod dump;
pub(crate) mod forget;
pub(crate) mod hold;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod prune;
pub(crate) mod recover;
pub(crate) mod release;
pub(crate) mod removals;
pub(crate) mod restore;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod trial;
pub(crate) mod unlock;
pub(crate) mod vault;
pub(crate) mod verify;

use strongroom_engine::read_set::ReadSet;
use strongroom_model::{FileName, FileType};

use crate::context::Opened;
use crate::memory;
use crate::output::{Output, visible};

/// Warns of what a copy could not give, though another one could, and remembers it, so that the
/// scorecard tells and the next sync heals it.
pub(crate) fn tell_damage(output: &Output, opened: &Opened, set: &ReadSet<'_>) {
    let now = (opened.environment.clock)();
    for damage in set.damage() {
        let pack = FileName::new(FileType::Data, damage.pack);
        memory::damaged(opened, &damage.copy, &pack, &damage.reason, now);
        let text = format!("{}: {pack}: {}", damage.copy, damage.reason);
        output.warn(
            &visible(&text),
            Some("heal it from the other copies: strongroom sync"),
        );
    }
    for problem in set.problems() {
        output.warn(&visible(&problem), None);
    }
}
