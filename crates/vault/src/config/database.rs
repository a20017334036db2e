//! The table `[database]`: where everything but bodies lies.
//!
//! The address of a PostgreSQL holds a password, and the configuration is a file that is copied,
//! mailed and committed: so the address comes from a variable or a file of its own.

use std::path::{Path, PathBuf};

use strongroom_model::Secret;
use strongroom_model::config::reader::{Reader, quoted};
use strongroom_model::config::section::Section;
use url::Url;

/// Where everything but bodies lies.
#[derive(Clone, Debug)]
pub enum DatabaseConfig {
    /// In a file of SQLite.
    File(PathBuf),
    /// In a PostgreSQL, at an address that may hold a password.
    Postgres(Secret),
    /// The same, and the address is the first line of a file.
    PostgresFile(PathBuf),
}

pub(super) const KEYS: [&str; 3] = ["url", "url_file", "ca_file"];

/// Reads the database, or takes a file in the vault's folder where there is none; and the file of
/// the authorities that vouch for the certificate of a PostgreSQL.
pub(super) fn read(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
    data: &Path,
) -> Option<(DatabaseConfig, Option<PathBuf>)> {
    if !top.has("database") {
        let file = DatabaseConfig::File(data.join("vault.sqlite"));
        return Some((file, None));
    }
    let section = top.section(reader, "database", &KEYS)?;
    let ca_file = section.path(reader, "ca_file");
    let database = postgres(reader, &section)?;
    Some((database, ca_file))
}

fn postgres(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<DatabaseConfig> {
    section.refuse_both(reader, "url", "url_file");
    if section.has("url_file") {
        let file = section.path(reader, "url_file");
        return file.map(DatabaseConfig::PostgresFile);
    }
    section.require(
        reader,
        "url",
        "url = \"${DATABASE_URL}\" or url_file = \"/etc/strongroom/database\"; without [database] \
         the vault keeps its own file",
    );
    let text = section.text(reader, "url")?;
    let written = Url::parse(text.written).ok();
    let shown = written.as_ref().and_then(Url::password);
    if shown.is_some_and(|password| !password.starts_with('$')) {
        reader.problem(
            text.line,
            "A password does not belong in this file",
            "write url = \"${DATABASE_URL}\", or url_file = \"/etc/strongroom/database\"",
        );
        return None;
    }
    let url = Url::parse(&text.value).ok();
    let is_postgres =
        |url: &Url| matches!(url.scheme(), "postgres" | "postgresql") && url.has_host();
    if !url.as_ref().is_some_and(is_postgres) {
        reader.problem(
            text.line,
            format!("{} is no address of a PostgreSQL", quoted(text.written)),
            "it has the form postgres://user:password@host/database",
        );
        return None;
    }
    Some(DatabaseConfig::Postgres(Secret::new(text.value.as_str())))
}
