//! Who holds which connection, and who has to go when there are too many.
//!
//! A place that is needed is taken from an idle connection: first from those that have brought
//! nothing of worth yet, the oldest first. So thousands of idle connections never lock out a
//! client that works, not even from the same address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::http::limits::{AddressKey, Limits};

/// Why a client is refused by the listener itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many connections in all, and all of them work.
    Connections,
    /// Too many of its address, and all of them work.
    AddressConnections,
    /// Too many requests under way in all.
    Requests,
    /// Too many of its address.
    AddressRequests,
    /// Too many requests a second.
    Rate,
    /// Too many bytes of its address a second.
    AddressBytes,
    /// Too many requests of one token under way.
    TokenRequests,
    /// Too many requests of one token a second.
    TokenRate,
    /// Too many bytes of one token a second.
    TokenBytes,
    /// A head too large.
    Head,
}

impl Refusal {
    /// The word for it in metrics and the log.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::AddressConnections => "connections_per_address",
            Self::Requests => "requests",
            Self::AddressRequests => "requests_per_address",
            Self::Rate => "requests_per_second",
            Self::AddressBytes => "bytes_per_second_per_address",
            Self::TokenRequests => "requests_per_token",
            Self::TokenRate => "requests_per_second_per_token",
            Self::TokenBytes => "bytes_per_second_per_token",
            Self::Head => "head",
        }
    }
}

/// All connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts connections and the times they fall idle, so that both have an order.
    next: u64,
    all: HashMap<u64, Connection>,
    addresses: HashMap<AddressKey, Address>,
    idle: Idle,
    requests: usize,
}

/// Idle connections, those first that go first.
type Idle = BTreeMap<Rank, u64>;

/// Whether the connection has brought something of worth, and when it fell idle.
type Rank = (bool, u64);

#[derive(Debug)]
struct Connection {
    address: AddressKey,
    is_proven: bool,
    requests: usize,
    /// Its place among the idle ones, where it is idle.
    idle: Option<Rank>,
    evicted: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Address {
    connections: usize,
    requests: usize,
    idle: Idle,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u64,
    evicted: Arc<Notify>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Gives a new connection its place, and tells the one that has to go.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, Refusal> {
        let address = AddressKey::from(address);
        let mut state = self.state.lock();
        let own = state.addresses.get(&address);
        if own.is_some_and(|own| own.connections >= self.limits.connections_per_address) {
            let oldest = own.and_then(|own| own.idle.values().next().copied());
            state.evict(oldest.ok_or(Refusal::AddressConnections)?);
        }
        if state.all.len() >= self.limits.connections {
            let oldest = state.idle.values().next().copied();
            state.evict(oldest.ok_or(Refusal::Connections)?);
        }
        let id = state.count();
        let evicted = Arc::new(Notify::new());
        let connection = Connection {
            address,
            is_proven: false,
            requests: 0,
            idle: None,
            evicted: Arc::clone(&evicted),
        };
        state.all.insert(id, connection);
        state.addresses.entry(address).or_default().connections += 1;
        state.rest(id);
        Ok(Ticket {
            id,
            evicted,
            connections: Arc::clone(self),
        })
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().all.len()
    }
}

impl Ticket {
    /// The number of the connection, which no other has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Waits until the place is needed by somebody else.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Begins a request.
    pub(crate) fn begin(&self) -> Result<(), Refusal> {
        let limits = &self.connections.limits;
        let mut state = self.connections.state.lock();
        let state = &mut *state;
        if state.requests >= limits.requests {
            return Err(Refusal::Requests);
        }
        // One that was evicted a moment ago may still finish what it has.
        if let Some(connection) = state.all.get_mut(&self.id)
            && let Some(address) = state.addresses.get_mut(&connection.address)
        {
            if address.requests >= limits.requests_per_address {
                return Err(Refusal::AddressRequests);
            }
            address.requests += 1;
            connection.requests += 1;
            if let Some(rank) = connection.idle.take() {
                address.idle.remove(&rank);
                state.idle.remove(&rank);
            }
        }
        state.requests += 1;
        Ok(())
    }

    /// Ends a request that was begun; `is_proven` where it was of worth.
    pub(crate) fn end(&self, is_proven: bool) {
        let mut state = self.connections.state.lock();
        state.requests = state.requests.saturating_sub(1);
        if let Some(connection) = state.all.get_mut(&self.id) {
            connection.is_proven |= is_proven;
            connection.requests = connection.requests.saturating_sub(1);
            let is_idle = connection.requests == 0;
            let address = connection.address;
            if let Some(address) = state.addresses.get_mut(&address) {
                address.requests = address.requests.saturating_sub(1);
            }
            if is_idle {
                state.rest(self.id);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.state.lock().remove(self.id);
    }
}

impl State {
    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Puts a connection among the idle ones.
    fn rest(&mut self, id: u64) {
        let order = self.count();
        if let Some(connection) = self.all.get_mut(&id)
            && let Some(address) = self.addresses.get_mut(&connection.address)
        {
            let rank = (connection.is_proven, order);
            connection.idle = Some(rank);
            address.idle.insert(rank, id);
            self.idle.insert(rank, id);
        }
    }

    fn evict(&mut self, id: u64) {
        if let Some(connection) = self.remove(id) {
            connection.evicted.notify_one();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.all.remove(&id)?;
        if let Some(rank) = connection.idle {
            self.idle.remove(&rank);
        }
        if let Some(address) = self.addresses.get_mut(&connection.address) {
            if let Some(rank) = connection.idle {
                address.idle.remove(&rank);
            }
            address.connections = address.connections.saturating_sub(1);
            address.requests = address.requests.saturating_sub(connection.requests);
            if address.connections == 0 {
                self.addresses.remove(&connection.address);
            }
        }
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn connections(all: usize, per_address: usize, requests: usize) -> Arc<Connections> {
        Connections::new(Limits {
            connections: all,
            connections_per_address: per_address,
            requests,
            requests_per_address: requests,
            ..Limits::default()
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn is_evicted(ticket: &Ticket) -> bool {
        !ticket.connections.state.lock().all.contains_key(&ticket.id)
    }

    #[test]
    fn the_oldest_idle_connection_of_the_address_goes_first() {
        let connections = connections(10, 2, 10);
        let other = connections.admit(address(2)).unwrap();
        let first = connections.admit(address(1)).unwrap();
        let second = connections.admit(address(1)).unwrap();
        let _third = connections.admit(address(1)).unwrap();
        assert!(is_evicted(&first));
        assert!(!is_evicted(&second) && !is_evicted(&other));
        assert_eq!(connections.count(), 3);
    }

    #[test]
    fn a_connection_that_works_never_goes_and_one_that_has_worked_goes_last() {
        let connections = connections(3, 3, 10);
        let working = connections.admit(address(1)).unwrap();
        working.begin().unwrap();
        let proven = connections.admit(address(1)).unwrap();
        proven.begin().unwrap();
        proven.end(true);
        for _ in 0..10 {
            let idle = connections.admit(address(1)).unwrap();
            std::mem::forget(idle);
        }
        assert!(!is_evicted(&working) && !is_evicted(&proven));
        proven.begin().unwrap();
        connections.admit(address(1)).unwrap().begin().unwrap();
        let third = connections.admit(address(1)).unwrap();
        third.begin().unwrap();
        assert_eq!(
            connections.admit(address(1)).unwrap_err(),
            Refusal::AddressConnections
        );
        assert_eq!(
            connections.admit(address(2)).unwrap_err(),
            Refusal::Connections
        );
    }

    #[test]
    fn requests_under_way_are_limited_in_all_and_for_each_address() {
        let connections = Connections::new(Limits {
            requests: 3,
            requests_per_address: 2,
            ..Limits::default()
        });
        let one = connections.admit(address(1)).unwrap();
        let two = connections.admit(address(2)).unwrap();
        one.begin().unwrap();
        one.begin().unwrap();
        assert_eq!(one.begin(), Err(Refusal::AddressRequests));
        two.begin().unwrap();
        assert_eq!(two.begin(), Err(Refusal::Requests));
        one.end(true);
        two.begin().unwrap();
    }

    proptest! {
        #[test]
        fn the_books_are_always_balanced(steps in proptest::collection::vec((0u8..4, 0usize..8, 0u8..3), 0..200)) {
            let connections = connections(6, 3, 4);
            let mut tickets: Vec<(Ticket, usize)> = Vec::new();
            for (step, which, last) in steps {
                match step {
                    0 => tickets.extend(connections.admit(address(last)).ok().map(|ticket| (ticket, 0))),
                    1 => if let Some((ticket, open)) = tickets.get_mut(which) {
                        *open += usize::from(ticket.begin().is_ok());
                    },
                    2 => if let Some((ticket, open)) = tickets.get_mut(which) && *open > 0 {
                        ticket.end(last == 0);
                        *open -= 1;
                    },
                    _ => if which < tickets.len() {
                        let (ticket, open) = tickets.swap_remove(which);
                        (0..open).for_each(|_| ticket.end(false));
                    },
                }
                let state = connections.state.lock();
                prop_assert!(state.all.len() <= 6);
                let open: usize = tickets.iter().map(|(_, open)| open).sum();
                prop_assert_eq!(state.requests, open);
                let idle = state.all.values().filter(|connection| connection.requests == 0).count();
                prop_assert_eq!(state.idle.len(), idle);
                let of_addresses: usize = state.addresses.values().map(|address| address.connections).sum();
                prop_assert_eq!(of_addresses, state.all.len());
                prop_assert!(state.addresses.values().all(|address| address.connections <= 3));
                prop_assert!(state.addresses.values().all(|address| address.connections > 0));
            }
        }
    }
}
