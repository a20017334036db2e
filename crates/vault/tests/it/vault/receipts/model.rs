//! Random receipts and deletions, against a plain model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strongroom_model::receipt::NeedsChange;
use strongroom_model::{FileName, FileType, Id, Needs};
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::Key;
use strongroom_vault::records::{needs as rows, receipts};
use strongroom_vault::rules::right::Right;

use super::{CONFIG, PACK_BYTES, pack_of};
use crate::signing::{Client, needs};
use crate::vault::scene::{Scene, repository};

#[derive(Clone, Debug)]
enum Step {
    /// A receipt of these packs, on the receipt before the last so many, or on none.
    Send(Vec<u8>, Option<usize>),
    Put(u8),
    Remove(u8),
    Undelete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let packs = prop::collection::vec(0..12_u8, 0..8);
    prop_oneof![
        3 => (packs, prop::option::of(0..4_usize)).prop_map(|(p, b)| Step::Send(p, b)),
        2 => (0..12_u8).prop_map(Step::Put),
        2 => (0..12_u8).prop_map(Step::Remove),
        1 => (0..12_u8).prop_map(Step::Undelete),
    ]
}

/// Whatever is sent and done, each receipt lacks exactly those of its files that are not here, and
/// exactly the files of receipts are held whose snapshot is stored.
#[test]
fn what_the_vault_knows_of_receipts_is_what_a_plain_model_knows() {
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let story = prop::collection::vec(step(), 1..25);
    runner.run(&story, |steps| follow(&steps)).unwrap();
}

fn follow(steps: &[Step]) -> Result<(), TestCaseError> {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let client = Client::new(1);
    let mut live = BTreeMap::new();
    let mut sent: Vec<(Id, Needs)> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Send(packs, behind) => {
                let files: Vec<FileName> = packs.iter().map(|pack| pack_of(*pack)).collect();
                let new = needs(&files, CONFIG);
                let place = behind.and_then(|behind| sent.len().checked_sub(behind + 1));
                let parent = place.and_then(|place| sent.get(place)).cloned();
                let base = parent.as_ref().map(|(_, needs)| needs.clone());
                let content = format!("snapshot {number}");
                let snapshot = scene
                    .put(&append, FileType::Snapshots, content.as_bytes())
                    .unwrap();
                let change = NeedsChange::between(&base.unwrap_or_default(), &new);
                let mut receipt = client.receipt(snapshot, parent.map(|(id, _)| id), change);
                receipt.host = format!("host{number}");
                let (id, accepted) = client.send(&scene, &append, &receipt).unwrap();
                let lacks = files_lacking(&new, &live);
                prop_assert_eq!(accepted.missing, lacks.len() as u64);
                sent.push((id, new));
            }
            Step::Put(pack) => {
                scene
                    .put(&append, FileType::Data, &[*pack; PACK_BYTES])
                    .unwrap();
                live.insert(pack_of(*pack), true);
            }
            Step::Remove(pack) => {
                let name = pack_of(*pack);
                scene.vault.remove(&maintain, &repository(), name).unwrap();
                live.entry(name).and_modify(|is_live| *is_live = false);
            }
            Step::Undelete(pack) => {
                let name = pack_of(*pack);
                if scene
                    .vault
                    .undelete_one(Who::Folder, &repository(), name)
                    .unwrap()
                {
                    live.insert(name, true);
                }
            }
        }
    }
    let page = scene.vault.standings(&append, &repository(), None).unwrap();
    prop_assert_eq!(page.standings.len(), sent.len());
    for (standing, (id, needs)) in page.standings.iter().zip(&sent) {
        prop_assert_eq!(standing.receipt.id, *id);
        prop_assert_eq!(&standing.missing, &files_lacking(needs, &live));
    }
    let repository = scene.vault.repositories().unwrap()[0].id;
    scene
        .vault
        .database()
        .read(&mut |transaction| {
            assert_eq!(receipts::count_wrongly_held(transaction)?, 0);
            for pack in 0..12 {
                let name = pack_of(pack);
                let is_named = sent
                    .iter()
                    .any(|(_, needs)| needs.packs.contains(&name.id().unwrap()));
                let key = Key::new(repository, name);
                assert_eq!(rows::is_held(transaction, &key)?, is_named);
                let is_live = live.get(&name) == Some(&true);
                assert_eq!(rows::is_sound_here(transaction, &key)?, is_live);
            }
            Ok(())
        })
        .unwrap();
    Ok(())
}

fn files_lacking(needs: &Needs, live: &BTreeMap<FileName, bool>) -> Vec<FileName> {
    let packs = needs
        .packs
        .iter()
        .map(|id| FileName::new(FileType::Data, *id));
    packs.filter(|name| live.get(name) != Some(&true)).collect()
}
