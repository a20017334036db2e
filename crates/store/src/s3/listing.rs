//! What lies in a bucket, page by page, and as a whole or not at all: a short list would look like
//! loss.
//!
//! What can go wrong: a page that fails (so does the listing), pages without end and names without
//! number (so: as many as any sound repository has), and a server that goes round in circles (so:
//! the same, and a page that leads nowhere is a fault).

use std::time::SystemTime;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::primitives::DateTime;
use strongroom_model::{FileEntry, FileName, FileType};

use crate::s3::fault::fault;
use crate::s3::store::S3Store;
use crate::store::list_limit_files;
use crate::{Error, FileVersion, Result, VersionContent, VersionId};

/// No sound listing has more pages: a hundred million names.
const MOST_PAGES: usize = 100_000;

impl S3Store {
    /// All files of a type that has more than one.
    pub(super) fn list_files(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let (bucket, limit) = (self.bucket(), list_limit_files(kind));
        let prefix = self.layout().beginning(kind);
        let mut entries = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let request = bucket.client.list_objects_v2();
            let request = request
                .bucket(&bucket.name)
                .prefix(&prefix)
                .set_continuation_token(token);
            let page = bucket.answer(request.send()).map_err(|error| {
                fault(bucket.location.clone(), format!("list {kind}"), &error)
            })?;
            for object in page.contents() {
                let name = object.key().and_then(|key| self.layout().name(kind, key));
                let Some(id) = name.and_then(|name| name.id()) else {
                    continue;
                };
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                entries.push(FileEntry {
                    id,
                    size_bytes: size.ok_or_else(|| self.no_listing(kind, "it tells no size"))?,
                });
            }
            if entries.len() > limit {
                return Err(self.too_many(kind, limit));
            }
            if page.is_truncated != Some(true) {
                return Ok(entries);
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return Err(self.no_listing(kind, "it breaks off"));
            }
        }
        Err(self.no_listing(kind, "it never ends"))
    }

    /// All versions and markers of a type.
    pub(super) fn list_all_versions(&self, kind: FileType) -> Result<Vec<FileVersion>> {
        let (bucket, limit) = (self.bucket(), list_limit_files(kind));
        let prefix = self.layout().beginning(kind);
        let mut found = Vec::new();
        let (mut key_marker, mut version_marker) = (None, None);
        for _ in 0..MOST_PAGES {
            let request = bucket.client.list_object_versions();
            let request = request
                .bucket(&bucket.name)
                .prefix(&prefix)
                .set_key_marker(key_marker)
                .set_version_id_marker(version_marker);
            let page = bucket.answer(request.send()).map_err(|error| {
                let action = format!("list the versions of {kind}");
                fault(bucket.location.clone(), action, &error)
            })?;
            self.collect(kind, &page, &mut found)?;
            if found.len() > limit {
                return Err(self.too_many(kind, limit));
            }
            if page.is_truncated != Some(true) {
                return Ok(found);
            }
            if page.next_key_marker.is_none() {
                return Err(self.no_listing(kind, "it breaks off"));
            }
            (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
        }
        Err(self.no_listing(kind, "it never ends"))
    }

    /// Takes what a page tells of the files of a type.
    fn collect(
        &self,
        kind: FileType,
        page: &ListObjectVersionsOutput,
        found: &mut Vec<FileVersion>,
    ) -> Result<()> {
        let unclear = || self.no_listing(kind, "a version lacks its name, its date or its size");
        for version in page.versions() {
            let Some(name) = self.name_of(kind, version.key()) else {
                continue;
            };
            let size = version.size().and_then(|size| u64::try_from(size).ok());
            let content = size.map(|size_bytes| VersionContent::Bytes {
                size_bytes,
                tag: version.e_tag().map(str::to_owned),
            });
            let (id, made) = (version.version_id(), version.last_modified());
            let told = file_version(name, id, made, version.is_latest(), content);
            found.push(told.ok_or_else(unclear)?);
        }
        for marker in page.delete_markers() {
            let Some(name) = self.name_of(kind, marker.key()) else {
                continue;
            };
            let content = Some(VersionContent::Marker);
            let (id, made) = (marker.version_id(), marker.last_modified());
            let told = file_version(name, id, made, marker.is_latest(), content);
            found.push(told.ok_or_else(unclear)?);
        }
        Ok(())
    }

    fn name_of(&self, kind: FileType, key: Option<&str>) -> Option<FileName> {
        self.layout().name(kind, key?)
    }

    fn too_many(&self, kind: FileType, limit: usize) -> Error {
        self.no_listing(kind, &format!("there are more than {limit} files"))
    }

    fn no_listing(&self, kind: FileType, reason: &str) -> Error {
        Error::BadAnswer {
            location: self.bucket().location.clone(),
            action: format!("list {kind}"),
            reason: reason.to_owned(),
        }
    }
}

/// A version as it is told; `None` where something of it is not.
fn file_version(
    name: FileName,
    id: Option<&str>,
    made: Option<&DateTime>,
    is_newest: Option<bool>,
    content: Option<VersionContent>,
) -> Option<FileVersion> {
    Some(FileVersion {
        name,
        version: VersionId::new(id?),
        made: SystemTime::try_from(*made?).ok()?,
        is_newest: is_newest.unwrap_or_default(),
        content: content?,
    })
}
