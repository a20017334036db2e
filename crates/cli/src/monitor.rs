//! How far the work has come: a bar on a terminal, an object each second with `--json`.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use strongroom_engine::progress::{Progress, Reading};

use crate::output::Output;
use crate::words;

/// How often a bar is drawn anew, and how often an object is written.
const REDRAW: Duration = Duration::from_millis(100);
const REPORT: Duration = Duration::from_secs(1);

/// Shows the counters of a run until it is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// The counters, for the work to raise.
    pub(crate) progress: Arc<Progress>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Monitor {
    /// Begins to look.
    pub(crate) fn start(output: &Output) -> Self {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = channel();
        let every = if output.json { REPORT } else { REDRAW };
        let mut view = View::new(output.clone());
        let counters = Arc::clone(&progress);
        let thread = (output.json || !output.quiet).then(|| {
            let thread = std::thread::spawn(move || {
                while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    view.show(&counters.read());
                }
                view.bar.finish_and_clear();
            });
            (stop, thread)
        });
        Self { progress, thread }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            if thread.join().is_err() {
                tracing::debug!("The thread that shows the progress died");
            }
        }
    }
}

struct View {
    output: Output,
    bar: ProgressBar,
    began: Instant,
    phase: String,
}

/// What is measured, which decides how it is drawn.
const UNKNOWN: &str = "{spinner} {msg}  {decimal_bytes}  {decimal_bytes_per_sec}";
const OF_BYTES: &str = "{msg} [{bar:24}] {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  \
                        {decimal_bytes_per_sec}  {eta} left";
const OF_FILES: &str = "{msg} [{bar:24}] {percent:>3} %  {per_sec}  {eta} left";

impl View {
    fn new(output: Output) -> Self {
        let bar = match output.json {
            true => ProgressBar::hidden(),
            false => output.bars.add(ProgressBar::no_length()),
        };
        Self {
            output,
            bar,
            began: Instant::now(),
            phase: String::new(),
        }
    }

    fn show(&mut self, reading: &Reading) {
        if self.output.json {
            let message = ProgressMessage::of(reading, self.began.elapsed());
            if let Err(error) = self.output.object(&message) {
                tracing::debug!(%error, "The progress could not be told");
            }
            return;
        }
        let (template, length, position) = match (reading.expected_bytes, reading.expected_files) {
            (Some(bytes), _) => (OF_BYTES, Some(bytes), reading.bytes),
            (None, Some(files)) => (OF_FILES, Some(files), reading.files),
            (None, None) => (UNKNOWN, None, reading.bytes),
        };
        let phase = format!("{} {template}", reading.phase);
        if self.phase != phase {
            self.phase = phase;
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style.progress_chars("=> "));
            }
            self.bar.reset();
        }
        match length {
            Some(length) => self.bar.set_length(length),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(position);
        let errors = match reading.errors {
            0 => String::new(),
            errors => format!(", {}", words::count(errors, "error", "errors")),
        };
        let files = words::count(reading.files, "file", "files");
        self.bar
            .set_message(format!("{}: {files}{errors}", reading.phase));
    }
}

#[derive(Serialize)]
struct ProgressMessage<'a> {
    message_type: &'static str,
    phase: &'a str,
    seconds_elapsed: u64,
    files_done: u64,
    bytes_done: u64,
    total_files: Option<u64>,
    total_bytes: Option<u64>,
    errors: u64,
}

impl<'a> ProgressMessage<'a> {
    fn of(reading: &'a Reading, elapsed: Duration) -> Self {
        Self {
            message_type: "progress",
            phase: &reading.phase,
            seconds_elapsed: elapsed.as_secs(),
            files_done: reading.files,
            bytes_done: reading.bytes,
            total_files: reading.expected_files,
            total_bytes: reading.expected_bytes,
            errors: reading.errors,
        }
    }
}
