//! Where sources and copies really are, whatever the configuration says.

mod mounts;
mod storage;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use crate::status::place::storage::Storage;
use strongroom_model::scorecard::{DeviceId, Location, SourceFacts};
use strongroom_model::{Config, Name, StoreAddress};
use strongroom_store::patient::within;
use strongroom_store::place::{is_this_machine, virtual_link};

/// How long a look at a path may take, which lies on a dead mount perhaps: longer than a disk
/// needs to wake up.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// How many image files may lie one in another.
const MOST_LOOPS: u8 = 4;
const SYS: &str = "/sys";
/// The kinds of filesystems that are gone with the power: tmpfs, ramfs and hugetlbfs, by statfs(2).
const IN_MEMORY: [u64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

/// Finds out where a copy is; a name that has to be resolved may take its time.
pub(super) fn location(address: &StoreAddress) -> Location {
    let url = match address {
        StoreAddress::Local(path) => {
            let path = path.clone();
            let storage = within(LOOK_LIMIT, move || storage_of(&path, MOST_LOOPS)).flatten();
            let storage = storage.unwrap_or_default();
            return Location::Folder {
                devices: storage.devices.into_iter().map(DeviceId).collect(),
                in_memory: storage.in_memory,
            };
        }
        StoreAddress::Rest(rest) => rest.url(),
        StoreAddress::S3(bucket) => bucket.service(),
    };
    let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Location::of(address);
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let first = match address {
        // Amazon tells other addresses each time, of what is one place all the same.
        StoreAddress::S3(bucket) if bucket.endpoint().is_none() => None,
        _ => {
            let addresses = (bare, port).to_socket_addrs().ok();
            // The smallest of them: servers hand out several in changing order.
            addresses.and_then(|all| all.map(|one| one.ip().to_canonical()).min())
        }
    };
    let here = is_this_machine(name, port).ok();
    let link = match here {
        Some(false) => virtual_link(name, port),
        _ => None,
    };
    Location::Server {
        host: first.map_or_else(|| name.to_owned(), |ip| ip.to_string()),
        here: here.filter(|_| link.is_none()),
        link,
    }
}

/// The devices on which the sources lie.
pub(super) fn source_facts(config: &Config) -> BTreeMap<Name, SourceFacts> {
    let facts = config.sources.iter().map(|source| {
        let paths = source.paths().iter();
        let storage = paths.filter_map(|path| storage_of(path, MOST_LOOPS));
        let devices = storage.flat_map(|storage| storage.devices);
        let devices = devices.map(DeviceId).collect();
        (source.name.clone(), SourceFacts { devices })
    });
    facts.collect()
}

/// What lies below a folder, down to the disks, as far as can be told.
fn storage_of(path: &Path, loops: u8) -> Option<Storage> {
    let found = rustix::fs::stat(path).ok()?;
    let filesystem = rustix::fs::statfs(path).ok();
    let kind = filesystem.and_then(|filesystem| u64::try_from(filesystem.f_type).ok());
    let mountinfo = std::fs::read("/proc/self/mountinfo").ok();
    let shared = mountinfo.and_then(|mountinfo| {
        let path = path.canonicalize().ok()?;
        mounts::shared_storage(&mountinfo, &path)
    });
    let of_file = |file: &Path| {
        let deeper = loops.checked_sub(1);
        let storage = deeper.and_then(|loops| storage_of(file, loops));
        storage.unwrap_or_default()
    };
    let from = shared.map_or(found.st_dev, |shared| shared.0);
    let below = |device| storage::below(Path::new(SYS), device);
    let mut storage = storage::storage([from], &below, &of_file);
    storage.in_memory |= kind.is_some_and(|kind| IN_MEMORY.contains(&kind));
    Some(storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> (String, Option<bool>) {
        match location(&text.parse().unwrap()) {
            Location::Server { host, here, .. } => (host, here),
            folder => panic!("{folder:?}"),
        }
    }

    #[test]
    fn a_server_is_known_by_its_address_whatever_it_is_called() {
        let own = ("127.0.0.1".to_owned(), Some(true));
        assert_eq!(server("rest:http://127.0.0.1:8000/"), own);
        assert_eq!(server("rest:http://[::ffff:127.0.0.1]:8000/"), own);
        assert_eq!(
            server("rest:http://[::1]:8000/"),
            ("::1".to_owned(), Some(true))
        );
        let elsewhere = ("192.0.2.1".to_owned(), Some(false));
        assert_eq!(server("rest:https://u:p@192.0.2.1/x/"), elsewhere);
    }

    #[test]
    fn a_bucket_is_where_its_server_is_and_all_of_amazons_are_in_one_place() {
        let own = ("127.0.0.1".to_owned(), Some(true));
        assert_eq!(server("s3:http://127.0.0.1:9000/acme/repos"), own);
        let host = |text: &str| server(text).0;
        let frankfurt = "s3.eu-central-1.amazonaws.com";
        assert_eq!(host(&format!("s3:{frankfurt}/acme")), frankfurt);
        assert_eq!(host(&format!("s3:https://{frankfurt}/other/x")), frankfurt);
    }

    #[test]
    fn a_name_that_does_not_resolve_may_be_anywhere() {
        let unknown = ("no-such-host.invalid".to_owned(), None);
        assert_eq!(server("rest:https://no-such-host.invalid/"), unknown);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_device() {
        let missing = StoreAddress::Local("/no/such/folder".into());
        let Location::Folder { devices, in_memory } = location(&missing) else {
            panic!("no folder");
        };
        assert!(devices.is_empty() && !in_memory);
    }

    #[test]
    fn a_folder_on_a_ram_disk_is_in_memory() {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
            // Where there is none, its number is still known.
            return assert!(IN_MEMORY.contains(&0x0102_1994));
        };
        let storage = storage_of(folder.path(), MOST_LOOPS).unwrap();
        assert!(storage.in_memory, "{storage:?}");
        let own = storage_of(Path::new("/proc/self"), MOST_LOOPS).unwrap();
        assert!(!own.in_memory, "{own:?}");
    }
}
