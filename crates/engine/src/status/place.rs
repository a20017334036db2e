//! Where sources and copies really are, whatever the configuration says.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::Path;

use strongroom_model::scorecard::{DeviceId, Location, SourceFacts};
use strongroom_model::{Config, Name, StoreAddress};
use strongroom_store::place::is_this_machine;

/// Finds out where a copy is; a name that has to be resolved may take its time.
pub(super) fn location(address: &StoreAddress) -> Location {
    let StoreAddress::Rest(rest) = address else {
        return match address {
            StoreAddress::Local(path) => Location::Folder {
                device: device(path),
            },
            other => Location::of(other),
        };
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
    Location::Server {
        host: first.map_or_else(|| name.to_owned(), |ip| ip.to_string()),
        here: is_this_machine(name, port).ok(),
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

/// The device of a folder.
fn device(path: &Path) -> Option<DeviceId> {
    let found = rustix::fs::stat(path).ok()?;
    Some(DeviceId(found.st_dev))
}
