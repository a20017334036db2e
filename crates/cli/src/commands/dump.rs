//! `strongroom dump`.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

use strongroom_engine::read_set::ReadSet;
use strongroom_engine::snapshots::{dump, find};

use crate::commands::snapshots::{load, resolve};
use crate::commands::tell_damage;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};

/// Write one file of a snapshot to standard output
///
/// Writes the bytes of the file and nothing else; what one copy cannot give comes from another.
/// Where no copy can give a part, it ends there with exit status 1: never with a gap.
///
/// SNAPSHOT is latest, latest:SOURCE, an id, or at least two of its first digits. Where a newer one
/// is known here than any copy shows, latest is refused.
///
/// Examples:
///   strongroom dump latest:shop-db /shop.dump | pg_restore --dbname=shop
///   strongroom dump 3f1c /srv/git/README > README
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Which snapshot
    snapshot: String,
    /// Which file
    path: OsString,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        let snapshots = load(context, &opened.session)?;
        let snapshot = resolve(
            &opened,
            &snapshots,
            &self.snapshot,
            "strongroom dump ID PATH",
        )?;
        let set = ReadSet::load(&opened.session, snapshot.id, &context.cancel)?;
        let node = find(&set, snapshot, self.path.as_bytes())?;
        let out = std::io::stdout();
        if out.is_terminal() {
            context.output.warn(
                "The content goes to the terminal as it is",
                Some("send it to a file or program: strongroom dump … > FILE"),
            );
        }
        let mut out = Watched {
            out: out.lock(),
            failed: None,
        };
        let dumped = dump(&set, &node, &mut out);
        if let Some(failed) = out.failed {
            return Err(Error::Output(failed));
        }
        dumped?;
        tell_damage(&context.output, &opened, &set);
        Ok(Exit::Done)
    }
}

/// Standard output, which remembers how it failed: a reader that had enough is no error to tell.
struct Watched<W> {
    out: W,
    failed: Option<std::io::Error>,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != std::io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
