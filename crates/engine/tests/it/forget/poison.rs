//! Somebody holds the repository's key and one copy's credentials, and tries to have real snapshots
//! forgotten, or what they need pruned.
//!
//! Real ones come as usual, each day; he begins after the first four weeks of their group. Whatever
//! comes besides them, of these no more is lost than without him: what stays then is told by the
//! decider alone, on a list that never had any of his. With each flood comes a pack of junk that an
//! index file says to hold what the newest snapshot needs. `cargo xtask test --thorough` has longer
//! lives, more of them, from new seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use strongroom_engine::Error;
use strongroom_engine::progress::Progress;
use strongroom_engine::prune::{PruneOptions, PruneReport, prune};
use strongroom_engine::session::CopyStore;
use strongroom_engine::state::StateFolder;
use strongroom_model::retention::{Arrival, Candidate, Group, Known, Past, SeenBy, decide, needed};
use strongroom_model::{FileName, FileType, Id, Keep, Name, Period};
use strongroom_repo::blob::{self, BlobId, PackedBlob};
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::key::ScryptCost;
use strongroom_repo::pack::{self, FinishedPack, PackBuilder};
use strongroom_repo::repository::Maker;
use strongroom_repo::{Key, Repository, Snapshot};
use strongroom_store::Store;
use strongroom_testkit::MemoryStore;
use strongroom_testkit::contract::noise;

use crate::fixture::{PASSWORD, is_thorough};
use crate::forget::{COPIES, DAY, Host, at, daily, forged};

/// Some ten years.
const AGES: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// A day, and a second of it.
type Moment = (i64, i64);

/// What a fake pretends to be.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Mimic,
    Tagged,
    Long,
    Stranger,
    Elsewhere,
    Future,
    Past,
}

/// Fakes that come at once, on one copy.
#[derive(Clone, Copy, Debug)]
struct Flood {
    begins: Moment,
    many: usize,
    copy: usize,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Event {
    Backup,
    Flood(Flood),
    Forget,
    Prune,
}

/// What a life is made of.
#[derive(Clone, Debug)]
struct Story {
    keep: Keep,
    a_day: i64,
    jitter: Vec<i64>,
    floods: Vec<Flood>,
    forgets: Vec<Moment>,
    prunes: Vec<Moment>,
}

/// What would be left without him.
struct Clean {
    keeps: BTreeMap<Name, Keep>,
    there: Vec<Candidate>,
    past: Vec<Past>,
}

/// The copies of the poisoned repository, and who forgets there.
struct Poisoned {
    stores: Vec<Arc<MemoryStore>>,
    key: Key,
    host: Host,
    like: Snapshot,
    fakes: u64,
    /// The real snapshots, each with the blob of its one file.
    made: BTreeMap<Id, BlobId>,
    /// That of the newest, as an index file names it.
    newest: Vec<PackedBlob>,
    _folder: tempfile::TempDir,
}

/// How many lives, how many days each has, and how many fakes come at once at most.
fn extent() -> (u32, i64, usize) {
    match is_thorough() {
        true => (200, 90, 1_000),
        false => (6, 45, 60),
    }
}

fn stories(days: i64, most: usize) -> impl Strategy<Value = Story> {
    let count = || option::of(1u32..=6).prop_map(|number| number.and_then(NonZeroU32::new));
    let within = option::of((1u32..=10).prop_map(Period::days));
    let keep = (count(), count(), count(), count(), within).prop_map(
        |(last, hourly, daily, weekly, within)| Keep {
            last,
            hourly,
            daily,
            weekly,
            within,
            tags: ["release".to_owned()].into(),
            ..Keep::default()
        },
    );
    let shape = prop_oneof![
        4 => Just(Shape::Mimic),
        1 => Just(Shape::Tagged),
        1 => Just(Shape::Long),
        1 => Just(Shape::Stranger),
        1 => Just(Shape::Elsewhere),
        1 => Just(Shape::Future),
        1 => Just(Shape::Past),
    ];
    let many = prop_oneof![3 => Just(1usize), 1 => 2usize..20, 1 => Just(most)];
    let flood = (30..days, 0..DAY, many, 0..COPIES.len(), shape);
    let flood = flood.prop_map(|(day, second, many, copy, shape)| Flood {
        begins: (day, second),
        many,
        copy,
        shape,
    });
    let forgets = vec((27..days + 2, 0..DAY), 1..8);
    let prunes = vec((27..days + 2, 0..DAY), 0..3);
    let (jitter, floods) = (vec(0i64..20_000, 1..9), vec(flood, 0..8));
    let parts = (keep, 1i64..=2, jitter, floods, forgets, prunes);
    parts.prop_map(|(keep, a_day, jitter, floods, forgets, prunes)| Story {
        keep,
        a_day,
        jitter,
        floods,
        forgets,
        prunes,
    })
}

impl Story {
    /// All that happens, in the order of time.
    fn events(&self, days: i64) -> Vec<(Timestamp, Event)> {
        let turns = (0..days + 2).flat_map(|day| (0..self.a_day).map(move |turn| (day, turn)));
        let backups = turns.zip(self.jitter.iter().cycle());
        let backups = backups.map(|((day, turn), jitter)| {
            let moment = at(day, turn * DAY / self.a_day + jitter);
            (moment, Event::Backup)
        });
        let floods = self.floods.iter().map(|flood| {
            let (day, second) = flood.begins;
            (at(day, second), Event::Flood(*flood))
        });
        let forgets = self.forgets.iter();
        let forgets = forgets.map(|(day, second)| (at(*day, *second), Event::Forget));
        let prunes = self.prunes.iter();
        let prunes = prunes.map(|(day, second)| (at(*day, *second), Event::Prune));
        let events = backups.chain(floods).chain(forgets).chain(prunes);
        let mut events: Vec<_> = events.collect();
        events.sort_by_key(|(moment, _)| *moment);
        events
    }
}

impl Clean {
    fn backup(&mut self, id: Id, now: Timestamp) {
        self.there.push(Candidate {
            id,
            group: Group {
                source: "main".parse().ok(),
                host: "testhost".to_owned(),
                paths: ["/x".to_owned()].into(),
            },
            claimed: now,
            duration: None,
            tags: BTreeSet::new(),
            arrival: Some(Arrival {
                at: now,
                by: SeenBy::Us,
            }),
            is_held: false,
            is_admitted: false,
        });
    }

    fn known(&self) -> Known<'_> {
        Known {
            snapshots: &self.there,
            past: &self.past,
            keeps: &self.keeps,
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let decisions = decide(&self.known(), now);
        let goes = decisions.into_iter().map(|one| one.fate.goes());
        let (gone, there): (Vec<_>, Vec<_>) = std::mem::take(&mut self.there)
            .into_iter()
            .zip(goes)
            .partition(|(_, goes)| *goes);
        self.there = there.into_iter().map(|(one, _)| one).collect();
        self.past.extend(gone.into_iter().map(|(one, _)| Past {
            group: one.group,
            arrived: one.arrival.unwrap().at,
            is_admitted: false,
        }));
        let mut needed = needed(&self.known(), now).into_iter();
        self.past.retain(|_| needed.next().unwrap());
    }
}

impl Poisoned {
    fn new(keep: Keep) -> Self {
        let maker = Maker {
            now: at(0, 0),
            username: "tester",
            hostname: "testhost",
        };
        let new = Repository::generate(PASSWORD.as_bytes(), ScryptCost::LEAST, &maker).unwrap();
        let stores: Vec<Arc<MemoryStore>> = COPIES
            .iter()
            .map(|name| Arc::new(MemoryStore::new(name)))
            .collect();
        let copies: Vec<CopyStore> = COPIES
            .iter()
            .zip(&stores)
            .map(|(name, store)| {
                new.save(store.as_ref()).unwrap();
                CopyStore {
                    name: (*name).to_owned(),
                    store: Arc::clone(store) as Arc<dyn Store>,
                    is_local: true,
                }
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let tree = Id::of(b"a tree");
        let like = format!(
            r#"{{"time":"2026-01-01T00:00:00Z","tree":"{tree}","paths":["/x"],"hostname":"testhost","tags":["source=main"]}}"#
        );
        Self {
            stores,
            key: new.repository.key().clone(),
            host: Host::new(&copies, StateFolder::new(folder.path()), keep),
            like: Snapshot::parse(like.as_bytes()).unwrap(),
            fakes: 0,
            made: BTreeMap::new(),
            newest: Vec::new(),
            _folder: folder,
        }
    }

    /// A real snapshot on every copy, which its host lists at once.
    fn backup(&mut self, now: Timestamp) -> Id {
        let content = format!("what was there at {now}").into_bytes();
        let data = BlobId::data(Id::of(&content));
        let text = format!(
            r#"{{"nodes":[{{"name":"file","type":"file","mode":420,"content":["{}"]}}]}}"#,
            data.id
        );
        let tree = BlobId::tree(Id::of(text.as_bytes()));
        let of_data = self.save_pack(data, &content);
        self.newest.clone_from(&of_data.blobs);
        let of_tree = self.save_pack(tree, text.as_bytes());
        let copies: Vec<usize> = (0..COPIES.len()).collect();
        self.save_index(vec![of_data, of_tree], &copies);
        self.like.tree = tree.id;
        let (name, bytes) = forged(&self.key, &self.like, |real| real.time = now);
        for store in &self.stores {
            store.put(name, &bytes);
        }
        self.host.note(&self.host.open());
        let id = name.id().unwrap();
        self.made.insert(id, data);
        id
    }

    /// Saves a pack with one blob on every copy.
    fn save_pack(&self, blob: BlobId, plain: &[u8]) -> IndexedPack {
        let mut pack = PackBuilder::with_capacity(1000);
        let sealed = self.key.seal(plain).unwrap();
        pack.add(blob, &sealed, None).unwrap();
        let FinishedPack { id, bytes, blobs } = pack.finish(&self.key).unwrap();
        for store in &self.stores {
            store.put(FileName::new(FileType::Data, id), &bytes);
        }
        IndexedPack { id, blobs }
    }

    fn save_index(&self, packs: Vec<IndexedPack>, copies: &[usize]) {
        let (id, bytes) = IndexFile { packs }.seal(&self.key, 2).unwrap();
        for copy in copies {
            self.stores[*copy].put(FileName::new(FileType::Index, id), &bytes);
        }
    }

    /// Junk on one copy that is said to hold what the newest snapshot needs. Of equals the lowest
    /// id is kept.
    fn claim(&self, copy: usize) {
        let size = usize::try_from(pack::size_bytes(&self.newest)).unwrap();
        let junk = (0..64).map(|seed| noise(seed + self.fakes * 64, size));
        let junk = junk.min_by_key(|bytes| Id::of(bytes)).unwrap();
        let id = Id::of(&junk);
        self.stores[copy].put(FileName::new(FileType::Data, id), &junk);
        let blobs = self.newest.clone();
        self.save_index(vec![IndexedPack { id, blobs }], &[copy]);
    }

    /// What `strongroom prune --max-unused 0` does.
    fn prune(&self) -> Result<PruneReport, Error> {
        let mut session = self.host.open();
        let memory = self.host.memory(&session);
        let options = PruneOptions {
            max_unused_percent: 0.0,
            ..PruneOptions::default()
        };
        let (environment, progress) = (&self.host.environment, Progress::default());
        prune(
            &mut session,
            &memory,
            None,
            &options,
            environment,
            &progress,
        )
    }

    /// The real snapshots whose file a copy lists and cannot give.
    fn hollow(&self, store: &MemoryStore) -> Vec<Id> {
        let read = |name| store.get(name).unwrap().to_vec();
        let index = store.list(FileType::Index).unwrap();
        let packs: Vec<IndexedPack> = index
            .iter()
            .map(|entry| read(FileName::new(FileType::Index, entry.id)))
            .flat_map(|bytes| IndexFile::open(&self.key, bytes).unwrap().packs)
            .collect();
        let is_right = |pack: Id, packed: &PackedBlob| {
            let bytes = store.get(FileName::new(FileType::Data, pack));
            let start = packed.offset as usize;
            let range = start..start + packed.length as usize;
            bytes.is_some_and(|bytes| {
                let mut sealed = bytes[range].to_vec();
                let length = packed.uncompressed_length;
                blob::decode(&self.key, packed.blob, length, &mut sealed).is_ok()
            })
        };
        let gives = |wanted: BlobId| {
            packs.iter().any(|pack| {
                let mut blobs = pack.blobs.iter();
                blobs.any(|packed| packed.blob == wanted && is_right(pack.id, packed))
            })
        };
        let listed = store.list(FileType::Snapshots).unwrap();
        let listed = listed.iter().map(|entry| entry.id);
        let is_hollow = |id: &Id| self.made.get(id).is_some_and(|data| !gives(*data));
        listed.filter(is_hollow).collect()
    }

    fn flood(&mut self, flood: Flood, now: Timestamp) {
        self.claim(flood.copy);
        for _ in 0..flood.many {
            self.fakes += 1;
            let number = self.fakes;
            let (name, bytes) = forged(&self.key, &self.like, |fake| {
                fake.time = now;
                match flood.shape {
                    Shape::Mimic => {}
                    Shape::Tagged => fake.tags.push("release".to_owned()),
                    Shape::Long => fake.time = now - AGES,
                    Shape::Stranger => fake.hostname = format!("invented-{number}"),
                    Shape::Elsewhere => fake.paths.push(format!("/{number}")),
                    Shape::Future => fake.time = now + AGES,
                    Shape::Past => fake.time = now - SignedDuration::from_hours(40 * 24),
                }
                if matches!(flood.shape, Shape::Long) {
                    let summary = fake.summary.get_or_insert_default();
                    (summary.backup_start, summary.backup_end) = (fake.time, now);
                }
            });
            self.stores[flood.copy].put(name, &bytes);
        }
    }

    /// What every copy has.
    fn left(&self) -> BTreeSet<Id> {
        let of = |store: &Arc<MemoryStore>| -> BTreeSet<Id> {
            let listed = store.list(FileType::Snapshots).unwrap();
            listed.iter().map(|entry| entry.id).collect()
        };
        let all = self.stores.iter().map(of);
        all.reduce(|left, other| &left & &other).unwrap()
    }
}

/// Lives through a story, and says which real snapshot was lost that would not have been, or is
/// there and cannot be restored.
fn live(story: &Story, days: i64) -> Result<(), TestCaseError> {
    let mut poisoned = Poisoned::new(story.keep.clone());
    let mut clean = Clean {
        keeps: poisoned.host.keeps.clone(),
        there: Vec::new(),
        past: Vec::new(),
    };
    for (now, event) in story.events(days) {
        poisoned.host.set(now);
        match event {
            Event::Backup => clean.backup(poisoned.backup(now), now),
            Event::Flood(flood) => poisoned.flood(flood, now),
            Event::Forget => {
                poisoned.host.forget();
                clean.forget(now);
                let kept: BTreeSet<Id> = clean.there.iter().map(|one| one.id).collect();
                let left = poisoned.left();
                let lost: Vec<_> = kept.difference(&left).collect();
                prop_assert!(lost.is_empty(), "{now}: {lost:?}");
            }
            Event::Prune => {
                let report = poisoned.prune();
                prop_assert!(report.is_ok(), "{now}: {report:?}");
                for store in &poisoned.stores {
                    let hollow = poisoned.hollow(store);
                    prop_assert!(hollow.is_empty(), "{now}: {hollow:?}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn whoever_floods_one_copy_has_no_real_snapshot_forgotten() {
    let (cases, days, most) = extent();
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = match is_thorough() {
        true => TestRunner::new(config),
        false => {
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(config, rng)
        }
    };
    let outcome = runner.run(&stories(days, most), |story| live(&story, days));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_thousand_fakes_of_a_night_push_nothing_out() {
    let story = Story {
        keep: daily(3),
        a_day: 1,
        jitter: vec![7_200],
        floods: vec![Flood {
            begins: (33, 40_000),
            many: 1_000,
            copy: 1,
            shape: Shape::Mimic,
        }],
        forgets: vec![(31, 80_000), (33, 80_000), (36, 80_000)],
        prunes: vec![(33, 85_000), (36, 85_000)],
    };
    live(&story, 36).unwrap();
}
