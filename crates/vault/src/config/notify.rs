//! The tables `[[notify]]`: who is told, and over which channel.
//!
//! Addresses of webhooks are secrets, since whoever has one speaks there; the configuration is a file
//! that is copied, mailed and committed. So they come from a file of their own or from a variable, as
//! passwords do, and what is wrong with one is told without it.

use std::path::PathBuf;

use lettre::Address;
use strongroom_model::config::reader::{Reader, quoted};
use strongroom_model::config::section::Section;
use strongroom_model::{Name, Secret};
use url::Url;

use crate::rules::notices::Wants;

/// The most channels.
const MOST: usize = 16;

/// The most addresses that a mail goes to.
const MOST_RECEIVERS: usize = 16;

/// A channel over which somebody is told.
#[derive(Clone, Debug)]
pub struct NotifyConfig {
    /// What it is called.
    pub name: Name,
    /// What it wants to be told.
    pub wants: Wants,
    /// Whether it reaches its reader without anything that is production's, as declared.
    pub is_outside_production: bool,
    /// The certificate authority of its server, in PEM; `None` means the public ones.
    pub ca_file: Option<PathBuf>,
    /// What it is.
    pub way: Way,
}

/// How a notice goes to somebody.
#[derive(Clone, Debug)]
pub enum Way {
    /// By mail.
    Mail(MailConfig),
    /// As JSON, signed, to an address of ours.
    Webhook {
        /// Where.
        url: AddressConfig,
        /// The file of the secret that it is signed with.
        secret_file: PathBuf,
    },
    /// To a topic of ntfy.
    Ntfy {
        /// The server.
        url: Url,
        /// The topic, which whoever knows it can read.
        topic: Secret,
        /// The file of the token for it.
        token_file: Option<PathBuf>,
    },
    /// To whatever takes the webhooks of Slack.
    Slack {
        /// Where.
        url: AddressConfig,
    },
}

/// A secret, or the file whose first line it is.
#[derive(Clone, Debug)]
pub enum AddressConfig {
    /// It, from a variable or as written.
    Text(Secret),
    /// The file.
    File(PathBuf),
}

/// How mail is sent.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The server that takes it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is encrypted.
    pub tls: MailTls,
    /// As whom, and with which password; `None` without.
    pub login: Option<(String, AddressConfig)>,
    /// From whom.
    pub from: Address,
    /// To whom; at least one.
    pub to: Vec<Address>,
}

/// How the way to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// From the beginning on.
    Whole,
    /// From STARTTLS on, which the server has to offer.
    Started,
    /// Not at all: on this machine alone.
    None,
}

const COMMON: [&str; 6] = [
    "name",
    "kind",
    "level",
    "escalation",
    "outside_production",
    "ca_file",
];

const MAIL: [&str; 8] = [
    "host",
    "port",
    "tls",
    "user",
    "password",
    "password_file",
    "from",
    "to",
];

const WEBHOOK: [&str; 3] = ["url", "url_file", "secret_file"];
const NTFY: [&str; 3] = ["url", "topic", "token_file"];
const SLACK: [&str; 2] = ["url", "url_file"];

/// All keys, each once.
pub(super) const KEYS: [&str; 19] = [
    "name",
    "kind",
    "level",
    "escalation",
    "outside_production",
    "ca_file",
    "host",
    "port",
    "tls",
    "user",
    "password",
    "password_file",
    "from",
    "to",
    "url",
    "url_file",
    "secret_file",
    "topic",
    "token_file",
];

/// Reads who is told.
pub(super) fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Vec<NotifyConfig>> {
    let sections = top.sections(reader, "notify", &KEYS);
    let mut channels: Vec<NotifyConfig> = Vec::new();
    let mut is_sound = true;
    if sections.len() > MOST {
        let line = top.line_of(reader, "notify").unwrap_or_default();
        let message = format!("There are {} [[notify]]", sections.len());
        reader.problem(line, message, format!("leave {MOST} of them"));
        is_sound = false;
    }
    for section in sections {
        let Some(channel) = channel(reader, &section) else {
            is_sound = false;
            continue;
        };
        if channels.iter().any(|known| known.name == channel.name) {
            let name = quoted(channel.name.as_str());
            let message = format!("There are two channels called {name}");
            reader.problem(section.line(), message, "give one of them another name");
            is_sound = false;
        }
        channels.push(channel);
    }
    is_sound.then_some(channels)
}

fn channel(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<NotifyConfig> {
    section.require(reader, "name", "name = \"on-call\"");
    let example = "kind = \"mail\", \"webhook\", \"ntfy\" or \"slack\"";
    section.require(reader, "kind", example);
    let name = section.name(reader, "name");
    let wants = wants(reader, section);
    let is_outside_production = section.flag(reader, "outside_production");
    let ca_file = section.path(reader, "ca_file");
    let kind = section.text(reader, "kind")?;
    let way = match kind.value.as_str() {
        "mail" => mail(reader, section).map(Way::Mail),
        "webhook" => webhook(reader, section),
        "ntfy" => ntfy(reader, section),
        "slack" => slack(reader, section),
        _ => {
            let message = format!("{} is no kind of a channel", quoted(kind.written));
            reader.problem(kind.line, message, format!("write {example}"));
            None
        }
    };
    Some(NotifyConfig {
        name: name?,
        wants: wants?,
        is_outside_production: is_outside_production.unwrap_or(false),
        ca_file,
        way: way?,
    })
}

fn wants(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Wants> {
    let critical_only = match section.has("level") {
        false => false,
        true => section.parsed(
            reader,
            "level",
            |word| match word {
                "all" => Some(false),
                "critical" => Some(true),
                _ => None,
            },
            "no level of notices",
            "write level = \"all\" or \"critical\"",
        )?,
    };
    Some(Wants {
        critical_only,
        escalation_only: section.flag(reader, "escalation").unwrap_or(false),
    })
}

/// Refuses what belongs to channels of other kinds.
fn refuse_others(reader: &mut Reader<'_>, section: &Section<'_>, kind: &str, keys: &[&str]) {
    for key in KEYS {
        if !keys.contains(&key) && !COMMON.contains(&key) {
            let reason = format!("{key} does not belong to a channel of kind \"{kind}\"");
            section.refuse(reader, key, reason, "remove it, or write another kind");
        }
    }
}

fn webhook(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Way> {
    refuse_others(reader, section, "webhook", &WEBHOOK);
    section.require(
        reader,
        "secret_file",
        "secret_file = \"/etc/strongroom/hook-secret\", with the secret that it is signed with",
    );
    let url = secret_address(reader, section);
    let secret_file = section.path(reader, "secret_file");
    Some(Way::Webhook {
        url: url?,
        secret_file: secret_file?,
    })
}

fn slack(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Way> {
    refuse_others(reader, section, "slack", &SLACK);
    secret_address(reader, section).map(|url| Way::Slack { url })
}

fn ntfy(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Way> {
    refuse_others(reader, section, "ntfy", &NTFY);
    section.require(reader, "url", "url = \"https://ntfy.sh\"");
    section.require(reader, "topic", "topic = \"…\", which nobody can guess");
    let url = section.parsed(
        reader,
        "url",
        |text| Url::parse(text).ok().filter(is_plain).filter(is_private),
        "no address of an ntfy server",
        "write https, a host and perhaps a path: url = \"https://ntfy.sh\"",
    );
    // Said without it: whoever knows a topic reads it.
    let topic = section.text(reader, "topic")?;
    let is_topic = (1..=64).contains(&topic.value.len())
        && topic
            .value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_topic {
        let instead = "write 1 to 64 of the characters A-Z a-z 0-9 - _";
        reader.problem(topic.line, "The topic is none that ntfy takes", instead);
    }
    let token_file = section.path(reader, "token_file");
    Some(Way::Ntfy {
        url: url?,
        topic: Secret::new(topic.value.as_str()),
        token_file,
    })
}

/// The address of a webhook, which is a secret.
fn secret_address(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<AddressConfig> {
    section.refuse_both(reader, "url", "url_file");
    if section.has("url_file") {
        return section.path(reader, "url_file").map(AddressConfig::File);
    }
    let example = "url_file = \"/etc/strongroom/hook\", with the address, or url = \"${HOOK_URL}\"";
    section.require(reader, "url", example);
    let text = section.text(reader, "url")?;
    match parse_address(&text.value) {
        Some(_) => Some(AddressConfig::Text(Secret::new(text.value.as_str()))),
        None => {
            let message = "The url is no address of a webhook";
            let instead = "it begins with https://; http:// is for this machine alone";
            reader.problem(text.line, message, instead);
            None
        }
    }
}

/// An address that notices can be sent to: by HTTPS, or on this machine.
pub(crate) fn parse_address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(is_private)
}

/// Whether nobody on the way reads what is sent there.
fn is_private(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether an address is this machine's.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_plain(url: &Url) -> bool {
    url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

fn mail(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<MailConfig> {
    refuse_others(reader, section, "mail", &MAIL);
    section.require(reader, "host", "host = \"smtp.example.net\"");
    section.require(reader, "from", "from = \"vault@example.net\"");
    section.require(reader, "to", "to = [\"on-call@example.net\"]");
    let host = section.parsed(
        reader,
        "host",
        |text| url::Host::parse(text).ok().map(|_| text.to_owned()),
        "no name of a mail server",
        "write a name or an address alone: host = \"smtp.example.net\"",
    );
    let tls = mail_tls(reader, section, host.as_deref());
    let port = match section.has("port") {
        true => section.number(reader, "port", 1..=u32::from(u16::MAX)),
        false => Some(match tls {
            Some(MailTls::Started) => 587,
            Some(MailTls::None) => 25,
            _ => 465,
        }),
    };
    let login = login(reader, section);
    let from = section.parsed(
        reader,
        "from",
        |text| text.parse().ok(),
        "no address of mail",
        "write it without a name: from = \"vault@example.net\"",
    );
    let to = receivers(reader, section);
    Some(MailConfig {
        host: host?,
        port: u16::try_from(port?).ok()?,
        tls: tls?,
        login: login?,
        from: from?,
        to: to?,
    })
}

fn mail_tls(reader: &mut Reader<'_>, section: &Section<'_>, host: Option<&str>) -> Option<MailTls> {
    if !section.has("tls") {
        return Some(MailTls::Whole);
    }
    let tls = section.parsed(
        reader,
        "tls",
        |word| match word {
            "tls" => Some(MailTls::Whole),
            "starttls" => Some(MailTls::Started),
            "none" => Some(MailTls::None),
            _ => None,
        },
        "no way to encrypt mail",
        "write tls = \"tls\", \"starttls\", or \"none\" for a server on this machine",
    )?;
    let is_here = host.is_some_and(|host| {
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    if tls == MailTls::None && !is_here {
        section.refuse(
            reader,
            "tls",
            "Mail to another machine would be read on the way",
            "write tls = \"starttls\" or \"tls\"",
        );
        return None;
    }
    Some(tls)
}

/// As whom mail is sent; `Some(None)` where it is sent without.
fn login(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
) -> Option<Option<(String, AddressConfig)>> {
    section.refuse_both(reader, "password", "password_file");
    if !section.has("user") {
        for key in ["password", "password_file"] {
            let reason = format!("{key} belongs to a user, and there is none");
            section.refuse(reader, key, reason, "write user = \"…\" as well");
        }
        return Some(None);
    }
    let user = section.text(reader, "user");
    if section.has("password_file") {
        let file = section.path(reader, "password_file")?;
        return Some(Some((user?.value.to_string(), AddressConfig::File(file))));
    }
    let example = "password_file = \"/etc/strongroom/smtp\", or password = \"${SMTP_PASSWORD}\"";
    section.require(reader, "password", example);
    let (line, written) = section.written(reader, "password")?;
    if !(written.starts_with("${") && written.ends_with('}')) {
        let message = "A password does not belong in this file";
        reader.problem(line, message, format!("write {example}"));
        return None;
    }
    let password = section.text(reader, "password")?;
    let password = AddressConfig::Text(Secret::new(password.value.as_str()));
    Some(Some((user?.value.to_string(), password)))
}

fn receivers(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Vec<Address>> {
    let line = section.line_of(reader, "to")?;
    let texts = section.texts(reader, "to")?;
    if texts.is_empty() || texts.len() > MOST_RECEIVERS {
        let message = format!("There are {} addresses in to", texts.len());
        reader.problem(line, message, format!("write 1 to {MOST_RECEIVERS}"));
        return None;
    }
    let mut receivers = Vec::new();
    for text in &texts {
        match text.value.parse() {
            Ok(address) => receivers.push(address),
            Err(_) => {
                let message = format!("{} is no address of mail", quoted(text.written));
                let instead = "write it without a name: to = [\"on-call@example.net\"]";
                reader.problem(text.line, message, instead);
            }
        }
    }
    (receivers.len() == texts.len()).then_some(receivers)
}
