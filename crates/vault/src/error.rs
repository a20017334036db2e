//! What can go wrong in a vault, told so that a client gets the right answer and an operator the
//! next step.

mod hint;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use strongroom_model::{ConfigError, FileName, Id, RepositoryPath};

use crate::rules::purge::Tombstones;

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
    /// The database is one of an older version of this program, under which others may be at work.
    #[error("The database has schema {found}, and this program has {known}")]
    OlderSchema {
        /// The schema that was found.
        found: i64,
        /// The one of this program.
        known: i64,
    },
    /// A process serves by an older schema, which it would be wrong to bring forward beneath it.
    #[error(
        "The database has schema {found}, by which another process serves, and this program has \
         {known}"
    )]
    OlderServes {
        /// The schema that was found.
        found: i64,
        /// The one of this program.
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
    /// A token that has as many locks as it may.
    #[error(
        "The token holds {most} locks already, as many as one may: give each machine a token of its \
         own, or remove old locks (restic unlock)"
    )]
    TooManyLocks {
        /// How many.
        most: u64,
    },
    /// A storage that was not looked at since the start, and may be another than that of the vault; the
    /// client shall ask again.
    #[error("It is not known yet whether the storage is that of the vault; ask again")]
    StorageInDoubt,
    /// Somebody else is at work on the same file; the client shall ask again.
    #[error("{name} of {repository} is being purged; ask again")]
    Busy {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// A file was asked to be deleted while it came again; who still wants it puts it again.
    #[error("{name} of {repository} was deleted while it came; put it again where it is wanted")]
    DeletedMeanwhile {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
    },
    /// A receipt or a request that makes no sense, or whose signature does not hold.
    #[error("The {what} is refused: {reason}")]
    Malformed {
        /// What it is, as `receipt`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A receipt whose parent was never sent here.
    #[error("Receipt {receipt} builds on {parent}, which is not known here")]
    UnknownParent {
        /// The receipt.
        receipt: Id,
        /// The one before it.
        parent: Id,
    },
    /// A receipt by another client than the one that the token is bound to.
    #[error("The token {token} is bound to the key of another client")]
    OtherClient {
        /// The name of the token.
        token: String,
    },
    /// A token has sent as much as it may in a day.
    #[error("The token has sent as many {what} as it may in a day")]
    DayIsOver {
        /// What it has sent too much of, as `receipts`.
        what: &'static str,
        /// When to ask again.
        pause_s: u64,
    },
    /// An object that was deleted and came again more often in a day than anybody means.
    #[error(
        "{name} of {repository} was deleted and came again {most} times today; it can be deleted \
         again when the day is over"
    )]
    TooManyLives {
        /// The repository.
        repository: RepositoryPath,
        /// The file.
        name: FileName,
        /// How often that may be.
        most: u64,
        /// When to ask again.
        pause: Duration,
    },
    /// A token asks for a deletion, and has put and deleted as much as it may in a day.
    #[error(
        "The token has put and deleted as much as it may in a day; it may again at {until}, by the \
         vault's clock"
    )]
    DayIsUsedUp {
        /// When the next day begins, by vault time.
        until: Timestamp,
        /// When to ask again.
        pause: Duration,
    },
    /// A token takes more of the server than one may.
    #[error("The token {token} takes too much: {what}")]
    Throttled {
        /// The name of the token.
        token: String,
        /// Of what, as `requests under way`.
        what: &'static str,
        /// When to ask again.
        pause: Duration,
    },
    /// A token that has as many receipts on their way as one may.
    #[error(
        "The token has {most} receipts on their way, as many as one may; send the next when one of \
         them has come"
    )]
    TooManyReceipts {
        /// How many.
        most: u64,
    },
    /// Too much of a kind is on its way; the client shall ask again.
    #[error("Too many {what} are on their way; ask again")]
    Crowded {
        /// Of what, as `receipts`.
        what: &'static str,
    },
    /// An act that found nothing to act on, which nobody may take for the deed.
    #[error("{reason}")]
    NothingDone {
        /// What was not found, and what to look at.
        reason: String,
    },
    /// An act on very many objects, of which the contrary was asked for before it was done.
    #[error(
        "The {deed} was taken back after {objects} objects, because the contrary was asked for \
         meanwhile"
    )]
    TakenBack {
        /// What was to be done, as `hide`.
        deed: &'static str,
        /// How many objects it was until then.
        objects: u64,
    },
    /// An act on very many objects that the process leaves to others, because it stops.
    #[error(
        "This process of the vault stops after {objects} objects; the rest is done by another, or \
         when it serves again"
    )]
    Stopping {
        /// How many objects it was until then.
        objects: u64,
    },
    /// A receipt that the process does not take in to its end, because it stops.
    #[error("This process of the vault stops before the receipt was taken in; send it again")]
    ReceiptLeft,
    /// Others change the same all the time; the client shall ask again.
    #[error("Others change {what} at the same time; ask again")]
    Contended {
        /// What is changed.
        what: &'static str,
    },
    /// A job whose lease another process has taken meanwhile; nothing of it happens here.
    #[error("Another process does the job {job} by now")]
    LeaseLost {
        /// The name of its lease.
        job: &'static str,
    },
    /// The key that signs the log is not the one that all processes of the vault sign with.
    #[error("The key {} is not that of the log: {reason}", .path.display())]
    OtherKey {
        /// The file of the key.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The log cannot be published: its files are not what was signed.
    #[error("The log cannot be published: {reason}")]
    Log {
        /// What is wrong.
        reason: String,
    },
    /// Another log has taken the place of the one that this process knows.
    #[error("The vault has begun its log {log}, and this process knows only an earlier one")]
    OtherLog {
        /// Which it is now; counts from 1.
        log: u64,
    },
    /// The vault is sealed, or several people would have to agree.
    #[error("This is refused: {reason}")]
    Refused {
        /// Why, and what would be needed.
        reason: String,
    },
    /// A wall clock that is far from what is recorded, and that nobody says he has looked at.
    #[error(
        "The wall clock shows {wall}, and the time that is recorded is {recorded}; who believes \
         the wall clock must have seen what it shows"
    )]
    WallClock {
        /// What the wall clock shows.
        wall: Timestamp,
        /// What is recorded.
        recorded: Timestamp,
    },
    /// The key of a log that the database does not know.
    #[error(
        "{} is the key of log {later}, a later log, and the database knows only log {known}",
        .key.display()
    )]
    LaterKey {
        /// The file.
        key: PathBuf,
        /// Which log it is for.
        later: u64,
        /// Which log the database has.
        known: u64,
    },
    /// A new log of which it is not known whether it began.
    #[error("Whether log {number} has begun is not known: {reason}")]
    LogInDoubt {
        /// Which log it is.
        number: u64,
        /// Its key, which stays.
        key: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// More to catch up than the vault was off.
    #[error(
        "Vault time cannot catch up {wanted_s} s: of the time that the vault was seen to be off, \
         {may_s} s are left"
    )]
    CatchUp {
        /// What was asked for.
        wanted_s: i64,
        /// What there is.
        may_s: i64,
    },
    /// More than a day to catch up, by somebody who does not say what time it is.
    #[error(
        "Vault time shall catch up {wanted_s} s, and with what it caught up within a day that is \
         more than a day, which brings purging nearer: nobody has said what time it is"
    )]
    CatchUpUnseen {
        /// What was asked for.
        wanted_s: i64,
    },
    /// Something else was deleted by now than somebody agreed to.
    #[error("{repository} has {found} by now; what was agreed to are {agreed}")]
    OtherTombstones {
        /// The repository.
        repository: RepositoryPath,
        /// What there is.
        found: Tombstones,
        /// What was looked at.
        agreed: Tombstones,
    },
    /// A repository that is not there, and may be another's name mistyped.
    #[error("There is no repository {name}")]
    NoRepository {
        /// Its path.
        name: RepositoryPath,
        /// The path that was probably meant.
        nearest: Option<RepositoryPath>,
    },
    /// There is no configuration.
    #[error("There is no {}", .path.display())]
    NoConfig {
        /// The file.
        path: PathBuf,
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
        /// Whether it was tried in the vault's own folder, or with its `vault.toml`.
        is_of_vault: bool,
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
    /// Somebody who is not signed in, whatever he has shown: what was wrong is for the log alone.
    #[error("That is not right, or it was used before")]
    NotSignedIn,
    /// Too many wrong guesses; the same for a name that nobody has.
    #[error("Too many guesses were wrong")]
    Guessed {
        /// For how long no further one is looked at.
        pause: Duration,
    },
    /// What a browser sends as signed is not what was asked for, or was used before.
    #[error("What the passkey signed is not what was asked for, or came too late")]
    NotSigned,
    /// The rules for people do not permit it.
    #[error(transparent)]
    NotPermitted(#[from] strongroom_access::Refusal),
    /// Channels that could not be sent to; which was told one by one.
    #[error("Nobody is told over {failed} of {tried} channels")]
    Untold {
        /// How many failed.
        failed: usize,
        /// Of how many.
        tried: usize,
    },
    /// Work that did not come to its end; the log has more.
    #[error("The work was not finished")]
    Unfinished,
}

impl Error {
    /// Wraps what the operating system says, for `map_err`.
    pub fn local(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        Self::with_action(action.into(), false)
    }

    /// The same, of what lies in the vault's own folder and belongs to whom the vault runs as.
    pub fn of_vault(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        Self::with_action(action.into(), true)
    }

    fn with_action(action: String, is_of_vault: bool) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Local {
            action,
            is_of_vault,
            source,
        }
    }
}
