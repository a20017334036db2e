//! Whether the copy to recover into is the copy that is recovered, under another name.
//!
//! One bucket has many addresses: with and without its region, by http and by https, through a name
//! and through a proxy. What would be written there is what hides the versions that are read; so a
//! place is looked at in every way that tells, and what does not answer tells nothing.

use std::collections::BTreeSet;

use strongroom_model::{FileName, S3Address, StoreAddress};
use strongroom_store::{Store, VersionContent};

use crate::session::CopyStore;

/// The name of what was put before there were versions, which is the same everywhere.
const NO_VERSION: &str = "null";

/// How many versions are held against each other; whoever may write makes as many as he likes.
const MOST_COMPARED: usize = 10_000;

/// Whether two copies are one place, as far as their addresses and the places themselves tell.
pub(super) fn are_one(copy: &CopyStore, other: &CopyStore) -> bool {
    let (store, other) = (copy.store.as_ref(), other.store.as_ref());
    if store.location() == other.location() {
        return true;
    }
    let addresses = (address(store), address(other));
    if let (Some(one), Some(other)) = &addresses
        && one.overlaps(other)
    {
        return true;
    }
    if let (Ok(Some(one)), Ok(Some(other))) = (store.identity(), other.identity())
        && one == other
    {
        return true;
    }
    match &addresses {
        (Some(StoreAddress::S3(one)), Some(StoreAddress::S3(two))) => {
            is_one_name(one, two) && (have_one_owner(store, other) || share_a_version(store, other))
        }
        _ => false,
    }
}

/// The address of a store, where its location is one.
fn address(store: &dyn Store) -> Option<StoreAddress> {
    store.location().parse().ok()
}

/// Whether two buckets have one name, and the repositories in them lie in one folder or one in the
/// other, whatever the servers are called.
fn is_one_name(one: &S3Address, other: &S3Address) -> bool {
    let parts = |address: &S3Address| -> Vec<String> {
        let prefix = address.prefix().split('/').filter(|part| !part.is_empty());
        prefix.map(str::to_owned).collect()
    };
    let (ours, theirs) = (parts(one), parts(other));
    one.bucket() == other.bucket() && (ours.starts_with(&theirs) || theirs.starts_with(&ours))
}

/// Whether both servers name an account that the other one names too.
fn have_one_owner(store: &dyn Store, other: &dyn Store) -> bool {
    let theirs = other.holder().accounts;
    let mut ours = store.holder().accounts.into_iter();
    ours.any(|account| theirs.contains(&account))
}

/// Whether both show one and the same version of `config`: a server gives each its own name.
fn share_a_version(store: &dyn Store, other: &dyn Store) -> bool {
    let of = |store: &dyn Store| -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        let Some(versions) = store.versions() else {
            return named;
        };
        // Of too many the same ones come first from both.
        let listed = versions.each_version_of(FileName::CONFIG, &mut |one| {
            let is_bytes = matches!(one.content, VersionContent::Bytes { .. });
            if is_bytes && one.version.as_str() != NO_VERSION && named.len() < MOST_COMPARED {
                named.insert(one.version.as_str().to_owned());
            }
            Ok(())
        });
        // What ends in the midst tells nothing.
        match listed {
            Ok(()) => named,
            Err(_) => BTreeSet::new(),
        }
    };
    !of(store).is_disjoint(&of(other))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_model::Id;
    use strongroom_testkit::MemoryStore;

    use super::*;

    fn copy(location: &str) -> (CopyStore, Arc<MemoryStore>) {
        let store = Arc::new(MemoryStore::at(location));
        let copy = CopyStore {
            name: location.to_owned(),
            store: store.clone(),
            is_local: false,
        };
        (copy, store)
    }

    #[test]
    fn one_bucket_under_two_addresses_is_one_place() {
        let is_one = |one, other| {
            let (one, other) = (copy(one).0, copy(other).0);
            are_one(&one, &other) && are_one(&other, &one)
        };
        let here = "s3:https://s3.eu-central-1.amazonaws.com/acme/repos/";
        for same in [
            here,
            "s3:https://s3.amazonaws.com/acme/repos",
            "s3:acme/repos",
            "s3:https://s3.dualstack.eu-central-1.amazonaws.com/acme/repos/",
            "s3:https://s3.amazonaws.com/acme/repos/inner",
        ] {
            assert!(is_one(here, same), "{same}");
        }
        for other in [
            "s3:https://s3.amazonaws.com/acme/reposit",
            "s3:https://s3.amazonaws.com/other/repos",
            "s3:https://s3.example/acme/repos",
            "rest:https://s3.amazonaws.com/acme/repos/",
            "/srv/acme/repos",
        ] {
            assert!(!is_one(here, other), "{other}");
        }
    }

    #[test]
    fn a_bucket_of_the_same_name_on_another_server_is_asked_about() {
        let parse = |text: &str| match text.parse() {
            Ok(StoreAddress::S3(address)) => address,
            other => panic!("{other:?}"),
        };
        let one = parse("s3:https://s3.example/acme/repos");
        for (text, is_same) in [
            ("s3:http://10.0.0.1:7480/acme/repos/", true),
            ("s3:http://10.0.0.1:7480/acme", true),
            ("s3:http://10.0.0.1:7480/acme/repos2", false),
            ("s3:http://10.0.0.1:7480/other/repos", false),
        ] {
            assert_eq!(is_one_name(&one, &parse(text)), is_same, "{text}");
        }
    }

    #[test]
    fn places_that_call_themselves_the_same_are_one() {
        let (one, first) = copy("/srv/one");
        let (two, second) = copy("/mnt/two");
        assert!(!are_one(&one, &two));
        first.set_identity(Some(Id::of(b"disk")));
        second.set_identity(Some(Id::of(b"other disk")));
        assert!(!are_one(&one, &two));
        second.set_identity(Some(Id::of(b"disk")));
        assert!(are_one(&one, &two));
    }
}
