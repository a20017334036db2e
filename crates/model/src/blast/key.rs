//! The key by which a place encrypts what is put there.
//!
//! A lock keeps bytes, and nobody can read them once the key is gone that encrypts them. So whoever
//! rules the key destroys the copy, in whatever account the key lies.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::account::Account;
use crate::name::Name;

/// A key of an account at a provider, as of KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceKey {
    name: Option<String>,
    account: Option<Account>,
}

/// The key of a copy, and who rules it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyHeld {
    /// What the place calls it.
    pub name: String,
    /// The domains that rule it, or are taken to.
    pub held_by: BTreeSet<Name>,
}

impl PlaceKey {
    /// A key by the name that the place has for it, where it has one: Amazon's names its account.
    pub fn named(name: Option<String>) -> Self {
        let account = name.as_deref().and_then(account_in);
        Self { name, account }
    }

    /// The account in which it lies, where its name tells that.
    pub(super) const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// What the place calls it.
    pub(super) fn spoken(&self) -> String {
        let name = self.name.as_deref();
        name.unwrap_or("the key that the provider keeps for its account")
            .to_owned()
    }
}

/// The account in a name such as `arn:aws:kms:eu-central-1:111122223333:key/…`.
fn account_in(name: &str) -> Option<Account> {
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", _, number, _]
            if !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()) =>
        {
            format!("aws:{number}").parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_key_stands_in_its_name_where_that_is_one_of_amazons() {
        let of = |name: &str| {
            let key = PlaceKey::named(Some(name.to_owned()));
            key.account().map(ToString::to_string)
        };
        assert_eq!(
            of("arn:aws:kms:eu-central-1:111122223333:key/0a-1b").as_deref(),
            Some("aws:111122223333")
        );
        assert_eq!(
            of("arn:aws-cn:kms:cn-north-1:111122223333:alias/backup:x").as_deref(),
            Some("aws:111122223333")
        );
        for other in [
            "",
            "alias/backup",
            "0a-1b",
            "arn:aws:kms:eu-central-1::key/0a",
            "arn:aws:s3:::bucket",
            "arn:aws:kms:eu-central-1:acme:key/0a",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(PlaceKey::named(None).account(), None);
    }
}
