//! Small files in a bucket, by names of the caller's: for what is no body, as a vault's log.

use std::io::Read;
use std::sync::Arc;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;

use crate::s3::bodies::S3Bodies;
use crate::s3::client::Bucket;
use crate::s3::fault::fault;
use crate::s3::stream::{Source, Stream, ask};
use crate::{Error, Result};

/// No sound listing that we ask for has more pages.
const MOST_PAGES: usize = 100;

/// The files of a folder in a bucket.
#[derive(Debug)]
pub struct S3Files {
    bucket: Arc<Bucket>,
    /// What all keys begin with, with the slash behind it.
    folder: String,
    location: String,
}

impl S3Bodies {
    /// The files of a folder beside the repositories. No repository may have its name.
    pub fn files(&self, folder: &str) -> S3Files {
        let bucket = Arc::clone(self.bucket());
        S3Files {
            location: format!("{}{folder}", bucket.location),
            folder: format!("{}{folder}/", bucket.folder()),
            bucket,
        }
    }
}

impl S3Files {
    /// The place as people write it, without any secret in it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// All bytes of a file; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is larger than `limit_bytes`.
    pub fn read(&self, name: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>> {
        let action = format!("read {name}");
        let source = Source::newest(self.key(name));
        let answer = match ask(&self.bucket, &source, None, None) {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(fault(self.location.clone(), action, &error)),
        };
        let wrong = |reason: &str| Error::BadAnswer {
            location: self.location.clone(),
            action: action.clone(),
            reason: reason.to_owned(),
        };
        let told: Option<u64> = answer
            .content_length
            .and_then(|length| length.try_into().ok());
        let size = told
            .filter(|size| *size <= limit_bytes as u64)
            .ok_or_else(|| wrong("it tells no size, or one that is too large"))?;
        let mut bytes = Vec::new();
        Stream::new(Arc::clone(&self.bucket), source, answer, 0..size)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::Unreachable {
                location: self.location.clone(),
                reason: error.to_string(),
            })?;
        Ok(Some(bytes))
    }

    /// Writes a file, in place of one of the same name: it is seen whole or not at all, and when
    /// this returns it is durable.
    ///
    /// # Errors
    /// Where it cannot be written; where an answer was lost, it may be there all the same.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let request = self.bucket.client.put_object();
        let request = request
            .bucket(&self.bucket.name)
            .key(self.key(name))
            .body(ByteStream::from(bytes.to_vec()));
        let put = self.bucket.wait(request.send());
        put.map_err(|error| fault(self.location.clone(), format!("write {name}"), &error))?;
        Ok(())
    }

    /// Removes all files whose names begin so.
    ///
    /// # Errors
    /// Where that cannot be done; some may be gone by then.
    pub fn remove_all(&self, beginning: &str) -> Result<()> {
        let action = format!("remove {beginning}");
        let prefix = self.key(beginning);
        for _ in 0..MOST_PAGES {
            let request = self.bucket.client.list_objects_v2();
            let request = request.bucket(&self.bucket.name).prefix(&prefix);
            let page = self
                .bucket
                .wait(request.send())
                .map_err(|error| fault(self.location.clone(), &action, &error))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            let keys: Vec<_> = keys.filter(|key| key.starts_with(&prefix)).collect();
            if keys.is_empty() {
                return Ok(());
            }
            for key in keys {
                let request = self.bucket.client.delete_object();
                let request = request.bucket(&self.bucket.name).key(key);
                self.bucket
                    .wait(request.send())
                    .map_err(|error| fault(self.location.clone(), &action, &error))?;
            }
        }
        Err(Error::BadAnswer {
            location: self.location.clone(),
            action,
            reason: "they never end".to_owned(),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }
}
