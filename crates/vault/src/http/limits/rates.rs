//! Requests a second of each address: a bucket that refills.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::limits::{AddressKey, MOST_ADDRESSES};

/// The buckets of all addresses.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    buckets: Mutex<HashMap<AddressKey, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// How many requests were taken and not yet refilled.
    taken: f64,
    at: Instant,
}

impl Rates {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second.max(1)),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request of an address, or says how long to wait.
    pub(crate) fn take(&self, address: AddressKey, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MOST_ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| self.taken(bucket, now) > 0.0);
            // More than that are busy at once: each begins anew, rather than memory growing.
            if buckets.len() >= MOST_ADDRESSES {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket {
            taken: 0.0,
            at: now,
        });
        let taken = self.taken(bucket, now);
        let over = taken + 1.0 - 2.0 * self.per_second;
        if over > 0.0 {
            return Err(Duration::from_secs_f64(over / self.per_second));
        }
        *bucket = Bucket {
            taken: taken + 1.0,
            at: now,
        };
        Ok(())
    }

    fn taken(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.taken - passed * self.per_second).max(0.0)
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
    fn twice_the_rate_at_once_then_the_rate_and_others_are_not_touched() {
        let rates = Rates::new(10);
        let start = Instant::now();
        for _ in 0..20 {
            rates.take(address(1), start).unwrap();
        }
        let wait = rates.take(address(1), start).unwrap_err();
        assert!(wait <= Duration::from_millis(101), "{wait:?}");
        rates.take(address(2), start).unwrap();
        let later = start + Duration::from_secs(1);
        for _ in 0..10 {
            rates.take(address(1), later).unwrap();
        }
        rates.take(address(1), later).unwrap_err();
    }

    #[test]
    fn a_million_addresses_do_not_fill_the_memory() {
        let rates = Rates::new(10);
        let now = Instant::now();
        for bits in 0..200_000 {
            rates.take(address(bits), now).unwrap();
        }
        assert!(rates.buckets.lock().len() <= MOST_ADDRESSES);
    }
}
