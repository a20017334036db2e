//! What one connection is doing, and since when: decides which of them has to be closed.
//!
//! One place decides for both versions of HTTP, because each hides something: a body that the
//! client does not take is simply never asked for, and a head that never ends is no request yet.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::http::limits::Limits;

/// Streams that a client may abandon beyond those that it lets finish.
const MOST_ABANDONED: u64 = 100;

/// How HTTP/2 begins, and no method of HTTP/1.
const HTTP2_BEGINS: &[u8] = b"PRI";

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head of a request takes too long, or is too large.
    Head,
    /// Nothing was asked for a long time.
    Idle,
    /// The client does not take its answer.
    Stalled,
    /// The client asks and goes away, again and again.
    Resets,
}

impl Overdue {
    /// The word for it in metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Head => "header_time",
            Self::Idle => "idle_time",
            Self::Stalled => "stall_time",
            Self::Resets => "resets",
        }
    }
}

/// What one connection is doing.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// Told when something is overdue that cannot wait for the next look.
    alarm: Notify,
}

#[derive(Debug)]
struct State {
    is_http2: bool,
    /// The first bytes, until it is known what they begin.
    beginning: Vec<u8>,
    requests: usize,
    /// When the last request ended, or the connection began.
    idle_since: Instant,
    /// When the first byte came since then.
    head_began: Option<Instant>,
    head_bytes: usize,
    next_answer: u64,
    answers: HashMap<u64, Answer>,
    /// Since when the client has not taken what was handed to the connection.
    unsent_since: Option<Instant>,
    abandoned: u64,
    finished: u64,
}

/// An answer that is being sent.
#[derive(Debug)]
struct Answer {
    began: Instant,
    moved: Instant,
    /// Since when the client waits for the server and not the server for the client.
    ours: Option<Instant>,
    bytes: u64,
}

impl Watch {
    /// A connection has begun; `is_http2` where the handshake has told so already.
    pub(super) fn new(is_http2: bool, now: Instant) -> Self {
        let state = State {
            is_http2,
            beginning: Vec::new(),
            requests: 0,
            idle_since: now,
            head_began: None,
            head_bytes: 0,
            next_answer: 0,
            answers: HashMap::new(),
            unsent_since: None,
            abandoned: 0,
            finished: 0,
        };
        Self {
            state: Mutex::new(state),
            alarm: Notify::new(),
        }
    }

    /// Waits for what cannot wait for the next look.
    pub(super) async fn alarmed(&self) {
        self.alarm.notified().await;
    }

    /// Bytes came; false where those before them were more than any head of a request. A single
    /// read may bring a head and much of the body behind it.
    pub(super) fn received(&self, bytes: &[u8], most_bytes: usize, now: Instant) -> bool {
        let mut state = self.state.lock();
        let missing = HTTP2_BEGINS.len().saturating_sub(state.beginning.len());
        state.beginning.extend(bytes.iter().take(missing));
        state.is_http2 |= state.beginning == HTTP2_BEGINS;
        if state.requests > 0 {
            return true;
        }
        state.head_began.get_or_insert(now);
        let before = state.head_bytes;
        state.head_bytes = before.saturating_add(bytes.len());
        // HTTP/2 has its own limits, and its bodies come before anybody was told of the request.
        state.is_http2 || before <= most_bytes
    }

    /// A request has begun.
    pub(super) fn begin(&self) {
        let mut state = self.state.lock();
        state.requests += 1;
        state.head_began = None;
        state.head_bytes = 0;
    }

    /// A request has ended; `is_finished` unless the client went away before its answer.
    pub(super) fn end(&self, is_finished: bool, now: Instant) {
        let mut state = self.state.lock();
        state.requests = state.requests.saturating_sub(1);
        state.idle_since = now;
        if is_finished {
            state.finished += 1;
        } else {
            state.abandoned += 1;
        }
        if state.floods() {
            self.alarm.notify_one();
        }
    }

    /// An answer begins; returns its number.
    pub(super) fn answer(&self, now: Instant) -> u64 {
        let mut state = self.state.lock();
        state.next_answer += 1;
        let number = state.next_answer;
        let answer = Answer {
            began: now,
            moved: now,
            ours: None,
            bytes: 0,
        };
        state.answers.insert(number, answer);
        number
    }

    /// The client has room for more of an answer, and there is none yet.
    pub(super) fn waits(&self, number: u64, now: Instant) {
        if let Some(answer) = self.state.lock().answers.get_mut(&number) {
            answer.ours.get_or_insert(now);
        }
    }

    /// The client has room for more of an answer, and was given so many bytes.
    pub(super) fn moved(&self, number: u64, bytes: u64, now: Instant) {
        if let Some(answer) = self.state.lock().answers.get_mut(&number) {
            if let Some(since) = answer.ours.take() {
                answer.began += now.saturating_duration_since(since);
            }
            answer.moved = now;
            answer.bytes += bytes;
        }
    }

    /// An answer was handed over as a whole, or given up.
    pub(super) fn answered(&self, number: u64) {
        self.state.lock().answers.remove(&number);
    }

    /// Bytes are to be sent; `is_taken` where the client takes some.
    pub(super) fn sending(&self, is_taken: bool, now: Instant) {
        let mut state = self.state.lock();
        let since = state.unsent_since.get_or_insert(now);
        if is_taken {
            *since = now;
        }
    }

    /// All bytes were sent.
    pub(super) fn sent(&self) {
        self.state.lock().unsent_since = None;
    }

    /// Whether requests are under way, or the end of an answer is.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state.lock();
        state.requests > 0 || state.unsent_since.is_some()
    }

    /// Why the connection has to be closed now, if it has to.
    pub(super) fn overdue(&self, limits: &Limits, now: Instant) -> Option<Overdue> {
        let state = self.state.lock();
        let since = |then: Instant| now.saturating_duration_since(then);
        let is_slow = |answer: &Answer| {
            answer.ours.is_none()
                && limits.is_too_slow(since(answer.began), since(answer.moved), answer.bytes)
        };
        if state.floods() {
            return Some(Overdue::Resets);
        }
        let unsent = state.unsent_since.map_or(Duration::ZERO, since);
        if unsent >= limits.stall_time || state.answers.values().any(is_slow) {
            return Some(Overdue::Stalled);
        }
        if state.requests > 0 {
            return None;
        }
        let is_new = state.finished + state.abandoned == 0;
        let head = state.head_began.map_or(Duration::ZERO, since);
        if head >= limits.header_time && (is_new || !state.is_http2) {
            return Some(Overdue::Head);
        }
        (since(state.idle_since) >= limits.idle_time).then_some(Overdue::Idle)
    }
}

impl State {
    fn floods(&self) -> bool {
        self.abandoned > self.finished + MOST_ABANDONED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HEAD_BYTES: usize = 1000;

    fn overdue(watch: &Watch, now: Instant) -> Option<Overdue> {
        watch.overdue(&Limits::default(), now)
    }

    #[test]
    fn a_head_that_does_not_end_is_overdue_however_it_trickles() {
        let start = Instant::now();
        let watch = Watch::new(false, start);
        for second in 5..15 {
            assert!(watch.received(b"G", HEAD_BYTES, start + SECOND * second));
            assert_eq!(overdue(&watch, start + SECOND * second), None);
        }
        assert_eq!(overdue(&watch, start + SECOND * 15), Some(Overdue::Head));
        watch.begin();
        assert_eq!(overdue(&watch, start + SECOND * 15), None);
    }

    #[test]
    fn a_head_that_does_not_end_is_cut_off_and_a_body_is_not() {
        let start = Instant::now();
        let watch = Watch::new(false, start);
        assert!(watch.received(&[b'x'; HEAD_BYTES], HEAD_BYTES, start));
        assert!(watch.received(&[b'x'; HEAD_BYTES], HEAD_BYTES, start));
        assert!(!watch.received(b"x", HEAD_BYTES, start));
        let watch = Watch::new(false, start);
        watch.begin();
        assert!(watch.received(&[b'x'; 10 * HEAD_BYTES], HEAD_BYTES, start));
    }

    #[test]
    fn http2_is_told_from_http1_even_where_it_comes_byte_by_byte() {
        let start = Instant::now();
        for (text, is_http2) in [("PRI * HTTP/2.0", true), ("PUT / HTTP/1.1", false)] {
            let watch = Watch::new(false, start);
            for byte in text.bytes() {
                watch.received(&[byte], HEAD_BYTES, start);
            }
            assert_eq!(watch.state.lock().is_http2, is_http2);
        }
    }

    #[test]
    fn an_idle_connection_is_overdue_after_its_last_request() {
        let start = Instant::now();
        let watch = Watch::new(false, start);
        watch.begin();
        assert_eq!(overdue(&watch, start + SECOND * 1000), None);
        watch.end(true, start + SECOND * 1000);
        assert_eq!(overdue(&watch, start + SECOND * 1119), None);
        assert_eq!(overdue(&watch, start + SECOND * 1120), Some(Overdue::Idle));
    }

    #[test]
    fn an_answer_that_is_not_taken_is_overdue() {
        let start = Instant::now();
        let watch = Watch::new(true, start);
        watch.begin();
        let number = watch.answer(start);
        watch.moved(number, 1 << 20, start + SECOND * 20);
        assert_eq!(overdue(&watch, start + SECOND * 49), None);
        assert_eq!(overdue(&watch, start + SECOND * 50), Some(Overdue::Stalled));
        watch.answered(number);
        assert_eq!(overdue(&watch, start + SECOND * 50), None);
    }

    #[test]
    fn the_end_of_an_answer_is_work_and_is_overdue_where_it_is_not_taken() {
        let start = Instant::now();
        let watch = Watch::new(false, start);
        assert!(!watch.is_busy());
        watch.sending(false, start);
        watch.sending(true, start + SECOND * 20);
        watch.sending(false, start + SECOND * 40);
        assert!(watch.is_busy());
        assert_eq!(overdue(&watch, start + SECOND * 49), None);
        assert_eq!(overdue(&watch, start + SECOND * 50), Some(Overdue::Stalled));
        watch.sent();
        assert_eq!(overdue(&watch, start + SECOND * 50), None);
        assert!(!watch.is_busy());
    }

    #[test]
    fn the_client_is_not_blamed_for_what_the_server_takes() {
        let start = Instant::now();
        let watch = Watch::new(true, start);
        watch.begin();
        let number = watch.answer(start);
        watch.waits(number, start);
        assert_eq!(overdue(&watch, start + SECOND * 5000), None);
        watch.moved(number, 1, start + SECOND * 5000);
        assert_eq!(overdue(&watch, start + SECOND * 5029), None);
        assert_eq!(
            overdue(&watch, start + SECOND * 5030),
            Some(Overdue::Stalled)
        );
    }

    #[test]
    fn who_asks_and_goes_away_again_and_again_is_cut_off() {
        let start = Instant::now();
        let watch = Watch::new(true, start);
        for _ in 0..=MOST_ABANDONED {
            assert_eq!(overdue(&watch, start), None);
            watch.begin();
            watch.end(false, start);
        }
        assert_eq!(overdue(&watch, start), Some(Overdue::Resets));
    }
}
