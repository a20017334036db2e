//! Whether a bucket takes bytes, tried without leaving any.
//!
//! What can go wrong: a server that takes connections and says nothing. Bodies wait for it with
//! patience; who only wants to know whether it is there must hear soon that it is not. So there is
//! one try of each request, and one time limit for all of them together. An account that may write
//! and may not end uploads is no reason to say that the bucket takes nothing: what was begun is
//! found by a sweep, or by a lifecycle rule.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::s3::bodies::S3Bodies;
use crate::s3::client::Bucket;
use crate::s3::fault::fault;
use crate::{Error, Result};

/// How long all of it may take; and what else nobody may wait for.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

const ACTION: &str = "try whether it takes bytes";

/// An upload that was begun.
struct Upload {
    bucket: String,
    location: String,
    key: String,
    id: String,
}

impl S3Bodies {
    /// Begins an upload, sends a part and ends it: all that a body needs but the end, by which alone
    /// something would stay, with its versions where the bucket keeps any. Takes 10 s at most.
    ///
    /// # Errors
    /// Where a part is not taken; [`Error::Unreachable`] also where nothing was said in time.
    pub(super) async fn try_upload(&self) -> Result<()> {
        let bucket = self.bucket();
        let until = Instant::now() + LIMIT;
        // As a body's, so that a sweep finds what was not ended; nothing ever has this name.
        let key = format!("{}probe/config/1", bucket.folder());
        let request = bucket.once.create_multipart_upload();
        let request = request.bucket(&bucket.name).key(&key);
        let begun = timeout_at(until, request.send()).await;
        let begun = begun.map_err(|_| silent(bucket))?;
        let begun = begun.map_err(|error| self.fault(ACTION, &error))?;
        let id = begun.upload_id.ok_or_else(|| Error::BadAnswer {
            location: bucket.location.clone(),
            action: ACTION.to_owned(),
            reason: "it gave the upload no id".to_owned(),
        })?;
        let request = bucket.once.upload_part();
        let request = request
            .bucket(&bucket.name)
            .key(&key)
            .upload_id(&id)
            .part_number(1)
            .body(ByteStream::from_static(b"strongroom"));
        let sent = timeout_at(until, request.send()).await;
        let upload = Upload {
            bucket: bucket.name.clone(),
            location: bucket.location.clone(),
            key,
            id,
        };
        let ending = tokio::spawn(upload.end(bucket.once.clone()));
        // It is ended all the same where nobody waits for it any more.
        let _ = timeout_at(until, ending).await;
        let sent = sent.map_err(|_| silent(bucket))?;
        sent.map_err(|error| self.fault(ACTION, &error))?;
        Ok(())
    }
}

/// What it means that nothing was said in time.
pub(super) fn silent(bucket: &Bucket) -> Error {
    Error::Unreachable {
        location: bucket.location.clone(),
        reason: format!("It has not answered within {} s", LIMIT.as_secs()),
    }
}

impl Upload {
    /// Ends it; where that fails it is told and no more.
    async fn end(self, client: Client) {
        let request = client.abort_multipart_upload();
        let request = request.bucket(self.bucket).key(self.key).upload_id(self.id);
        match timeout(LIMIT, request.send()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.code() == Some("NoSuchUpload") => {}
            Ok(Err(error)) => {
                let error = fault(self.location, "end an upload", &error);
                let error = &error as &dyn StdError;
                tracing::warn!(
                    error,
                    "An upload that was only a try stays until it is swept"
                );
            }
            Err(_) => {
                let location = self.location;
                tracing::warn!(
                    location,
                    "An upload that was only a try stays until it is swept"
                );
            }
        }
    }
}
