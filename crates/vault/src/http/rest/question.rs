//! One question about a repository: what is done for it, and where.
//!
//! What can go wrong: a storage that hangs. Work that has begun there goes on where its client is
//! gone, so it keeps the place of its token until it ends: else a client that asks and goes, again
//! and again, would have every place. And it is done among the works for the storage, which leave
//! places for all that needs none.

use std::io::{self, Read, Write};
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPECT, HeaderMap,
    HeaderValue, RANGE,
};
use hyper::{Method, StatusCode};
use strongroom_model::{FileName, FileType};

use crate::http::Blocking;
use crate::http::blocking::{Answer, Apart};
use crate::http::body::{Body, Intake, Listing};
use crate::http::rest::{Moment, Range, Rest, Route, V1, V2, done, outside};
use crate::http::service::{Kept, Response};
use crate::records::objects::View;
use crate::vault::{Principal, SHORT_BYTES, Upload};
use crate::{Error, Result};

/// Takes an upload into the vault, with the place of its token.
pub(super) struct Taking(Apart<(Upload, Kept)>);

/// What is sent, with the place of its token: the next piece is read also where the client is gone.
struct Sending {
    stream: Box<dyn Read + Send>,
    _place: Kept,
}

/// One question about a repository.
pub(super) struct Question {
    pub(super) rest: Rest,
    pub(super) route: Route,
    pub(super) headers: HeaderMap,
    pub(super) method: Method,
}

impl Question {
    pub(super) fn is_now(&self) -> bool {
        self.route.moment == Moment::Now
    }

    /// The view that is asked for. Blocks.
    fn view(&self) -> Result<View> {
        match self.route.moment {
            Moment::Now => Ok(View::Now),
            Moment::Time(recorded_ms) => self.rest.shared.vault.as_of(recorded_ms),
            Moment::Leaves(leaves) => Ok(View::AsOf(leaves)),
        }
    }

    /// Where a file of a type is put: only locks need no storage.
    pub(super) fn blocking_to_put(&self, kind: FileType) -> Blocking {
        match kind {
            FileType::Locks => self.rest.shared.blocking.clone(),
            _ => self.rest.shared.blocking.for_storage(),
        }
    }

    /// Where a file of a type is read: bytes that the database has, and heads, need no storage.
    fn blocking_to_get(&self, kind: FileType) -> Blocking {
        match kind {
            FileType::Config | FileType::Locks => self.rest.shared.blocking.clone(),
            _ if self.method == Method::HEAD => self.rest.shared.blocking.clone(),
            _ => self.rest.shared.blocking.for_storage(),
        }
    }

    /// Makes a repository; what room there is the storage is asked.
    pub(super) async fn create(self, principal: Principal, place: Kept) -> Result<Response> {
        let blocking = self.rest.shared.blocking.for_storage();
        let create = move || {
            self.rest
                .shared
                .vault
                .create(&principal, &self.route.repository)
        };
        blocking.run_in(place, create).await?;
        Ok(done())
    }

    /// Whether an upload is so short that it is taken before it is looked at any further: a client
    /// that waits to be asked for its bytes is told first.
    pub(super) fn is_small(&self, length_bytes: Option<u64>) -> bool {
        let asks_first = self.headers.contains_key(EXPECT);
        !asks_first && length_bytes.is_some_and(|length| length <= SHORT_BYTES)
    }

    /// Puts a short file, in one turn of a thread, which does not wait for the commit. It keeps its
    /// token's place until it is done, also where the client is gone.
    pub(super) async fn put(
        self,
        principal: Principal,
        name: FileName,
        content: Vec<u8>,
        place: Kept,
    ) -> Result<()> {
        let blocking = self.blocking_to_put(name.kind());
        let take = move || {
            let (vault, path) = (&self.rest.shared.vault, &self.route.repository);
            let length_bytes = Some(content.len() as u64);
            let mut upload = vault.begin_put(&principal, path, name, length_bytes)?;
            upload.write_owned(content)?;
            Ok(upload)
        };
        let put = move |answer: Answer<()>| {
            let done = move |outcome| {
                drop(place);
                answer.with(outcome);
            };
            match take() {
                Ok(upload) => upload.finish_then(done),
                Err(error) => done(Err(error)),
            }
        };
        blocking.begin(put).await
    }

    /// Begins to take a file, which keeps the token's place until it is put or removed.
    pub(super) async fn begin(
        self,
        principal: Principal,
        name: FileName,
        length_bytes: Option<u64>,
        place: Kept,
    ) -> Result<Taking> {
        let blocking = self.blocking_to_put(name.kind());
        blocking
            .run(move || {
                let path = &self.route.repository;
                let upload =
                    self.rest
                        .shared
                        .vault
                        .begin_put(&principal, path, name, length_bytes)?;
                Ok(Taking(Apart::new((upload, place))))
            })
            .await
    }

    pub(super) async fn remove(self, principal: Principal, name: FileName) -> Result<Response> {
        let blocking = self.rest.shared.blocking.clone();
        blocking
            .run(move || {
                let path = &self.route.repository;
                self.rest.shared.vault.remove(&principal, path, name)
            })
            .await?;
        Ok(done())
    }

    /// Sends a file, which keeps the token's place until no more of it is read.
    pub(super) async fn get(
        self,
        principal: Principal,
        name: FileName,
        place: Kept,
    ) -> Result<Response> {
        let blocking = self.blocking_to_get(name.kind());
        let reads_on = blocking.clone();
        blocking
            .run(move || {
                let view = self.view()?;
                let vault = &self.rest.shared.vault;
                let file = vault.find(&principal, &self.route.repository, view, name)?;
                let size_bytes = file.size_bytes();
                let wanted = match self.headers.get(RANGE) {
                    Some(header) => Range::parse(header.as_bytes(), size_bytes),
                    None => Range::Whole,
                };
                let (status, range) = match wanted {
                    Range::Whole => (StatusCode::OK, 0..size_bytes),
                    Range::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
                    Range::Outside => return Ok(outside(size_bytes)),
                };
                let length_bytes = range.end - range.start;
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                let headers = response.headers_mut();
                let binary = HeaderValue::from_static("application/octet-stream");
                headers.insert(CONTENT_TYPE, binary);
                headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length_bytes));
                if status == StatusCode::PARTIAL_CONTENT {
                    let last = range.end.saturating_sub(1);
                    let text = format!("bytes {}-{last}/{size_bytes}", range.start);
                    headers.extend(HeaderValue::try_from(text).map(|is| (CONTENT_RANGE, is)));
                }
                if self.method == Method::GET {
                    let sending = Sending {
                        stream: file.open(Some(range))?,
                        _place: place,
                    };
                    *response.body_mut() = Body::begin(sending, length_bytes, &reads_on)?;
                }
                Ok(response)
            })
            .await
    }

    pub(super) async fn list(self, principal: Principal, kind: FileType) -> Result<Response> {
        let blocking = self.rest.shared.blocking.clone();
        let limits = Arc::clone(&self.rest.shared.limits);
        let is_v2 = self.headers.get(ACCEPT) == Some(&V2);
        let body = match self.method == Method::HEAD {
            // Nobody sees a list that is asked for by HEAD, so none is read.
            true => {
                let check = move || {
                    let path = &self.route.repository;
                    self.rest.shared.vault.check_list(&principal, path)
                };
                blocking.run(check).await?;
                Body::empty()
            }
            false => {
                let place = blocking.listing_of(&principal.name).await;
                let write = move |listing: &mut Listing| {
                    let _place = place;
                    let view = self.view()?;
                    self.write_list(&principal, view, kind, is_v2, listing)
                };
                Body::listing(&blocking, &limits, write).await?
            }
        };
        let mut response = Response::new(body);
        let version = if is_v2 { V2 } else { V1 };
        response.headers_mut().insert(CONTENT_TYPE, version);
        Ok(response)
    }

    fn write_list(
        &self,
        principal: &Principal,
        view: View,
        kind: FileType,
        is_v2: bool,
        listing: &mut Listing,
    ) -> Result<()> {
        let failed = || Error::local("send a list");
        let mut before: &[u8] = b"[";
        let path = &self.route.repository;
        self.rest
            .shared
            .vault
            .list(principal, path, view, kind, &mut |entry| {
                let id = entry.id;
                listing
                    .write_all(before)
                    .and_then(|()| match is_v2 {
                        true => write!(listing, r#"{{"name":"{id}","size":{}}}"#, entry.size_bytes),
                        false => write!(listing, r#""{id}""#),
                    })
                    .map_err(failed())?;
                before = b",";
                Ok(())
            })?;
        let end: &[u8] = if before == b"[" { b"[]" } else { b"]" };
        listing.write_all(end).map_err(failed())
    }
}

impl Intake for Taking {
    type Output = ();

    fn take(&mut self, chunks: &[Bytes]) -> Result<()> {
        let (upload, _) = self.0.get_mut().ok_or(Error::Unfinished)?;
        chunks.iter().try_for_each(|chunk| upload.write(chunk))
    }

    fn finish(self) -> Result<()> {
        let (upload, _place) = self.0.into_inner().ok_or(Error::Unfinished)?;
        upload.finish()
    }
}

impl Read for Sending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}
