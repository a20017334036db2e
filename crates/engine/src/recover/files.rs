//! What lies under each name, as far as a listing of versions tells: which versions may be the right
//! one, in the order of [`right_version`](crate::right_version).
//!
//! **Security:** whoever may write makes as many versions of a file as he likes, and names without
//! number. So of each file a few versions are kept, whatever their number, some 300 bytes; more of a
//! single file are listed when the few were all wrong. Where there are more names than any repository
//! has, or than there is memory for, those that came first are looked at: he comes after whoever made
//! the repository.

use std::collections::{HashMap, HashSet};

use strongroom_model::{FileName, FileType};
use strongroom_store::{FileVersion, VersionContent};

use crate::Result;
use crate::progress::Progress;
use crate::recover::source::Source;
use crate::right_version::{Candidate, Candidates, OddSize, Sought, keep_best, since_1970_ns};

/// How many versions of a file are kept from the listing of its type, beside the oldest.
pub(super) const AT_FIRST: usize = 4;

/// The most files of a type that are looked at; ten million packs are 160 TB. A name costs whoever
/// wants this to fail no more than a request, so that more of them end nothing.
const fn most_files(kind: FileType) -> usize {
    match kind {
        FileType::Data => 10_000_000,
        FileType::Index | FileType::Snapshots => 1_000_000,
        FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => 100_000,
    }
}

/// The most bytes that the names of a type take in memory together with what is known of them, of so
/// many for all: packs have the most.
const fn share_bytes(kind: FileType, most_bytes: u64) -> u64 {
    match kind {
        FileType::Data => most_bytes / 8 * 5,
        FileType::Index | FileType::Snapshots => most_bytes / 8,
        FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => most_bytes / 16,
    }
}

/// Of how many names it is known that a marker hides them: a number for the report and nothing more.
const MOST_HIDDEN: usize = 1_000_000;

/// A file, and what may be its bytes.
#[derive(Debug)]
pub(super) struct File {
    /// Its name.
    pub(super) name: FileName,
    candidates: Candidates,
    /// Whether a marker is what is seen under the name.
    pub(super) is_hidden: bool,
    /// Whether there is a version of a size that no such file has.
    has_odd: bool,
}

/// The files of a type.
#[derive(Debug)]
pub(super) struct Listed {
    /// In order of their names.
    pub(super) files: Vec<File>,
    /// Since when, in nanoseconds since 1970, names that came were left out, where there are more of
    /// them than are looked at.
    pub(super) left_out_ns: Option<u64>,
}

/// Lists the versions of a type. Files that are gone for good, of which only markers are left, are no
/// files, and neither are those that came after the time that was asked for.
///
/// # Errors
/// Where versions cannot be listed.
pub(super) fn list(source: &Source<'_>, kind: FileType, progress: &Progress) -> Result<Listed> {
    let mut names = Names::new(most_files(kind), share_bytes(kind, source.memory_bytes));
    let listed = source.versions.each_version(kind, &mut |version| {
        source.check()?;
        progress.add_files(1);
        names.take(&version, &source.sought());
        Ok(())
    });
    listed.map_err(|error| source.not_listed(error))?;
    Ok(names.into_listed())
}

/// Lists the versions of one file; `None` where there is none that may be its bytes.
///
/// # Errors
/// As [`list`].
pub(super) fn list_one(source: &Source<'_>, name: FileName) -> Result<Option<File>> {
    let mut file = File::new(name);
    let listed = source.versions.each_version_of(name, &mut |version| {
        source.check()?;
        file.take(Candidate::of(&version, &source.sought()));
        Ok(())
    });
    listed.map_err(|error| source.not_listed(error))?;
    Ok(Some(file).filter(|file| !file.candidates.is_empty()))
}

/// The next versions of a file behind those that were tried, at most so many; and whether there are
/// others behind them. Those that are known to be wrong are passed over.
///
/// # Errors
/// As [`list`].
pub(super) fn list_more(
    source: &Source<'_>,
    name: FileName,
    behind: Option<&Candidate>,
    most: usize,
    is_known: impl Fn(&Candidate) -> bool,
) -> Result<(Vec<Candidate>, bool)> {
    let (mut found, mut has_more) = (Vec::new(), false);
    let listed = source.versions.each_version_of(name, &mut |version| {
        source.check()?;
        let candidate = Candidate::of(&version, &source.sought()).ok();
        let is_next = |one: &Candidate| behind.is_none_or(|behind| one > behind) && !is_known(one);
        if let Some(candidate) = candidate.flatten().filter(is_next) {
            has_more |= keep_best(&mut found, candidate, most);
        }
        Ok(())
    });
    listed.map_err(|error| source.not_listed(error))?;
    Ok((found, has_more))
}

/// The names of a type as their versions are listed: of too many those that came first, since whoever
/// floods a place with names comes after whoever made the repository.
struct Names {
    files: HashMap<FileName, File>,
    /// How many bytes these take.
    held_bytes: u64,
    /// What a marker hides.
    hidden: HashSet<FileName>,
    most: usize,
    most_bytes: u64,
    /// A name that came then or later is not looked at any more.
    left_out_ns: Option<u64>,
}

impl Names {
    fn new(most: usize, most_bytes: u64) -> Self {
        Self {
            files: HashMap::new(),
            held_bytes: 0,
            hidden: HashSet::new(),
            most,
            most_bytes,
            left_out_ns: None,
        }
    }

    fn take(&mut self, version: &FileVersion, sought: &Sought) {
        let name = version.name;
        if version.content == VersionContent::Marker {
            if version.is_newest && self.hidden.len() < MOST_HIDDEN {
                self.hidden.insert(name);
            }
            return;
        }
        let found = Candidate::of(version, sought);
        let made_ns = match &found {
            // It came later than was asked for, and costs nothing.
            Ok(None) => return,
            Ok(Some(_)) => since_1970_ns(version.made),
            Err(OddSize) => u64::MAX,
        };
        let known = self.files.get(&name).map(File::held_bytes);
        if known.is_none() && self.left_out_ns.is_some_and(|since| made_ns >= since) {
            return;
        }
        let file = self.files.entry(name).or_insert_with(|| File::new(name));
        file.take(found);
        let held = self.held_bytes.saturating_add(file.held_bytes());
        self.held_bytes = held.saturating_sub(known.unwrap_or_default());
        let is_over = |held: u64, most: u64| held > most.saturating_add(most / 8);
        if is_over(self.files.len() as u64, self.most as u64)
            || is_over(self.held_bytes, self.most_bytes)
        {
            self.leave_out();
        }
    }

    /// Leaves out what came last, so that there are no more than are looked at.
    fn leave_out(&mut self) {
        if self.files.len() <= self.most && self.held_bytes <= self.most_bytes {
            return;
        }
        let files = self.files.values();
        let mut in_order: Vec<_> = files
            .map(|file| (file.since_ns(), file.name, file.held_bytes()))
            .collect();
        in_order.sort_unstable();
        let mut held_bytes = 0_u64;
        let stay = in_order.iter().take(self.most).take_while(|(_, _, bytes)| {
            held_bytes = held_bytes.saturating_add(*bytes);
            held_bytes <= self.most_bytes
        });
        let stay = stay.count();
        let Some((since_ns, first, _)) = in_order.get(stay).copied() else {
            return;
        };
        self.files
            .retain(|name, file| (file.since_ns(), *name) < (since_ns, first));
        self.held_bytes = self.files.values().map(File::held_bytes).sum();
        self.left_out_ns = Some(since_ns);
    }

    fn into_listed(mut self) -> Listed {
        self.leave_out();
        let mut files: Vec<_> = self.files.into_values().collect();
        files.retain(|file| !file.candidates.is_empty() || file.has_odd);
        for file in &mut files {
            file.is_hidden = self.hidden.contains(&file.name);
        }
        files.sort_unstable_by_key(|file| file.name);
        Listed {
            files,
            left_out_ns: self.left_out_ns,
        }
    }
}

impl File {
    fn new(name: FileName) -> Self {
        Self {
            name,
            candidates: Candidates::default(),
            is_hidden: false,
            has_odd: false,
        }
    }

    fn take(&mut self, found: std::result::Result<Option<Candidate>, OddSize>) {
        match found {
            Ok(Some(candidate)) => {
                let kind = self.name.kind();
                self.candidates.offer(kind, candidate, AT_FIRST);
            }
            Ok(None) => {}
            Err(OddSize) => self.has_odd = true,
        }
    }

    /// What is tried at this place in the order, where that was not tried before.
    pub(super) fn candidate(&self, place: usize) -> Option<&Candidate> {
        self.candidates.at(place)
    }

    /// All that are tried before more of them are listed.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.in_order()
    }

    /// The last one in their order, behind which others are listed; `None` where there are no others.
    pub(super) fn last(&self) -> Option<&Candidate> {
        self.candidates.last()
    }

    /// How many bytes it has, as far as can be told.
    pub(super) fn size_bytes(&self) -> u64 {
        self.candidate(0).map_or(0, |first| first.size_bytes)
    }

    /// Whether a version of this size may be the right one.
    pub(super) fn may_have(&self, size_bytes: u64) -> bool {
        let mut sizes = self.candidates().map(|one| one.size_bytes);
        self.candidates.has_more() || sizes.any(|size| size == size_bytes)
    }

    /// When its oldest version was made, by the clock of the place, in nanoseconds since 1970.
    pub(super) fn since_ns(&self) -> u64 {
        let oldest = self.candidates.oldest();
        oldest.map_or(u64::MAX, |oldest| oldest.made_ns(self.name.kind()))
    }

    /// How many bytes of memory it takes, in a map of names as well.
    fn held_bytes(&self) -> u64 {
        (2 * size_of::<FileName>() + size_of::<Self>() + self.candidates.held_bytes()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use strongroom_model::Id;
    use strongroom_store::{VersionId, read_limit_bytes};

    use super::*;
    use crate::right_version::tests::version;

    fn name(kind: FileType) -> FileName {
        FileName::new(kind, Id::of(b"bytes"))
    }

    fn sought(as_of: Option<u64>) -> Sought {
        let as_of = as_of.map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        Sought {
            size_bytes: None,
            as_of,
        }
    }

    fn tried(file: &File) -> Vec<String> {
        let candidates = file.candidates();
        candidates.map(|one| one.version.to_string()).collect()
    }

    fn taken(kind: FileType, seconds: &[u64], as_of: Option<u64>) -> File {
        let mut file = File::new(name(kind));
        for second in seconds {
            let version = version(kind, *second, 5);
            file.take(Candidate::of(&version, &sought(as_of)));
        }
        file
    }

    #[test]
    fn the_newest_is_tried_first_and_then_the_oldest_in_whatever_order_they_are_listed() {
        let seconds = [3, 9, 1, 7, 5, 8, 2, 6, 4];
        let file = taken(FileType::Data, &seconds, None);
        assert_eq!(tried(&file), ["v9", "v1", "v8", "v7", "v6"]);
        assert_eq!(file.last().unwrap().version.as_str(), "v6");
        assert_eq!(file.since_ns(), 1_000_000_000);
        let few = taken(FileType::Data, &[2, 1, 3], None);
        assert_eq!(tried(&few), ["v3", "v1", "v2"]);
        assert!(few.last().is_none());
        assert_eq!(tried(&taken(FileType::Data, &[1], None)), ["v1"]);
    }

    #[test]
    fn of_too_many_names_those_that_came_first_are_looked_at_and_what_came_later_costs_nothing() {
        let at = |number: u64, second: u64| FileVersion {
            name: FileName::new(FileType::Keys, Id::of(&number.to_le_bytes())),
            ..version(FileType::Keys, second, 5)
        };
        let listed = |as_of: Option<u64>| {
            let sought = sought(as_of);
            let mut names = Names::new(16, u64::MAX);
            for number in 0..500 {
                // Eight of them are old, wherever they come in the listing.
                let second = if number % 64 == 5 { 100 } else { 200 + number };
                names.take(&at(number, second), &sought);
                assert!(names.files.len() <= 18);
            }
            // What is old beneath is found, whatever lies above it.
            names.take(&at(9_999, 900), &sought);
            names.take(&at(9_999, 50), &sought);
            names.into_listed()
        };
        let all = listed(None);
        assert_eq!(all.files.len(), 16);
        let old = |file: &&File| file.since_ns() <= 100_000_000_000;
        assert_eq!(all.files.iter().filter(old).count(), 9);
        assert!(all.left_out_ns.is_some_and(|since| since > 100_000_000_000));
        let then = listed(Some(150));
        assert_eq!((then.files.len(), then.left_out_ns), (9, None));
    }

    #[test]
    fn of_config_the_oldest_counts() {
        let file = taken(FileType::Config, &[3, 9, 1, 7, 5], None);
        assert_eq!(tried(&file), ["v1", "v3", "v5", "v7"]);
        assert_eq!(file.since_ns(), 1_000_000_000);
    }

    #[test]
    fn what_came_later_than_asked_for_is_not_tried() {
        let file = taken(FileType::Data, &[3, 9, 1, 7, 5], Some(5));
        assert_eq!(tried(&file), ["v5", "v1", "v3"]);
    }

    #[test]
    fn sizes_that_no_file_has_are_not_tried_and_large_ones_come_last() {
        let kind = FileType::Snapshots;
        let mut file = File::new(name(kind));
        let limit = read_limit_bytes(kind);
        for (second, size) in [(1, 0), (2, limit + 1)] {
            file.take(Candidate::of(&version(kind, second, size), &sought(None)));
        }
        assert!(file.has_odd && tried(&file).is_empty());
        for (second, size) in [(3, 500), (4, limit)] {
            file.take(Candidate::of(&version(kind, second, size), &sought(None)));
        }
        assert_eq!(tried(&file), ["v3", "v4"]);
        assert!(file.may_have(limit) && !file.may_have(501));
    }

    #[test]
    fn of_more_names_than_there_is_memory_for_those_that_came_first_are_looked_at() {
        let at = |number: u64, second: u64| FileVersion {
            name: FileName::new(FileType::Keys, Id::of(&number.to_le_bytes())),
            // Whoever runs the place says how long its names of versions are.
            version: VersionId::new("v".repeat(1000)),
            ..version(FileType::Keys, second, 5)
        };
        let most_bytes = 20_000;
        let mut names = Names::new(1_000_000, most_bytes);
        for number in 0..200 {
            let second = if number % 50 == 5 { 100 } else { 200 + number };
            names.take(&at(number, second), &Sought::default());
            assert!(names.held_bytes <= most_bytes + most_bytes / 8 + 2_000);
        }
        // Some versions of one name take no more than a few.
        for second in 1_000..1_100 {
            names.take(&at(5, second), &Sought::default());
        }
        let listed = names.into_listed();
        let held: u64 = listed.files.iter().map(File::held_bytes).sum();
        assert!(held <= most_bytes, "{held}");
        let old = |file: &&File| file.since_ns() == 100_000_000_000;
        assert_eq!(listed.files.iter().filter(old).count(), 4);
        assert!(listed.left_out_ns.is_some());
    }
}
