//! `strongroom vault snapshots`.

use serde::Serialize;
use strongroom_engine::session::chain;
use strongroom_model::vault::SnapshotInfo;

use crate::commands::vault::Which;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, DOUBTFUL, GOOD};
use crate::table::{Cell, Table};
use crate::words::{count, local_time};

/// List the snapshots of which a vault has receipts, and whether they are whole there
///
/// Source, host and time are what the client that signed the receipt claims; whether the vault has
/// everything that the receipt names is its own word. No password is needed.
///
/// The exit status is 3 where a snapshot is not whole, or where that is not known.
///
/// Examples:
///   strongroom vault snapshots offsite
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let vaults = self.which.meet(context)?;
        let (met, _) = self.which.present(&vaults)?;
        let list = met.client.snapshots();
        let mut list = list.map_err(|error| self.which.not_a_vault(&chain(&error)))?;
        list.snapshots.sort_by_key(|info| info.time);
        let output = &context.output;
        let mut table = Table::headed(&[
            "snapshot",
            "claimed time",
            "source",
            "host",
            "token",
            "whole",
        ]);
        for info in &list.snapshots {
            output.object(&Message {
                message_type: "snapshot",
                snapshot: info,
            })?;
            table.row([
                info.snapshot.short().into(),
                local_time(info.time).into(),
                info.source.clone().into(),
                info.host.clone().into(),
                info.token.clone().into(),
                whole(info),
            ]);
        }
        output.data(&table.to_string())?;
        output.object(&Summary {
            message_type: "summary",
            copy: &met.copy,
            snapshots: list.snapshots.len(),
        })?;
        let is_whole = |info: &SnapshotInfo| info.whole == Some(true);
        Ok(Exit::of(list.snapshots.iter().all(is_whole)))
    }
}

fn whole(info: &SnapshotInfo) -> Cell {
    match info.whole {
        Some(true) => Cell::styled("yes", GOOD),
        None => Cell::styled("not known", DOUBTFUL),
        Some(false) => {
            let lacks = count(info.missing_files, "file", "files");
            let named: Vec<&str> = info.missing.iter().map(String::as_str).take(1).collect();
            Cell::styled(format!("lacks {lacks}: {}", named.join(", ")), BAD)
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    #[serde(flatten)]
    snapshot: &'a SnapshotInfo,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    copy: &'a str,
    snapshots: usize,
}
