//! Lines of requests are written together: one at a time, each would cost a tenth of a small upload.
//!
//! Every other line is written at once, behind all that came before it, so that their order is theirs.
//! What can go wrong: a process that is killed has not written its last lines of requests, of a tenth of
//! a second at most. What was done is in the ledger; these lines only tell how it went.

use std::io::{self, Write};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of the lines of requests.
pub(crate) const REQUESTS: &str = "strongroom_vault::request";

/// How many bytes are gathered before they are written.
const FULL_BYTES: usize = 32 << 10;

/// How long a line waits for others.
const WAIT: Duration = Duration::from_millis(100);

/// Standard error, with the lines that wait to be written to it.
#[derive(Debug)]
pub(super) struct Gathered {
    lines: Mutex<Vec<u8>>,
    /// The first one has come.
    came: Condvar,
}

impl Gathered {
    pub(super) const fn new() -> Self {
        Self {
            lines: Mutex::new(Vec::new()),
            came: Condvar::new(),
        }
    }

    /// Has all that is gathered written in time, from now on.
    pub(super) fn write_in_time(&'static self) {
        let work = move || {
            loop {
                let mut lines = self.lines.lock();
                self.came.wait_while(&mut lines, |lines| lines.is_empty());
                drop(lines);
                std::thread::park_timeout(WAIT);
                self.flush();
            }
        };
        let builder = std::thread::Builder::new().name("log".to_owned());
        if let Err(error) = builder.spawn(work) {
            tracing::warn!(%error, "Lines of requests are written late");
        }
    }

    /// Writes what is gathered.
    pub(super) fn flush(&self) {
        // Where nobody listens, nobody hears it.
        let _ = write_out(&mut self.lines.lock(), &mut io::stderr());
    }
}

/// Writes lines, and keeps their memory for the next ones.
fn write_out(lines: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
    let written = out.write_all(lines);
    lines.clear();
    written
}

/// Where a line goes.
#[derive(Debug)]
pub(super) struct Line {
    gathered: &'static Gathered,
    waits: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.gathered.lines.lock();
        let is_first = lines.is_empty();
        lines.extend_from_slice(line);
        if !self.waits || lines.len() >= FULL_BYTES {
            write_out(&mut lines, &mut io::stderr())?;
        } else if is_first {
            self.gathered.came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for &'static Gathered {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line {
            gathered: self,
            waits: false,
        }
    }

    fn make_writer_for(&'w self, of: &Metadata<'_>) -> Line {
        Line {
            gathered: self,
            waits: of.target() == REQUESTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_requests_wait_for_each_other_and_for_no_other_line() {
        static GATHERED: Gathered = Gathered::new();
        let write = |line: &str, waits| {
            let gathered = &GATHERED;
            Line { gathered, waits }.write_all(line.as_bytes()).unwrap();
            gathered.lines.lock().len()
        };
        assert_eq!(write("a request\n", true), 10);
        assert_eq!(write("another one\n", true), 22);
        assert_eq!(write("something else\n", false), 0);
        let long = "a request\n".repeat(FULL_BYTES / 10);
        assert_eq!(write(&long, true), long.len());
        assert_eq!(write("the last one\n", true), 0);
        write("a request\n", true);
        GATHERED.flush();
        assert_eq!(GATHERED.lines.lock().len(), 0);
    }
}
