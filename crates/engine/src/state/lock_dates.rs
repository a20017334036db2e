//! Until when the files of a copy are locked, as its place has shown it.
//!
//! It spares requests for what is not due, and proves nothing: a place may have lied when it was
//! asked, and what is due is held against the versions that are listed. So nothing is lost with it but
//! time: versions are listed then, and there is one request for each file.
//!
//! There may be ten million packs, so that it is no JSON: an entry has the 32 bytes of its id, one
//! for its type, and the name of its version with its length, which most places give 32 bytes; 66
//! together. Entries lie in groups, each of one end, in hours since 1970, rounded down: what is
//! recorded never promises more than what was shown.
//!
//! ```text
//! "strongroom-locks"  version: u32
//! place: [u8; 32]                            where they were shown; zeros where nothing told it
//! count: u32, then ids of snapshots          whose needs are all in here
//! count: u32, then groups: hour: u32, count: u32, then entries: type: u8, id: [u8; 32],
//!                                            length: u8, then the version
//! SHA-256 of all before
//! ```
//! All numbers are little-endian.
//!
//! What can go wrong: another bucket of the same name takes the stead of the one that was asked, and
//! nothing in it is locked (so: what is recorded is bound to a place, and of another one nothing is).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use strongroom_model::{Error, FileName, FileType, Id, Result};
use strongroom_store::{SavedLock, VersionId};

/// What the file begins with.
const MAGIC: &[u8; 16] = b"strongroom-locks";
/// The version that this program writes; it rises only where an older program would misread.
const VERSION: u32 = 1;
/// How an error calls it.
const RECORD: &str = "record of locks";
const HOUR_S: u64 = 3600;
const ID_BYTES: usize = 32;

/// Until when the files of a copy are locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockDates {
    /// By name, each once.
    files: Vec<LockedFile>,
    /// Snapshots of which everything that they need is in here.
    covered: BTreeSet<Id>,
    /// The place that has shown it, as its listing tells it; `None` where nothing does.
    place: Option<Id>,
}

/// The version of a file that is right, and when its lock ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LockedFile {
    name: FileName,
    until_h: u32,
    version: Box<str>,
}

impl LockDates {
    /// Which version of a file is locked, and until when at least.
    pub fn get(&self, name: FileName) -> Option<(VersionId, SystemTime)> {
        let found = self.find(name)?;
        Some((VersionId::new(&*found.version), found.until()))
    }

    /// Until when at least a file is locked.
    pub fn until(&self, name: FileName) -> Option<SystemTime> {
        self.find(name).map(LockedFile::until)
    }

    /// All files, by name, and until when at least each is locked.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FileName, SystemTime)> + '_ {
        self.files.iter().map(|file| (file.name, file.until()))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// When the first lock ends.
    pub fn earliest(&self) -> Option<SystemTime> {
        self.files.iter().map(LockedFile::until).min()
    }

    /// Takes note of locks that were seen. Of one version the later end counts, of two versions the
    /// one that was noted last.
    pub fn note(&mut self, seen: impl IntoIterator<Item = SavedLock>) {
        let seen = seen.into_iter().filter_map(LockedFile::of);
        // The sort keeps what was noted last behind what was noted before.
        self.files.extend(seen);
        self.files.sort_by_key(|file| file.name);
        self.files.dedup_by(|later, before| {
            let is_same = later.name == before.name;
            if is_same {
                if later.version == before.version {
                    before.until_h = before.until_h.max(later.until_h);
                } else {
                    std::mem::swap(before, later);
                }
            }
            is_same
        });
    }

    /// Forgets files, since the version that is recorded is not there.
    pub fn forget(&mut self, names: &BTreeSet<FileName>) {
        self.files.retain(|file| !names.contains(&file.name));
    }

    /// Keeps only these files: of the others it does not matter when their locks end.
    pub fn retain(&mut self, is_kept: impl Fn(FileName) -> bool) {
        self.files.retain(|file| is_kept(file.name));
    }

    /// Whether all that a snapshot needs is in here.
    pub fn covers(&self, snapshot: Id) -> bool {
        self.covered.contains(&snapshot)
    }

    /// Says of which snapshots all that they need is in here, and of no others.
    pub fn cover(&mut self, snapshots: BTreeSet<Id>) {
        self.covered = snapshots;
    }

    /// The snapshots of which all that they need is in here.
    pub const fn covered(&self) -> &BTreeSet<Id> {
        &self.covered
    }

    /// The place that has shown them.
    pub const fn place(&self) -> Option<Id> {
        self.place
    }

    /// Binds what is recorded, and what will be, to the place that is there now: of another one, or
    /// where nothing tells any more whether it is the same, nothing is believed. Says whether anything
    /// was recorded of another. Where no place was noted, it was this one.
    pub fn move_to(&mut self, place: Option<Id>) -> bool {
        if self.place.is_none() || self.place == place {
            self.place = place;
            return false;
        }
        let before = std::mem::take(self);
        self.place = place;
        !before.files.is_empty()
    }

    /// Reads what [`LockDates::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`], and [`Error::UnknownVersion`] for what a newer version wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(malformed("it does not begin as one"));
        }
        let version = reader.number()?;
        if version != VERSION {
            return Err(Error::UnknownVersion {
                what: RECORD,
                version,
                known: VERSION,
            });
        }
        let (content, sum) = bytes
            .split_last_chunk::<ID_BYTES>()
            .ok_or_else(|| malformed("it is too short"))?;
        if Id::of(content).as_bytes() != sum {
            return Err(malformed("its sum is not that of its content"));
        }
        let header_bytes = MAGIC.len() + size_of::<u32>();
        let mut reader = Reader(content.get(header_bytes..).unwrap_or_default());
        let place = Some(reader.id()?).filter(|place| *place != Id::default());
        let mut covered = BTreeSet::new();
        for _ in 0..reader.number()? {
            covered.insert(reader.id()?);
        }
        let mut files = Vec::new();
        for _ in 0..reader.number()? {
            let until_h = reader.number()?;
            for _ in 0..reader.number()? {
                files.push(reader.file(until_h)?);
            }
        }
        if !reader.0.is_empty() {
            return Err(malformed("something follows its end"));
        }
        files.sort_by_key(|file| file.name);
        files.dedup_by_key(|file| file.name);
        Ok(Self {
            files,
            covered,
            place,
        })
    }

    /// Writes what [`LockDates::decode`] reads.
    ///
    /// # Errors
    /// Where there are more files than a number of it can say.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut groups: BTreeMap<u32, Vec<&LockedFile>> = BTreeMap::new();
        for file in &self.files {
            groups.entry(file.until_h).or_default().push(file);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.place.unwrap_or_default().as_bytes());
        bytes.extend(counted(self.covered.len())?);
        for id in &self.covered {
            bytes.extend(id.as_bytes());
        }
        bytes.extend(counted(groups.len())?);
        for (hour, files) in &groups {
            bytes.extend(hour.to_le_bytes());
            bytes.extend(counted(files.len())?);
            for file in files {
                bytes.push(code(file.name.kind()));
                bytes.extend(file.name.id().unwrap_or_default().as_bytes());
                // Longer ones never came in.
                bytes.push(u8::try_from(file.version.len()).unwrap_or_default());
                bytes.extend(file.version.as_bytes());
            }
        }
        let sum = Id::of(&bytes);
        bytes.extend(sum.as_bytes());
        Ok(bytes)
    }

    fn find(&self, name: FileName) -> Option<&LockedFile> {
        let place = self.files.binary_search_by_key(&name, |file| file.name);
        self.files.get(place.ok()?)
    }
}

impl LockedFile {
    /// `None` where its version has a name that is longer than any sound one.
    fn of(seen: SavedLock) -> Option<Self> {
        let version: Box<str> = seen.version.as_str().into();
        u8::try_from(version.len()).ok()?;
        let since = seen.until.duration_since(SystemTime::UNIX_EPOCH);
        let hours = since.unwrap_or_default().as_secs() / HOUR_S;
        Some(Self {
            name: seen.name,
            until_h: u32::try_from(hours).unwrap_or(u32::MAX),
            version,
        })
    }

    fn until(&self) -> SystemTime {
        let since = Duration::from_secs(u64::from(self.until_h) * HOUR_S);
        let until = SystemTime::UNIX_EPOCH.checked_add(since);
        until.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// What was not read yet.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let taken = self.0.split_at_checked(count);
        let (taken, rest) = taken.ok_or_else(|| malformed("it is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.0.split_first_chunk();
        let (taken, rest) = taken.ok_or_else(|| malformed("it is too short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn id(&mut self) -> Result<Id> {
        self.array().map(Id::from_bytes)
    }

    fn file(&mut self, until_h: u32) -> Result<LockedFile> {
        let kind = kind(self.byte()?).ok_or_else(|| malformed("there is no such type of file"))?;
        let name = FileName::new(kind, self.id()?);
        let length = usize::from(self.byte()?);
        let version = str::from_utf8(self.take(length)?);
        let version = version.map_err(|_| malformed("the name of a version is no text"))?;
        Ok(LockedFile {
            name,
            until_h,
            version: version.into(),
        })
    }
}

/// The number of a type in the file.
const fn code(kind: FileType) -> u8 {
    match kind {
        FileType::Config => 0,
        FileType::Keys => 1,
        FileType::Data => 2,
        FileType::Index => 3,
        FileType::Snapshots => 4,
        FileType::Locks => 5,
        FileType::Records => 6,
    }
}

/// The type that has this number; the files in `locks/` are never locked.
const fn kind(code: u8) -> Option<FileType> {
    match code {
        0 => Some(FileType::Config),
        1 => Some(FileType::Keys),
        2 => Some(FileType::Data),
        3 => Some(FileType::Index),
        4 => Some(FileType::Snapshots),
        6 => Some(FileType::Records),
        _ => None,
    }
}

fn counted(count: usize) -> Result<[u8; 4]> {
    let count = u32::try_from(count).map_err(|_| malformed("there is too much of it"))?;
    Ok(count.to_le_bytes())
}

fn malformed(reason: &str) -> Error {
    Error::Malformed {
        what: RECORD,
        source: serde_json::Error::custom(reason),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(hours * HOUR_S)
    }

    fn seen(kind: FileType, text: &str, version: &str, until: SystemTime) -> SavedLock {
        SavedLock {
            name: FileName::new(kind, Id::of(text.as_bytes())),
            version: VersionId::new(version),
            until,
        }
    }

    fn some() -> LockDates {
        let mut dates = LockDates::default();
        dates.note([
            seen(FileType::Config, "", "v0", at(500_000)),
            seen(FileType::Data, "a", "v1", at(500_001)),
            seen(FileType::Snapshots, "a", "v2", at(500_000)),
        ]);
        dates.cover([Id::of(b"a")].into());
        dates
    }

    #[test]
    fn what_was_noted_is_found_under_its_name_and_ends_no_later_than_it_was_shown() {
        let mut dates = LockDates::default();
        let until = at(500_000) + Duration::from_secs(HOUR_S - 1);
        dates.note([seen(FileType::Data, "a", "v", until)]);
        let name = FileName::new(FileType::Data, Id::of(b"a"));
        assert_eq!(dates.get(name), Some((VersionId::new("v"), at(500_000))));
        assert_eq!(dates.until(FileName::CONFIG), None);
        let other = FileName::new(FileType::Index, Id::of(b"a"));
        assert_eq!(dates.until(other), None);
        assert_eq!(dates.earliest(), Some(at(500_000)));
    }

    #[test]
    fn of_one_version_the_later_end_counts_and_of_two_the_one_that_was_noted_last() {
        let name = FileName::new(FileType::Data, Id::of(b"a"));
        let note = |notes: &[(&str, u64)]| {
            let mut dates = LockDates::default();
            for (version, hours) in notes {
                dates.note([seen(FileType::Data, "a", version, at(*hours))]);
            }
            let mut at_once = LockDates::default();
            let all = notes.iter();
            at_once.note(all.map(|(version, h)| seen(FileType::Data, "a", version, at(*h))));
            assert_eq!(dates, at_once);
            dates.get(name).unwrap()
        };
        assert_eq!(note(&[("v", 7), ("v", 9)]), (VersionId::new("v"), at(9)));
        assert_eq!(note(&[("v", 9), ("v", 7)]), (VersionId::new("v"), at(9)));
        assert_eq!(note(&[("v", 9), ("w", 7)]), (VersionId::new("w"), at(7)));
        let back = note(&[("v", 9), ("w", 7), ("v", 5)]);
        assert_eq!(back, (VersionId::new("v"), at(5)));
    }

    #[test]
    fn a_version_with_a_name_without_end_is_not_kept() {
        let mut dates = LockDates::default();
        let (longest, longer) = ("v".repeat(255), "v".repeat(256));
        dates.note([
            seen(FileType::Data, "a", &longest, at(1)),
            seen(FileType::Data, "b", &longer, at(1)),
        ]);
        assert_eq!(dates.len(), 1);
        assert_eq!(LockDates::decode(&dates.encode().unwrap()).unwrap(), dates);
    }

    #[test]
    fn what_is_forgotten_or_not_kept_is_gone() {
        let mut dates = some();
        dates.forget(&[FileName::CONFIG].into());
        assert_eq!(dates.len(), 2);
        dates.retain(|name| name.kind() == FileType::Data);
        assert_eq!(dates.iter().count(), 1);
        assert!(dates.covers(Id::of(b"a")) && !dates.covers(Id::of(b"b")));
    }

    #[test]
    fn what_another_place_has_shown_is_not_believed() {
        let place = |text: &str| Some(Id::of(text.as_bytes()));
        let mut dates = some();
        assert_eq!(dates.place(), None);
        // Nothing has told it until now.
        assert!(!dates.move_to(place("bucket")));
        assert_eq!(dates.len(), 3);
        let kept = LockDates::decode(&dates.encode().unwrap()).unwrap();
        assert_eq!(kept.place(), place("bucket"));
        assert!(!dates.move_to(place("bucket")));
        assert_eq!(dates, kept);
        for other in [place("another"), None] {
            let mut dates = kept.clone();
            assert!(dates.move_to(other));
            assert!(dates.is_empty() && dates.covered().is_empty());
            assert_eq!(dates.place(), other);
            // That is told once.
            assert!(!dates.move_to(other));
        }
    }

    #[test]
    fn any_bit_that_rots_and_any_end_that_is_missing_is_noticed() {
        let bytes = some().encode().unwrap();
        for place in 0..bytes.len() {
            let mut rotten = bytes.clone();
            rotten[place] ^= 1 << (place % 8);
            let error = LockDates::decode(&rotten).unwrap_err();
            // Of another version nothing is believed either, and it is left as it is.
            let is_version = (MAGIC.len()..MAGIC.len() + 4).contains(&place);
            let is_unknown = matches!(error, Error::UnknownVersion { .. });
            assert_eq!(is_unknown, is_version, "{place}: {error:?}");
            assert!(LockDates::decode(&bytes[..place]).is_err(), "{place}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(LockDates::decode(&longer).is_err());
        assert!(LockDates::decode(b"").is_err());
    }

    #[test]
    fn a_file_takes_no_more_than_70_bytes() {
        let version = "v".repeat(32);
        let mut dates = LockDates::default();
        dates.note((0..10_000).map(|number| {
            let until = at(500_000) + Duration::from_secs(number);
            seen(FileType::Data, &number.to_string(), &version, until)
        }));
        let bytes = dates.encode().unwrap().len();
        assert!(bytes < 70 * 10_000, "{bytes}");
    }

    proptest! {
        #[test]
        fn it_survives_being_written_and_read(
            files in prop::collection::vec(
                (0_u8..5, any::<[u8; 32]>(), ".{0,40}", any::<u32>()),
                0..50,
            ),
            covered in prop::collection::btree_set(any::<[u8; 32]>(), 0..5),
        ) {
            let mut dates = LockDates::default();
            dates.note(files.into_iter().map(|(code, id, version, hours)| SavedLock {
                name: FileName::new(kind(code).unwrap(), Id::from_bytes(id)),
                version: VersionId::new(version),
                until: at(u64::from(hours)),
            }));
            dates.cover(covered.into_iter().map(Id::from_bytes).collect());
            let again = LockDates::decode(&dates.encode().unwrap()).unwrap();
            prop_assert_eq!(again, dates);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut record = MAGIC.to_vec();
            record.extend(VERSION.to_le_bytes());
            record.extend(bytes);
            let sum = Id::of(&record);
            record.extend(sum.as_bytes());
            let _ = LockDates::decode(&record);
        }
    }
}
