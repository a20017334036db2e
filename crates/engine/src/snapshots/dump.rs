//! One file of a snapshot, as a stream.
//!
//! Several blobs are fetched at a time, since a copy behind a network answers each only after a
//! while; each thread is at most two blobs ahead of the writer, which bounds the memory.

use std::io::Write;
use std::sync::mpsc::sync_channel;

use strongroom_repo::Node;
use strongroom_repo::blob::BlobId;
use strongroom_repo::node::NodeKind;

use crate::read_set::ReadSet;
use crate::{Error, Result};

/// How many blobs are fetched at a time.
const READERS: usize = 4;

/// Writes the content of a file, and tells its length in bytes.
///
/// # Errors
/// [`Error::NotAFile`]; where a blob can be had from no copy, after what comes before it was
/// written; where writing fails.
pub fn dump(set: &ReadSet<'_>, node: &Node, out: &mut dyn Write) -> Result<u64> {
    if node.kind != NodeKind::File {
        return Err(Error::NotAFile {
            path: String::from_utf8_lossy(&node.name).into_owned(),
            kind: node.kind_text().to_owned(),
        });
    }
    let blobs = node.content.as_deref().unwrap_or_default();
    let readers = READERS.min(blobs.len());
    std::thread::scope(|scope| {
        // Reader k fetches blobs k, k + n, k + 2n …, and the writer asks them in turn.
        let queues: Vec<_> = (0..readers)
            .map(|first| {
                let (send, receive) = sync_channel(1);
                scope.spawn(move || {
                    for id in blobs.iter().skip(first).step_by(readers) {
                        let blob = set.read(BlobId::data(*id));
                        let failed = blob.is_err();
                        if send.send(blob).is_err() || failed {
                            break;
                        }
                    }
                });
                receive
            })
            .collect();
        let mut bytes = 0;
        for (queue, _) in queues.iter().cycle().zip(blobs) {
            let blob = queue.recv().unwrap_or(Err(Error::Interrupted))?;
            out.write_all(&blob)
                .map_err(Error::local("write the content of the file"))?;
            bytes += blob.len() as u64;
        }
        out.flush()
            .map_err(Error::local("write the content of the file"))?;
        Ok(bytes)
    })
}
