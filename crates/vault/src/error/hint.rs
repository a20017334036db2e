//! The next step for each error that a person can mend.
//!
//! What can go wrong: a hint names a command that there is not. A test reads the commands out of
//! this source and parses each.

use std::io;

use crate::Error;

impl Error {
    /// The next step for a person, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint(),
            Self::Log { .. } => Some(
                "`strongroom-vault log verify` says which file is wrong; put it back from a backup \
                 of this very folder. Where there is none, or the database was restored from an \
                 earlier state: strongroom-vault log begin-new --help"
                    .to_owned(),
            ),
            Self::LaterKey { key, later, .. } => Some(format!(
                "where a log begin-new was interrupted, nothing was signed with it and no log~{later} \
                 lies beside the bodies: remove {} and start again. Else the database was restored \
                 from an earlier state: strongroom-vault log begin-new --help",
                key.display()
            )),
            Self::LogInDoubt { key, .. } => Some(format!(
                "its key stays, {}: when the database answers, see which log it has by \
                 strongroom-vault log key; where it is the new one, start the vault",
                key.display()
            )),
            Self::OtherLog { .. } => Some(
                "restart it, after the folder keys of the machine on which the new log was begun \
                 was copied here"
                    .to_owned(),
            ),
            Self::OtherKey { .. } => Some(
                "all processes of a vault sign with one key: copy the folder keys of the process \
                 that was first, before this one is started"
                    .to_owned(),
            ),
            Self::WallClock { .. } => Some(
                "put the machine's clock right; then, with the time by another clock than this \
                 machine's: strongroom-vault clock confirm --wall TIME"
                    .to_owned(),
            ),
            Self::CatchUp { may_s, .. } if *may_s > 0 => Some(
                "--catch-up no more than that, and no more than you know that the vault was off"
                    .to_owned(),
            ),
            Self::CatchUpUnseen { .. } => Some(
                "where you know that the vault was off for so long, add the time by another clock \
                 than this machine's: --wall TIME"
                    .to_owned(),
            ),
            Self::OlderSchema { .. } => Some(
                "restart the vault first, which brings it up to date: systemctl restart \
                 strongroom-vault"
                    .to_owned(),
            ),
            Self::OlderServes { .. } => Some(
                "stop all processes of the older version, on all machines, and start this one then; \
                 one that was killed counts as there for 30 s"
                    .to_owned(),
            ),
            Self::NoRepository { name, nearest } => Some(match nearest {
                Some(nearest) => format!(
                    "was {nearest} meant? To make a new one: strongroom-vault repository set \
                     {name} --new"
                ),
                None => format!("to make it: strongroom-vault repository set {name} --new"),
            }),
            Self::Unknown {
                what: "repository", ..
            } => Some("strongroom-vault repository list".to_owned()),
            Self::Unknown { what: "token", .. } => Some("strongroom-vault token list".to_owned()),
            Self::Database { .. } => Some(
                "is it there, and has its disk room? To look at all of it: strongroom-vault doctor"
                    .to_owned(),
            ),
            Self::NoConfig { .. } => Some(
                "say --config PATH or set STRONGROOM_VAULT_CONFIG; a new vault is made by: \
                 strongroom-vault init DIR"
                    .to_owned(),
            ),
            Self::OtherTombstones {
                repository, found, ..
            } => {
                let options = found.options();
                Some(format!(
                    "look at them; then strongroom-vault repository agree-to-purge {repository} \
                     {options}"
                ))
            }
            Self::Hidden { .. } => Some("strongroom-vault unhide --help".to_owned()),
            Self::NothingDone { .. } => Some(
                "see strongroom-vault repository list, strongroom-vault token list; times are in UTC"
                    .to_owned(),
            ),
            Self::TakenBack { .. } => Some(
                "find out who asked for the contrary; where it shall be done all the same, ask for \
                 it again"
                    .to_owned(),
            ),
            Self::Stopping { .. } => Some(
                "nothing has to be asked for again: whoever serves goes on with it within seconds"
                    .to_owned(),
            ),
            Self::UnknownParent { parent, .. } => Some(format!(
                "send the receipts of the chain again, from {parent} on"
            )),
            Self::OtherClient { token } => Some(format!(
                "send receipts with a token of the client's own; or, where its key was replaced on \
                 purpose, on the vault: strongroom-vault token forget-client-key {token}"
            )),
            Self::DayIsUsedUp { .. } => Some(
                "where it shall do more in a day: strongroom-vault token set --help".to_owned(),
            ),
            Self::Throttled { .. } => Some(
                "ask again when Retry-After says so; [limits] of vault.toml says what a token may \
                 take"
                    .to_owned(),
            ),
            Self::TooManyReceipts { .. } => Some(
                "send one after the other, and give each machine a token of its own".to_owned(),
            ),
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
            Self::Local {
                is_of_vault: true,
                source,
                ..
            } if source.kind() == io::ErrorKind::PermissionDenied => Some(
                "the vault's folder belongs to the user that the vault runs as: type commands as \
                 that user, under systemd as the first lines of its unit say, and give him what \
                 another user has made there: chown --reference=FOLDER FILE"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_read_the_folder_hears_as_whom_to_come() {
        let told = |kind: io::ErrorKind| Error::of_vault("read keys/log.key")(kind.into()).hint();
        let hint = told(io::ErrorKind::PermissionDenied).unwrap();
        assert!(hint.contains("the user that the vault runs as"), "{hint}");
        assert_eq!(told(io::ErrorKind::NotFound), None);
        // What lies elsewhere is not given to him.
        let denied = io::ErrorKind::PermissionDenied.into();
        assert_eq!(
            Error::local("read /etc/strongroom/token")(denied).hint(),
            None
        );
    }
}
