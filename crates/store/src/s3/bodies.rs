//! [`Bodies`] in a bucket, under `<prefix>/<repository>/<type>/<id>/<generation>`.

use std::error::Error as StdError;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use strongroom_model::{FileType, Id, RepositoryPath};
use tokio::time::timeout;

use crate::bodies::{Bodies, BodyKey, Staged};
use crate::s3::client::Bucket;
use crate::s3::fault::{Failure, fault, status};
use crate::s3::options::S3Options;
use crate::s3::probe::LIMIT;
use crate::s3::staged::S3Staged;
use crate::s3::stream::{Stream, ask, content_range};
use crate::{Error, Result};

/// No sound listing that we ask for has more pages; what is beyond waits for the next time.
pub(super) const MOST_PAGES: usize = 1000;

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
        match looked.map_err(|_| self.silent())? {
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

    /// Where a body lies.
    fn key(&self, body: &BodyKey) -> String {
        let BodyKey {
            repository,
            name,
            generation,
        } = body;
        format!("{}{repository}/{name}/{generation}", self.prefix())
    }

    /// The repository's place, for people.
    fn place_of(&self, body: &BodyKey) -> String {
        format!("{}{}", self.bucket.location, body.repository)
    }

    pub(super) fn fault<E>(&self, action: &str, error: &Failure<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        fault(self.bucket.location.clone(), action, error)
    }

    fn wrong(&self, body: &BodyKey, reason: &str) -> Error {
        Error::BadAnswer {
            location: self.place_of(body),
            action: format!("read {}", body.name),
            reason: reason.to_owned(),
        }
    }

    /// What it means that a body could not be read.
    fn absent_or(&self, body: &BodyKey, error: &Failure<GetObjectError>) -> Error {
        match error.code() {
            Some("NoSuchKey") => Error::NotFound {
                name: body.name,
                location: self.place_of(body),
            },
            _ => fault(
                self.place_of(body),
                format_args!("read {}", body.name),
                error,
            ),
        }
    }

    /// Opens all of a body, and tells its size.
    fn open_whole(&self, body: &BodyKey) -> Result<(u64, GetObjectOutput)> {
        let answer = ask(&self.bucket, &self.key(body), None, None)
            .map_err(|error| self.absent_or(body, &error))?;
        let size = answer
            .content_length
            .and_then(|length| length.try_into().ok());
        let size = size.ok_or_else(|| self.wrong(body, "it told no size"))?;
        Ok((size, answer))
    }

    /// The bytes `left` of a body.
    fn stream(
        &self,
        body: &BodyKey,
        answer: GetObjectOutput,
        left: Range<u64>,
    ) -> Box<dyn Read + Send> {
        let bucket = Arc::clone(&self.bucket);
        Box::new(Stream::new(bucket, self.key(body), answer, left))
    }

    /// Removes the old versions under a key, where the bucket keeps them.
    fn remove_versions(&self, body: &BodyKey) -> Result<()> {
        let key = self.key(body);
        let action = format!("remove the versions of {}", body.name);
        for _ in 0..MOST_PAGES {
            let request = self.bucket.client.list_object_versions();
            let request = request.bucket(&self.bucket.name).prefix(&key);
            let page = self
                .bucket
                .wait(request.send())
                .map_err(|error| fault(self.place_of(body), &action, &error))?;
            let versions = page.versions().iter();
            let versions = versions.map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter();
            let markers = markers.map(|marker| (marker.key(), marker.version_id()));
            let ids: Vec<_> = versions
                .chain(markers)
                .filter(|(of, _)| *of == Some(key.as_str()))
                .filter_map(|(_, id)| id)
                .collect();
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                let request = self.bucket.client.delete_object();
                let request = request.bucket(&self.bucket.name).key(&key).version_id(id);
                self.bucket
                    .wait(request.send())
                    .map_err(|error| fault(self.place_of(body), &action, &error))?;
            }
        }
        Err(self.wrong(body, "its versions never end"))
    }

    pub(super) const fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    /// What all keys begin with, with the slash behind it.
    pub(super) fn prefix(&self) -> String {
        match self.bucket.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        }
    }
}

impl Bodies for S3Bodies {
    fn location(&self) -> &str {
        &self.bucket.location
    }

    fn stage(&self, body: &BodyKey) -> Result<Box<dyn Staged>> {
        Ok(Box::new(S3Staged::new(
            Arc::clone(&self.bucket),
            self.place_of(body),
            self.key(body),
            body.name,
        )))
    }

    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Box<dyn Read + Send>)> {
        let Some(range) = range else {
            let (size, answer) = self.open_whole(body)?;
            return Ok((size, self.stream(body, answer, 0..size)));
        };
        // The wire has no words for an empty range, nor for numbers that are no file's size.
        let range = range.start..range.end.min(i64::MAX as u64);
        let asked = match range.is_empty() {
            true => None,
            false => match ask(&self.bucket, &self.key(body), Some(&range), None) {
                Err(error) if status(&error) == Some(416) => None,
                Err(error) => return Err(self.absent_or(body, &error)),
                Ok(answer) => Some(answer),
            },
        };
        let Some(answer) = asked else {
            let (size, _) = self.open_whole(body)?;
            return match range.is_empty() || range.start >= size {
                true => Ok((size, Box::new(io::empty()))),
                false => Err(self.wrong(body, "it says that a sound range lies outside")),
            };
        };
        match content_range(&answer) {
            Some((told, size)) if told == (range.start..range.end.min(size)) => {
                Ok((size, self.stream(body, answer, told)))
            }
            _ => Err(self.wrong(body, "it answers with other bytes than were asked for")),
        }
    }

    fn size_bytes(&self, body: &BodyKey) -> Result<u64> {
        let request = self.bucket.client.head_object();
        let request = request.bucket(&self.bucket.name).key(self.key(body));
        let told = match self.bucket.wait(request.send()) {
            Ok(told) => told,
            // The answer to HEAD has no body that tells a missing key from a missing bucket.
            Err(error) if status(&error) == Some(404) => return Ok(self.open_whole(body)?.0),
            Err(error) => {
                let action = format!("look at {}", body.name);
                return Err(fault(self.place_of(body), &action, &error));
            }
        };
        let size_bytes = told
            .content_length
            .and_then(|length| length.try_into().ok());
        size_bytes.ok_or_else(|| self.wrong(body, "it told no size"))
    }

    fn remove(&self, body: &BodyKey) -> Result<()> {
        let request = self.bucket.client.delete_object();
        let request = request.bucket(&self.bucket.name).key(self.key(body));
        match self.bucket.wait(request.send()) {
            Ok(answer) if answer.version_id.is_some() => self.remove_versions(body),
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => {
                let action = format!("remove {}", body.name);
                Err(fault(self.place_of(body), action, &error))
            }
        }
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn probe(&self) -> Result<()> {
        self.bucket.wait(self.try_upload())
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
        FileType::SYNCED
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
        for kind in FileType::SYNCED
            .into_iter()
            .chain([FileType::Config, FileType::Locks])
        {
            let key = bodies.key(&BodyKey {
                repository: "acme/repos".parse().unwrap(),
                name: FileName::new(kind, id),
                generation: 7,
            });
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
