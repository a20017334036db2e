//! One sync, part by part: keys, packs, index files, snapshots.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::Repository;

use crate::Result;
use crate::known::Lost;
use crate::listing::shared_keys;
use crate::parallel::for_each;
use crate::progress::Progress;
use crate::session::Cancel;
use crate::sync::budget::Budget;
use crate::sync::deliver::{Delivery, Refusal};
use crate::sync::fetch::Fetched;
use crate::sync::lane::Lane;
use crate::sync::plan::{Item, Side, plan};
use crate::sync::report::{Diverged, Junk, SyncProblem, SyncProblemKind, SyncReport};
use crate::sync::{SyncCopy, SyncOptions};
use crate::verify::content::{self, Content};

/// A sync at work.
pub(crate) struct Run<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) options: &'a SyncOptions,
    pub(crate) progress: &'a Progress,
    pub(crate) cancel: &'a Cancel,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) budget: Budget,
    pub(crate) findings: Mutex<Findings>,
}

/// What was found that concerns no single copy.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<SyncProblem>,
    pub(crate) junk: Vec<Junk>,
    pub(crate) diverged: Vec<Diverged>,
}

impl<'a> Run<'a> {
    /// Nothing is done yet.
    pub(crate) fn new(
        repository: &'a Repository,
        copies: Vec<SyncCopy>,
        options: &'a SyncOptions,
        progress: &'a Progress,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            repository,
            options,
            progress,
            cancel,
            lanes: copies.into_iter().map(Lane::new).collect(),
            budget: Budget::new(options.memory_bytes.max(1)),
            findings: Mutex::default(),
        }
    }

    /// Brings everything, in the order in which it depends on one another, until it is done or the
    /// user interrupts.
    pub(crate) fn bring_all(&mut self) -> Result<()> {
        self.find_divergence();
        self.bring_keys()?;
        self.mend_config();
        self.bring_packs()?;
        self.bring_index_files()?;
        self.bring_snapshots()
    }

    /// Brings the keys that something speaks for.
    fn bring_keys(&mut self) -> Result<()> {
        self.bring(FileType::Keys, |run, fetched, _| match fetched.name.id() {
            Some(id) if run.is_proven_key(id) => Ok(()),
            _ => Err(Refusal::Silent),
        })
    }

    /// Brings the packs.
    fn bring_packs(&mut self) -> Result<()> {
        self.bring(FileType::Data, |_, _, _| Ok(()))
    }

    /// Brings each index file to the copies that have all packs that it names.
    fn bring_index_files(&mut self) -> Result<()> {
        self.bring(FileType::Index, |run, fetched, lane| {
            match &fetched.content {
                Content::Index(file) => run.check_packs(file, lane).map_err(Refusal::Because),
                _ => Err(Refusal::Silent),
            }
        })
    }

    /// Brings each snapshot to the copies that have everything that it refers to.
    fn bring_snapshots(&mut self) -> Result<()> {
        let items = self.plan(FileType::Snapshots);
        self.begin(FileType::Snapshots, &items);
        let fetched = Mutex::new(Vec::new());
        for_each(&items, self.options.transfers, |item| {
            self.cancel.check()?;
            let _permit = self.budget.take(item.size_bytes);
            fetched.lock().extend(self.fetch(item));
            Ok(())
        })?;
        let mut fetched = fetched.into_inner();
        fetched.extend(self.homeless_snapshots());
        let mut refused: HashMap<(usize, FileName), String> = HashMap::new();
        for (number, lane) in self.lanes.iter().enumerate() {
            let wanted = fetched.iter().filter(|fetched| fetched.is_for(number));
            for (name, reason) in self.find_incomplete(lane, wanted)? {
                refused.insert((number, name), reason);
            }
        }
        for_each(&fetched, self.options.transfers, |fetched| {
            self.cancel.check()?;
            self.deliver(fetched, |number| {
                match refused.get(&(number, fetched.name)) {
                    Some(reason) => Err(Refusal::Because(reason.clone())),
                    None => Ok(()),
                }
            });
            Ok(())
        })?;
        self.lanes.iter_mut().for_each(Lane::settle);
        Ok(())
    }

    /// Snapshots that were just made and that no copy has.
    fn homeless_snapshots(&self) -> Vec<Fetched> {
        let of_snapshots = self.options.new_snapshots.iter();
        let named =
            of_snapshots.map(|(id, bytes)| (FileName::new(FileType::Snapshots, *id), bytes));
        let homeless = named.filter(|(name, _)| {
            let mut lanes = self.lanes.iter();
            !lanes.any(|lane| lane.size_of(*name).is_some())
        });
        homeless
            .filter_map(|(name, bytes)| {
                let content = content::decode(name.kind(), bytes, self.repository.key()).ok()?;
                Some(Fetched {
                    name,
                    bytes: Arc::new(bytes.clone()),
                    content,
                    lacking: (0..self.lanes.len()).collect(),
                    wrong: Vec::new(),
                })
            })
            .collect()
    }

    /// Brings all files of a type, as far as `admit` lets each copy have them.
    fn bring(
        &mut self,
        kind: FileType,
        admit: impl Fn(&Self, &Fetched, &Lane) -> Delivery + Sync,
    ) -> Result<()> {
        let items = self.plan(kind);
        self.begin(kind, &items);
        for_each(&items, self.options.transfers, |item| {
            self.cancel.check()?;
            let _permit = self.budget.take(item.size_bytes);
            if let Some(fetched) = self.fetch(item) {
                self.deliver(&fetched, |number| match self.lanes.get(number) {
                    Some(lane) => admit(self, &fetched, lane),
                    None => Err(Refusal::Silent),
                });
            }
            Ok(())
        })?;
        self.lanes.iter_mut().for_each(Lane::settle);
        Ok(())
    }

    fn begin(&self, kind: FileType, items: &[Item]) {
        let sizes = items.iter().map(|item| item.size_bytes);
        let bytes = sizes.fold(0, u64::saturating_add);
        let phase = format!("sync {}", kind.folder());
        self.progress
            .begin(phase, Some(items.len() as u64), Some(bytes));
    }

    /// Whether a key travels: a key that merely looks like one may be anybody's.
    pub(crate) fn is_proven_key(&self, id: Id) -> bool {
        !self.is_removed_key(id)
            && (id == self.repository.key_id() || self.options.known_keys.contains(&id))
    }

    /// Whether a key was removed on purpose; old receipts may still name it.
    pub(crate) fn is_removed_key(&self, id: Id) -> bool {
        self.options.removed_keys.contains(&id)
    }

    /// The copies that have a file right as far as is known, those on this machine first.
    pub(crate) fn holders(&self, name: FileName) -> Vec<&Lane> {
        let mut holders: Vec<_> = self
            .lanes
            .iter()
            .filter(|lane| lane.can_give(name))
            .collect();
        holders.sort_by_key(|lane| !lane.copy.is_local);
        holders
    }

    pub(crate) fn problem(&self, name: FileName, kind: SyncProblemKind) {
        self.progress.add_error();
        let problem = SyncProblem { name, kind };
        tracing::warn!(%problem, "A file was not synced");
        self.findings.lock().problems.push(problem);
    }

    pub(crate) fn into_report(mut self, was_interrupted: bool) -> SyncReport {
        self.lanes.iter_mut().for_each(Lane::settle);
        let mut lacking: Vec<BTreeMap<FileType, u64>> = vec![BTreeMap::new(); self.lanes.len()];
        let without_source: BTreeSet<FileName> = {
            let findings = self.findings.lock();
            let nowhere = findings
                .problems
                .iter()
                .filter(|problem| matches!(problem.kind, SyncProblemKind::NowhereWhole { .. }));
            let junk = findings.junk.iter().map(|junk| junk.name);
            nowhere.map(|problem| problem.name).chain(junk).collect()
        };
        for kind in FileType::SYNCED {
            for item in self.plan_but(kind, |number, key| self.is_no_lack(number, key)) {
                if without_source.contains(&item.name) {
                    continue;
                }
                for number in item.lacking {
                    if let Some(lacking) = lacking.get_mut(number) {
                        *lacking.entry(kind).or_default() += 1;
                    }
                }
            }
        }
        let findings = self.findings.into_inner();
        let lanes = self.lanes.into_iter().zip(lacking);
        SyncReport {
            copies: lanes
                .map(|(lane, lacking)| lane.into_report(lacking))
                .collect(),
            problems: findings.problems,
            junk: findings.junk,
            diverged: findings.diverged,
            lost: Lost::default(),
            accepted: BTreeSet::new(),
            not_on: Vec::new(),
            was_interrupted,
        }
    }

    /// What is to be done with the files of a type. A copy that diverged still gets keys; none gets
    /// a key that its vault holds for an operator.
    fn plan(&self, kind: FileType) -> Vec<Item> {
        self.plan_but(kind, |number, key| self.waits_for_an_operator(number, key))
    }

    /// The same, where `is_left_out` says which keys a copy is not to be brought.
    fn plan_but(&self, kind: FileType, is_left_out: impl Fn(usize, FileName) -> bool) -> Vec<Item> {
        let sides: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| Side {
                listing: &lane.listing,
                suspects: &lane.doubts,
                takes_part: !lane.is_diverged || kind == FileType::Keys,
            })
            .collect();
        let mut items = plan(kind, &sides);
        if kind == FileType::Keys {
            for item in &mut items {
                let name = item.name;
                item.lacking.retain(|number| !is_left_out(*number, name));
            }
            items.retain(|item| !item.lacking.is_empty() || !item.doubtful.is_empty());
        }
        items
    }

    /// Whether a copy is none the worse for a key that it does not list: it waits for an operator,
    /// beside another that opens the copy. Where none is listed, or only what nobody else knows or
    /// what the copy did not give, nobody opens it.
    fn is_no_lack(&self, number: usize, key: FileName) -> bool {
        let Some(lane) = self.lanes.get(number) else {
            return false;
        };
        if !self.waits_for_an_operator(number, key) {
            return false;
        }
        let shared = shared_keys(self.lanes.iter().map(|lane| &lane.listing));
        let opens = |id: Id| self.is_proven_key(id) || shared.contains(&id);
        let mut listed = lane.listing.keys.iter().map(|entry| entry.id);
        listed.any(|id| opens(id) && lane.gives(FileName::new(FileType::Keys, id)))
    }

    /// Whether a copy's vault holds a key that it does not list yet.
    fn waits_for_an_operator(&self, number: usize, key: FileName) -> bool {
        let lane = self.lanes.get(number);
        let pending = lane.and_then(|lane| self.options.pending_keys.get(&lane.copy.name));
        let id = key.id();
        pending.is_some_and(|pending| id.is_some_and(|id| pending.contains(&id)))
    }
}
