//! Which version of a file is right, where a place keeps versions: the one whose bytes have its name.
//!
//! Tried is the newest first, which is right where nobody was here. Then the oldest: whoever
//! overwrites a file comes after whoever wrote it, so that a thousand versions of junk above it cost
//! nothing. Then the others, newest first. Of `config`, which has no hash name, the oldest counts, and
//! so it comes first. What is of a size that no file of its type has is not tried at all; what is
//! larger than clients make, or of another size than is known of the file, comes last.
//!
//! **Security:** whoever may write makes as many versions of a file as he likes. So of each a few are
//! kept, whatever their number, and how many bytes these take is told to whoever keeps many files.

use std::io::{BufRead, ErrorKind};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use strongroom_model::{FileType, Id};
use strongroom_repo::key::MAX_KEY_FILE_BYTES;
use strongroom_store::{FileVersion, VersionContent, VersionId, read_limit_bytes};

/// What is larger than this part of the largest sound file comes last: no client makes it.
const LARGE_PART: u64 = 4;

/// What is known of the version that is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sought {
    /// How many bytes it has, where that is known.
    pub(crate) size_bytes: Option<u64>,
    /// By when it was made, by the clock of the place, where that is asked for.
    pub(crate) as_of: Option<SystemTime>,
}

/// A version that may be the right one. Of two the lesser is tried first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    is_unlikely: bool,
    /// Falls with the time when it was made, or grows with it where the oldest counts.
    order_ns: u64,
    /// Of those of one moment what is seen is the newest.
    comes_behind: bool,
    /// What the place calls it.
    pub(crate) version: VersionId,
    /// How many bytes it has.
    pub(crate) size_bytes: u64,
    /// The MD5 of its bytes, where the place tells one.
    pub(crate) sum: Option<u128>,
    /// Whether it is what is seen under the name.
    pub(crate) is_seen: bool,
}

/// A size that no file of the type has.
#[derive(Debug)]
pub(crate) struct OddSize;

/// The versions of a file that are tried, of however many there are.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    first: Vec<Candidate>,
    /// Of several versions the oldest, where the newest counts.
    oldest: Option<Box<Candidate>>,
    has_more: bool,
}

impl Candidate {
    /// A version as it may be tried; `None` where it is a marker, or came later than is sought.
    pub(crate) fn of(version: &FileVersion, sought: &Sought) -> Result<Option<Self>, OddSize> {
        let VersionContent::Bytes { size_bytes, tag } = &version.content else {
            return Ok(None);
        };
        if sought.as_of.is_some_and(|as_of| version.made > as_of) {
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
        let is_large = *size_bytes > limit_bytes / LARGE_PART;
        Ok(Some(Self {
            is_unlikely: sought
                .size_bytes
                .map_or(is_large, |known| known != *size_bytes),
            order_ns: turned(kind, since_1970_ns(version.made)),
            comes_behind: version.is_newest == (kind == FileType::Config),
            version: version.version.clone(),
            size_bytes: *size_bytes,
            sum: tag.as_deref().and_then(sum_of),
            is_seen: version.is_newest,
        }))
    }

    /// When it was made, by the clock of the place, in nanoseconds since 1970.
    pub(crate) fn made_ns(&self, kind: FileType) -> u64 {
        turned(kind, self.order_ns)
    }

    /// How many bytes of memory it takes.
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.version.as_str().len()
    }

    /// Whether it is the older one of two; what is unlikely is none where the other is not.
    fn is_older(&self, than: &Self) -> bool {
        let age = |one: &Self| (!one.is_unlikely, one.order_ns, one.comes_behind);
        age(self) > age(than)
    }
}

impl Candidates {
    /// Takes a version, and keeps it where it is among the first, of which there are so many.
    pub(crate) fn offer(&mut self, kind: FileType, candidate: Candidate, most: usize) {
        let known = self.oldest.as_deref().or(self.first.first());
        if let Some(known) = known.filter(|_| kind != FileType::Config) {
            let older = if candidate.is_older(known) {
                Some(&candidate)
            } else {
                Some(known).filter(|_| self.oldest.is_none())
            };
            if let Some(older) = older.cloned() {
                self.oldest = Some(Box::new(older));
            }
        }
        if self.first.is_empty() {
            // Of most files there is one version, and there may be millions of them.
            self.first.reserve_exact(1);
        }
        self.has_more |= keep_best(&mut self.first, candidate, most);
    }

    /// What is tried at this place in the order, where that was not tried before.
    pub(crate) fn at(&self, place: usize) -> Option<&Candidate> {
        let (first, oldest) = (self.first.first(), self.oldest.as_deref());
        let is_other = |one: &Candidate, than: Option<&Candidate>| {
            than.is_none_or(|than| than.version != one.version)
        };
        match place {
            0 => first,
            1 => oldest.filter(|oldest| is_other(oldest, first)),
            _ => {
                let next = self.first.get(place - 1);
                next.filter(|next| is_other(next, oldest))
            }
        }
    }

    /// All that are tried before more of them are listed.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Candidate> {
        (0..=self.first.len()).filter_map(|place| self.at(place))
    }

    /// The last one in their order, behind which others are listed; `None` where there are no others.
    pub(crate) fn last(&self) -> Option<&Candidate> {
        self.first.last().filter(|_| self.has_more)
    }

    /// Whether there are others behind these.
    pub(crate) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// The oldest one.
    pub(crate) fn oldest(&self) -> Option<&Candidate> {
        self.oldest.as_deref().or(self.first.first())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// How many bytes of memory they take.
    pub(crate) fn held_bytes(&self) -> usize {
        let all = self.first.iter().chain(self.oldest.as_deref());
        all.map(Candidate::held_bytes).sum()
    }
}

/// Keeps the best of what there is, in order; returns whether one was left out.
pub(crate) fn keep_best(kept: &mut Vec<Candidate>, candidate: Candidate, most: usize) -> bool {
    let place = kept.partition_point(|one| *one < candidate);
    if place >= most {
        return true;
    }
    kept.insert(place, candidate);
    let is_too_many = kept.len() > most;
    kept.truncate(most);
    is_too_many
}

/// Why the bytes of a version were not read to their end.
#[derive(Debug)]
pub(crate) enum Unread<E> {
    /// They do not come.
    Stream(std::io::Error),
    /// Whoever takes them wants no more.
    Taker(E),
}

/// Reads the bytes of a version, hands them on step by step, and tells what they are: their SHA-256,
/// and how many. Of more than these it reads no more than a step.
///
/// # Errors
/// [`Unread`].
pub(crate) fn hash_of<E>(
    stream: &mut (impl BufRead + ?Sized),
    most_bytes: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(Id, u64), Unread<E>> {
    let (mut hasher, mut size_bytes) = (Sha256::new(), 0_u64);
    loop {
        let step = match stream.fill_buf() {
            Ok(step) => step,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Unread::Stream(error)),
        };
        let count = step.len();
        size_bytes = size_bytes.saturating_add(count as u64);
        if count == 0 || size_bytes > most_bytes {
            break;
        }
        hasher.update(step);
        take(step).map_err(Unread::Taker)?;
        stream.consume(count);
    }
    Ok((Id::from_bytes(hasher.finalize().into()), size_bytes))
}

/// A time in nanoseconds, until the year 2554.
pub(crate) fn since_1970_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.unwrap_or_default().as_nanos();
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

/// A time so that what is tried first is the least.
const fn turned(kind: FileType, time_ns: u64) -> u64 {
    match kind {
        FileType::Config => time_ns,
        _ => u64::MAX - time_ns,
    }
}

/// The MD5 that a tag tells; that of what came in parts, or was encrypted there, is none.
fn sum_of(tag: &str) -> Option<u128> {
    let tag = tag.trim_matches('"');
    let is_sum = tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sum.then(|| u128::from_str_radix(tag, 16).ok()).flatten()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use strongroom_model::FileName;

    use super::*;

    /// A version that was made in a second, and whose tag says so.
    pub(crate) fn version(kind: FileType, second: u64, size_bytes: u64) -> FileVersion {
        FileVersion {
            name: FileName::new(kind, Id::of(b"bytes")),
            version: VersionId::new(format!("v{second}")),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            is_newest: false,
            content: VersionContent::Bytes {
                size_bytes,
                tag: Some(format!("\"{second:032x}\"")),
            },
        }
    }

    /// Those that are tried of these, each with its time and size, of which so many are kept.
    fn tried(kind: FileType, sought: Sought, versions: &[(u64, u64)], most: usize) -> Vec<String> {
        let mut candidates = Candidates::default();
        for (second, size) in versions {
            let version = version(kind, *second, *size);
            if let Ok(Some(candidate)) = Candidate::of(&version, &sought) {
                candidates.offer(kind, candidate, most);
            }
        }
        let in_order = candidates.in_order();
        in_order.map(|one| one.version.to_string()).collect()
    }

    fn of_five(seconds: &[u64]) -> Vec<(u64, u64)> {
        seconds.iter().map(|second| (*second, 5)).collect()
    }

    #[test]
    fn the_newest_comes_first_and_then_the_oldest_and_of_config_the_oldest() {
        let all = of_five(&[3, 9, 1, 7, 5, 8, 2, 6, 4]);
        let order = |kind, most| tried(kind, Sought::default(), &all, most);
        assert_eq!(order(FileType::Data, 4), ["v9", "v1", "v8", "v7", "v6"]);
        assert_eq!(order(FileType::Config, 4), ["v1", "v2", "v3", "v4"]);
        let few = tried(FileType::Data, Sought::default(), &of_five(&[2, 1, 3]), 4);
        assert_eq!(few, ["v3", "v1", "v2"]);
    }

    #[test]
    fn what_has_the_known_size_comes_before_all_others() {
        let sought = Sought {
            size_bytes: Some(7),
            as_of: None,
        };
        let all = [(9, 5), (8, 7), (7, 5), (6, 7), (5, 7), (4, 5)];
        let order = tried(FileType::Data, sought, &all, 16);
        assert_eq!(order, ["v8", "v5", "v6", "v9", "v7", "v4"]);
    }

    #[test]
    fn of_one_moment_what_is_seen_is_the_newest() {
        let kind = FileType::Data;
        let mut candidates = Candidates::default();
        for (id, is_newest) in [("a", false), ("b", true)] {
            let version = FileVersion {
                version: VersionId::new(id),
                is_newest,
                ..version(kind, 1, 5)
            };
            let candidate = Candidate::of(&version, &Sought::default());
            candidates.offer(kind, candidate.unwrap().unwrap(), 4);
        }
        let order: Vec<&str> = candidates
            .in_order()
            .map(|one| one.version.as_str())
            .collect();
        assert_eq!(order, ["b", "a"]);
    }

    #[test]
    fn bytes_are_what_their_hash_says_and_no_more_are_read_than_asked_for() {
        let nobody = |_: &[u8]| Ok::<(), ()>(());
        let (id, size) = hash_of(&mut &b"bytes"[..], 5, nobody).unwrap();
        assert_eq!((id, size), (Id::of(b"bytes"), 5));
        let (id, size) = hash_of(&mut &b"bytes and more"[..], 5, nobody).unwrap();
        assert!(id != Id::of(b"bytes") && size > 5);
        let refused = hash_of(&mut &b"bytes"[..], 5, |_| Err("no"));
        assert!(matches!(refused, Err(Unread::Taker("no"))));
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
