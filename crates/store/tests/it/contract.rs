//! One contract for all stores: local folder, memory, and REST through a real rclone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_model::FileName;
use strongroom_store::patient::HANG_LIMIT;
use strongroom_store::{LocalStore, PatientStore, RestOptions, RestStore, Store};
use strongroom_testkit::contract::Subject;
use strongroom_testkit::{FaultyStore, MemoryStore, RcloneServer, RecordingStore};
use tempfile::TempDir;

/// Where restic's layout puts a file.
pub(crate) fn path_of(root: &Path, name: FileName) -> PathBuf {
    let Some(id) = name.id().map(|id| id.to_string()) else {
        return root.join("config");
    };
    match name.kind() {
        strongroom_model::FileType::Data => root.join("data").join(&id[..2]).join(id),
        kind => root.join(kind.folder()).join(id),
    }
}

fn plant(root: &Path, name: FileName, bytes: &[u8]) {
    fs::write(path_of(root, name), bytes).unwrap();
}

struct Local {
    folder: TempDir,
    store: LocalStore,
}

impl Local {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = LocalStore::new(folder.path());
        store.create().unwrap();
        Self { folder, store }
    }
}

impl Subject for Local {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn plant(&self, name: FileName, bytes: &[u8]) {
        plant(self.folder.path(), name, bytes);
    }
}

/// A local folder as the program uses it.
struct Patient {
    folder: TempDir,
    store: PatientStore,
}

impl Patient {
    fn new() -> Self {
        let Local { folder, store } = Local::new();
        let pulse = store.pulse();
        let store = PatientStore::new(Arc::new(store), pulse, HANG_LIMIT);
        Self { folder, store }
    }
}

impl Subject for Patient {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn plant(&self, name: FileName, bytes: &[u8]) {
        plant(self.folder.path(), name, bytes);
    }
}

struct Memory(MemoryStore);

impl Subject for Memory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn plant(&self, name: FileName, bytes: &[u8]) {
        self.0.put(name, bytes);
    }
}

/// What testkit wraps around a store must not change what it does.
struct Wrapped(RecordingStore<FaultyStore<MemoryStore>>);

impl Subject for Wrapped {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn plant(&self, name: FileName, bytes: &[u8]) {
        self.0.inner().inner().put(name, bytes);
    }
}

struct Rest {
    // Fields are dropped in this order: the server ends before its folder.
    store: RestStore,
    server: RcloneServer,
    _folder: TempDir,
}

impl Rest {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = RcloneServer::start(folder.path(), &["--user", "u", "--pass", "p@ss"]);
        let url = server.url().replace("http://", "http://u:p%40ss@");
        let store = RestStore::new(RestOptions::new(url.parse().unwrap())).unwrap();
        store.create().unwrap();
        Self {
            store,
            server,
            _folder: folder,
        }
    }
}

impl Subject for Rest {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn plant(&self, name: FileName, bytes: &[u8]) {
        let path = path_of(self.server.folder(), name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn keeps_records(&self) -> bool {
        false
    }
}

mod local_store {
    use super::*;
    strongroom_testkit::store_contract!(atomic Local::new());
}

mod patient_store {
    use super::*;
    strongroom_testkit::store_contract!(atomic Patient::new());
}

mod memory_store {
    use super::*;
    strongroom_testkit::store_contract!(atomic Memory(MemoryStore::new("m")));
}

mod wrapped_store {
    use super::*;
    strongroom_testkit::store_contract!(atomic Wrapped(RecordingStore::new(FaultyStore::new(
        MemoryStore::new("m")
    ))));
}

mod rest_store {
    use super::*;
    strongroom_testkit::store_contract!(Rest::new());
}
