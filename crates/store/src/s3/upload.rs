//! What is sent of a file: one request where it is small, parts of an upload where not.
//!
//! An upload belongs to the key from its first part on and is not seen there until it is completed.
//! One that is dropped is ended, and leaves nothing.
//!
//! What can go wrong: the answer to the last request is lost, it is sent again, and the upload is
//! not there any more. It may have been completed, or have been ended by somebody else, and whatever
//! lies under the key may be anybody's. So that is a failure, and whoever sends the bytes again finds
//! out. And a server may store something else than was sent: so its tags are held against our sums,
//! where there are any.

use std::error::Error as StdError;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, ObjectLockMode, ServerSideEncryption,
};
use bytes::Bytes;

use crate::s3::fault::{Failure, status};
use crate::s3::object::Object;
use crate::s3::sum::{Said, Sum, compare};
use crate::{Error, Result};

/// The most parts that S3 takes.
const MOST_PARTS: i32 = 10_000;

/// What is tried here.
const VERB: &str = "write";

/// What a server says of what it has stored.
#[derive(Debug)]
pub(super) struct Stored {
    /// The version, where the bucket keeps any.
    pub(super) version: Option<String>,
    tag: Option<String>,
    encryption: Option<ServerSideEncryption>,
}

/// An upload that was begun and not ended.
#[derive(Debug)]
pub(super) struct Upload {
    object: Object,
    id: String,
    parts: Vec<CompletedPart>,
    sent_bytes: u64,
    is_over: bool,
}

impl Object {
    /// Stores it in one request; with a sum that the server compares, and a date until when it is
    /// locked, where there are these.
    pub(super) fn put(
        &self,
        bytes: Bytes,
        sum: Option<Sum>,
        locked_until: Option<DateTime>,
    ) -> Result<Stored> {
        let patience = self.bucket.patience(bytes.len());
        let request = self.bucket.client.put_object();
        let request = request
            .bucket(&self.bucket.name)
            .key(&self.source.key)
            .set_content_md5(sum.map(Sum::header))
            .set_object_lock_mode(locked_until.map(|_| ObjectLockMode::Compliance))
            .set_object_lock_retain_until_date(locked_until)
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(patience);
        let put = self.bucket.answer(request.send());
        let put = put.map_err(|error| self.not_taken(locked_until, &error))?;
        let stored = Stored {
            version: put.version_id,
            tag: put.e_tag,
            encryption: put.server_side_encryption,
        };
        if let Some(sum) = sum {
            stored.check(self, &sum.tag())?;
        }
        Ok(stored)
    }
}

impl Object {
    /// What it means that a file was not taken, which was to be locked until then.
    fn not_taken<E>(&self, locked_until: Option<DateTime>, error: &Failure<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match (locked_until, self.fault(VERB, error)) {
            // A bucket without Object Lock says no more than that.
            (Some(until), Error::BadAnswer { reason, .. }) if status(error) == Some(400) => {
                Error::NotLocked {
                    name: self.name,
                    location: self.location.clone(),
                    reason: format!("asked for COMPLIANCE until {until}, it says {reason}"),
                }
            }
            (_, error) => error,
        }
    }
}

impl Stored {
    /// Fails where the server's tag shows that something else was stored.
    pub(super) fn check(&self, object: &Object, expected: &str) -> Result<()> {
        match compare(self.tag.as_deref(), self.encryption.as_ref(), expected) {
            Said::Other => Err(object.wrong(VERB, "its tag is not that of what was sent")),
            Said::Same | Said::Nothing => Ok(()),
        }
    }
}

impl Upload {
    /// Begins an upload, of what will be locked until then, where it will.
    pub(super) fn begin(object: Object, locked_until: Option<DateTime>) -> Result<Self> {
        let request = object.bucket.client.create_multipart_upload();
        let request = request
            .bucket(&object.bucket.name)
            .key(&object.source.key)
            .set_object_lock_mode(locked_until.map(|_| ObjectLockMode::Compliance))
            .set_object_lock_retain_until_date(locked_until);
        let begun = object.bucket.answer(request.send());
        let begun = begun.map_err(|error| object.not_taken(locked_until, &error))?;
        let id = begun
            .upload_id
            .ok_or_else(|| object.wrong(VERB, "it gave the upload no id"))?;
        Ok(Self {
            object,
            id,
            parts: Vec::new(),
            sent_bytes: 0,
            is_over: false,
        })
    }

    /// Sends the next part; with a sum that the server compares, where there is one.
    pub(super) fn send(&mut self, bytes: Bytes, sum: Option<Sum>) -> Result<()> {
        let object = &self.object;
        let number = i32::try_from(self.parts.len()).unwrap_or(MOST_PARTS) + 1;
        if number > MOST_PARTS {
            return Err(Error::TooLarge {
                name: object.name,
                location: object.location.clone(),
                limit_bytes: self.sent_bytes,
            });
        }
        self.sent_bytes += bytes.len() as u64;
        let patience = object.bucket.patience(bytes.len());
        let request = object.bucket.client.upload_part();
        let request = request
            .bucket(&object.bucket.name)
            .key(&object.source.key)
            .upload_id(&self.id)
            .part_number(number)
            .set_content_md5(sum.map(Sum::header))
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(patience);
        let sent = object.bucket.answer(request.send());
        let sent = sent.map_err(|error| object.fault(VERB, &error))?;
        let tag = sent
            .e_tag
            .ok_or_else(|| object.wrong(VERB, "it gave a part no tag"))?;
        if let Some(sum) = sum {
            let encryption = sent.server_side_encryption.as_ref();
            if compare(Some(&tag), encryption, &sum.tag()) == Said::Other {
                return Err(object.wrong(VERB, "the tag of a part is not that of what was sent"));
            }
        }
        self.parts.push(
            CompletedPart::builder()
                .part_number(number)
                .e_tag(tag)
                .build(),
        );
        Ok(())
    }

    /// Ends it, so that it is seen under its name.
    pub(super) fn complete(mut self) -> Result<Stored> {
        let object = &self.object;
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(self.parts.clone()))
            .build();
        let request = object.bucket.client.complete_multipart_upload();
        let request = request
            .bucket(&object.bucket.name)
            .key(&object.source.key)
            .upload_id(&self.id)
            .multipart_upload(parts);
        match object.bucket.answer(request.send()) {
            Ok(completed) => {
                self.is_over = true;
                Ok(Stored {
                    version: completed.version_id,
                    tag: completed.e_tag,
                    encryption: completed.server_side_encryption,
                })
            }
            // **Security:** the right number of bytes under the key says nothing: whoever ends an
            // upload may have put junk of that length there before.
            Err(error) if error.code() == Some("NoSuchUpload") => Err(Error::Unreachable {
                location: object.location.clone(),
                reason: format!(
                    "it does not know the upload of {} any more: somebody ended it, or an answer \
                     was lost",
                    object.name
                ),
            }),
            Err(error) => Err(object.fault(VERB, &error)),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let object = &self.object;
        let request = object.bucket.client.abort_multipart_upload();
        let request = request
            .bucket(&object.bucket.name)
            .key(&object.source.key)
            .upload_id(&self.id);
        // Where even this fails, the next sweep finds it, or a rule of the bucket.
        object.bucket.spawn(request.send());
    }
}
