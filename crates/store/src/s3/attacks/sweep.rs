//! What drills leave, taken away: canaries whose locks have ended, and probe buckets that hold
//! nothing else.
//!
//! **Security:** nothing is removed but versions of keys below `strongroom/drill/`, each by its
//! name, and a bucket only if it is called as a probe and everything in it is a canary.

use aws_sdk_s3::types::EncodingType;

use crate::s3::attacks::FOLDER;
use crate::s3::fault::fault;
use crate::s3::listing::decoded;
use crate::s3::store::S3Store;
use crate::{Error, Result};

/// The most probes of earlier drills that one drill takes away.
const MOST_PROBES: usize = 8;

/// The most letters of a bucket's name that the name of its probe begins with: 63 are allowed.
const LONGEST_STEM: usize = 40;

/// A version or a marker: key and version.
type Version = (String, String);

impl S3Store {
    /// Removes what may be removed of the canaries below a folder; tells how many stay, or nothing
    /// where they cannot be listed.
    pub(super) fn sweep(&self, name: &str, folder: &str) -> Result<Option<u64>> {
        let Some((canaries, _)) = self.versions_in(name, folder)? else {
            return Ok(None);
        };
        self.remove_all(name, &canaries).map(Some)
    }

    /// Removes probes of earlier drills, as far as locks allow.
    pub(super) fn sweep_probes(&self, names: &[String]) -> Result<()> {
        for name in names.iter().take(MOST_PROBES) {
            self.remove_probe(name)?;
        }
        Ok(())
    }

    /// Removes a probe; tells whether it is gone.
    pub(super) fn remove_probe(&self, name: &str) -> Result<bool> {
        match self.versions_in(name, "")? {
            Some((all, is_whole)) if is_whole && all.iter().all(is_canary) => {
                if self.remove_all(name, &all)? > 0 {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
        let bucket = self.bucket();
        let request = bucket.client.delete_bucket().bucket(name);
        Ok(bucket.answer(request.send()).is_ok())
    }

    /// Whose account this is, as it is told with its buckets, and which of these are probes of this
    /// one; nothing where they may not be listed.
    pub(super) fn owner_and_probes(&self) -> Result<(Option<String>, Vec<String>)> {
        let bucket = self.bucket();
        let request = bucket.client.list_buckets();
        let page = match bucket.answer(request.send()) {
            Ok(page) => page,
            Err(error) => {
                let location = bucket.location.clone();
                return match fault(location, "list the buckets", &error) {
                    error @ Error::Cancelled { .. } => Err(error),
                    _ => Ok((None, Vec::new())),
                };
            }
        };
        let owner = page.owner().and_then(|owner| {
            let named = owner.display_name().filter(|name| !name.is_empty());
            named.or(owner.id()).map(str::to_owned)
        });
        let names = page.buckets().iter().filter_map(|bucket| bucket.name());
        let probes = names.filter(|name| is_probe(&bucket.name, name));
        Ok((owner, probes.map(str::to_owned).collect()))
    }

    /// The versions and markers of keys that begin so, and whether that is all of them; `None`
    /// where they cannot be listed. One page is enough for all that drills leave.
    fn versions_in(&self, name: &str, prefix: &str) -> Result<Option<(Vec<Version>, bool)>> {
        let bucket = self.bucket();
        let request = bucket.client.list_object_versions();
        let request = request
            .bucket(name)
            .prefix(prefix)
            .encoding_type(EncodingType::Url);
        let page = match bucket.answer(request.send()) {
            Ok(page) => page,
            Err(error) => {
                return match fault(bucket.location.clone(), "list canaries", &error) {
                    error @ Error::Cancelled { .. } => Err(error),
                    _ => Ok(None),
                };
            }
        };
        let encoding = page.encoding_type();
        let versions = page.versions().iter();
        let versions = versions.map(|version| (version.key(), version.version_id()));
        let markers = page.delete_markers().iter();
        let markers = markers.map(|marker| (marker.key(), marker.version_id()));
        let named = versions.chain(markers).filter_map(|(key, id)| {
            let key = decoded(key?, encoding).into_owned();
            key.starts_with(prefix).then_some((key, id?.to_owned()))
        });
        let all: Vec<Version> = named.collect();
        Ok(Some((all, page.is_truncated() != Some(true))))
    }

    /// Removes versions by their names; tells how many of them stay.
    fn remove_all(&self, name: &str, versions: &[Version]) -> Result<u64> {
        let bucket = self.bucket();
        let mut left = 0;
        for (key, id) in versions {
            if bucket.is_interrupted() {
                return Err(Error::Cancelled {
                    location: bucket.location.clone(),
                });
            }
            // What an attempt has left may be under a lock that can be bypassed.
            let is_gone = [None, Some(true)].into_iter().any(|bypassing| {
                let request = bucket.client.delete_object();
                let request = request
                    .bucket(name)
                    .key(key)
                    .version_id(id)
                    .set_bypass_governance_retention(bypassing);
                bucket.answer(request.send()).is_ok()
            });
            left += u64::from(!is_gone);
        }
        Ok(left)
    }
}

/// How the names of probes of a bucket begin.
pub(super) fn stem_of(bucket: &str) -> String {
    let plain = bucket.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
        _ => '-',
    });
    let stem: String = plain.take(LONGEST_STEM).collect();
    format!("{}-probe-", stem.trim_matches('-'))
}

/// Whether a bucket is called as a probe of another.
fn is_probe(bucket: &str, name: &str) -> bool {
    let is_random = |rest: &str| rest.len() == 16 && rest.bytes().all(|c| c.is_ascii_hexdigit());
    name.strip_prefix(&stem_of(bucket)).is_some_and(is_random)
}

fn is_canary((key, _): &Version) -> bool {
    key.starts_with(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_called_as_a_probe_of_this_bucket_is_one() {
        let probe = format!("{}0123456789abcdef", stem_of("acme-backup"));
        assert_eq!(probe, "acme-backup-probe-0123456789abcdef");
        assert!(is_probe("acme-backup", &probe));
        for other in [
            "acme-backup",
            "acme-backup-probe-",
            "acme-backup-probe-0123456789abcdeg",
            "acme-backup-probe-0123456789abcdef0",
            "acme-probe-0123456789abcdef",
        ] {
            assert!(!is_probe("acme-backup", other), "{other}");
        }
    }

    #[test]
    fn a_probe_has_a_name_that_a_bucket_may_have() {
        for bucket in ["a", "Acme.Backup_1", &"x".repeat(200)] {
            let name = format!("{}0123456789abcdef", stem_of(bucket));
            assert!(name.len() <= 63, "{name}");
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(is_plain), "{name}");
        }
    }
}
