//! Lists are read page by page, and are lists of one moment all the same.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::PostgresServer;
use strongroom_vault::Result;
use strongroom_vault::database::{Database, Sqlite, Work, migrate};
use strongroom_vault::records::listing::{self, List};
use strongroom_vault::records::objects::{self, Key, View};
use strongroom_vault::records::{SCHEMA, tombstones};
use strongroom_vault::rules::life::{Delete, Object, State};
use strongroom_vault::rules::right::Right;

use crate::database::proxy::Proxy;
use crate::database::{Scene, both};
use crate::vault::scene::{self, Pair, local_bodies, over_sqlite, repository};

both! {
    a_page_reads_no_more_than_a_page_however_little_is_seen
    pages_make_one_list_whatever_is_done_between_them
}

const REPOSITORY: i64 = 7;

/// A database that counts the pages of lists that are read.
#[derive(Debug)]
struct Counted {
    inner: Sqlite,
    pages: Arc<AtomicUsize>,
}

impl Database for Counted {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.write(work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.read(work)
    }

    fn read_list(&self, work: &mut Work<'_>) -> Result<()> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.inner.read_list(work)
    }
}

#[test]
fn lists_are_read_where_nothing_else_is() {
    let pages = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pages);
    let pair = over_sqlite(move |inner| {
        let pages = Arc::clone(&counted);
        Arc::new(Counted { inner, pages })
    });
    scene::within(&pair, || {
        let scene = scene::Scene::new();
        let append = scene.token(Right::Append);
        scene.init(&append);
        let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
        scene.read(&append, View::Now, pack).unwrap();
        assert_eq!(pages.load(Ordering::Relaxed), 0);
        for kind in [FileType::Data, FileType::Locks] {
            scene.list(&append, View::Now, kind);
        }
        let standings = scene.vault.standings(&append, &repository(), None);
        assert!(standings.unwrap().standings.is_empty());
        assert_eq!(pages.load(Ordering::Relaxed), 3);
    });
}

fn object(began: u64) -> Object {
    Object {
        generation: 1,
        bytes: 10,
        state: State::Live,
        token: 1,
        began,
        ended: None,
        arrived_ms: 0,
        tombstoned_ms: None,
    }
}

fn key(number: u8) -> Key {
    let id = Id::from_bytes([number; 32]);
    Key::new(REPOSITORY, FileName::new(FileType::Data, id))
}

/// The first bytes of the names of the next page, as of 10 leaves.
fn page(database: &dyn Database, behind: Option<u8>, limit: u64) -> Vec<u8> {
    page_as_of(database, 10, behind, limit).0
}

/// The first bytes of the names of a page, and of the one behind which the next page begins.
fn page_as_of(
    database: &dyn Database,
    leaves: u64,
    behind: Option<u8>,
    limit: u64,
) -> (Vec<u8>, Option<u8>) {
    let list = List {
        repository: REPOSITORY,
        kind: FileType::Data,
        leaves,
    };
    let behind = behind.map(|number| Id::from_bytes([number; 32]));
    let found = database
        .look(|transaction| listing::page(transaction, list, behind, limit))
        .unwrap();
    let first = |id: &Id| id.as_bytes()[0];
    let names = found.entries.iter().map(|entry| first(&entry.id));
    (names.collect(), found.next.as_ref().map(first))
}

fn a_page_reads_no_more_than_a_page_however_little_is_seen(scene: &Scene) {
    let database = scene.open_bare();
    migrate(&*database, SCHEMA).unwrap();
    database
        .write(&mut |transaction| {
            // Nothing is seen of most: it came later, was hidden, waits, or is being purged.
            for number in 0..100 {
                let mut later = object(50);
                later.state = State::ALL[usize::from(number) % 5];
                later.ended = (later.state == State::Tombstoned).then_some(60);
                objects::insert(transaction, &key(number), &later)?;
            }
            objects::insert(transaction, &key(100), &object(5))
        })
        .unwrap();
    let (mut behind, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let (names, next) = page_as_of(&*database, 10, behind, 10);
        seen.extend(names);
        pages += 1;
        let read = next.map_or(0, |next| next - behind.map_or(0, |behind| behind + 1) + 1);
        assert!(read == 10 || next.is_none(), "{read} objects of a page");
        behind = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (vec![100], 11));
}

fn pages_make_one_list_whatever_is_done_between_them(scene: &Scene) {
    let database = scene.open_bare();
    migrate(&*database, SCHEMA).unwrap();
    database
        .write(&mut |transaction| {
            for number in [0, 1, 2, 3, 5, 6, 255] {
                objects::insert(transaction, &key(number), &object(u64::from(number % 10)))?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(page(&*database, None, 3), [0, 1, 2]);
    // Behind the place of the list one comes, one goes, and one goes and comes back.
    database
        .write(&mut |transaction| {
            objects::insert(transaction, &key(4), &object(10))?;
            tombstones::make(transaction, &key(5), Delete::Ends, 11, 0, 1)?;
            tombstones::make(transaction, &key(6), Delete::Ends, 12, 0, 1)?;
            objects::restore(transaction, &key(6), 13)
        })
        .unwrap();
    // What came is read with a page, and not shown.
    assert_eq!(
        page_as_of(&*database, 10, Some(2), 3),
        (vec![3, 5], Some(5))
    );
    assert_eq!(
        page_as_of(&*database, 10, Some(5), 2),
        (vec![6, 255], Some(255))
    );
    assert_eq!(page_as_of(&*database, 10, Some(255), 2), (vec![], None));
    assert_eq!(page(&*database, Some(2), 10), [3, 5, 6, 255]);
}

#[test]
fn as_of_a_time_before_a_repository_nothing_of_it_is_read() {
    let counting = Arc::new(parking_lot::Mutex::new(0));
    let count = Arc::clone(&counting);
    let pair = over_sqlite(move |inner| {
        let reads = Arc::clone(&count);
        Arc::new(CountingDatabase { inner, reads })
    });
    scene::within(&pair, || {
        let scene = scene::Scene::new();
        let reader = scene.token(Right::Append);
        scene.pass(60_000);
        let before = scene.vault.as_of(scene.vault.now().recorded_ms).unwrap();
        scene.init(&reader);
        let database = scene.vault.database();
        database
            .write(&mut |transaction| {
                for number in 0..20_000_u32 {
                    let id = Id::of(&number.to_le_bytes());
                    let key = Key::new(1, FileName::new(FileType::Data, id));
                    objects::insert(transaction, &key, &object(50))?;
                }
                Ok(())
            })
            .unwrap();
        let reads_of = |view| {
            let before = *counting.lock();
            let seen = scene.list(&reader, view, FileType::Data);
            (seen.len(), *counting.lock() - before)
        };
        assert_eq!(reads_of(View::Now), (0, 4));
        assert_eq!(reads_of(View::AsOf(100)), (20_000, 4));
        assert_eq!(reads_of(View::AsOf(0)), (0, 1));
        assert_eq!(reads_of(before), (0, 1));
    });
}

/// A database that counts how often it is read.
#[derive(Debug)]
struct CountingDatabase {
    inner: strongroom_vault::database::Sqlite,
    reads: Arc<parking_lot::Mutex<u64>>,
}

impl Database for CountingDatabase {
    fn write(&self, work: &mut Work<'_>) -> Result<()> {
        self.inner.write(work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<()> {
        *self.reads.lock() += 1;
        self.inner.read(work)
    }
}

#[test]
fn a_list_names_nothing_twice_though_its_connection_breaks() {
    let server = PostgresServer::start();
    let proxy = Rc::new(Proxy::start(&server));
    let through = Rc::clone(&proxy);
    let pair: Pair = Rc::new(move |folder| {
        let url = strongroom_model::Secret::new(through.url());
        let database = strongroom_vault::database::Postgres::open(&url, None).unwrap();
        let database: Arc<dyn Database> = Arc::new(database);
        (database, local_bodies(folder))
    });
    scene::within(&pair, || {
        let scene = scene::Scene::new();
        let reader = scene.token(Right::Append);
        scene.init(&reader);
        let database = scene.vault.database();
        database
            .write(&mut |transaction| {
                let fill = "INSERT INTO object (repository, kind, name, generation, bytes, state, \
                     token, put, began, arrived_ms) \
                     SELECT r.id, 2, decode(md5(CAST(i AS TEXT)) || md5(CAST(-i AS TEXT)), 'hex'), \
                     1, 1, 0, 1, 0, 0, 0 FROM repository r, generate_series(1, 50000) AS i";
                transaction.execute(fill, &[]).map(drop)
            })
            .unwrap();
        proxy.cut_after(1_000_000);
        let mut names = Vec::new();
        let listed = scene.vault.list(
            &reader,
            &repository(),
            View::Now,
            FileType::Data,
            &mut |entry| {
                names.push(entry.id);
                Ok(())
            },
        );
        listed.unwrap();
        assert!(proxy.has_cut());
        let count = names.len();
        names.dedup();
        assert!(names.is_sorted());
        assert_eq!((names.len(), count), (50_000, 50_000));
    });
}
