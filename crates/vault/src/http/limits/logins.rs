//! Wrong logins of each address: whoever guesses is asked to wait longer and longer.
//!
//! A right token must never be kept out by somebody's wrong ones, neither from elsewhere nor from
//! the same address (a router's, the loopback's). So this only decides what a *wrong* login is
//! answered; whoever can tell a right one cheaply need not ask before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::limits::{AddressKey, Limits, MOST_ADDRESSES};

/// What is forgotten after this time without a failure.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// The failures of all addresses.
#[derive(Debug)]
pub struct Logins {
    free: u32,
    longest: Duration,
    failures: Mutex<HashMap<AddressKey, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Logins {
    /// Nobody has failed yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            free: limits.failed_logins,
            longest: limits.longest_login_pause,
            failures: Mutex::default(),
        }
    }

    /// Notes a failure; returns for how long the address is asked to wait, `None` while it has
    /// failed seldom.
    pub fn failed(&self, address: AddressKey, now: Instant) -> Option<Duration> {
        let mut all = self.failures.lock();
        if all.len() >= MOST_ADDRESSES && !all.contains_key(&address) {
            all.retain(|_, failures| !failures.is_forgotten(now));
            if all.len() >= MOST_ADDRESSES {
                all.clear();
            }
        }
        let failures = all.entry(address).or_insert(Failures {
            count: 0,
            last: now,
        });
        if failures.is_forgotten(now) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        self.pause_after(failures.count)
    }

    /// For how long an address is asked to wait still, before anything is looked at that costs much.
    pub fn pauses(&self, address: AddressKey, now: Instant) -> Option<Duration> {
        let failures = *self.failures.lock().get(&address)?;
        let pause = self.pause_after(failures.count)?;
        let passed = now.saturating_duration_since(failures.last);
        pause.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// 1 s after the first failure too many, then twice as long each time.
    fn pause_after(&self, count: u32) -> Option<Duration> {
        let over = count.checked_sub(self.free)?.checked_sub(1)?;
        let seconds = 1_u64.checked_shl(over.min(32)).unwrap_or(u64::MAX);
        Some(Duration::from_secs(seconds).min(self.longest))
    }
}

impl Failures {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGOTTEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(bits: u32) -> AddressKey {
        IpAddr::V4(Ipv4Addr::from_bits(bits)).into()
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_are_forgotten() {
        let logins = Logins::new(&Limits::default());
        let mut now = Instant::now();
        for _ in 0..10 {
            assert_eq!(logins.failed(address(1), now), None);
        }
        let pauses: Vec<u64> = (0..8)
            .map(|_| logins.failed(address(1), now).unwrap().as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let minute = Duration::from_secs(60);
        assert_eq!(logins.pauses(address(1), now), Some(minute));
        assert_eq!(logins.pauses(address(1), now + minute), None);
        assert_eq!(logins.pauses(address(2), now), None);
        assert_eq!(logins.failed(address(2), now), None);
        now += Duration::from_secs(60);
        assert!(logins.failed(address(1), now).is_some());
        now += FORGOTTEN_AFTER;
        assert_eq!(logins.failed(address(1), now), None);
    }

    #[test]
    fn a_million_addresses_do_not_fill_the_memory() {
        let logins = Logins::new(&Limits::default());
        for bits in 0..200_000 {
            logins.failed(address(bits), Instant::now());
        }
        assert!(logins.failures.lock().len() <= MOST_ADDRESSES);
    }
}
