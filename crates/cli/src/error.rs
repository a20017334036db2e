//! What ends the program early: each with its exit status and the next command to type.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use strongroom_engine::known::UnseenSnapshot;
use strongroom_model::shell::quoted;
use strongroom_model::{ConfigError, Id};

use crate::config_file::Fault;
use crate::exit::Exit;

/// The result of a command.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An error that ends the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] strongroom_engine::Error),
    /// A store could not even be prepared.
    #[error("The copy {copy} cannot be used")]
    Copy {
        /// The copy.
        copy: String,
        /// Why.
        source: strongroom_store::Error,
    },
    /// A vault is sealed, so that nothing is forgotten or pruned anywhere.
    #[error("The vault of {copy} is sealed: nothing is forgotten or pruned, on no copy")]
    Sealed {
        /// The copy.
        copy: String,
    },
    /// No configuration was found.
    #[error("There is no configuration")]
    NoConfig {
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A configuration with mistakes.
    #[error("{}: {problems}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The mistakes.
        problems: ConfigError,
    },
    /// A configuration that was found by looking, and that somebody else could have written.
    #[error("{} was found here, and what it says would run as you: {fault}", .path.display())]
    UntrustedConfig {
        /// The file.
        path: PathBuf,
        /// Who could have.
        fault: Fault,
    },
    /// No source of that name is configured.
    #[error("There is no source {name}")]
    NoSource {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No copy of that name is configured.
    #[error("There is no copy {name}")]
    NoSuchCopy {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A copy that no vault holds, as far as can be told.
    #[error("{copy} is held by no vault: {reason}")]
    NotAVault {
        /// The copy.
        copy: String,
        /// Why.
        reason: String,
    },
    /// A key in log_witnesses that nothing can be verified with.
    #[error("The witness {name} of the copy {copy} cannot be used: {reason}")]
    Witness {
        /// The copy.
        copy: String,
        /// The name of its key.
        name: String,
        /// Why.
        reason: String,
    },
    /// A vault that does not have a repository.
    #[error("The vault has no repository {path}")]
    NoSuchRepository {
        /// What was asked for.
        path: String,
    },
    /// Asking a vault to be administered failed.
    #[error(transparent)]
    Admin(#[from] strongroom_store::Error),
    /// The vault of a trial.
    #[error(transparent)]
    Vault(Box<strongroom_vault::Error>),
    /// Nobody can be asked whether the log of a vault is to be accepted.
    #[error("Nobody can be asked here whether the log is to be accepted")]
    NobodyToAsk,
    /// Something else was typed.
    #[error("Nothing was accepted")]
    NotAccepted,
    /// `latest` would be an older snapshot than the newest that is known to exist.
    #[error("{newer}")]
    Withheld {
        /// The newest.
        newer: Box<UnseenSnapshot>,
        /// The command that was typed, with ID for the snapshot.
        usage: String,
        /// The newest that is there, and when it was made.
        here: Option<(Id, Timestamp)>,
    },
    /// A file that should be an earlier checkpoint of a log.
    #[error("{} is not a checkpoint of this log", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        source: strongroom_ledger::Error,
    },
    /// No password was given, and nobody can be asked.
    #[error("There is no password")]
    NoPassword,
    /// What should give the password does not.
    #[error("{what} gives no password: {reason}")]
    Password {
        /// The file or command.
        what: String,
        /// Why.
        reason: String,
    },
    /// What should give another secret does not.
    #[error("{} does not hold {kind}: {reason}", .path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What it should hold, as a noun.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// Buckets that cannot keep what nobody may destroy.
    #[error("No bucket may be used that cannot keep its lock: {}", .flaws.join("; "))]
    Buckets {
        /// For each its copy and what is wrong with it.
        flaws: Vec<String>,
        /// What would mend them, in their order.
        commands: Vec<String>,
    },
    /// A working area in the folder that is tried, or around it.
    #[error("The working area {} and {} lie one inside the other", .area.display(), .dir.display())]
    Overlap {
        /// The working area.
        area: PathBuf,
        /// The folder that is tried.
        dir: PathBuf,
    },
    /// Something on this machine.
    #[error("Cannot {action}")]
    Local {
        /// What was tried, as a verb phrase.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output is closed or full.
    #[error("Cannot write to standard output")]
    Output(#[source] io::Error),
}

impl From<strongroom_vault::Error> for Error {
    fn from(error: strongroom_vault::Error) -> Self {
        Self::Vault(Box::new(error))
    }
}

impl Error {
    /// Wraps what the operating system says, for `map_err`.
    pub(crate) fn local(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Local { action, source }
    }

    /// What it means where the user has interrupted or not: copies that gave up their waiting for
    /// that are no reason of their own.
    pub(crate) fn after(self, interrupted: bool) -> Self {
        use strongroom_engine::Error as Engine;
        match self {
            Self::Engine(Engine::NoCopy { .. } | Engine::UnseenCopies { .. }) if interrupted => {
                Self::Engine(Engine::Interrupted)
            }
            other => other,
        }
    }

    /// Whether no copy has any key, so that no password is to blame.
    pub(crate) fn is_without_key(&self) -> bool {
        use strongroom_engine::Error as Engine;
        use strongroom_repo::Error as Repo;
        matches!(
            self,
            Self::Engine(Engine::Repo(Repo::WrongPassword { keys: 0, .. }))
        )
    }

    /// The exit status that it means.
    pub(crate) fn exit(&self) -> Exit {
        use strongroom_engine::Error as Engine;
        use strongroom_repo::Error as Repo;
        use strongroom_store::Error as Store;
        match self {
            Self::Engine(
                Engine::Interrupted
                | Engine::Store(Store::Cancelled { .. })
                | Engine::Repo(Repo::Store(Store::Cancelled { .. })),
            )
            | Self::Copy {
                source: Store::Cancelled { .. },
                ..
            }
            | Self::Admin(Store::Cancelled { .. }) => Exit::Interrupted,
            Self::Engine(Engine::Repo(Repo::NoRepository { .. })) => Exit::NoRepository,
            Self::Engine(Engine::Repo(Repo::WrongPassword { .. })) => Exit::WrongPassword,
            Self::Engine(Engine::Locked { .. } | Engine::BeingDrilled { .. }) => Exit::Locked,
            Self::NoSource { .. } | Self::NoSuchCopy { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// The next step for a person, where there is one.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Copy { source, .. } | Self::Admin(source) => source.hint(),
            Self::Vault(error) => error.hint(),
            Self::NoSuchCopy { known, .. } => {
                Some(format!("strongroom.toml has: {}", known.join(", ")))
            }
            Self::NotAVault { copy, .. } => Some(format!(
                "see what its address is in strongroom.toml, and whether it can be reached; if {copy} \
                 is on a plain REST server, there is nothing to ask"
            )),
            Self::Witness { .. } => Some(
                "ask who runs the witness for its key, and write that in log_witnesses: \
                 strongroom-vault witness show prints it there"
                    .to_owned(),
            ),
            Self::NobodyToAsk => Some(
                "look at it on a terminal, or, when those who run the vault have said that they \
                 restored it, say --yes-the-vault-was-restored"
                    .to_owned(),
            ),
            Self::Checkpoint { source, .. } => source.hint(),
            Self::Sealed { .. } => Some(
                "somebody has reason to fear an intruder: its operators know, and when others have \
                 agreed to open the seal, run this again. Backups and restores go on"
                    .to_owned(),
            ),
            Self::NoConfig { searched } => {
                let paths: Vec<_> = searched.iter().map(|path| path.display().to_string()).collect();
                Some(format!(
                    "write one of {}, or say --config PATH; to see it work with nothing set up: \
                     strongroom try DIR",
                    paths.join(", ")
                ))
            }
            Self::UntrustedConfig { path, fault } => Some(format!(
                "read it; if you trust it: {}, or name it: --config {}",
                fault.mend(),
                quoted(path)
            )),
            Self::NoSource { known, .. } => {
                Some(format!("strongroom.toml has: {}", known.join(", ")))
            }
            Self::Withheld { newer, usage, here } => Some(match here {
                Some((id, time)) => format!(
                    "{}; the newest that is there is of {time:.0}: {}",
                    newer.hint(),
                    usage.replace("ID", &id.short()),
                ),
                None => newer.hint(),
            }),
            Self::Buckets { commands, .. } => Some(format!(
                "let whoever rules the bucket type this, never with the credentials that are used \
                 here; PRODUCTION is to say whose these are (arn:aws:iam::NUMBER:user/NAME, on a \
                 Ceph arn:aws:iam:::user/NAME), and put-bucket-policy replaces a policy that is \
                 there. Then write the bucket into strongroom.toml, where it is a new one, and: \
                 strongroom init\n{}",
                commands.join("\n")
            )),
            Self::Overlap { .. } => Some("say where else to work: --at PATH".to_owned()),
            Self::NoPassword => Some(
                "write password_file = \"/etc/strongroom/password\" at the top of strongroom.toml, \
                 or set STRONGROOM_PASSWORD"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_interruption_looks_like_its_status_is_130() {
        let cancelled = || strongroom_store::Error::Cancelled {
            location: "rest:http://h/".to_owned(),
        };
        let no_copy = || strongroom_engine::Error::NoCopy { reasons: vec![] };
        let repo = strongroom_repo::Error::Store(cancelled());
        for error in [
            Error::Engine(strongroom_engine::Error::Interrupted),
            Error::Engine(strongroom_engine::Error::Store(cancelled())),
            Error::Engine(strongroom_engine::Error::Repo(repo)),
            Error::Copy {
                copy: "vault".to_owned(),
                source: cancelled(),
            },
            Error::Engine(no_copy()).after(true),
        ] {
            assert_eq!(error.exit(), Exit::Interrupted, "{error:?}");
        }
        let error = Error::Engine(no_copy()).after(false);
        assert_eq!(error.exit(), Exit::Failed);
    }
}
