//! What can go wrong in a vault, told so that a client gets the right answer and an operator the
//! next step.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use strongroom_model::{ConfigError, FileName, RepositoryPath};

/// The result of a vault's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database failed, or cannot be reached; nothing was changed.
    #[error("The database failed to {action}: {reason}")]
    Database {
        /// What was tried, as `commit`.
        action: String,
        /// What the driver says, without secrets.
        reason: String,
    },
    /// The database was written by a newer version of this program.
    #[error("The database has schema {found}, and this program knows only up to {known}")]
    NewerSchema {
        /// The schema that was found.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The storage of bodies failed.
    #[error(transparent)]
    Storage(#[from] strongroom_store::Error),
    /// No token, one that is not known, or one that does not count any more.
    #[error("The token is not known here, or it has expired or was revoked")]
    Unauthorized,
    /// A token that may not do this.
    #[error("The token {token} may not {action}")]
    Forbidden {
        /// The name of the token.
        token: String,
        /// What was asked for.
        action: String,
    },
    /// There is no such file, as far as the asker may see.
    #[error("There is no {name} in {repository}")]
    NotFound {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// There is no such repository, token or other record.
    #[error("There is no {what} {name:?}")]
    Unknown {
        /// What was looked for, as `repository`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// `config` is there already, with other bytes.
    #[error("{repository} has another config already; it is written once")]
    ConfigIsThere {
        /// The repository.
        repository: RepositoryPath,
    },
    /// An operator has hidden the file.
    #[error("{name} of {repository} was hidden by an operator, who alone brings it back")]
    Hidden {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// Bytes that are not what their name says, or no file of their type.
    #[error("The bytes sent as {name} are refused: {reason}")]
    BadBytes {
        /// The file.
        name: FileName,
        /// Why.
        reason: String,
    },
    /// A file larger than is taken.
    #[error("{name} is larger than the {limit_bytes} bytes that a file of its type may have")]
    TooLarge {
        /// The file.
        name: FileName,
        /// The limit.
        limit_bytes: u64,
    },
    /// There is no room, or a quota is used up.
    #[error("There is no room: {reason}")]
    Full {
        /// Which bound was met.
        reason: String,
    },
    /// Somebody else is at work on the same file; the client shall ask again.
    #[error("{name} of {repository} is being purged; ask again")]
    Busy {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// The log cannot be published: its files are not what was signed.
    #[error("The log cannot be published: {reason}")]
    Log {
        /// What is wrong.
        reason: String,
    },
    /// The vault is sealed, or several people would have to agree.
    #[error("This is refused: {reason}")]
    Refused {
        /// Why, and what would be needed.
        reason: String,
    },
    /// A configuration with mistakes.
    #[error("{}: {problems}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The mistakes.
        problems: ConfigError,
    },
    /// Something on this machine.
    #[error("Cannot {action}")]
    Local {
        /// What was tried, as a verb phrase.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("Cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Plain HTTP where others could read what is said.
    #[error("Plain HTTP on {address} would show tokens to everybody on the way")]
    PlainHttp {
        /// The address.
        address: SocketAddr,
    },
    /// A certificate or its key cannot be used.
    #[error("The certificate {}: {reason}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A folder that `init` would have to overwrite.
    #[error("There is a vault in {} already", .folder.display())]
    VaultExists {
        /// The folder.
        folder: PathBuf,
    },
    /// An upload that is larger than what is taken.
    #[error("The upload has more than {most_bytes} bytes")]
    UploadTooLarge {
        /// What is taken.
        most_bytes: u64,
    },
    /// An upload that stood still, or came too slowly.
    #[error("The upload came too slowly")]
    UploadStalled,
    /// An upload that ended before its end.
    #[error("The upload broke off: {reason}")]
    UploadBroken {
        /// What the protocol says.
        reason: String,
    },
    /// A vault in which something is broken; what it is was told one by one.
    #[error("The vault is not sound: {failed} checks failed")]
    Unsound {
        /// How many checks failed.
        failed: usize,
    },
    /// Work that did not come to its end; the log has more.
    #[error("The work was not finished")]
    Unfinished,
}

impl Error {
    /// Wraps what the operating system says, for `map_err`.
    pub fn local(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Local { action, source }
    }

    /// The next step for a person, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint(),
            Self::Log { .. } => Some(
                "strongroom-vault log verify says which file is wrong; put it back from a backup \
                 of this very folder. Where there is none, or the database was restored from an \
                 earlier state: strongroom-vault log begin-new --help"
                    .to_owned(),
            ),
            Self::Hidden { .. } => Some("strongroom-vault unhide --help".to_owned()),
            Self::NewerSchema { .. } => {
                Some("install the newest strongroom-vault, or restore its database".to_owned())
            }
            Self::Listen { address, source } => Some(match source.kind() {
                io::ErrorKind::AddrInUse => format!(
                    "something else listens there: ss -ltnp 'sport = :{}' shows what",
                    address.port()
                ),
                io::ErrorKind::PermissionDenied => {
                    "listen on a port from 1024 on, or let systemd give the right to it".to_owned()
                }
                _ => "write an address of this machine: listen = [\"0.0.0.0:8000\"]".to_owned(),
            }),
            Self::PlainHttp { .. } => Some(
                "leave --no-tls out (the vault makes its own certificate), or listen on \
                 127.0.0.1:8000 and let a proxy in front speak TLS"
                    .to_owned(),
            ),
            Self::Certificate { path, .. } => Some(format!(
                "openssl x509 -noout -subject -in {} shows whether it is one; without [tls] in \
                 vault.toml the vault makes its own",
                strongroom_model::shell::quoted(path)
            )),
            Self::VaultExists { folder } => Some(format!(
                "strongroom-vault serve --config {}",
                strongroom_model::shell::quoted(folder.join("vault.toml"))
            )),
            _ => None,
        }
    }
}
