//! Reading back what was restored, after it was written to disk, and comparing it with the
//! snapshot blob by blob.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::blob::BlobId;

use crate::Result;
use crate::restore::folder::OpenFolder;
use crate::restore::report::Tally;
use crate::restore::worker::Worker;
use crate::session::chain;

/// What comes of reading a file back: its length, or what is wrong with it.
type Compared = std::result::Result<u64, String>;

impl Worker<'_, '_> {
    /// Reads a file back, unless it is known that it was not restored.
    pub(super) fn read_back(&mut self, folder: &Arc<OpenFolder>, node: &Node) -> Result<()> {
        let shared = self.shared;
        shared.cancel.check()?;
        let path = folder.path_of(&node.name);
        if shared.tally.has_failed(&path) {
            return Ok(());
        }
        let opened = folder
            .existing()
            .and_then(|target| target.open_file(&node.name));
        let compared = match opened {
            Ok(file) => self.compare(file, node)?,
            Err(error) => Err(chain(&error)),
        };
        match compared {
            Ok(bytes) => {
                Tally::add(&shared.tally.files, 1);
                Tally::add(&shared.tally.bytes, bytes);
                shared.progress.add_files(1);
            }
            Err(reason) => self.note(&path, reason),
        }
        Ok(())
    }

    fn compare(&mut self, mut file: File, node: &Node) -> Result<Compared> {
        let failed = |error: std::io::Error| Ok(Err(format!("It cannot be read back: {error}")));
        let mut offset = 0;
        for id in node.content.as_deref().unwrap_or_default() {
            self.shared.cancel.check()?;
            let blob = BlobId::data(*id);
            let length = self.shared.set.length_bytes(blob)?;
            self.buffer.clear();
            let read = (&mut file).take(length).read_to_end(&mut self.buffer);
            match read {
                Ok(_) if Id::of(&self.buffer) == *id => offset += length,
                Ok(_) => return Ok(Err(differs_from(offset))),
                Err(error) => return failed(error),
            }
            self.shared.progress.add_bytes(length);
        }
        match file.read(&mut [0]) {
            Ok(0) => Ok(Ok(offset)),
            Ok(_) => Ok(Err(differs_from(offset))),
            Err(error) => failed(error),
        }
    }
}

fn differs_from(offset: u64) -> String {
    format!("What was read back differs from the snapshot from byte {offset} on")
}
