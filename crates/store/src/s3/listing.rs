//! What lies in a bucket, page by page, and as a whole or not at all: a short list would look like
//! loss.
//!
//! What can go wrong: a page that fails (so does the listing), pages without end and names without
//! number (so: as many as any sound repository has), versions without number, by which somebody
//! buries the right ones (so: they are shown page by page and never held together), and a server
//! that goes round in circles (so: a page that leads nowhere, or back, is a fault).
//!
//! **Security:** whoever may write puts what he likes beside the files, under names that no XML can
//! hold: one of these, as it is, and no listing could be read any more. So names are asked for in
//! percent signs. And he puts names without number that begin as that of a file does: so what is asked
//! of one file ends with its name, behind which all of these come.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::SystemTime;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;
use strongroom_model::{FileEntry, FileName, FileType};

use crate::s3::fault::fault;
use crate::s3::store::S3Store;
use crate::store::list_limit_files;
use crate::versions::ShowVersion;
use crate::{Error, FileVersion, Result, VersionContent, VersionId};

/// No sound listing has more pages: a hundred million names.
const MOST_PAGES: usize = 100_000;

/// No listing of versions has more pages that anybody waits for. Whoever may write makes markers for
/// nothing, and of a hundred million names one each: what lies behind them must be found all the same.
const MOST_PAGES_OF_VERSIONS: usize = 10_000_000;

/// Who is shown one page of versions after the other, as long as he wants more.
pub(super) type ShowPage<'a> = dyn FnMut(&ListObjectVersionsOutput) -> Result<ControlFlow<()>> + 'a;

impl S3Store {
    /// All files of a type that has more than one.
    pub(super) fn list_files(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let limit = list_limit_files(kind);
        let entries = self.first_files(kind, limit)?;
        if entries.len() > limit {
            return Err(self.no_listing(kind, &format!("there are more than {limit} files")));
        }
        Ok(entries)
    }

    /// The same, until there are more than `limit`.
    pub(super) fn first_files(&self, kind: FileType, limit: usize) -> Result<Vec<FileEntry>> {
        let bucket = self.bucket();
        let prefix = self.layout().beginning(kind);
        let mut entries = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let request = bucket.client.list_objects_v2();
            let request = request
                .bucket(&bucket.name)
                .prefix(&prefix)
                .encoding_type(EncodingType::Url)
                .set_continuation_token(token);
            let page = bucket
                .answer(request.send())
                .map_err(|error| fault(bucket.location.clone(), format!("list {kind}"), &error))?;
            for object in page.contents() {
                let name = self.name_of(kind, object.key(), page.encoding_type());
                let Some(id) = name.and_then(|name| name.id()) else {
                    continue;
                };
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                entries.push(FileEntry {
                    id,
                    size_bytes: size.ok_or_else(|| self.no_listing(kind, "it tells no size"))?,
                });
            }
            if entries.len() > limit || page.is_truncated != Some(true) {
                return Ok(entries);
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return Err(self.no_listing(kind, "it breaks off"));
            }
        }
        Err(self.no_listing(kind, "it never ends"))
    }

    /// Shows all versions and markers of a type, or of one file of it.
    pub(super) fn show_versions(
        &self,
        kind: FileType,
        only: Option<FileName>,
        show: &mut ShowVersion<'_>,
    ) -> Result<()> {
        let only = only.or((kind == FileType::Config).then_some(FileName::CONFIG));
        let prefix = match only {
            Some(name) => self.layout().key(name),
            None => self.layout().beginning(kind),
        };
        self.each_page(kind, &prefix, &mut |page| {
            let mut show_wanted = |version: FileVersion| match only {
                Some(name) if version.name != name => Ok(()),
                _ => show(version),
            };
            self.show_page(kind, page, &mut show_wanted)?;
            Ok(match only {
                Some(_) => until_other(page, &prefix),
                None => ControlFlow::Continue(()),
            })
        })
    }

    /// Shows what is told of the versions of a type whose keys begin so, page by page, as long as more
    /// is wanted.
    pub(super) fn each_page(
        &self,
        kind: FileType,
        prefix: &str,
        show: &mut ShowPage<'_>,
    ) -> Result<()> {
        let bucket = self.bucket();
        let (mut key_marker, mut version_marker) = (None::<String>, None);
        for _ in 0..MOST_PAGES_OF_VERSIONS {
            let request = bucket.client.list_object_versions();
            let request = request
                .bucket(&bucket.name)
                .prefix(prefix)
                .encoding_type(EncodingType::Url)
                .set_key_marker(key_marker.clone())
                .set_version_id_marker(version_marker.clone());
            let page = bucket.answer(request.send()).map_err(|error| {
                let action = format!("list the versions of {kind}");
                fault(bucket.location.clone(), action, &error)
            })?;
            let goes_on = show(&page)?.is_continue();
            if !goes_on || page.is_truncated != Some(true) {
                return Ok(());
            }
            let next = next_key(&page);
            let Some(next) = next.filter(|next| Some(next) >= key_marker.as_ref()) else {
                return Err(self.no_listing(kind, "it breaks off"));
            };
            let next = (Some(next), page.next_version_id_marker);
            if (&next.0, &next.1) == (&key_marker, &version_marker) {
                return Err(self.no_listing(kind, "it goes round in circles"));
            }
            (key_marker, version_marker) = next;
        }
        Err(self.no_listing(kind, "it never ends"))
    }

    /// Shows what a page tells of the files of a type.
    fn show_page(
        &self,
        kind: FileType,
        page: &ListObjectVersionsOutput,
        show: &mut ShowVersion<'_>,
    ) -> Result<()> {
        let unclear = || self.no_listing(kind, "a version lacks its name, its date or its size");
        let encoding = page.encoding_type();
        for version in page.versions() {
            let Some(name) = self.name_of(kind, version.key(), encoding) else {
                continue;
            };
            let size = version.size().and_then(|size| u64::try_from(size).ok());
            let content = size.map(|size_bytes| VersionContent::Bytes {
                size_bytes,
                tag: version.e_tag().map(str::to_owned),
            });
            let (id, made) = (version.version_id(), version.last_modified());
            let told = file_version(name, id, made, version.is_latest(), content);
            show(told.ok_or_else(unclear)?)?;
        }
        for marker in page.delete_markers() {
            let Some(name) = self.name_of(kind, marker.key(), encoding) else {
                continue;
            };
            let content = Some(VersionContent::Marker);
            let (id, made) = (marker.version_id(), marker.last_modified());
            let told = file_version(name, id, made, marker.is_latest(), content);
            show(told.ok_or_else(unclear)?)?;
        }
        Ok(())
    }

    pub(super) fn name_of(
        &self,
        kind: FileType,
        key: Option<&str>,
        encoding: Option<&EncodingType>,
    ) -> Option<FileName> {
        self.layout().name(kind, &decoded(key?, encoding))
    }

    fn no_listing(&self, kind: FileType, reason: &str) -> Error {
        Error::BadAnswer {
            location: self.bucket().location.clone(),
            action: format!("list {kind}"),
            reason: reason.to_owned(),
        }
    }
}

/// Ends a listing of the keys that begin as this one with the page that has another: keys come in their
/// order, so that all versions of this one came before.
pub(super) fn until_other(page: &ListObjectVersionsOutput, key: &str) -> ControlFlow<()> {
    let is_other = |listed: Option<&str>| {
        listed.is_some_and(|listed| decoded(listed, page.encoding_type()) != key)
    };
    let mut versions = page.versions().iter();
    let mut markers = page.delete_markers().iter();
    let has_other = versions.any(|version| is_other(version.key()))
        || markers.any(|marker| is_other(marker.key()));
    match has_other {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// A key of a listing that says in what way it tells them.
pub(super) fn decoded<'k>(key: &'k str, encoding: Option<&EncodingType>) -> Cow<'k, str> {
    if encoding != Some(&EncodingType::Url) || !key.contains(['%', '+']) {
        return Cow::Borrowed(key);
    }
    let key = key.replace('+', " ");
    Cow::Owned(percent_decode_str(&key).decode_utf8_lossy().into_owned())
}

/// The key that the next page begins behind: the last one of this. Some servers encode it as they
/// do the others, and some do not; what an intruder has called it must not lead past anything.
fn next_key(page: &ListObjectVersionsOutput) -> Option<String> {
    let (told, encoding) = (page.next_key_marker()?, page.encoding_type());
    let next = decoded(told, encoding);
    if next == told {
        return Some(next.into_owned());
    }
    let versions = page.versions().iter().filter_map(|version| version.key());
    let markers = page.delete_markers().iter();
    let markers = markers.filter_map(|marker| marker.key());
    let last = versions
        .chain(markers)
        .map(|key| decoded(key, encoding))
        .max();
    match last.is_some_and(|last| last == told) {
        true => Some(told.to_owned()),
        false => Some(next.into_owned()),
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

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::ObjectVersion;

    use super::*;

    #[test]
    fn keys_are_read_as_their_listing_tells_them() {
        let url = Some(&EncodingType::Url);
        assert_eq!(decoded("data/e3/e3b0", url), "data/e3/e3b0");
        assert_eq!(decoded("data%2Fe3/e3b0", url), "data/e3/e3b0");
        assert_eq!(decoded("a+b%01%EF%BF%BE%2B%25", url), "a b\u{1}\u{fffe}+%");
        assert_eq!(decoded("%FF", url), "\u{fffd}");
        assert_eq!(decoded("a+b%2F", None), "a+b%2F");
    }

    #[test]
    fn the_next_page_begins_behind_the_last_key_whether_that_is_encoded_or_not() {
        let next = |last: &str, told: &str| {
            let version = |key: &str| ObjectVersion::builder().key(key).build();
            let page = ListObjectVersionsOutput::builder()
                .encoding_type(EncodingType::Url)
                .versions(version("a"))
                .versions(version(last))
                .next_key_marker(told);
            next_key(&page.build())
        };
        assert_eq!(next("data/e3", "data/e3").unwrap(), "data/e3");
        assert_eq!(next("data/%01", "data/%01").unwrap(), "data/\u{1}");
        // A name with a percent sign in it, by a server that encodes the keys alone.
        assert_eq!(next("data/%257a", "data/%7a").unwrap(), "data/%7a");
        assert_eq!(next("data/%257a", "data/%257a").unwrap(), "data/%7a");
        assert_eq!(next_key(&ListObjectVersionsOutput::builder().build()), None);
    }
}
