//! `strongroom-vault notify`: trying the channels, and what was told.

use std::thread;

use jiff::Timestamp;
use serde_json::json;
use strongroom_vault::config::VaultConfig;
use strongroom_vault::notify::{self, Channel, Message};
use strongroom_vault::{Error, Result, opening};

use crate::command::{Which, print, print_json, time};

/// How often pages are asked for at most.
const MOST_PAGES: usize = 1_000;

/// Telling people: over which channels, and what
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Test(Test),
    List(List),
    Acknowledge(Acknowledge),
}

/// Send a test to each channel at once, and say what came of it
///
/// The vault may be served meanwhile, and need not be. The exit status is 1 where a channel failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    #[command(flatten)]
    which: Which,
    /// To this channel alone
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

/// List what was told, the newest first
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// All that is kept, and not only the newest hundred
    #[arg(long)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Say that a notice was seen, so that it is sent no more
#[derive(Debug, clap::Args)]
pub(crate) struct Acknowledge {
    #[command(flatten)]
    which: Which,
    /// Its number
    #[arg(value_name = "N", required_unless_present = "all")]
    notice: Option<i64>,
    /// All that are critical and that nobody has acknowledged
    #[arg(long, conflicts_with = "notice")]
    all: bool,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Test(args) => args.run(),
            Self::List(args) => args.run(),
            Self::Acknowledge(args) => args.run(),
        }
    }
}

impl Test {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let channels = self.channels(&config)?;
        #[expect(clippy::disallowed_methods, reason = "the edge at which time comes in")]
        let now_s = Timestamp::now().as_second();
        let host = opening::host(&config);
        let mut outcomes = Vec::new();
        thread::scope(|scope| {
            let send = |channel: &Channel| {
                let message = Message::test(&channel.name, &host, now_s);
                channel.send(&message, now_s)
            };
            let sending: Vec<_> = channels
                .iter()
                .map(|channel| (&channel.name, scope.spawn(move || send(channel))))
                .collect();
            for (name, sent) in sending {
                let sent = sent.join();
                outcomes.push((name, sent.unwrap_or(Err("it broke off".to_owned()))));
            }
        });
        let mut failed = 0;
        for (name, outcome) in &outcomes {
            match outcome {
                Ok(()) => print(format_args!("ok    {name}  sent"))?,
                Err(reason) => {
                    failed += 1;
                    print(format_args!("fail  {name}  {reason}"))?;
                }
            }
        }
        match failed {
            0 => Ok(()),
            failed => Err(Error::Untold {
                failed,
                tried: outcomes.len(),
            }),
        }
    }

    /// The channels to try, of which there must be one.
    fn channels(&self, config: &VaultConfig) -> Result<Vec<Channel>> {
        let is_meant = |name: &str| self.channel.as_ref().is_none_or(|meant| meant == name);
        let meant: Vec<_> = config
            .notify
            .iter()
            .filter(|channel| is_meant(channel.name.as_str()))
            .cloned()
            .collect();
        match (meant.is_empty(), &self.channel) {
            (false, _) => notify::open_all(&meant, &opening::host(config)),
            (true, Some(name)) => Err(Error::Unknown {
                what: "channel",
                name: name.clone(),
            }),
            (true, None) => Err(Error::Refused {
                reason: format!(
                    "no channel is configured; write a [[notify]] into {}",
                    self.which.config.display()
                ),
            }),
        }
    }
}

impl List {
    fn run(&self) -> Result<()> {
        let vault = self.which.open()?;
        let mut before = None;
        for _ in 0..MOST_PAGES {
            let page = vault.notices(before)?;
            for row in &page {
                let seen = row.acknowledged_ms.map(time);
                if self.json {
                    print_json(&json!({
                        "id": row.id,
                        "kind": row.notice.kind.word(),
                        "level": row.notice.level.word(),
                        "subject": row.notice.subject,
                        "body": row.notice.body,
                        "at": time(row.made_at_ms),
                        "repeated": row.repeated,
                        "acknowledged": seen,
                        "acknowledged_by": row.acknowledged_by,
                    }))?;
                    continue;
                }
                let repeated = match row.repeated {
                    0 => String::new(),
                    more => format!(", {more} more times"),
                };
                let seen = seen.map_or_else(String::new, |_| "; acknowledged".to_owned());
                print(format_args!(
                    "{}  {}  {} {}: {}{repeated}{seen}",
                    row.id,
                    time(row.made_at_ms),
                    row.notice.level.word(),
                    row.notice.kind.word(),
                    row.notice.subject
                ))?;
            }
            before = page.last().map(|row| row.id);
            if before.is_none() || !self.all {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Acknowledge {
    fn run(&self) -> Result<()> {
        let vault = self.which.open()?;
        let Some(id) = self.notice else {
            let count = vault.acknowledge_all_notices(None)?;
            return print(format_args!("Acknowledged: {count} notices"));
        };
        match vault.acknowledge_notice(id, None)? {
            true => print(format_args!("Acknowledged: {id}")),
            false => print(format_args!("Somebody has acknowledged {id} before")),
        }
    }
}
