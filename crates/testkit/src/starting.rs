//! Starting a server that is to end with the test, and waiting until it says that it serves.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long it may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Starts a program, of which one stream is piped, and passes on the lines of that.
///
/// Where `setpriv --pdeathsig` starts it, it ends with the thread that started it. That is one which
/// lives until the program has ended: it dies with the test, however that dies, and not before.
pub(crate) fn start(mut command: Command) -> (Child, Receiver<String>) {
    let (send_child, children) = mpsc::channel();
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let started = command.spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().map(|stream| Box::new(stream) as _);
        let stderr = child.stderr.take().map(|stream| Box::new(stream) as _);
        let piped: Box<dyn Read> = stdout.or(stderr).expect("one of them is piped");
        let _ = send_child.send(child);
        // Goes on reading to the end, so that the program never blocks on a full pipe.
        for line in BufReader::new(piped).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    (children.recv().expect("it can be started"), lines)
}

/// Reads what a server says on its standard error until `find` finds in a line what is waited for.
/// One that never says so is ended, and with it the test.
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
    wait_for(server, &lines, name, find)
}

/// The same for the lines of a program that [`start`] has started.
pub(crate) fn wait_for<T>(
    server: &mut Child,
    lines: &Receiver<String>,
    name: &str,
    find: impl Fn(&str) -> Option<T>,
) -> T {
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
