//! What copies with clocks of their own say of when their snapshots came.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strongroom_model::retention::{Arrival, SeenBy};
use strongroom_model::{FileType, Id};
use strongroom_store::{FileVersion, VersionContent};

use crate::session::{CopyFailure, CopyState, CopyStore, Session};

/// What a copy is asked for in a look, as a verb phrase.
const ARRIVALS: &str = "tell when its snapshots came";

/// What a copy says of when its snapshots came.
#[derive(Debug, Clone)]
pub enum Told {
    /// It has no clock of its own, as a folder.
    Nothing,
    /// When each came.
    Arrivals(BTreeMap<Id, Arrival>),
    /// It has one, and does not say or is away.
    Withheld(CopyFailure),
}

/// What each copy of a session says, by its name. Buckets are asked here; what vaults say is given.
pub(super) fn by_copies(
    session: &Session,
    vaults: &BTreeMap<String, Told>,
) -> BTreeMap<String, Told> {
    let all = session.copies.iter().map(|found| {
        let copy = &found.copy;
        let told = match (vaults.get(&copy.name), &found.state) {
            (Some(told), _) => told.clone(),
            (None, _) if copy.store.versions().is_none() => Told::Nothing,
            (None, CopyState::Failed(failure)) => Told::Withheld(failure.clone()),
            (None, CopyState::Ready(_)) => match session.looking.asking(copy, ARRIVALS, bucket) {
                Ok(arrivals) => Told::Arrivals(arrivals),
                Err(failure) => Told::Withheld(failure),
            },
        };
        (copy.name.clone(), told)
    });
    all.collect()
}

/// When the snapshots of a bucket came, by its clock.
fn bucket(copy: &CopyStore) -> Result<BTreeMap<Id, Arrival>, CopyFailure> {
    let Some(versions) = copy.store.versions() else {
        return Ok(BTreeMap::new());
    };
    let mut arrivals = BTreeMap::new();
    // Only the date of each file is kept: whoever may write makes as many versions as he likes.
    let listed = versions.each_version(FileType::Snapshots, &mut |version| {
        take(&mut arrivals, &version);
        Ok(())
    });
    listed.map_err(|error| CopyFailure::of_store(&error))?;
    Ok(arrivals)
}

/// Takes note of the date of a version, where it is the oldest of its file so far: whoever puts
/// another one above it, or a marker, makes it no younger.
fn take(arrivals: &mut BTreeMap<Id, Arrival>, version: &FileVersion) {
    let is_bytes = matches!(version.content, VersionContent::Bytes { .. });
    let Some(id) = version.name.id().filter(|_| is_bytes) else {
        return;
    };
    let Ok(at) = Timestamp::try_from(version.made) else {
        return;
    };
    let by = SeenBy::Bucket;
    let first = arrivals.entry(id).or_insert(Arrival { at, by });
    first.at = at.min(first.at);
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use strongroom_model::FileName;
    use strongroom_store::VersionId;

    use super::*;

    fn version(text: &str, second: u64, content: VersionContent) -> FileVersion {
        FileVersion {
            name: FileName::new(FileType::Snapshots, Id::of(text.as_bytes())),
            version: VersionId::new(second.to_string()),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            is_newest: false,
            content,
        }
    }

    fn bytes() -> VersionContent {
        VersionContent::Bytes {
            size_bytes: 1,
            tag: None,
        }
    }

    #[test]
    fn a_file_in_a_bucket_came_with_its_oldest_version_whatever_lies_above() {
        let versions = [
            version("a", 500, bytes()),
            version("a", 200, bytes()),
            version("a", 100, VersionContent::Marker),
            version("b", 300, VersionContent::Marker),
        ];
        let mut found = BTreeMap::new();
        for version in &versions {
            take(&mut found, version);
        }
        let expected = Arrival {
            at: Timestamp::from_second(200).unwrap(),
            by: SeenBy::Bucket,
        };
        assert_eq!(found, [(Id::of(b"a"), expected)].into());
    }
}
