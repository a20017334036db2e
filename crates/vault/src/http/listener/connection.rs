//! One connection from its handshake to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::http::body::BATCH_BYTES;
use crate::http::limits::{Limits, Ticket};
use crate::http::listener::Shared;
use crate::http::listener::exchange::Exchange;
use crate::http::listener::socket::Socket;
use crate::http::listener::watch::Watch;
use crate::http::service::Peer;
use crate::http::stop::Stop;

/// Requests at a time on one connection by HTTP/2.
const STREAMS: u32 = 64;

/// What a client may send on one stream before the server has read it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// What a client may send on a connection before the server has read it.
const CONNECTION_WINDOW_BYTES: u32 = 2 << 20;

/// Streams that may be reset while nobody has seen them; more is an attack.
const RESET_STREAMS: usize = 20;

/// After so long without a word, a client of HTTP/2 is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Serves one connection.
pub(super) async fn serve(stream: TcpStream, ticket: Ticket, shared: Arc<Shared>, mut stop: Stop) {
    let limits = &shared.limits;
    // Small answers must not wait for more; without it they are slower and nothing else.
    let _ = stream.set_nodelay(true);
    let Ok(address) = stream.peer_addr() else {
        return;
    };
    let peer = Peer {
        address: address.ip().to_canonical(),
        connection: ticket.id(),
        is_encrypted: shared.tls.is_some(),
        logins: Arc::clone(&shared.logins),
        tokens: Arc::clone(&shared.tokens),
        metrics: Arc::clone(&shared.metrics),
        seat: None,
    };
    let Some(acceptor) = &shared.tls else {
        return talk(stream, false, peer, ticket, &shared, stop).await;
    };
    let handshake = timeout(limits.handshake_time, acceptor.accept(stream));
    let handshake = tokio::select! {
        biased;
        () = ticket.evicted() => return shared.metrics.refused("evicted"),
        () = stop.wait() => return,
        handshake = handshake => handshake,
    };
    match handshake {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            talk(stream, is_http2, peer, ticket, &shared, stop).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, peer = %peer.address, "A TLS handshake failed");
            shared.metrics.refused("handshake");
        }
        Err(_) => shared.metrics.refused("handshake_time"),
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    is_http2: bool,
    peer: Peer,
    ticket: Ticket,
    shared: &Arc<Shared>,
    mut stop: Stop,
) {
    let watch = Arc::new(Watch::new(is_http2, Instant::now()));
    let ticket = Arc::new(ticket);
    let exchange = Arc::new(Exchange {
        limits: Arc::clone(&shared.limits),
        rates: Arc::clone(&shared.rates),
        metrics: Arc::clone(&shared.metrics),
        handler: Arc::clone(&shared.handler),
        peer,
        ticket: Arc::clone(&ticket),
        watch: Arc::clone(&watch),
        untaken: AtomicUsize::new(0),
        discards: shared.discards.clone(),
    });
    let service = service_fn(move |request| {
        let answer = exchange.answer(request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let socket = Socket {
        stream,
        watch: Arc::clone(&watch),
    };
    let builder = builder(&shared.limits);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket), service));
    let mut tick = interval(tick(&shared.limits));
    let mut is_ending = false;
    loop {
        let overdue = async {
            tokio::select! {
                () = watch.alarmed() => {}
                _ = tick.tick() => {}
            }
            watch.overdue(&shared.limits, Instant::now())
        };
        let reason = tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "A connection broke");
                }
                return;
            }
            () = ticket.evicted(), if !is_ending => Some("evicted"),
            () = stop.wait(), if !is_ending => None,
            overdue = overdue => match overdue {
                Some(overdue) => {
                    shared.metrics.refused(overdue.word());
                    tracing::debug!(reason = overdue.word(), "A connection is closed");
                    return;
                }
                None => continue,
            },
        };
        if let Some(reason) = reason {
            shared.metrics.refused(reason);
        }
        // What is under way is finished, and nothing else begins.
        is_ending = true;
        connection.as_mut().graceful_shutdown();
        if !watch.is_busy() {
            // Says goodbye where that needs no waiting; the client is idle, or slow on purpose.
            let _ = timeout(Duration::ZERO, connection.as_mut()).await;
            return;
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watch has its own, which knows an idle client from a slow one.
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(BATCH_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(BATCH_BYTES)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}

/// How often it is looked whether something is overdue: often enough that no limit is exceeded by
/// more than a quarter.
fn tick(limits: &Limits) -> Duration {
    let least = limits
        .header_time
        .min(limits.stall_time)
        .min(limits.idle_time);
    (least / 4).max(Duration::from_millis(5))
}
