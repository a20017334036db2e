//! Ctrl-C: once to end cleanly, twice to end at once.
//!
//! A clean end waits for the uploads under way, so that the next run finds every pack that
//! arrived. Whoever presses twice loses at most what was in memory: nothing stored is ever torn.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::Context;
use crate::exit::Exit;

/// Listens from here on; also for SIGTERM and SIGHUP.
pub(crate) fn listen(context: &Context) {
    let cancel = context.cancel.clone();
    let output = context.output.clone();
    let pressed = AtomicBool::new(false);
    let listening = ctrlc::set_handler(move || {
        if pressed.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted.code().into());
        }
        cancel.cancel();
        output.say("Ending; once more to end at once");
    });
    if let Err(error) = listening {
        tracing::warn!(%error, "Ctrl-C ends the program at once");
    }
}
