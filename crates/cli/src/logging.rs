//! The log on standard error: warnings, and more with each `-v`.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::context::Context;

/// Starts the log.
pub(crate) fn start(context: &Context) {
    let level = match context.verbosity() {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let crates = ["cli", "engine", "repo", "store", "model"];
    let ours: Vec<_> = crates
        .iter()
        .map(|name| format!("strongroom_{name}={level}"))
        .collect();
    // The crate of the program is named after the program.
    let filter = format!("warn,strongroom={level},{}", ours.join(","));
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(BesideBars(context.output.bars.clone()))
        .with_ansi(colour && io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .compact()
        .init();
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
