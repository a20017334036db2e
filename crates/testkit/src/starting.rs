//! Waiting for a server that says on its standard error when it serves.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long it may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Reads what a server says until `find` finds in a line what is waited for. One that never says so
/// is ended, and with it the test.
pub(crate) fn wait_for_line<T>(
    server: &mut Child,
    name: &str,
    find: impl Fn(&str) -> Option<T>,
) -> T {
    let stderr = BufReader::new(server.stderr.take().expect("stderr is piped"));
    let (send, lines) = mpsc::channel();
    // Goes on reading to the end, so that the server never blocks on a full pipe.
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let mut said = String::new();
    loop {
        let Ok(line) = lines.recv_timeout(START_LIMIT) else {
            let _ = server.kill();
            let _ = server.wait();
            panic!("{name} did not start to serve; it said: {said}");
        };
        if let Some(found) = find(&line) {
            return found;
        }
        said.push_str(&line);
    }
}
