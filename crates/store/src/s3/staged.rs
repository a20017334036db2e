//! A body on its way into a bucket: one request where it is small, parts of an upload where not.
//!
//! An upload belongs to the key from its first part on and is not seen there until it is completed.
//!
//! What can go wrong: the answer to the last request is lost, it is sent again, and the upload is
//! not there any more. It may have been completed, or have been ended by somebody else, and whatever
//! lies under the key may be anybody's. So that is a failure, and whoever sends the bytes again finds
//! out.

use std::io;
use std::sync::Arc;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use strongroom_model::FileName;

use crate::bodies::Staged;
use crate::s3::client::Bucket;
use crate::s3::fault::fault;
use crate::s3::part::{Full, PART_BYTES, Part};
use crate::{Error, Result};

/// The most parts that S3 takes: 78 GiB.
const MOST_PARTS: i32 = 10_000;

/// A body that is being written.
#[derive(Debug)]
pub(super) struct S3Staged {
    bucket: Arc<Bucket>,
    location: String,
    key: String,
    name: FileName,
    part: Part,
    upload: Option<Upload>,
}

/// An upload that was begun and not ended.
#[derive(Debug)]
struct Upload {
    id: String,
    parts: Vec<CompletedPart>,
    sent_bytes: u64,
}

impl S3Staged {
    /// Begins an empty body; nothing is sent yet.
    pub(super) fn new(bucket: Arc<Bucket>, location: String, key: String, name: FileName) -> Self {
        Self {
            bucket,
            location,
            key,
            name,
            part: Part::default(),
            upload: None,
        }
    }

    /// Takes what has come since the last part.
    fn take(&mut self) -> Result<Full> {
        let read_back = match self.part.is_in_file() {
            true => self.bucket.wait(self.bucket.waiting.read_back()),
            false => None,
        };
        let taken = self.part.take(read_back);
        taken.map_err(|error| self.not_kept(error))
    }

    /// What it means that bytes which wait could not be kept.
    fn not_kept(&self, source: io::Error) -> Error {
        let location = self.location.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { location },
            _ => Error::Io {
                location,
                action: format!("keep what waits to be sent of {}", self.name),
                source,
            },
        }
    }

    /// Sends what has come as the next part.
    fn send_part(&mut self) -> Result<()> {
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => self.begin()?,
        };
        let sent = self.send_part_of(&mut upload);
        self.upload = Some(upload);
        sent
    }

    fn begin(&self) -> Result<Upload> {
        let request = self.bucket.client.create_multipart_upload();
        let request = request.bucket(&self.bucket.name).key(&self.key);
        let begun = self.bucket.wait(request.send());
        let begun = begun.map_err(|error| fault(self.location.clone(), self.action(), &error))?;
        Ok(Upload {
            id: self.told(begun.upload_id, "it gave the upload no id")?,
            parts: Vec::new(),
            sent_bytes: 0,
        })
    }

    fn send_part_of(&mut self, upload: &mut Upload) -> Result<()> {
        let number = i32::try_from(upload.parts.len()).unwrap_or(MOST_PARTS) + 1;
        if number > MOST_PARTS {
            return Err(Error::TooLarge {
                name: self.name,
                location: self.location.clone(),
                limit_bytes: upload.sent_bytes,
            });
        }
        let part = self.take()?;
        upload.sent_bytes += part.bytes.len() as u64;
        let request = self.bucket.client.upload_part();
        let request = request
            .bucket(&self.bucket.name)
            .key(&self.key)
            .upload_id(&upload.id)
            .part_number(number)
            .body(ByteStream::from(part.bytes));
        let sent = self.bucket.wait(request.send());
        drop(part.place);
        let sent = sent.map_err(|error| fault(self.location.clone(), self.action(), &error))?;
        let tag = self.told(sent.e_tag, "it gave a part no tag")?;
        upload.parts.push(
            CompletedPart::builder()
                .part_number(number)
                .e_tag(tag)
                .build(),
        );
        Ok(())
    }

    fn put(&mut self) -> Result<()> {
        let all = self.take()?;
        let request = self.bucket.client.put_object();
        let request = request
            .bucket(&self.bucket.name)
            .key(&self.key)
            .body(ByteStream::from(all.bytes));
        let put = self.bucket.wait(request.send());
        drop(all.place);
        put.map_err(|error| fault(self.location.clone(), self.action(), &error))?;
        Ok(())
    }

    fn complete(&self, upload: &Upload) -> Result<()> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(upload.parts.clone()))
            .build();
        let request = self.bucket.client.complete_multipart_upload();
        let request = request
            .bucket(&self.bucket.name)
            .key(&self.key)
            .upload_id(&upload.id)
            .multipart_upload(parts);
        match self.bucket.wait(request.send()) {
            Ok(_) => Ok(()),
            // **Security:** the right number of bytes under the key says nothing: whoever ends an
            // upload may have put junk of that length there before.
            Err(error) if error.code() == Some("NoSuchUpload") => Err(Error::Unreachable {
                location: self.location.clone(),
                reason: format!(
                    "it does not know the upload of {} any more: somebody ended it, or an answer \
                     was lost",
                    self.name
                ),
            }),
            Err(error) => Err(fault(self.location.clone(), self.action(), &error)),
        }
    }

    fn action(&self) -> String {
        format!("write {}", self.name)
    }

    /// What an answer must contain.
    fn told(&self, value: Option<String>, otherwise: &str) -> Result<String> {
        value.ok_or_else(|| Error::BadAnswer {
            location: self.location.clone(),
            action: self.action(),
            reason: otherwise.to_owned(),
        })
    }
}

impl Staged for S3Staged {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // Sent only when more comes: what fits into one part needs one request.
            if self.part.bytes() >= PART_BYTES {
                self.send_part()?;
            }
            let room = PART_BYTES.saturating_sub(self.part.bytes());
            let (taken, left) = bytes.split_at(room.min(bytes.len()));
            let kept = self.part.push(taken, &self.bucket.waiting);
            kept.map_err(|error| self.not_kept(error))?;
            bytes = left;
        }
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<()> {
        if self.upload.is_none() {
            return self.put();
        }
        self.send_part()?;
        if let Some(upload) = &self.upload {
            self.complete(upload)?;
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for S3Staged {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            let request = self.bucket.client.abort_multipart_upload();
            let request = request
                .bucket(&self.bucket.name)
                .key(&self.key)
                .upload_id(upload.id);
            // Where even this fails, the next sweep finds it.
            self.bucket.spawn(request.send());
        }
    }
}
