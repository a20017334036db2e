//! A repository behind restic's REST protocol: rest-server, rclone, or a vault.
//!
//! What can go wrong: the answer to an upload is lost after the file was stored (so: every try
//! looks first whether the very bytes are there), a connection breaks in mid-file (the stream goes
//! on where it was), a server is slow, lies about lengths or never ends (so: limits on time, rate
//! and size). A redirect is never followed: it would carry the password to another host.

mod admin;
mod attacks;
mod client;
mod json;
pub mod listing;
mod options;
mod pin;
mod retry;
mod stream;
mod tls;
mod vault;

use std::fmt;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileEntry, FileName, FileType, Fingerprint, Id};
use url::Url;

use crate::exact::read_exactly;
use crate::rest::client::{Client, Extent};
use crate::rest::listing::Listed;
use crate::rest::retry::{Attempts, Fault};
use crate::rest::stream::Stream;
use crate::store::{STEP_BYTES, Store, list_config, read_limit_bytes};
use crate::{Attacks, Error, Result};

pub use crate::rest::admin::VaultAdmin;
pub(crate) use crate::rest::options::without_userinfo;
pub use crate::rest::options::{RestOptions, Retries, Timeouts};
pub(crate) use crate::rest::retry::SLICE;
pub(crate) use crate::rest::stream::INTERRUPTED_WAIT;
pub(crate) use crate::rest::tls::read_ca_file;
pub use crate::rest::vault::{Hello, Sent, VaultClient};

/// The protocol's second version, whose listings tell sizes.
const LISTING_TYPE: &str = "application/vnd.x.restic.rest.v2";

/// A repository on a REST server.
pub struct RestStore {
    client: Arc<Client>,
    attempts: Attempts,
    root: String,
    path: String,
    list_limit: fn(FileType) -> usize,
}

impl fmt::Debug for RestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RestStore")
            .field(&self.client.location())
            .finish()
    }
}

/// The certificate of a server, in PEM, where it is the pinned one: for programs that know of
/// authorities alone. Each step may take as long as `limit`.
///
/// # Errors
/// [`Error::Address`] where the address cannot be used, [`Error::Unreachable`] where the server does
/// not answer, or shows another certificate.
pub fn pinned_certificate(url: &Url, pinned: Fingerprint, limit: Duration) -> Result<String> {
    let address = options::Address::parse(url)?;
    let tls = pin::PinnedTls::new(pinned).map_err(|reason| Error::Address {
        address: address.location.clone(),
        reason,
    })?;
    let fetched = tls.fetch(&address.host, address.port, limit);
    fetched.map_err(|error| Error::Unreachable {
        location: address.location,
        reason: error.to_string(),
    })
}

impl RestStore {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Address`] where the URL or the CA file cannot be used.
    pub fn new(options: RestOptions) -> Result<Self> {
        let address = options::Address::parse(&options.url)?;
        Ok(Self {
            attempts: Attempts {
                location: address.location.clone(),
                retries: options.retries,
                cancelled: options.cancelled.clone(),
            },
            root: address.root(),
            path: address.path().to_owned(),
            list_limit: options.list_limit,
            client: Arc::new(Client::new(address, &options)?),
        })
    }

    /// What asks the vault behind the address, where there may be one: a vault has its
    /// repositories in one or two folders with plain names.
    pub fn vault(&self) -> Option<VaultClient> {
        let repository = self.path.parse().ok()?;
        let (client, attempts) = (Arc::clone(&self.client), self.attempts.clone());
        Some(VaultClient::new(
            client,
            attempts,
            self.root.clone(),
            repository,
        ))
    }

    /// The size of a file; `None` where there is none.
    fn stored_size(&self, name: FileName) -> Result<Option<u64>, Fault> {
        match self.client.size(name) {
            Ok(size_bytes) => Ok(Some(size_bytes)),
            Err(Fault::Final(Error::NotFound { .. })) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Whether a name stands for exactly these bytes; `None` where it is free.
    fn holds(&self, name: FileName, bytes: &[u8]) -> Result<Option<bool>, Fault> {
        let Some(size_bytes) = self.stored_size(name)? else {
            return Ok(None);
        };
        if size_bytes != bytes.len() as u64 {
            return Ok(Some(false));
        }
        let (body, length_bytes) = self.client.get(name, None)?;
        let stored = read_exactly(body, length_bytes.min(size_bytes))
            .map_err(|error| Fault::again(error.to_string()))?;
        Ok(Some(stored == bytes))
    }

    /// Uploads, and where the server refuses looks whether it holds the very bytes already.
    fn upload(&self, name: FileName, bytes: &[u8], try_number: u32) -> Result<Upload, Fault> {
        match self.client.post(name, bytes, try_number > 0) {
            Ok(()) => Ok(Upload::Stored),
            Err(Fault::Final(refusal @ (Error::Denied { .. } | Error::Exists { .. }))) => {
                match self.holds(name, bytes)? {
                    Some(true) => Ok(Upload::Stored),
                    Some(false) => Ok(Upload::Taken),
                    None => Err(Fault::Final(refusal)),
                }
            }
            Err(fault) => Err(fault),
        }
    }

    /// Opens the bytes of `range`, or all, and tells how many there are.
    fn stream(&self, name: FileName, range: Option<Range<u64>>) -> Result<(Stream<'_>, u64)> {
        let first = range.as_ref().map_or(0, |range| range.start);
        let furthest = range.as_ref().map_or(0, |range| range.end.max(first));
        if i64::try_from(furthest).is_err() {
            // No file is that large, and servers take such a range for nonsense.
            return Err(self.short_file(name));
        }
        let (body, length_bytes) = self.attempts.run(|_| match &range {
            // HTTP cannot ask for no bytes; but the file must reach that far.
            Some(range) if range.end <= range.start => {
                match self.client.size(name)? < range.start {
                    true => Err(Fault::Final(self.short_file(name))),
                    false => Ok((None, 0)),
                }
            }
            _ => self
                .client
                .get(name, range.clone())
                .map(|(body, length_bytes)| (Some(body), length_bytes)),
        })?;
        let end = first.checked_add(length_bytes);
        let end = end.ok_or_else(|| self.short_file(name))?;
        let stream = Stream::new(&self.client, &self.attempts, name, body, first..end);
        Ok((stream, length_bytes))
    }

    /// Reads all of what [`RestStore::stream`] opens, within the limit.
    fn read_whole(&self, name: FileName, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let (stream, length_bytes) = self.stream(name, range)?;
        let limit_bytes = read_limit_bytes(name.kind());
        if length_bytes > limit_bytes {
            return Err(Error::TooLarge {
                name,
                location: self.location().to_owned(),
                limit_bytes,
            });
        }
        read_exactly(stream, length_bytes).map_err(|error| {
            error
                .downcast::<Error>()
                .unwrap_or_else(|error| Error::Unreachable {
                    location: self.location().to_owned(),
                    reason: error.to_string(),
                })
        })
    }

    fn short_file(&self, name: FileName) -> Error {
        Error::ShortFile {
            name,
            location: self.location().to_owned(),
        }
    }

    fn exists(&self, name: FileName) -> Error {
        Error::Exists {
            name,
            location: self.location().to_owned(),
        }
    }
}

/// What became of an upload that was not refused.
enum Upload {
    /// The bytes are there.
    Stored,
    /// Other bytes are there, and the server keeps them.
    Taken,
}

impl Store for RestStore {
    fn location(&self) -> &str {
        self.client.location()
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        Some(self)
    }

    fn time(&self) -> Option<SystemTime> {
        self.client.time()
    }

    fn create(&self) -> Result<()> {
        self.attempts.run(|_| self.client.create())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        if kind == FileType::Config {
            return list_config(self.size(FileName::CONFIG));
        }
        let listed = self.attempts.run(|_| {
            self.client
                .list(kind, (self.list_limit)(kind), Extent::Whole)
        })?;
        match listed {
            Listed::Entries(entries) => Ok(entries),
            // The protocol's first version tells names alone.
            Listed::Names(ids) => {
                let mut entries = Vec::with_capacity(ids.len());
                for id in ids {
                    self.attempts.check()?;
                    let name = FileName::new(kind, id);
                    if let Some(size_bytes) = self.attempts.run(|_| self.stored_size(name))? {
                        entries.push(FileEntry { id, size_bytes });
                    }
                }
                Ok(entries)
            }
        }
    }

    /// No size is asked for, where the server tells names alone.
    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        let listed = match kind {
            FileType::Config => Listed::Entries(self.list(kind)?),
            _ => self.attempts.run(|_| {
                self.client
                    .list(kind, (self.list_limit)(kind), Extent::First)
            })?,
        };
        Ok(match listed {
            Listed::Entries(entries) => entries.into_iter().map(|entry| entry.id).collect(),
            Listed::Names(ids) => ids,
        })
    }

    fn size(&self, name: FileName) -> Result<u64> {
        self.attempts.run(|_| self.client.size(name))
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let (stream, _) = self.stream(name, range)?;
        Ok(Box::new(BufReader::with_capacity(STEP_BYTES, stream)))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.read_whole(name, None)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.read_whole(name, Some(range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        // Some servers overwrite what is there without a word, so each try looks first. That also
        // finds what a try stored whose answer was lost.
        self.attempts
            .run(|try_number| match self.holds(name, bytes)? {
                Some(true) => Ok(()),
                Some(false) => Err(Fault::Final(self.exists(name))),
                None => match self.upload(name, bytes, try_number)? {
                    Upload::Stored => Ok(()),
                    Upload::Taken => Err(Fault::Final(self.exists(name))),
                },
            })
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.attempts.run(|try_number| {
            if let Upload::Taken = self.upload(name, bytes, try_number)? {
                // What is removed here is wrong and of no use to anybody.
                self.client.delete(name)?;
                self.client.post(name, bytes, false)?;
            }
            Ok(())
        })
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.attempts.run(|_| self.client.delete(name))
    }
}
