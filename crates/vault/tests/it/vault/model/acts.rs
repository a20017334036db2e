//! What may be asked, by whom, and where the process may die meanwhile.
//!
//! The world is small on purpose, two repositories and some twenty files, so that everything
//! happens to the same things again and again.

use proptest::prelude::*;
use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_vault::rules::clock::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::right::Right;

use crate::vault::scene::key_file;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// May append in both repositories.
    Append,
    /// May append in the first one, little in a day, and only for some hours.
    Limited,
    /// May read.
    Read,
    /// May ask for deletion.
    Maintain,
    /// May report.
    Report,
    /// May do everything, elsewhere.
    Elsewhere,
    /// Has no token.
    Stranger,
}

impl Who {
    pub(super) const ALL: [Self; 7] = [
        Self::Append,
        Self::Limited,
        Self::Read,
        Self::Maintain,
        Self::Report,
        Self::Elsewhere,
        Self::Stranger,
    ];

    pub(super) const fn right(self) -> Right {
        match self {
            Self::Append | Self::Limited => Right::Append,
            Self::Read | Self::Stranger => Right::Read,
            Self::Maintain | Self::Elsewhere => Right::Maintain,
            Self::Report => Right::Report,
        }
    }

    pub(super) fn prefix(self) -> RepositoryPath {
        let text = match self {
            Self::Limited => "acme/one",
            Self::Elsewhere => "other",
            _ => "acme",
        };
        text.parse().unwrap()
    }

    pub(super) const fn expires_in_ms(self) -> Option<i64> {
        match self {
            Self::Limited => Some(9 * HOUR_MS),
            _ => None,
        }
    }

    /// Bytes and objects a day.
    pub(super) const fn daily(self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Limited => (Some(3_000), Some(9)),
            _ => (None, None),
        }
    }
}

/// The repositories, in the order of their paths.
pub(super) const REPOSITORIES: [&str; 2] = ["acme/one", "acme/two"];

/// How many files there are.
pub(super) const FILES: u8 = 24;

/// From which number on there are names that nobody ever puts: a pack, an index file, a key and a
/// snapshot.
pub(super) const NEVER: u8 = FILES;

/// How many names there are that a receipt may tell.
pub(super) const NAMES: u8 = NEVER + 4;

/// The name of a number, be it of a file or of none.
pub(super) fn name_of(number: u8) -> FileName {
    let kind = match number.checked_sub(NEVER) {
        None => return file(number).0,
        Some(0) => FileType::Data,
        Some(1) => FileType::Index,
        Some(2) => FileType::Keys,
        Some(_) => FileType::Snapshots,
    };
    FileName::new(kind, Id::of(&[number]))
}

/// A file that may be sent: its name and the bytes that belong to it.
pub(super) fn file(number: u8) -> (FileName, Vec<u8>) {
    let (kind, content) = match number {
        0 => return (FileName::CONFIG, b"the config".to_vec()),
        1 => return (FileName::CONFIG, b"another config".to_vec()),
        2..=5 => (FileType::Keys, key_file(number)),
        6 => (FileType::Keys, b"junk".to_vec()),
        7..=12 => (FileType::Data, vec![number; 37 * usize::from(number)]),
        13..=15 => (FileType::Index, vec![number; 150]),
        16..=19 => (FileType::Snapshots, vec![number; 90]),
        20..=22 => (FileType::Locks, vec![number; 60]),
        _ => (FileType::Locks, vec![number; 20]),
    };
    (FileName::new(kind, Id::of(&content)), content)
}

/// What arrives of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Whole,
    /// Other bytes under its name; of `config`, none.
    Wrong,
    /// Half of it, then the client is gone.
    Half,
}

/// What has become of stored bytes, behind the vault's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rot {
    /// One of them is another.
    Changed,
    /// Half of them are gone.
    Short,
    /// None is there.
    Missing,
}

/// A receipt that is made up.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Which client signs it.
    pub(super) client: u8,
    /// The snapshot that it is of, and what it names: numbers below [`NAMES`].
    pub(super) snapshot: u8,
    pub(super) files: Vec<u8>,
    /// The `config` that it names, by its number.
    pub(super) config: u8,
    pub(super) told: Told,
}

/// How a receipt stands to those before it, of its client and in its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It tells all, and has no parent.
    Anew,
    /// It tells the difference to the one that is so many before the last one; where there is
    /// none, all.
    Behind(usize),
    /// It tells the difference to nothing, and calls the last one its parent all the same.
    Astray,
    /// Its parent was never sent.
    Unknown,
    /// It is the last one, once more.
    Again,
}

/// A moment that was, out of those that can be told apart; `None` is the beginning.
pub(super) type Since = Option<prop::sample::Index>;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Create(Who, usize),
    Put(Who, usize, u8, Sent),
    Remove(Who, usize, u8),
    Get(Who, usize, u8, Option<(u64, u64)>),
    List(Who, usize, u8),
    Undelete(usize, Option<Who>, Since, Since),
    UndeleteOne(usize, u8),
    Hide(Who, Since),
    Unhide(Who),
    Admit(usize, u8),
    Revoke(Who),
    Renew(Who),
    Agree(usize),
    Quota(usize, Option<u64>),
    Raise(usize),
    DropLocks,
    /// Sends a receipt.
    Claim(Who, usize, Claim),
    /// Lets the client's key of a token go.
    Forget(Who),
    /// Spoils the stored bytes of a file.
    Rot(usize, u8, Rot),
    /// Reads all that is stored.
    Scrub,
    Purge,
    Publish,
    Pass(i64),
    /// The wall clock is set, and looked at by the vault or not yet.
    Jump(i64, bool),
    /// Off for so long, as the wall clock has it.
    Off(i64),
    Confirm,
    Reopen,
}

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Stage,
    Write,
    BeforePublish,
    AfterPublish,
    /// When what is small has its name, and is about to be known.
    Settled,
    BeforeRemove,
    AfterRemove,
    /// Before the commit of that number, counted from 0.
    BeforeCommit(u8),
    AfterCommit(u8),
}

/// One step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) act: Act,
    pub(super) crash: Option<Crash>,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let crash = prop::option::weighted(0.15, crash());
    (act(), crash).prop_map(|(act, crash)| Step { act, crash })
}

/// What somebody can do who holds tokens that may append, and nothing else.
pub(super) fn attack() -> impl Strategy<Value = Step> {
    let who = || prop::sample::select(vec![Who::Append, Who::Limited]);
    let act = prop_oneof![
        10 => (who(), repository(), 0..FILES, sent()).prop_map(|(w, r, f, s)| Act::Put(w, r, f, s)),
        5 => (who(), repository(), 0..FILES).prop_map(|(w, r, f)| Act::Remove(w, r, f)),
        4 => (who(), repository(), claim()).prop_map(|(w, r, c)| Act::Claim(w, r, c)),
        1 => (who(), repository()).prop_map(|(w, r)| Act::Create(w, r)),
        2 => passing().prop_map(Act::Pass),
        2 => Just(Act::Purge),
        1 => Just(Act::DropLocks),
        1 => Just(Act::Reopen),
    ];
    let crash = prop::option::weighted(0.15, crash());
    (act, crash).prop_map(|(act, crash)| Step { act, crash })
}

/// The beginning of most lives: repositories that restic has made, each with a snapshot of which a
/// client tells what it needs.
pub(super) fn beginning() -> Vec<Step> {
    let put = |repository, file| Act::Put(Who::Append, repository, file, Sent::Whole);
    let acts = [0, 1].into_iter().flat_map(|repository| {
        [
            Act::Create(Who::Append, repository),
            put(repository, 2),
            put(repository, 0),
            put(repository, 7),
            put(repository, 13),
            put(repository, 16),
            Act::Claim(Who::Append, repository, honest()),
            Act::Pass(MINUTE_MS),
        ]
    });
    acts.map(|act| Step { act, crash: None }).collect()
}

/// What is told at the beginning: snapshot 16 needs a key, a pack and an index file.
fn honest() -> Claim {
    Claim {
        client: 1,
        snapshot: 16,
        files: vec![2, 7, 13],
        config: 0,
        told: Told::Anew,
    }
}

fn act() -> impl Strategy<Value = Act> {
    let who = || prop::sample::select(Who::ALL.to_vec());
    let writer = || prop::sample::select(vec![Who::Append, Who::Limited, Who::Maintain]);
    let claimant = || prop::sample::select(vec![Who::Append, Who::Maintain, Who::Report]);
    let since = || prop::option::weighted(0.8, any::<prop::sample::Index>());
    let range = || prop::option::of((0..500_u64, 0..500_u64));
    prop_oneof![
        1 => (who(), repository()).prop_map(|(w, r)| Act::Create(w, r)),
        14 => (writer(), repository(), 0..FILES, sent())
            .prop_map(|(w, r, f, s)| Act::Put(w, r, f, s)),
        3 => (who(), repository(), 0..FILES, sent()).prop_map(|(w, r, f, s)| Act::Put(w, r, f, s)),
        8 => (repository(), 0..FILES).prop_map(|(r, f)| Act::Remove(Who::Maintain, r, f)),
        3 => (who(), repository(), 0..FILES).prop_map(|(w, r, f)| Act::Remove(w, r, f)),
        2 => (who(), repository(), 0..FILES, range()).prop_map(|(w, r, f, x)| Act::Get(w, r, f, x)),
        1 => (who(), repository(), 0..6_u8).prop_map(|(w, r, k)| Act::List(w, r, k)),
        2 => (repository(), prop::option::of(writer()), since(), since())
            .prop_map(|(r, w, s, u)| Act::Undelete(r, w, s, u)),
        1 => (repository(), 0..FILES).prop_map(|(r, f)| Act::UndeleteOne(r, f)),
        2 => (writer(), since()).prop_map(|(w, s)| Act::Hide(w, s)),
        1 => writer().prop_map(Act::Unhide),
        1 => (repository(), 2..7_u8).prop_map(|(r, f)| Act::Admit(r, f)),
        1 => who().prop_map(Act::Revoke),
        2 => who().prop_map(Act::Renew),
        1 => repository().prop_map(Act::Agree),
        1 => (repository(), prop::option::of(0..80_000_u64)).prop_map(|(r, q)| Act::Quota(r, q)),
        1 => repository().prop_map(Act::Raise),
        1 => Just(Act::DropLocks),
        4 => (claimant(), repository(), claim()).prop_map(|(w, r, c)| Act::Claim(w, r, c)),
        1 => (who(), repository(), claim()).prop_map(|(w, r, c)| Act::Claim(w, r, c)),
        1 => claimant().prop_map(Act::Forget),
        3 => (repository(), 2..20_u8, rot()).prop_map(|(r, f, how)| Act::Rot(r, f, how)),
        2 => Just(Act::Scrub),
        4 => Just(Act::Purge),
        1 => Just(Act::Publish),
        6 => passing().prop_map(Act::Pass),
        1 => (jump(), any::<bool>()).prop_map(|(ms, is_seen)| Act::Jump(ms, is_seen)),
        1 => prop::sample::select(vec![MINUTE_MS, DAY_MS, 40 * DAY_MS]).prop_map(Act::Off),
        2 => Just(Act::Confirm),
        1 => Just(Act::Reopen),
    ]
}

fn repository() -> impl Strategy<Value = usize> {
    0..REPOSITORIES.len()
}

/// What is named is there, was there, comes later, or never; the snapshot as well.
fn claim() -> impl Strategy<Value = Claim> {
    let named = prop_oneof![14 => 2..16_u8, 1 => NEVER..NEVER + 3];
    let files = prop::collection::vec(named, 0..7);
    let snapshot = prop_oneof![8 => 16..20_u8, 1 => Just(NEVER + 3)];
    let client = prop_oneof![5 => Just(1_u8), 1 => Just(2_u8)];
    let config = prop_oneof![5 => Just(0_u8), 1 => Just(1_u8)];
    let told = prop_oneof![
        3 => Just(Told::Anew),
        5 => (0..3_usize).prop_map(Told::Behind),
        1 => Just(Told::Astray),
        1 => Just(Told::Unknown),
        1 => Just(Told::Again),
    ];
    let parts = (client, snapshot, files, config, told);
    parts.prop_map(|(client, snapshot, files, config, told)| Claim {
        client,
        snapshot,
        files,
        config,
        told,
    })
}

fn rot() -> impl Strategy<Value = Rot> {
    prop::sample::select(vec![Rot::Changed, Rot::Short, Rot::Missing])
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![8 => Just(Sent::Whole), 1 => Just(Sent::Wrong), 1 => Just(Sent::Half)]
}

fn passing() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![SECOND_MS, MINUTE_MS, 31 * MINUTE_MS, 2 * HOUR_MS])
}

fn jump() -> impl Strategy<Value = i64> {
    let years = 3_652 * DAY_MS;
    prop::sample::select(vec![-DAY_MS, -SECOND_MS, 10 * SECOND_MS, DAY_MS, years])
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::Stage),
        Just(Crash::Write),
        Just(Crash::BeforePublish),
        Just(Crash::AfterPublish),
        Just(Crash::Settled),
        Just(Crash::BeforeRemove),
        Just(Crash::AfterRemove),
        (0..3_u8).prop_map(Crash::BeforeCommit),
        (0..3_u8).prop_map(Crash::AfterCommit),
    ]
}
