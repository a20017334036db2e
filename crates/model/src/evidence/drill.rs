//! Rehearsed restores: what came back of a copy when nothing else was there.
//!
//! A drill tells of one copy and one source. It claims no more than was restored: a share says
//! which one it was, so that the next drill takes the next, and all files come around.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::{CopyEvidence, Share};
use crate::id::Id;
use crate::name::Name;

/// A rehearsed restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreDrill {
    /// When it began.
    pub at: Timestamp,
    /// The source of which a snapshot was restored.
    pub source: Name,
    /// How much was restored.
    pub bytes: u64,
    /// How long it took.
    pub seconds: u64,
    /// Whether what was restored is what was backed up.
    pub matched: bool,
    /// The copy from which alone it was restored; `None` in what earlier versions wrote, which
    /// tells of no copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Name>,
    /// The snapshot; `None` where it did not come to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Id>,
    /// How much of the snapshot's files was restored.
    #[serde(default)]
    pub share: Share,
    /// Whether stock restic restored the same; `None` where it was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restic: Option<bool>,
    /// Whether the source's own check passed; `None` where none was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<bool>,
}

impl RestoreDrill {
    /// Whether nothing was found wrong.
    pub fn is_good(&self) -> bool {
        self.fault().is_none()
    }

    /// What was found wrong, in one line behind the name of the copy; `None` where nothing was.
    pub const fn fault(&self) -> Option<&'static str> {
        match (self.matched, self.restic, self.check) {
            (false, ..) => Some("did not match"),
            (true, Some(false), _) => Some("was not matched by stock restic"),
            (true, _, Some(false)) => Some("did not pass the source's own check"),
            (true, ..) => None,
        }
    }
}

impl CopyEvidence {
    /// Remembers a rehearsed restore from this copy alone.
    pub fn record_restore(&mut self, drill: RestoreDrill) {
        self.restores.insert(drill.source.clone(), drill);
    }

    /// The last rehearsed restore of a source from this copy alone.
    pub fn restore(&self, source: &Name) -> Option<&RestoreDrill> {
        self.restores.get(source)
    }

    /// Which of several equal parts of a source is to be rehearsed next, counted from 1: the one
    /// behind the last, so that all come around; one that was found wrong comes once more.
    pub fn next_part(&self, source: &Name, of: u32) -> u32 {
        match self.restore(source) {
            Some(drill) => match drill.share {
                Share::Slice { number, of: last } if last == of && drill.is_good() => {
                    number.checked_rem(of).unwrap_or_default() + 1
                }
                Share::Slice { number, of: last } if last == of => number.clamp(1, of.max(1)),
                _ => 1,
            },
            None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(share: Share) -> RestoreDrill {
        RestoreDrill {
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            source: "repos".parse().unwrap(),
            bytes: 41,
            seconds: 9,
            matched: true,
            copy: Some("vault".parse().unwrap()),
            snapshot: Some(Id::of(b"snapshot")),
            share,
            restic: Some(true),
            check: None,
        }
    }

    #[test]
    fn whatever_was_found_wrong_is_told_and_the_worst_of_it_first() {
        let fault = |matched, restic, check| {
            let drill = RestoreDrill {
                matched,
                restic,
                check,
                ..drill(Share::All)
            };
            assert_eq!(drill.is_good(), drill.fault().is_none());
            drill.fault()
        };
        assert_eq!(fault(true, None, None), None);
        assert_eq!(fault(true, Some(true), Some(true)), None);
        assert_eq!(fault(false, Some(false), None), Some("did not match"));
        let restic = "was not matched by stock restic";
        assert_eq!(fault(true, Some(false), Some(false)), Some(restic));
        let check = "did not pass the source's own check";
        assert_eq!(fault(true, None, Some(false)), Some(check));
    }

    #[test]
    fn all_parts_come_around_and_one_that_was_wrong_comes_once_more() {
        let source: Name = "repos".parse().unwrap();
        let mut evidence = CopyEvidence::default();
        let mut taken = Vec::new();
        for _ in 0..7 {
            let number = evidence.next_part(&source, 3);
            taken.push(number);
            evidence.record_restore(drill(Share::Slice { number, of: 3 }));
        }
        assert_eq!(taken, [1, 2, 3, 1, 2, 3, 1]);
        let wrong = RestoreDrill {
            matched: false,
            ..drill(Share::Slice { number: 2, of: 3 })
        };
        evidence.record_restore(wrong);
        assert_eq!(evidence.next_part(&source, 3), 2);
        // Another division begins anew, and so does what no one has divided.
        assert_eq!(evidence.next_part(&source, 4), 1);
        evidence.record_restore(drill(Share::All));
        assert_eq!(evidence.next_part(&source, 3), 1);
        assert_eq!(evidence.next_part(&"other".parse().unwrap(), 3), 1);
        evidence.record_restore(drill(Share::Slice { number: 9, of: 0 }));
        assert_eq!(evidence.next_part(&source, 0), 1);
    }

    #[test]
    fn each_source_has_its_own_and_another_disk_has_none() {
        let place = |text: &str| Some(Id::of(text.as_bytes()));
        let mut evidence = CopyEvidence::default();
        evidence.move_to(place("old disk"));
        evidence.record_restore(drill(Share::All));
        let other = RestoreDrill {
            source: "shop-db".parse().unwrap(),
            ..drill(Share::All)
        };
        evidence.record_restore(other.clone());
        let kept = CopyEvidence::from_json(&evidence.to_json().unwrap()).unwrap();
        assert_eq!(kept, evidence);
        assert_eq!(kept.restore(&other.source), Some(&other));
        evidence.move_to(place("old disk"));
        assert!(evidence.restore(&other.source).is_some());
        evidence.move_to(place("new disk"));
        assert_eq!(evidence.restore(&other.source), None);
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read_and_names_no_copy() {
        let text = r#"{"at":"2026-11-20T00:00:00Z","source":"repos","bytes":1,"seconds":2,"matched":true}"#;
        let read: RestoreDrill = serde_json::from_str(text).unwrap();
        assert_eq!((read.copy.as_ref(), read.share), (None, Share::All));
        assert!(read.is_good());
    }
}
