//! A client that signs receipts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread::yield_now;

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use strongroom_model::attack::{DrilledCopy, PlaceKind, SignedDrill, Statement, Verdict};
use strongroom_model::receipt::{NeedsChange, Signature, Version, Work};
use strongroom_model::{FileName, FileType, Id, Needs, Receipt, SignedReceipt};
use strongroom_vault::vault::{Accepted, Principal, ReceiptTaken, ReceiptUpload};
use strongroom_vault::{Result, Vault};

use crate::vault::scene::{Scene, repository};

/// A client and its key.
pub(crate) struct Client(SigningKey);

impl Client {
    /// A client like no other of another number.
    pub(crate) fn new(number: u8) -> Self {
        Self(SigningKey::from_bytes(&[number; 32]))
    }

    pub(crate) fn id(&self) -> Id {
        Id::of(self.0.verifying_key().as_bytes())
    }

    /// A receipt of the source `repos`.
    pub(crate) fn receipt(
        &self,
        snapshot: FileName,
        parent: Option<Id>,
        needs: NeedsChange,
    ) -> Receipt {
        Receipt {
            version: Version,
            snapshot: snapshot.id().unwrap(),
            tree: Id::of(b"tree"),
            source: "repos".parse().unwrap(),
            host: "web1".to_owned(),
            client: self.id(),
            parent,
            time: "2026-11-23T04:00:00Z".parse().unwrap(),
            needs,
            copies: BTreeMap::new(),
            work: Work::default(),
        }
    }

    pub(crate) fn sign(&self, receipt: &Receipt) -> SignedReceipt {
        SignedReceipt::new(receipt, |message| {
            Signature::from_bytes(self.0.sign(message).to_bytes())
        })
        .unwrap()
    }

    /// The statement of a drill of one copy; its id, and what is sent.
    pub(crate) fn drill(&self, verdict: Verdict) -> (Id, serde_json::Value) {
        let statement = Statement {
            version: Version,
            client: self.id(),
            host: "web1".to_owned(),
            at: "2026-11-23T04:00:00Z".parse().unwrap(),
            copies: vec![DrilledCopy {
                copy: "vault".to_owned(),
                store: "rest:https://vault.test/acme/repos/".to_owned(),
                place: PlaceKind::Vault,
                principal: None,
                verdict,
                reason: "withstood".to_owned(),
                certain: true,
                tried: Vec::new(),
            }],
        };
        let signed = SignedDrill::new(&statement, |message| {
            Signature::from_bytes(self.0.sign(message).to_bytes())
        })
        .unwrap();
        let key = BASE64.encode(self.0.verifying_key().as_bytes());
        let sent = serde_json::json!({ "key": key, "drill": signed });
        (signed.id(), sent)
    }

    /// What is sent.
    pub(crate) fn request(&self, signed: &SignedReceipt) -> Vec<u8> {
        let key = BASE64.encode(self.0.verifying_key().as_bytes());
        serde_json::to_vec(&serde_json::json!({ "key": key, "receipt": signed })).unwrap()
    }

    /// Sends a receipt; returns its id and what the vault makes of it.
    pub(crate) fn send(
        &self,
        scene: &Scene,
        who: &Principal,
        receipt: &Receipt,
    ) -> Result<(Id, Accepted)> {
        let signed = self.sign(receipt);
        let accepted = send_bytes(&scene.vault, scene, who, &self.request(&signed))?;
        Ok((signed.id(), accepted))
    }
}

pub(crate) fn send_bytes(
    vault: &Vault,
    scene: &Scene,
    who: &Principal,
    bytes: &[u8],
) -> Result<Accepted> {
    let length_bytes = Some(bytes.len() as u64);
    let mut upload = vault.begin_receipt(who, &repository(), length_bytes, scene.folder.path())?;
    for step in bytes.chunks(100_000) {
        upload.write(step)?;
    }
    accept(upload)
}

/// Takes a receipt in that has come, when no other one of its source is on its way.
pub(crate) fn accept(mut upload: ReceiptUpload) -> Result<Accepted> {
    loop {
        let mut waiting = match upload.take()? {
            ReceiptTaken::Stands(accepted) => return Ok(accepted),
            ReceiptTaken::Waits(waiting) => waiting,
        };
        upload = loop {
            match waiting.look()? {
                ControlFlow::Break(upload) => break upload,
                ControlFlow::Continue(again) => waiting = again,
            }
            yield_now();
        };
    }
}

/// What a first snapshot of these files needs.
pub(crate) fn needs(files: &[FileName], config: &[u8]) -> Needs {
    let of = |kind: FileType| {
        let some = files.iter().filter(|name| name.kind() == kind);
        some.filter_map(|name| name.id()).collect()
    };
    Needs {
        packs: of(FileType::Data),
        index: of(FileType::Index),
        keys: of(FileType::Keys),
        config: Id::of(config),
    }
}

/// The difference to nothing.
pub(crate) fn first(needs: &Needs) -> NeedsChange {
    NeedsChange::between(&Needs::default(), needs)
}
