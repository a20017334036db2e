//! The tables `[[witness]]` and `[[witness_for]]`: who cosigns the vault's log, and whose logs the
//! vault cosigns.

use std::path::PathBuf;

use strongroom_ledger::{KeyKind, Verifier};
use strongroom_model::config::reader::{Reader, quoted};
use strongroom_model::config::section::Section;
use url::Url;

/// The most witnesses, and the most logs that are cosigned.
const MOST: usize = 16;

/// A witness of the vault's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessConfig {
    /// Where it is asked; `add-checkpoint` is put behind.
    pub url: Url,
    /// The key that it cosigns with.
    pub key: Verifier,
    /// The certificate authority of its server, in PEM; `None` means the public ones.
    pub ca_file: Option<PathBuf>,
}

const WITNESS_KEYS: [&str; 3] = ["url", "key", "ca_file"];
const FOR_KEYS: [&str; 1] = ["key"];

/// Reads who cosigns the vault's log.
pub(super) fn read_witnesses(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
) -> Option<Vec<WitnessConfig>> {
    let sections = top.sections(reader, "witness", &WITNESS_KEYS);
    let mut witnesses: Vec<WitnessConfig> = Vec::new();
    let mut is_sound = is_few(reader, top, "witness", sections.len());
    for section in sections {
        section.require(reader, "url", "url = \"https://witness.example.net\"");
        let example = "key = \"…\", as `strongroom-vault witness show` prints it there";
        section.require(reader, "key", example);
        let url = url(reader, &section);
        let key = key(reader, &section, KeyKind::Witness);
        let ca_file = section.path(reader, "ca_file");
        let (Some(url), Some(key)) = (url, key) else {
            is_sound = false;
            continue;
        };
        if witnesses.iter().any(|known| known.key == key) {
            let message = format!(
                "There are two witnesses with the key {}",
                quoted(key.name())
            );
            reader.problem(section.line(), message, "remove one of them");
            is_sound = false;
        }
        witnesses.push(WitnessConfig { url, key, ca_file });
    }
    is_sound.then_some(witnesses)
}

/// Reads whose logs the vault cosigns.
pub(super) fn read_logs(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Vec<Verifier>> {
    let sections = top.sections(reader, "witness_for", &FOR_KEYS);
    let mut logs: Vec<Verifier> = Vec::new();
    let mut is_sound = is_few(reader, top, "witness_for", sections.len());
    for section in sections {
        let example = "key = \"…\", as `strongroom-vault log key` prints it there";
        section.require(reader, "key", example);
        let Some(key) = key(reader, &section, KeyKind::Log) else {
            is_sound = false;
            continue;
        };
        if logs.iter().any(|known| known.name() == key.name()) {
            let message = format!("The log {} is there twice", quoted(key.name()));
            reader.problem(section.line(), message, "remove one of them");
            is_sound = false;
        }
        logs.push(key);
    }
    is_sound.then_some(logs)
}

fn is_few(reader: &mut Reader<'_>, top: &Section<'_>, name: &str, count: usize) -> bool {
    if count <= MOST {
        return true;
    }
    let line = top.line_of(reader, name).unwrap_or_default();
    let message = format!("There are {count} [[{name}]]");
    reader.problem(line, message, format!("leave {MOST} of them"));
    false
}

fn url(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Url> {
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    section.parsed(
        reader,
        "url",
        |text| Url::parse(text).ok().filter(is_plain),
        "no address of a witness",
        "write a scheme, a host and perhaps a path: url = \"https://witness.example.net\"",
    )
}

fn key(reader: &mut Reader<'_>, section: &Section<'_>, kind: KeyKind) -> Option<Verifier> {
    let text = section.text(reader, "key")?;
    let instead = match kind {
        KeyKind::Witness => "write it as `strongroom-vault witness show` prints it at the witness",
        KeyKind::Log => {
            "write it as `strongroom-vault log key` prints it at the vault to cosign for"
        }
    };
    match text.value.parse::<Verifier>() {
        Ok(key) if key.kind() == kind => Some(key),
        Ok(_) => {
            let other = match kind {
                KeyKind::Witness => "a log's and not a witness's",
                KeyKind::Log => "a witness's and not a log's",
            };
            let message = format!("The key {} is {other}", quoted(text.written));
            reader.problem(text.line, message, instead);
            None
        }
        Err(error) => {
            let message = format!("{} is no key: {error}", quoted(text.written));
            reader.problem(text.line, message, instead);
            None
        }
    }
}
