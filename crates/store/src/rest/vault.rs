//! A vault behind a REST address, asked for what restic's protocol does not tell.
//!
//! Most REST servers are no vaults. Whatever they answer to the first question, they are used as
//! before, and nobody hears of it; so a definite "no vault" is told apart from "no telling now",
//! because whoever knows a vault here must notice when there is none any more.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_model::attack::SignedDrill;
use strongroom_model::vault::{
    ArrivalList, Consistency, DrillAnswer, ReceiptAnswer, RepositoryInfo, RottenFile, RottenList,
    SnapshotArrival, SnapshotList, VaultInfo,
};
use strongroom_model::{Id, RepositoryPath, SignedReceipt};
use ureq::http::StatusCode;

use crate::rest::client::Client;
use crate::rest::json::{Reply, refusal};
use crate::rest::retry::Attempts;
use crate::{Error, Result};

/// A few keys, a signed note, a proof of 63 hashes.
const SMALL_BYTES: u64 = 1 << 20;

/// The snapshots of a repository, some 500 bytes each.
const LIST_BYTES: u64 = 64 << 20;

/// The most pages of a list: with a thousand files each, as many as a repository has at most.
const MOST_PAGES: usize = 10_000;

/// The same for the snapshots of a repository, of which a listing names a million at most.
const MOST_ARRIVAL_PAGES: usize = 1_000;

/// A type, a slash, and 64 digits.
const LONGEST_NAME: usize = 96;

/// The largest receipt that a vault takes.
const RECEIPT_BYTES: usize = 64 << 20;

/// Asks the vault behind a REST address, with the credentials of the address.
#[derive(Clone)]
pub struct VaultClient {
    client: Arc<Client>,
    attempts: Attempts,
    /// The root of the server, with a slash at its end.
    root: String,
    repository: RepositoryPath,
}

/// Whether there is a vault behind an address.
#[derive(Debug)]
pub enum Hello {
    /// There is.
    Vault(Box<VaultInfo>),
    /// There is another server, which answers and is no vault.
    NoVault,
    /// Something answers and does not tell: a refusal, or a fault of its own.
    Withheld(Error),
    /// Nothing answers, and why.
    Away(Error),
}

/// What came of sending a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The vault has it.
    Taken(ReceiptAnswer),
    /// This one has to come first.
    Needs(Id),
}

/// A receipt on its way, with the key that it is signed by.
#[derive(Serialize)]
struct Envelope<'a> {
    key: String,
    receipt: &'a SignedReceipt,
}

/// The statement of a drill on its way, with the key that it is signed by.
#[derive(Serialize)]
struct DrillEnvelope<'a> {
    key: String,
    drill: &'a SignedDrill,
}

/// The largest statement of a drill that a vault takes, with what is around it.
const DRILL_BYTES: usize = 64 << 10;

impl VaultClient {
    pub(super) fn new(
        client: Arc<Client>,
        attempts: Attempts,
        root: String,
        repository: RepositoryPath,
    ) -> Self {
        Self {
            client,
            attempts,
            root,
            repository,
        }
    }

    /// The root of the server, without credentials: what a vault is known by here.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The repository at the address.
    pub const fn repository(&self) -> &RepositoryPath {
        &self.repository
    }

    /// Asks whether there is a vault. One more try is made, and not the many that a file is worth.
    ///
    /// **Security:** whoever answers and does not tell is told apart from what cannot be reached: the
    /// former may be a vault with something to hide.
    pub fn hello(&self) -> Hello {
        let action = "tell whether it is a vault";
        let url = format!("{}v1/vault", self.root);
        let mut has_answered = false;
        let asked = self.few_attempts().run(|_| {
            let note = || has_answered = true;
            self.client.get_json_noting(&url, action, SMALL_BYTES, note)
        });
        match asked {
            Ok(reply) if reply.status == StatusCode::OK => match reply.decode() {
                Some(info) => Hello::Vault(Box::new(info)),
                None => Hello::NoVault,
            },
            // Who may not ask is told nothing.
            Ok(reply)
                if matches!(
                    reply.status,
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                ) =>
            {
                Hello::Withheld(refusal(&reply, &self.root, action))
            }
            Ok(_) => Hello::NoVault,
            Err(error) if has_answered => Hello::Withheld(error),
            Err(error) => Hello::Away(error),
        }
    }

    /// The newest checkpoint, and the proof that leads there from `old` leaves. One more try is
    /// made and no more: a vault that withholds it must not hold up whatever else is done.
    ///
    /// # Errors
    /// [`Error::Vault`], [`Error::BadAnswer`], and where it cannot be reached.
    pub fn consistency(&self, old: u64) -> Result<Consistency> {
        let path = format!("v1/log/consistency?old={old}");
        self.get_by(&self.few_attempts(), &path, "prove its log", SMALL_BYTES)
    }

    /// What the vault says of the repository.
    ///
    /// # Errors
    /// As [`VaultClient::consistency`].
    pub fn repository_info(&self) -> Result<RepositoryInfo> {
        let path = format!("v1/repositories/{}", self.repository);
        self.get(&path, "tell of the repository", SMALL_BYTES)
    }

    /// What the vault says of the snapshots of which it has receipts.
    ///
    /// # Errors
    /// As [`VaultClient::consistency`].
    pub fn snapshots(&self) -> Result<SnapshotList> {
        let path = format!("v1/repositories/{}/snapshots", self.repository);
        self.get(&path, "list the snapshots that it knows", LIST_BYTES)
    }

    /// The files whose bytes the vault has found to be rotten, all of them.
    ///
    /// # Errors
    /// As [`VaultClient::consistency`]; also where it goes on for ever.
    pub fn rotten(&self) -> Result<Vec<RottenFile>> {
        let action = "tell what is rotten";
        let mut all: Vec<RottenFile> = Vec::new();
        let mut after = String::new();
        for _ in 0..MOST_PAGES {
            let path = format!("v1/repositories/{}/rotten{after}", self.repository);
            let page: RottenList = self.get(&path, action, SMALL_BYTES)?;
            all.extend(page.rotten);
            let Some(next) = page.next else {
                return Ok(all);
            };
            // It comes from outside, and goes into an address.
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '/';
            if next.is_empty() || next.len() > LONGEST_NAME || !next.chars().all(is_name) {
                return Err(self
                    .client
                    .bad_answer(action, "it names no file at which to go on"));
            }
            after = format!("?after={next}");
        }
        Err(self.client.bad_answer(action, "it does not come to an end"))
    }

    /// When each snapshot came that the vault shows.
    ///
    /// # Errors
    /// As [`VaultClient::consistency`]; also where it goes on for ever.
    pub fn arrivals(&self) -> Result<Vec<SnapshotArrival>> {
        let action = "tell when its snapshots came";
        let mut all: Vec<SnapshotArrival> = Vec::new();
        let mut after: Option<Id> = None;
        for _ in 0..MOST_ARRIVAL_PAGES {
            let query = after.map_or_else(String::new, |id| format!("?after={id}"));
            let path = format!("v1/repositories/{}/arrivals{query}", self.repository);
            let page: ArrivalList = self.get(&path, action, SMALL_BYTES)?;
            all.extend(page.arrivals);
            match page.next {
                None => return Ok(all),
                Some(next) if Some(next) > after => after = Some(next),
                Some(_) => return Err(self.client.bad_answer(action, "its pages do not go on")),
            }
        }
        Err(self.client.bad_answer(action, "it does not come to an end"))
    }

    /// Sends a receipt, with the public key of the client that signed it. Sending it again does no
    /// harm.
    ///
    /// # Errors
    /// As [`VaultClient::consistency`].
    pub fn send_receipt(&self, key: &[u8; 32], receipt: &SignedReceipt) -> Result<Sent> {
        let action = "take a receipt";
        let key = data_encoding::BASE64.encode(key);
        let envelope = Envelope { key, receipt };
        let reply = self.send(&self.attempts, "receipts", &envelope, RECEIPT_BYTES, action)?;
        if reply.status == StatusCode::CONFLICT
            && let Some(needs) = reply.error().needs
        {
            return Ok(Sent::Needs(needs));
        }
        self.decode(&reply, action).map(Sent::Taken)
    }

    /// Sends the statement of a drill, with the public key of the client that signed it, so that the
    /// vault's log tells of it. Sending it again does no harm.
    ///
    /// # Errors
    /// As [`VaultClient::consistency`]; also where its answer is about another one.
    pub fn send_drill(&self, key: &[u8; 32], drill: &SignedDrill) -> Result<()> {
        let action = "take the statement of a drill";
        let key = data_encoding::BASE64.encode(key);
        let envelope = DrillEnvelope { key, drill };
        let attempts = self.few_attempts();
        let reply = self.send(&attempts, "drills", &envelope, DRILL_BYTES, action)?;
        let answer: DrillAnswer = self.decode(&reply, action)?;
        match answer.drill == drill.id() {
            true => Ok(()),
            false => Err(self.client.bad_answer(action, "it names another one")),
        }
    }

    /// Sends something of the repository, which is `kind` in the address.
    fn send(
        &self,
        attempts: &Attempts,
        kind: &str,
        envelope: &impl Serialize,
        limit_bytes: usize,
        action: &str,
    ) -> Result<Reply> {
        let url = format!("{}v1/{kind}/{}", self.root, self.repository);
        let body = serde_json::to_vec(envelope);
        let body = body
            .ok()
            .filter(|body| body.len() <= limit_bytes)
            .ok_or_else(|| self.client.bad_answer(action, "it is too large to be sent"))?;
        attempts.run(|_| self.client.post_json(&url, &body, action, SMALL_BYTES))
    }

    /// One more try, and not the many that a file is worth.
    fn few_attempts(&self) -> Attempts {
        let mut attempts = self.attempts.clone();
        attempts.retries.tries = attempts.retries.tries.min(2);
        attempts
    }

    fn get<T: DeserializeOwned>(&self, path: &str, action: &str, limit_bytes: u64) -> Result<T> {
        self.get_by(&self.attempts, path, action, limit_bytes)
    }

    fn get_by<T: DeserializeOwned>(
        &self,
        attempts: &Attempts,
        path: &str,
        action: &str,
        limit_bytes: u64,
    ) -> Result<T> {
        let url = format!("{}{path}", self.root);
        let ask = |_| self.client.get_json(&url, action, limit_bytes);
        let reply = attempts.run(ask)?;
        self.decode(&reply, action)
    }

    fn decode<T: DeserializeOwned>(&self, reply: &Reply, action: &str) -> Result<T> {
        self.client.decode(reply, &self.root, action)
    }
}

impl fmt::Debug for VaultClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultClient")
            .field("root", &self.root)
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}
