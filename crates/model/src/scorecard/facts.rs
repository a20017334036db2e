//! What has to be looked up before the rules can decide.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::account::Account;
use crate::address::StoreAddress;
use crate::blast::PlaceKey;
use crate::config::BackupCopy;
use crate::evidence::{CopyEvidence, RestoreDrill};
use crate::id::Id;
use crate::name::Name;

/// All facts; what is missing counts as not looked at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of each source.
    pub sources: BTreeMap<Name, SourceFacts>,
    /// Of each copy.
    pub copies: BTreeMap<Name, CopyFacts>,
    /// A rehearsed restore that an earlier version noted, which tells of no copy: those that do are
    /// in the evidence of their copies.
    pub restore_drill: Option<RestoreDrill>,
    /// What was there once and no copy lists any more.
    pub lost: Option<LostFiles>,
    /// The repositories that were seen on copies before the one that is there now, and that nobody has
    /// accepted as given up.
    pub replaced: Vec<Replaced>,
}

/// A repository that was seen on copies before the one that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Which they are, and where, in one line.
    pub reason: String,
    /// The next step for a person.
    pub mend: String,
}

/// Files that records name and no copy lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostFiles {
    /// Which they are, in one line.
    pub reason: String,
    /// The next step for a person.
    pub mend: String,
    /// Whether every copy was listed, so that none may have them.
    pub is_certain: bool,
}

/// What was found of a source.
#[derive(Clone, Debug, Default)]
pub struct SourceFacts {
    /// The devices on which its paths lie, down to the disks.
    pub devices: BTreeSet<DeviceId>,
}

/// What was found of a copy.
#[derive(Clone, Debug)]
pub struct CopyFacts {
    /// Why it cannot be reached, in one line and without secrets; `None` where it can.
    pub unreachable: Option<String>,
    /// Where it really is.
    pub location: Location,
    /// Of each source the newest snapshot that it holds, and, where that is not whole, also the
    /// newest whole one; more do no harm.
    pub snapshots: Vec<HeldSnapshot>,
    /// What the state folder remembers.
    pub evidence: CopyEvidence,
    /// What it holds that was never read; `None` where that is not known.
    pub unread: Option<Unread>,
    /// What it had, as was seen, and others still have.
    pub gone: Option<Gone>,
    /// The other copies that were shown to be this very place under another address, and when.
    pub one_place: BTreeMap<Name, Timestamp>,
    /// When it was last shown to withstand production's credentials.
    pub lock_proven: Option<Timestamp>,
    /// What is known of the locks on its files; `None` where nothing is.
    pub locked: Option<LockedFiles>,
    /// What tells the credential with which a bucket is asked from others; that of a server stands
    /// in its address.
    pub credential: Option<Id>,
    /// The accounts at providers that rule the place, by all names that it tells of them.
    pub accounts: Vec<Account>,
    /// The key of an account that encrypts what is put there, where there is one.
    pub key: Option<PlaceKey>,
    /// The account of production, where the vault that holds the copy runs in that very account.
    pub in_production: Option<Account>,
    /// The account in which the vault runs that holds the copy, whoever's that is.
    pub runs_in: Option<Account>,
    /// The account of production, where the objects of that vault lie in that very account.
    pub objects_in_production: Option<Account>,
    /// The accounts in which the objects of that vault lie, as it says, whoever's those are.
    pub objects_in: Vec<Account>,
    /// What raised an alarm about the log of the vault that holds it, in one line; stays until
    /// somebody has accepted the log as it is.
    pub alarm: Option<String>,
}

/// Until when the files of a copy are locked, as its place has shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedFiles {
    /// When the first of the locks ends.
    pub until: Timestamp,
    /// Since when each look has shown all of it locked; `None` where that is not known.
    pub since: Option<Timestamp>,
    /// Of how many files less is left than `lock` of the copy demands.
    pub short: u64,
    /// How many files that its newest whole snapshots need are not known to be locked any more.
    pub unlocked: u64,
}

/// Files that came to a copy after it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// How many.
    pub files: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// Index files and snapshots that a copy had, does not list any more, and others still have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// How many.
    pub files: u64,
    /// Whether it lists index files that no other copy has, as after a prune of this copy alone.
    pub is_pruned: bool,
}

/// A filesystem device, as `st_dev` names it, or what several of these share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceId(pub u64);

/// Where a copy really is, whatever its `site` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder {
        /// The filesystem device, and all devices below it down to the disks; none where it could
        /// not be asked.
        devices: BTreeSet<DeviceId>,
        /// Whether it is in memory, and gone with the power.
        in_memory: bool,
    },
    /// A server.
    Server {
        /// Its host, by the address it resolves to, or else by its name.
        host: String,
        /// Whether that is this machine; `None` where the name does not resolve, or where it is
        /// behind `link`.
        here: Option<bool>,
        /// The virtual interface that leads straight there, as to containers of this machine.
        link: Option<String>,
    },
}

/// A snapshot that a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSnapshot {
    /// Of which source.
    pub source: Name,
    /// The id of its file.
    pub id: Id,
    /// The time that it claims.
    pub time: Timestamp,
    /// How many files of the source could not be read for it.
    pub source_errors: u64,
    /// Whether the copy holds everything that it needs.
    pub wholeness: Wholeness,
}

/// Whether a copy holds everything that a snapshot needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wholeness {
    /// It does.
    Whole,
    /// It lacks files.
    Behind {
        /// How many.
        files: u64,
    },
    /// It could not be found out.
    Unknown {
        /// Why, in one line.
        reason: String,
    },
}

impl CopyFacts {
    /// What the configuration alone tells of a copy.
    pub fn of(copy: &BackupCopy) -> Self {
        Self {
            unreachable: None,
            location: Location::of(&copy.store),
            snapshots: Vec::new(),
            evidence: CopyEvidence::default(),
            unread: None,
            gone: None,
            one_place: BTreeMap::new(),
            lock_proven: None,
            locked: None,
            credential: None,
            accounts: Vec::new(),
            key: None,
            in_production: None,
            runs_in: None,
            objects_in_production: None,
            objects_in: Vec::new(),
            alarm: None,
        }
    }
}

impl Location {
    /// What the address alone tells.
    pub fn of(store: &StoreAddress) -> Self {
        match store {
            StoreAddress::Local(_) => Self::Folder {
                devices: BTreeSet::new(),
                in_memory: false,
            },
            StoreAddress::Rest(address) => Self::server(address.url(), address.is_loopback()),
            StoreAddress::S3(address) => Self::server(address.service(), address.is_loopback()),
        }
    }

    fn server(url: &Url, is_loopback: bool) -> Self {
        Self::Server {
            host: url.host_str().unwrap_or_default().to_owned(),
            here: is_loopback.then_some(true),
            link: None,
        }
    }

    /// Whether two copies lie on different devices; `None` where that cannot be told.
    pub(super) fn apart(&self, other: &Self) -> Option<bool> {
        let here = |location: &Self| match location {
            Self::Folder { .. } => Some(true),
            Self::Server { here, .. } => *here,
        };
        match (self, other) {
            (Self::Folder { devices: a, .. }, Self::Folder { devices: b, .. })
                if !a.is_empty() && !b.is_empty() =>
            {
                Some(a.is_disjoint(b))
            }
            (Self::Server { host: a, .. }, Self::Server { host: b, .. }) if a == b => None,
            // Of two things on one machine nothing but devices can tell.
            _ => match (here(self)?, here(other)?) {
                (true, true) => None,
                _ => Some(true),
            },
        }
    }
}
