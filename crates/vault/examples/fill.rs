//! `fill CONFIG REPOSITORY COUNT`: objects for the benchmark of listing, put into the database
//! directly. They have no bytes: whoever lists does not look for any.

use std::error::Error;
use std::path::Path;

use sha2::{Digest, Sha256};
use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_vault::config::VaultConfig;
use strongroom_vault::opening;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::{self, Key};
use strongroom_vault::records::repositories;
use strongroom_vault::rules::life::{Object, State};

/// How many go into a transaction.
const BATCH: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: fill CONFIG REPOSITORY COUNT")
    };
    let config = VaultConfig::open(Path::new(&next()?), &|_| None)?;
    let path: RepositoryPath = next()?.parse()?;
    let count: u64 = next()?.parse()?;
    let vault = opening::open(&config)?;
    vault.add_repository(Who::Folder, &path)?;
    let repositories = vault.repositories()?;
    let wanted = repositories
        .iter()
        .find(|repository| repository.path == path);
    let repository = wanted.ok_or("The repository was not made")?.id;
    let mut from = 0;
    while from < count {
        let until = count.min(from + BATCH);
        vault.database().write(&mut |transaction| {
            for number in from..until {
                let id = Id::from_bytes(Sha256::digest(number.to_le_bytes()).into());
                let key = Key::new(repository, FileName::new(FileType::Data, id));
                objects::insert(transaction, &key, &object())?;
            }
            let added = i64::try_from(until - from).unwrap_or_default();
            repositories::add(transaction, repository, added, added << 24)
        })?;
        from = until;
    }
    Ok(())
}

const fn object() -> Object {
    Object {
        generation: 1,
        bytes: 1 << 24,
        state: State::Live,
        token: 1,
        began: 0,
        ended: None,
        arrived_ms: 0,
        tombstoned_ms: None,
    }
}
