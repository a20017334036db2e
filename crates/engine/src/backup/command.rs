//! A source that is a command: what it prints becomes one file.
//!
//! A command that fails fails the source, however much it printed: half a database dump that
//! looks like a whole one is worse than none. Its last words go into the report.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use jiff::Timestamp;
use rustix::process::{getgid, getuid};
use strongroom_model::command_line::CommandLine;
use strongroom_repo::Node;
use strongroom_repo::node::{GoMode, NodeKind, NodeTime};

use crate::backup::archive::Archive;
use crate::backup::content::FileNode;
use crate::backup::folder::{FolderState, Slot};
use crate::backup::worker::Worker;
use crate::child::{LAST_WORDS_WAIT, end_group, keep_end};
use crate::{Error, Result};

/// What a running command is, until its output was read.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    last_words: Receiver<Vec<u8>>,
    source_name: String,
    program: String,
}

/// Starts a command.
///
/// # Errors
/// [`Error::Source`] where it cannot be started.
pub(crate) fn start(source_name: &str, command: &CommandLine) -> Result<Running> {
    let mut child = Command::new(command.program())
        .args(command.arguments())
        // What opens the repository is none of its business.
        .env_remove("STRONGROOM_PASSWORD")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that all it has started can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| Error::Source {
            source_name: source_name.to_owned(),
            reason: format!("{} cannot be started: {error}", command.program()),
        })?;
    let (said, last_words) = channel();
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || said.send(read_end(stderr)));
    }
    Ok(Running {
        child,
        last_words,
        source_name: source_name.to_owned(),
        program: command.program().to_owned(),
    })
}

impl Running {
    /// Waits for the end of the command.
    ///
    /// # Errors
    /// [`Error::Source`] where it did not end well.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self
            .child
            .wait()
            .map_err(Error::local("wait for a command"))?;
        // Somebody it left behind may keep the other end open: that is not waited for.
        let last_words = self.last_words.recv_timeout(LAST_WORDS_WAIT);
        let last_words = last_words.unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let last_words = String::from_utf8_lossy(&last_words);
        let last_words = last_words.trim();
        let said = if last_words.is_empty() {
            "nothing"
        } else {
            last_words
        };
        Err(Error::Source {
            source_name: self.source_name,
            reason: format!("{} ended with {status} and said: {said}", self.program),
        })
    }

    /// Ends a command whose output is not wanted any more.
    pub(crate) fn kill(mut self) {
        if !end_group(&self.child) {
            tracing::warn!(program = self.program, "A command could not be ended");
        }
        // Its status does not matter any more, but it must not stay a zombie.
        let _: std::io::Result<_> = self.child.wait();
    }
}

impl Worker<'_, '_> {
    /// Stores the output of a command as the one file of a snapshot.
    ///
    /// # Errors
    /// As [`Worker::save_blob`], and where the output cannot be read.
    pub(crate) fn save_output(
        &mut self,
        running: &mut Running,
        file_name: &str,
        now: Timestamp,
        root: Arc<FolderState>,
    ) -> Result<()> {
        let Some(output) = running.child.stdout.take() else {
            return Err(Error::Interrupted);
        };
        root.list(vec![None], 1, true);
        let slot = Slot {
            folder: Arc::clone(&root),
            number: 0,
        };
        let node = node_of(file_name, now, self.archive);
        self.stats.files_new += 1;
        self.stats.files_read += 1;
        let inode = None;
        let read = self.save_stream(&output, FileNode { slot, node, inode })?;
        read.map_err(Error::local(format!(
            "read the output of {}",
            running.program
        )))?;
        self.release(root)
    }
}

fn node_of(file_name: &str, now: Timestamp, archive: &Archive<'_>) -> Node {
    let mut node = Node::new(file_name.as_bytes(), NodeKind::File);
    let time = NodeTime::utc(now.as_second(), now.subsec_nanosecond().unsigned_abs());
    node.mode = GoMode(0o600);
    (node.mtime, node.atime, node.ctime) = (time, time, time);
    (node.uid, node.gid) = (getuid().as_raw(), getgid().as_raw());
    node.user = archive.names.user(node.uid);
    node.group = archive.names.group(node.gid);
    node
}

/// Reads a stream to its end and keeps its last bytes.
fn read_end(mut stream: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        keep_end(&mut kept, buffer.get(..read).unwrap_or_default());
    }
    kept
}
