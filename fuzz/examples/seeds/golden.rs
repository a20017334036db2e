//! What real restics wrote, taken out of its encryption.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use strongroom_model::{FileName, FileType};
use strongroom_repo::blob::{BlobKind, PackedBlob, decode};
use strongroom_repo::pack::{header_length, header_of};
use strongroom_repo::{Key, Repository, unpacked};
use strongroom_store::{LocalStore, Store};

use crate::Seed;

/// The password of every golden repository.
const PASSWORD: &[u8] = b"golden";

/// What is larger teaches the fuzzer little and slows it down.
const LIMIT_BYTES: usize = 6 << 10;

/// How many of a repository's files each target gets: the largest, which hold the most kinds.
const LARGEST: usize = 4;

pub(crate) fn seeds(golden: &Path) -> Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    for folder in fs::read_dir(golden)? {
        let folder = folder?.path();
        if folder.is_dir() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let store = LocalStore::new(folder.join("repository"));
            seeds.extend(chosen(of_repository(&store, &name)?));
        }
    }
    Ok(seeds)
}

/// The largest for each target, up to the limit.
fn chosen(mut seeds: Vec<Seed>) -> Vec<Seed> {
    seeds.retain(|seed| seed.bytes.len() <= LIMIT_BYTES);
    seeds.sort_by_key(|seed| (seed.target, std::cmp::Reverse(seed.bytes.len())));
    let mut kept = 0;
    let mut last = "";
    seeds.retain(|seed| {
        kept = if seed.target == last { kept + 1 } else { 1 };
        last = seed.target;
        kept <= LARGEST
    });
    seeds
}

fn of_repository(store: &LocalStore, name: &str) -> Result<Vec<Seed>> {
    let repository = Repository::open(store, PASSWORD, &mut BTreeSet::new())?;
    let key = repository.key();
    let mut seeds = Vec::new();
    let mut add = |target, id: &str, bytes: Vec<u8>| {
        seeds.push(Seed::new(target, format!("{name}-{id}"), bytes));
    };
    add("config", "config", opened(key, repository.config_bytes())?);
    for (kind, target) in [
        (FileType::Keys, "key"),
        (FileType::Index, "index"),
        (FileType::Snapshots, "snapshot"),
    ] {
        for entry in store.list(kind)? {
            let bytes = store.read(FileName::new(kind, entry.id))?;
            let id = entry.id.short();
            if kind == FileType::Keys {
                add(target, &id, bytes);
            } else {
                add("unpacked", &id, opened(key, &bytes)?);
                let plain = unpacked::open(key, bytes).map_err(|reason| anyhow!(reason))?;
                add(target, &id, plain);
            }
        }
    }
    for entry in store.list(FileType::Data)? {
        let pack = store.read(FileName::new(FileType::Data, entry.id))?;
        add("pack_header", &entry.id.short(), header(key, &pack)?);
        for packed in header_of(key, &pack).map_err(|reason| anyhow!(reason))? {
            if packed.blob.kind == BlobKind::Tree {
                let id = packed.blob.id.short();
                let sealed = sealed(&pack, &packed)?;
                if let Some(length) = packed.uncompressed_length {
                    let frame = opened(key, sealed)?;
                    add("blob", &id, [&length.to_le_bytes(), &*frame].concat());
                }
                let plain = decode(
                    key,
                    packed.blob,
                    packed.uncompressed_length,
                    &mut sealed.to_vec(),
                )?;
                add("tree", &id, plain);
            }
        }
    }
    Ok(seeds)
}

/// The length of a pack's data, and its header in plain.
fn header(key: &Key, pack: &[u8]) -> Result<Vec<u8>> {
    let length = header_length(pack, pack.len() as u64).map_err(|reason| anyhow!(reason))?;
    let end = pack.len().saturating_sub(4);
    let start = end.saturating_sub(usize::try_from(length)?);
    let sealed = pack.get(start..end).context("A header outside its pack")?;
    let data_bytes = u32::try_from(start)?.to_le_bytes();
    Ok([&data_bytes, &*opened(key, sealed)?].concat())
}

fn sealed<'a>(pack: &'a [u8], packed: &PackedBlob) -> Result<&'a [u8]> {
    let start = packed.offset as usize;
    pack.get(start..start + packed.length as usize)
        .context("A blob outside its pack")
}

fn opened(key: &Key, sealed: &[u8]) -> Result<Vec<u8>> {
    key.open(sealed).context("Golden data that does not open")
}
