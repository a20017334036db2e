//! A vault in a folder of its own, whose clocks a test moves.
//!
//! It lies in a file of SQLite and a folder, unless the test runs within [`within`] another pair of
//! database and storage.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_store::local::LocalBodies;
use strongroom_store::{Bodies, BodyKey};
use strongroom_testkit::FaultyBodies;
use strongroom_vault::database::migrations::migrate;
use strongroom_vault::database::sqlite::Sqlite;
use strongroom_vault::database::{Database, Transaction};
use strongroom_vault::people::Who;
use strongroom_vault::records::SCHEMA;
use strongroom_vault::records::leaves;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, Reading, SECOND_MS};
use strongroom_vault::rules::purge::{Keeping, Tombstones};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::{NewToken, Overview, PURGE_SHARE, Principal, ReadClocks, Settings};
use strongroom_vault::{Result, Vault};
use tempfile::TempDir;

/// Where the clocks of every scene begin.
pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// Opens the database and the storage that belong to a scene's folder.
pub(crate) type Pair = Rc<dyn Fn(&Path) -> (Arc<dyn Database>, Arc<dyn Bodies>)>;

thread_local! {
    static PAIR: RefCell<Option<Pair>> = const { RefCell::new(None) };
}

/// Does a test whose scenes lie elsewhere, or makes such a scene.
pub(crate) fn within<T>(pair: &Pair, test: impl FnOnce() -> T) -> T {
    PAIR.set(Some(Rc::clone(pair)));
    let made = test();
    PAIR.set(None);
    made
}

/// The database alone that belongs to a folder, of the pair that the test runs within.
pub(crate) fn database_of(folder: &Path) -> Arc<dyn Database> {
    match PAIR.with_borrow(Clone::clone) {
        Some(pair) => pair(folder).0,
        None => Arc::new(Sqlite::open(&folder.join("vault.db")).unwrap()),
    }
}

/// A file of SQLite, and whatever storage.
pub(crate) fn on_sqlite(bodies: impl Fn(&Path) -> Arc<dyn Bodies> + 'static) -> Pair {
    Rc::new(
        move |folder: &Path| -> (Arc<dyn Database>, Arc<dyn Bodies>) {
            let database = Sqlite::open(&folder.join("vault.db")).unwrap();
            (Arc::new(database), bodies(folder))
        },
    )
}

/// What `open` makes of a file of SQLite, and a folder.
pub(crate) fn over_sqlite(open: impl Fn(Sqlite) -> Arc<dyn Database> + 'static) -> Pair {
    Rc::new(
        move |folder: &Path| -> (Arc<dyn Database>, Arc<dyn Bodies>) {
            let database = Sqlite::open(&folder.join("vault.db")).unwrap();
            (open(database), local_bodies(folder))
        },
    )
}

/// A folder's own bodies.
pub(crate) fn local_bodies(folder: &Path) -> Arc<dyn Bodies> {
    let bodies = LocalBodies::new(folder.join("repositories"));
    bodies.create().unwrap();
    Arc::new(bodies)
}

/// A scene whose storage fails as it is told, and what tells it.
pub(crate) fn faulty() -> (Scene, Arc<FaultyBodies<LocalBodies>>) {
    let made: Rc<RefCell<Option<Arc<FaultyBodies<LocalBodies>>>>> = Rc::default();
    let of_scene = Rc::clone(&made);
    let pair = on_sqlite(move |folder| {
        let local = LocalBodies::new(folder.join("repositories"));
        local.create().unwrap();
        let bodies = Arc::new(FaultyBodies::new(local));
        *of_scene.borrow_mut() = Some(Arc::clone(&bodies));
        bodies
    });
    let scene = within(&pair, Scene::new);
    let bodies = made.borrow().clone();
    (scene, bodies.unwrap())
}

/// A vault and its clocks.
pub(crate) struct Scene {
    pub(crate) vault: Vault,
    bodies: Arc<dyn Bodies>,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) clocks: Arc<Mutex<Reading>>,
    pub(crate) settings: Settings,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            origin: "vault.test/log".to_owned(),
            keeping: Keeping {
                retention_ms: 3 * HOUR_MS,
                grace_ms: 3 * HOUR_MS,
            },
            reserve_bytes: 0,
            object_limit_bytes: 64 << 20,
            // Nothing is to fail because a machine is slow.
            receipt_wait: Duration::from_secs(60),
            purge_share: PURGE_SHARE,
        };
        change(&mut settings);
        let clocks = Arc::new(Mutex::new(Reading {
            boot: "one".to_owned(),
            boottime_ms: 0,
            wall_ms: START_MS,
        }));
        let folder = Arc::new(TempDir::new().unwrap());
        Self::open(folder, clocks, settings)
    }

    pub(crate) fn open(
        folder: Arc<TempDir>,
        clocks: Arc<Mutex<Reading>>,
        settings: Settings,
    ) -> Self {
        let (database, bodies): (Arc<dyn Database>, Arc<dyn Bodies>) =
            match PAIR.with_borrow(Clone::clone) {
                Some(pair) => pair(folder.path()),
                None => {
                    let database = Sqlite::open(&folder.path().join("vault.db")).unwrap();
                    (Arc::new(database), local_bodies(folder.path()))
                }
            };
        migrate(&*database, SCHEMA).unwrap();
        let shared = Arc::clone(&clocks);
        let read_clocks = ReadClocks::new(move || shared.lock().clone());
        let storage = Arc::clone(&bodies);
        let vault = Vault::open(database, storage, settings.clone(), read_clocks).unwrap();
        Self {
            vault,
            bodies,
            folder,
            clocks,
            settings,
        }
    }

    /// Another process of the same vault, on another machine.
    pub(crate) fn beside(&self) -> Self {
        let clocks = Reading {
            boot: "another".to_owned(),
            boottime_ms: 7 * HOUR_MS,
            wall_ms: self.clocks.lock().wall_ms,
        };
        let clocks = Arc::new(Mutex::new(clocks));
        Self::open(Arc::clone(&self.folder), clocks, self.settings.clone())
    }

    /// The same vault, opened anew as by another process after this one has stopped.
    pub(crate) fn reopened(self) -> Self {
        let Self {
            vault,
            folder,
            clocks,
            settings,
            ..
        } = self;
        vault.release_leases().unwrap();
        drop(vault);
        Self::open(folder, clocks, settings)
    }

    /// Lets time pass while the vault runs.
    pub(crate) fn pass(&self, ms: i64) {
        let step_ms = 50 * SECOND_MS;
        let mut left_ms = ms;
        while left_ms > 0 {
            let now_ms = left_ms.min(step_ms);
            {
                let mut clocks = self.clocks.lock();
                clocks.boottime_ms += now_ms;
                clocks.wall_ms += now_ms;
            }
            self.vault.tick().unwrap();
            left_ms -= now_ms;
        }
    }

    pub(crate) fn token(&self, right: Right) -> Principal {
        self.token_for(right, "acme")
    }

    pub(crate) fn token_for(&self, right: Right, prefix: &str) -> Principal {
        self.admit(&NewToken {
            prefix: prefix.parse().unwrap(),
            ..new_token(right)
        })
    }

    /// Makes a token, and uses it.
    pub(crate) fn admit(&self, new: &NewToken) -> Principal {
        let text = self.vault.create_token(Who::Folder, new).unwrap();
        self.vault.authenticate(text.reveal()).unwrap()
    }

    pub(crate) fn put(&self, who: &Principal, kind: FileType, content: &[u8]) -> Result<FileName> {
        let name = FileName::new(kind, Id::of(content));
        self.put_as(who, name, content)?;
        Ok(name)
    }

    pub(crate) fn put_as(&self, who: &Principal, name: FileName, content: &[u8]) -> Result<()> {
        let length_bytes = Some(content.len() as u64);
        let mut upload = self
            .vault
            .begin_put(who, &repository(), name, length_bytes)?;
        for step in content.chunks(100) {
            upload.write(step)?;
        }
        upload.finish()
    }

    /// Puts so many packs of so many bytes each, no two of which are the same.
    pub(crate) fn put_packs(&self, who: &Principal, count: u8, bytes: usize) -> Vec<FileName> {
        (0..count)
            .map(|number| self.put(who, FileType::Data, &vec![number; bytes]).unwrap())
            .collect()
    }

    pub(crate) fn read(&self, who: &Principal, view: View, name: FileName) -> Result<Vec<u8>> {
        let file = self.vault.find(who, &repository(), view, name)?;
        let (size_bytes, mut content) = (file.size_bytes(), Vec::new());
        file.open(None)?.read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, size_bytes);
        Ok(content)
    }

    pub(crate) fn list(&self, who: &Principal, view: View, kind: FileType) -> Vec<FileName> {
        let mut names = Vec::new();
        self.vault
            .list(who, &repository(), view, kind, &mut |entry| {
                names.push(FileName::new(kind, entry.id));
                Ok(())
            })
            .unwrap();
        names
    }

    /// The leaves of an act that are not yet in a full bundle of files.
    pub(crate) fn acts(&self, act: &str) -> Vec<serde_json::Value> {
        let read = self.vault.database().look(|transaction| {
            let mut found = Vec::new();
            leaves::entries(transaction, 0, 1 << 40, &mut |_, entry| {
                found.push(serde_json::from_slice(&entry).unwrap());
                Ok(())
            })?;
            Ok(found)
        });
        let mut found = read.unwrap();
        found.retain(|leaf: &serde_json::Value| leaf["act"] == act);
        found
    }

    /// Where the bytes of a file lie, in a folder.
    pub(crate) fn body(&self, name: FileName) -> PathBuf {
        let folder = self.folder.path().join("repositories/acme/repos");
        match name.id() {
            None => folder.join("config"),
            Some(id) if name.kind() == FileType::Data => {
                let id = id.to_string();
                folder.join("data").join(&id[..2]).join(&id)
            }
            Some(id) => folder.join(name.kind().folder()).join(id.to_string()),
        }
    }

    /// The bytes of a file as they lie in whatever storage, also wrong ones; none where there are
    /// none.
    pub(crate) fn lies(&self, name: FileName) -> Option<Vec<u8>> {
        let (_, mut content) = match self.bodies.open(&first_body(name), None) {
            Err(strongroom_store::Error::NotFound { .. }) => return None,
            found => found.unwrap(),
        };
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    /// Lays bytes where those of a file lie, behind the vault's back.
    pub(crate) fn lay(&self, name: FileName, bytes: &[u8]) {
        let mut staged = self.bodies.stage(&first_body(name)).unwrap();
        staged.write(bytes).unwrap();
        staged.publish().unwrap();
    }

    /// Loses the bytes of a file.
    pub(crate) fn lose(&self, name: FileName) {
        self.bodies.remove(&first_body(name)).unwrap();
    }

    /// Damages the bytes of a file as a disk does.
    pub(crate) fn damage(&self, name: FileName, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.lies(name).unwrap();
        change(&mut bytes);
        self.lay(name, &bytes);
    }

    /// Changes the database behind the vault's back.
    pub(crate) fn execute(&self, statement: &str) {
        let mut work =
            |transaction: &mut dyn Transaction| transaction.execute(statement, &[]).map(drop);
        self.vault.database().write(&mut work).unwrap();
    }

    /// Agrees to the purge of whatever there is by now, as somebody does who has looked at it.
    pub(crate) fn agree(&self) -> Result<bool> {
        self.vault
            .agree_to_purge(Who::Folder, &repository(), self.tombstones())
    }

    /// What somebody sees who looks at the tombstones.
    pub(crate) fn tombstones(&self) -> Tombstones {
        let overviews = self.vault.overviews().unwrap();
        let is_it = |overview: &&Overview| overview.repository.path == repository();
        overviews.iter().find(is_it).unwrap().tombstones
    }

    /// A repository as restic makes one: created, a key, a config.
    pub(crate) fn init(&self, who: &Principal) -> FileName {
        self.vault.create(who, &repository()).unwrap();
        let key = self.put(who, FileType::Keys, &key_file(1)).unwrap();
        self.put_as(who, FileName::CONFIG, b"the config").unwrap();
        key
    }
}

/// The body of a file that was never purged.
fn first_body(name: FileName) -> BodyKey {
    BodyKey {
        repository: repository(),
        name,
        generation: 1,
    }
}

/// How many files there are below a folder.
pub(crate) fn files_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let count = |path: PathBuf| match path.is_dir() {
        true => files_in(&path),
        false => 1,
    };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}

/// A token for one repository, without an end and without bounds of its own.
pub(crate) fn new_token(right: Right) -> NewToken {
    NewToken {
        right,
        prefix: repository(),
        expires_in_ms: None,
        daily_bytes: None,
        daily_objects: None,
    }
}

pub(crate) fn repository() -> RepositoryPath {
    "acme/repos".parse().unwrap()
}

/// The content of a key file, different for each number.
pub(crate) fn key_file(number: u8) -> Vec<u8> {
    let data = data_encoding::BASE64.encode(&[number; 150]);
    let salt = data_encoding::BASE64.encode(&[number; 64]);
    format!(
        r#"{{"hostname":"h","username":"u","kdf":"scrypt","N":32768,"r":8,"p":4,"created":"2026-11-20T10:00:00Z","data":"{data}","salt":"{salt}"}}"#
    )
    .into_bytes()
}
