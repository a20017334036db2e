//! The damage matrix: every kind of damage, to every kind of file, seen without the password and
//! healed by a sync; and what a sync does by itself, which reads nothing that seems to be in order.

use strongroom_engine::sync::SyncOptions;
use strongroom_engine::verify::{Depth, ProblemKind};
use strongroom_model::{FileName, FileType};

use crate::hand_made::{HandMade, Made, Place, lose, memory};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    Flip,
    Truncate,
    Empty,
    Delete,
    Append,
}

const ALL: [Damage; 5] = [
    Damage::Flip,
    Damage::Truncate,
    Damage::Empty,
    Damage::Delete,
    Damage::Append,
];

impl Damage {
    fn strike(self, place: &Place, name: FileName) {
        match self {
            Self::Delete => lose(place, name),
            Self::Flip => memory(place).damage(name, |bytes| bytes[20] ^= 0x40),
            Self::Truncate => memory(place).damage(name, |bytes| bytes.truncate(21)),
            Self::Empty => memory(place).damage(name, Vec::clear),
            Self::Append => memory(place).damage(name, |bytes| bytes.push(0)),
        }
    }

    fn is_named_by(self, kind: &ProblemKind, name: FileName) -> bool {
        match self {
            Self::Delete => {
                matches!(kind, ProblemKind::Missing { elsewhere } if elsewhere.len() == 2)
            }
            _ if name == FileName::CONFIG => matches!(kind, ProblemKind::ConfigDiffers { .. }),
            Self::Flip => *kind == ProblemKind::WrongContent,
            Self::Truncate => matches!(kind, ProblemKind::Truncated { .. }),
            Self::Empty => *kind == ProblemKind::Empty,
            Self::Append => matches!(kind, ProblemKind::WrongSize { .. }),
        }
    }
}

/// One file of each kind.
fn files(key: FileName, made: &Made) -> [FileName; 6] {
    [
        FileName::CONFIG,
        key,
        made.index,
        made.trees,
        made.data,
        made.snapshot,
    ]
}

#[test]
fn every_damage_to_every_file_is_named_and_healed() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let key = *hand_made
        .files
        .keys()
        .find(|name| name.kind() == FileType::Keys)
        .unwrap();
    let Some(made) = made.last() else { return };
    for name in files(key, made) {
        for damage in ALL {
            let places = hand_made.places(3);
            damage.strike(&places[1], name);
            for depth in [Depth::Stored, Depth::Decoded(&hand_made.repository)] {
                let report = hand_made.verify(&places, depth);
                let [problem, others @ ..] = &report.problems[..] else {
                    panic!("{damage:?} to {name} is not seen");
                };
                assert_eq!((problem.copy.as_str(), problem.name), ("two", name));
                assert!(
                    damage.is_named_by(&problem.kind, name),
                    "{damage:?}: {problem}"
                );
                // What is missing leaves snapshots incomplete, which --decode says too.
                assert!(
                    others
                        .iter()
                        .all(|problem| matches!(problem.kind, ProblemKind::Incomplete { .. })),
                    "{others:?}"
                );
                assert_eq!(
                    report.doubts().len(),
                    usize::from(damage != Damage::Delete && name != FileName::CONFIG)
                );
            }
            let report = hand_made.heal(&places);
            assert!(report.is_complete(), "{damage:?} to {name}: {report:?}");
            assert_eq!(report.junk, []);
            for place in &places {
                hand_made.assert_whole(place);
            }
        }
    }
}

/// What a sync does of which no verify has told anything.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    /// It is put in the place of what lies there, or of what is missing of `config`.
    Healed,
    /// It is brought to where it is missing.
    Brought,
    /// Nothing: listings say nothing of content. A verify finds it.
    NotSeen,
}

/// For each kind of file what a bare sync does, in the order of [`ALL`]. Only `config` is read when
/// a copy is looked at; of everything else the size alone tells.
const BARE_SYNC: [(&str, [Done; 5]); 6] = {
    use Done::{Brought, Healed, NotSeen};
    const LISTED: [Done; 5] = [NotSeen, Healed, Healed, Brought, Healed];
    [
        ("config", [Healed; 5]),
        ("key", LISTED),
        ("index", LISTED),
        ("trees", LISTED),
        ("data", LISTED),
        ("snapshot", LISTED),
    ]
};

#[test]
fn a_sync_alone_heals_what_a_listing_shows_and_a_verify_tells_the_rest() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let key = FileName::new(FileType::Keys, hand_made.repository.key_id());
    let made = &made[1];
    for ((victim, row), name) in BARE_SYNC.into_iter().zip(files(key, made)) {
        for (damage, done) in ALL.into_iter().zip(row) {
            let cell = format!("{damage:?} of {victim}");
            let places = hand_made.places(3);
            damage.strike(&places[1], name);
            let report = hand_made.sync(&places, &SyncOptions::default());
            assert!(report.is_complete(), "{cell}: {report:?}");
            let healed: Vec<_> = report.copies.iter().map(|copy| &copy.healed[..]).collect();
            let named = [name];
            let none: &[FileName] = &[];
            let on_two = match done {
                Done::Healed => &named[..],
                Done::Brought | Done::NotSeen => none,
            };
            assert_eq!(healed, [none, on_two, none], "{cell}");
            let brought = report.brought().0;
            assert_eq!(brought, u64::from(done == Done::Brought), "{cell}");
            if done == Done::NotSeen {
                let report = hand_made.verify(&places, Depth::Stored);
                assert_eq!(report.problems.len(), 1, "{cell}: {report:?}");
                assert!(hand_made.heal(&places).is_complete(), "{cell}");
            }
            for place in &places {
                hand_made.assert_whole(place);
            }
        }
    }
}
