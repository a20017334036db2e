//! Requests and bytes a second of each address: buckets that refill.
//!
//! What can go wrong: bytes are counted when a request has ended, not while it goes on. So an address may
//! be far above its rate for a while; it then waits until it is at the rate on average.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::limits::{AddressKey, Limits, MOST_ADDRESSES, Refusal};

/// The buckets of all addresses.
#[derive(Debug)]
pub(crate) struct Rates {
    requests_per_second: f64,
    bytes_per_second: f64,
    buckets: Mutex<HashMap<AddressKey, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// How many requests were taken and not yet refilled.
    taken: f64,
    /// The same in bytes.
    taken_bytes: f64,
    at: Instant,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests_per_second: f64::from(limits.requests_per_second.max(1)),
            // Exact up to 2^53 bytes a second.
            bytes_per_second: limits.bytes_per_second_per_address.max(1) as f64,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request of an address, or says which bound it has met and how long to wait.
    pub(crate) fn take(
        &self,
        address: AddressKey,
        now: Instant,
    ) -> Result<(), (Refusal, Duration)> {
        let mut buckets = self.buckets.lock();
        let bucket = self.bucket(&mut buckets, address, now);
        let over = bucket.taken + 1.0 - 2.0 * self.requests_per_second;
        if over > 0.0 {
            let pause = Duration::from_secs_f64(over / self.requests_per_second);
            return Err((Refusal::Rate, pause));
        }
        let over = bucket.taken_bytes - 2.0 * self.bytes_per_second;
        if over > 0.0 {
            let pause = Duration::from_secs_f64(over / self.bytes_per_second);
            return Err((Refusal::AddressBytes, pause));
        }
        bucket.taken += 1.0;
        Ok(())
    }

    /// Counts bytes that an address has sent or taken.
    pub(crate) fn count(&self, address: AddressKey, bytes: u64, now: Instant) {
        if bytes > 0 {
            let mut buckets = self.buckets.lock();
            self.bucket(&mut buckets, address, now).taken_bytes += bytes as f64;
        }
    }

    /// The bucket of an address as it is now.
    fn bucket<'b>(
        &self,
        buckets: &'b mut HashMap<AddressKey, Bucket>,
        address: AddressKey,
        now: Instant,
    ) -> &'b mut Bucket {
        if buckets.len() >= MOST_ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| {
                self.refill(bucket, now);
                bucket.taken > 0.0 || bucket.taken_bytes > 0.0
            });
            // More than that are busy at once: each begins anew, rather than memory growing.
            if buckets.len() >= MOST_ADDRESSES {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket {
            taken: 0.0,
            taken_bytes: 0.0,
            at: now,
        });
        self.refill(bucket, now);
        bucket
    }

    fn refill(&self, bucket: &mut Bucket, now: Instant) {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.taken = (bucket.taken - passed * self.requests_per_second).max(0.0);
        bucket.taken_bytes = (bucket.taken_bytes - passed * self.bytes_per_second).max(0.0);
        bucket.at = bucket.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(bits: u32) -> AddressKey {
        IpAddr::V4(Ipv4Addr::from_bits(bits)).into()
    }

    fn rates() -> Rates {
        Rates::new(&Limits {
            requests_per_second: 10,
            bytes_per_second_per_address: 1_000,
            ..Limits::default()
        })
    }

    #[test]
    fn bytes_are_paid_for_afterwards_and_by_no_other_address() {
        let rates = rates();
        let start = Instant::now();
        rates.count(address(1), 2_000, start);
        rates.take(address(1), start).unwrap();
        rates.count(address(1), 3_000, start);
        let (refusal, pause) = rates.take(address(1), start).unwrap_err();
        assert_eq!(refusal, Refusal::AddressBytes);
        assert_eq!(pause, Duration::from_secs(3));
        rates.take(address(2), start).unwrap();
        rates.take(address(1), start + pause).unwrap();
    }

    #[test]
    fn twice_the_rate_at_once_then_the_rate_and_others_are_not_touched() {
        let rates = rates();
        let start = Instant::now();
        for _ in 0..20 {
            rates.take(address(1), start).unwrap();
        }
        let (refusal, wait) = rates.take(address(1), start).unwrap_err();
        assert_eq!(refusal, Refusal::Rate);
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
        let rates = rates();
        let now = Instant::now();
        for bits in 0..200_000 {
            rates.take(address(bits), now).unwrap();
        }
        assert!(rates.buckets.lock().len() <= MOST_ADDRESSES);
    }
}
