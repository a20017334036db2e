//! Which interface of this machine leads straight to an address, by the kernel's routing tables.
//!
//! A container or a virtual machine of this very host has an address of its own, in a network that
//! exists nowhere but in this kernel: no card is behind the bridge that leads there. What lies
//! behind a gateway is not told here, nor what rules beside the main table say.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Bytes of a routing table that are looked at; some machines have all routes of the internet.
const MOST_BYTES: u64 = 16 << 20;
/// How many interfaces may lie one on another.
const MOST_LAYERS: u8 = 4;
const INTERFACES: &str = "/sys/class/net";

/// A route of the main table.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    network: u128,
    /// How many bits of it count, from the highest on.
    bits: u32,
    is_direct: bool,
    interface: String,
}

/// The virtual interface behind which an address lies without any gateway, if it is so.
pub(super) fn virtual_link(ip: IpAddr) -> Option<String> {
    let path = match ip {
        IpAddr::V4(_) => "/proc/net/route",
        IpAddr::V6(_) => "/proc/net/ipv6_route",
    };
    let table = read(path)?;
    let interface = direct_interface(ip, &table)?;
    let is_virtual = !is_physical(Path::new(INTERFACES), &interface, MOST_LAYERS);
    is_virtual.then_some(interface)
}

fn read(path: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether a card is behind an interface, be it below a bridge, a bond or a VLAN.
fn is_physical(interfaces: &Path, name: &str, layers: u8) -> bool {
    let folder = interfaces.join(name);
    if folder.join("device").exists() {
        return true;
    }
    let Some(layers) = layers.checked_sub(1) else {
        return false;
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| name.strip_prefix("lower_").map(str::to_owned))
        .any(|lower| is_physical(interfaces, &lower, layers))
}

/// The interface of the narrowest route, where that leads through no gateway.
fn direct_interface(ip: IpAddr, table: &str) -> Option<String> {
    let (routes, address, width): (Vec<Route>, u128, u32) = match ip {
        IpAddr::V4(ip) => {
            let routes = table.lines().filter_map(route_v4).collect();
            (routes, u32::from(ip).into(), Ipv4Addr::BITS)
        }
        IpAddr::V6(ip) => {
            let routes = table.lines().filter_map(route_v6).collect();
            (routes, ip.into(), Ipv6Addr::BITS)
        }
    };
    let has = |route: &Route| {
        let rest = width.saturating_sub(route.bits);
        (address ^ route.network).checked_shr(rest).unwrap_or(0) == 0
    };
    let narrowest = routes
        .into_iter()
        .filter(has)
        .max_by_key(|route| route.bits)?;
    (narrowest.is_direct && narrowest.interface != "lo").then_some(narrowest.interface)
}

/// Interface, network, gateway …, and the mask as the eighth; words lie in memory order.
fn route_v4(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let word = |place: usize| {
        let word = u32::from_str_radix(fields.get(place)?, 16).ok()?;
        Some(u32::from(Ipv4Addr::from(word.to_ne_bytes())))
    };
    Some(Route {
        network: word(1)?.into(),
        bits: word(7)?.count_ones(),
        is_direct: word(2)? == 0,
        interface: (*fields.first()?).to_owned(),
    })
}

/// Network, its bits, source, its bits, gateway …, and the interface last.
fn route_v6(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let word = |place: usize| u128::from_str_radix(fields.get(place)?, 16).ok();
    Some(Route {
        network: word(0)?,
        bits: u32::try_from(word(1)?).ok()?.min(Ipv6Addr::BITS),
        is_direct: word(4)? == 0,
        interface: (*fields.last()?).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    const V4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t004D0A0A\t020200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    const V6: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 virbr0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0
fd000000000000000000000000000009 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
";

    fn direct(ip: &str, table: &str) -> Option<String> {
        direct_interface(ip.parse().unwrap(), table)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_narrowest_route_tells_which_interface_leads_straight_to_an_address() {
        assert_eq!(direct("172.17.0.2", V4).unwrap(), "docker0");
        assert_eq!(direct("192.0.2.77", V4).unwrap(), "eth0");
        assert_eq!(direct("198.51.100.1", V4), None, "behind a gateway");
        assert_eq!(direct("10.10.77.1", V4), None, "behind another");
        assert_eq!(direct("fd00::2", V6).unwrap(), "virbr0");
        assert_eq!(direct("2001:db8::1", V6), None);
        assert_eq!(direct("fd00::9", V6), None, "this machine itself");
    }

    #[test]
    fn no_table_makes_it_panic() {
        for table in [
            "",
            "x",
            "a b c d e f g h i j",
            "eth0 0 0 0 0 0 0 zz",
            &"f ".repeat(12),
        ] {
            for ip in ["0.0.0.0", "255.255.255.255", "::", "ff::"] {
                direct(ip, table);
            }
        }
        let wide = format!("{} ff x x 0 eth0", "0".repeat(32));
        assert_eq!(direct("::", &wide).unwrap(), "eth0");
    }

    #[test]
    fn a_bridge_with_a_card_in_it_leads_out_and_one_without_stays_here() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| fs::create_dir_all(folder.path().join(name)).unwrap();
        at("eth0/device");
        at("bond0/lower_eth0");
        at("br0/lower_bond0");
        at("docker0/lower_veth1");
        at("veth1");
        at("loop0/lower_loop0");
        for (name, physical) in [
            ("eth0", true),
            ("br0", true),
            ("docker0", false),
            ("veth1", false),
            ("loop0", false),
            ("gone", false),
        ] {
            assert_eq!(
                is_physical(folder.path(), name, MOST_LAYERS),
                physical,
                "{name}"
            );
        }
    }
}
