//! What is remembered of a run: evidence, receipts, and what each copy held.
//!
//! **Architecture invariant:** nothing here can fail a backup, a sync or a verify; where the state
//! folder cannot be written, the scorecard will call unproven what was not remembered.

mod readings;

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::known::{Lost, Records};
use strongroom_engine::lead::ProblemState;
use strongroom_engine::receipts::Receipts;
use strongroom_engine::session::{KeyNotGiven, ReadyCopy, Session, TriedKeys, chain};
use strongroom_engine::state::{RepositoryState, SeenFiles, StateFolder};
use strongroom_engine::sync::{SyncReport, SyncedCopy};
use strongroom_engine::verify::{Problem, ProblemKind, VerifiedCopy, VerifyReport};
use strongroom_engine::{CopyStore, Files};
use strongroom_model::evidence::{Damage, Share, Verify};
use strongroom_model::{CopyEvidence, FileName, FileType, Id};

use crate::context::Opened;
use crate::output::{Output, visible};

pub(crate) use readings::{before_sync, made_anew, verify_begins, verify_ended, written_anew};

/// The key files that receipts name, but for those that were removed since; read only where copies
/// disagree, since there is a receipt for each snapshot.
pub(crate) fn known_keys(opened: &Opened) -> BTreeSet<Id> {
    let mut ready = opened.session.ready().map(|(_, ready)| ready);
    let first = ready.next();
    let agrees =
        |other: &ReadyCopy| first.is_some_and(|first| first.listing.keys == other.listing.keys);
    if ready.all(agrees) {
        return BTreeSet::new();
    }
    let Ok(Some(client)) = opened.state.find_client_key() else {
        return BTreeSet::new();
    };
    let listings = opened
        .session
        .ready()
        .map(|(_, ready)| &ready.listing.snapshots);
    let snapshots: BTreeSet<Id> = listings
        .flat_map(|files| files.iter())
        .map(|entry| entry.id)
        .collect();
    let memory = opened.memory();
    let receipts = Receipts::new(&memory, &client).of(&snapshots);
    let keys = receipts
        .iter()
        .flat_map(|receipt| receipt.receipt().needs.keys.iter().copied());
    let removed = memory.removed_keys();
    keys.filter(|key| !removed.contains(key)).collect()
}

/// Shows the records of what the copies once held to `ask`.
pub(crate) fn records<T>(
    state: &StateFolder,
    memory: &RepositoryState,
    copies: &[CopyStore],
    ask: impl FnOnce(&Records<'_>) -> T,
) -> T {
    // A key that cannot be used signs nothing that counts; backups tell of it.
    let client = state.find_client_key().ok().flatten();
    let receipts = client.as_ref().map(|client| Receipts::new(memory, client));
    ask(&Records::new(memory, receipts, copies))
}

/// Shows the records of an open repository to `ask`.
pub(crate) fn records_of<T>(opened: &Opened, ask: impl FnOnce(&Records<'_>) -> T) -> T {
    let copies = opened.session.copies.iter();
    let copies: Vec<_> = copies.map(|copy| copy.copy.clone()).collect();
    records(&opened.state, &opened.memory(), &copies, ask)
}

/// Takes note that what is lost was removed on purpose.
pub(crate) fn accept_removed(opened: &Opened, lost: &Lost) -> strongroom_engine::Result<()> {
    let memory = opened.memory();
    memory.update_gone(|gone| gone.accept(&lost.files))?;
    if let Some(client) = opened.state.find_client_key()? {
        let listings = opened.session.ready().map(|(_, ready)| &ready.listing);
        let listed = listings.flat_map(|listing| listing.snapshots.iter());
        let held = listed.map(|entry| entry.id).collect();
        Receipts::new(&memory, &client).prune(&held)?;
    }
    Ok(())
}

/// The digest of `config` that the newest receipt names.
pub(crate) fn config(state: &StateFolder, memory: &RepositoryState) -> Option<Id> {
    let client = state.find_client_key().ok()??;
    Receipts::new(memory, &client).config()
}

/// Remembers that a key was removed on purpose, so that no copy that was away brings it back.
pub(crate) fn key_removed(opened: &Opened, key: Id) {
    let memory = opened.memory();
    told(memory.update_removed_keys(|removed| {
        removed.insert(key);
    }));
}

/// The keys that were removed on purpose, but for those that are `admitted` from now on.
pub(crate) fn removed_keys(opened: &Opened, admitted: &BTreeSet<Id>) -> BTreeSet<Id> {
    let memory = opened.memory();
    if !admitted.is_empty() {
        told(memory.update_removed_keys(|removed| removed.retain(|key| !admitted.contains(key))));
    }
    let removed = memory.removed_keys();
    removed.difference(admitted).copied().collect()
}

/// Tells the session which files were found wrong on each copy and not healed since. What decoding
/// found in an index file is no doubt of the file: its bytes are right on every copy, and a snapshot
/// that needs it would come to none of them.
pub(crate) fn doubt(session: &mut Session, memory: &RepositoryState) {
    let copies: Vec<_> = session.ready().map(|(copy, _)| copy.clone()).collect();
    for copy in copies {
        let evidence = memory.evidence(&copy);
        let named = |(name, damage): (&String, &Damage)| {
            let is_right =
                |name: &FileName| damage.is_as_written() && name.kind() == FileType::Index;
            file_name(name).filter(|name| !is_right(name))
        };
        let doubts = evidence.damage().iter().filter_map(named).collect();
        session.doubt(&copy.name, doubts);
    }
}

/// Fetches a key from each copy, and remembers as damaged what a copy lists and does not give, so
/// that a sync reads it again, until it gives it. To be done once in a run.
pub(crate) fn try_keys(opened: &mut Opened, output: &Output) {
    let now = (opened.environment.clock)();
    let memory = opened.memory();
    let TriedKeys { given, not_given } = opened.session.try_keys();
    let was_doubted = |(copy, key): &(CopyStore, FileName)| {
        let evidence = memory.evidence(copy);
        evidence.damage().contains_key(&key.to_string())
    };
    let proved: Vec<_> = given.into_iter().filter(was_doubted).collect();
    if proved.is_empty() && not_given.is_empty() {
        return;
    }
    for (copy, key) in proved {
        let change = |evidence: &mut CopyEvidence| evidence.record_healed(&key.to_string());
        told(memory.update_evidence(&copy, change).map(drop));
    }
    for KeyNotGiven { copy, key, reason } in not_given {
        let text = format!("{} lists {key} and does not give it: {reason}", copy.name);
        let hint = "without a key that it gives nobody opens the copy; strongroom sync tries again";
        output.warn(&visible(&text), Some(hint));
        told(
            memory
                .update_evidence(&copy, |evidence| {
                    evidence.record_damage(now, key.to_string(), reason);
                })
                .map(drop),
        );
    }
    doubt(&mut opened.session, &memory);
}

/// Remembers as damaged what vaults say is rotten, so that a sync reads it again and heals it.
pub(crate) fn rotten(opened: &Opened) {
    let now = (opened.environment.clock)();
    for (copy, files) in opened.vaults.rotten(&opened.session) {
        let mut copies = opened.session.copies.iter().map(|copy| &copy.copy);
        let Some(copy) = copies.find(|known| known.name == copy) else {
            continue;
        };
        // All at once: there may be very many.
        let change = |evidence: &mut CopyEvidence| {
            for file in files {
                let reason = "its vault says that it is rotten".to_owned();
                evidence.record_damage(now, file.to_string(), reason);
            }
        };
        told(opened.memory().update_evidence(copy, change).map(drop));
    }
}

/// Signs what came of a backup.
pub(crate) fn backed_up(opened: &Opened, report: &BackupReport) {
    let memory = opened.memory();
    places(opened);
    let issued = opened.state.client_key().and_then(|client| {
        let receipts = Receipts::new(&memory, &client);
        receipts.issue(&opened.session, report, &opened.environment.hostname)
    });
    if let Err(error) = issued {
        tracing::warn!(error = chain(&error), "There is no receipt of this backup");
    }
}

/// Remembers which copies are one place under two addresses.
fn places(opened: &Opened) {
    let session = &opened.session;
    let copies: Vec<&CopyStore> = session.copies.iter().map(|copy| &copy.copy).collect();
    let now = (opened.environment.clock)();
    told(session.places.remember(&copies, &opened.memory(), now));
}

/// Remembers what the copies hold after a sync, and that damage was healed.
pub(crate) fn synced(opened: &Opened, report: &SyncReport) {
    let memory = opened.memory();
    places(opened);
    for synced in &report.copies {
        let copies = opened.session.copies.iter().map(|copy| &copy.copy);
        let Some(copy) = copies.into_iter().find(|copy| copy.name == synced.name) else {
            continue;
        };
        remember_doubts(opened, copy, synced);
        let has_diverged = report
            .diverged
            .iter()
            .any(|diverged| diverged.copy == synced.name);
        if synced.failure.is_none() && !has_diverged && !report.was_interrupted {
            told(memory.update_seen(copy, |seen| see(seen, synced, report)));
        }
    }
    told(memory.update_gone(|gone| {
        gone.lose(&report.lost.files);
        let doubtful = report.copies.iter().map(|copy| doubtful(copy, report));
        let doubtful: Vec<_> = doubtful.collect();
        gone.find(|name| {
            let mut copies = report.copies.iter().zip(&doubtful);
            copies.any(|(copy, doubtful)| copy.listing.holds(name) && !doubtful.contains(&name))
        });
    }));
}

/// What a copy lists and nobody could read right, or what went to no other copy: its name alone says
/// nothing.
fn doubtful(synced: &SyncedCopy, report: &SyncReport) -> BTreeSet<FileName> {
    let junk = report.junk.iter().map(|junk| junk.name);
    let problems = report.problems.iter().map(|problem| problem.name);
    let unmended = synced.unmended.iter().copied();
    junk.chain(problems).chain(unmended).collect()
}

/// Adds what a copy holds to what it was seen to hold, but for what nobody could read right: junk
/// is no loss when it goes. Nothing is forgotten because it is not there.
fn see(seen: &mut SeenFiles, synced: &SyncedCopy, report: &SyncReport) {
    let doubtful = doubtful(synced, report);
    let sound = |kind, files: &Files| {
        let ids: Vec<Id> = files.iter().map(|entry| entry.id).collect();
        let is_sound = |id: &Id| !doubtful.contains(&FileName::new(kind, *id));
        ids.into_iter().filter(is_sound).collect::<Vec<_>>()
    };
    seen.index
        .extend(sound(FileType::Index, &synced.listing.index));
    seen.snapshots
        .extend(sound(FileType::Snapshots, &synced.listing.snapshots));
}

/// Remembers what a sync found right and what it could not read right: nothing is built on that
/// until it was.
fn remember_doubts(opened: &Opened, copy: &CopyStore, synced: &SyncedCopy) {
    if synced.healed.is_empty() && synced.proved.is_empty() && synced.unmended.is_empty() {
        return;
    }
    let now = (opened.environment.clock)();
    let changed = opened.memory().update_evidence(copy, |evidence| {
        for name in synced.healed.iter().chain(&synced.proved) {
            evidence.record_healed(&name.to_string());
        }
        for name in &synced.unmended {
            let reason = "a sync could not read it right".to_owned();
            evidence.record_damage(now, name.to_string(), reason);
        }
    });
    told(changed.map(drop));
}

/// Remembers which copies were read, and what is wrong with them.
pub(crate) fn verified(
    memory: &RepositoryState,
    copies: &[CopyStore],
    report: &VerifyReport,
    verify: &Verify,
) {
    told(memory.update_gone(|gone| gone.lose(&report.lost.files)));
    for read in &report.copies {
        let Some(copy) = copies.iter().find(|copy| copy.name == read.name) else {
            continue;
        };
        let is_all = verify.share == Share::All && read.covered;
        // Of one that could not even be listed, what was read of it stays read.
        if !is_unlisted(read) {
            told(memory.update_read_files(copy, |known| {
                known.add(&read.sound, &read.listing, is_all);
            }));
        }
        let change = |evidence: &mut CopyEvidence| record(evidence, report, read, verify);
        told(memory.update_evidence(copy, change).map(drop));
    }
}

/// Records what a verify found on one copy.
fn record(
    evidence: &mut CopyEvidence,
    report: &VerifyReport,
    read: &VerifiedCopy,
    verify: &Verify,
) {
    let of_copy = || {
        let problems = report.problems.iter();
        problems.filter(move |problem| problem.copy == read.name)
    };
    // Where nothing tells which place it was, what was read vouches for nothing, and takes nothing
    // from what was read before.
    let is_placed = is_unlisted(read) || !evidence.lacks_place(read.listing.place);
    if !is_unlisted(read) {
        evidence.move_to(read.listing.place);
    }
    let lasting = || of_copy().filter(|problem| is_lasting(problem));
    let found = lasting().map(|problem| (problem.name.to_string(), problem.kind.to_string()));
    let is_unread = |problem: &Problem| match problem.kind {
        ProblemKind::Unreadable { .. } => true,
        // It was listed when the reading began, and not given.
        ProblemKind::Missing { .. } => read.listing.holds(problem.name),
        _ => false,
    };
    // What is read of a share does not cover the copy; all of the share was read all the same.
    let is_whole_share = is_placed
        && read.failure.is_none()
        && (read.covered || verify.share != Share::All && !of_copy().any(is_unread));
    if is_whole_share {
        let is_somewhere = |name: FileName| {
            let mut copies = report.copies.iter();
            copies.any(|copy| is_unlisted(copy) || copy.listing.holds(name))
        };
        let sound: BTreeSet<FileName> = read.sound.iter().copied().collect();
        let mut damage = Vec::new();
        if verify.share == Share::All {
            evidence.forget_decoded(|file| file_name(file).is_some_and(is_somewhere));
            // What it did not give this time is no better than it was; `config` was compared.
            let is_open = |name: FileName| {
                name != FileName::CONFIG && is_somewhere(name) && !sound.contains(&name)
            };
            let known = evidence.damage().iter();
            let open = known.filter(|(file, _)| file_name(file).is_some_and(is_open));
            damage.extend(open.map(|(file, damage)| (file.clone(), damage.reason.clone())));
        }
        damage.extend(found);
        evidence.record_verify(verify.clone(), damage);
    } else {
        for (file, reason) in found {
            evidence.record_damage(verify.at, file, reason);
        }
    }
    for problem in lasting().filter(|problem| problem.kind.is_in_right_bytes()) {
        evidence.record_decoded(&problem.name.to_string());
    }
}

/// Whether it is not known what the copy holds.
fn is_unlisted(read: &VerifiedCopy) -> bool {
    read.failure.is_some() && read.listing.is_empty()
}

/// Remembers what a backup found damaged on its lead, so that a sync heals it.
pub(crate) fn damage_on_lead(opened: &Opened, report: &BackupReport) {
    let now = (opened.environment.clock)();
    for problem in &report.lead_problems {
        if problem.state == ProblemState::Damaged {
            damaged(opened, &report.lead, &problem.file, &problem.text, now);
        }
    }
}

/// Remembers damage that was met while reading.
pub(crate) fn damaged(opened: &Opened, copy: &str, file: &FileName, reason: &str, at: Timestamp) {
    let copies = opened.session.copies.iter().map(|copy| &copy.copy);
    if let Some(copy) = copies.into_iter().find(|known| known.name == copy) {
        let memory = opened.memory();
        let (file, reason) = (file.to_string(), reason.to_owned());
        let change = |evidence: &mut CopyEvidence| {
            evidence.record_damage(at, file, reason);
        };
        told(memory.update_evidence(copy, change).map(drop));
    }
}

/// Whether it stays until somebody heals it. What is missing is told by the next listing, and junk
/// is nothing that a snapshot needs.
const fn is_lasting(problem: &Problem) -> bool {
    problem.kind.is_damage()
        || problem.kind.is_in_right_bytes()
        || matches!(problem.kind, ProblemKind::ConfigDiffers { .. })
}

/// Reads what the display of a file name writes.
pub(crate) fn file_name(text: &str) -> Option<FileName> {
    if text == FileType::Config.folder() {
        return Some(FileName::CONFIG);
    }
    let (folder, id) = text.split_once('/')?;
    let kind = FileType::SYNCED
        .into_iter()
        .find(|kind| kind.folder() == folder)?;
    Some(FileName::new(kind, id.parse().ok()?))
}

fn told(outcome: strongroom_engine::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(error = chain(&error), "What was found is not remembered");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use strongroom_engine::sync::Junk;
    use strongroom_engine::{CopyFailure, CopyFailureKind, Listing};
    use strongroom_model::FileEntry;
    use strongroom_model::evidence::Verifier;
    use strongroom_repo::BlobId;
    use strongroom_testkit::MemoryStore;

    use super::*;

    /// What is remembered of two copies.
    struct World {
        _folder: tempfile::TempDir,
        memory: RepositoryState,
        copies: Vec<CopyStore>,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let state = StateFolder::new(folder.path().join("state"));
            let copy = |name: &str| CopyStore {
                name: name.to_owned(),
                store: Arc::new(MemoryStore::new(name)),
                is_local: true,
            };
            Self {
                memory: state.repository(Id::of(b"repository")),
                copies: ["one", "two"].map(copy).into(),
                _folder: folder,
            }
        }

        /// Remembers a verify of this share that found this.
        fn verified(&self, share: Share, decoded: bool, found: (Vec<VerifiedCopy>, Vec<Problem>)) {
            let (copies, problems) = found;
            let report = VerifyReport {
                copies,
                problems,
                ..VerifyReport::default()
            };
            let verify = Verify {
                at: Timestamp::UNIX_EPOCH,
                by: Verifier::Us,
                share,
                decoded,
            };
            verified(&self.memory, &self.copies, &report, &verify);
        }

        fn evidence(&self, copy: usize) -> CopyEvidence {
            self.memory.evidence(&self.copies[copy])
        }

        fn damaged(&self, copy: usize) -> Vec<String> {
            self.evidence(copy).damage().keys().cloned().collect()
        }
    }

    fn pack(text: &str) -> FileName {
        FileName::new(FileType::Data, Id::of(text.as_bytes()))
    }

    fn listing(packs: &[&str]) -> Listing {
        let entry = |text: &&str| FileEntry {
            id: Id::of(text.as_bytes()),
            size_bytes: 1,
        };
        Listing {
            data: Files::new(packs.iter().map(entry).collect()),
            ..Listing::default()
        }
    }

    /// A copy of which everything was read that it gave.
    fn read(name: &str, listed: &[&str], sound: &[&str]) -> VerifiedCopy {
        VerifiedCopy {
            name: name.to_owned(),
            location: String::new(),
            files_read: 0,
            bytes_read: 0,
            files_listed: 0,
            bytes_listed: 0,
            sound: sound.iter().map(|text| pack(text)).collect(),
            listing: listing(listed),
            covered: true,
            failure: None,
        }
    }

    fn problem(copy: &str, text: &str, kind: ProblemKind) -> Problem {
        Problem {
            copy: copy.to_owned(),
            name: pack(text),
            kind,
        }
    }

    #[test]
    fn damage_of_what_a_copy_hides_stays_until_it_was_read_or_nobody_has_it() {
        let (x, y) = (["x", "y"], ["y"]);
        let world = World::new();
        let wrong = || problem("two", "x", ProblemKind::WrongContent);
        let whole = || read("one", &x, &x);
        let found = (vec![whole(), read("two", &x, &y)], vec![wrong()]);
        world.verified(Share::All, false, found);
        assert_eq!(world.damaged(1), [pack("x").to_string()]);
        // It is not listed, or listed and not read.
        let elsewhere = vec!["one".to_owned()];
        let missing = problem("two", "x", ProblemKind::Missing { elsewhere });
        let found = (vec![whole(), read("two", &y, &y)], vec![missing]);
        world.verified(Share::All, false, found);
        let found = (vec![whole(), read("two", &x, &y)], vec![]);
        world.verified(Share::All, true, found);
        assert_eq!(world.damaged(1), [pack("x").to_string()]);
        let found = (vec![whole(), read("two", &x, &x)], vec![]);
        world.verified(Share::All, false, found);
        assert_eq!(world.damaged(1), [""; 0]);

        let found = (vec![whole(), read("two", &x, &y)], vec![wrong()]);
        world.verified(Share::All, false, found);
        let found = (vec![read("one", &y, &y), read("two", &y, &y)], vec![]);
        world.verified(Share::All, false, found);
        assert_eq!(world.damaged(1), [""; 0]);
    }

    #[test]
    fn what_decoding_found_stays_until_decoding_does_not_find_it_or_nobody_has_it() {
        let (x, y) = (["x", "y"], ["y"]);
        let kinds = [
            ProblemKind::BadBlob {
                blob: BlobId::data(Id::of(b"blob")),
                reason: "it is another".to_owned(),
            },
            ProblemKind::BadPack {
                reason: "its header does not decrypt".to_owned(),
            },
        ];
        for kind in kinds {
            let world = World::new();
            let both = |packs: &[&str]| vec![read("one", packs, packs), read("two", packs, packs)];
            let bad = || (both(&x), vec![problem("one", "x", kind.clone())]);
            world.verified(Share::All, true, bad());
            assert!(world.evidence(0).damage()[&pack("x").to_string()].decoded);
            world.verified(Share::All, false, (both(&x), vec![]));
            assert_eq!(world.damaged(0), [pack("x").to_string()]);
            world.verified(Share::All, true, (both(&x), vec![]));
            assert_eq!(world.damaged(0), [""; 0]);
            world.verified(Share::All, true, bad());
            world.verified(Share::All, false, (both(&y), vec![]));
            assert_eq!(world.damaged(0), [""; 0]);
        }
    }

    #[test]
    fn what_one_copy_s_index_alone_names_is_told_and_not_kept_as_lost() {
        let y = ["y"];
        let world = World::new();
        let elsewhere = Vec::new();
        let missing = problem("two", "x", ProblemKind::Missing { elsewhere });
        let found = (
            vec![read("one", &y, &y), read("two", &y, &y)],
            vec![missing],
        );
        world.verified(Share::All, false, found);
        assert_eq!(world.memory.gone().lost.iter().count(), 0);
    }

    #[test]
    fn a_share_of_which_something_was_hidden_was_not_read() {
        let x = ["x"];
        let share = Share::Slice { number: 1, of: 1 };
        let part = |sound: &[&str]| VerifiedCopy {
            covered: false,
            ..read("two", &x, sound)
        };
        let world = World::new();
        let elsewhere = vec!["one".to_owned()];
        let missing = problem("two", "x", ProblemKind::Missing { elsewhere });
        world.verified(share, false, (vec![part(&[])], vec![missing]));
        assert_eq!(world.evidence(1).every_byte_read_since(), None);
        world.verified(share, false, (vec![part(&x)], vec![]));
        assert!(world.evidence(1).every_byte_read_since().is_some());
    }

    #[test]
    fn what_was_read_of_a_copy_stays_read_while_it_is_away() {
        let x = ["x", "y"];
        let world = World::new();
        world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
        let failure = CopyFailure {
            reason: "away".to_owned(),
            hint: None,
            kind: CopyFailureKind::Other,
        };
        let away = VerifiedCopy {
            covered: false,
            failure: Some(failure),
            ..read("two", &[], &[])
        };
        world.verified(Share::All, false, (vec![away], vec![]));
        let known = world.memory.read_files(&world.copies[1]).unwrap();
        assert_eq!(known.unread(&listing(&x)).files, 0);
    }

    #[test]
    fn what_was_read_of_another_disk_at_the_same_path_is_forgotten() {
        let (x, y) = (["x", "y"], ["y"]);
        let world = World::new();
        let disk = |text: &str, sound: &[&str]| {
            let mut read = read("two", &x, sound);
            read.listing.place = Some(Id::of(text.as_bytes()));
            read.covered = sound.len() == x.len();
            read
        };
        world.verified(Share::All, false, (vec![disk("old", &x)], vec![]));
        assert!(world.evidence(1).every_byte_read_since().is_some());
        let half = Share::Slice { number: 1, of: 2 };
        world.verified(half, false, (vec![disk("new", &y)], vec![]));
        assert_eq!(world.evidence(1).every_byte_read_since(), None);
        let known = world.memory.read_files(&world.copies[1]).unwrap();
        assert_eq!(known.unread(&disk("new", &x).listing).files, 1);

        // An init makes an empty place of it, whatever it is.
        made_anew(&world.memory, &world.copies[1]);
        assert!(!world.evidence(1).was_read());
        let known = world.memory.read_files(&world.copies[1]).unwrap();
        assert_eq!(known.unread(&disk("new", &x).listing).files, 2);
    }

    #[test]
    fn what_a_sync_may_write_anew_is_forgotten_before_it_does() {
        let (x, y) = (["x", "y", "z"], ["y", "z"]);
        let world = World::new();
        let unread = || {
            let known = world.memory.read_files(&world.copies[1]).unwrap();
            known.unread(&listing(&x)).files
        };
        world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
        assert_eq!(unread(), 0);
        // A later share finds one wrong, and another is not there.
        let wrong = problem("two", "z", ProblemKind::WrongContent);
        let found = (vec![read("two", &x, &["x"])], vec![wrong]);
        world.verified(Share::Percent(5), false, found);
        readings::not_there(&world.memory, &world.copies[1], &listing(&y));
        assert_eq!(unread(), 2);
    }

    #[test]
    fn what_is_written_anew_beside_a_verify_was_not_read_by_it() {
        let x = ["x", "y"];
        let world = World::new();
        let memory = &world.memory;
        let began = Timestamp::UNIX_EPOCH;
        let later = Timestamp::from_second(9).unwrap();
        let written = BTreeSet::from([Id::of(b"x")]);
        verify_begins(memory, &world.copies, began);
        readings::wrote(memory, &world.copies[1], &written, later);
        world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
        verify_ended(memory, &world.copies, began);
        let known = memory.read_files(&world.copies[1]).unwrap();
        assert_eq!(known.unread(&listing(&x)).files, 1);
    }

    #[test]
    fn what_was_read_stays_read_while_nothing_tells_the_place() {
        let x = ["x", "y"];
        let world = World::new();
        let at = |place: Option<&str>| {
            let mut read = read("two", &x, &x);
            read.listing.place = place.map(|text| Id::of(text.as_bytes()));
            read
        };
        let half = |number| Share::Slice { number, of: 2 };
        // The first was noted by an earlier version, which knew no place.
        world.verified(half(1), false, (vec![at(None)], vec![]));
        world.verified(half(2), false, (vec![at(Some("disk"))], vec![]));
        let before = world.evidence(1);
        assert!(before.every_byte_read_since().is_some());
        // Its config is missing: what is wrong is noted all the same.
        let wrong = problem("two", "x", ProblemKind::WrongContent);
        world.verified(Share::All, false, (vec![at(None)], vec![wrong]));
        assert_eq!(world.damaged(1), [pack("x").to_string()]);
        world.verified(half(1), false, (vec![at(None)], vec![]));
        let after = world.evidence(1);
        assert_eq!(after.last_verify, before.last_verify);
        assert!(after.every_byte_read_since().is_some());
        let known = world.memory.read_files(&world.copies[1]).unwrap();
        assert_eq!(known.unread(&at(Some("disk")).listing).files, 0);
        // Of another disk nothing was read.
        assert_eq!(known.unread(&at(Some("other")).listing).files, 2);
    }

    #[test]
    fn what_was_seen_is_added_to_and_junk_is_not_seen() {
        let id = |text: &str| Id::of(text.as_bytes());
        let entry = |text: &str| FileEntry {
            id: id(text),
            size_bytes: 1,
        };
        let snapshots = ["sound", "junk", "wrong"].map(entry);
        let synced = SyncedCopy {
            name: "one".to_owned(),
            location: String::new(),
            files_brought: 0,
            news_brought: 0,
            bytes_brought: 0,
            healed: Vec::new(),
            unmended: vec![FileName::new(FileType::Snapshots, id("wrong"))],
            proved: Vec::new(),
            lacking: BTreeMap::new(),
            failure: None,
            listing: Listing {
                snapshots: Files::new(snapshots.to_vec()),
                ..Listing::default()
            },
        };
        let report = SyncReport {
            junk: vec![Junk {
                name: FileName::new(FileType::Snapshots, id("junk")),
                copies: Vec::new(),
                reason: String::new(),
                advice: Vec::new(),
            }],
            ..SyncReport::default()
        };
        let mut seen = SeenFiles {
            snapshots: [id("gone")].into(),
            ..SeenFiles::default()
        };
        see(&mut seen, &synced, &report);
        assert_eq!(seen.snapshots, [id("gone"), id("sound")].into());
    }

    #[test]
    fn a_file_name_is_read_as_it_was_written() {
        for name in [
            FileName::CONFIG,
            FileName::new(FileType::Data, Id::of(b"a")),
            FileName::new(FileType::Keys, Id::of(b"b")),
        ] {
            assert_eq!(file_name(&name.to_string()), Some(name));
        }
        assert_eq!(file_name("data/../../x"), None);
        assert_eq!(file_name("locks/00"), None);
    }
}
