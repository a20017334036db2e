//! Snapshots that real restics and a rustic made, held against what the files themselves said.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use strongroom_engine::restore::RestoreOptions;
use strongroom_engine::session::{self, CopyStore, Looking};
use strongroom_model::Id;
use strongroom_store::LocalStore;

use crate::fixture::Fixture;
use crate::golden::golden;
use crate::restore::restore_from;

/// The path that a manifest writes with `\xHH` for what is not printable.
fn path_of(escaped: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'\\' => {
                bytes.extend(HEXLOWER.decode(&after[1..3]).unwrap());
                rest = &after[3..];
            }
            byte => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn escape(name: &OsStr) -> String {
    let escape = |byte: &u8| match byte {
        b' '..=b'~' if *byte != b'\\' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    name.as_bytes().iter().map(escape).collect()
}

/// Says of a restored file what its entry in the manifest says.
fn describe(root: &Path, escaped: &str, first_names: &mut HashMap<u64, String>) -> Value {
    let path = root.join(path_of(escaped));
    let meta = fs::symlink_metadata(&path).unwrap();
    let kind = meta.file_type();
    let mut entry = BTreeMap::from([
        ("path", json!(escaped)),
        ("mode", json!(format!("{:04o}", meta.mode() & 0o7777))),
        ("uid", json!(meta.uid())),
        ("gid", json!(meta.gid())),
        ("mtime_seconds", json!(meta.mtime())),
        ("mtime_nanoseconds", json!(meta.mtime_nsec())),
    ]);
    let name = match kind {
        _ if kind.is_file() => {
            let content = fs::read(&path).unwrap();
            entry.insert("size_bytes", json!(meta.len()));
            entry.insert("sha256", json!(Id::of(&content).to_string()));
            "file"
        }
        _ if kind.is_dir() => "dir",
        _ if kind.is_symlink() => {
            let target = fs::read_link(&path).unwrap();
            entry.insert("target", json!(escape(target.as_os_str())));
            "symlink"
        }
        _ if kind.is_fifo() => "fifo",
        _ if kind.is_block_device() => "dev",
        _ => "chardev",
    };
    entry.insert("kind", json!(name));
    if kind.is_block_device() || kind.is_char_device() {
        let device = meta.rdev();
        let numbers = (rustix::fs::major(device), rustix::fs::minor(device));
        entry.insert("device", json!(numbers));
    }
    if !kind.is_dir() && meta.nlink() > 1 {
        match first_names.get(&meta.ino()) {
            Some(first) => drop(entry.insert("same_file_as", json!(first))),
            None => drop(first_names.insert(meta.ino(), escaped.to_owned())),
        }
    }
    if !kind.is_symlink() {
        let mut names = vec![0; 1 << 16];
        let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap();
        let names = names[..length].split(|byte| *byte == 0);
        let mut attributes = BTreeMap::new();
        for name in names.filter(|name| !name.is_empty()) {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(&path, name, &mut value[..]).unwrap();
            attributes.insert(
                escape(OsStr::from_bytes(name)),
                HEXLOWER.encode(&value[..length]),
            );
        }
        if !attributes.is_empty() {
            entry.insert("xattrs", json!(attributes));
        }
    }
    json!(entry)
}

#[test]
fn snapshots_of_restic_and_rustic_are_restored_as_their_manifests_say() {
    assert!(
        rustix::process::geteuid().is_root(),
        "owners and devices need root"
    );
    for name in [
        "restic-0.14-v1",
        "restic-0.14-v2",
        "restic-0.18-v2",
        "rustic-0.11-v2",
    ] {
        let fixture = Fixture::new();
        let repository = fixture.folder.path().join("golden");
        golden(name, &repository);
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
        let manifest = fs::read(manifest.join(name).join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let copies = [CopyStore {
            name: "golden".to_owned(),
            store: Arc::new(LocalStore::new(&repository)),
            is_local: true,
        }];
        let mut session = session::open(&copies, b"golden", &Looking::default()).unwrap();
        for snapshot in manifest["snapshots"].as_array().unwrap() {
            let id: Id = snapshot["id"].as_str().unwrap().parse().unwrap();
            let target = fixture.folder.path().join(format!("target-{id}"));
            let options = RestoreOptions {
                verify: true,
                ..RestoreOptions::default()
            };
            let report = restore_from(&fixture, &mut session, id, &target, &options).unwrap();
            assert!(report.is_complete(), "{name}: {report:?}");
            let wild = find(&target, "wild").unwrap();
            let mut first_names = HashMap::new();
            let entries = snapshot["entries"].as_array().unwrap();
            let mut sockets = 0;
            for expected in entries {
                // Neither of them stores one.
                if expected["kind"] == "socket" {
                    sockets += 1;
                    continue;
                }
                let escaped = expected["path"].as_str().unwrap();
                let found = describe(&wild, escaped, &mut first_names);
                assert_eq!(found, *expected, "{name}");
            }
            let made = crate::restore::names(&wild).len() as u64;
            assert_eq!(made + 1 + sockets, entries.len() as u64);
        }
    }
}

/// The first folder of that name below another.
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let found = crate::restore::names(root);
    let path = found.iter().find(|path| path.ends_with(name))?;
    Some(root.join(path))
}
