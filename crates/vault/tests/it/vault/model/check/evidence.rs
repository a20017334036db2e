//! What the vault knows of receipts and of rot is what follows from all that happened.

use std::collections::BTreeSet;

use strongroom_model::FileType;
use strongroom_vault::records::objects::Key;
use strongroom_vault::records::{needs, receipts};

use crate::vault::model::acts::{NAMES, name_of};
use crate::vault::model::check::Check;
use crate::vault::model::expected::{Model, Repository};
use crate::vault::model::world::{World, path};

/// How many names of missing files are told of one snapshot.
const NAMES_TOLD: u64 = 10;

impl Check {
    pub(super) fn evidence(&self, world: &World, model: &Model) {
        for (repository, is) in model.repositories.iter().enumerate() {
            if is.is_there {
                let marks = world.vault().rotten(&path(repository), None, 100);
                assert_eq!(marks.unwrap(), is.marks(), "rotten of {repository}");
                self.standings(world, repository, is);
                held_and_here(world, repository, is);
            }
        }
    }

    /// What is told of snapshots, and what is missing of each.
    fn standings(&self, world: &World, repository: usize, is: &Repository) {
        let vault = world.vault();
        let page = vault.standings(&self.reader, &path(repository), None);
        let page = page.unwrap();
        assert_eq!(page.next, None);
        let expected = is.told_of();
        let ids = page.standings.iter().map(|standing| standing.receipt.id);
        let expected_ids = expected.iter().map(|taken| taken.signed.id);
        assert!(ids.eq(expected_ids), "receipts of {repository}: {page:?}");
        for (standing, taken) in page.standings.iter().zip(expected) {
            let missing = is.missing(taken);
            assert_eq!(standing.token, taken.token);
            assert_eq!(standing.missing_files, missing.len() as u64, "{standing:?}");
            let told: BTreeSet<_> = standing.missing.iter().copied().collect();
            assert!(told.is_subset(&missing), "{standing:?}: {missing:?}");
            assert_eq!(told.len() as u64, standing.missing_files.min(NAMES_TOLD));
        }
    }
}

/// What no purge may begin to remove, and what is here to whoever needs it.
fn held_and_here(world: &World, repository: usize, is: &Repository) {
    let there = world.vault().repositories().unwrap();
    let found = there.iter().find(|found| found.path == path(repository));
    let id = found.unwrap().id;
    let named = is.named();
    let looked = world.vault().database().read(&mut |transaction| {
        for name in (0..NAMES).map(name_of) {
            if name.kind() == FileType::Locks {
                continue;
            }
            let key = Key::new(id, name);
            let is_held = needs::is_held(transaction, &key)?;
            assert_eq!(is_held, named.contains(&name), "{name} of {repository}");
            let is_here = needs::is_sound_here(transaction, &key)?;
            assert_eq!(is_here, is.is_sound_here(name), "{name} of {repository}");
        }
        assert_eq!(receipts::count_wrongly_held(transaction)?, 0);
        Ok(())
    });
    looked.unwrap();
}
