//! What must come of receipts: what they keep from being purged, and what they show to be missing.
//!
//! The model keeps of each receipt all that it names, and no differences: so what the vault makes of
//! these is compared with sets.

use std::collections::BTreeSet;

use serde_json::json;
use strongroom_model::receipt::NeedsChange;
use strongroom_model::{FileName, FileType, Id, Needs, Receipt};
use strongroom_vault::rules::life::State;
use strongroom_vault::rules::quota::counted_bytes;
use strongroom_vault::rules::right;

use crate::signing::{Client, needs};
use crate::vault::model::acts::{Claim, REPOSITORIES, Told, Who, file, name_of};
use crate::vault::model::expected::{Model, Outcome, Reply, Repository};

/// A receipt that is signed.
#[derive(Clone, Debug)]
pub(in crate::vault::model) struct Signed {
    client: u8,
    pub(in crate::vault::model) id: Id,
    receipt: Receipt,
    /// What is sent of it, and how many bytes of that are kept.
    pub(in crate::vault::model) request: Vec<u8>,
    bytes: u64,
}

/// A receipt that was taken.
#[derive(Clone, Debug)]
pub(in crate::vault::model) struct Taken {
    pub(in crate::vault::model) signed: Signed,
    /// The name of the token that brought it.
    pub(in crate::vault::model) token: String,
    /// All that it names beside the snapshot.
    needs: Needs,
    /// Whether it is kept as it was sent: as long as its snapshot is not purged.
    is_kept: bool,
    /// When it came, by vault time.
    arrived_ms: i64,
    /// Whether a later one of its snapshot holds things back in its stead.
    is_replaced: bool,
    /// The leaf that tells of it, and whether its token was hidden from then on.
    put: u64,
    is_silenced: bool,
}

/// A receipt that takes the place of older ones: the place of its client, and its own.
pub(in crate::vault::model) type Replacing = (usize, usize);

impl Taken {
    pub(in crate::vault::model) fn snapshot(&self) -> FileName {
        FileName::new(FileType::Snapshots, self.signed.receipt.snapshot)
    }

    pub(super) fn kept_bytes(&self) -> u64 {
        match self.is_kept {
            true => self.signed.bytes,
            false => 0,
        }
    }
}

impl Repository {
    /// All receipts, those of one client after those of the other.
    pub(super) fn receipts(&self) -> impl Iterator<Item = &Taken> {
        self.lineages.iter().flat_map(|(_, taken)| taken)
    }

    fn of_client(&self, client: u8) -> &[Taken] {
        let found = self.lineages.iter().find(|(of, _)| *of == client);
        let taken = found.map(|(_, taken)| taken.as_slice());
        taken.unwrap_or_default()
    }

    fn take(&mut self, taken: Taken) {
        let client = taken.signed.client;
        match self.lineages.iter_mut().find(|(of, _)| *of == client) {
            Some((_, before)) => before.push(taken),
            None => self.lineages.push((client, vec![taken])),
        }
    }

    /// What no purge may begin to remove: what any receipt named, last or not, whose snapshot is
    /// stored, seen or not, and in whose stead no later one holds things back.
    pub(in crate::vault::model) fn named(&self) -> BTreeSet<FileName> {
        let holding = self.receipts().filter(|taken| self.holds_back(taken));
        let named = holding.flat_map(|taken| taken.needs.files());
        named.filter(|name| *name != FileName::CONFIG).collect()
    }

    fn holds_back(&self, taken: &Taken) -> bool {
        let snapshot = self.objects.get(&taken.snapshot());
        let is_stored = snapshot.is_some_and(|object| object.state != State::Purging);
        is_stored && !taken.is_replaced
    }

    /// The receipts that came until then and take the places of older ones, the newest first.
    pub(in crate::vault::model) fn replacing(&self, arrived_ms: i64) -> Vec<Replacing> {
        let mut found = Vec::new();
        for (client, (_, taken)) in self.lineages.iter().enumerate() {
            for (place, newer) in taken.iter().enumerate() {
                let mut older = taken.iter().take(place).rev();
                let before = older.find(|older| older.snapshot() == newer.snapshot());
                if newer.arrived_ms <= arrived_ms
                    && self.holds_back(newer)
                    && !newer.is_silenced
                    && before.is_some_and(|before| !before.is_replaced)
                    && self.is_restorable(newer)
                {
                    found.push((newer.arrived_ms, client, place));
                }
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        let places = found.into_iter().map(|(_, client, place)| (client, place));
        places.collect()
    }

    /// Whether a receipt names a key that opens, index files and packs, and all of these two are stored,
    /// deleted or not; and its snapshot and `config` are what is seen.
    fn is_restorable(&self, taken: &Taken) -> bool {
        let is_in = |name: FileName, states: &[State]| {
            let object = self.objects.get(&name);
            object.is_some_and(|object| states.contains(&object.state) && object.mark.is_none())
        };
        let of = |kind: FileType| taken.needs.files().filter(move |name| name.kind() == kind);
        let are_stored = [FileType::Index, FileType::Data].into_iter().all(|kind| {
            let is_stored = |name| is_in(name, &[State::Live, State::Tombstoned]);
            of(kind).count() > 0 && of(kind).all(is_stored)
        });
        let missing = self.missing(taken);
        are_stored
            && of(FileType::Keys).any(|name| is_in(name, &[State::Live]))
            && !missing.contains(&taken.snapshot())
            && !missing.contains(&FileName::CONFIG)
    }

    /// Has a receipt hold things back in the stead of older ones; how many of these it were.
    fn replace(&mut self, (client, place): Replacing) -> u64 {
        let (_, taken) = &mut self.lineages[client];
        let snapshot = taken[place].snapshot();
        let mut replaced = 0;
        for older in &mut taken[..place] {
            if older.snapshot() == snapshot && !older.is_replaced {
                older.is_replaced = true;
                replaced += 1;
            }
        }
        replaced
    }

    /// Whether a file is here to whoever needs it.
    pub(in crate::vault::model) fn is_sound_here(&self, name: FileName) -> bool {
        self.objects.get(&name).is_some_and(|object| {
            let is_here = match object.state {
                State::Live => true,
                // It is stored; that it opens nothing is another thing.
                State::Pending => name.kind() == FileType::Keys,
                State::Tombstoned | State::Hidden | State::Purging => false,
            };
            is_here && object.mark.is_none()
        })
    }

    /// What is missing of what a receipt names, the snapshot itself among it.
    pub(in crate::vault::model) fn missing(&self, taken: &Taken) -> BTreeSet<FileName> {
        let files = taken.needs.files();
        let named: Vec<_> = files.filter(|name| *name != FileName::CONFIG).collect();
        let all = named.iter().copied().chain([taken.snapshot()]);
        let mut missing: BTreeSet<_> = all.filter(|name| !self.is_sound_here(*name)).collect();
        let config = self.config.as_ref().map(|config| Id::of(config));
        if config != Some(taken.needs.config) {
            missing.insert(FileName::CONFIG);
        }
        // Of the keys that are here one has to open something.
        let is_key = |name: &FileName| name.kind() == FileType::Keys && self.is_sound_here(*name);
        let keys: Vec<_> = named.into_iter().filter(is_key).collect();
        let opens = |name: &FileName| self.objects[name].state == State::Live;
        if !keys.iter().any(opens) {
            missing.extend(keys);
        }
        missing
    }

    /// The receipts that are told of, in their order: of each live snapshot the newest of each client,
    /// and that of the newest snapshot of each client until it is purged.
    pub(in crate::vault::model) fn told_of(&self) -> Vec<&Taken> {
        let is_live = |taken: &Taken| {
            let snapshot = self.objects.get(&taken.snapshot());
            snapshot.is_some_and(|object| object.state == State::Live)
        };
        let was_purged = |taken: &Taken| {
            let snapshot = taken.snapshot();
            self.purged.contains_key(&snapshot) && !self.objects.contains_key(&snapshot)
        };
        let mut told = Vec::new();
        for (_, lineage) in &self.lineages {
            let newest = newest_of(lineage);
            for (place, taken) in lineage.iter().enumerate() {
                let mut newer = lineage.iter().skip(place + 1);
                let is_said_anew = newer.any(|newer| newer.snapshot() == taken.snapshot());
                let counts = is_live(taken) && !is_said_anew;
                if counts || (place == newest && !was_purged(taken)) {
                    told.push(taken);
                }
            }
        }
        told
    }

    /// What a token has said from a leaf on takes no place of what was said before.
    pub(super) fn silence(&mut self, token: &str, since: u64) {
        let receipts = self.lineages.iter_mut().flat_map(|(_, taken)| taken);
        for taken in receipts.filter(|taken| taken.token == token && taken.put >= since) {
            taken.is_silenced = true;
        }
    }

    /// What it has said counts again.
    pub(super) fn let_speak(&mut self, token: &str) {
        let receipts = self.lineages.iter_mut().flat_map(|(_, taken)| taken);
        for taken in receipts.filter(|taken| taken.token == token) {
            taken.is_silenced = false;
        }
    }

    /// A snapshot was purged: what was sent of its receipts is not kept, what they named stays named,
    /// and all of them count should it ever come again.
    pub(super) fn let_receipts_go(&mut self, snapshot: FileName) {
        let receipts = self.lineages.iter_mut().flat_map(|(_, taken)| taken);
        for taken in receipts.filter(|taken| taken.snapshot() == snapshot) {
            taken.is_kept = false;
            taken.is_replaced = false;
        }
    }
}

impl Model {
    /// What a client sends who makes this up.
    pub(in crate::vault::model) fn sign(&self, repository: usize, claim: &Claim) -> Signed {
        let before = self.repositories[repository].of_client(claim.client);
        let last = before.last();
        if let (Told::Again, Some(last)) = (claim.told, last) {
            return last.signed.clone();
        }
        let (parent, base) = match claim.told {
            Told::Anew | Told::Again => (None, Needs::default()),
            Told::Astray => (last.map(|last| last.signed.id), Needs::default()),
            Told::Unknown => (Some(Id::of(b"never sent")), Needs::default()),
            Told::Behind(behind) => {
                let place = before.len().checked_sub(behind + 1);
                let parent = place.map(|place| &before[place]);
                let base = parent.map(|parent| parent.needs.clone());
                (
                    parent.map(|parent| parent.signed.id),
                    base.unwrap_or_default(),
                )
            }
        };
        let files: Vec<_> = claim.files.iter().map(|number| name_of(*number)).collect();
        let (_, config) = file(claim.config);
        let change = NeedsChange::between(&base, &needs(&files, &config));
        let client = Client::new(claim.client);
        let receipt = client.receipt(name_of(claim.snapshot), parent, change);
        let signed = client.sign(&receipt);
        Signed {
            client: claim.client,
            id: signed.id(),
            request: client.request(&signed),
            bytes: signed.to_json().unwrap().len() as u64,
            receipt,
        }
    }

    pub(in crate::vault::model) fn claim(
        &mut self,
        who: Who,
        repository: usize,
        signed: &Signed,
    ) -> Outcome {
        let token = self.authorise(who, repository, right::Act::Report)?;
        let found = self.there(repository)?;
        // While it is on its way it counts as an object.
        let objects = found.objects.len() as u64 + 1;
        let after = counted_bytes(objects, found.bytes() + signed.request.len() as u64);
        if found.quota.is_some_and(|quota| after > quota) {
            return Err("full");
        }
        let bound = self.tokens[token].client;
        if bound.is_some_and(|bound| bound != signed.client) {
            return Err("other client");
        }
        let before = self.repositories[repository].of_client(signed.client);
        let is_it = |taken: &&Taken| taken.signed.id == signed.id;
        match before.iter().find(is_it) {
            Some(_) => self.bind(token, signed.client),
            None => {
                let parent = match signed.receipt.parent {
                    None => Needs::default(),
                    Some(parent) => {
                        let mut before = before.iter();
                        let found = before.find(|taken| taken.signed.id == parent);
                        found.ok_or("unknown parent")?.needs.clone()
                    }
                };
                let needs = followed(&parent, &signed.receipt.needs).ok_or("malformed")?;
                self.spend(token, signed.bytes)?;
                self.bind(token, signed.client);
                let put = self.tell_of_receipt(token, repository, signed);
                let taken = Taken {
                    signed: signed.clone(),
                    token: self.tokens[token].name.clone(),
                    needs,
                    is_kept: true,
                    arrived_ms: self.vault_ms(),
                    is_replaced: false,
                    put,
                    is_silenced: false,
                };
                self.repositories[repository].take(taken);
            }
        }
        let found = &self.repositories[repository];
        let taken = found.of_client(signed.client).iter().find(is_it);
        Ok(Reply::Count(found.missing(taken.unwrap()).len() as u64))
    }

    /// Receipts take the places of older ones of their snapshots.
    pub(in crate::vault::model) fn replace(&mut self, repository: usize, all: &[Replacing]) {
        for newer in all {
            let found = &mut self.repositories[repository];
            let replaced = found.replace(*newer);
            if replaced > 0 {
                let signed = &found.lineages[newer.0].1[newer.1].signed;
                let leaf = json!({
                    "act": "receipt-replaces",
                    "repository": REPOSITORIES[repository],
                    "snapshot": signed.receipt.snapshot,
                    "receipt": signed.id,
                    "replaced": replaced,
                });
                self.tell(leaf);
            }
        }
    }

    pub(in crate::vault::model) fn forget(&mut self, who: Who) -> Outcome {
        let token = self.token(who)?;
        let Some(client) = self.tokens[token].client.take() else {
            return Ok(Reply::Is(false));
        };
        let name = self.tokens[token].name.clone();
        let client = Client::new(client).id();
        self.tell(json!({"act": "client-key-forgotten", "token": name, "client": client}));
        Ok(Reply::Is(true))
    }

    /// Binds a token to the first client whose receipt it brings.
    fn bind(&mut self, token: usize, client: u8) {
        let is = &mut self.tokens[token];
        if is.client.is_none() {
            is.client = Some(client);
            let name = is.name.clone();
            let client = Client::new(client).id();
            self.tell(json!({"act": "client-key", "token": name, "client": client}));
        }
    }

    fn tell_of_receipt(&mut self, token: usize, repository: usize, signed: &Signed) -> u64 {
        let leaf = json!({
            "act": "receipt",
            "repository": REPOSITORIES[repository],
            "snapshot": signed.receipt.snapshot,
            "receipt": signed.id,
            "client": signed.receipt.client,
            "token": self.tokens[token].name,
        });
        self.tell(leaf)
    }
}

/// The place of the newest receipt of the snapshot that came last: what is said anew of an older one
/// makes that no newer.
fn newest_of(lineage: &[Taken]) -> usize {
    let is_first = |place: &usize| {
        let mut before = lineage.iter().take(*place);
        before.all(|older| older.snapshot() != lineage[*place].snapshot())
    };
    let newest = (0..lineage.len()).rev().find(is_first).unwrap();
    let is_newest = |taken: &Taken| taken.snapshot() == lineage[newest].snapshot();
    lineage.iter().rposition(is_newest).unwrap()
}

/// What is needed after a change; `None` where the change is none of what was needed before.
fn followed(before: &Needs, change: &NeedsChange) -> Option<Needs> {
    let follow = |before: &BTreeSet<Id>, added: &BTreeSet<Id>, dropped: &BTreeSet<Id>| {
        let belongs = added.is_disjoint(before) && dropped.is_subset(before);
        belongs.then(|| -> BTreeSet<Id> {
            let left = before.difference(dropped);
            left.chain(added).copied().collect()
        })
    };
    Some(Needs {
        packs: follow(&before.packs, &change.packs_added, &change.packs_dropped)?,
        index: follow(&before.index, &change.index_added, &change.index_dropped)?,
        keys: change.keys.clone(),
        config: change.config,
    })
}
