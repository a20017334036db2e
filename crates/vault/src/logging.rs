//! The log: one JSON object a line, on standard error.
//!
//! **Architecture invariant:** only our own crates are ever heard below a warning. The libraries
//! underneath tell whole heads of requests there, with passwords in them.

mod gathered;

use gathered::Gathered;
use strongroom_store::s3::UNHEARD;
use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Our crates, as the log calls them.
const OURS: [&str; 4] = [
    "strongroom_vault",
    "strongroom_store",
    "strongroom_model",
    "strongroom_ledger",
];

pub(crate) use gathered::REQUESTS;

/// What the program's log is written by.
static STDERR: Gathered = Gathered::new();

/// Starts the log of the program; where there is one already, that one goes on.
pub fn start(level: Level) {
    // An error means that somebody listens already.
    let _ = tracing::subscriber::set_global_default(subscriber(level, &STDERR));
    STDERR.write_in_time();
}

/// Writes what waits to be written.
pub fn flush() {
    STDERR.flush();
}

/// Writes the log of our crates from `level` on, and warnings of all others.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = OURS.map(|name| format!("{name}={level}"));
    let others = level.min(Level::WARN);
    let filter = format!("{others},{UNHEARD},{}", ours.join(","));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(writer)
        .finish()
}
