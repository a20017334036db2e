//! What a leaf and what a small put without HTTP take: two numbers in microseconds, for
//! `cargo xtask bench`.
//!
//! The put is the vault's own, from as many threads as a busy vault has; the leaf is appended in
//! grouped commits of the same size, each dated for itself as a put dates it, and published once a
//! second and at the end.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_vault::config::VaultConfig;
use strongroom_vault::people::Who;
use strongroom_vault::publication::Publisher;
use strongroom_vault::records::leaves::{self, Act, File};
use strongroom_vault::rules::right::Right;
use strongroom_vault::vault::NewToken;
use strongroom_vault::{Vault, opening};

const OBJECTS: u64 = 10_000;
const THREADS: u64 = 64;
const PUBLISHED_EVERY: Duration = Duration::from_secs(1);

#[expect(clippy::print_stdout, reason = "the number is what this is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(place())?;
    let config = VaultConfig::parse("", folder.path(), &|_| None)?;
    let (vault, storage) = opening::open_with_storage(&config, &|_| ())?;
    let publisher = Publisher::open(vault.clone(), storage.log, &folder.path().join("keys"))?;
    let put_s = puts(&vault)?;
    publisher.publish()?;
    let leaf_s = appended_leaves(&vault, &publisher)?;
    let each_us = |all_s: f64| all_s * 1e6 / OBJECTS as f64;
    println!("{:.2} {:.2}", each_us(leaf_s), each_us(put_s));
    Ok(())
}

fn place() -> &'static Path {
    let ram_disk = Path::new("/dev/shm");
    if ram_disk.is_dir() {
        ram_disk
    } else {
        Path::new("/tmp")
    }
}

/// Seconds that all objects take.
fn puts(vault: &Vault) -> Result<f64, Box<dyn Error>> {
    let path: RepositoryPath = "bench".parse()?;
    let token = vault.create_token(
        Who::Folder,
        &NewToken {
            right: Right::Append,
            prefix: path.clone(),
            expires_in_ms: None,
            daily_bytes: None,
            daily_objects: None,
        },
    )?;
    let principal = vault.authenticate(token.reveal())?;
    vault.create(&principal, &path)?;
    let next = AtomicU64::new(0);
    let work = || -> strongroom_vault::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= OBJECTS {
                return Ok(());
            }
            let mut content = [0x5a; 4 << 10];
            if let Some(first) = content.first_chunk_mut() {
                *first = number.to_le_bytes();
            }
            let id = Id::from_bytes(Sha256::digest(content).into());
            let name = FileName::new(FileType::Data, id);
            let length = Some(content.len() as u64);
            let mut upload = vault.begin_put(&principal, &path, name, length)?;
            upload.write(&content)?;
            upload.finish()?;
        }
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds that as many leaves take, grouped as the puts were, and their publication.
fn appended_leaves(vault: &Vault, publisher: &Publisher) -> Result<f64, Box<dyn Error>> {
    let repository: RepositoryPath = "bench".parse()?;
    let act = |number| {
        Act::Arrival(File {
            repository: repository.clone(),
            file: format!("data/{}", Id::of(&u64::to_le_bytes(number))),
            bytes: 4 << 10,
            token: Some("0123456789ab".to_owned()),
        })
    };
    let commit = |from: u64, with_leaves: bool| {
        vault.database().write(&mut |transaction| {
            // Something that the put writes: a transaction that writes nothing has nothing to commit.
            leaves::note_time(transaction, vault.now())?;
            for number in from..from + THREADS {
                match with_leaves {
                    true => leaves::append(transaction, vault.now(), &act(number)).map(drop)?,
                    false => drop(act(number)),
                }
            }
            Ok(())
        })
    };
    let timed = |with_leaves| -> Result<f64, Box<dyn Error>> {
        let started = Instant::now();
        let mut published = started;
        for group in 0..OBJECTS / THREADS {
            commit(group * THREADS, with_leaves)?;
            if with_leaves && published.elapsed() >= PUBLISHED_EVERY {
                publisher.publish()?;
                published = Instant::now();
            }
        }
        if with_leaves {
            publisher.publish()?;
        }
        Ok(started.elapsed().as_secs_f64())
    };
    // What a commit costs that has no leaf in it is the put's own.
    Ok(timed(true)? - timed(false)?)
}
