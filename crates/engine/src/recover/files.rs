//! What lies under each name, as far as a listing of versions tells: which versions may be the right
//! one, and in which order they are tried.
//!
//! **Security:** whoever may write makes as many versions of a file as he likes, and names without
//! number. So of each file a few versions are kept, whatever their number, some 300 bytes; more of a
//! single file are listed when the few were all wrong. Tried is the newest first, which is right where
//! nobody was here. Then the oldest: whoever overwrites a file comes after whoever wrote it, so that a
//! thousand versions of junk above it cost nothing. Then the others, newest first. What is of a size
//! that no file of its type has is not tried at all, and what is larger than clients make comes last.
//! Where there are more names than any repository has, those that came first are looked at.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use strongroom_model::{FileName, FileType};
use strongroom_repo::key::MAX_KEY_FILE_BYTES;
use strongroom_store::{FileVersion, VersionContent, VersionId, read_limit_bytes};

use crate::Result;
use crate::progress::Progress;
use crate::recover::source::Source;

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

/// What is larger than this part of the largest sound file comes last: no client makes it.
const LARGE_PART: u64 = 4;

/// A version that may be the right one. Of two the lesser is tried first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    is_large: bool,
    /// Falls with the time when it was made, or grows with it where the oldest counts.
    order_ns: u64,
    /// What the place calls it.
    pub(super) version: VersionId,
    /// How many bytes it has.
    pub(super) size_bytes: u64,
    /// The MD5 of its bytes, where the place tells one.
    pub(super) sum: Option<u128>,
    /// Whether it is what is seen under the name.
    pub(super) is_seen: bool,
}

/// A file, and what may be its bytes.
#[derive(Debug)]
pub(super) struct File {
    /// Its name.
    pub(super) name: FileName,
    candidates: Vec<Candidate>,
    /// Of several versions the oldest, where the newest counts.
    oldest: Option<Box<Candidate>>,
    /// Whether there are others.
    has_more: bool,
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
    let mut names = Names::new(most_files(kind));
    let listed = source.versions.each_version(kind, &mut |version| {
        source.check()?;
        progress.add_files(1);
        names.take(&version, source.as_of);
        Ok(())
    });
    listed.map_err(|error| source.not_listed(error))?;
    Ok(names.into_listed())
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
        let candidate = Candidate::of(&version, source.as_of).ok();
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
    /// What a marker hides, of as many names at most: a number for the report and nothing more.
    hidden: HashSet<FileName>,
    most: usize,
    /// A name that came then or later is not looked at any more.
    left_out_ns: Option<u64>,
}

impl Names {
    fn new(most: usize) -> Self {
        Self {
            files: HashMap::new(),
            hidden: HashSet::new(),
            most,
            left_out_ns: None,
        }
    }

    fn take(&mut self, version: &FileVersion, as_of: Option<SystemTime>) {
        let name = version.name;
        if version.content == VersionContent::Marker {
            if version.is_newest && self.hidden.len() < self.most {
                self.hidden.insert(name);
            }
            return;
        }
        let made_ns = match Candidate::of(version, as_of) {
            // It came later than was asked for, and costs nothing.
            Ok(None) => return,
            Ok(Some(_)) => since_1970_ns(version.made),
            Err(OddSize) => u64::MAX,
        };
        let is_late = self.left_out_ns.is_some_and(|since| made_ns >= since);
        if is_late && !self.files.contains_key(&name) {
            return;
        }
        let file = self.files.entry(name).or_insert_with(|| File::new(name));
        file.take(version, as_of);
        if self.files.len() > self.most.saturating_add(self.most / 8) {
            self.leave_out();
        }
    }

    /// Leaves out what came last, so that there are no more than are looked at.
    fn leave_out(&mut self) {
        if self.files.len() <= self.most {
            return;
        }
        let mut times: Vec<_> = self.files.values().map(File::since_ns).collect();
        let (before, since_ns, _) = times.select_nth_unstable(self.most);
        let since_ns = *since_ns;
        let earlier = before.iter().filter(|time| **time < since_ns).count();
        let mut room = self.most.saturating_sub(earlier);
        self.files.retain(|_, file| {
            let time = file.since_ns();
            let has_room = time == since_ns && room > 0;
            if has_room {
                room -= 1;
            }
            time < since_ns || has_room
        });
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
            candidates: Vec::new(),
            oldest: None,
            has_more: false,
            is_hidden: false,
            has_odd: false,
        }
    }

    fn take(&mut self, version: &FileVersion, as_of: Option<SystemTime>) {
        match Candidate::of(version, as_of) {
            Ok(Some(candidate)) => self.offer(candidate),
            Ok(None) => {}
            Err(OddSize) => self.has_odd = true,
        }
    }

    fn offer(&mut self, candidate: Candidate) {
        if self.name.kind() != FileType::Config {
            let known = self.oldest.as_deref().or(self.candidates.first());
            let older = match known {
                None => None,
                Some(known) if candidate.is_older(known) => Some(candidate.clone()),
                Some(known) => self.oldest.is_none().then(|| known.clone()),
            };
            if let Some(older) = older {
                self.oldest = Some(Box::new(older));
            }
        }
        if self.candidates.is_empty() {
            // Of most files there is one version, and there may be millions of them.
            self.candidates.reserve_exact(1);
        }
        self.has_more |= keep_best(&mut self.candidates, candidate, AT_FIRST);
    }

    /// What is tried at this place in the order, where that was not tried before.
    pub(super) fn candidate(&self, place: usize) -> Option<&Candidate> {
        let (first, oldest) = (self.candidates.first(), self.oldest.as_deref());
        let is_other = |one: &Candidate, than: Option<&Candidate>| {
            than.is_none_or(|than| than.version != one.version)
        };
        match place {
            0 => first,
            1 => oldest.filter(|oldest| is_other(oldest, first)),
            _ => {
                let next = self.candidates.get(place - 1);
                next.filter(|next| is_other(next, oldest))
            }
        }
    }

    /// All that are tried before more of them are listed.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        (0..=AT_FIRST).filter_map(|place| self.candidate(place))
    }

    /// The last one in their order, behind which others are listed; `None` where there are no others.
    pub(super) fn last(&self) -> Option<&Candidate> {
        self.candidates.last().filter(|_| self.has_more)
    }

    /// How many bytes it has, as far as can be told.
    pub(super) fn size_bytes(&self) -> u64 {
        self.candidates.first().map_or(0, |first| first.size_bytes)
    }

    /// Whether a version of this size may be the right one.
    pub(super) fn may_have(&self, size_bytes: u64) -> bool {
        let mut sizes = self.candidates().map(|one| one.size_bytes);
        self.has_more || sizes.any(|size| size == size_bytes)
    }

    /// When its oldest version was made, by the clock of the place, in nanoseconds since 1970.
    pub(super) fn since_ns(&self) -> u64 {
        let oldest = self.oldest.as_deref().or(self.candidates.first());
        oldest.map_or(u64::MAX, |oldest| oldest.made_ns(self.name.kind()))
    }
}

/// A size that no file of the type has.
#[derive(Debug)]
pub(super) struct OddSize;

impl Candidate {
    /// A version as it may be tried; `None` where it is a marker, or came later.
    pub(super) fn of(
        version: &FileVersion,
        as_of: Option<SystemTime>,
    ) -> std::result::Result<Option<Self>, OddSize> {
        let VersionContent::Bytes { size_bytes, tag } = &version.content else {
            return Ok(None);
        };
        if as_of.is_some_and(|as_of| version.made > as_of) {
            return Ok(None);
        }
        let kind = version.name.kind();
        let limit_bytes = match kind {
            FileType::Keys => MAX_KEY_FILE_BYTES,
            _ => read_limit_bytes(kind),
        };
        if !(1..=limit_bytes).contains(size_bytes) {
            return Err(OddSize);
        }
        Ok(Some(Self {
            is_large: *size_bytes > limit_bytes / LARGE_PART,
            order_ns: turned(kind, since_1970_ns(version.made)),
            version: version.version.clone(),
            size_bytes: *size_bytes,
            sum: tag.as_deref().and_then(sum_of),
            is_seen: version.is_newest,
        }))
    }

    /// When it was made, by the clock of the place, in nanoseconds since 1970.
    pub(super) fn made_ns(&self, kind: FileType) -> u64 {
        turned(kind, self.order_ns)
    }

    fn is_older(&self, than: &Self) -> bool {
        !self.is_large && self.order_ns > than.order_ns
    }
}

/// A time so that what is tried first is the least: of `config`, which has no hash name, the oldest
/// counts, and of all others the newest.
const fn turned(kind: FileType, time_ns: u64) -> u64 {
    match kind {
        FileType::Config => time_ns,
        _ => u64::MAX - time_ns,
    }
}

/// A time in nanoseconds, until the year 2554.
pub(super) fn since_1970_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.unwrap_or_default().as_nanos();
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

/// The MD5 that a tag tells; that of what came in parts, or was encrypted there, is none.
fn sum_of(tag: &str) -> Option<u128> {
    let tag = tag.trim_matches('"');
    let is_sum = tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sum.then(|| u128::from_str_radix(tag, 16).ok()).flatten()
}

/// Keeps the best of what there is, in order; returns whether one was left out.
fn keep_best(kept: &mut Vec<Candidate>, candidate: Candidate, most: usize) -> bool {
    let place = kept.partition_point(|one| *one < candidate);
    if place >= most {
        return true;
    }
    kept.insert(place, candidate);
    let is_too_many = kept.len() > most;
    kept.truncate(most);
    is_too_many
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strongroom_model::Id;

    use super::*;

    fn name(kind: FileType) -> FileName {
        FileName::new(kind, Id::of(b"bytes"))
    }

    fn version(kind: FileType, second: u64, size_bytes: u64) -> FileVersion {
        FileVersion {
            name: name(kind),
            version: VersionId::new(format!("v{second}")),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            is_newest: false,
            content: VersionContent::Bytes {
                size_bytes,
                tag: Some(format!("\"{second:032x}\"")),
            },
        }
    }

    fn tried(file: &File) -> Vec<String> {
        let candidates = file.candidates();
        candidates.map(|one| one.version.to_string()).collect()
    }

    fn taken(kind: FileType, seconds: &[u64], as_of: Option<u64>) -> File {
        let mut file = File::new(name(kind));
        let as_of = as_of.map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        for second in seconds {
            file.take(&version(kind, *second, 5), as_of);
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
            let as_of = as_of.map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let mut names = Names::new(16);
            for number in 0..500 {
                // Eight of them are old, wherever they come in the listing.
                let second = if number % 64 == 5 { 100 } else { 200 + number };
                names.take(&at(number, second), as_of);
                assert!(names.files.len() <= 18);
            }
            // What is old beneath is found, whatever lies above it.
            names.take(&at(9_999, 900), as_of);
            names.take(&at(9_999, 50), as_of);
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
            file.take(&version(kind, second, size), None);
        }
        assert!(file.has_odd && tried(&file).is_empty());
        file.take(&version(kind, 3, 500), None);
        file.take(&version(kind, 4, limit), None);
        assert_eq!(tried(&file), ["v3", "v4"]);
        assert!(file.may_have(limit) && !file.may_have(501));
    }

    #[test]
    fn only_a_plain_sum_is_one() {
        assert_eq!(sum_of(&format!("\"{:032x}\"", 7)), Some(7));
        assert_eq!(sum_of(&format!("{:032X}", u128::MAX)), Some(u128::MAX));
        for tag in ["", "\"tag\"", &format!("{:032x}-2", 7), &"+".repeat(32)] {
            assert_eq!(sum_of(tag), None, "{tag}");
        }
    }
}
