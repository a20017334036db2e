//! Whose a bucket is, with which key it is asked, and by which key it encrypts. Clients ask it of
//! the buckets of their copies, and a vault of the one in which its objects lie.
//!
//! What can go wrong: a bucket belongs to another account than its key (so: its owner is asked for,
//! and the account of the key counts only where the server says that the bucket is in it), the right
//! to see the owner is missing (so: the owner of any file of ours stands in, which any listing
//! tells), and a server says nothing (then nothing is known, and nothing is claimed).
//!
//! **Security:** a server can name any owner. One that lies about its own is ruled by somebody whom
//! no comparison finds; what it says takes nothing from what else is known.

use aws_credential_types::provider::ProvideCredentials;
use data_encoding::BASE32_NOPAD;
use strongroom_model::Account;
use strongroom_model::blast::{Exposure, PlaceKey};

use crate::Holder;
use crate::attacks::in_one_line;
use crate::s3::check::BucketFlaw;
use crate::s3::client::Bucket;
use crate::s3::store::S3Store;

impl S3Store {
    /// Asks for what can be had with few requests; what fails tells nothing.
    pub(super) fn ask_holder(&self) -> Holder {
        let holder = self.bucket().ask_holder();
        // Without a key of our own nothing can be asked.
        let key = holder.credential.and_then(|_| self.key_in_use());
        Holder { key, ..holder }
    }

    /// The key of an account by which the bucket encrypts, where it shows one.
    fn key_in_use(&self) -> Option<PlaceKey> {
        let flaws = self.check_encryption().ok()?;
        flaws.into_iter().find_map(|flaw| match flaw {
            BucketFlaw::KeyOfAccount { key } => {
                Some(PlaceKey::named(key.map(|key| in_one_line(&key))))
            }
            _ => None,
        })
    }
}

impl Bucket {
    /// With which key it is asked, and whose it is; what fails tells nothing.
    pub(super) fn ask_holder(&self) -> Holder {
        let identity = self.identity.as_ref().and_then(|identity| {
            let given = self.wait_unless_interrupted(identity.provide_credentials());
            given.and_then(Result::ok)
        });
        let Some(identity) = identity else {
            return Holder::default();
        };
        let key = identity.access_key_id();
        let mut accounts = Vec::new();
        if self.endpoint.is_none() {
            let told = identity.account_id().map(|id| id.as_str().to_owned());
            let number = told.or_else(|| account_of_key(key));
            accounts.extend(number.filter(|number| self.is_owned_by(number)));
        }
        let accounts = accounts.into_iter().map(|number| format!("aws:{number}"));
        let owner = self.owner().map(|owner| match &self.endpoint {
            None => format!("aws-owner:{owner}"),
            Some(endpoint) => format!("{}/owner:{owner}", without_scheme(endpoint)),
        });
        Holder {
            credential: Some(Exposure::credential_of_key(key)),
            accounts: accounts
                .chain(owner)
                .filter_map(|account| account.parse::<Account>().ok())
                .collect(),
            key: None,
        }
    }

    /// Whether the bucket is in the account of this number, which Amazon answers with a refusal where
    /// it is not.
    fn is_owned_by(&self, number: &str) -> bool {
        let request = self.client.head_bucket().bucket(&self.name);
        let asked = self.answer(request.expected_bucket_owner(number).send());
        asked.is_ok()
    }

    /// Who owns the bucket, or else one of our files in it, as the server calls him.
    fn owner(&self) -> Option<String> {
        let request = self.client.get_bucket_acl().bucket(&self.name);
        if let Ok(told) = self.answer(request.send())
            && let Some(owner) = told.owner().and_then(|owner| owner.id())
        {
            return Some(owner.to_owned());
        }
        let request = self.client.list_objects_v2().bucket(&self.name);
        let request = request.prefix(self.folder()).fetch_owner(true);
        let page = self.answer(request.max_keys(1).send()).ok()?;
        let owner = page.contents().first()?.owner()?.id()?;
        Some(owner.to_owned())
    }
}

/// The account in which an access key of Amazon's was made, which its name holds: 40 bits behind the
/// first of what stands, in base 32, behind four letters of its kind. Those from before 2019 hold
/// something else.
fn account_of_key(key: &str) -> Option<String> {
    let (kind, rest) = key.split_at_checked(4)?;
    if !matches!(kind, "AKIA" | "ASIA") {
        return None;
    }
    let bytes = BASE32_NOPAD.decode(rest.as_bytes()).ok()?;
    let first: [u8; 6] = bytes.get(..6)?.try_into().ok()?;
    let number = first
        .into_iter()
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(byte));
    let account = (number & 0x7fff_ffff_ff80) >> 7;
    Some(format!("{account:012}"))
}

/// A server by its host and port alone: both ways to reach it lead to the same one.
fn without_scheme(endpoint: &str) -> &str {
    endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_key_holds_its_account() {
        let of = |key: &str| account_of_key(key);
        // The example of those who found it out.
        assert_eq!(of("ASIAQNZGKIQY56JQ7WML").as_deref(), Some("029608264753"));
        for other in [
            "",
            "AKI",
            "owner-key",
            "AROAQNZGKIQY56JQ7WML",
            "AKIA",
            "AKIA!!!!!!!!!!!!!!!!",
            "ÄÖÜ",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_server_is_named_without_the_way_to_it() {
        assert_eq!(without_scheme("https://s3.example:7480"), "s3.example:7480");
        assert_eq!(without_scheme("s3.example"), "s3.example");
    }
}
