//! A log grows leaf by leaf, and comes out as if it had been made at once.

use proptest::prelude::*;
use strongroom_ledger::bundle::{ENTRY_LIMIT_BYTES, entries};
use strongroom_ledger::{Edge, Hash, Level, Tile, tile};

use crate::scene::{Files, entry, leaves, naive_root};

#[test]
fn a_full_bundle_and_its_tile_come_with_the_256th_leaf_and_once() {
    let mut edge = Edge::default();
    for number in 0..255 {
        assert_eq!(edge.append(&entry(number)).unwrap(), []);
    }
    let paths = |files: Vec<strongroom_ledger::LogFile>| -> Vec<String> {
        files.iter().map(|file| file.tile.to_string()).collect()
    };
    let partial = paths(edge.partial_files().unwrap());
    assert_eq!(partial, ["tile/entries/000.p/255", "tile/0/000.p/255"]);
    let full = paths(edge.append(&entry(255)).unwrap());
    assert_eq!(full, ["tile/entries/000", "tile/0/000"]);
    assert_eq!(paths(edge.partial_files().unwrap()), ["tile/1/000.p/1"]);
}

#[test]
fn the_65_536th_leaf_fills_two_levels() {
    let mut edge = Edge::default();
    for number in 0..65_535 {
        edge.append(&entry(number)).unwrap();
    }
    let full = edge.append(&entry(65_535)).unwrap();
    let paths: Vec<_> = full.iter().map(|file| file.tile.to_string()).collect();
    assert_eq!(paths, ["tile/entries/255", "tile/0/255", "tile/1/000"]);
    let partial = edge.partial_files().unwrap();
    assert_eq!(partial[0].tile.to_string(), "tile/2/000.p/1");
    assert_eq!(partial.len(), 1);
}

#[test]
fn an_entry_that_is_too_long_changes_nothing() {
    let mut edge = Edge::default();
    edge.append(b"first").unwrap();
    let before = edge.clone();
    assert!(edge.append(&vec![0; ENTRY_LIMIT_BYTES + 1]).is_err());
    assert_eq!(edge, before);
    edge.append(&vec![0; ENTRY_LIMIT_BYTES]).unwrap();
    edge.append(b"").unwrap();
    assert_eq!(edge.size(), 3);
}

#[test]
fn an_edge_is_not_taken_up_with_another_bundle() {
    let (files, edge) = Files::of(300);
    let bundle = files.bundle(300);
    assert_eq!(Edge::load(300, &files, bundle.clone()).unwrap(), edge);
    for bad in [
        Vec::new(),
        bundle[1..].to_vec(),
        files.bundle(300).repeat(2),
    ] {
        assert!(Edge::load(300, &files, bad).is_err());
    }
    let mut edited = bundle;
    *edited.last_mut().unwrap() ^= 1;
    assert!(Edge::load(300, &files, edited).is_err());
    assert!(Edge::load(301, &files, Vec::new()).is_err());
    assert!(Edge::load(u64::MAX, &files, Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn growing_in_steps_with_restarts_equals_making_it_at_once(
        steps in prop::collection::vec(1..400u64, 1..6),
    ) {
        let (mut files, mut edge) = (Files::default(), Edge::default());
        let all = leaves(steps.iter().sum());
        for step in steps {
            for number in edge.size()..edge.size() + step {
                files.write(edge.append(&entry(number)).unwrap());
            }
            files.write(edge.partial_files().unwrap());
            prop_assert_eq!(edge.root(), naive_root(&all[..edge.size() as usize]));
            // The publisher dies, and begins again with what lies there.
            let again = Edge::load(edge.size(), &files, files.bundle(edge.size())).unwrap();
            prop_assert_eq!(&again, &edge);
            edge = again;
        }
        let (made, _) = Files::of(edge.size());
        for (tile, bytes) in &made.0 {
            prop_assert_eq!(Some(bytes), files.0.get(tile), "{}", tile);
        }
        // What was published earlier is the beginning of what is there now.
        for (tile, bytes) in &files.0 {
            let width = tile::width_in_tree(level(tile), tile.index(), edge.size());
            let now = Tile::new(tile.level(), tile.index(), width).unwrap();
            prop_assert!(made.0[&now].starts_with(bytes));
        }
    }
}

fn level(tile: &Tile) -> u8 {
    match tile.level() {
        Level::Entries => 0,
        Level::Hashes(level) => level,
    }
}

#[test]
fn bundles_hold_the_entries_and_tiles_their_hashes() {
    let (files, _) = Files::of(600);
    for (tile, bytes) in &files.0 {
        match tile.level() {
            Level::Entries => {
                let first = tile.index() * 256;
                for (number, found) in (first..).zip(entries(bytes, tile.width()).unwrap()) {
                    assert_eq!(found, entry(number));
                }
            }
            Level::Hashes(level) => {
                let span = 256_usize.pow(level.into());
                let first = tile.index() as usize * 256;
                let hashes: Vec<Hash> = tile::decode(bytes, tile.width()).unwrap();
                for (number, hash) in (first..).zip(hashes) {
                    let all = leaves(600);
                    assert_eq!(hash, naive_root(&all[number * span..(number + 1) * span]));
                }
            }
        }
    }
}
