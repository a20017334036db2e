//! `trusted_proxies` and the tables `[[protect]]`: whom proxies let in to other hosts.
//!
//! What can go wrong: a rule that lets in more people than whoever wrote it meant. So each names
//! somebody, none is there twice, and nothing has a default but the path.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use strongroom_access::forward::{Host, Prefix, Rule};
use strongroom_access::{Role, Roles};
use strongroom_model::config::reader::{Reader, quoted};
use strongroom_model::config::section::Section;
use strongroom_model::{Name, Period};

/// The most rules.
const MOST: usize = 256;

/// The most addresses of proxies.
const MOST_PROXIES: usize = 64;

const KEYS: [&str; 5] = ["host", "path", "roles", "operators", "step_up"];

/// Whom proxies let in, and which proxies are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectConfig {
    /// Where proxies ask from.
    pub proxies: Vec<Network>,
    /// Whom they let in.
    pub rules: Vec<Rule>,
}

/// An address, or all that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl ProtectConfig {
    /// Whether a proxy that is believed has an address.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.has(address))
    }
}

impl Network {
    /// Whether an address belongs to it; one of IPv4 in the clothes of IPv6 is one of IPv4.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let differs = ours.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let differs = ours.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "it is no IP address")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or("there are not so many bits")?,
            Some(_) => return Err("behind the slash there is no number"),
        };
        if bits == 0 {
            return Err("everybody is among them");
        }
        let is_rest_zero = match address {
            IpAddr::V4(address) => address.to_bits().trailing_zeros() >= u32::from(32 - bits),
            IpAddr::V6(address) => address.to_bits().trailing_zeros() >= u32::from(128 - bits),
        };
        match is_rest_zero {
            true => Ok(Self { address, bits }),
            false => Err("the address goes on behind the bits that are said"),
        }
    }
}

/// Reads which proxies are believed, and whom they let in.
pub(super) fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<ProtectConfig> {
    let proxies = proxies(reader, top);
    let sections = top.sections(reader, "protect", &KEYS);
    let line = top.line_of(reader, "protect").unwrap_or_default();
    let mut is_sound = true;
    if sections.len() > MOST {
        let message = format!("There are {} [[protect]]", sections.len());
        reader.problem(line, message, format!("leave {MOST} of them"));
        is_sound = false;
    }
    if !sections.is_empty() {
        for (key, why) in [
            ("trusted_proxies", "trusted_proxies = [\"127.0.0.1\"]"),
            ("public_url", "public_url = \"https://vault.example.net\""),
        ] {
            if !top.has(key) {
                let message = format!("[[protect]] takes {key}");
                reader.problem(line, message, format!("write {why} above the tables"));
                is_sound = false;
            }
        }
    }
    let mut rules: Vec<Rule> = Vec::new();
    for section in sections {
        let Some(rule) = rule(reader, &section) else {
            is_sound = false;
            continue;
        };
        let path = rule.prefix.to_string().to_lowercase();
        let is_same = |known: &Rule| {
            known.host == rule.host && known.prefix.to_string().to_lowercase() == path
        };
        if rules.iter().any(is_same) {
            let message = format!("There are two rules for {} of {}", rule.prefix, rule.host);
            reader.problem(section.line(), message, "make one of them");
            is_sound = false;
        }
        rules.push(rule);
    }
    let proxies = proxies?;
    is_sound.then_some(ProtectConfig { proxies, rules })
}

fn proxies(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Vec<Network>> {
    if !top.has("trusted_proxies") {
        return Some(Vec::new());
    }
    let texts = top.texts(reader, "trusted_proxies")?;
    let line = top.line_of(reader, "trusted_proxies").unwrap_or_default();
    let mut is_sound = !texts.is_empty() && texts.len() <= MOST_PROXIES;
    if !is_sound {
        let message = format!("There are {} addresses in trusted_proxies", texts.len());
        reader.problem(line, message, format!("name 1 to {MOST_PROXIES}"));
    }
    let mut networks = Vec::new();
    for text in texts {
        match text.value.parse() {
            Ok(network) => networks.push(network),
            Err(why) => {
                let message = format!("{} is no address of a proxy: {why}", quoted(text.written));
                let example = "write an address or a network: \"10.0.0.7\", \"10.0.4.0/24\"";
                reader.problem(text.line, message, example);
                is_sound = false;
            }
        }
    }
    is_sound.then_some(networks)
}

fn rule(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Rule> {
    section.require(reader, "host", "host = \"grafana.internal.example\"");
    let host = section.parsed(
        reader,
        "host",
        |text| text.parse::<Host>().ok(),
        "no host",
        "write a name as browsers show it, and a port where they show one: host = \
         \"grafana.internal.example\"",
    );
    let prefix = match section.has("path") {
        true => section.parsed(
            reader,
            "path",
            |text| text.parse::<Prefix>().ok(),
            "no path of a rule",
            "write a path of plain letters that begins with a slash: path = \"/admin\"",
        ),
        false => "/".parse().ok(),
    };
    let roles = parsed(reader, section, "roles", |text| text.parse::<Role>().ok());
    let operators = parsed(reader, section, "operators", |text| {
        text.parse::<Name>().ok()
    });
    let step_up = match section.has("step_up") {
        true => Some(section.period(reader, "step_up")?),
        false => None,
    };
    let (roles, operators) = (roles?, operators?);
    if roles.is_empty() && operators.is_empty() {
        let message = "The rule lets nobody in";
        let hint = "write roles = [\"keeper\"] or operators = [\"anna\"]";
        reader.problem(section.line(), message, hint);
        return None;
    }
    Some(Rule {
        host: host?,
        prefix: prefix?,
        roles: roles.into_iter().collect::<Roles>(),
        operators: operators.into_iter().collect::<BTreeSet<_>>(),
        step_up_ms: step_up.map(Period::milliseconds),
    })
}

/// A list of what `parse` makes something of; empty where there is none.
fn parsed<T>(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<Vec<T>> {
    if !section.has(key) {
        return Some(Vec::new());
    }
    let mut all = Some(Vec::new());
    for text in section.texts(reader, key)? {
        match (parse(&text.value), &mut all) {
            (Some(one), Some(all)) => all.push(one),
            (Some(_), None) => {}
            (None, _) => {
                let message = format!("{} is none of the {key}", quoted(text.written));
                let hint = match key {
                    "roles" => "write viewer, restorer, keeper or security",
                    _ => "write the names of operators",
                };
                reader.problem(text.line, message, hint);
                all = None;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        let has = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.has(address.parse().unwrap())
        };
        assert!(has("10.0.0.0/8", "10.255.0.1"));
        assert!(!has("10.0.0.0/8", "11.0.0.0"));
        assert!(has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.2"));
        assert!(has("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(has("2001:db8::/32", "2001:db8:1::1"));
        assert!(!has("2001:db8::/32", "2001:db9::1"));
        assert!(!has("2001:db8::/32", "32.1.13.184"));
        assert!(has("::1", "::1") && !has("::1", "::2"));
    }

    #[test]
    fn what_is_no_network_or_everybody_is_none() {
        for bad in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "2001:db8::/129",
            "2001:db8::1/64",
            "10.0.0.0/8/8",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
