//! What must hold after every step.

mod evidence;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use strongroom_model::{FileName, FileType};
use strongroom_vault::records::leaves;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::life::State;
use strongroom_vault::vault::Principal;

use crate::vault::model::acts::{FILES, REPOSITORIES, file};
use crate::vault::model::expected::{Model, Object, Reply, Seen};
use crate::vault::model::world::{World, path};

const KINDS: [FileType; 5] = [
    FileType::Config,
    FileType::Keys,
    FileType::Data,
    FileType::Index,
    FileType::Snapshots,
];

/// Compares everything.
pub(super) struct Check {
    /// Who may read.
    pub(super) reader: Principal,
    /// How many leaves were compared.
    pub(super) leaves: u64,
    /// Bodies that no row knows, left behind by deaths.
    pub(super) orphans: BTreeSet<PathBuf>,
}

impl Check {
    /// What was answered is there, what was not is nowhere.
    pub(super) fn now(&mut self, world: &World, model: &Model, has_died: bool) {
        for (repository, is) in model.repositories.iter().enumerate() {
            let now = model.moments.last().map(|moment| &moment.seen[repository]);
            if is.is_there {
                self.view(world, model, (repository, View::Now), now.unwrap());
                self.locks(world, model, repository);
            }
        }
        self.leaves(world, model);
        counters(world, model);
        self.evidence(world, model);
        self.files(world, model, has_died);
    }

    /// Some earlier moments are what they were; all of them, where `step` is none.
    pub(super) fn earlier(&self, world: &World, model: &Model, step: Option<usize>) {
        let is_chosen = |place: usize, of: usize| {
            step.is_none_or(|step| place + 1 == of || (place + step).is_multiple_of(11))
        };
        let count = model.moments.len();
        for (place, moment) in model.moments.iter().enumerate() {
            if !is_chosen(place, count) {
                continue;
            }
            for (repository, seen) in moment.seen.iter().enumerate() {
                if model.repositories[repository].is_there {
                    let view = View::AsOf(moment.leaves);
                    self.view(world, model, (repository, view), seen);
                }
            }
        }
        for (place, (recorded_ms, leaves)) in model.marks.iter().enumerate() {
            if is_chosen(place, model.marks.len()) {
                let view = world.vault().as_of(*recorded_ms).unwrap();
                assert_eq!(view, View::AsOf(*leaves), "as of {recorded_ms}");
            }
        }
    }

    /// A view shows exactly this; of bytes that have rotted, what is left of them.
    fn view(&self, world: &World, model: &Model, (repository, view): (usize, View), seen: &Seen) {
        let objects = &model.repositories[repository].objects;
        for kind in KINDS {
            let listed = world.list(&self.reader, repository, view, kind);
            let of_kind = seen.iter().filter(|(name, _)| name.kind() == kind);
            let expected = of_kind.map(|(name, content)| (*name, content.len() as u64));
            let expected: Vec<_> = expected.collect();
            assert_eq!(listed, Ok(expected), "{kind} of {repository} in {view:?}");
        }
        for number in 0..FILES {
            let (name, _) = file(number);
            if name.kind() == FileType::Locks {
                continue;
            }
            let found = world.get(&self.reader, repository, view, name, None);
            let left = |content: &Vec<u8>| match objects[&name].rot {
                None => Some(content.clone()),
                Some(rot) => rot.of(content),
            };
            let expected = seen.get(&name).and_then(left).map(Reply::Content);
            let expected = expected.ok_or("not found");
            assert_eq!(found, expected, "{name} of {repository} in {view:?}");
        }
    }

    fn locks(&self, world: &World, model: &Model, repository: usize) {
        let listed = world.list(&self.reader, repository, View::Now, FileType::Locks);
        let locks = model.locks(repository);
        let expected = locks
            .iter()
            .map(|(name, content)| (*name, content.len() as u64));
        assert_eq!(listed, Ok(expected.collect()), "locks of {repository}");
        for (name, content) in locks {
            let found = world.get(&self.reader, repository, View::Now, name, None);
            assert_eq!(found, Ok(Reply::Content(content)), "{name}");
        }
    }

    /// One leaf for each act that was answered, and none for what never came.
    fn leaves(&mut self, world: &World, model: &Model) {
        let count = model.leaves.len() as u64;
        let first = self.leaves;
        let read = world.vault().database().look(|transaction| {
            let mut found = Vec::new();
            assert_eq!(leaves::head(transaction)?.leaves, count, "leaves");
            leaves::entries(transaction, first, count, &mut |number, entry| {
                let leaf: Value = serde_json::from_slice(&entry).unwrap();
                assert_eq!(leaf["n"], number);
                found.push(leaf);
                Ok(())
            })?;
            Ok(found)
        });
        same_leaves(read.unwrap(), &model.leaves[first as usize..]);
        self.leaves = count;
    }

    /// The folder holds the bytes of every object and nothing else.
    fn files(&mut self, world: &World, model: &Model, has_died: bool) {
        let root = world.folder.path().join("repositories");
        let mut found = BTreeSet::new();
        collect(&root, &mut found);
        let mut known = BTreeSet::new();
        for (repository, is) in model.repositories.iter().enumerate() {
            for (name, object) in &is.objects {
                let place = place_of(world, repository, *name, object);
                // One whose purge was broken off may be gone already.
                if object.state != State::Purging {
                    assert_eq!(fs::read(&place).ok(), object.stored(), "{name}");
                }
                known.insert(place);
            }
        }
        let unknown: BTreeSet<_> = found.difference(&known).cloned().collect();
        if has_died {
            self.orphans.extend(unknown.iter().cloned());
        }
        let left: Vec<_> = unknown.difference(&self.orphans).collect();
        assert!(left.is_empty(), "{left:?} are nobody's");
        let half = found.iter().filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(".tmp"))
        });
        assert_eq!(half.count(), 0, "{found:?}");
    }
}

/// What is counted is what a recount says.
fn counters(world: &World, model: &Model) {
    let counted = world.vault().repositories().unwrap();
    let there = model
        .repositories
        .iter()
        .enumerate()
        .filter(|(_, is)| is.is_there);
    let expected: Vec<_> = there
        .map(|(repository, is)| {
            let objects = is.objects.len() as u64;
            (
                path(repository),
                objects,
                is.bytes(),
                is.tombstones,
                is.is_held,
            )
        })
        .collect();
    let counted = counted.into_iter().map(|is| {
        let is_held = is.purge_held_ms.is_some();
        (is.path, is.objects, is.bytes, is.tombstones, is_held)
    });
    assert_eq!(counted.collect::<Vec<_>>(), expected);
    for (token, is) in world.vault().tokens().unwrap().iter().zip(&model.tokens) {
        let spent = (token.spent.day, token.spent.bytes, token.spent.objects);
        assert_eq!((&token.name, spent), (&is.name, is.spent));
    }
}

/// Where the bytes of an object lie.
pub(super) fn place_of(
    world: &World,
    repository: usize,
    name: FileName,
    object: &Object,
) -> PathBuf {
    let root = world.folder.path().join("repositories");
    root.join(REPOSITORIES[repository]).join(lies(name, object))
}

/// The same, in its repository's folder.
fn lies(name: FileName, object: &Object) -> String {
    let Some(id) = name.id() else {
        return "config".to_owned();
    };
    let base = match object.generation {
        1 => id.to_string(),
        later => format!("{id}.{later}"),
    };
    let folder = name.kind().folder();
    match name.kind() {
        FileType::Data => format!("{folder}/{}/{base}", &base[..2]),
        _ => format!("{folder}/{base}"),
    }
}

/// The leaves are those that are expected, in their order; the purges of one run come in any.
pub(super) fn same_leaves(mut found: Vec<Value>, expected: &[Value]) {
    let mut expected = expected.to_vec();
    for leaves in [&mut found, &mut expected] {
        for run in
            leaves.chunk_by_mut(|one, next| [one, next].iter().all(|is| is["act"] == "purge"))
        {
            run.sort_by_key(|leaf| format!("{} {}", leaf["repository"], leaf["file"]));
        }
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(found.get(field), Some(value), "{field} of {found}");
        }
    }
}

fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, found),
            false => drop(found.insert(path)),
        }
    }
}
