//! The table `[storage]`: where bodies of objects lie.

use std::path::{Path, PathBuf};

use strongroom_model::config::reader::{Reader, quoted};
use strongroom_model::config::section::Section;
use url::Url;

/// Where bodies of objects lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageConfig {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a bucket.
    Bucket(BucketConfig),
}

/// A bucket of AWS, or of what speaks its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketConfig {
    /// Its name.
    pub bucket: String,
    /// Where it is served; `None` at AWS.
    pub endpoint: Option<Url>,
    /// Its region; `None` leaves it to the environment.
    pub region: Option<String>,
    /// What all names in it begin with.
    pub prefix: Option<String>,
}

pub(super) const KEYS: [&str; 5] = ["folder", "bucket", "endpoint", "region", "prefix"];

/// Reads the storage, or takes the vault's own folder where there is none.
pub(super) fn read(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
    data: &Path,
) -> Option<StorageConfig> {
    if !top.has("storage") {
        return Some(StorageConfig::Folder(data.to_owned()));
    }
    let section = top.section(reader, "storage", &KEYS)?;
    if section.has("bucket") {
        section.refuse(
            reader,
            "folder",
            "[storage] has both a folder and a bucket",
            "remove one of them: a vault keeps its objects in one place",
        );
        return bucket(reader, &section).map(StorageConfig::Bucket);
    }
    for key in ["endpoint", "region", "prefix"] {
        let reason = format!("{key} belongs to a bucket, and there is none");
        section.refuse(reader, key, reason, "write bucket = \"my-vault\" as well");
    }
    section.require(
        reader,
        "folder",
        "folder = \"/srv/vault\", or bucket = \"my-vault\"",
    );
    section.path(reader, "folder").map(StorageConfig::Folder)
}

fn bucket(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<BucketConfig> {
    let name = section.text(reader, "bucket")?;
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_good = (3..=63).contains(&name.value.len())
        && name
            .value
            .bytes()
            .all(|byte| letter(byte) || b".-".contains(&byte))
        && name.value.bytes().next().is_some_and(letter);
    if !is_good {
        reader.problem(
            name.line,
            format!("{} is no name of a bucket", quoted(name.written)),
            "write 3 to 63 of the characters a-z 0-9 . -: bucket = \"my-vault\"",
        );
    }
    let endpoint = section.parsed(
        reader,
        "endpoint",
        |text| Url::parse(text).ok().filter(is_plain_address),
        "no address of a server",
        "write endpoint = \"https://s3.example.net\", without user and password: those come from \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role",
    );
    let region = section.text(reader, "region");
    let prefix = section.text(reader, "prefix");
    Some(BucketConfig {
        bucket: name.value.to_string(),
        endpoint,
        region: region.map(|text| text.value.to_string()),
        prefix: prefix.map(|text| text.value.trim_matches('/').to_owned()),
    })
}

/// Whether an address is a scheme of HTTP, a host and a port, and nothing more.
pub(super) fn is_plain_address(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
}
