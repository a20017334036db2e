//! What each token may take, from however many addresses: requests under way, requests and bytes a
//! second.
//!
//! One token that was stolen must not take the whole server. Two bounds see to it: a token has a
//! share of all places and no more, and the last places are kept for tokens that hold few, the very
//! last for those that hold none, so that ten stolen ones together leave room as well.
//!
//! What can go wrong: bytes are counted when a request has ended, not while it goes on. So a token
//! may be far above its rate for a while; it then waits until it is at the rate on average.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::limits::{Limits, Refusal};

/// The most tokens that are remembered while they do nothing.
const MOST_TOKENS: usize = 10_000;

/// Whoever has fewer requests under way than this may take the places that are kept: a client with
/// the five connections of restic, and a second one beside it.
const FEW: usize = 8;

/// How long whoever has too many requests under way is asked to wait.
const SOON: Duration = Duration::from_secs(1);

/// What all tokens take.
#[derive(Debug)]
pub(crate) struct Tokens {
    most: usize,
    /// Places in all.
    all: usize,
    /// Places that a token with many requests under way may share with the others.
    shared: usize,
    /// Of the places that are kept, so many more must be free for each request that a token has
    /// under way already, so that the last ones are for those that have none.
    kept_for_fewer: usize,
    requests_per_second: f64,
    bytes_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests under way of all tokens.
    requests: usize,
    tokens: HashMap<String, Token>,
}

#[derive(Debug)]
struct Token {
    /// Requests under way.
    requests: usize,
    /// Requests that were taken and not yet refilled, at `at`.
    taken: f64,
    /// The same in bytes.
    taken_bytes: f64,
    at: Instant,
}

/// The place of one request of a token; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    tokens: Arc<Tokens>,
    token: String,
}

impl Tokens {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.requests_per_token,
            all: limits.requests,
            shared: limits.requests.saturating_sub(limits.requests_reserved),
            kept_for_fewer: limits.requests_reserved.min(limits.requests / 4) / FEW,
            requests_per_second: f64::from(limits.requests_per_second_per_token.max(1)),
            // Exact up to 2^53 bytes a second.
            bytes_per_second: limits.bytes_per_second_per_token.max(1) as f64,
            state: Mutex::default(),
        }
    }

    /// Begins a request of a token, or says which bound it has met and how long to wait.
    pub(crate) fn begin(
        self: &Arc<Self>,
        name: &str,
        now: Instant,
    ) -> Result<Place, (Refusal, Duration)> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let under_way = state.requests;
        let token = state.token(name, now, self);
        let over = token.taken + 1.0 - 2.0 * self.requests_per_second;
        if over > 0.0 {
            let pause = Duration::from_secs_f64(over / self.requests_per_second);
            return Err((Refusal::TokenRate, pause));
        }
        let over = token.taken_bytes - 2.0 * self.bytes_per_second;
        if over > 0.0 {
            let pause = Duration::from_secs_f64(over / self.bytes_per_second);
            return Err((Refusal::TokenBytes, pause));
        }
        let are_many = token.requests >= FEW && under_way >= self.shared;
        let free = self.all.saturating_sub(under_way);
        let are_for_fewer = (1..FEW).contains(&token.requests)
            && free <= token.requests.saturating_mul(self.kept_for_fewer);
        if token.requests >= self.most || are_many || are_for_fewer {
            return Err((Refusal::TokenRequests, SOON));
        }
        token.requests += 1;
        token.taken += 1.0;
        state.requests += 1;
        Ok(Place {
            tokens: Arc::clone(self),
            token: name.to_owned(),
        })
    }

    /// Counts bytes that a token has sent or taken.
    pub(crate) fn count(&self, name: &str, bytes: u64, now: Instant) {
        if bytes > 0 {
            let mut state = self.state.lock();
            state.token(name, now, self).taken_bytes += bytes as f64;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.tokens.state.lock();
        state.requests = state.requests.saturating_sub(1);
        if let Some(token) = state.tokens.get_mut(&self.token) {
            token.requests = token.requests.saturating_sub(1);
        }
    }
}

impl State {
    /// A token as it is now.
    fn token(&mut self, name: &str, now: Instant, limits: &Tokens) -> &mut Token {
        if self.tokens.len() >= MOST_TOKENS && !self.tokens.contains_key(name) {
            self.tokens.retain(|_, token| {
                token.refill(now, limits);
                token.requests > 0 || token.taken > 0.0 || token.taken_bytes > 0.0
            });
        }
        let token = self.tokens.entry(name.to_owned()).or_insert(Token {
            requests: 0,
            taken: 0.0,
            taken_bytes: 0.0,
            at: now,
        });
        token.refill(now, limits);
        token
    }
}

impl Token {
    fn refill(&mut self, now: Instant, limits: &Tokens) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.taken = (self.taken - passed * limits.requests_per_second).max(0.0);
        self.taken_bytes = (self.taken_bytes - passed * limits.bytes_per_second).max(0.0);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(change: impl FnOnce(&mut Limits)) -> Arc<Tokens> {
        let mut limits = Limits::default();
        change(&mut limits);
        Arc::new(Tokens::new(&limits))
    }

    fn begin(tokens: &Arc<Tokens>, name: &str, count: usize) -> Vec<Place> {
        let now = Instant::now();
        (0..count)
            .map_while(|_| tokens.begin(name, now).ok())
            .collect()
    }

    #[test]
    fn sixty_four_connections_of_one_token_pass_and_two_stolen_ones_leave_room() {
        let tokens = tokens(|_| ());
        let honest = begin(&tokens, "honest", 64);
        assert_eq!(honest.len(), 64);
        drop(honest);
        let stolen = [begin(&tokens, "a", 1_000), begin(&tokens, "b", 1_000)];
        assert_eq!(stolen.each_ref().map(Vec::len), [96, 96]);
        // A third one that wants as much gets few, and so does whoever needs few.
        let third = begin(&tokens, "c", 1_000);
        assert_eq!(third.len(), FEW);
        assert_eq!(begin(&tokens, "honest", 5).len(), 5);
        let (refusal, pause) = tokens.begin("a", Instant::now()).unwrap_err();
        assert_eq!((refusal, pause), (Refusal::TokenRequests, SOON));
        drop(stolen);
        assert_eq!(begin(&tokens, "c", 1_000).len(), 96 - FEW);
    }

    #[test]
    fn ten_stolen_tokens_leave_places_for_those_that_have_none() {
        let tokens = tokens(|_| ());
        let mut stolen = Vec::new();
        for _ in 0..3 {
            for number in 0..10 {
                stolen.extend(begin(&tokens, &format!("stolen {number}"), 1_000));
            }
        }
        let all = Limits::default().requests;
        assert!(stolen.len() <= all - FEW, "{}", stolen.len());
        let honest: Vec<_> = (0..FEW)
            .flat_map(|number| begin(&tokens, &format!("honest {number}"), 1))
            .collect();
        assert_eq!(honest.len(), FEW);
    }

    #[test]
    fn twice_the_rate_at_once_then_the_rate_and_other_tokens_are_not_touched() {
        let tokens = tokens(|limits| limits.requests_per_second_per_token = 10);
        let start = Instant::now();
        for _ in 0..20 {
            tokens.begin("a", start).unwrap();
        }
        let (refusal, pause) = tokens.begin("a", start).unwrap_err();
        assert_eq!(refusal, Refusal::TokenRate);
        assert!(pause <= Duration::from_millis(101), "{pause:?}");
        tokens.begin("b", start).unwrap();
        let later = start + Duration::from_secs(1);
        for _ in 0..10 {
            tokens.begin("a", later).unwrap();
        }
        tokens.begin("a", later).unwrap_err();
    }

    #[test]
    fn whoever_moves_too_many_bytes_waits_until_it_is_at_the_rate_on_average() {
        let tokens = tokens(|limits| limits.bytes_per_second_per_token = 1_000);
        let start = Instant::now();
        tokens.begin("a", start).unwrap();
        tokens.count("a", 12_000, start);
        let (refusal, pause) = tokens.begin("a", start).unwrap_err();
        assert_eq!(refusal, Refusal::TokenBytes);
        assert_eq!(pause, Duration::from_secs(10));
        tokens.begin("b", start).unwrap();
        tokens
            .begin("a", start + Duration::from_secs(9))
            .unwrap_err();
        tokens.begin("a", start + Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn tokens_that_do_nothing_are_forgotten() {
        let tokens = tokens(|_| ());
        let start = Instant::now();
        let kept = tokens.begin("kept", start).unwrap();
        for number in 0..3 * MOST_TOKENS {
            let now = start + Duration::from_millis(number as u64);
            tokens.begin(&number.to_string(), now).unwrap();
        }
        let state = tokens.state.lock();
        assert!(state.tokens.len() <= MOST_TOKENS, "{}", state.tokens.len());
        assert_eq!(state.tokens["kept"].requests, 1);
        drop(state);
        drop(kept);
    }

    proptest! {
        #[test]
        fn whatever_happens_the_counts_are_those_of_the_places(
            steps in prop::collection::vec((any::<bool>(), 0..20_usize, 0..4_u8), 0..300),
        ) {
            let tokens = tokens(|limits| {
                limits.requests = 32;
                limits.requests_reserved = 8;
                limits.requests_per_token = 14;
            });
            let mut places: Vec<Place> = Vec::new();
            for (begins, which, name) in steps {
                match begins {
                    true => places.extend(tokens.begin(&name.to_string(), Instant::now()).ok()),
                    false => if which < places.len() {
                        places.swap_remove(which);
                    },
                }
                let state = tokens.state.lock();
                prop_assert_eq!(state.requests, places.len());
                let counted: usize = state.tokens.values().map(|token| token.requests).sum();
                prop_assert_eq!(counted, places.len());
                prop_assert!(state.tokens.values().all(|token| token.requests <= 14));
            }
        }
    }
}
