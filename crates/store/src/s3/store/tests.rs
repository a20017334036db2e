//! A bucket whose name stands in front of the host, on a real Ceph.
//!
//! No machine resolves such names without a server for them; so what is meant for any host is sent to
//! the one, as it was signed and with the host that was meant.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id, Secret};
use strongroom_testkit::{Bucket, Ceph};

use crate::s3::options::{S3Credentials, S3Options};
use crate::s3::store::{S3Lock, S3Store};
use crate::{Locks, Store, Versions};

const NAME: &str = "virtual";

/// Sends to one server what is meant for any, and notes for whom and which path that was.
#[derive(Clone, Debug)]
struct Resolver {
    server: String,
    meant: Arc<Mutex<Vec<(String, String)>>>,
}

impl Intercept for Resolver {
    fn name(&self) -> &'static str {
        "Resolver"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let address = request.uri().strip_prefix("http://");
        let (host, path) = address
            .and_then(|address| address.split_once('/'))
            .map(|(host, path)| (host.to_owned(), path.to_owned()))
            .ok_or("it has no host and path")?;
        request.set_uri(format!("{}/{path}", self.server))?;
        request.headers_mut().insert("host", host.clone());
        self.meant.lock().push((host, path));
        Ok(())
    }
}

#[test]
fn a_bucket_in_front_of_the_host_is_asked_by_its_name() {
    let ceph = Ceph::start();
    let account = ceph.new_account("owner");
    let bucket = Bucket::new(&ceph, &account, NAME);
    bucket.create_locked();
    let endpoint = ceph.named_endpoint();
    let options = S3Options {
        endpoint: Some(endpoint.parse().unwrap()),
        prefix: "acme/repos".to_owned(),
        credentials: Some(S3Credentials {
            access_key: account.access_key,
            secret_key: Secret::new(account.secret_key.as_str()),
        }),
        ..S3Options::new(NAME)
    };
    assert!(!options.path_style, "as at Amazon");
    let lock = S3Lock {
        least: Duration::from_secs(3600),
        clock: Arc::new(|| SystemTime::UNIX_EPOCH),
    };
    let mut store = S3Store::new(options, Some(lock)).unwrap();
    let resolver = Resolver {
        server: ceph.endpoint().to_owned(),
        meant: Arc::default(),
    };
    let asked = Arc::get_mut(&mut store.bucket).unwrap();
    for client in [&mut asked.client, &mut asked.once] {
        let config = client.config().to_builder();
        *client = Client::from_conf(config.interceptor(resolver.clone()).build());
    }

    let name = FileName::new(FileType::Data, Id::of(b"bytes"));
    store.save(name, b"bytes").unwrap();
    store.save(name, b"bytes").unwrap();
    assert_eq!(store.read(name).unwrap(), b"bytes");
    assert_eq!(store.list(FileType::Data).unwrap().len(), 1);
    assert_eq!(store.list_versions(FileType::Data).unwrap().len(), 1);
    assert_eq!(store.check().unwrap().flaws, []);
    let lock = store.lock_of(name, None).unwrap();
    assert!(lock.holds(store.now().unwrap() + Duration::from_secs(3600)));
    store.remove(name).unwrap();
    assert_eq!(store.list(FileType::Data).unwrap(), []);

    // It lies where whoever has the bucket in the path sees it too.
    let id = name.id().unwrap().to_string();
    let key = format!("acme/repos/data/{}/{id}", &id[..2]);
    let versions = bucket.versions("");
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(versions.iter().all(|version| version.key == key));
    let host = endpoint.replace("http://", &format!("{NAME}."));
    let meant = resolver.meant.lock();
    assert!(meant.len() > 8, "{meant:?}");
    for (asked, path) in meant.iter() {
        assert_eq!(*asked, host);
        assert!(!path.contains(NAME), "{path}");
    }
}
