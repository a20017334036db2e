//! The stores behind the copies of a configuration.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use strongroom_engine::CopyStore;
use strongroom_engine::session::chain;
use strongroom_ledger::Verifier;
use strongroom_model::{BackupCopy, Config, RestAddress, S3Address, SecretKey, StoreAddress};
use strongroom_store::patient::{HANG_LIMIT, within};
use strongroom_store::rest::{Retries, Timeouts};
use strongroom_store::{
    LentAccount, LocalStore, PatientStore, RestOptions, RestStore, S3Credentials, S3Lock,
    S3Options, S3Store, Store,
};

use crate::context::{Context, Opened};
use crate::error::{Error, Result};
use crate::password;
use crate::vaults::VaultCopy;

/// No write takes that long.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Of several uploads at a time each has a share of the line; below this one is taken for dead.
const LEAST_BYTES_PER_SECOND: u64 = 32 << 10;

/// The copy of that name.
pub(crate) fn named<'c>(config: &'c Config, name: &str) -> Result<&'c BackupCopy> {
    let found = config.copies.iter().find(|copy| copy.name.as_str() == name);
    found.ok_or_else(|| Error::NoSuchCopy {
        name: name.to_owned(),
        known: config
            .copies
            .iter()
            .map(|copy| copy.name.to_string())
            .collect(),
    })
}

/// Prepares the store of a copy, and what asks the vault that may be behind it; nothing is touched
/// or sent yet.
pub(crate) fn prepare(
    copy: &BackupCopy,
    context: &Context,
) -> Result<(CopyStore, Option<VaultCopy>)> {
    let unusable = |source| Error::Copy {
        copy: copy.name.to_string(),
        source,
    };
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
                cancelled: context.cancel.flag(),
                ..RestOptions::new(url_with_credentials(address))
            };
            let store = RestStore::new(options).map_err(unusable)?;
            let log_witnesses = witnesses(copy)?;
            vault = store.vault().map(|client| VaultCopy {
                copy: copy.name.to_string(),
                client,
                log_witnesses,
            });
            (Arc::new(store), address.is_loopback())
        }
        StoreAddress::S3(address) => {
            let options = bucket(copy, address, context)?;
            let environment = context.environment();
            let lock = copy.lock.map(|lock| S3Lock {
                least: Duration::from_secs(lock.seconds()),
                clock: Arc::new(move || {
                    let now = SystemTime::try_from((environment.clock)());
                    now.unwrap_or(SystemTime::UNIX_EPOCH)
                }),
            });
            let store = S3Store::new(options, lock).map_err(unusable)?;
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

/// How to reach a bucket: its account is the one that the configuration names, or else that of the
/// environment.
fn bucket(copy: &BackupCopy, address: &S3Address, context: &Context) -> Result<S3Options> {
    let region = copy.s3.region.as_deref().or(address.region());
    let credentials = credentials(copy, context)?;
    Ok(S3Options {
        prefix: address.prefix().to_owned(),
        region: region.map(str::to_owned),
        endpoint: address.endpoint().cloned(),
        ca_file: copy.ca_file.clone(),
        path_style: copy.s3.path_style.unwrap_or(address.endpoint().is_some()),
        credentials,
        timeouts: Timeouts {
            least_bytes_per_second: LEAST_BYTES_PER_SECOND,
            ..Timeouts::default()
        },
        retries: Retries::default(),
        cancelled: context.cancel.flag(),
        ..S3Options::new(address.bucket())
    })
}

/// The account by which a bucket is asked, be it named in the configuration or not, for a program that
/// asks it for us; `None` where nobody gives it.
pub(crate) fn lent(
    copy: &BackupCopy,
    address: &S3Address,
    context: &Context,
) -> Result<Option<LentAccount>> {
    let options = bucket(copy, address, context)?;
    let store = S3Store::new(options, None).map_err(|source| Error::Copy {
        copy: copy.name.to_string(),
        source,
    })?;
    Ok(store.lend())
}

/// The account that the configuration names for a bucket; `None` leaves it to the environment.
fn credentials(copy: &BackupCopy, context: &Context) -> Result<Option<S3Credentials>> {
    let Some(account) = &copy.s3.account else {
        return Ok(None);
    };
    let secret_key = match &account.secret_key {
        SecretKey::Text(secret) => secret.clone(),
        SecretKey::File(path) => {
            password::secret_from_file(path, "the secret key", &context.output)?
        }
    };
    Ok(Some(S3Credentials {
        access_key: account.access_key.clone(),
        secret_key,
    }))
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

/// A sweep of all copies at once, beside whatever is done meanwhile; its end is waited for when this is
/// dropped.
#[derive(Debug)]
#[must_use = "it is waited for when it is dropped"]
pub(crate) struct Sweep(Vec<JoinHandle<()>>);

impl Drop for Sweep {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            if thread.join().is_err() {
                tracing::warn!("The search for what killed runs left has died");
            }
        }
    }
}

/// Removes from the copies in local folders what killed runs left behind a day ago or longer, and ends
/// their uploads in buckets.
///
/// Where that fails nothing is lost but space, and the next run tries again.
pub(crate) fn sweep(opened: &Opened) -> Sweep {
    let now_s = (opened.environment.clock)().as_second();
    let a_day_ago = Duration::from_secs(now_s.unsigned_abs()).saturating_sub(A_DAY);
    let before = SystemTime::UNIX_EPOCH + a_day_ago;
    let of_copy = |(copy, _): (&CopyStore, _)| {
        let configured = &opened.config.copies;
        let address = configured.iter().find(|one| one.name.as_str() == copy.name);
        let copy = copy.clone();
        let builder = thread::Builder::new();
        let started = match &address?.store {
            StoreAddress::Local(path) => {
                let path = path.clone();
                builder.spawn(move || sweep_folder(&copy, &path, before))
            }
            StoreAddress::S3(_) => builder.spawn(move || end_old_uploads(&copy, before)),
            StoreAddress::Rest(_) => return None,
        };
        // Without a thread it is left to the next run.
        started.ok()
    };
    Sweep(opened.session.ready().filter_map(of_copy).collect())
}

fn sweep_folder(copy: &CopyStore, path: &Path, before: SystemTime) {
    let store = LocalStore::new(path);
    match within(HANG_LIMIT, move || store.sweep(before)) {
        Some(Ok(0)) => {}
        Some(Ok(count)) => {
            tracing::info!(copy = copy.name, count, "Old temporary files were removed");
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

/// Ends uploads that were begun before then; a rule of the bucket ends them where we may not.
fn end_old_uploads(copy: &CopyStore, before: SystemTime) {
    match copy.store.end_old_uploads(before) {
        Ok(0) => {}
        Ok(count) => tracing::info!(copy = copy.name, count, "Old uploads were ended"),
        Err(error) => {
            let error = chain(&error);
            tracing::info!(copy = copy.name, error, "Old uploads stay");
        }
    }
}

/// The URL of a REST server with what opens it: not for logs.
pub(crate) fn url_with_credentials(address: &RestAddress) -> url::Url {
    let mut url = address.url().clone();
    if let Some((user, password)) = address.credentials() {
        // Both fail only for URLs that have no host, which an address has.
        let _ = url.set_username(user);
        let _ = url.set_password(Some(password.expose()));
    }
    url
}
