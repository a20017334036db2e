//! The tables `[[copy]]`: where the data goes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::address::{StoreAddress, percent_encoded, redacted};
use crate::blast::Exposure;
use crate::config::bucket::{self, S3Access};
use crate::config::own_name;
use crate::config::reader::{Reader, quoted};
use crate::config::section::Section;
use crate::error::Error;
use crate::fingerprint::{self, Fingerprint};
use crate::id::Id;
use crate::name::Name;
use crate::period::Period;
use crate::witness_key::{self, WitnessKey};

/// One complete repository at one place; the type of a "copy".
#[derive(Clone, Debug)]
pub struct BackupCopy {
    /// Its name, which no other copy has.
    pub name: Name,
    /// Where it lives.
    pub store: StoreAddress,
    /// On what kind of storage.
    pub medium: Medium,
    /// At which place.
    pub site: Name,
    /// Whose credentials rule it.
    pub domain: Name,
    /// For how long the place promises to keep what it is given: a claim, until it was tried. In a
    /// bucket the least time that every file must stay locked.
    pub lock: Option<Period>,
    /// The certificate authority of a server, in PEM; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// The one certificate that a REST server may show, whoever vouches for it; `None` means that
    /// authorities decide.
    pub fingerprint: Option<Fingerprint>,
    /// The witnesses that must have cosigned the log of the vault behind a REST address.
    pub log_witnesses: Vec<WitnessKey>,
    /// How a bucket is asked.
    pub s3: S3Access,
}

/// A kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// Disks that are always connected, spinning or not.
    Disk,
    /// Object storage.
    Object,
    /// Disks that are taken out and put away.
    Removable,
    /// Tape.
    Tape,
}

impl BackupCopy {
    /// What tells the credential that the configuration names from others; `None` where it names
    /// none, as where the environment or a profile gives one, which may be another each hour.
    pub fn credential(&self) -> Option<Id> {
        match &self.store {
            StoreAddress::Rest(address) => {
                let (user, password) = address.credentials()?;
                Some(Exposure::credential_of(user, password.expose()))
            }
            StoreAddress::S3(_) => {
                let account = self.s3.account.as_ref()?;
                Some(Exposure::credential_of_key(&account.access_key))
            }
            StoreAddress::Local(_) => None,
        }
    }
}

impl Medium {
    const ALL: [Self; 4] = [Self::Disk, Self::Object, Self::Removable, Self::Tape];

    /// The word for it in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Object => "object",
            Self::Removable => "removable",
            Self::Tape => "tape",
        }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

pub(super) const KEYS: [&str; 15] = [
    "name",
    "store",
    "medium",
    "site",
    "domain",
    "lock",
    "ca_file",
    "fingerprint",
    "log_witnesses",
    "region",
    "access_key",
    "secret_key",
    "secret_key_file",
    "path_style",
    "key_domain",
];

/// The most witnesses of one log.
const MOST_WITNESSES: usize = 16;

/// Reads all copies, each with the line where it begins.
pub(super) fn read_all(reader: &mut Reader<'_>, top: &Section<'_>) -> Vec<(usize, BackupCopy)> {
    let sections = top.sections(reader, "copy", &KEYS);
    if !top.has("copy") {
        reader.problem(
            reader.last_line(),
            "There is no copy: nothing could be backed up",
            "add [[copy]] with name, store, medium, site and domain",
        );
    }
    let mut names = BTreeMap::new();
    let mut copies = Vec::new();
    for section in sections {
        section.require(reader, "name", "name = \"here\"");
        let name = own_name(reader, &section, &mut names, ("copy", "copies"));
        section.require(
            reader,
            "store",
            "store = \"/var/backups/strongroom\", \"rest:https://…\" or \"s3:https://…\"",
        );
        section.require(
            reader,
            "medium",
            "medium = \"disk\", \"object\", \"removable\" or \"tape\"",
        );
        section.require(
            reader,
            "site",
            "site = \"fra-1\", the place where it stands",
        );
        section.require(
            reader,
            "domain",
            "domain = \"production\", or whose credentials can destroy it",
        );
        let store = store(reader, &section);
        let medium = medium(reader, &section);
        let site = section.name(reader, "site");
        let domain = section.name(reader, "domain");
        let lock = section.period(reader, "lock");
        let ca_file = section.path(reader, "ca_file");
        let fingerprint = fingerprint(reader, &section);
        let log_witnesses = log_witnesses(reader, &section);
        let mut s3 = S3Access::default();
        match &store {
            Some(StoreAddress::Local(_)) => {
                refuse_for_folder(reader, &section);
                bucket::refuse(reader, &section, "in a folder");
            }
            Some(StoreAddress::Rest(address)) => {
                refuse_useless_pin(reader, &section, address.url().scheme());
                bucket::refuse(reader, &section, "on a REST server");
            }
            Some(StoreAddress::S3(address)) => {
                s3 = bucket::read(reader, &section, address);
                bucket::check_lock(reader, &section, lock);
            }
            None => {}
        }
        if let (Some(name), Some(store), Some(medium), Some(site), Some(domain)) =
            (name, store, medium, site, domain)
        {
            let copy = BackupCopy {
                name,
                store,
                medium,
                site,
                domain,
                lock,
                ca_file,
                fingerprint,
                log_witnesses,
                s3,
            };
            copies.push((section.line(), copy));
        }
    }
    copies
}

/// Reads where a copy lives; a variable in the user part of a URL stands for itself, whatever
/// characters its value holds.
fn store(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<StoreAddress> {
    let (line, written) = section.written(reader, "store")?;
    let user_ends = written.find("//").and_then(|start| {
        let host = start + 2;
        let rest = written.get(host..)?;
        let authority = rest.get(..rest.find('/').unwrap_or(rest.len()))?;
        authority.rfind('@').map(|end| host + end)
    });
    let text = reader.expand(line, written, |place, value| {
        if user_ends.is_some_and(|end| place < end) {
            percent_encoded(&value)
        } else {
            value
        }
    })?;
    match StoreAddress::parse(&text.value) {
        Ok(store) => {
            if let StoreAddress::Rest(address) = &store
                && address.shows_password()
            {
                reader.warning(
                    line,
                    format!(
                        "The password for {} crosses the network in the clear",
                        quoted(&redacted(written)),
                    ),
                    "write https",
                );
            }
            Some(store)
        }
        Err(refusal) => {
            reader.problem(
                line,
                format!(
                    "{} for store: {}",
                    quoted(&redacted(written)),
                    refusal.reason
                ),
                refusal.instead,
            );
            None
        }
    }
}

fn medium(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Medium> {
    let named = |word: &str| {
        let mut all = Medium::ALL.into_iter();
        all.find(|medium| medium.word() == word)
    };
    let instead = "write \"disk\", \"object\", \"removable\" or \"tape\"";
    section.parsed(reader, "medium", named, "not a medium", instead)
}

fn fingerprint(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Fingerprint> {
    let parse = |text: &str| text.parse::<Fingerprint>().ok();
    let wrong = "not a fingerprint";
    section.parsed(reader, "fingerprint", parse, wrong, fingerprint::RULE)
}

/// Reads whose cosignatures are asked for; what is none is told, and left out.
fn log_witnesses(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<WitnessKey> {
    let texts = section.texts(reader, "log_witnesses").unwrap_or_default();
    if texts.len() > MOST_WITNESSES
        && let Some(line) = section.line_of(reader, "log_witnesses")
    {
        let message = format!("There are {} log_witnesses", texts.len());
        reader.problem(line, message, format!("leave {MOST_WITNESSES} of them"));
    }
    let mut keys: Vec<WitnessKey> = Vec::new();
    for text in texts {
        match text.value.parse::<WitnessKey>() {
            Ok(key) if keys.contains(&key) => {
                let message = format!("The witness {} is there twice", quoted(key.name()));
                reader.problem(text.line, message, "remove one of them");
            }
            Ok(key) => keys.push(key),
            Err(error) => {
                let reason = match error {
                    Error::WitnessKey { reason, .. } => reason,
                    error => error.to_string(),
                };
                let written = quoted(text.written);
                let message = format!("{written} is not the key of a witness: {reason}");
                reader.problem(text.line, message, witness_key::RULE);
            }
        }
    }
    keys
}

/// Refuses a fingerprint beside what would make it mean nothing, or something else than it says.
fn refuse_useless_pin(reader: &mut Reader<'_>, section: &Section<'_>, scheme: &str) {
    let Some(line) = section.line_of(reader, "fingerprint") else {
        return;
    };
    if scheme != "https" {
        let message = "Plain http shows no certificate, so it has no fingerprint";
        reader.problem(line, message, "write rest:https://…, or remove fingerprint");
    }
    if section.has("ca_file") {
        let message = "With a fingerprint no authority is asked, so ca_file means nothing";
        reader.problem(line, message, "remove one of them");
    }
}

fn refuse_for_folder(reader: &mut Reader<'_>, section: &Section<'_>) {
    let reasons = [
        (
            "lock",
            "A folder cannot keep anybody from deleting, so it has no lock",
        ),
        (
            "ca_file",
            "A folder is reached without certificates, so it has no ca_file",
        ),
        (
            "fingerprint",
            "A folder is reached without certificates, so it has no fingerprint",
        ),
        (
            "log_witnesses",
            "A folder is no vault, so it has no log_witnesses",
        ),
    ];
    for (key, reason) in reasons {
        section.refuse(reader, key, reason, "remove it");
    }
}
