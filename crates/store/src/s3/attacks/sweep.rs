//! What drills leave, taken away: canaries whose locks have ended, and probe buckets that hold
//! nothing else. What may not be listed is removed by what was noted of it, and what may not be
//! removed stays noted.
//!
//! **Security:** nothing is removed but versions of keys below `strongroom/drill/`, each by its
//! name, and a bucket only if it is called as a probe and everything in it that is shown is a canary;
//! a bucket that is not empty is removed by no server. That holds for what is noted as for what is
//! listed.

use std::collections::BTreeSet;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::EncodingType;
use strongroom_model::attack::{Remnant, RemnantKind};

use crate::attacks::Remnants;
use crate::s3::attacks::FOLDER;
use crate::s3::attacks::canary::remnant_of;
use crate::s3::attacks::requests::RENAMED;
use crate::s3::fault::{fault, status};
use crate::s3::listing::decoded;
use crate::s3::store::{NO_VERSION, S3Store};
use crate::{Error, Result};

/// The most probes of earlier drills that one drill takes away.
const MOST_PROBES: usize = 8;

/// The most letters of a bucket's name that the name of its probe begins with: 63 are allowed.
const LONGEST_STEM: usize = 40;

/// A version or a marker: key and version.
type Version = (String, String);

impl S3Store {
    /// Removes what may be removed of the canaries below a folder of a bucket.
    pub(super) fn sweep(&self, name: &str, folder: &str, remnants: &Remnants) -> Result<()> {
        match self.versions_in(name, folder)? {
            Some((listed, is_whole)) => {
                self.sweep_listed(name, &listed, is_whole, folder, remnants)
            }
            None => self.sweep_noted(name, folder, remnants),
        }
    }

    /// Removes probes of earlier drills, those that are noted and then those that are listed, as far
    /// as locks and rights allow.
    pub(super) fn sweep_probes(&self, listed: &[String], remnants: &Remnants) -> Result<()> {
        let noted = remnants.left().into_iter();
        let noted = noted.filter(|remnant| remnant.kind == RemnantKind::ProbeBucket);
        let noted = noted.map(|remnant| remnant.name);
        let is_own = |name: &String| is_probe(&self.bucket().name, name);
        let ours: BTreeSet<String> = noted.filter(is_own).collect();
        let others = listed.iter().filter(|name| !ours.contains(*name));
        let others = others.cloned().collect();
        for name in in_turn(ours, others, random()) {
            self.remove_probe(&name, remnants)?;
        }
        Ok(())
    }

    /// Removes a probe. One that stays is noted, where there is a canary in it: a bucket of somebody
    /// else may be called as a probe.
    pub(super) fn remove_probe(&self, name: &str, remnants: &Remnants) -> Result<()> {
        let bucket = self.bucket();
        let probe = Remnant::new(RemnantKind::ProbeBucket, name);
        if remnants.left().contains(&probe) {
            // It has the policy of the real bucket, which may forbid to remove anything.
            let request = bucket.client.delete_bucket_policy().bucket(name);
            let _ = bucket.answer(request.send());
        }
        match self.versions_in(name, "")? {
            Some((listed, is_whole)) => {
                if !listed.iter().all(is_canary) {
                    return Ok(());
                }
                if !listed.is_empty() {
                    remnants.note(probe.clone());
                }
                self.sweep_listed(name, &listed, is_whole, FOLDER, remnants)?;
            }
            None => self.sweep_noted(name, FOLDER, remnants)?,
        }
        let request = bucket.client.delete_bucket().bucket(name);
        let is_gone = match bucket.answer(request.send()) {
            Ok(_) => true,
            Err(error) if error.code() == Some("NoSuchBucket") => true,
            Err(error) => match fault(bucket.location.clone(), "remove a probe", &error) {
                error @ Error::Cancelled { .. } => return Err(error),
                _ => status(&error) == Some(404),
            },
        };
        if is_gone {
            remnants.strike(&probe);
            for remnant in canaries_in(name, FOLDER, remnants) {
                remnants.strike(&remnant);
            }
        }
        Ok(())
    }

    /// Removes what a listing has shown of canaries; what it has not shown is gone, where it was
    /// whole.
    fn sweep_listed(
        &self,
        name: &str,
        listed: &[Version],
        is_whole: bool,
        folder: &str,
        remnants: &Remnants,
    ) -> Result<()> {
        let mut stay = BTreeSet::new();
        for (key, id) in listed {
            let remnant = remnant_of(name, key, Some(id));
            match self.remove_version(name, key, Some(id))? {
                true => remnants.strike(&remnant),
                false => {
                    remnants.note(remnant.clone());
                    stay.insert(remnant);
                }
            }
        }
        if is_whole {
            for remnant in canaries_in(name, folder, remnants) {
                if !stay.contains(&remnant) {
                    remnants.strike(&remnant);
                }
            }
        }
        Ok(())
    }

    /// Removes what is noted of canaries in a bucket that may not be listed.
    fn sweep_noted(&self, name: &str, folder: &str, remnants: &Remnants) -> Result<()> {
        let prefix = format!("{name}/");
        for remnant in canaries_in(name, folder, remnants) {
            let Some(key) = remnant.name.strip_prefix(&prefix) else {
                continue;
            };
            if !key.strip_prefix(folder).is_some_and(is_called_as_a_canary) {
                continue;
            }
            let is_gone = match &remnant.version {
                Some(id) => self.remove_version(name, key, Some(id))?,
                None => self.remove_newest(name, key)?,
            };
            if is_gone {
                remnants.strike(&remnant);
            }
        }
        Ok(())
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

    /// Removes a version by its name, or, where a bucket keeps none, what lies under a key; tells
    /// whether it is gone.
    fn remove_version(&self, name: &str, key: &str, id: Option<&str>) -> Result<bool> {
        let bucket = self.bucket();
        // What an attempt has left may be under a lock that can be bypassed.
        for bypassing in [None, Some(true)] {
            if bucket.is_interrupted() {
                return Err(Error::Cancelled {
                    location: bucket.location.clone(),
                });
            }
            let request = bucket.client.delete_object();
            let request = request
                .bucket(name)
                .key(key)
                .set_version_id(id.map(str::to_owned))
                .set_bypass_governance_retention(bypassing);
            match bucket.answer(request.send()) {
                Ok(_) => return Ok(true),
                Err(error) if status(&error) == Some(404) => return Ok(true),
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Removes what lies under a key of which no version was told; tells whether nothing does.
    fn remove_newest(&self, name: &str, key: &str) -> Result<bool> {
        let bucket = self.bucket();
        let request = bucket.client.head_object().bucket(name).key(key);
        match bucket.answer(request.send()) {
            Ok(told) => {
                let id = told.version_id().filter(|id| *id != NO_VERSION);
                self.remove_version(name, key, id)
            }
            Err(error) => Ok(status(&error) == Some(404)),
        }
    }
}

/// The probes that have their turn: ours, and then buckets that are only called so, since anybody
/// who may make buckets makes any number of these. Neither begins with the same one each time, which
/// may be one that cannot be removed.
fn in_turn(ours: BTreeSet<String>, others: BTreeSet<String>, random: u64) -> Vec<String> {
    let by_turns = |names: BTreeSet<String>| {
        let mut names: Vec<String> = names.into_iter().collect();
        let first = random % (names.len().max(1) as u64);
        names.rotate_left(usize::try_from(first).unwrap_or_default());
        names
    };
    let mut names = by_turns(ours);
    names.extend(by_turns(others));
    names.truncate(MOST_PROBES);
    names
}

/// Any number; always the same where the system gives no random bytes.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let filled = getrandom::fill(&mut bytes);
    filled.map_or(0, |()| u64::from_le_bytes(bytes))
}

/// The canaries that are noted below a folder of a bucket.
fn canaries_in(name: &str, folder: &str, remnants: &Remnants) -> Vec<Remnant> {
    let start = format!("{name}/{folder}");
    let mut noted: Vec<Remnant> = remnants.left().into_iter().collect();
    noted.retain(|remnant| remnant.kind == RemnantKind::Canary && remnant.name.starts_with(&start));
    noted
}

/// Whether the last part of a key is one that a drill gives, and no way up that leads elsewhere.
fn is_called_as_a_canary(last: &str) -> bool {
    is_random(last.strip_suffix(RENAMED).unwrap_or(last))
}

fn is_random(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|c| c.is_ascii_hexdigit())
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
    let rest = name.strip_prefix(&stem_of(bucket));
    // A stem is cut off, so that the very bucket could be called as a probe of itself.
    name != bucket && rest.is_some_and(is_random)
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
        let like_its_own = format!("{}-probe-0123456789abcdef", "x".repeat(LONGEST_STEM));
        assert!(!is_probe(&like_its_own, &like_its_own));
    }

    #[test]
    fn our_probes_come_first_and_all_others_have_their_turn() {
        let names = |count: usize, first: &str| -> BTreeSet<String> {
            let names = (0..count).map(|number| format!("{first}{number:02}"));
            names.collect()
        };
        let (ours, others) = (names(2, "z"), names(20, "a"));
        let mut seen = BTreeSet::new();
        for random in 0..20 {
            let turn = in_turn(ours.clone(), others.clone(), random);
            assert_eq!(turn.len(), MOST_PROBES);
            assert_eq!(BTreeSet::from_iter(turn[..2].to_vec()), ours);
            seen.extend(turn);
        }
        assert!(seen.is_superset(&others), "{seen:?}");
        // Also of ours, where there are many that stay.
        let ours = names(20, "z");
        let turns = (0..20).flat_map(|random| in_turn(ours.clone(), others.clone(), random));
        assert_eq!(turns.collect::<BTreeSet<_>>(), ours);
        assert!(in_turn(BTreeSet::new(), BTreeSet::new(), 7).is_empty());
    }

    #[test]
    fn only_what_is_called_as_a_canary_is_one() {
        for ours in ["0123456789abcdef", "0123456789abcdef-renamed"] {
            assert!(is_called_as_a_canary(ours), "{ours}");
        }
        for other in [
            "",
            "-renamed",
            "../../data/ab/0123456789abcdef",
            "x/0123456789abcdef",
            "0123456789abcdef-renamed-renamed",
        ] {
            assert!(!is_called_as_a_canary(other), "{other}");
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
