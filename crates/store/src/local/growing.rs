//! A file that grows in a folder under a passing name.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use strongroom_model::FileName;

use crate::local::LocalStore;
use crate::local::folder::{self, Modes, Place};
use crate::local::temporary::Temporary;
use crate::pulse::Pulse;
use crate::{Growing, Result};

/// A file that is not whole yet.
pub(super) struct NewFile<'s> {
    store: &'s LocalStore,
    name: FileName,
    base: String,
    folder: Arc<OwnedFd>,
    file: Temporary<Arc<OwnedFd>>,
    pulse: Pulse,
}

impl<'s> NewFile<'s> {
    /// Begins an empty one beside where it will lie.
    pub(super) fn begin(store: &'s LocalStore, name: FileName) -> Result<Self> {
        let place = Place::of(name);
        let folder = Arc::new(store.folder_for(name, &place)?);
        let mode = Modes::of(&store.path).file;
        let file = Temporary::create(Arc::clone(&folder), mode)
            .map_err(|errno| store.fault(format_args!("write {name}"), errno))?;
        Ok(Self {
            store,
            name,
            base: place.base,
            folder,
            file,
            pulse: store.pulse_of(name.kind()),
        })
    }
}

impl Growing for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write(bytes);
        self.pulse.beat();
        let name = self.name;
        written.map_err(|errno| self.store.fault(format_args!("write {name}"), errno))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self {
            store,
            name,
            base,
            folder,
            file,
            ..
        } = *self;
        file.publish_over(&folder, &base)
            .and_then(|()| folder::sync(&folder))
            .map_err(|errno| store.fault(format_args!("write {name}"), errno))
    }
}
