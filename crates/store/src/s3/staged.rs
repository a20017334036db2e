//! A body on its way into a bucket: [one request](Object::put) where it is small, parts of an
//! [upload](Upload) where not.

use std::io;

use bytes::Bytes;

use crate::bodies::Staged;
use crate::s3::object::Object;
use crate::s3::part::{Full, PART_BYTES, Part};
use crate::s3::upload::Upload;
use crate::{Error, Result};

/// A body that is being written.
#[derive(Debug)]
pub(super) struct S3Staged {
    object: Object,
    part: Part,
    upload: Option<Upload>,
}

impl S3Staged {
    /// Begins an empty body; nothing is sent yet.
    pub(super) fn new(object: Object) -> Self {
        Self {
            object,
            part: Part::default(),
            upload: None,
        }
    }

    /// Takes what has come since the last part.
    fn take(&mut self) -> Result<Full> {
        let bucket = &self.object.bucket;
        let read_back = match self.part.is_in_file() {
            true => bucket.wait(bucket.waiting.read_back()),
            false => None,
        };
        let taken = self.part.take(read_back);
        taken.map_err(|error| self.not_kept(error))
    }

    /// What it means that bytes which wait could not be kept.
    fn not_kept(&self, source: io::Error) -> Error {
        let location = self.object.location.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { location },
            _ => Error::Io {
                location,
                action: format!("keep what waits to be sent of {}", self.object.name),
                source,
            },
        }
    }

    /// Sends what has come as the next part.
    fn send_part(&mut self) -> Result<()> {
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => Upload::begin(self.object.clone(), None)?,
        };
        let sent = self.send_part_of(&mut upload);
        self.upload = Some(upload);
        sent
    }

    fn send_part_of(&mut self, upload: &mut Upload) -> Result<()> {
        let part = self.take()?;
        let sent = upload.send(Bytes::from(part.bytes), None);
        drop(part.place);
        sent
    }

    fn put(&mut self) -> Result<()> {
        let all = self.take()?;
        let put = self.object.put(Bytes::from(all.bytes), None, None);
        drop(all.place);
        put.map(drop)
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
            let kept = self.part.push(taken, &self.object.bucket.waiting);
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
        match self.upload.take() {
            Some(upload) => upload.complete().map(drop),
            None => Ok(()),
        }
    }
}
