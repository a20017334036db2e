//! The vault that is asked, on a real database and a real folder that fail as a test says. The
//! database is SQLite, unless the test runs within another pair.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, RepositoryPath};
use strongroom_store::local::LocalBodies;
use strongroom_testkit::{Fault, FaultyBodies, Op, Rule};
use strongroom_vault::database::migrations::migrate;
use strongroom_vault::people;
use strongroom_vault::publication::{LogFolder, Publisher};
use strongroom_vault::records::SCHEMA;
use strongroom_vault::records::leaves;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, Reading};
use strongroom_vault::rules::purge::Keeping;
use strongroom_vault::vault::{
    NewToken, PURGE_SHARE, Principal, RECEIPT_WAIT, ReadClocks, Scrubbed, Settings,
};
use strongroom_vault::{Error, Result, Vault};
use tempfile::TempDir;

use crate::signing::accept;
use crate::vault::model::acts::{Crash, REPOSITORIES, Sent, Who, file};
use crate::vault::model::cut::CutDatabase;
use crate::vault::model::expected::{Outcome, Reply};
use crate::vault::scene::database_of;

/// What the log is called.
pub(super) const ORIGIN: &str = "vault.test/log";

/// The time in which all that is stored is read: so short that a second is more than a round.
pub(super) const READ_WITHIN_MS: i64 = 5;

/// For how long things are kept, at first.
pub(super) const KEEPING: Keeping = Keeping {
    retention_ms: 3 * HOUR_MS,
    grace_ms: 2 * HOUR_MS,
};

/// A vault that can die.
pub(super) struct World {
    /// `None` while it is opened anew.
    running: Option<Running>,
    pub(super) folder: TempDir,
    pub(super) clocks: Arc<Mutex<Reading>>,
    /// The newest token of each.
    texts: Vec<(Who, String)>,
}

struct Running {
    vault: Vault,
    publisher: Publisher,
    bodies: Arc<FaultyBodies<LocalBodies>>,
    database: Arc<CutDatabase>,
}

impl World {
    pub(super) fn new(reading: Reading) -> Self {
        let mut world = Self {
            running: None,
            folder: folder(),
            clocks: Arc::new(Mutex::new(reading)),
            texts: Vec::new(),
        };
        world.open();
        world
    }

    /// Ends the process, if there is one, and starts another.
    pub(super) fn open(&mut self) {
        self.running = None;
        let folder = self.folder.path();
        let database = database_of(folder);
        migrate(&*database, SCHEMA).unwrap();
        let database = Arc::new(CutDatabase::new(database));
        let bodies = LocalBodies::new(folder.join("repositories"));
        bodies.create().unwrap();
        let bodies = Arc::new(FaultyBodies::new(bodies));
        let settings = Settings {
            origin: ORIGIN.to_owned(),
            keeping: KEEPING,
            reserve_bytes: 0,
            object_limit_bytes: 1 << 20,
            receipt_wait: RECEIPT_WAIT,
            purge_share: PURGE_SHARE,
        };
        let clocks = Arc::clone(&self.clocks);
        let read_clocks = ReadClocks::new(move || clocks.lock().clone());
        let vault = Vault::open(
            Arc::clone(&database) as _,
            Arc::clone(&bodies) as _,
            settings,
            read_clocks,
        );
        let vault = vault.unwrap();
        // As a server does that is alone.
        vault.end_leases_of_the_dead().unwrap();
        let in_a_century = SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000);
        vault.sweep(in_a_century).unwrap();
        vault.begin_serving(None).unwrap();
        let log = LogFolder::open(folder.join("log")).unwrap();
        let publisher = Publisher::open(vault.clone(), Arc::new(log), &folder.join("keys"));
        let publisher = publisher.unwrap();
        self.running = Some(Running {
            vault,
            publisher,
            bodies,
            database,
        });
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.running.as_ref().unwrap().vault
    }

    pub(super) fn publisher(&self) -> &Publisher {
        &self.running.as_ref().unwrap().publisher
    }

    /// Plans a death.
    pub(super) fn plan(&self, crash: Crash) {
        let running = self.running.as_ref().unwrap();
        let rule = |op, fault| running.bodies.rules().add(Rule::on(&[op], fault));
        match crash {
            Crash::Stage => rule(Op::Stage, Fault::Crash),
            Crash::Write => rule(Op::Write, Fault::Crash),
            Crash::BeforePublish => rule(Op::Publish, Fault::Crash),
            Crash::AfterPublish => rule(Op::Publish, Fault::CrashAfter),
            Crash::Settled => rule(Op::Settle, Fault::CrashAfter),
            Crash::BeforeRemove => rule(Op::Remove, Fault::Crash),
            Crash::AfterRemove => rule(Op::Remove, Fault::CrashAfter),
            Crash::BeforeCommit(number) => running.database.cut_at(number, false),
            Crash::AfterCommit(number) => running.database.cut_at(number, true),
        }
    }

    /// Whether the process has died, and how many commits were done since this was asked last.
    pub(super) fn settle(&self) -> (bool, u64) {
        let running = self.running.as_ref().unwrap();
        let (is_cut, commits) = running.database.settle();
        let is_away = running.bodies.rules().is_away();
        if !is_away {
            running.bodies.rules().heal();
        }
        (is_cut || is_away, commits)
    }

    /// How many leaves were committed, also where the process has died since.
    pub(super) fn committed_leaves(&self) -> u64 {
        let mut count = 0;
        let looked = self
            .running
            .as_ref()
            .unwrap()
            .database
            .look(&mut |transaction| {
                count = leaves::head(transaction)?.leaves;
                Ok(())
            });
        looked.unwrap();
        count
    }

    /// Makes a new token for somebody; returns its name.
    pub(super) fn add_token(&mut self, who: Who) -> String {
        let (daily_bytes, daily_objects) = who.daily();
        let new = NewToken {
            right: who.right(),
            prefix: who.prefix(),
            expires_in_ms: who.expires_in_ms(),
            daily_bytes,
            daily_objects,
        };
        let text = self
            .vault()
            .create_token(people::Who::Folder, &new)
            .unwrap();
        self.texts.retain(|(of, _)| *of != who);
        self.texts.push((who, text.reveal().to_owned()));
        text.name
    }

    /// Comes with somebody's token.
    pub(super) fn authenticate(&self, who: Who) -> Result<Principal, &'static str> {
        let known = self.texts.iter().find(|(of, _)| *of == who);
        let text = known.map_or("srt-000000000000-x", |(_, text)| text);
        self.vault().authenticate(text).map_err(word)
    }

    pub(super) fn put(
        &self,
        principal: &Principal,
        repository: usize,
        number: u8,
        sent: Sent,
    ) -> Outcome {
        let (name, mut content) = file(number);
        let whole_bytes = content.len() as u64;
        match sent {
            Sent::Whole => {}
            Sent::Half => content.truncate(content.len() / 2),
            Sent::Wrong if name.kind() == FileType::Config => content.clear(),
            Sent::Wrong => content[0] ^= 1,
        }
        let send = || {
            let path = path(repository);
            let mut upload = self
                .vault()
                .begin_put(principal, &path, name, Some(whole_bytes))?;
            for step in content.chunks(64) {
                upload.write(step)?;
            }
            match sent {
                Sent::Half => Ok(None),
                _ => upload.finish().map(Some),
            }
        };
        match send() {
            Ok(Some(())) => Ok(Reply::Done),
            Ok(None) => Err("gone"),
            Err(error) => Err(word(error)),
        }
    }

    /// Sends a receipt; the answer is how much is missing of what it names.
    pub(super) fn claim(
        &self,
        principal: &Principal,
        repository: usize,
        request: &[u8],
    ) -> Outcome {
        let send = || {
            let length_bytes = Some(request.len() as u64);
            let path = path(repository);
            let spool = self.folder.path();
            let mut upload = self
                .vault()
                .begin_receipt(principal, &path, length_bytes, spool)?;
            for step in request.chunks(300) {
                upload.write(step)?;
            }
            accept(upload)
        };
        let accepted = send();
        let count = accepted.map(|accepted| Reply::Count(accepted.missing));
        count.map_err(word)
    }

    /// Reads the share of all that is stored that is due: all of it, where a second has passed
    /// since the round began.
    pub(super) fn scrub(&self) -> Result<Scrubbed> {
        self.vault().scrub(READ_WITHIN_MS, &mut |_| true)
    }

    pub(super) fn get(
        &self,
        principal: &Principal,
        repository: usize,
        view: View,
        name: FileName,
        range: Option<(u64, u64)>,
    ) -> Outcome {
        let read = || {
            let file = self
                .vault()
                .find(principal, &path(repository), view, name)?;
            let range = range.map(|(first, length)| first..first + length);
            let mut content = Vec::new();
            file.open(range)?.read_to_end(&mut content).unwrap();
            Ok(content)
        };
        read().map(Reply::Content).map_err(word)
    }

    pub(super) fn list(
        &self,
        principal: &Principal,
        repository: usize,
        view: View,
        kind: FileType,
    ) -> Result<Vec<(FileName, u64)>, &'static str> {
        let mut found = Vec::new();
        let path = path(repository);
        let listed = self
            .vault()
            .list(principal, &path, view, kind, &mut |entry| {
                let name = match kind {
                    FileType::Config => FileName::CONFIG,
                    kind => FileName::new(kind, entry.id),
                };
                found.push((name, entry.size_bytes));
                Ok(())
            });
        listed.map(|()| found).map_err(word)
    }
}

pub(super) fn path(repository: usize) -> RepositoryPath {
    REPOSITORIES[repository].parse().unwrap()
}

/// What an error is called.
pub(super) fn word(error: Error) -> &'static str {
    match error {
        Error::Unauthorized => "unauthorized",
        Error::Forbidden { .. } => "forbidden",
        Error::Unknown { .. } => "unknown",
        Error::NotFound { .. } => "not found",
        Error::BadBytes { .. } => "bad bytes",
        Error::ConfigIsThere { .. } => "config is there",
        Error::Hidden { .. } => "hidden",
        Error::Full { .. } => "full",
        Error::Busy { .. } => "busy",
        Error::Refused { .. } => "refused",
        Error::Malformed { .. } => "malformed",
        Error::UnknownParent { .. } => "unknown parent",
        Error::OtherClient { .. } => "other client",
        _ => "failed",
    }
}

/// In memory where there is such a folder: what is tested here is not the disk.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => TempDir::new_in(memory).unwrap(),
        false => TempDir::new().unwrap(),
    }
}
