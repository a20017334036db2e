//! The stores behind the copies of a configuration.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strongroom_engine::session::chain;
use strongroom_engine::{Cancel, CopyStore};
use strongroom_ledger::Verifier;
use strongroom_model::{BackupCopy, RestAddress, StoreAddress};
use strongroom_store::patient::{HANG_LIMIT, within};
use strongroom_store::{LocalStore, PatientStore, RestOptions, RestStore, Store};

use crate::context::Opened;
use crate::error::{Error, Result};
use crate::vaults::VaultCopy;

/// No write takes that long.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Prepares the store of a copy, and what asks the vault that may be behind it; nothing is touched
/// or sent yet.
pub(crate) fn prepare(
    copy: &BackupCopy,
    cancel: &Cancel,
) -> Result<(CopyStore, Option<VaultCopy>)> {
    let mut vault = None;
    let (store, is_local): (Arc<dyn Store>, bool) = match &copy.store {
        StoreAddress::Local(path) => {
            // A server has time limits of its own; a disk or a network mount has none.
            let store = LocalStore::new(path);
            let pulse = store.pulse();
            let patient = PatientStore::new(Arc::new(store), pulse, HANG_LIMIT);
            (Arc::new(patient), true)
        }
        StoreAddress::Rest(address) => {
            let options = RestOptions {
                ca_file: copy.ca_file.clone(),
                fingerprint: copy.fingerprint,
                cancelled: cancel.flag(),
                ..RestOptions::new(url_with_credentials(address))
            };
            let store = RestStore::new(options).map_err(|source| Error::Copy {
                copy: copy.name.to_string(),
                source,
            })?;
            let log_witnesses = witnesses(copy)?;
            vault = store.vault().map(|client| VaultCopy {
                copy: copy.name.to_string(),
                client,
                log_witnesses,
            });
            (Arc::new(store), address.is_loopback())
        }
    };
    let store = CopyStore {
        name: copy.name.to_string(),
        store,
        is_local,
    };
    Ok((store, vault))
}

/// The keys of those that must have cosigned the log of a copy's vault.
fn witnesses(copy: &BackupCopy) -> Result<Vec<Verifier>> {
    let keys = copy.log_witnesses.iter().map(|key| {
        key.as_str()
            .parse::<Verifier>()
            .map_err(|error| Error::Witness {
                copy: copy.name.to_string(),
                name: key.name().to_owned(),
                reason: chain(&error),
            })
    });
    keys.collect()
}

/// Removes from the copies in local folders what killed runs left behind a day ago or longer.
///
/// Where that fails nothing is lost but space, and the next run tries again.
pub(crate) fn sweep(opened: &Opened) {
    let now_s = (opened.environment.clock)().as_second();
    let a_day_ago = Duration::from_secs(now_s.unsigned_abs()).saturating_sub(A_DAY);
    let before = SystemTime::UNIX_EPOCH + a_day_ago;
    for (copy, _) in opened.session.ready() {
        let configured = &opened.config.copies;
        let address = configured.iter().find(|one| one.name.as_str() == copy.name);
        let Some(StoreAddress::Local(path)) = address.map(|one| &one.store) else {
            continue;
        };
        let store = LocalStore::new(path);
        match within(HANG_LIMIT, move || store.sweep(before)) {
            Some(Ok(0)) => {}
            Some(Ok(count)) => {
                tracing::info!(copy = copy.name, count, "Old temporary files were removed")
            }
            Some(Err(error)) => {
                let error = chain(&error);
                tracing::warn!(copy = copy.name, error, "Old temporary files stay");
            }
            None => tracing::warn!(
                copy = copy.name,
                "The search for old temporary files takes too long"
            ),
        }
    }
}

fn url_with_credentials(address: &RestAddress) -> url::Url {
    let mut url = address.url().clone();
    if let Some((user, password)) = address.credentials() {
        // Both fail only for URLs that have no host, which an address has.
        let _ = url.set_username(user);
        let _ = url.set_password(Some(password.expose()));
    }
    url
}
