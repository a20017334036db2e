//! A flood: 2,000 connections that lie idle or send their head a byte at a time, and 500 requests
//! a second without a right token. All of it comes from addresses of loopback, a few hundred
//! connections each, and ends when it is told to, or after ten minutes.
//!
//! What can go wrong: a client that is held up by the very server that it floods, and sends less
//! than it should. So what was sent is counted, told, and too little of it ends the benchmark.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CONNECTIONS: usize = 2_000;
/// Fewer than the vault takes of one address.
const CONNECTIONS_PER_ADDRESS: usize = 200;
const REQUESTS_PER_SECOND: u32 = 500;
/// Where fewer were sent, it was no such flood, and what was measured beside it counts for nothing.
const FEWEST_PER_SECOND: f64 = 450.0;
/// So many that the next is sent on time though a quarter of a second is waited for each answer.
const ASKED_AT_ONCE: u32 = 125;
const LONGEST: Duration = Duration::from_secs(600);
const TICK: Duration = Duration::from_millis(20);

/// What the slow ones send, a byte at a time, and never to its end.
const HEAD: &[u8] = b"GET /bench/config HTTP/1.1\r\nHost: vault\r\nUser-Agent: slow";

/// A flood under way.
pub(super) struct Flood {
    /// Dropped to end it.
    stops: Vec<Sender<()>>,
    threads: Vec<JoinHandle<Result<()>>>,
    counts: Arc<Counts>,
    started: Instant,
}

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    closed: AtomicU64,
    /// Requests that were sent in full.
    requests: AtomicU64,
    /// Those that could not be sent, or were not asked to log in.
    refused: AtomicU64,
}

/// What a flood was.
pub(super) struct Told {
    seconds: f64,
    /// How many requests were sent until it was ended.
    requests: u64,
    counts: Arc<Counts>,
}

/// A connection that is held.
struct Held {
    stream: Option<TcpStream>,
    sent: usize,
}

impl Flood {
    /// Begins; returns when all connections were opened once.
    pub(super) fn start(address: SocketAddr) -> Result<Self> {
        let SocketAddr::V4(address) = address else {
            return Err(anyhow!("A flood goes to an IPv4 address"));
        };
        let (stop_holding, until_held) = channel();
        let counts = Arc::new(Counts::default());
        let mut held = Vec::with_capacity(CONNECTIONS);
        for number in 0..CONNECTIONS {
            held.push(Held {
                stream: Some(open(address, number)?),
                sent: 0,
            });
            counts.opened.fetch_add(1, Ordering::Relaxed);
        }
        let started = Instant::now();
        let spawn = |work: Box<dyn FnOnce() -> Result<()> + Send>| std::thread::spawn(work);
        let tally = Arc::clone(&counts);
        let holds = move || hold(address, held, &until_held, &tally);
        let (mut stops, mut threads) = (vec![stop_holding], vec![spawn(Box::new(holds))]);
        for first in 0..ASKED_AT_ONCE {
            let (stop_asking, until_asked) = channel();
            let tally = Arc::clone(&counts);
            let asks = move || ask(address, (first, started), &until_asked, &tally);
            stops.push(stop_asking);
            threads.push(spawn(Box::new(asks)));
        }
        Ok(Self {
            stops,
            threads,
            counts,
            started,
        })
    }

    /// Ends it, and tells what it was.
    pub(super) fn stop(self) -> Result<Told> {
        let seconds = self.started.elapsed().as_secs_f64();
        let requests = self.counts.requests.load(Ordering::Relaxed);
        drop(self.stops);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("The flood panicked"))??;
        }
        Ok(Told {
            seconds,
            requests,
            counts: self.counts,
        })
    }
}

impl Told {
    /// How many requests were really sent a second; fails where these were too few.
    pub(super) fn rate(&self) -> Result<f64> {
        let rate = self.requests as f64 / self.seconds;
        ensure!(
            rate >= FEWEST_PER_SECOND,
            "The flood sent {rate:.0} requests a second, and should have sent {REQUESTS_PER_SECOND}"
        );
        Ok(rate)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "flood of {:.1} s: {} connections opened, {} closed by the server, {} requests sent \
             ({:.0} a second), {} refused",
            self.seconds,
            of(&self.counts.opened),
            of(&self.counts.closed),
            self.requests,
            self.requests as f64 / self.seconds,
            of(&self.counts.refused)
        )
    }
}

/// Lets this process, and those it starts, open as many files as the system allows.
pub(in crate::bench) fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("Cannot open enough files")
}

/// Keeps all connections open; every second one of them sends a byte a second.
fn hold(
    address: SocketAddrV4,
    mut held: Vec<Held>,
    stop: &Receiver<()>,
    counts: &Counts,
) -> Result<()> {
    let started = Instant::now();
    let ticks_per_second = 1_000 / u32::try_from(TICK.as_millis()).unwrap_or(20).max(1);
    let mut turn = 0_usize;
    while goes_on(stop, TICK) && started.elapsed() < LONGEST {
        let share = CONNECTIONS / usize::try_from(ticks_per_second)?;
        for _ in 0..share {
            let number = turn % CONNECTIONS;
            turn += 1;
            let Some(one) = held.get_mut(number) else {
                continue;
            };
            if is_closed(one) {
                counts.closed.fetch_add(1, Ordering::Relaxed);
                one.stream = open(address, number).ok();
                one.sent = 0;
                counts.opened.fetch_add(1, Ordering::Relaxed);
            }
            if number.is_multiple_of(2)
                && let (Some(stream), Some(byte)) = (&mut one.stream, HEAD.get(one.sent))
            {
                one.sent += 1;
                // Where the server has closed it, the next look sees that.
                _ = stream.write(&[*byte]);
            }
        }
    }
    Ok(())
}

/// Whether nobody has ended it meanwhile.
fn goes_on(stop: &Receiver<()>, meanwhile: Duration) -> bool {
    stop.recv_timeout(meanwhile) == Err(RecvTimeoutError::Timeout)
}

fn is_closed(held: &mut Held) -> bool {
    let Some(stream) = &mut held.stream else {
        return true;
    };
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Asks without a right token, each time on a connection of its own: the request of a number, and
/// every so many behind it, each when its time has come, or as soon as the one before is answered.
fn ask(
    address: SocketAddrV4,
    (first, started): (u32, Instant),
    stop: &Receiver<()>,
    counts: &Counts,
) -> Result<()> {
    let mut number = first;
    loop {
        let due = Duration::from_secs(number.into()) / REQUESTS_PER_SECOND;
        let pause = due.saturating_sub(started.elapsed());
        if !goes_on(stop, pause) || started.elapsed() >= LONGEST {
            return Ok(());
        }
        let from = CONNECTIONS + usize::try_from(number)? % CONNECTIONS;
        if ask_once(address, from, counts).is_err() {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        number += ASKED_AT_ONCE;
    }
}

fn ask_once(address: SocketAddrV4, number: usize, counts: &Counts) -> Result<()> {
    let mut stream = open(address, number)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(
        b"GET /bench/config HTTP/1.1\r\nHost: vault\r\nAuthorization: Basic eDp3cm9uZw==\r\n\
          Connection: close\r\n\r\n",
    )?;
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let mut answer = [0; 64];
    let count = stream.read(&mut answer)?;
    let begins = answer.get(..count).unwrap_or_default();
    match begins.starts_with(b"HTTP/1.1 401") {
        true => Ok(()),
        false => Err(anyhow!("It was not asked to log in")),
    }
}

/// Connects from an address of loopback that the number decides.
fn open(address: SocketAddrV4, number: usize) -> Result<TcpStream> {
    let last = u8::try_from(number / CONNECTIONS_PER_ADDRESS % 200)?;
    let from = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, last + 1), 0);
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    bind(&socket, &from)?;
    connect(&socket, &address).context("Cannot connect for the flood")?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn told(requests: u64) -> Told {
        Told {
            seconds: 10.0,
            requests,
            counts: Arc::default(),
        }
    }

    #[test]
    fn a_flood_that_sent_too_little_is_none() {
        assert_eq!(told(4_980).rate().unwrap().round(), 498.0);
        assert!(told(4_500).rate().is_ok());
        assert!(told(4_499).rate().is_err());
    }

    #[test]
    fn what_was_not_sent_is_not_counted() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            panic!("it is not an IPv4 address");
        };
        let counts = Counts::default();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1_024];
            assert!(stream.read(&mut head).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\n").unwrap();
            // Nobody listens from here on, and nothing is left unread, which would be a reset.
        });
        ask_once(address, CONNECTIONS, &counts).unwrap();
        server.join().unwrap();
        assert!(ask_once(address, CONNECTIONS, &counts).is_err());
        assert_eq!(counts.requests.load(Ordering::Relaxed), 1);
    }
}
