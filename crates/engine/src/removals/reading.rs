//! Reading records: those of the state folder first, then what the copies list beside them.
//!
//! A copy may be slow, hang, or list records without end. So what it gives is read on threads that
//! may be left behind, as every look at a copy is; each record is asked of one copy at a time, and of
//! the next only where that one did not give it; and there is a bound to their number and bytes.
//! Where it is reached, those go first that most copies list, and of these others each hour, so that
//! whoever fills the copies with records keeps none unread for ever.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_repo::record::{Claim, Record};
use strongroom_repo::{Error as RepoError, Key};
use strongroom_store::read_limit_bytes;

use crate::parallel::for_each;
use crate::receipts;
use crate::removals::clocks::Clocks;
use crate::removals::standing::{Origin, Said};
use crate::removals::{Found, MOST_BYTES, MOST_IDS, MOST_RECORDS, Removals, Stop, Telling};
use crate::session::{CopyStore, Looking, Session, chain};
use crate::state::{RecordNotes, RepositoryState, Room};

/// Where this machine keeps records, and what time it is.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    pub(crate) state: RepositoryState,
    pub(crate) now: Timestamp,
}

/// How many records are read from a copy at a time.
const READERS: usize = 8;

/// What a copy is asked for, as a verb phrase.
const ACTION: &str = "give the records that it lists";

/// A record that is listed and not known yet.
struct Wanted {
    id: Id,
    /// The copies that list it, by their numbers, each with the size in which it does; the last is
    /// asked first.
    holders: Vec<(usize, u64)>,
}

/// What came of asking a copy for a record.
enum Given {
    /// It has its name.
    Record(Vec<u8>),
    /// It could not be read right, and why; it counts for nothing in what may be read.
    Unread(String),
    /// So much was read already that it was not asked for.
    TooMuch,
}

/// Reads all records that the copies of a session list and that are not known yet, and applies what
/// all of them say to its listings.
///
/// Nothing of it fails: what cannot be read is told, and hides nothing.
pub(crate) fn gather(session: &mut Session) {
    let mut found = session.removals.found.clone();
    // What could not be read before is asked for again, and so is what time it is.
    let problems = &mut found.problems;
    problems.retain(|told| !is_asked_again(told));
    let mut keeper = session.keeper.clone();
    let clocks = keeper.as_mut().map(|keeper| {
        let places = session.copies.iter().map(|found| &found.copy);
        let clocks = Clocks::of(places, keeper.now);
        // Nobody who sets our clock back makes what is new look old.
        keeper.now = clocks.latest;
        clocks
    });
    let state = keeper.as_ref().map(|keeper| &keeper.state);
    let mut notes = state.map(RepositoryState::record_notes).unwrap_or_default();
    let before = notes.clone();
    let key = session.repository.key();
    if let Some((keeper, clocks)) = keeper.as_ref().zip(clocks) {
        found.problems.extend(clocks.apart);
        found.trust = keeper.state.trust();
        if found.now.is_none() {
            take_kept(&mut found, keeper, &mut notes, key);
        }
        match keeper.state.holds() {
            Ok(holds) => found.own_holds = holds,
            Err(error) => {
                found.stop.get_or_insert_with(|| Stop::unreadable(&error));
            }
        }
        found.now = Some(clocks.earliest);
    }
    let copies: Vec<CopyStore> = session.ready().map(|(copy, _)| copy.clone()).collect();
    let wanted = wanted(session, &mut found, &notes);
    let given = read_all(&copies, wanted, &session.looking, &mut found);
    take_given(&mut found, given, keeper.as_ref(), &mut notes, key);
    let now = keeper.as_ref().map(|keeper| keeper.now);
    let idle = now.map(|now| found.begin_again(now)).unwrap_or_default();
    notes.seen.retain(|id, _| !idle.contains(id));
    if let Some(state) = state.filter(|_| notes != before) {
        let noted = state.update_record_notes(|kept| {
            kept.seen.retain(|id, _| !idle.contains(id));
            for (id, at) in &notes.seen {
                kept.see(*id, *at);
            }
            kept.junk.extend(&notes.junk);
        });
        if let Err(error) = noted {
            tracing::warn!(
                reason = chain(&error),
                "What is known of records is not noted"
            );
        }
    }
    settle(session, found);
}

/// Whether what was told is found out anew by each look.
fn is_asked_again(told: &Telling) -> bool {
    use Telling as T;
    matches!(
        told,
        T::Unread { .. } | T::ClockAhead { .. } | T::ClockBehind { .. }
    )
}

/// Lets a session obey the records that were found, and nothing miss what they name.
pub(super) fn settle(session: &mut Session, found: Found) {
    let removals = Removals::of(found);
    if let Some(keeper) = &session.keeper
        && let Err(error) = note_gone(&removals, &keeper.state)
    {
        let reason = chain(&error);
        tracing::warn!(reason, "It is not noted what was removed on purpose");
    }
    session.removals = Arc::new(removals);
    session.settle_removals();
}

/// Takes the records of the state folder, our own first.
fn take_kept(found: &mut Found, keeper: &Keeper, notes: &mut RecordNotes, key: &Key) {
    let kept = keeper.state.kept_records().unwrap_or_else(|error| {
        tracing::warn!(
            reason = chain(&error),
            "The records kept here cannot be listed"
        );
        BTreeSet::new()
    });
    let (ours, others): (Vec<Id>, Vec<Id>) =
        kept.into_iter().partition(|id| notes.ours.contains(id));
    for id in ours.into_iter().chain(others) {
        let bytes = match keeper.state.kept_record(id) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(reason = chain(&error), "A record kept here cannot be read");
                continue;
            }
        };
        let origin = origin(id, &bytes, notes);
        match Record::open(id, bytes, key) {
            Ok(record) => {
                take(found, (id, origin), record, Some(keeper), notes);
            }
            Err(error @ RepoError::Unsupported { .. }) => pass_newer(found, (id, origin), &error),
            // A copy may have it whole.
            Err(error) => tracing::warn!(reason = chain(&error), "A record kept here is damaged"),
        }
    }
}

/// The records that copies list and that are not known yet; those that most of them list first.
fn wanted(session: &Session, found: &mut Found, notes: &RecordNotes) -> Vec<Wanted> {
    let mut wanted: BTreeMap<Id, Wanted> = BTreeMap::new();
    let mut junk = BTreeSet::new();
    let copies = session.ready().enumerate();
    for (number, (copy, ready)) in copies {
        if ready.listing.lacks_records {
            found.problems.push(Telling::Unread {
                files: Vec::new(),
                reason: format!("{} does not list what is in it", copy.name),
            });
        }
        for entry in ready.listing.records.iter() {
            if notes.junk.contains(&entry.id) && found.passed_over.insert(entry.id) {
                junk.insert(entry.id);
            }
            if !found.knows(entry.id) {
                let of_id = wanted.entry(entry.id).or_insert_with(|| Wanted {
                    id: entry.id,
                    holders: Vec::new(),
                });
                of_id.holders.push((number, entry.size_bytes));
            }
        }
    }
    if !junk.is_empty() {
        let files = junk.into_iter().collect();
        found.problems.push(Telling::Junk { files });
    }
    let mut wanted: Vec<Wanted> = wanted.into_values().collect();
    let hour = found.now.map_or(0, |now| now.as_second() / 3600);
    let turn = |id: Id| Id::of(&[id.as_bytes().as_slice(), &hour.to_le_bytes()].concat());
    wanted.sort_by_cached_key(|one| (Reverse(one.holders.len()), turn(one.id)));
    let surplus = wanted.split_off(wanted.len().min(MOST_RECORDS));
    pass_over(found, surplus.iter().map(|one| one.id));
    let is_local: Vec<bool> = session.ready().map(|(copy, _)| copy.is_local).collect();
    for one in &mut wanted {
        // The last is asked first: one on this machine.
        one.holders
            .sort_by_key(|(number, _)| is_local.get(*number).copied().unwrap_or_default());
    }
    wanted
}

/// Reads records from the copies, each from one at a time.
fn read_all(
    copies: &[CopyStore],
    mut wanted: Vec<Wanted>,
    looking: &Looking,
    found: &mut Found,
) -> Vec<(Id, Vec<u8>)> {
    let left_bytes = Arc::new(AtomicU64::new(MOST_BYTES));
    let mut read = Vec::new();
    let mut reasons: BTreeMap<Id, String> = BTreeMap::new();
    let mut too_much = BTreeSet::new();
    while !wanted.is_empty() {
        let mut shares: BTreeMap<usize, Vec<FileEntry>> = BTreeMap::new();
        for one in &wanted {
            if let Some((number, size_bytes)) = one.holders.last() {
                let entry = FileEntry {
                    id: one.id,
                    size_bytes: *size_bytes,
                };
                shares.entry(*number).or_default().push(entry);
            }
        }
        let given: Vec<(usize, Vec<(Id, Given)>)> = std::thread::scope(|scope| {
            let left_bytes = &left_bytes;
            let threads: Vec<_> = shares
                .into_iter()
                .filter_map(|(number, share)| Some((number, copies.get(number)?, share)))
                .map(|(number, copy, share)| {
                    scope.spawn(move || (number, ask(copy, share, looking, left_bytes)))
                })
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.filter_map(Result::ok).collect()
        });
        let mut done = BTreeSet::new();
        let (mut crowded, mut failing) = (BTreeSet::new(), BTreeSet::new());
        for (number, given) in given {
            for (id, given) in given {
                match given {
                    Given::Record(bytes) => {
                        done.insert(id);
                        read.push((id, bytes));
                    }
                    Given::Unread(reason) => {
                        failing.insert(number);
                        reasons.insert(id, reason);
                    }
                    Given::TooMuch => {
                        crowded.insert(id);
                    }
                }
            }
        }
        // What took the room and was not given has left it again: then the others are asked once more,
        // and whoever did not give it no more.
        if failing.is_empty() {
            too_much.append(&mut crowded);
        }
        for one in &mut wanted {
            let is_crowded = crowded.contains(&one.id);
            if !is_crowded {
                one.holders.pop();
            }
            if !crowded.is_empty() {
                one.holders.retain(|(number, _)| !failing.contains(number));
            }
            if is_crowded && one.holders.is_empty() {
                too_much.insert(one.id);
            }
        }
        wanted.retain(|one| {
            let id = one.id;
            !one.holders.is_empty() && !done.contains(&id) && !too_much.contains(&id)
        });
        reasons.retain(|id, _| !done.contains(id) && !too_much.contains(id));
    }
    pass_over(found, too_much.into_iter());
    if let Some(reason) = reasons.values().next().cloned() {
        let files = reasons.into_keys().collect();
        found.problems.push(Telling::Unread { files, reason });
    }
    read
}

/// Asks a copy for records, within the limit of a look.
fn ask(
    copy: &CopyStore,
    share: Vec<FileEntry>,
    looking: &Looking,
    left_bytes: &Arc<AtomicU64>,
) -> Vec<(Id, Given)> {
    let (asked, left_bytes) = (share.clone(), Arc::clone(left_bytes));
    let cancel = looking.cancel.clone();
    let given = looking.asking(copy, ACTION, move |copy| {
        let given = Mutex::new(Vec::new());
        let outcome = for_each(&asked, READERS, |entry| {
            cancel.check()?;
            let one = read(copy, *entry, &left_bytes);
            given.lock().push((entry.id, one));
            Ok(())
        });
        if let Err(error) = outcome {
            tracing::debug!(reason = chain(&error), "Not all records were asked for");
        }
        Ok(given.into_inner())
    });
    given.unwrap_or_else(|failure| {
        let unread = |entry: FileEntry| (entry.id, Given::Unread(failure.reason.clone()));
        share.into_iter().map(unread).collect()
    })
}

fn read(copy: &CopyStore, entry: FileEntry, left_bytes: &AtomicU64) -> Given {
    let size_bytes = entry.size_bytes;
    // Another copy may have it in the size of a record.
    if size_bytes > read_limit_bytes(FileType::Records) {
        return Given::Unread("it is larger than any record".to_owned());
    }
    let take = |left: u64| left.checked_sub(size_bytes);
    let taken = left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    if taken.is_err() {
        return Given::TooMuch;
    }
    let name = FileName::new(FileType::Records, entry.id);
    // No more is read than was listed, and counted.
    let reason = match copy.store.read_range(name, 0..size_bytes) {
        Ok(bytes) if Id::of(&bytes) == entry.id => return Given::Record(bytes),
        Ok(_) => "its content does not have its name".to_owned(),
        Err(error) => chain(&error),
    };
    left_bytes.fetch_add(size_bytes, Ordering::Relaxed);
    Given::Unread(reason)
}

/// Takes what copies gave.
fn take_given(
    found: &mut Found,
    given: Vec<(Id, Vec<u8>)>,
    keeper: Option<&Keeper>,
    notes: &mut RecordNotes,
    key: &Key,
) {
    if given.is_empty() {
        return;
    }
    let mut junk = Vec::new();
    let room = keeper.map(|keeper| keeper.state.room_for_records());
    let mut room = room.and_then(|room| {
        let told = room.inspect_err(|error| {
            tracing::warn!(reason = chain(error), "No record of others is kept here");
        });
        told.ok()
    });
    for (id, bytes) in given {
        let origin = origin(id, &bytes, notes);
        match Record::open(id, bytes.clone(), key) {
            Ok(record) => {
                let is_taken = take(found, (id, origin), record, keeper, notes);
                let is_accepted = origin.is_accepted(id, &found.trust);
                let has_room = |room: &mut Room| room.take(bytes.len() as u64);
                let is_kept = is_taken && (is_accepted || room.as_mut().is_some_and(has_room));
                let kept = keeper.filter(|_| is_kept);
                let kept = kept.map(|keeper| keeper.state.keep_record(id, &bytes));
                if let Some(Err(error)) = kept {
                    tracing::warn!(reason = chain(&error), "A record is not kept here");
                }
            }
            Err(error @ RepoError::Unsupported { .. }) => pass_newer(found, (id, origin), &error),
            Err(error) => {
                tracing::debug!(reason = chain(&error), "A file among the records is none");
                found.passed_over.insert(id);
                notes.pass_over(id);
                junk.push(id);
            }
        }
    }
    if !junk.is_empty() {
        found.problems.push(Telling::Junk { files: junk });
    }
}

/// Who wrote a record, by what is noted here and by the signature that it carries.
fn origin(id: Id, bytes: &[u8], notes: &RecordNotes) -> Origin {
    let signer = Claim::of(bytes).and_then(|claim| {
        claim.signer(|public, message, signature| {
            receipts::holds(public, &Id::of(public), message, signature)
        })
    });
    Origin {
        is_ours: notes.ours.contains(&id),
        signer,
    }
}

/// Takes a sound record, and notes when one of somebody else was first seen; false where it is too
/// much.
fn take(
    found: &mut Found,
    (id, origin): (Id, Origin),
    record: Record,
    keeper: Option<&Keeper>,
    notes: &mut RecordNotes,
) -> bool {
    let seen = keeper
        .filter(|_| !origin.is_ours)
        .map(|keeper| notes.see(id, keeper.now));
    let is_taken = found.add(id, record, origin, seen);
    if !is_taken {
        pass_over(found, std::iter::once(id));
    }
    is_taken
}

/// Passes a record of a newer version over, which nobody here knows what it says.
fn pass_newer(found: &mut Found, (id, origin): (Id, Origin), error: &RepoError) {
    found.passed_over.insert(id);
    let what = chain(error);
    found.newer.insert(id, Said { what, origin });
}

/// Passes records over that are too much, and tells of it.
fn pass_over(found: &mut Found, ids: impl Iterator<Item = Id>) {
    let before = found.passed_over.len();
    found.passed_over.extend(ids);
    let more = found.passed_over.len() - before;
    if more == 0 {
        return;
    }
    let told = found.problems.iter_mut().find_map(|told| match told {
        Telling::TooMany { left_out } => Some(left_out),
        _ => None,
    });
    match told {
        Some(left_out) => *left_out += more,
        None => found.problems.push(Telling::TooMany { left_out: more }),
    }
}

/// Notes that what records name was removed on purpose, so that nobody misses it; what records name
/// that do not count any more is missed again. What others decided counts once it is due: until then
/// it is only hidden; and of that no more is noted than anybody names.
fn note_gone(removals: &Removals, state: &RepositoryState) -> crate::Result<()> {
    let accepted = state.record_notes().accepted;
    let final_ones = removals
        .counting()
        .filter(|(_, known)| removals.is_due(known));
    let final_ones: Vec<_> = final_ones.collect();
    let counting: BTreeSet<Id> = final_ones.iter().map(|(id, _)| *id).collect();
    if accepted == counting {
        return Ok(());
    }
    let back = accepted.difference(&counting);
    let back: Vec<_> = back
        .filter_map(|id| removals.found.removals.get(id))
        .collect();
    state.update_gone(|gone| {
        for known in &back {
            gone.find(|name| known.removal.names(name));
        }
        for (id, known) in &final_ones {
            let is_new = !back.is_empty() || !accepted.contains(id);
            if is_new && (known.is_trusted || gone.accepted.count() < MOST_IDS) {
                gone.accept(&known.removal.files().collect());
            }
        }
    })?;
    state.update_record_notes(|notes| notes.accepted.clone_from(&counting))
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::FakeBucket;

    use super::*;
    use crate::session::Cancel;

    fn copy(name: &str) -> (CopyStore, Arc<FakeBucket>) {
        let place = Arc::new(FakeBucket::new(name));
        let copy = CopyStore {
            name: name.to_owned(),
            store: place.clone(),
            is_local: false,
        };
        (copy, place)
    }

    #[test]
    fn what_a_copy_lists_and_does_not_give_leaves_the_room_to_what_others_give() {
        let (honest, place) = copy("honest");
        let (liar, lies) = copy("liar");
        let record = b"a record";
        let (id, size_bytes) = (Id::of(record), record.len() as u64);
        place.put(FileName::new(FileType::Records, id), record);
        lies.put(FileName::new(FileType::Records, id), b"no recor");
        let mut wanted = vec![Wanted {
            id,
            holders: vec![(0, size_bytes), (1, size_bytes)],
        }];
        // With them all room is taken, to the last byte.
        let largest = read_limit_bytes(FileType::Records);
        let mut left_bytes = MOST_BYTES - size_bytes;
        while left_bytes > 0 {
            let listed_bytes = left_bytes.min(largest);
            wanted.push(Wanted {
                id: Id::of(&left_bytes.to_le_bytes()),
                holders: vec![(1, listed_bytes)],
            });
            left_bytes -= listed_bytes;
        }
        let (looking, mut found) = (Looking::until(&Cancel::default()), Found::default());
        let invented = wanted.len() - 1;
        let read = read_all(&[honest, liar], wanted, &looking, &mut found);
        assert_eq!(read, [(id, record.to_vec())]);
        let [Telling::Unread { files, .. }] = found.problems.as_slice() else {
            panic!("{:?}", found.problems);
        };
        assert_eq!(files.len(), invented);
        assert!(found.passed_over.is_empty(), "{:?}", found.passed_over);
    }
}
