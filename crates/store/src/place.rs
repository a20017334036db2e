//! Facts about where a host is, for a scorecard that believes no configuration.
//!
//! An endpoint that leads back to this machine is not offsite, whatever its name says.

pub mod account;
mod link;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

/// Whether any address of `host` belongs to this machine.
///
/// # Errors
/// Fails where the name cannot be resolved.
pub fn is_this_machine(host: &str, port: u16) -> io::Result<bool> {
    Ok(addresses(host, port)?.into_iter().any(is_own_address))
}

/// The interface without any card behind it that leads straight to `host`, as a bridge of
/// containers does; `None` where there is no such one, or no telling.
///
/// What lies behind it may be this machine under another address.
pub fn virtual_link(host: &str, port: u16) -> Option<String> {
    let mut found = addresses(host, port).ok()?.into_iter();
    found.find_map(|address| link::virtual_link(address.ip().to_canonical()))
}

/// Resolves `host`, which may be an IPv6 address in brackets.
pub(crate) fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Whether an address is one of this machine's own.
///
/// The kernel routes a packet to an own address from that same address, and to any other from a
/// different one. Connecting a UDP socket asks for the route and sends nothing.
fn is_own_address(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        let target = match address {
            SocketAddr::V6(scoped) if ip.is_ipv6() => SocketAddr::V6(scoped),
            _ => SocketAddr::new(ip, address.port()),
        };
        socket.connect(target)?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_in_every_spelling_is_this_machine() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "localhost",
            "[::1]",
            "::1",
            "0.0.0.0",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_this_machine(host, 8000).unwrap(), "{host}");
        }
    }

    #[test]
    fn a_documentation_address_is_not_this_machine() {
        assert!(!is_this_machine("192.0.2.1", 443).unwrap());
        assert!(!is_this_machine("2001:db8::1", 443).unwrap());
    }

    #[test]
    fn the_address_of_an_own_interface_is_this_machine() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Without any route out there is no own address but loopback, which is tested above.
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip().to_string();
            assert!(is_this_machine(&own, 443).unwrap(), "{own}");
        }
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error() {
        assert!(is_this_machine("no-such-host.invalid", 443).is_err());
    }
}
