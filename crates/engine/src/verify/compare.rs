//! What can be told only by looking at several copies.

use std::collections::{BTreeSet, HashMap, HashSet};

use strongroom_model::{FileEntry, FileName, FileType, Id};

use crate::known::Lost;
use crate::listing::shared_keys;
use crate::session::{CopyFailure, CopyStore, Looking};
use crate::verify::scan::{Scanned, damage};
use crate::verify::{Depth, Problem, ProblemKind, VerifiedCopy, VerifyOptions, VerifyReport};
use crate::{Listing, Result};

/// The files that do not have the same size on all copies that hold them.
pub(crate) fn odd_sizes(listings: &[&Listing]) -> BTreeSet<FileName> {
    let mut odd = BTreeSet::new();
    for kind in FileType::SYNCED {
        let mut entries = all_entries(listings, kind);
        entries.sort_unstable();
        entries.dedup();
        for pair in entries.windows(2) {
            if let [one, other] = pair
                && one.id == other.id
            {
                odd.insert(FileName::new(kind, one.id));
            }
        }
    }
    odd
}

/// Compares the copies and puts everything together.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn report(
    mut scanned: Vec<Scanned>,
    depth: Depth<'_>,
    options: &VerifyOptions,
    looking: &Looking,
) -> Result<VerifyReport> {
    name_damage(&mut scanned);
    find_unproven_keys(&mut scanned, depth, options);
    // Before the second listing: what was seen of a copy stays true where that fails.
    compare_configs(&mut scanned, depth, options);
    find_missing(&mut scanned, depth, options, looking)?;
    let mut report = VerifyReport {
        lost: find_lost(&scanned, &options.known_files),
        ..VerifyReport::default()
    };
    for mut copy in scanned {
        let (files_listed, bytes_listed) = copy.listing.totals();
        report.copies.push(VerifiedCopy {
            location: copy.copy.store.location().to_owned(),
            files_read: copy.files_read,
            bytes_read: copy.bytes_read,
            files_listed,
            bytes_listed,
            sound: copy.sound,
            listing: copy.listing,
            covered: copy.covered,
            failure: copy.failure.or(copy.locks_failure),
            name: copy.copy.name.clone(),
        });
        copy.problems.sort_by_key(|(name, _)| *name);
        let problem = |(name, kind)| Problem {
            copy: copy.copy.name.clone(),
            name,
            kind,
        };
        report
            .problems
            .extend(copy.problems.into_iter().map(problem));
    }
    Ok(report)
}

/// Says of damaged files whether they are too short or too long, by what siblings have.
fn name_damage(scanned: &mut [Scanned]) {
    let size =
        |copy: &Scanned, name: FileName| copy.listing.of(name.kind())?.size_bytes(name.id()?);
    let expected_of = |copy: &Scanned, name: FileName| {
        let found = size(copy, name)?;
        let mut others = scanned.iter().filter_map(|other| size(other, name));
        Some((found, others.find(|other| *other != found)))
    };
    let kinds: Vec<Vec<_>> = scanned
        .iter()
        .map(|copy| {
            let problems = copy.problems.iter();
            problems
                .map(|(name, kind)| match (kind, expected_of(copy, *name)) {
                    (ProblemKind::WrongContent, Some((found, expected))) => damage(found, expected),
                    (other, _) => other.clone(),
                })
                .collect()
        })
        .collect();
    for (copy, kinds) in scanned.iter_mut().zip(kinds) {
        for (problem, kind) in copy.problems.iter_mut().zip(kinds) {
            problem.1 = kind;
        }
    }
}

/// Names the keys that lie on some copies only and that nothing speaks for.
fn find_unproven_keys(scanned: &mut [Scanned], depth: Depth<'_>, options: &VerifyOptions) {
    let (Depth::Opened(repository) | Depth::Decoded(repository)) = depth else {
        return;
    };
    let listings: Vec<_> = scanned
        .iter()
        .map(|copy| copy.listing.keys.clone())
        .collect();
    let failed: Vec<_> = scanned.iter().map(|copy| copy.failure.is_some()).collect();
    let names: Vec<_> = scanned.iter().map(|copy| copy.copy.name.clone()).collect();
    let is_everywhere = |id: Id| {
        let copies = listings.iter().zip(&names).zip(&failed);
        let mut reachable = copies.filter(|(_, failed)| !**failed);
        let name = FileName::new(FileType::Keys, id);
        reachable.all(|((keys, copy), _)| keys.contains(id) || options.is_pending(copy, name))
    };
    for copy in scanned {
        let wrong: HashSet<_> = copy.problems.iter().map(|(name, _)| *name).collect();
        for entry in copy.listing.keys.iter() {
            let name = FileName::new(FileType::Keys, entry.id);
            let is_proven = entry.id == repository.key_id()
                || options.known_keys.contains(&entry.id)
                || is_everywhere(entry.id);
            if !is_proven && !wrong.contains(&name) {
                copy.problems.push((name, ProblemKind::UnprovenKey));
            }
        }
    }
}

/// Finds what a copy lacks: what a sound sibling holds, or an index of its own names.
///
/// What differs is looked for again, since others may write and prune at the same time.
///
/// # Errors
/// Where the user interrupts.
fn find_missing(
    scanned: &mut [Scanned],
    depth: Depth<'_>,
    options: &VerifyOptions,
    looking: &Looking,
) -> Result<()> {
    let lacking = differences(scanned);
    let any_absent = scanned.iter().any(|copy| !copy.absent_packs.is_empty());
    if lacking.is_empty() && !any_absent {
        return Ok(());
    }
    let now = list_again(scanned, options, looking)?;
    let holds = |listing: &Listing, name: &FileName| listing.holds(*name);
    let unsound: Vec<HashSet<FileName>> = scanned
        .iter()
        .map(|copy| copy.problems.iter().map(|(name, _)| *name).collect())
        .collect();
    let names: Vec<_> = scanned.iter().map(|copy| copy.copy.name.clone()).collect();
    let holders = |name: &FileName| -> Vec<String> {
        let copies = names.iter().zip(&now).zip(&unsound);
        copies
            .filter(|((_, listing), unsound)| {
                listing.as_ref().is_some_and(|listing| holds(listing, name))
                    && !unsound.contains(name)
            })
            .map(|((copy, _), _)| copy.clone())
            .collect()
    };
    let damaged: Vec<HashSet<FileName>> = scanned
        .iter()
        .map(|copy| {
            let damaged = copy.problems.iter().filter(|(_, kind)| kind.is_damage());
            damaged.map(|(name, _)| *name).collect()
        })
        .collect();
    let is_rotten = |name: &FileName| {
        let mut copies = now.iter().zip(&damaged);
        copies.any(|(listing, damaged)| {
            listing.as_ref().is_some_and(|listing| holds(listing, name)) && damaged.contains(name)
        })
    };
    let mut opening = shared_keys(now.iter().flatten());
    opening.extend(&options.known_keys);
    if let Depth::Opened(repository) | Depth::Decoded(repository) = depth {
        opening.insert(repository.key_id());
    }
    for (copy, now) in scanned.iter_mut().zip(&now) {
        let Some(now) = now else {
            continue;
        };
        let mut missing: HashMap<FileName, Vec<String>> = HashMap::new();
        // A key that waits for an operator is no lack beside one that opens the copy.
        let is_opened = now.keys.iter().any(|entry| opening.contains(&entry.id));
        let waits = |name: FileName| is_opened && options.is_pending(&copy.copy.name, name);
        let is_absent = |name: &&FileName| !holds(now, name) && !waits(**name);
        for name in lacking.iter().filter(is_absent) {
            let elsewhere = holders(name);
            // What others have damaged is missing all the same: nobody has it.
            if !elsewhere.is_empty() || is_rotten(name) {
                // Others still have it, so that nobody pruned it: it was hidden and not read.
                copy.covered &= !copy.vanished.contains(name);
                missing.insert(*name, elsewhere);
            }
        }
        for name in copy.vanished.iter().filter(|name| holds(now, name)) {
            let reason = "it is listed, and not found when it is read".to_owned();
            copy.problems
                .push((*name, ProblemKind::Unreadable { reason }));
            copy.covered = false;
        }
        for (pack, index) in &copy.absent_packs {
            let name = FileName::new(FileType::Data, *pack);
            if !now.data.contains(*pack) && now.index.contains(*index) {
                missing.entry(name).or_insert_with(|| holders(&name));
            }
        }
        let problems = missing
            .into_iter()
            .map(|(name, elsewhere)| (name, ProblemKind::Missing { elsewhere }));
        copy.problems.extend(problems);
    }
    Ok(())
}

/// Lists the copies anew, each within the limit of a look.
///
/// One that cannot be listed any more has failed: nobody knows what it lacks, and it must not pass
/// for good.
///
/// # Errors
/// Where the user interrupts.
fn list_again(
    scanned: &mut [Scanned],
    options: &VerifyOptions,
    looking: &Looking,
) -> Result<Vec<Option<Listing>>> {
    let readable = scanned.iter().filter(|copy| copy.failure.is_none());
    let readable: Vec<_> = readable.map(|copy| copy.copy.clone()).collect();
    let mut listed = looking.at_each(&readable, list).into_iter();
    looking.cancel.check()?;
    let mut now = Vec::with_capacity(scanned.len());
    for copy in scanned {
        let listed = match copy.failure {
            Some(_) => None,
            None => listed.next(),
        };
        now.push(match listed {
            None => None,
            Some(Ok(mut listing)) => {
                options.take_removed(&mut listing);
                Some(listing)
            }
            Some(Err(failure)) => {
                copy.failure = Some(failure);
                copy.covered = false;
                None
            }
        });
    }
    Ok(now)
}

fn list(copy: &CopyStore) -> std::result::Result<Listing, CopyFailure> {
    Listing::of_copy(copy).map_err(|error| CopyFailure::of_store(&error))
}

/// Finds what no copy lists although it was there once. A copy that failed while it was read was
/// listed all the same.
fn find_lost(scanned: &[Scanned], known: &BTreeSet<FileName>) -> Lost {
    let copies = scanned.iter().map(|copy| {
        let is_listed = copy.failure.is_none() || !copy.listing.is_empty();
        let listing = is_listed.then_some(&copy.listing);
        (copy.copy.name.as_str(), listing)
    });
    Lost::among(known, copies)
}

/// The files that some copy listed, and another did not or has lost since.
fn differences(scanned: &[Scanned]) -> BTreeSet<FileName> {
    let readable: Vec<_> = scanned
        .iter()
        .filter(|copy| copy.failure.is_none())
        .collect();
    let listings: Vec<_> = readable.iter().map(|copy| &copy.listing).collect();
    let mut lacking: BTreeSet<FileName> = readable
        .iter()
        .flat_map(|copy| copy.vanished.iter().copied())
        .filter(|name| name.kind() != FileType::Locks)
        .collect();
    for kind in FileType::SYNCED {
        let mut ids: Vec<_> = all_entries(&listings, kind)
            .iter()
            .map(|entry| entry.id)
            .collect();
        ids.sort_unstable();
        for same in ids.chunk_by(|one, other| one == other) {
            if let [id, ..] = same
                && same.len() < listings.len()
            {
                lacking.insert(FileName::new(kind, *id));
            }
        }
    }
    lacking
}

fn all_entries(listings: &[&Listing], kind: FileType) -> Vec<FileEntry> {
    let files = listings.iter().filter_map(|listing| listing.of(kind));
    files.flat_map(|files| files.iter()).collect()
}

/// Compares `config` with what is known of it: the open repository's, a digest, or most copies'.
fn compare_configs(scanned: &mut [Scanned], depth: Depth<'_>, options: &VerifyOptions) {
    let digests: Vec<Option<Id>> = scanned
        .iter()
        .map(|copy| copy.config.as_deref().map(Id::of))
        .collect();
    let names: Vec<_> = scanned.iter().map(|copy| copy.copy.name.clone()).collect();
    let others_with = |wanted: Id| {
        let with = names.iter().zip(&digests);
        let with = with.filter(|(_, digest)| **digest == Some(wanted));
        with.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let known = match depth {
        Depth::Stored => options.config,
        Depth::Opened(repository) | Depth::Decoded(repository) => {
            Some(Id::of(repository.config_bytes()))
        }
    };
    // Where two sides have the same number of copies, nobody knows who is right.
    let most = || {
        let counts = digests
            .iter()
            .flatten()
            .map(|id| (others_with(*id).len(), *id));
        let counts: BTreeSet<_> = counts.collect();
        let mut counts = counts.into_iter().rev();
        match (counts.next(), counts.next()) {
            (Some((first, _)), Some((second, _))) if first == second => None,
            (first, _) => first.map(|(_, id)| id),
        }
    };
    let right = known.or_else(most);
    for (copy, digest) in scanned.iter_mut().zip(&digests) {
        if copy.failure.is_some() || (right.is_some() && *digest == right) {
            continue;
        }
        let kind = match (digest, right) {
            (None, _) => ProblemKind::Missing {
                elsewhere: right.map(others_with).unwrap_or_default(),
            },
            (Some(_), Some(right)) if !others_with(right).is_empty() => {
                let reason = others_with(right).join(", ");
                ProblemKind::ConfigDiffers { reason }
            }
            (Some(_), Some(_)) => ProblemKind::ConfigDiffers {
                reason: "the one that the repository had".to_owned(),
            },
            (Some(_), None) => ProblemKind::ConfigDiffers {
                reason: "the other copies".to_owned(),
            },
        };
        copy.problems.push((FileName::CONFIG, kind));
    }
}
