//! The log on standard error: warnings, and more with each `-v`.

use std::io::{self, Write};

use indicatif::MultiProgress;
use strongroom_store::s3::UNHEARD;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::context::Context;

/// The parts of the engine whose findings are in the report that a command tells anyway.
const REPORTING: [&str; 7] = [
    "backup::archive",
    "fanout",
    "lead",
    "read_set",
    "restore",
    "sync",
    "verify",
];

/// Starts the log.
pub(crate) fn start(context: &Context) {
    let filter = filter(context.verbosity());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(BesideBars(context.output.bars.clone()))
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .compact()
        .init();
}

/// Warnings of all crates and, with each `-v`, more of ours.
fn filter(verbosity: u8) -> String {
    let level = match verbosity {
        0 => {
            let reporting = REPORTING.map(|part| format!("strongroom_engine::{part}=error"));
            return format!("warn,{UNHEARD},{}", reporting.join(","));
        }
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let crates = ["", "_engine", "_repo", "_store", "_model"];
    let ours = crates.map(|name| format!("strongroom{name}={level}"));
    format!("warn,{UNHEARD},{}", ours.join(","))
}

/// Standard error, with the bars out of the way while a line is written.
#[derive(Debug)]
struct BesideBars(MultiProgress);

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &BesideBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_can_be_read() {
        for verbosity in 0..5 {
            EnvFilter::try_new(filter(verbosity)).unwrap();
        }
    }
}
