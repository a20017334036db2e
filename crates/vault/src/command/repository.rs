//! `strongroom-vault repository`: what is kept here, and for how long.

use strongroom_model::{ByteSize, Period, RepositoryPath};
use strongroom_vault::config::VaultConfig;
use strongroom_vault::people::Who;
use strongroom_vault::rules::purge::Tombstones;
use strongroom_vault::vault::Longer;
use strongroom_vault::{Error, Result, opening, wire};

use crate::command::{Which, print, print_json, refused, spoken};

/// The repositories of the vault
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(List),
    Set(Set),
    AgreeToPurge(Agree),
}

/// List the repositories
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Keep things longer, or bound what a repository may hold
///
/// Retention and grace are only ever raised here.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["retention", "grace", "quota", "new"])]
pub(crate) struct Set {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
    /// How long everything that arrives is kept, as 60d
    #[arg(long, value_name = "PERIOD")]
    retention: Option<Period>,
    /// How long what was asked to be deleted is kept
    #[arg(long, value_name = "PERIOD")]
    grace: Option<Period>,
    /// The most that it may hold, as 2TiB
    #[arg(long, value_name = "SIZE")]
    quota: Option<ByteSize>,
    /// Make it, where there is none yet
    #[arg(long)]
    new: bool,
}

/// Agree to many deletions of one day, so that purging goes on
///
/// To how many is said, and which leaf the newest one is of, as repository list and doctor show both:
/// where others were asked for meanwhile, nothing is agreed to.
#[derive(Debug, clap::Args)]
pub(crate) struct Agree {
    #[command(flatten)]
    which: Which,
    /// The repository
    repository: RepositoryPath,
    /// How many tombstones were looked at
    #[arg(long, value_name = "NUMBER")]
    tombstones: u64,
    /// The leaf of the newest of them; nothing where there are none
    #[arg(long, value_name = "LEAF")]
    newest_tombstone: Option<u64>,
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::List(args) => args.run(),
            Self::Set(args) => args.run(),
            Self::AgreeToPurge(args) => {
                let (vault, path) = (args.which.open()?, args.repository);
                let looked_at = Tombstones {
                    count: args.tombstones,
                    newest: args.newest_tombstone,
                };
                let agreed = vault.agree_to_purge(Who::Folder, &path, looked_at);
                match refused(&vault, agreed, Some(&path))? {
                    true => print(format_args!("Purging of {path} goes on")),
                    false => print(format_args!("Purging of {path} was not held")),
                }
            }
        }
    }
}

impl List {
    fn run(&self) -> Result<()> {
        for overview in self.which.open()?.overviews()? {
            if self.json {
                print_json(&wire::repository(&overview))?;
                continue;
            }
            let repository = &overview.repository;
            let keeping = repository.keeping;
            let held = match repository.purge_held_ms {
                Some(_) => {
                    "; purging is held: many deletions in a day, or of what nothing opens without"
                }
                None => "",
            };
            print(format_args!(
                "{}  {} objects, {}; {}; kept {} after arrival and {} after deletion{held}",
                repository.path,
                repository.objects,
                ByteSize::from_bytes(repository.bytes).spoken(),
                overview.tombstones,
                spoken(keeping.retention_ms),
                spoken(keeping.grace_ms),
            ))?;
        }
        Ok(())
    }
}

impl Set {
    fn run(&self) -> Result<()> {
        let config = self.which.config()?;
        let vault = opening::open(&config)?;
        let path = &self.repository;
        let known = vault.repositories()?;
        let is_new = !known.iter().any(|known| known.path == *path);
        if is_new && !self.new {
            return Err(Error::NoRepository {
                name: path.clone(),
                nearest: nearest(path, known.into_iter().map(|known| known.path)),
            });
        }
        if is_new {
            self.check_new(&config)?;
            vault.add_repository(Who::Folder, path)?;
        }
        let longer = Longer {
            retention_ms: self.retention.map(Period::milliseconds),
            grace_ms: self.grace.map(Period::milliseconds),
        };
        let kept = refused(
            &vault,
            vault.keep_longer(Who::Folder, path, longer),
            Some(path),
        )?;
        if let Some(quota) = self.quota {
            vault.set_quota(Who::Folder, path, Some(quota.bytes()))?;
        }
        let now = vault.repositories()?;
        let quota = now.iter().find(|known| known.path == *path);
        let quota = quota.and_then(|known| known.quota_bytes);
        let made = match is_new {
            true => "is made",
            false => "is set",
        };
        print(format_args!(
            "{path} {made}: kept {} after arrival and {} after deletion; {}",
            spoken(kept.retention_ms),
            spoken(kept.grace_ms),
            match quota {
                Some(bytes) => format!("at most {}", ByteSize::from_bytes(bytes)),
                None => "no quota".to_owned(),
            }
        ))
    }
}

impl Set {
    /// Refuses what would be refused once the repository is made, before it is.
    fn check_new(&self, config: &VaultConfig) -> Result<()> {
        let is_lower = |wanted: Option<Period>, default: Period| {
            wanted.is_some_and(|wanted| wanted.milliseconds() < default.milliseconds())
        };
        if !is_lower(self.retention, config.retention) && !is_lower(self.grace, config.grace) {
            return Ok(());
        }
        Err(Error::Refused {
            reason: format!(
                "{} is not made: as vault.toml says, a new repository keeps things {} after arrival \
                 and {} after deletion, and that is only ever raised; say no less, or nothing",
                self.repository,
                spoken(config.retention.milliseconds()),
                spoken(config.grace.milliseconds()),
            ),
        })
    }
}

/// The path that was probably meant: the one that takes the fewest changes, and not many.
fn nearest(
    path: &RepositoryPath,
    known: impl Iterator<Item = RepositoryPath>,
) -> Option<RepositoryPath> {
    let with_distance = known.map(|known| (distance(path.as_str(), known.as_str()), known));
    let close = with_distance.filter(|(distance, _)| *distance <= MOST_CHANGES);
    close
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// So many changes are still a typing error.
const MOST_CHANGES: usize = 3;

/// How many characters have to be changed, left out or put in, after Levenshtein.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, character) in one.chars().enumerate() {
        let mut next = vec![place + 1];
        for (before, known) in row.windows(2).zip(&other) {
            let [across, above] = before else { continue };
            let left = next.last().copied().unwrap_or_default();
            let changed = across + usize::from(*known != character);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_that_was_meant_is_found_and_a_stranger_is_not() {
        let known = || {
            let paths = ["acme/repos", "acme/reports", "beta"];
            paths.into_iter().map(|path| path.parse().unwrap())
        };
        let found = |path: &str| {
            let found = nearest(&path.parse().unwrap(), known());
            found.map(|path: RepositoryPath| path.to_string())
        };
        assert_eq!(found("acme/repoz").as_deref(), Some("acme/repos"));
        assert_eq!(found("acme/report").as_deref(), Some("acme/reports"));
        assert_eq!(found("something/else"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
