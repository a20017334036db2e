//! One file in a bucket: what is asked of a single key, whoever keeps what under it.
//!
//! What can go wrong: answers that are no such server's (so: what they say of sizes and ranges is
//! held against what was asked), and a HEAD that tells a missing file from a missing bucket by
//! nothing (so: the bytes are asked for, whose refusal says which).

use std::error::Error as StdError;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::EncodingType;
use strongroom_model::FileName;

use crate::s3::client::Bucket;
use crate::s3::fault::{Failure, fault, status};
use crate::s3::listing::decoded;
use crate::s3::stream::{Source, Stream, ask, content_range};
use crate::{Error, Result};

/// No sound listing that we ask for in one go has more pages; what is beyond waits for the next
/// time.
pub(super) const MOST_PAGES: usize = 1000;

/// A file, and what errors call it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bucket: Arc<Bucket>,
    /// The repository's place, for people.
    pub(super) location: String,
    pub(super) name: FileName,
    pub(super) source: Source,
}

impl Object {
    /// The same file in a certain version.
    pub(super) fn in_version(&self, version: Option<String>) -> Self {
        let key = self.source.key.clone();
        Self {
            source: Source { key, version },
            ..self.clone()
        }
    }

    /// What a failed request means; `verb` is what was tried with the file.
    pub(super) fn fault<E>(&self, verb: &str, error: &Failure<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let action = format!("{verb} {}", self.name);
        fault(self.location.clone(), action, error)
    }

    /// That an answer is none.
    pub(super) fn wrong(&self, verb: &str, reason: impl Into<String>) -> Error {
        Error::BadAnswer {
            location: self.location.clone(),
            action: format!("{verb} {}", self.name),
            reason: reason.into(),
        }
    }

    /// That there is no such file.
    pub(super) fn absent(&self) -> Error {
        Error::NotFound {
            name: self.name,
            location: self.location.clone(),
        }
    }

    /// What it means that the bytes could not be read.
    fn absent_or(&self, error: &Failure<GetObjectError>) -> Error {
        match error.code() {
            Some("NoSuchKey" | "NoSuchVersion") => self.absent(),
            _ => self.fault("read", error),
        }
    }

    /// Opens all of it, and tells its size.
    fn open_whole(&self) -> Result<(u64, GetObjectOutput)> {
        let answer = ask(&self.bucket, &self.source, None, None);
        let answer = answer.map_err(|error| self.absent_or(&error))?;
        let size = answer
            .content_length
            .and_then(|length| length.try_into().ok());
        let size = size.ok_or_else(|| self.wrong("read", "it told no size"))?;
        Ok((size, answer))
    }

    /// The bytes `left` of it.
    fn stream(&self, answer: GetObjectOutput, left: Range<u64>) -> Box<dyn Read + Send> {
        let (bucket, source) = (Arc::clone(&self.bucket), self.source.clone());
        Box::new(Stream::new(bucket, source, answer, left))
    }

    /// Opens it, or a range of its bytes, which is cut where it reaches past the end; returns its
    /// whole size in bytes too.
    pub(super) fn open(&self, range: Option<Range<u64>>) -> Result<(u64, Box<dyn Read + Send>)> {
        let Some(range) = range else {
            let (size, answer) = self.open_whole()?;
            return Ok((size, self.stream(answer, 0..size)));
        };
        // The wire has no words for an empty range, nor for numbers that are no file's size.
        let range = range.start..range.end.min(i64::MAX as u64);
        let asked = match range.is_empty() {
            true => None,
            false => match ask(&self.bucket, &self.source, Some(&range), None) {
                Err(error) if status(&error) == Some(416) => None,
                Err(error) => return Err(self.absent_or(&error)),
                Ok(answer) => Some(answer),
            },
        };
        let Some(answer) = asked else {
            let (size, _) = self.open_whole()?;
            return match range.is_empty() || range.start >= size {
                true => Ok((size, Box::new(io::empty()))),
                false => Err(self.wrong("read", "it says that a sound range lies outside")),
            };
        };
        match content_range(&answer) {
            Some((told, size)) if told == (range.start..range.end.min(size)) => {
                Ok((size, self.stream(answer, told)))
            }
            _ => Err(self.wrong("read", "it answers with other bytes than were asked for")),
        }
    }

    /// What is told of it without its bytes; `None` where nothing lies there, or there is no
    /// bucket.
    pub(super) fn look(&self) -> Result<Option<HeadObjectOutput>> {
        let request = self.bucket.client.head_object();
        let request = request
            .bucket(&self.bucket.name)
            .key(&self.source.key)
            .set_version_id(self.source.version.clone());
        let told = match self.bucket.answer(request.send()) {
            Ok(told) => told,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(self.fault("look at", &error)),
        };
        let asked = self.source.version.as_deref();
        let versions = asked.zip(told.version_id());
        match versions.is_none_or(|(asked, shown)| asked == shown) {
            true => Ok(Some(told)),
            false => Err(self.wrong("look at", "it tells of another version than was asked for")),
        }
    }

    /// How many bytes it has.
    pub(super) fn size_bytes(&self) -> Result<u64> {
        // The answer to HEAD has no body that tells a missing key from a missing bucket.
        let Some(told) = self.look()? else {
            return Ok(self.open_whole()?.0);
        };
        self.size_in(&told)
    }

    /// How many bytes it has, as an answer says.
    pub(super) fn size_in(&self, told: &HeadObjectOutput) -> Result<u64> {
        let size = told
            .content_length
            .and_then(|length| length.try_into().ok());
        size.ok_or_else(|| self.wrong("look at", "it told no size"))
    }

    /// Takes it out of sight: where the bucket keeps versions, they stay. Returns whether it keeps
    /// any.
    pub(super) fn hide(&self) -> Result<bool> {
        let request = self.bucket.client.delete_object();
        let request = request.bucket(&self.bucket.name).key(&self.source.key);
        match self.bucket.answer(request.send()) {
            Ok(answer) => Ok(answer.version_id.is_some()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(false),
            Err(error) => Err(self.fault("remove", &error)),
        }
    }

    /// Removes it, with all versions that the bucket keeps of it.
    pub(super) fn remove(&self) -> Result<()> {
        match self.hide()? {
            true => self.remove_versions(),
            false => Ok(()),
        }
    }

    /// Removes a version by its name, a marker included; one that is gone is none.
    pub(super) fn remove_version(&self, id: &str) -> Result<()> {
        let request = self.bucket.client.delete_object();
        let request = request
            .bucket(&self.bucket.name)
            .key(&self.source.key)
            .version_id(id);
        match self.bucket.answer(request.send()) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion")) => Ok(()),
            Err(error) => Err(self.fault("remove the versions of", &error)),
        }
    }

    /// Removes the old versions, where the bucket keeps them.
    pub(super) fn remove_versions(&self) -> Result<()> {
        let key = self.source.key.as_str();
        for _ in 0..MOST_PAGES {
            let request = self.bucket.client.list_object_versions();
            let request = request
                .bucket(&self.bucket.name)
                .prefix(key)
                .encoding_type(EncodingType::Url);
            let page = self
                .bucket
                .answer(request.send())
                .map_err(|error| self.fault("remove the versions of", &error))?;
            let versions = page.versions().iter();
            let versions = versions.map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter();
            let markers = markers.map(|marker| (marker.key(), marker.version_id()));
            let ids: Vec<_> = versions
                .chain(markers)
                .filter_map(|(of, id)| (decoded(of?, page.encoding_type()) == key).then_some(id?))
                .collect();
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                self.remove_version(id)?;
            }
        }
        Err(self.wrong("read", "its versions never end"))
    }
}
