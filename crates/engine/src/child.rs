//! A program that we have started: what of its words is kept, and its end with all that it has
//! started itself.

use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How much of what a program says is kept: the end of it.
pub(crate) const LAST_WORDS_BYTES: usize = 4 << 10;

/// How long a program that has ended may take to say its last words.
pub(crate) const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);

/// Adds to the end of what a program has said.
pub(crate) fn keep_end(words: &mut Vec<u8>, chunk: &[u8]) {
    words.extend_from_slice(chunk);
    let surplus = words.len().saturating_sub(LAST_WORDS_BYTES);
    words.drain(..surplus);
}

/// Ends who is left of a program's group; `false` where there is nobody, or it cannot be done.
pub(crate) fn end_group(child: &Child) -> bool {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let killed = group.map(|group| kill_process_group(group, Signal::KILL));
    matches!(killed, Some(Ok(())))
}
