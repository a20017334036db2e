//! Single requests of restic's REST protocol, and what their answers mean.
//!
//! Each function sends one request and judges its status once, here: what is worth another try,
//! what is absent, full, refused, or no answer of a store at all.

use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, FileType};
use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::clock::ServerClock;
use crate::rest::LISTING_TYPE;
use crate::rest::listing::{self, Listed, is_broken_off};
use crate::rest::options::{Address, RestOptions, Timeouts};
use crate::rest::pin::OtherCertificate;
use crate::rest::retry::{Fault, SLICE};
use crate::rest::stream::{INTERRUPTED_WAIT, Paced};
use crate::rest::tls;
use crate::{Error, Result};

/// Connections kept open; the engine has a few threads for each copy.
const IDLE_CONNECTIONS: usize = 16;

/// How much of an answer that nobody needs is read, so that its connection can be used again.
const DRAIN_BYTES: u64 = 64 << 10;

/// How much text of a listing a file may take on the average; servers need about 92 bytes.
const ENTRY_BYTES: u64 = 128;

/// A body on its way, held to the least rate.
pub(super) type Incoming = Paced<ureq::BodyReader<'static>>;

/// Sends requests for the files of one repository.
pub(super) struct Client {
    agent: Agent,
    address: Address,
    timeouts: Timeouts,
    cancelled: Arc<AtomicBool>,
    clock: ServerClock,
}

/// How much of a listing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All; one that is beyond the limit is refused.
    Whole,
    /// As much as is within the limit.
    First,
}

impl Client {
    /// Makes a client with a pool of its own.
    pub(super) fn new(address: Address, options: &RestOptions) -> Result<Self> {
        let timeouts = options.timeouts;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_send_request(Some(timeouts.answer))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_per_read(Some(timeouts.answer))
            .timeout_per_write(Some(timeouts.answer))
            .tls_config(tls::tls_config(&address, options.ca_file.as_deref())?);
        if address.is_loopback() {
            // A proxy's loopback is another machine.
            config = config.proxy(None);
        }
        let agent = tls::agent(config.build(), &address, options.fingerprint)?;
        Ok(Self {
            agent,
            address,
            timeouts,
            cancelled: Arc::clone(&options.cancelled),
            clock: ServerClock::default(),
        })
    }

    /// What time it is there, as the last answer told.
    pub(super) fn time(&self) -> Option<SystemTime> {
        self.clock.now()
    }

    /// The place as people write it.
    pub(super) fn location(&self) -> &str {
        &self.address.location
    }

    /// Asks the server to prepare for a repository.
    pub(super) fn create(&self) -> Result<(), Fault> {
        let url = format!("{}?create=true", self.address.base);
        let action = "create the repository";
        let response = self.sent(self.prepare(self.agent.post(url)).send_empty(), action)?;
        match response.status() {
            // Servers that make folders as they need them may not know the request.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(()),
            _ => self.judge(response, action, None).map(|ok| self.drain(ok)),
        }
    }

    /// Asks for the size of a file.
    pub(super) fn size(&self, name: FileName) -> Result<u64, Fault> {
        let action = format!("look at {name}");
        let request = self.prepare(self.agent.head(self.url(name)));
        let response = self.judge(self.ask(request, &action)?, &action, Some(name))?;
        content_length(&response).ok_or_else(|| self.wrong(&action, "it tells no size"))
    }

    /// Opens a file, or a range that is not empty, and tells how many bytes come.
    pub(super) fn get(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<(Incoming, u64), Fault> {
        let action = format!("read {name}");
        let mut request = self.prepare(self.agent.get(self.url(name)));
        if let Some(range) = &range {
            let last = range.end.saturating_sub(1);
            request = request.header(header::RANGE, format!("bytes={}-{last}", range.start));
        }
        let response = self.judge(self.ask(request, &action)?, &action, Some(name))?;
        let length = content_length(&response);
        let short = || {
            Fault::Final(Error::ShortFile {
                name,
                location: self.location().to_owned(),
            })
        };
        let Some(range) = range else {
            let length = match length {
                Some(length) => length,
                None => self.size(name)?,
            };
            return Ok((self.incoming(response), length));
        };
        let expected = range.end.saturating_sub(range.start);
        if response.status() == StatusCode::PARTIAL_CONTENT {
            // A server clips a range that reaches past the end.
            return match content_range(&response).or(length.map(|length| (range.start, length))) {
                Some((start, _)) if start != range.start => {
                    Err(self.wrong(&action, "it sends another range than asked for"))
                }
                Some((_, length)) if length < expected => Err(short()),
                Some((_, length)) if length == expected => Ok((self.incoming(response), expected)),
                _ => Err(self.wrong(&action, "it does not tell which range it sends")),
            };
        }
        // The server knows no ranges and sends the whole file.
        match length {
            Some(length) if length < range.end => return Err(short()),
            Some(_) => {}
            None => return Err(self.wrong(&action, "it sends neither a range nor a length")),
        }
        let mut body = self.incoming(response);
        let skipped = io::copy(&mut body.by_ref().take(range.start), &mut io::sink())
            .map_err(|error| Fault::again(error.to_string()))?;
        if skipped < range.start {
            return Err(Fault::again("The connection ended early"));
        }
        Ok((body, expected))
    }

    /// Uploads a file. With `ask_first`, the server may refuse before the bytes are sent.
    ///
    /// A server that answers and hangs up while bytes are still coming breaks the connection, and
    /// with it its answer; asking first lets that answer be heard.
    pub(super) fn post(&self, name: FileName, bytes: &[u8], ask_first: bool) -> Result<(), Fault> {
        let action = format!("store {name}");
        let request = self
            .prepare(self.agent.post(self.url(name)))
            .content_type("application/octet-stream")
            .config()
            .timeout_send_body(Some(self.timeouts.for_body(bytes.len() as u64)))
            .build();
        let request = match ask_first {
            true => request.header(header::EXPECT, "100-continue"),
            false => request,
        };
        let response = self.sent(request.send(bytes), &action)?;
        if response.status() == StatusCode::CONFLICT {
            self.drain(response);
            return Err(Fault::Final(Error::Exists {
                name,
                location: self.location().to_owned(),
            }));
        }
        // A missing file cannot be the matter here, but a missing repository can.
        self.judge(response, &action, None).map(|ok| self.drain(ok))
    }

    /// Removes a file.
    pub(super) fn delete(&self, name: FileName) -> Result<(), Fault> {
        let action = format!("remove {name}");
        let request = self.prepare(self.agent.delete(self.url(name)));
        match self.judge(self.sent(request.call(), &action)?, &action, Some(name)) {
            Ok(response) => {
                self.drain(response);
                Ok(())
            }
            Err(Fault::Final(Error::NotFound { .. })) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Lists the files of a type that has a folder.
    pub(super) fn list(
        &self,
        kind: FileType,
        files_limit: usize,
        extent: Extent,
    ) -> Result<Listed, Fault> {
        let limit_bytes = ENTRY_BYTES.saturating_mul(files_limit as u64 + 1);
        let action = format!("list {kind}");
        let url = format!("{}{}/", self.address.base, kind.folder());
        let request = self
            .prepare(self.agent.get(url))
            .header(header::ACCEPT, LISTING_TYPE);
        let response = self.ask(request, &action)?;
        if response.status() == StatusCode::NOT_FOUND {
            self.drain(response);
            return Ok(Listed::Entries(Vec::new()));
        }
        let mut body = self.incoming(self.judge(response, &action, None)?);
        let text = BufReader::with_capacity(128 << 10, body.by_ref().take(limit_bytes));
        let parsed = match extent {
            Extent::Whole => listing::parse(text, files_limit),
            Extent::First => listing::parse_first(text, files_limit),
        };
        match parsed {
            Ok(listed) => Ok(listed),
            Err(error) if error.is_eof() && body.moved_bytes() >= limit_bytes => {
                let reason = format!("the list is longer than {limit_bytes} bytes");
                Err(self.wrong(&action, &reason))
            }
            Err(error) if is_broken_off(&error) => Err(Fault::again(error.to_string())),
            Err(error) => Err(self.wrong(&action, &format!("the list cannot be used: {error}"))),
        }
    }

    /// The agent, to begin a request with.
    pub(super) const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// How long to wait for what.
    pub(super) const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    fn url(&self, name: FileName) -> String {
        format!("{}{name}", self.address.base)
    }

    /// The address of the repository, with a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.address.base
    }

    /// The credentials, as the header has them.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.address
            .authorization
            .as_ref()
            .map(|value| value.as_str())
    }

    /// Adds the credentials.
    pub(super) fn prepare<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        let value = self.address.authorization.as_deref();
        match value.and_then(|value| HeaderValue::from_str(value).ok()) {
            Some(mut value) => {
                value.set_sensitive(true);
                request.header(header::AUTHORIZATION, value)
            }
            None => request,
        }
    }

    /// Sends a request that changes nothing, and takes the answer. A thread waits for it, and is
    /// left behind a moment after an interruption: it ends with the request's own time limit.
    pub(super) fn ask(
        &self,
        request: RequestBuilder<WithoutBody>,
        action: &str,
    ) -> Result<Response<Body>, Fault> {
        let (reply, answer) = sync_channel(1);
        let asking = thread::Builder::new().spawn(move || drop(reply.send(request.call())));
        if let Err(error) = asking {
            return Err(Fault::again(error.to_string()));
        }
        let mut waited_interrupted = Duration::ZERO;
        loop {
            match answer.recv_timeout(SLICE) {
                Ok(sent) => return self.sent(sent, action),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::again("the thread that asked died"));
                }
                Err(RecvTimeoutError::Timeout) if self.cancelled.load(Ordering::Relaxed) => {
                    waited_interrupted += SLICE;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if waited_interrupted >= INTERRUPTED_WAIT {
                return Err(Fault::Final(Error::Cancelled {
                    location: self.location().to_owned(),
                }));
            }
        }
    }

    /// Takes the answer, or tells why none came.
    pub(super) fn sent(
        &self,
        sent: Result<Response<Body>, ureq::Error>,
        action: &str,
    ) -> Result<Response<Body>, Fault> {
        let error = match sent {
            Ok(response) => {
                let date = response.headers().get(header::DATE);
                if let Some(date) = date.and_then(|date| date.to_str().ok()) {
                    self.clock.note(date);
                }
                return Ok(response);
            }
            Err(error) => error,
        };
        let unreachable = |reason: String| {
            Fault::Final(Error::Unreachable {
                location: self.location().to_owned(),
                reason,
            })
        };
        Err(match error {
            ureq::Error::Io(error) if OtherCertificate::of(&error).is_some() => {
                self.other_certificate(&error)
            }
            // A certificate that is not trusted comes as invalid data.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                unreachable(error.to_string())
            }
            ureq::Error::Io(error) => Fault::again(error.to_string()),
            error @ (ureq::Error::Timeout(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_)) => Fault::again(error.to_string()),
            error @ (ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..)) => {
                self.wrong(action, &error.to_string())
            }
            error => unreachable(error.to_string()),
        })
    }

    /// Somebody else answers, or the certificate was changed: only a person can tell.
    fn other_certificate(&self, error: &io::Error) -> Fault {
        let location = self.location().to_owned();
        Fault::Final(match OtherCertificate::of(error) {
            Some(OtherCertificate { pinned, shown }) => Error::OtherCertificate {
                location,
                pinned,
                shown,
            },
            None => Error::Unreachable {
                location,
                reason: error.to_string(),
            },
        })
    }

    /// Lets a success pass and makes a fault of any other answer.
    fn judge(
        &self,
        response: Response<Body>,
        action: &str,
        name: Option<FileName>,
    ) -> Result<Response<Body>, Fault> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let location = self.location().to_owned();
        let fault = match (status, name) {
            (StatusCode::NOT_FOUND, Some(name)) => Fault::Final(Error::NotFound { name, location }),
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(name)) => {
                Fault::Final(Error::ShortFile { name, location })
            }
            (StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE, _) => {
                Fault::Final(Error::Full { location })
            }
            (
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                _,
            ) => Fault::Final(Error::Denied {
                location,
                action: action.to_owned(),
                reason: status.to_string(),
            }),
            _ if is_passing(status) => Fault::Again {
                reason: format!("It answers {status}"),
                pause: retry_after(&response),
            },
            _ if status.is_redirection() => self.wrong(
                action,
                &format!("{status}; redirects are not followed, so write the new address"),
            ),
            _ => self.wrong(action, &status.to_string()),
        };
        self.drain(response);
        Err(fault)
    }

    pub(super) fn wrong(&self, action: &str, reason: &str) -> Fault {
        Fault::Final(self.bad_answer(action, reason))
    }

    pub(super) fn bad_answer(&self, action: &str, reason: &str) -> Error {
        Error::BadAnswer {
            location: self.location().to_owned(),
            action: action.to_owned(),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn incoming(&self, response: Response<Body>) -> Incoming {
        let body = response.into_body().into_reader();
        Paced::new(body, self.timeouts, Arc::clone(&self.cancelled))
    }

    /// Reads what is left of an answer, so that the connection can be used again.
    pub(super) fn drain(&self, response: Response<Body>) {
        // Where that fails, the connection is closed, and the next request opens another.
        let _ = io::copy(
            &mut self.incoming(response).take(DRAIN_BYTES),
            &mut io::sink(),
        );
    }
}

/// Whether a status tells of something that may pass.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// The pause that a server asks for, in seconds; a date is not understood and passed over.
pub(super) fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    let text = response
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?;
    text.trim().parse().ok()
}

/// Start and length of `Content-Range: bytes 5-9/100`.
///
/// Past the end of a file of 10 bytes, rclone answers `bytes 11-9/10`, which has no length.
fn content_range(response: &Response<Body>) -> Option<(u64, u64)> {
    let text = response
        .headers()
        .get(header::CONTENT_RANGE)?
        .to_str()
        .ok()?;
    let (range, _total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    Some((first, last.checked_add(1)?.saturating_sub(first)))
}
