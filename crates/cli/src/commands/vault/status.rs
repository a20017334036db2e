//! `strongroom vault status`.

use serde::Serialize;
use strongroom_model::vault::{KnownBy, RepositoryInfo, VaultInfo};

use crate::commands::vault::Which;
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, DOUBTFUL};
use crate::table::{Cell, Table};
use crate::vaults::Met;
use crate::words::{cosigned_by, count, grouped, local_time, period, size};

/// Tell what the vault behind a copy says of itself and of the copy
///
/// All of it is the vault's word. What this machine has found out by itself is in: strongroom status
///
/// Examples:
///   strongroom vault status offsite
///   strongroom --json vault status offsite | jq .repository.purge_held
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let vaults = self.which.meet(context)?;
        let (met, info) = self.which.present(&vaults)?;
        let repository = met.repository();
        let mut table = vault(met, info);
        if let Some(repository) = repository {
            rows(&mut table, repository);
        }
        let output = &context.output;
        output.data(&table.to_string())?;
        if repository.is_none() {
            output.warn("It does not tell of the repository", None);
        }
        output.object(&Summary {
            message_type: "summary",
            copy: &met.copy,
            at: met.client.root(),
            vault: info,
            repository,
            witnesses_asked: met.cosigned().map(|(_, asked)| asked),
            witnesses_verified: met.cosigned().map(|(verified, _)| verified),
        })?;
        Ok(Exit::of(repository.is_some()))
    }
}

fn vault(met: &Met, info: &VaultInfo) -> Table {
    let mut table = Table::new();
    let version = format!("{} (version {})", met.client.root(), info.version);
    table.row(["vault".into(), version.into()]);
    let log = match met.log.remembered() {
        Some(log) => {
            let leaves = count(log.last().checkpoint().size(), "leaf", "leaves");
            format!("{} with {leaves}", info.origin)
        }
        None => info.origin.clone(),
    };
    table.row(["log".into(), log.into()]);
    if let Some((verified, asked)) = met.cosigned() {
        let said = format!("cosigned {}", cosigned_by(verified, asked));
        table.row([
            "".into(),
            match verified == asked {
                true => said.into(),
                false => Cell::styled(said, DOUBTFUL),
            },
        ]);
    }
    let runs_in = match &info.runs_in {
        None => "not known".to_owned(),
        Some(runs_in) => {
            let by = match runs_in.by {
                KnownBy::Metadata => "its provider says so",
                KnownBy::Declared => "declared",
            };
            format!("{} ({by})", runs_in.account)
        }
    };
    table.row(["runs in".into(), runs_in.into()]);
    if !info.objects_in.is_empty() {
        let accounts: Vec<String> = info.objects_in.iter().map(ToString::to_string).collect();
        table.row(["objects in".into(), accounts.join(", ").into()]);
    }
    let time = format!(
        "wall {}, vault time {}",
        local_time(info.time.wall),
        local_time(info.time.vault)
    );
    table.row(["clock".into(), time.into()]);
    if info.time.doubted {
        let doubt = "its clock has jumped: nothing is purged until somebody confirms it";
        table.row(["".into(), Cell::styled(doubt, DOUBTFUL)]);
    }
    table.row([
        "sealed".into(),
        if info.sealed { "yes" } else { "no" }.into(),
    ]);
    table
}

fn rows(table: &mut Table, info: &RepositoryInfo) {
    let quota = match info.quota_bytes {
        Some(quota) => format!(", of at most {}", size(quota)),
        None => String::new(),
    };
    let held = format!(
        "{} in {}{quota}",
        size(info.bytes),
        count(info.objects, "object", "objects")
    );
    table.row([info.repository.clone().into(), held.into()]);
    let kept = format!(
        "{} after arrival, {} after deletion",
        period(info.retention_s),
        period(info.grace_s)
    );
    table.row(["kept".into(), kept.into()]);
    let deleted = format!(
        "{} asked for and still kept, {} hidden",
        grouped(info.tombstones),
        grouped(info.hidden)
    );
    table.row(["deletions".into(), deleted.into()]);
    if let Some(why) = &info.purge_held {
        let held = format!("held: {why}");
        table.row(["purging".into(), Cell::styled(held, DOUBTFUL)]);
    }
    for key in &info.pending_keys {
        let waits = format!("{key} waits for an operator");
        table.row(["key".into(), Cell::styled(waits, DOUBTFUL)]);
    }
    let read = match info.scrub {
        None => "never, as far as it says".into(),
        Some(scrub) if scrub.rotten > 0 => {
            let rotten = count(scrub.rotten, "rotten object", "rotten objects");
            Cell::styled(format!("{rotten} found"), BAD)
        }
        Some(scrub) => match scrub.all_read {
            Some(since) => format!("in full since {}", local_time(since)).into(),
            None => format!("{} objects, not all yet", grouped(scrub.objects_read)).into(),
        },
    };
    table.row(["read".into(), read]);
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    copy: &'a str,
    at: &'a str,
    vault: &'a VaultInfo,
    repository: Option<&'a RepositoryInfo>,
    witnesses_asked: Option<usize>,
    witnesses_verified: Option<usize>,
}
