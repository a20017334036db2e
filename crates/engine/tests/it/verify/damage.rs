//! The damage matrix: every kind of damage, to every kind of file, seen without the password and
//! healed by a sync.

use strongroom_engine::verify::{Depth, ProblemKind};
use strongroom_model::{FileName, FileType};

use crate::hand_made::{HandMade, Place, lose, memory};

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

#[test]
fn every_damage_to_every_file_is_named_and_healed() {
    let (hand_made, made) = HandMade::with_snapshots(0..2);
    let key = *hand_made
        .files
        .keys()
        .find(|name| name.kind() == FileType::Keys)
        .unwrap();
    let Some(made) = made.last() else { return };
    let files = [
        FileName::CONFIG,
        key,
        made.index,
        made.trees,
        made.data,
        made.snapshot,
    ];
    for name in files {
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
