//! Under load: two thousand connections that do nothing, or little, and hundreds of requests a
//! second by strangers, beside the backup of somebody who has every right to it. How many of these
//! there were is what the vault has counted, and not what was meant to be sent.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_model::{FileType, Id};
use strongroom_store::raise_file_limit;
use strongroom_testkit::contract::noise;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{interval_at, timeout};

use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;
use crate::clients::{REPOSITORY, is_thorough};

/// Connections that do nothing, or little.
const IDLE: usize = 2_000;

/// The addresses that they come from, each of which has the room of one client: from which one on,
/// and how many.
const IDLE_FROM: (u8, usize) = (2, 10);

/// Requests a second by strangers, and the connections that they come on: so many that the next is
/// sent on time though a quarter of a second is waited for each answer.
const STRANGERS: u64 = 500;
const STRANGERS_CONNECTIONS: u64 = 125;

/// Their addresses.
const STRANGERS_FROM: (u8, usize) = (20, 25);

/// The most memory that the vault may take for all of it. With every limit used up it is 1.5 GiB
/// (docs/vault-running.md); here it is a half of all connections, and few requests under way.
const MOST_BYTES: u64 = 256 << 20;

/// What the flood has done so far.
#[derive(Debug, Default)]
struct Flood {
    /// Connections of the idle that are open.
    open: AtomicU64,
    /// Requests of strangers that were answered.
    answered: AtomicU64,
}

#[test]
fn a_backup_beside_idle_connections_and_strangers_completes_in_bounded_memory() {
    // Before the vault is started, which inherits it.
    raise_file_limit();
    let server = Server::start();
    let token = server.token("append");
    let source = server.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    let (files, rounds) = if is_thorough() { (400, 3) } else { (12, 1) };
    for file in 0..files {
        fs::write(source.join(format!("{file}")), noise(file, 4_000_000)).unwrap();
    }
    let restic = Restic {
        server: &server,
        token: token.clone(),
    };
    restic.expect("", &["init"]);

    let address: SocketAddr = server.address().parse().unwrap();
    let flood = Arc::new(Flood::default());
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for number in 0..IDLE {
        runtime.spawn(idle(address, number, Arc::clone(&flood)));
    }
    reach(&flood, &flood.open, IDLE as u64 * 9 / 10);
    for number in 0..STRANGERS_CONNECTIONS {
        runtime.spawn(strange(address, number, Arc::clone(&flood)));
    }
    reach(&flood, &flood.answered, STRANGERS_CONNECTIONS);

    let refused_before = refused(&server);
    let began = Instant::now();
    let mut acknowledged = Vec::new();
    for _ in 0..rounds {
        let mut backup = restic
            .command("", &["backup", "--force", path(&source)])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Somebody else who has every right puts small files meanwhile.
        let mut wire = server.wire();
        while backup.try_wait().unwrap().is_none() {
            let bytes = noise(1_000_000 + acknowledged.len() as u64, 700);
            let (name, status) = wire.put(REPOSITORY, &token, FileType::Data, &bytes);
            assert_eq!(status, 200);
            acknowledged.push(name);
        }
        assert!(backup.wait().unwrap().success());
    }
    let took = began.elapsed();
    let refused = refused(&server) - refused_before;
    let still_open = flood.open.load(Ordering::Relaxed);
    drop(runtime);

    let peak_bytes = server.peak_bytes();
    println!(
        "{took:?}, {refused} strangers, {still_open} open, peak {} MiB",
        peak_bytes >> 20
    );
    assert!(peak_bytes < MOST_BYTES, "{} MiB", peak_bytes >> 20);
    assert!(
        still_open > IDLE as u64 / 2,
        "{still_open} connections were left"
    );
    let owed = STRANGERS * u64::try_from(took.as_millis()).unwrap() / 1_000;
    assert!(
        refused >= owed * 9 / 10,
        "the vault has refused {refused} strangers in {took:?}, and {owed} should have come"
    );
    restic.expect("", &["check", "--read-data"]);
    let mut wire = server.wire();
    let listed = wire.list(REPOSITORY, &token, FileType::Data);
    let listed: std::collections::BTreeSet<_> = listed.into_iter().map(|(name, _)| name).collect();
    assert!(!acknowledged.is_empty());
    for name in acknowledged {
        assert!(
            listed.contains(&name),
            "{name} was answered and is not there"
        );
        let body = wire.get(&format!("{REPOSITORY}{name}"), &token).body;
        assert_eq!(Some(Id::of(&body)), name.id(), "{name} is not what was put");
    }
}

/// Waits until something was counted so often.
fn reach(flood: &Flood, count: &AtomicU64, least: u64) {
    let patience = Instant::now() + Duration::from_secs(60);
    while count.load(Ordering::Relaxed) < least {
        assert!(Instant::now() < patience, "{flood:?}");
        thread::yield_now();
    }
}

/// How many lists the vault has refused, as it tells itself: nobody but strangers asks for one in
/// vain.
fn refused(server: &Server) -> u64 {
    let page = server.wire().get("/metrics", "").text();
    let is_refusal = |line: &&str| {
        let is_list =
            line.starts_with("strongroom_vault_requests_total{") && line.contains("route=\"list\"");
        is_list && !line.contains("status=\"200\"")
    };
    let lines = page.lines().filter(is_refusal);
    let counts = lines.map(|line| line.rsplit_once(' ').unwrap().1);
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// A connection from one of some addresses.
async fn connect(
    to: SocketAddr,
    (first, count): (u8, usize),
    number: usize,
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = first + (number % count) as u8;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    socket.connect(to).await
}

/// Opens a connection, does little with it until the vault ends it, and begins again.
async fn idle(to: SocketAddr, number: usize, flood: Arc<Flood>) {
    let beginning: &[u8] = match number % 4 {
        0 => b"",
        1 => b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ",
        2 => b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
        _ => b"POST /acme/repos/config HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n",
    };
    loop {
        let Ok(mut stream) = connect(to, IDLE_FROM, number).await else {
            tokio::task::yield_now().await;
            continue;
        };
        flood.open.fetch_add(1, Ordering::Relaxed);
        let mut sent = stream.write_all(beginning).await;
        let mut bytes = [0; 512];
        while sent.is_ok() {
            match timeout(Duration::from_secs(2), stream.read(&mut bytes)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => {}
                // One byte every two seconds, of what is sent slowly.
                Err(_) if number % 2 == 1 => sent = stream.write_all(b"x").await,
                Err(_) => {}
            }
        }
        flood.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asks again and again with a token that is none, from an address that has its own share: all from
/// one would be slowed down by what holds for an address.
async fn strange(to: SocketAddr, number: u64, flood: Arc<Flood>) {
    let ask = b"GET /acme/repos/keys/ HTTP/1.1\r\nhost: x\r\n\
                authorization: Basic YW55OnNydC0wMDAwMDAwMDAwMDAteA==\r\n\r\n";
    // Those that are late are made up for: so many a second are asked on average.
    let every = Duration::from_millis(1_000 * STRANGERS_CONNECTIONS / STRANGERS);
    let first = every * number as u32 / STRANGERS_CONNECTIONS as u32;
    let mut tick = interval_at(tokio::time::Instant::now() + first, every);
    let mut stream = None;
    let mut bytes = [0; 4_096];
    loop {
        tick.tick().await;
        if stream.is_none() {
            stream = connect(to, STRANGERS_FROM, number as usize).await.ok();
        }
        let Some(open) = &mut stream else {
            continue;
        };
        let asked = open.write_all(ask).await;
        match (asked, open.read(&mut bytes).await) {
            (Ok(()), Ok(count)) if count > 0 => {
                let _ = flood.answered.fetch_add(1, Ordering::Relaxed);
            }
            _ => stream = None,
        }
    }
}
