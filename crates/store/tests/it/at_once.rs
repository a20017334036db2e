//! How many requests a store of a bucket has in flight: one for each thread that asks, so that who
//! asks decides how many there are.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{S3Store, Store};

use crate::s3;
use crate::server::{Request, Server, Then, reply};

/// As many as the engine ever has.
const AT_ONCE: usize = 48;

/// How long is waited for all of them.
const PATIENCE: Duration = Duration::from_secs(20);

const BYTES: &[u8] = b"bytes";

/// Who counts requests, and answers none until there are as many as there should be.
#[derive(Default)]
struct Counter {
    count: Mutex<Count>,
    came: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    in_flight: usize,
    most: usize,
}

impl Counter {
    fn answer(&self, request: &Request, stream: &mut TcpStream) -> Then {
        let mut count = self.count.lock();
        count.in_flight += 1;
        count.most = count.most.max(count.in_flight);
        self.came.notify_all();
        let too_few = |count: &mut Count| count.most < AT_ONCE;
        let waited = self.came.wait_while_for(&mut count, too_few, PATIENCE);
        // Whoever has its answer may ask the next thing before this thread goes on.
        count.in_flight -= 1;
        drop(count);
        match waited.timed_out() {
            true => Then::Close,
            false => reply(stream, request, "200 OK", BYTES),
        }
    }
}

#[test]
fn as_many_requests_are_in_flight_as_there_are_threads_that_ask_and_no_more() {
    let counter = Arc::new(Counter::default());
    let server = Server::start({
        let counter = Arc::clone(&counter);
        move |_, request, stream| counter.answer(request, stream)
    });
    let store = S3Store::new(s3::options_of_nobody(&server.endpoint()), None).unwrap();
    let name = FileName::new(FileType::Data, Id::of(BYTES));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(store.read(name).unwrap(), BYTES);
                }
            });
        }
    });
    assert_eq!(counter.count.lock().most, AT_ONCE);
    assert_eq!(server.requests().len(), 3 * AT_ONCE);
    // Connections are used again.
    assert!(server.connections() < 3 * AT_ONCE);
}
