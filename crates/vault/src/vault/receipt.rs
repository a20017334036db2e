//! Receipts: what a client signs of its snapshots, taken in, checked, and kept in the order in
//! which they come.
//!
//! **Security:** a receipt is a claim by production, and whoever took production over can sign
//! one. So when it comes it only ever adds: it makes the vault keep what it names, as long as the
//! snapshot is stored, and shows what is missing. What an older one named counts as before, until
//! long afterwards this one may take its place (see [`replacement`](crate::vault::replacement)).
//!
//! What can go wrong: a claim that is made to cost. Its size, the files that it changes and the
//! number of them in a day are bounded for each token, and counted before anything is made of what
//! was sent, so that one that is refused has cost its sender as much as one that is taken. A large
//! one waits on the disk, and not in memory, for its turn.

mod day;
mod drill;
mod parts;
mod spool;
mod taking;
mod waiting;

use std::io::{BufReader, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use data_encoding::BASE64;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, de};
use strongroom_access::Act as Permitted;
use strongroom_model::receipt::{Signature, VerifiedReceipt};
use strongroom_model::{Id, RepositoryPath, SignedReceipt};
use tempfile::{SpooledTempFile, spooled_tempfile_in};

use crate::people::{Who, allow};
use crate::records::client_keys::{self, PublicKey, Sent};
use crate::records::leaves::{self, Act};
use crate::records::repositories::Repository;
use crate::rules::right;
use crate::vault::Vault;
use crate::vault::authentication::Principal;
use crate::vault::many::known_token;
use crate::vault::usage::Room;
use crate::{Error, Result, chain};

pub(super) use parts::TakenBack;
pub(super) use spool::Spool;
pub use waiting::{RECEIPT_WAIT, WaitingReceipt};

use spool::Part;
use taking::Taking;

/// The most bytes of a receipt as it is sent: one of a million new packs.
pub const LARGEST_BYTES: u64 = 64 << 20;

/// A receipt that is smaller waits in memory.
const IN_MEMORY_BYTES: usize = 256 << 10;

/// The most keys that a receipt names.
const MOST_KEYS: usize = 1_000;

/// The longest name of a host.
const LONGEST_HOST: usize = 255;

/// A receipt that is being sent. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct ReceiptUpload {
    vault: Vault,
    principal: Principal,
    repository: Repository,
    file: SpooledTempFile,
    bytes: u64,
    room: Room,
    /// The folder that it waits in where it is large, and what it takes of it.
    spool: PathBuf,
    part: Part,
    /// Whether it is counted that it was sent.
    is_spent: bool,
    /// Until when it waits for others of its source; known when it has to.
    until: Option<Instant>,
}

/// What comes of a receipt that has its turn.
#[derive(Debug)]
pub enum ReceiptTaken {
    /// It stands.
    Stands(Accepted),
    /// Another one of its source is on its way in, for which it waits; to be tried again then.
    Waits(Box<WaitingReceipt>),
}

/// What the vault makes of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The receipt.
    pub receipt: Id,
    /// The snapshot that it is of.
    pub snapshot: Id,
    /// How many files of what it names are missing here, the snapshot itself among them.
    pub missing: u64,
}

impl Vault {
    /// Begins to take a receipt; `length_bytes` is what the sender declares. What is large is
    /// written into a nameless file in the folder `spool` meanwhile.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Unknown`], [`Error::UploadTooLarge`],
    /// [`Error::TooManyReceipts`], [`Error::DayIsOver`], [`Error::Full`]; those of the database.
    pub fn begin_receipt(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        length_bytes: Option<u64>,
        spool: &Path,
    ) -> Result<ReceiptUpload> {
        principal.authorise(right::Act::Report, path)?;
        check_size(length_bytes.unwrap_or_default())?;
        let (token, now) = (principal.token, self.now());
        let part = self.shared.spool.begin(token)?;
        let repository = self.repository(path)?;
        self.read(|transaction| {
            let one = Sent {
                receipts: 1,
                ..Sent::default()
            };
            day::with(transaction, token, now, one).map(drop)
        })?;
        let room = self.take_room(path, token, length_bytes)?;
        room.under_way().check_quota(&repository)?;
        Ok(ReceiptUpload {
            vault: self.clone(),
            principal: principal.clone(),
            repository,
            file: spooled_tempfile_in(IN_MEMORY_BYTES, spool),
            bytes: 0,
            room,
            spool: spool.to_owned(),
            part,
            is_spent: false,
            until: None,
        })
    }

    /// Lets the client's key of a token go, so that another may be bound; tells whether there was
    /// one.
    ///
    /// # Errors
    /// [`Error::Unknown`]; those of the database.
    pub fn forget_client_key(&self, who: Who, name: &str) -> Result<bool> {
        let (now, name) = (self.now(), name.to_owned());
        self.shared.commits.commit(move |transaction| {
            let token = known_token(transaction, &name)?;
            let forget = Permitted::ForgetClientKey {
                token: name.clone(),
            };
            let _permit = allow(transaction, now, who, forget)?;
            let Some(key) = client_keys::get(transaction, token.id)? else {
                return Ok(false);
            };
            client_keys::forget(transaction, token.id)?;
            let act = Act::ClientKeyForgotten {
                token: name.clone(),
                client: Id::of(&key),
            };
            leaves::append(transaction, now, &act)?;
            Ok(true)
        })
    }
}

impl ReceiptUpload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::UploadTooLarge`], [`Error::Full`], [`Error::Crowded`]; [`Error::Local`] where they
    /// cannot be kept.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        check_size(self.bytes)?;
        if self.room.grow_to(self.bytes, false) {
            self.vault.check_disk()?;
        }
        let under_way = self.room.under_way();
        under_way.check_quota(&self.repository)?;
        if self.is_large() {
            let reserve_bytes = self.vault.shared.settings.reserve_bytes;
            self.part.grow_to(self.bytes, &self.spool, reserve_bytes)?;
        }
        let written = self.file.write_all(bytes);
        written.map_err(Error::local("keep a receipt that is being sent"))
    }

    /// Whether it is so large that few of them should be read at a time.
    pub fn is_large(&self) -> bool {
        self.bytes > IN_MEMORY_BYTES as u64
    }

    /// Takes the receipt in, when all of it has come; one that is known already changes nothing. Where
    /// it has to wait for another one, nothing of it is kept in memory meanwhile but what was sent.
    ///
    /// # Errors
    /// [`Error::Malformed`] where form or signature is wrong or it does not continue its chain,
    /// [`Error::UnknownParent`], [`Error::OtherClient`], [`Error::DayIsOver`], [`Error::Full`],
    /// [`Error::Contended`]; [`Error::Unauthorized`] where the token was ended meanwhile; those of
    /// the database.
    pub fn take(mut self) -> Result<ReceiptTaken> {
        if !self.is_spent {
            self.spend()?;
            self.is_spent = true;
        }
        Ok(match self.read()?.take()? {
            ControlFlow::Break(accepted) => ReceiptTaken::Stands(accepted),
            ControlFlow::Continue(lineage) => {
                ReceiptTaken::Waits(Box::new(WaitingReceipt::new(self, lineage)))
            }
        })
    }

    /// Reads what was sent, whose signature must hold.
    fn read(&mut self) -> Result<Taking> {
        let rewound = self.file.seek(SeekFrom::Start(0));
        rewound.map_err(Error::local("read a receipt that was sent"))?;
        let sent: Request =
            serde_json::from_reader(BufReader::new(&mut self.file)).map_err(malformed)?;
        let Key(key) = sent.key;
        let verified = sent
            .receipt
            .verify_by(Id::of(&key), |message, signature| {
                holds(&key, message, signature)
            })
            .map_err(malformed)?;
        check_bounds(&verified)?;
        let envelope = sent.receipt.to_json().map_err(malformed)?;
        Ok(Taking {
            vault: self.vault.clone(),
            principal: self.principal.clone(),
            repository: self.repository.path.clone(),
            key,
            verified: Arc::new(verified),
            envelope: Arc::new(envelope),
        })
    }

    /// Counts that it was sent, whatever comes of it.
    fn spend(&self) -> Result<()> {
        let (token, now) = (self.principal.token, self.vault.now());
        let sent = Sent {
            receipts: 1,
            bytes: self.bytes,
            ..Sent::default()
        };
        self.vault.shared.commits.commit(move |transaction| {
            let sent = day::with(transaction, token, now, sent)?;
            client_keys::set_sent(transaction, token, sent)
        })
    }
}

/// What is sent: the key in full, of which the receipt names the digest, and the receipt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    key: Key,
    receipt: SignedReceipt,
}

struct Key(PublicKey);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        let key = bytes.try_into();
        key.map(Self)
            .map_err(|_| de::Error::custom("a key has 32 bytes"))
    }
}

fn check_size(bytes: u64) -> Result<()> {
    match bytes > LARGEST_BYTES {
        true => Err(Error::UploadTooLarge {
            most_bytes: LARGEST_BYTES,
        }),
        false => Ok(()),
    }
}

/// Fails where a receipt is signed and yet of no use.
fn check_bounds(verified: &VerifiedReceipt) -> Result<()> {
    let receipt = verified.receipt();
    let refused = |reason: String| {
        Err(Error::Malformed {
            what: "receipt",
            reason,
        })
    };
    if receipt.needs.keys.len() > MOST_KEYS {
        return refused(format!("it names more than {MOST_KEYS} keys"));
    }
    let host = &receipt.host;
    if host.len() > LONGEST_HOST || host.chars().any(char::is_control) {
        return refused(format!(
            "its host is no name of at most {LONGEST_HOST} bytes"
        ));
    }
    Ok(())
}

/// Whether the owner of a public key signed this message.
fn holds(public: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    // Strict: no weak keys, and one signature only for each message and key.
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

fn malformed(error: impl std::error::Error) -> Error {
    Error::Malformed {
        what: "receipt",
        reason: chain(&error),
    }
}
