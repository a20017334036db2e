//! A flood: 2,000 connections that lie idle or send their head a byte at a time, and 500 requests
//! a second without a right token. All of it comes from addresses of loopback, a few hundred
//! connections each, and ends when it is told to, or after ten minutes.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CONNECTIONS: usize = 2_000;
/// Fewer than the vault takes of one address.
const CONNECTIONS_PER_ADDRESS: usize = 200;
const REQUESTS_PER_SECOND: u32 = 500;
const LONGEST: Duration = Duration::from_secs(600);
const TICK: Duration = Duration::from_millis(20);

/// What the slow ones send, a byte at a time, and never to its end.
const HEAD: &[u8] = b"GET /bench/config HTTP/1.1\r\nHost: vault\r\nUser-Agent: slow";

/// A flood under way.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    holding: JoinHandle<Result<()>>,
    asking: JoinHandle<Result<()>>,
    counts: Arc<Counts>,
    started: Instant,
}

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    closed: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
}

/// What a flood was.
pub(super) struct Told {
    seconds: f64,
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
        let stop = Arc::new(AtomicBool::new(false));
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
        let (until, tally) = (Arc::clone(&stop), Arc::clone(&counts));
        let holding = spawn(Box::new(move || hold(address, held, &until, &tally)));
        let (until, tally) = (Arc::clone(&stop), Arc::clone(&counts));
        let asking = spawn(Box::new(move || ask(address, &until, &tally)));
        Ok(Self {
            stop,
            holding,
            asking,
            counts,
            started,
        })
    }

    /// Ends it, and tells what it was.
    pub(super) fn stop(self) -> Result<Told> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in [self.holding, self.asking] {
            thread.join().map_err(|_| anyhow!("The flood panicked"))??;
        }
        Ok(Told {
            seconds: self.started.elapsed().as_secs_f64(),
            counts: self.counts,
        })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "flood of {:.0} s: {} connections opened, {} closed by the server, {} requests, {} \
             refused",
            self.seconds,
            of(&self.counts.opened),
            of(&self.counts.closed),
            of(&self.counts.requests),
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
    stop: &AtomicBool,
    counts: &Counts,
) -> Result<()> {
    let started = Instant::now();
    let ticks_per_second = 1_000 / u32::try_from(TICK.as_millis()).unwrap_or(20).max(1);
    let mut turn = 0_usize;
    while !stop.load(Ordering::Relaxed) && started.elapsed() < LONGEST {
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
            if number % 2 == 0
                && let (Some(stream), Some(byte)) = (&mut one.stream, HEAD.get(one.sent))
            {
                one.sent += 1;
                // Where the server has closed it, the next look sees that.
                _ = stream.write(&[*byte]);
            }
        }
        std::thread::sleep(TICK);
    }
    Ok(())
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

/// Asks without a right token, so often a second, each time on a connection of its own.
fn ask(address: SocketAddrV4, stop: &AtomicBool, counts: &Counts) -> Result<()> {
    let started = Instant::now();
    let mut asked = 0_u32;
    while !stop.load(Ordering::Relaxed) && started.elapsed() < LONGEST {
        let due = started.elapsed().as_secs_f64() * f64::from(REQUESTS_PER_SECOND);
        if f64::from(asked) > due {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        asked += 1;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let number = CONNECTIONS + usize::try_from(asked)? % CONNECTIONS;
        if ask_once(address, number).is_err() {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn ask_once(address: SocketAddrV4, number: usize) -> Result<()> {
    let mut stream = open(address, number)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(
        b"GET /bench/config HTTP/1.1\r\nHost: vault\r\nAuthorization: Basic eDp3cm9uZw==\r\n\
          Connection: close\r\n\r\n",
    )?;
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
