//! The stores behind the copies of a configuration.

use std::sync::Arc;

use strongroom_engine::{Cancel, CopyStore};
use strongroom_model::{BackupCopy, RestAddress, StoreAddress};
use strongroom_store::{LocalStore, RestOptions, RestStore, Store};

use crate::error::{Error, Result};

/// Prepares the store of a copy; nothing is touched or sent yet.
pub(crate) fn prepare(copy: &BackupCopy, cancel: &Cancel) -> Result<CopyStore> {
    let (store, is_local): (Arc<dyn Store>, bool) = match &copy.store {
        StoreAddress::Local(path) => (Arc::new(LocalStore::new(path)), true),
        StoreAddress::Rest(address) => {
            let options = RestOptions {
                ca_file: copy.ca_file.clone(),
                cancelled: cancel.flag(),
                ..RestOptions::new(url_with_credentials(address))
            };
            let store = RestStore::new(options).map_err(|source| Error::Copy {
                copy: copy.name.to_string(),
                source,
            })?;
            (Arc::new(store), address.is_loopback())
        }
    };
    Ok(CopyStore {
        name: copy.name.to_string(),
        store,
        is_local,
    })
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
