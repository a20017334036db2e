//! What clients may take of the server, and the deciders that hold them to it.
//!
//! The deciders know no clock: the time is a parameter. Their memory is bounded too: whoever
//! comes from a million addresses must not fill it.

mod address;
mod connections;
mod logins;
mod rates;
mod tokens;
mod turns;

pub use address::AddressKey;
pub(crate) use connections::{Connections, Refusal, Ticket};
pub use logins::Logins;
pub(crate) use rates::Rates;
pub(crate) use tokens::{Place, Tokens};
pub(crate) use turns::{Turn, Turns};

use std::time::Duration;

/// The most addresses that a decider remembers.
const MOST_ADDRESSES: usize = 65_536;

/// What clients may take of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Requests under way in all.
    pub requests: usize,
    /// Requests under way of one address.
    pub requests_per_address: usize,
    /// Requests a second of one address, on average; twice as many at once.
    pub requests_per_second: u32,
    /// Bytes a second of one address in both directions, on average; twice as many at once.
    pub bytes_per_second_per_address: u64,
    /// Requests under way of one token, from all its addresses.
    pub requests_per_token: usize,
    /// Of the requests under way in all, so many are kept for tokens that have few, the last of them
    /// for those that have fewest.
    pub requests_reserved: usize,
    /// Requests a second of one token, on average; twice as many at once.
    pub requests_per_second_per_token: u32,
    /// Bytes a second of one token in both directions, on average; twice as many at once.
    pub bytes_per_second_per_token: u64,
    /// Wrong logins of one address before it is asked to wait.
    pub failed_logins: u32,
    /// The longest that it is asked to wait.
    pub longest_login_pause: Duration,
    /// The size of a request's head.
    pub header_bytes: usize,
    /// The number of headers.
    pub headers: usize,
    /// The time in which a head must have come, from its first byte.
    pub header_time: Duration,
    /// The time for which a connection may lie idle.
    pub idle_time: Duration,
    /// The time in which a TLS handshake must be done.
    pub handshake_time: Duration,
    /// The time in which a body under way, in either direction, must move.
    pub stall_time: Duration,
    /// How fast a body must move on average, the stall time not counted.
    pub least_bytes_per_second: u64,
    /// What requests under way get to finish when the server stops.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 256,
            requests: 256,
            requests_per_address: 128,
            requests_per_second: 20_000,
            // More than a line of 25 gigabits carries: there may be many clients behind one address.
            bytes_per_second_per_address: 4 << 30,
            // A client with 64 connections passes, and one whose answers are still on their way.
            requests_per_token: 96,
            requests_reserved: 64,
            requests_per_second_per_token: 20_000,
            // More than a line of ten gigabits carries: it bounds nobody who has one machine.
            bytes_per_second_per_token: 2 << 30,
            failed_logins: 10,
            longest_login_pause: Duration::from_secs(60),
            header_bytes: 16 << 10,
            headers: 64,
            header_time: Duration::from_secs(10),
            // Longer than the 90 s after which clients written in Go close their own.
            idle_time: Duration::from_secs(120),
            handshake_time: Duration::from_secs(10),
            stall_time: Duration::from_secs(30),
            least_bytes_per_second: 1024,
            stop_time: Duration::from_secs(30),
        }
    }
}

/// How fast a list must be taken on average while many are under way, the stall time not counted:
/// there are few places for lists, which all clients share. Where there are places it is held to
/// less, because a slow line carries no more.
const LEAST_OF_LISTS: u64 = 64 << 10;

impl Limits {
    /// The same for whoever takes a list while more than half of the places for lists are taken.
    pub(crate) fn of_lists(&self) -> Self {
        Self {
            least_bytes_per_second: self.least_bytes_per_second.max(LEAST_OF_LISTS),
            ..self.clone()
        }
    }

    /// Whether a body is too slow: nothing moved for too long, or too little on average.
    pub(crate) fn is_too_slow(&self, waited: Duration, still: Duration, bytes: u64) -> bool {
        let counted = waited.saturating_sub(self.stall_time).as_secs();
        still >= self.stall_time || bytes < counted.saturating_mul(self.least_bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_too_slow_when_it_stands_still_or_trickles() {
        let limits = Limits::default();
        let seconds = Duration::from_secs;
        assert!(!limits.is_too_slow(seconds(29), seconds(29), 0));
        assert!(limits.is_too_slow(seconds(30), seconds(30), 1 << 30));
        assert!(!limits.is_too_slow(seconds(3630), seconds(1), 3600 * 1024));
        assert!(limits.is_too_slow(seconds(3630), seconds(1), 3600 * 1024 - 1));
    }

    #[test]
    fn a_list_must_be_taken_faster_than_anything_else() {
        let seconds = Duration::from_secs;
        let limits = Limits::default().of_lists();
        assert!(!limits.is_too_slow(seconds(29), seconds(29), 0));
        assert!(!limits.is_too_slow(seconds(90), seconds(1), 60 * (64 << 10)));
        assert!(limits.is_too_slow(seconds(90), seconds(1), 60 * (64 << 10) - 1));
        let fast = Limits {
            least_bytes_per_second: 1 << 20,
            ..Limits::default()
        };
        assert_eq!(fast.of_lists(), fast);
    }
}
