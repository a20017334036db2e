//! A flood: 2,000 connections that lie idle or send their head a byte at a time, and 500 requests
//! a second with tokens that look right and are none. All of it comes from addresses of loopback,
//! and ends when it is told to, or after ten minutes. The connections share a few addresses; each
//! request has one of its own, so that the limit of an address spares the vault none of them: it
//! has to look every token up.
//!
//! What can go wrong: a client that is held up by the very server that it floods, and sends less
//! than it should; a server that answers nobody, or puts everybody off unseen, which costs it
//! nothing. So what was looked up and refused is counted, told, and too little of it ends the
//! benchmark.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use data_encoding::BASE64;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CONNECTIONS: usize = 2_000;
/// Fewer than the vault takes of one address.
const CONNECTIONS_PER_ADDRESS: usize = 200;
const REQUESTS_PER_SECOND: u32 = 500;
/// Where fewer were looked up, it was no such flood, and what was measured beside it counts for
/// nothing.
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
    /// Requests whose token was looked up, and is none: 401.
    refused: AtomicU64,
    /// Requests that were asked to come later: 429.
    put_off: AtomicU64,
    /// Those that could not be sent, or had no answer or another one.
    unanswered: AtomicU64,
}

/// What a flood was.
pub(super) struct Told {
    seconds: f64,
    /// How many requests were looked up and refused until it was ended.
    refused: u64,
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
                stream: Some(open_held(address, number)?),
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
        let refused = self.counts.refused.load(Ordering::Relaxed);
        drop(self.stops);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("The flood panicked"))??;
        }
        Ok(Told {
            seconds,
            refused,
            counts: self.counts,
        })
    }
}

impl Told {
    /// How many requests were really looked up a second; fails where these were too few.
    pub(super) fn rate(&self) -> Result<f64> {
        let rate = self.refused as f64 / self.seconds;
        ensure!(
            rate >= FEWEST_PER_SECOND,
            "{rate:.0} requests of the flood were looked up a second, and {REQUESTS_PER_SECOND} \
             should have been"
        );
        Ok(rate)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "flood of {:.1} s: {} connections opened, {} closed by the server, {} requests \
             looked up ({:.0} a second), {} put off, {} not answered",
            self.seconds,
            of(&self.counts.opened),
            of(&self.counts.closed),
            self.refused,
            self.refused as f64 / self.seconds,
            of(&self.counts.put_off),
            of(&self.counts.unanswered)
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
                one.stream = open_held(address, number).ok();
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
        let count = match ask_once(address, number) {
            Ok(401) => &counts.refused,
            Ok(429) => &counts.put_off,
            Ok(_) | Err(_) => &counts.unanswered,
        };
        count.fetch_add(1, Ordering::Relaxed);
        number += ASKED_AT_ONCE;
    }
}

/// Asks with the token and from the address that the number decides; tells the status.
fn ask_once(address: SocketAddrV4, number: u32) -> Result<u16> {
    let [.., high, low] = number.to_be_bytes();
    let mut stream = open(address, Ipv4Addr::new(127, 1, high, low))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let login = BASE64.encode(format!("x:srt-{number:012x}-x").as_bytes());
    let head = format!(
        "GET /bench/config HTTP/1.1\r\nHost: vault\r\nAuthorization: Basic {login}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let status = answer
        .strip_prefix(b"HTTP/1.1 ")
        .context("It is not HTTP")?;
    Ok(std::str::from_utf8(status)?.parse()?)
}

/// Connects for one of those that are held, from the address that it shares with others.
fn open_held(address: SocketAddrV4, number: usize) -> Result<TcpStream> {
    let last = u8::try_from(number / CONNECTIONS_PER_ADDRESS)?;
    open(address, Ipv4Addr::new(127, 0, 1, last + 1))
}

/// Connects from an address of loopback.
fn open(address: SocketAddrV4, from: Ipv4Addr) -> Result<TcpStream> {
    let from = SocketAddrV4::new(from, 0);
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

    fn told(refused: u64) -> Told {
        Told {
            seconds: 10.0,
            refused,
            counts: Arc::default(),
        }
    }

    #[test]
    fn a_flood_of_which_too_little_was_looked_up_is_none() {
        assert_eq!(told(4_980).rate().unwrap().round(), 498.0);
        assert!(told(4_500).rate().is_ok());
        assert!(told(4_499).rate().is_err());
    }

    #[test]
    fn a_request_has_a_token_and_an_address_of_its_own_and_counts_once_it_is_answered() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            panic!("it is not an IPv4 address");
        };
        let server = std::thread::spawn(move || {
            let answers: [&[u8]; 3] =
                [b"HTTP/1.1 401 Unauthorized\r\n", b"HTTP/1.1 429 T\r\n", b""];
            answers.map(|answer| {
                let (mut stream, from) = listener.accept().unwrap();
                let mut head = [0; 1_024];
                let count = stream.read(&mut head).unwrap();
                stream.write_all(answer).unwrap();
                (from.ip(), head[..count].to_vec())
            })
        });
        assert_eq!(ask_once(address, 1).unwrap(), 401);
        assert_eq!(ask_once(address, 258).unwrap(), 429);
        ask_once(address, 3).unwrap_err();
        let [first, second, _] = server.join().unwrap();
        assert_eq!(first.0, Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(second.0, Ipv4Addr::new(127, 1, 1, 2));
        assert_ne!(first.1, second.1);
    }
}
