//! How many connections a program keeps open to a server while it runs.
//!
//! Each carries one request at a time, so these are the requests in flight, or the most that there
//! were at once: an idle one is not told from one that waits.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// How often they are counted.
const TICK: Duration = Duration::from_millis(20);

/// How the kernel writes that a connection is established.
const ESTABLISHED: &str = "01";

/// A count that goes on until it is ended.
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Result<Vec<usize>>>,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connections {
    /// The median of all counts while there was any.
    pub(super) usual: usize,
    /// The most at once.
    pub(super) peak: usize,
}

impl Watch {
    /// Counts the connections to a port, from now on.
    pub(super) fn start(port: u16) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || -> Result<Vec<usize>> {
            let mut counts = Vec::new();
            // Ends also where whoever started it has gone.
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                counts.push(established(&fs::read_to_string("/proc/net/tcp")?, port));
            }
            Ok(counts)
        });
        Self { stop, thread }
    }

    /// Ends the count.
    pub(super) fn stop(self) -> Result<Connections> {
        drop(self.stop);
        let counts = self.thread.join();
        let counts = counts.map_err(|_| anyhow!("Counting connections has panicked"))??;
        summed_up(counts).context("No connection to Ceph was seen")
    }
}

/// How many of the connections in the kernel's table are established to a port. Of one on loopback
/// both ends are in it; the server's has the port on its own side.
fn established(table: &str, port: u16) -> usize {
    let port = format!("{port:04X}");
    let lines = table.lines().skip(1);
    lines
        .filter(|line| {
            let mut fields = line.split_whitespace().skip(2);
            let remote = fields.next().and_then(|remote| remote.split_once(':'));
            remote.is_some_and(|(_, remote)| remote == port) && fields.next() == Some(ESTABLISHED)
        })
        .count()
}

fn summed_up(mut counts: Vec<usize>) -> Option<Connections> {
    counts.retain(|count| *count > 0);
    counts.sort_unstable();
    Some(Connections {
        usual: *counts.get(counts.len() / 2)?,
        peak: *counts.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clients_ends_of_established_connections_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            0: 0100007F:1F40 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:D2E4 0100007F:1F40 01 00000000:00000000\n\
            2: 0100007F:1F40 0100007F:D2E4 01 00000000:00000000\n\
            3: 0100007F:D2E5 0100007F:1F40 06 00000000:00000000\n\
            4: 0100007F:D2E6 0100007F:1F41 01 00000000:00000000\n";
        assert_eq!(established(table, 8000), 1);
        assert_eq!(established(table, 8001), 1);
        assert_eq!(established(table, 8002), 0);
        assert_eq!(established("", 8000), 0);
    }

    #[test]
    fn a_time_without_any_does_not_count() {
        let told = summed_up(vec![0, 0, 0, 0, 1, 16, 17, 0]);
        let (usual, peak) = (16, 17);
        assert_eq!(told, Some(Connections { usual, peak }));
        assert_eq!(summed_up(vec![0, 0]), None);
    }

    #[test]
    fn a_connection_of_this_machine_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        assert_eq!(established(&table, address.port()), 1);
    }
}
