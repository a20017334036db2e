//! The keys of a `[[copy]]` in a bucket: by what right it is asked, and how.
//!
//! Who names no account has that of the environment, the files of Amazon's programs or the machine;
//! whoever names one names its secret apart from it, in a file or a variable.

use std::path::PathBuf;

use crate::address::{S3Address, is_region};
use crate::config::reader::{Reader, quoted};
use crate::config::section::Section;
use crate::name::Name;
use crate::period::Period;
use crate::secret::Secret;

/// How a bucket is asked; nothing is said of copies elsewhere.
#[derive(Clone, Debug, Default)]
pub struct S3Access {
    /// Its region; `None` leaves it to the address, or to the environment.
    pub region: Option<String>,
    /// Whether its name stands in the path of addresses rather than in front of the host; `None`
    /// means in the path where the server is one's own.
    pub path_style: Option<bool>,
    /// The account; `None` leaves it to the environment.
    pub account: Option<S3Account>,
    /// Whose credentials rule the key by which the bucket encrypts (KMS); `None` means those that
    /// rule the copy.
    pub key_domain: Option<Name>,
}

/// An account of S3.
#[derive(Clone, Debug)]
pub struct S3Account {
    /// Its name.
    pub access_key: String,
    /// Where its secret is.
    pub secret_key: SecretKey,
}

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub enum SecretKey {
    /// From a variable of the environment.
    Text(Secret),
    /// The first line of a file.
    File(PathBuf),
}

/// The keys that no other copy may have.
pub(super) const KEYS: [&str; 6] = [
    "region",
    "access_key",
    "secret_key",
    "secret_key_file",
    "path_style",
    "key_domain",
];

/// The bounds of a lock: Object Lock takes a hundred years, and a date is set up to twice as far
/// ahead as the lock.
const LEAST_LOCK: Period = Period::days(1);
const MOST_LOCK: Period = Period::days(50 * 365);

/// Reads how a bucket is asked; `address` is where it is.
pub(super) fn read(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    address: &S3Address,
) -> S3Access {
    let region = region(reader, section, address);
    let account = account(reader, section);
    let path_style = section.flag(reader, "path_style");
    let key_domain = section.name(reader, "key_domain");
    if address.service().scheme() == "http" {
        let reason = "Plain http shows no certificate, so it has no ca_file";
        let instead = "write s3:https://…, or remove ca_file";
        section.refuse(reader, "ca_file", reason, instead);
    }
    section.refuse(
        reader,
        "fingerprint",
        "A bucket is vouched for by authorities, so it has no fingerprint",
        "remove it; a server of your own may have a ca_file",
    );
    let reason = "A bucket is no vault, so it has no log_witnesses";
    section.refuse(reader, "log_witnesses", reason, "remove it");
    S3Access {
        region,
        path_style,
        account,
        key_domain,
    }
}

/// Refuses the keys of a bucket where there is none; `place` is where the copy is.
pub(super) fn refuse(reader: &mut Reader<'_>, section: &Section<'_>, place: &str) {
    for key in KEYS {
        let reason = format!("{key} is for buckets, and this copy is {place}");
        section.refuse(reader, key, reason, "remove it");
    }
}

/// Refuses a lock that Object Lock cannot keep, or that protects from nothing.
pub(super) fn check_lock(reader: &mut Reader<'_>, section: &Section<'_>, lock: Option<Period>) {
    if let Some(lock) = lock
        && !(LEAST_LOCK..=MOST_LOCK).contains(&lock)
    {
        let reason = format!("lock = \"{lock}\" is out of bounds for a bucket");
        let instead = "write a period from \"1d\" to \"50y\"";
        section.refuse(reader, "lock", reason, instead);
    }
}

fn region(reader: &mut Reader<'_>, section: &Section<'_>, address: &S3Address) -> Option<String> {
    let text = section.text(reader, "region")?;
    let region = text.value.as_str();
    if !is_region(region) {
        reader.problem(
            text.line,
            format!("{} is not a region", quoted(text.written)),
            "write what its owner calls it, in small letters: region = \"eu-central-1\"",
        );
    } else if let Some(told) = address.region()
        && told != region
    {
        reader.problem(
            text.line,
            format!("The address says that the region is \"{told}\""),
            "remove region, or write it into the address",
        );
    }
    Some(region.to_owned())
}

fn account(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<S3Account> {
    let access_key = section.text(reader, "access_key");
    let secret_key = secret_key(reader, section);
    if let Some(text) = &access_key
        && !is_access_key(&text.value)
    {
        reader.problem(
            text.line,
            format!("{} is not an access key", quoted(text.written)),
            "write access_key = \"AKIA…\", as its owner calls it",
        );
    }
    match secret_line(reader, section) {
        Some((line, key)) if !section.has("access_key") => reader.problem(
            line,
            format!("{key} belongs to an access_key, and there is none"),
            "write access_key = \"AKIA…\" as well, or remove it",
        ),
        None => section.refuse(
            reader,
            "access_key",
            "There is an access_key, and no secret to it",
            "write secret_key_file = \"/etc/strongroom/NAME.key\" or secret_key = \"${NAME}\" as \
             well",
        ),
        Some(_) => {}
    }
    Some(S3Account {
        access_key: access_key?.value.to_string(),
        secret_key: secret_key?,
    })
}

/// The first key that names a secret, with its line.
fn secret_line(reader: &Reader<'_>, section: &Section<'_>) -> Option<(usize, &'static str)> {
    ["secret_key", "secret_key_file"]
        .into_iter()
        .find_map(|key| Some((section.line_of(reader, key)?, key)))
}

fn secret_key(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<SecretKey> {
    let file = section.path(reader, "secret_key_file");
    let text = section.text(reader, "secret_key");
    section.refuse_both(reader, "secret_key", "secret_key_file");
    if let Some(text) = &text
        && !text.written.contains("${")
    {
        // What was written is not repeated.
        reader.problem(
            text.line,
            "A secret does not belong in this file",
            "write secret_key = \"${NAME}\", or secret_key_file = \"/etc/strongroom/NAME.key\"",
        );
    }
    let text = text.map(|text| SecretKey::Text(Secret::new(text.value.as_str())));
    file.map(SecretKey::File).or(text)
}

/// Whether a text can be sent as the name of an account.
fn is_access_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/,=".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_plain)
}
