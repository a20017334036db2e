//! The commands: each with its arguments, its manual and what it does.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod dump;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod unlock;
pub(crate) mod verify;

use strongroom_engine::snapshots::ReadSet;

use crate::output::{Output, visible};

/// Warns of what a copy could not give, though another one could.
pub(crate) fn read_faults(output: &Output, set: &ReadSet<'_>) {
    for fault in set.faults() {
        let text = format!("{}: {}", fault.copy, visible(&fault.reason));
        output.warn(
            &text,
            Some("another copy had it; heal this one: strongroom sync"),
        );
    }
}
