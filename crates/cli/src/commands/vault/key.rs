//! `strongroom vault key`.

use clap::Subcommand;
use serde_json::json;
use strongroom_model::{Id, RepositoryPath};

use crate::commands::vault::admin::{At, field, items};
use crate::commands::vault::repository::path;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};

/// The keys that wait to be let into a repository
///
/// Whoever can write to a vault can put a key file there, and whoever has its password could then
/// open the repository. So a key that comes after the repository was made is stored and not listed
/// until somebody admits it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Admit(Admit),
}

/// List the keys that wait
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct List {
    #[command(flatten)]
    at: At,
    /// The repository
    #[arg(value_name = "PATH")]
    repository: RepositoryPath,
}

/// Let a key in: only one of which you know whose it is
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Admit {
    #[command(flatten)]
    at: At,
    /// The repository
    #[arg(value_name = "PATH")]
    repository: RepositoryPath,
    /// The key
    #[arg(value_name = "ID")]
    key: Id,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::List(args) => args.run(context),
            Command::Admit(Admit {
                at,
                repository,
                key,
            }) => {
                let path = path(&repository, &format!("keys/{key}/admit"));
                let done = format!("{key} is let into {repository}");
                at.act(context, &path, &json!({}), "let a key in", &done)
            }
        }
    }
}

impl List {
    fn run(self, context: &Context) -> Result<Exit> {
        let admin = self.at.admin(context)?;
        let answer = admin.get("v1/repositories", "list its repositories")?;
        let found = items(&answer, "repositories")
            .into_iter()
            .find(|item| field(item, &["repository"]) == self.repository.as_str());
        let Some(found) = found else {
            return Err(Error::NoSuchRepository {
                path: self.repository.to_string(),
            });
        };
        let output = &context.output;
        let keys = items(&found, "pending_keys");
        for key in &keys {
            let id = key.as_str().unwrap_or_default();
            output.data(&format!("{}\n", crate::output::visible(id)))?;
            output.object(&json!({"message_type": "pending_key", "key": key}))?;
        }
        output.object(&json!({
            "message_type": "summary",
            "repository": self.repository,
            "pending_keys": keys.len(),
        }))?;
        Ok(Exit::Done)
    }
}
