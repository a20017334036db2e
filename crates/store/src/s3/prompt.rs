//! Connections without TLS on which every answer is acknowledged at once.
//!
//! Ceph's gateway sends an answer in two pieces, and the second when the first was acknowledged, with
//! which this machine waits 40 ms for something to send along: that was nearly all of what a listing took.
//! Linux acknowledges at once where it is asked to before each reading (`TCP_QUICKACK`, tcp(7)), which no
//! client of the SDK's does.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection, HttpConnector as Tcp, capture_connection,
};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_quickack;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A client for servers without TLS, which keeps connections; to make one may take so long.
pub(super) fn prompt(connect_limit: Duration) -> SharedHttpClient {
    let mut tcp = Tcp::new();
    tcp.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(Connector { tcp, connect_limit });
    let shared = SharedHttpConnector::new(Prompt { client });
    http_client_fn(move |_, _| shared.clone())
}

#[derive(Debug)]
struct Prompt {
    client: Client<Connector, SdkBody>,
}

impl HttpConnector for Prompt {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let captured = capture_connection(&mut request);
        if let Some(asking) = request.extensions().get::<CaptureSmithyConnection>() {
            asking.set_connection_retriever(move || connection_of(&captured));
        }
        let answer = self.client.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(kind_of)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The connection that a request went over, where it came to one: the SDK does not use it again after a
/// failure that passes, since another one may lead to a gateway that is well.
fn connection_of(captured: &CaptureConnection) -> Option<ConnectionMetadata> {
    captured.connection_metadata().as_ref()?;
    let captured = captured.clone();
    let close = move || {
        if let Some(connection) = captured.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    let connection = ConnectionMetadata::builder().proxied(false);
    Some(connection.poison_fn(close).build())
}

/// What kind of failure it is, by which the SDK decides whether it tries again.
fn kind_of(error: ClientError) -> ConnectorError {
    let (mut is_timeout, mut is_user, mut is_no_http) = (false, false, false);
    let mut next: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(cause) = next {
        let system = cause.downcast_ref::<io::Error>();
        is_timeout |= system.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        let http = cause.downcast_ref::<hyper::Error>();
        is_user |= http.is_some_and(hyper::Error::is_user);
        is_no_http |= http.is_some_and(hyper::Error::is_parse);
        next = cause.source();
    }
    match (is_timeout, is_user, is_no_http) {
        (true, ..) => ConnectorError::timeout(error.into()),
        (_, true, _) => ConnectorError::user(error.into()),
        // Whatever listens there, it will be the same in a moment.
        (_, _, true) => ConnectorError::other(error.into(), None),
        // It was not reached, or the connection ended in the midst of an answer.
        _ => ConnectorError::io(error.into()),
    }
}

#[derive(Clone, Debug)]
struct Connector {
    tcp: Tcp,
    connect_limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = Quick;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Quick, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.tcp.call(uri), self.connect_limit);
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(Quick(stream))
        })
    }
}

/// A connection that acknowledges what comes before it waits for more.
#[derive(Debug)]
struct Quick(TokioIo<TcpStream>);

impl Read for Quick {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Where it is not to be had, the answer only comes later.
        let _ = set_tcp_quickack(self.0.inner(), true);
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Quick {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }
}

impl Connection for Quick {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}
