//! Under load: two thousand connections that do nothing, or little, and hundreds of requests a
//! second by strangers, beside the backup of somebody who has every right to it.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom_model::FileType;
use strongroom_testkit::contract::noise;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{interval, timeout};

use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;
use crate::clients::{REPOSITORY, is_thorough};

/// Connections that do nothing, or little.
const IDLE: usize = 2_000;

/// The addresses that they come from, each of which has the room of one client.
const ADDRESSES: usize = 10;

/// Requests a second by strangers, and the connections that they come on.
const STRANGERS: u64 = 500;
const STRANGERS_CONNECTIONS: usize = 10;

/// The most memory that the vault may take for all of it. With every limit used up it is 1.3 GiB
/// (docs/vault-running.md); here it is a half of all connections, and few requests under way.
const MOST_BYTES: u64 = 256 << 20;

/// What the flood has done so far.
#[derive(Debug, Default)]
struct Flood {
    /// Connections of the idle that are open.
    open: AtomicU64,
    /// Requests of strangers that were answered.
    refused: AtomicU64,
}

#[test]
fn a_backup_beside_idle_connections_and_strangers_completes_in_bounded_memory() {
    // Before the vault is started, which inherits it.
    raise_files();
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
    for number in 0..STRANGERS_CONNECTIONS {
        runtime.spawn(strange(address, number, Arc::clone(&flood)));
    }
    let patience = Instant::now() + Duration::from_secs(60);
    while flood.open.load(Ordering::Relaxed) < IDLE as u64 * 9 / 10 {
        assert!(Instant::now() < patience, "{flood:?}");
        thread::yield_now();
    }

    let began = Instant::now();
    let refused_before = flood.refused.load(Ordering::Relaxed);
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
    let refused = flood.refused.load(Ordering::Relaxed) - refused_before;
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
    assert!(
        refused > STRANGERS * took.as_secs() / 4,
        "{refused} strangers in {took:?}"
    );
    restic.expect("", &["check", "--read-data"]);
    let listed = server.wire().list(REPOSITORY, &token, FileType::Data);
    let listed: std::collections::BTreeSet<_> = listed.into_iter().map(|(name, _)| name).collect();
    assert!(!acknowledged.is_empty());
    for name in acknowledged {
        assert!(
            listed.contains(&name),
            "{name} was answered and is not there"
        );
    }
}

/// Lets this process, and those that it starts, have as many files as it may.
fn raise_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// A connection from an address of its own share.
async fn connect(to: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = 2 + (number % ADDRESSES) as u8;
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
        let Ok(mut stream) = connect(to, number).await else {
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
async fn strange(to: SocketAddr, number: usize, flood: Arc<Flood>) {
    let ask = b"GET /acme/repos/keys/ HTTP/1.1\r\nhost: x\r\n\
                authorization: Basic YW55OnNydC0wMDAwMDAwMDAwMDAteA==\r\n\r\n";
    let mut tick = interval(Duration::from_millis(
        1_000 * STRANGERS_CONNECTIONS as u64 / STRANGERS,
    ));
    let mut stream = None;
    let mut bytes = [0; 4_096];
    loop {
        tick.tick().await;
        if stream.is_none() {
            stream = connect(to, number).await.ok();
        }
        let Some(open) = &mut stream else {
            continue;
        };
        let asked = open.write_all(ask).await;
        match (asked, open.read(&mut bytes).await) {
            (Ok(()), Ok(count)) if count > 0 => drop(flood.refused.fetch_add(1, Ordering::Relaxed)),
            _ => stream = None,
        }
    }
}
