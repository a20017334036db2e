//! What this machine remembers between runs; its files rot like others.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_engine::state::record::{Head, OwnLocks, RemovedKeys, decode, encode};
use strongroom_engine::state::{GoneFiles, RecordedNeeds, SeenFiles};
use strongroom_model::Holds;
use strongroom_model::evidence::RestoreDrill;

pub(crate) fn seen(data: &[u8]) -> bool {
    comes_back::<SeenFiles>(data)
}

pub(crate) fn needs(data: &[u8]) -> bool {
    comes_back::<RecordedNeeds>(data)
}

pub(crate) fn head(data: &[u8]) -> bool {
    comes_back::<Head>(data)
}

pub(crate) fn holds(data: &[u8]) -> bool {
    comes_back::<Holds>(data)
}

pub(crate) fn gone_files(data: &[u8]) -> bool {
    comes_back::<GoneFiles>(data)
}

pub(crate) fn own_locks(data: &[u8]) -> bool {
    comes_back::<OwnLocks>(data)
}

pub(crate) fn removed_keys(data: &[u8]) -> bool {
    comes_back::<RemovedKeys>(data)
}

pub(crate) fn restore_drill(data: &[u8]) -> bool {
    comes_back::<RestoreDrill>(data)
}

/// Reads a record, which written and read again must be the same.
fn comes_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> bool {
    let Ok(record) = decode::<T>(data) else {
        return false;
    };
    let again = encode(&record).and_then(|bytes| decode::<T>(&bytes));
    assert_eq!(again.ok(), Some(record));
    true
}
