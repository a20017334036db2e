//! What can go wrong in a vault, told so that a client gets the right answer and an operator the
//! next step.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use strongroom_model::ConfigError;

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
