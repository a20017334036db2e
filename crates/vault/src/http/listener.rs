//! Accepts connections, and serves them until the end.
//!
//! What can go wrong: no more files can be opened (then it waits a moment and goes on, because the
//! limits free some), and clients that want the server to stand still (see
//! [`crate::http::limits`]).

mod connection;
mod exchange;
mod socket;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::http::limits::{Connections, Limits, Logins, Rates, Tokens, Turns};
use crate::http::metrics::HttpMetrics;
use crate::http::service::Handler;
use crate::http::stop::{Stop, Stopper};
use crate::http::tls::Certificates;
use crate::{Error, Result};

/// Connections that wait for the server to accept them.
const BACKLOG: u32 = 1024;

/// How long to wait where no connection can be accepted.
const BREATH: Duration = Duration::from_millis(100);

/// How to serve.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What clients may take.
    pub limits: Limits,
    /// The certificate; `None` for plain HTTP, on loopback addresses only.
    pub certificates: Option<Arc<Certificates>>,
    /// Where it is counted.
    pub metrics: Arc<HttpMetrics>,
}

/// What all connections share.
struct Shared {
    limits: Arc<Limits>,
    tls: Option<TlsAcceptor>,
    metrics: Arc<HttpMetrics>,
    rates: Arc<Rates>,
    logins: Arc<Logins>,
    tokens: Arc<Tokens>,
    discards: Turns,
    handler: Arc<dyn Handler>,
}

/// Listens on an address; port 0 is any free one. Must be called within the runtime.
///
/// # Errors
/// [`Error::Listen`].
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| Error::Listen { address, source })
}

/// Serves until `stop`; then takes no new connections, closes idle ones, and gives requests that
/// are under way their time.
///
/// # Errors
/// [`Error::PlainHttp`] where plain HTTP would be readable by others, and [`Error::Certificate`].
pub async fn serve(
    serving: Serving,
    listeners: Vec<TcpListener>,
    handler: Arc<dyn Handler>,
    mut stop: Stop,
) -> Result<()> {
    let tls = match &serving.certificates {
        Some(certificates) => Some(TlsAcceptor::from(certificates.server_config()?)),
        None => {
            listeners.iter().try_for_each(refuse_plain)?;
            None
        }
    };
    let shared = Arc::new(Shared {
        tls,
        rates: Arc::new(Rates::new(&serving.limits)),
        logins: Arc::new(Logins::new(&serving.limits)),
        tokens: Arc::new(Tokens::new(&serving.limits)),
        discards: Turns::new(exchange::DISCARDS, exchange::DISCARDS_OF_ADDRESS),
        limits: Arc::new(serving.limits),
        metrics: serving.metrics,
        handler,
    });
    let connections = Connections::new(Limits::clone(&shared.limits));
    let (end, ending) = Stopper::new();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
        accepting.spawn(accept(listener, shared, connections, ending.clone()));
    }
    stop.wait().await;
    end.stop();
    let mut served: Vec<JoinSet<()>> = Vec::new();
    while let Some(serving) = accepting.join_next().await {
        served.extend(serving.ok());
    }
    let finish = async {
        for connections in &mut served {
            while connections.join_next().await.is_some() {}
        }
    };
    if timeout(shared.limits.stop_time, finish).await.is_err() {
        let open = connections.count();
        tracing::warn!(open, "Requests were still under way and are broken off");
    }
    Ok(())
}

/// Accepts until the end; returns the connections that are still served.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    stop: Stop,
) -> JoinSet<()> {
    let mut ending = stop.clone();
    let mut served = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = ending.wait() => return served,
            // Those that have ended are let go.
            Some(_) = served.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "A connection cannot be accepted");
                shared.metrics.refused("accept");
                sleep(BREATH).await;
                continue;
            }
        };
        match connections.admit(address.ip()) {
            // Dropped at once: whoever comes too many times gets no word, which costs least.
            Err(refusal) => shared.metrics.refused(refusal.word()),
            Ok(ticket) => {
                shared.metrics.connections_total.inc();
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                served.spawn(async move {
                    shared.metrics.connections.inc();
                    let metrics = Arc::clone(&shared.metrics);
                    connection::serve(stream, ticket, shared, stop).await;
                    metrics.connections.dec();
                });
            }
        }
    }
}

/// Plain HTTP carries tokens that anybody on the way can read.
fn refuse_plain(listener: &TcpListener) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(Error::local("ask for the address listened on"))?;
    if address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(Error::PlainHttp { address })
    }
}
