//! The server's outer wall: listening, TLS, limits, bodies, metrics. It knows nothing of objects
//! and tokens; what a request means is decided behind [`Handler`].
//!
//! # The life of a connection
//! Accepted and counted ([`Limits`]; where all places are taken the oldest idle connection goes) →
//! TLS handshake, within a time → requests, each: head within a time and a size, rate of its
//! address, a place among those under way; then the [`Handler`], which logs in and takes a place
//! among those of the token ([`Peer::begin`]), reads the [`Upload`] or does not, and answers a
//! [`Body`] → idle, until the next request, a time, or the end of the
//! server. A stranger, whose token has to be looked up first, waits in a line of their own, and
//! holds no place among those under way meanwhile.
//!
//! # Memory
//! Bounded by the limits, whatever clients do:
//!
//! | for each | at most |
//! |---|---|
//! | connection | 128 KiB: TLS records, and a head of a request that has not yet ended |
//! | connection by HTTP/2 with requests under way | 2 MiB: the window of the connection |
//! | request under way | 1 MiB: two batches of an upload and one being read, or two chunks of an answer |
//! | all receipts of more than 256 KiB | 256 MiB: one is read at a time, the others wait on the disk |
//!
//! (In a bucket 1 MiB more for each upload, and 256 MiB for the parts of all of them.)
//! With the defaults (4096 connections, 256 requests) that is 1.5 GiB when everything is attacked
//! at once by clients that may log in, and some 30 KiB a connection in quiet times.
//! No thread ever waits for a client but those of listings, which have their own few, and hold
//! nothing of the database meanwhile.

pub mod api;
pub mod blocking;
pub mod body;
pub mod console;
pub(crate) mod fair;
pub mod forward;
pub mod health;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod rest;
pub mod service;
pub mod standings;
pub mod state;
pub mod stop;
pub(crate) mod strangers;
pub mod tls;
pub mod witness;

pub use api::Api;
pub use blocking::Blocking;
pub use body::{Body, Intake, Upload};
pub use console::Console;
pub use forward::Forward;
pub use limits::Limits;
pub use listener::{Serving, bind, serve};
pub use metrics::HttpMetrics;
pub use rest::Rest;
pub use service::{Answering, Handler, Note, Peer, Request, Response, TokenPlace, later, simple};
pub use state::VaultState;
pub use stop::{Stop, Stopper};
pub use tls::{CertificateFiles, Certificates};
pub use witness::WitnessPage;
