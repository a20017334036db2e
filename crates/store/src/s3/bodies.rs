//! [`Bodies`] in a bucket, under `<prefix>/<repository>/<type>/<id>/<generation>`.

use std::error::Error as StdError;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use strongroom_model::{FileType, Id, RepositoryPath};
use tokio::time::timeout;

use crate::bodies::{Bodies, BodyKey, Staged};
use crate::s3::client::Bucket;
use crate::s3::fault::{Failure, fault, status};
use crate::s3::object::Object;
use crate::s3::options::S3Options;
use crate::s3::probe::{LIMIT, silent};
use crate::s3::staged::S3Staged;
use crate::s3::stream::Source;
use crate::{Error, Holder, Result};

/// Bodies in a bucket.
#[derive(Debug)]
pub struct S3Bodies {
    bucket: Arc<Bucket>,
}

impl S3Bodies {
    /// Finds out how to reach the bucket; the bucket itself is not asked yet.
    ///
    /// # Errors
    /// [`Error::Address`] where the options cannot be used.
    pub fn new(options: S3Options) -> Result<Self> {
        Ok(Self {
            bucket: Arc::new(Bucket::connect(options)?),
        })
    }

    /// Makes the bucket; one that is there is left as it is.
    ///
    /// # Errors
    /// Where it cannot be made; [`Error::Unreachable`] also where a server says nothing for 10 s.
    pub fn create(&self) -> Result<()> {
        let bucket = &self.bucket;
        let request = bucket.client.head_bucket().bucket(&bucket.name);
        let looked = bucket.wait(async { timeout(LIMIT, request.send()).await });
        match looked.map_err(|_| silent(bucket))? {
            Ok(_) => return Ok(()),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(self.fault("look at the bucket", &error)),
        }
        let constraint = bucket.constraint.as_deref().map(|region| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let request = bucket.client.create_bucket();
        let request = request
            .bucket(&bucket.name)
            .set_create_bucket_configuration(constraint);
        match bucket.wait(request.send()) {
            Err(error) if error.code() != Some("BucketAlreadyOwnedByYou") => {
                Err(self.fault("make the bucket", &error))
            }
            _ => Ok(()),
        }
    }

    /// What is asked of one body.
    fn object(&self, body: &BodyKey) -> Object {
        let BodyKey {
            repository,
            name,
            generation,
        } = body;
        let bucket = &self.bucket;
        let key = format!("{}{repository}/{name}/{generation}", bucket.folder());
        Object {
            bucket: Arc::clone(bucket),
            location: format!("{}{repository}", bucket.location),
            name: *name,
            source: Source::newest(key),
        }
    }

    pub(super) fn fault<E>(&self, action: &str, error: &Failure<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        fault(self.bucket.location.clone(), action, error)
    }

    pub(super) const fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }
}

impl Bodies for S3Bodies {
    fn location(&self) -> &str {
        &self.bucket.location
    }

    fn stage(&self, body: &BodyKey) -> Result<Box<dyn Staged>> {
        Ok(Box::new(S3Staged::new(self.object(body))))
    }

    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Box<dyn Read + Send>)> {
        self.object(body).open(range)
    }

    fn size_bytes(&self, body: &BodyKey) -> Result<u64> {
        self.object(body).size_bytes()
    }

    fn remove(&self, body: &BodyKey) -> Result<()> {
        self.object(body).remove()
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn probe(&self) -> Result<()> {
        self.bucket.wait(self.try_upload())
    }

    fn holder(&self) -> Holder {
        self.bucket.ask_holder()
    }

    fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        self.bucket.wait(self.end_old_uploads(older_than))
    }
}

/// Whether a key, without the prefix, is one that a body may have: others may use the bucket too.
pub(super) fn is_key(key: &str) -> bool {
    let Some((name, generation)) = key.rsplit_once('/') else {
        return false;
    };
    let repository = name.strip_suffix("/config").or_else(|| {
        let (kind, id) = name.rsplit_once('/')?;
        id.parse::<Id>().ok()?;
        let (repository, kind) = kind.rsplit_once('/')?;
        FileType::STORED
            .into_iter()
            .chain([FileType::Locks])
            .any(|known| known.folder() == kind)
            .then_some(repository)
    });
    generation.parse::<u32>().is_ok()
        && repository.is_some_and(|path| RepositoryPath::of_record(path).is_ok())
}

#[cfg(test)]
mod tests {
    use strongroom_model::{FileName, Secret};

    use super::*;
    use crate::s3::options::S3Credentials;

    #[test]
    fn our_own_keys_are_known_and_those_of_others_are_not() {
        let bodies = S3Bodies::new(S3Options {
            prefix: "vaults/one".to_owned(),
            region: Some("us-east-1".to_owned()),
            ..S3Options::new("bucket")
        })
        .unwrap();
        let id = Id::of(b"");
        for kind in FileType::STORED
            .into_iter()
            .chain([FileType::Config, FileType::Locks])
        {
            let object = bodies.object(&BodyKey {
                repository: "acme/repos".parse().unwrap(),
                name: FileName::new(kind, id),
                generation: 7,
            });
            let key = object.source.key;
            assert!(is_key(key.strip_prefix("vaults/one/").unwrap()), "{key}");
        }
        for foreign in [
            String::new(),
            "acme/repos".to_owned(),
            "acme/repos/config".to_owned(),
            "config/1".to_owned(),
            format!("acme/data/{id}"),
            format!("data/{id}/1"),
            format!("a/b/c/data/{id}/1"),
            format!("acme/other/{id}/x"),
            format!("acme/backup/{id}/1"),
            format!("../data/{id}/1"),
        ] {
            assert!(!is_key(&foreign), "{foreign}");
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let options = S3Options {
            region: Some("us-east-1".to_owned()),
            credentials: Some(S3Credentials {
                access_key: "name".to_owned(),
                secret_key: Secret::new("geheim"),
            }),
            ..S3Options::new("bucket")
        };
        assert!(!format!("{options:?}").contains("geheim"));
        let bodies = S3Bodies::new(options).unwrap();
        assert!(!format!("{bodies:?}").contains("geheim"));
        let body = BodyKey {
            repository: "acme".parse().unwrap(),
            name: FileName::CONFIG,
            generation: 1,
        };
        let staged = bodies.stage(&body).unwrap();
        assert!(!format!("{staged:?}").contains("geheim"));
    }
}
