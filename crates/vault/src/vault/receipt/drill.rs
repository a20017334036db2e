//! Statements of drills: what a client signs of its attacks on its own copies.
//!
//! The vault keeps none of it but a leaf: that there was such a statement, of which client, when,
//! and what it claims in two numbers. So whoever shows the statement later cannot have made it up
//! by then, and nobody can have taken it back.
//!
//! What can go wrong: statements without end. Each counts as a receipt does, before anything is
//! made of it.

use data_encoding::BASE64;
use strongroom_model::attack::SignedDrill;
use strongroom_model::{Id, RepositoryPath};

use crate::records::client_keys::{self, PublicKey, Sent};
use crate::records::leaves::{self, Act};
use crate::rules::right;
use crate::vault::authentication::Principal;
use crate::vault::receipt::{day, holds};
use crate::vault::{Vault, usage};
use crate::{Error, Result, chain};

impl Vault {
    /// Takes the statement of a drill that this key, in base64, has signed; returns the SHA-256 of
    /// what was signed. The key is bound to the token, as by a receipt.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Unknown`], [`Error::DayIsOver`], [`Error::OtherClient`];
    /// [`Error::Unauthorized`] where the token was ended meanwhile; [`Error::Malformed`] where form or
    /// signature is wrong; those of the database.
    pub fn take_drill(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        key: &str,
        drill: &SignedDrill,
    ) -> Result<Id> {
        principal.authorise(right::Act::Report, path)?;
        let repository = self.repository(path)?;
        let (token, now) = (principal.token, self.now());
        let bytes = drill.to_json().map_err(malformed)?.len() as u64;
        self.shared.commits.commit(move |transaction| {
            let one = Sent {
                receipts: 1,
                bytes,
                ..Sent::default()
            };
            let sent = day::with(transaction, token, now, one)?;
            client_keys::set_sent(transaction, token, sent)
        })?;
        let key = public_key(key)?;
        let client = Id::of(&key);
        let verified = drill
            .verify_by(client, |message, signature| holds(&key, message, signature))
            .map_err(malformed)?;
        let copies = verified.claim().copies.iter();
        let proven = copies.clone().filter(|copy| copy.verdict.is_proven());
        let act = Act::Drill {
            repository: repository.path,
            drill: verified.id(),
            client,
            token: principal.name.clone(),
            copies: copies.count() as u64,
            proven: proven.count() as u64,
        };
        let name = principal.name.clone();
        self.shared.commits.commit(move |transaction| {
            // What is sent slowly takes a while.
            usage::allowance(transaction, token, now.vault_ms)?;
            match client_keys::get(transaction, token)? {
                Some(bound) if bound != key => {
                    return Err(Error::OtherClient {
                        token: name.clone(),
                    });
                }
                Some(_) => {}
                None => {
                    client_keys::bind(transaction, token, &key, now.vault_ms)?;
                    let bound = Act::ClientKey {
                        token: name.clone(),
                        client,
                    };
                    leaves::append(transaction, now, &bound)?;
                }
            }
            leaves::append(transaction, now, &act)?;
            Ok(())
        })?;
        Ok(verified.id())
    }
}

fn public_key(text: &str) -> Result<PublicKey> {
    let bytes = BASE64.decode(text.as_bytes()).ok();
    let key = bytes.and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| Error::Malformed {
        what: "drill",
        reason: "its key is not 32 bytes in base64".to_owned(),
    })
}

fn malformed(error: strongroom_model::Error) -> Error {
    Error::Malformed {
        what: "drill",
        reason: chain(&error),
    }
}
