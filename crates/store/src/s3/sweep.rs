//! Uploads into a bucket that were begun and never ended, ended.
//!
//! What can go wrong: a server that says nothing, and uploads without number. Nobody's bytes depend
//! on a sweep, so it tries each request once and takes 10 s at most; what is left waits for the next
//! one. An account that may write and may not end uploads is told.

use std::error::Error as StdError;
use std::time::SystemTime;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::MultipartUpload;
use strongroom_model::FileType;
use tokio::time::{Instant, timeout_at};

use crate::Result;
use crate::s3::bodies::{S3Bodies, is_key};
use crate::s3::client::Bucket;
use crate::s3::fault::{Failure, fault};
use crate::s3::object::MOST_PAGES;
use crate::s3::probe::{LIMIT, silent};
use crate::s3::store::S3Store;

impl S3Bodies {
    /// Ends uploads that were begun before `older_than`, by the server's clock, until all are ended
    /// or 10 s are over; returns how many.
    ///
    /// # Errors
    /// Where they cannot be listed or ended; [`Error::Unreachable`](crate::Error::Unreachable) also
    /// where nothing at all was said in time.
    pub(super) async fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        let bucket = self.bucket();
        let folder = bucket.folder();
        let is_ours = |key: &str| key.strip_prefix(&folder).is_some_and(is_key);
        Sweep { bucket, is_ours }.end_all(older_than).await
    }
}

impl S3Store {
    /// As [`S3Bodies::end_old_uploads`], of the files of this repository.
    pub(super) fn end_uploads(&self, older_than: SystemTime) -> Result<u64> {
        let (bucket, layout) = (self.bucket(), self.layout());
        let is_ours = |key: &str| {
            let mut kinds = FileType::SYNCED.into_iter().chain([FileType::Config]);
            kinds.any(|kind| layout.name(kind, key).is_some())
        };
        bucket.wait(Sweep { bucket, is_ours }.end_all(older_than))
    }
}

/// A sweep of a bucket.
struct Sweep<'b, F> {
    bucket: &'b Bucket,
    /// Whether a key is one that we give: others may use the bucket too.
    is_ours: F,
}

impl<F: Fn(&str) -> bool> Sweep<'_, F> {
    async fn end_all(&self, older_than: SystemTime) -> Result<u64> {
        let bucket = self.bucket;
        let until = Instant::now() + LIMIT;
        let mut count = 0;
        let mut is_heard = false;
        let (mut key_marker, mut id_marker) = (None, None);
        for _ in 0..MOST_PAGES {
            let request = bucket.once.list_multipart_uploads();
            let request = request
                .bucket(&bucket.name)
                .prefix(bucket.folder())
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker);
            let Ok(page) = timeout_at(until, request.send()).await else {
                return match is_heard {
                    true => Ok(count),
                    false => Err(silent(bucket)),
                };
            };
            is_heard = true;
            let page =
                page.map_err(|error| self.fault("list the uploads that were begun", &error))?;
            for upload in page.uploads() {
                let Some((key, id)) = self.old_upload(upload, older_than) else {
                    continue;
                };
                let Ok(ended) = timeout_at(until, self.end_upload(key, id)).await else {
                    return Ok(count);
                };
                count += u64::from(ended?);
            }
            if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
                break;
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
        Ok(count)
    }

    /// Ends an upload; whether it was still there.
    async fn end_upload(&self, key: &str, id: &str) -> Result<bool> {
        let bucket = self.bucket;
        let request = bucket.once.abort_multipart_upload();
        let request = request.bucket(&bucket.name).key(key).upload_id(id);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(false),
            Err(error) => Err(self.fault("end an upload", &error)),
        }
    }

    /// Key and id of an upload, where it is one of ours and old.
    fn old_upload<'u>(
        &self,
        upload: &'u MultipartUpload,
        older_than: SystemTime,
    ) -> Option<(&'u str, &'u str)> {
        let key = upload.key()?;
        let begun = SystemTime::try_from(*upload.initiated()?).ok()?;
        let is_old = (self.is_ours)(key) && begun < older_than;
        is_old.then_some((key, upload.upload_id()?))
    }

    fn fault<E>(&self, action: &str, error: &Failure<E>) -> crate::Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        fault(self.bucket.location.clone(), action, error)
    }
}
