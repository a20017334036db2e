//! What tells a bucket from another of the same name that is put in its stead, as in another account.
//!
//! It is the first version of `config`, with whoever it belongs to: servers name versions at random,
//! and whoever may write puts newer ones above it and never an older one below. One listing tells
//! both, by one right, so that a right that is granted later makes no other bucket of it.
//!
//! What can go wrong: the right to list versions is missing, or the server lists none (then nothing
//! tells them apart), a bucket keeps no versions, and calls all the same (then the time at which
//! `config` came stands for its name), the versions were copied with their names, as replication
//! between two accounts does (so: their owner counts too), and the first version is removed by
//! whoever may once nothing locks it, as by a lifecycle rule after it was healed (then it counts as
//! another bucket, and what was shown is shown again).
//!
//! **Security:** a server can name any version and any owner. This tells buckets of an honest server
//! apart; one that lies has to lie about locks anyway, which no look finds out.

use aws_sdk_s3::types::ObjectVersion;
use strongroom_model::{FileName, FileType, Id};

use crate::s3::listing::until_other;
use crate::s3::store::{NO_VERSION, S3Store};
use crate::{Error, Result};

/// The first version of `config`, as far as its bucket has told it until now.
#[derive(Debug, PartialEq, Eq)]
struct First {
    version: String,
    /// Since 1970, and what is left below a second.
    made: (i64, u32),
    owner: Option<String>,
}

impl S3Store {
    /// Asks for the versions of `config`: one request, where nobody has put a thousand of them.
    pub(super) fn ask_place(&self) -> Result<Option<Id>> {
        let kind = FileType::Config;
        let prefix = self.layout().key(FileName::CONFIG);
        let mut first = None;
        let told = self.each_page(kind, &prefix, &mut |page| {
            for version in page.versions() {
                let name = self.name_of(kind, version.key(), page.encoding_type());
                if name == Some(FileName::CONFIG) {
                    first = older(first.take(), version);
                }
            }
            Ok(until_other(page, &prefix))
        });
        match told {
            Ok(()) => Ok(first.as_ref().map(First::place)),
            Err(error @ (Error::Denied { .. } | Error::BadAnswer { .. })) => {
                tracing::debug!(%error, "Nothing tells this bucket from another of its name");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The older of two versions; of those of one moment the one that is listed last, since the newest
/// come first.
fn older(before: Option<First>, version: &ObjectVersion) -> Option<First> {
    let (Some(id), Some(made)) = (version.version_id(), version.last_modified()) else {
        return before;
    };
    let made = (made.secs(), made.subsec_nanos());
    if before.as_ref().is_some_and(|before| before.made < made) {
        return before;
    }
    let owner = version.owner().and_then(|owner| owner.id());
    Some(First {
        version: id.to_owned(),
        made,
        owner: owner.map(str::to_owned),
    })
}

impl First {
    fn place(&self) -> Id {
        let (version, owner) = (&self.version, &self.owner);
        let made = Some(self.made).filter(|_| version == NO_VERSION);
        Id::of(format!("config {version:?} {made:?} of {owner:?}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::DateTime;
    use aws_sdk_s3::types::Owner;

    use super::*;

    fn version(id: &str, second: i64, owner: Option<&str>) -> ObjectVersion {
        let owner = owner.map(|owner| Owner::builder().id(owner).build());
        ObjectVersion::builder()
            .version_id(id)
            .last_modified(DateTime::from_secs(second))
            .set_owner(owner)
            .build()
    }

    /// What tells a bucket that lists these, the newest first.
    fn place(versions: &[(&str, i64, Option<&str>)]) -> Option<Id> {
        let first = versions.iter().fold(None, |first, (id, second, owner)| {
            older(first, &version(id, *second, *owner))
        });
        first.as_ref().map(First::place)
    }

    #[test]
    fn newer_versions_make_no_other_bucket_of_it() {
        let first = ("a", 5, Some("owner"));
        let told = place(&[first]);
        assert!(told.is_some());
        assert_eq!(place(&[("b", 6, Some("owner")), first]), told);
        assert_eq!(place(&[("c", 5, Some("thief")), first]), told);
        // In whatever order a server lists them.
        assert_eq!(place(&[first, ("b", 6, Some("owner"))]), told);
        // The first one was removed.
        assert_ne!(place(&[("b", 6, Some("owner"))]), told);
        assert_eq!(place(&[]), None);
    }

    #[test]
    fn versions_that_were_copied_with_their_names_belong_to_somebody_else() {
        let told = place(&[("a", 5, Some("owner"))]);
        assert_ne!(place(&[("a", 5, Some("thief"))]), told);
        assert_ne!(place(&[("a", 5, None)]), told);
        // Its name alone tells a version, not a clock.
        assert_eq!(place(&[("a", 6, Some("owner"))]), told);
    }

    #[test]
    fn where_no_versions_are_kept_the_time_tells_one_config_from_another() {
        let told = place(&[(NO_VERSION, 5, None)]);
        assert_eq!(place(&[(NO_VERSION, 5, None)]), told);
        assert_ne!(place(&[(NO_VERSION, 6, None)]), told);
    }

    #[test]
    fn what_has_no_name_or_no_date_tells_nothing() {
        let nameless = ObjectVersion::builder().build();
        assert_eq!(older(None, &nameless), None);
        let known = older(None, &version("a", 5, None));
        assert!(known.is_some());
        assert_eq!(older(older(None, &version("a", 5, None)), &nameless), known);
    }
}
