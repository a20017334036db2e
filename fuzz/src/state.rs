//! What this machine remembers between runs; its files rot like others.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_engine::state::record::{Head, OwnLocks, RemovedKeys, decode, encode};
use strongroom_engine::state::{GoneFiles, LockDates, RecordedNeeds, SeenFiles};
use strongroom_model::evidence::RestoreDrill;
use strongroom_model::{Holds, Id};

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

/// A record with a sum of its own; one that has none gets it, since no chance finds it.
pub(crate) fn lock_dates(data: &[u8]) -> bool {
    let sealed = [data, Id::of(data).as_bytes().as_slice()].concat();
    [data, sealed.as_slice()].into_iter().any(|bytes| {
        let Ok(dates) = LockDates::decode(bytes) else {
            return false;
        };
        let again = dates.encode().and_then(|bytes| LockDates::decode(&bytes));
        assert_eq!(again.ok(), Some(dates));
        true
    })
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
