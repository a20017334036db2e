//! Where sources and copies really are, whatever the configuration says.

mod mounts;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use strongroom_model::scorecard::{DeviceId, Location, SourceFacts};
use strongroom_model::{Config, Name, StoreAddress};
use strongroom_store::patient::within;
use strongroom_store::place::{is_this_machine, virtual_link};

/// How long a look at a path may take, which lies on a dead mount perhaps: longer than a disk
/// needs to wake up.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// Finds out where a copy is; a name that has to be resolved may take its time.
pub(super) fn location(address: &StoreAddress) -> Location {
    let rest = match address {
        StoreAddress::Local(path) => {
            let path = path.clone();
            let device = within(LOOK_LIMIT, move || device(&path)).flatten();
            return Location::Folder { device };
        }
        StoreAddress::Rest(rest) => rest,
    };
    let url = rest.url();
    let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Location::of(address);
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let addresses = (bare, port).to_socket_addrs();
    // The smallest of them: servers hand out several in changing order.
    let first = addresses
        .ok()
        .and_then(|all| all.map(|one| one.ip().to_canonical()).min());
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
        let devices = paths.filter_map(|path| device(path)).collect();
        (source.name.clone(), SourceFacts { devices })
    });
    facts.collect()
}

/// The device of a folder: the same for two folders on the same disks, as far as can be told.
fn device(path: &Path) -> Option<DeviceId> {
    let found = rustix::fs::stat(path).ok()?;
    let mountinfo = std::fs::read("/proc/self/mountinfo").ok();
    let shared = mountinfo.and_then(|mountinfo| {
        let path = path.canonicalize().ok()?;
        mounts::shared_storage(&mountinfo, &path)
    });
    Some(shared.unwrap_or(DeviceId(found.st_dev)))
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
    fn a_name_that_does_not_resolve_may_be_anywhere() {
        let unknown = ("no-such-host.invalid".to_owned(), None);
        assert_eq!(server("rest:https://no-such-host.invalid/"), unknown);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_device() {
        let missing = StoreAddress::Local("/no/such/folder".into());
        assert_eq!(location(&missing), Location::Folder { device: None });
    }
}
