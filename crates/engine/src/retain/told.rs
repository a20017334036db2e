//! What copies with clocks of their own say of when their snapshots came.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strongroom_model::retention::{Arrival, SeenBy};
use strongroom_model::{FileType, Id};
use strongroom_store::VersionContent;

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

/// The date of the oldest version of each snapshot, by the bucket's clock: whoever puts another one
/// above it makes it no younger.
fn bucket(copy: &CopyStore) -> Result<BTreeMap<Id, Arrival>, CopyFailure> {
    let mut arrivals: BTreeMap<Id, Arrival> = BTreeMap::new();
    let Some(versions) = copy.store.versions() else {
        return Ok(arrivals);
    };
    let all = versions
        .list_versions(FileType::Snapshots)
        .map_err(|error| CopyFailure::of_store(&error))?;
    for version in all {
        let is_bytes = matches!(version.content, VersionContent::Bytes { .. });
        let Some(id) = version.name.id().filter(|_| is_bytes) else {
            continue;
        };
        let Ok(at) = Timestamp::try_from(version.made) else {
            continue;
        };
        let by = SeenBy::Bucket;
        let first = arrivals.entry(id).or_insert(Arrival { at, by });
        first.at = at.min(first.at);
    }
    Ok(arrivals)
}
