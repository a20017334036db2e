//! Forward authentication: whom a proxy lets in to the pages of another host.
//!
//! What can go wrong: a path that the proxy, the rules and the application behind read in three ways,
//! so that a strict rule is dodged. Whatever could be read in more than one way is refused.
//!
//! **Security:** what no rule speaks of is refused, and so is a host that no rule names.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use strongroom_model::Name;

use crate::factor::Shown;
use crate::operator::Operator;
use crate::role::Roles;
use crate::session::Session;
use crate::{MINUTE_MS, Role};

/// The path below which the vault itself answers on a protected host.
pub const OURS: &str = "/.strongroom";

/// The longest path and query that are looked at, in bytes.
const LONGEST_URI: usize = 4096;

/// The longest host: a name of DNS, and a port.
const LONGEST_HOST: usize = 253 + 6;

/// While the level is raised no factor that was shown longer ago than this counts as shown anew.
const RAISED_WITHIN_MS: i64 = 5 * MINUTE_MS;

/// A host as rules name it: a name in small letters, and a port where that is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(String);

/// The beginning of paths: `/`, or whole segments without a slash behind them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

/// Who is let in where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// On which host.
    pub host: Host,
    /// Below which path.
    pub prefix: Prefix,
    /// Whoever has one of these.
    pub roles: Roles,
    /// And these, whatever they have.
    pub operators: BTreeSet<Name>,
    /// How long ago his passkey may have been shown at most, in milliseconds.
    pub step_up_ms: Option<i64>,
}

/// Whoever has a session.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// He.
    pub operator: &'a Operator,
    /// His session.
    pub session: &'a Session,
}

/// What a proxy is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let him through.
    Allow,
    /// Nobody is signed in there.
    SignIn,
    /// His passkey is to be shown anew.
    StepUp,
    /// No rule lets him in.
    Forbidden,
    /// No rule names the host.
    UnknownHost,
    /// The path can be read in more than one way; why.
    Ambiguous(&'static str),
}

/// Decides what is answered to a request for a path and query on a host. `is_raised`: somebody or
/// something has reason to be careful.
pub fn decide(
    rules: &[Rule],
    (host, uri): (&str, &str),
    visitor: Option<Visitor<'_>>,
    is_raised: bool,
    now_ms: i64,
) -> Verdict {
    let Ok(host) = host.parse::<Host>() else {
        return Verdict::UnknownHost;
    };
    if !rules.iter().any(|rule| rule.host == host) {
        return Verdict::UnknownHost;
    }
    let path = match path_of(uri) {
        Ok(path) => path,
        Err(why) => return Verdict::Ambiguous(why),
    };
    let rule = match rule_for(rules, &host, &path) {
        Ok(Some(rule)) => rule,
        Ok(None) => return Verdict::Forbidden,
        Err(why) => return Verdict::Ambiguous(why),
    };
    let Some(visitor) = visitor else {
        return Verdict::SignIn;
    };
    if !visitor.operator.counts() || !visitor.session.counts_at(now_ms) {
        return Verdict::SignIn;
    }
    if !rule.admits(visitor.operator) {
        return Verdict::Forbidden;
    }
    match rule.step_up_within(is_raised) {
        Some(within_ms) if !is_anew(visitor.session, now_ms, within_ms) => Verdict::StepUp,
        _ => Verdict::Allow,
    }
}

/// Whether the passkey was shown within a time.
fn is_anew(session: &Session, now_ms: i64, within_ms: i64) -> bool {
    let is_passkey = matches!(session.shown, Shown::Passkey | Shown::PasskeyBefore);
    is_passkey && session.is_fresh_at(now_ms, within_ms)
}

/// The rule with the longest prefix. Applications that take large letters for small ones would find
/// what another rule is for: that is refused.
fn rule_for<'r>(
    rules: &'r [Rule],
    host: &Host,
    path: &str,
) -> Result<Option<&'r Rule>, &'static str> {
    let folded = path.to_lowercase();
    let of_host = rules.iter().filter(|rule| rule.host == *host);
    let matching = of_host.filter(|rule| rule.prefix.holds(&folded, true));
    let Some(rule) = matching.max_by_key(|rule| rule.prefix.0.len()) else {
        return Ok(None);
    };
    match rule.prefix.holds(path, false) {
        true => Ok(Some(rule)),
        false => Err("it differs from the path of a rule by large and small letters alone"),
    }
}

impl Rule {
    /// Whether somebody is one of those who are let in.
    pub fn admits(&self, operator: &Operator) -> bool {
        let has_role = Role::ALL
            .into_iter()
            .any(|role| self.roles.has(role) && operator.is(role));
        operator.counts() && (has_role || self.operators.contains(&operator.name))
    }

    /// How long ago a passkey may have been shown at most; half as long while the level is raised,
    /// and five minutes at most.
    pub fn step_up_within(&self, is_raised: bool) -> Option<i64> {
        let within_ms = self.step_up_ms?;
        Some(match is_raised {
            true => (within_ms / 2).min(RAISED_WITHIN_MS),
            false => within_ms,
        })
    }
}

impl Host {
    /// It as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a browser keeps to itself what it says there without encryption.
    pub fn is_local(&self) -> bool {
        let name = self.0.split(':').next().unwrap_or_default();
        name == "localhost" || name.ends_with(".localhost")
    }

    /// Its origin under a scheme, where that may be: `https`, and `http` on the machine itself.
    pub fn origin(&self, scheme: &str) -> Option<String> {
        let is_good = scheme == "https" || (scheme == "http" && self.is_local());
        is_good.then(|| format!("{scheme}://{}", self.0))
    }
}

impl Prefix {
    /// Whether a path lies below it. `is_folded`: the path is in small letters.
    fn holds(&self, path: &str, is_folded: bool) -> bool {
        let prefix = match is_folded {
            true => self.0.to_lowercase(),
            false => self.0.clone(),
        };
        match path.strip_prefix(prefix.as_str()) {
            Some(rest) => prefix == "/" || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

/// The path of a path and query, decoded once.
///
/// # Errors
/// Why it can be read in more than one way.
pub fn path_of(uri: &str) -> Result<String, &'static str> {
    if uri.len() > LONGEST_URI {
        return Err("it is too long");
    }
    let path = uri.split('?').next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err("it does not begin with a slash");
    }
    let decoded = decoded(path)?;
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err("it has two slashes in a row");
        }
        if segment.ends_with(['.', ' ']) {
            return Err("a part of it ends with a dot or a space");
        }
    }
    if decoded.to_lowercase().starts_with(OURS) {
        return Err("it is the vault's own");
    }
    Ok(decoded)
}

/// Decodes what is encoded, once; fails on what need not be encoded, and on what others would decode
/// again or take for the end of a part.
fn decoded(path: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let is_encoded = byte == b'%';
        let byte = match is_encoded {
            true => {
                let digits = rest.next().zip(rest.next());
                let pair = digits.and_then(|(high, low)| Some((hex(high)?, hex(low)?)));
                let (high, low) = pair.ok_or("a percent sign is not followed by two digits")?;
                high * 16 + low
            }
            false => byte,
        };
        match byte {
            b'/' if is_encoded => return Err("it has an encoded slash"),
            b'%' => return Err("it has an encoded percent sign"),
            b'\\' => return Err("it has a backslash"),
            b';' => return Err("it has a semicolon"),
            b'#' => return Err("it has a hash sign"),
            0..=31 | 127 => return Err("it has a control character"),
            b' ' | 128.. if !is_encoded => return Err("it has a character that is not encoded"),
            b'.' | b'-' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' if is_encoded => {
                return Err("it encodes what need not be encoded");
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8")
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

impl FromStr for Host {
    type Err = &'static str;

    /// Reads a name of ASCII, perhaps with a port; the usual ports are left out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() > LONGEST_HOST || !name.split('.').all(is_label) {
            return Err("that is no name of a host");
        }
        let name = name.to_ascii_lowercase();
        let is_number = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
        match port {
            None | Some("80" | "443") => Ok(Self(name)),
            Some(port) if is_number(port) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(Self(format!("{name}:{}", port.trim_start_matches('0'))))
            }
            Some(_) => Err("that is no port"),
        }
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    /// Reads a path of letters, digits, `-`, `_`, `.` and `~`; a slash at its end means nothing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
        if !text.bytes().all(is_plain) {
            return Err("it has other characters than letters, digits, / - _ . ~");
        }
        let path = path_of(text)?;
        let trimmed = path.trim_end_matches('/');
        Ok(Self(match trimmed.is_empty() {
            true => "/".to_owned(),
            false => trimmed.to_owned(),
        }))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
